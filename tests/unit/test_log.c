/* server/log.h: lines of JSON on standard error. */
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include <jansson.h>

#include "core/rng.h"
#include "server/log.h"
#include "tests/support/check.h"

enum { MAX_LINES = 8192 };

/* What was logged since begin_capture(), parsed. */
static json_t *lines[MAX_LINES];
static size_t n_lines;
static int real_stderr = -1;

static void redirect(int fd)
{
    real_stderr = dup(STDERR_FILENO);
    assert_true(real_stderr >= 0 && fd >= 0 && dup2(fd, STDERR_FILENO) >= 0);
    (void)close(fd);
}

static void restore_stderr(void)
{
    (void)dup2(real_stderr, STDERR_FILENO);
    (void)close(real_stderr);
    real_stderr = -1;
}

static void begin_capture(void)
{
    redirect(open(own_path("log"), O_RDWR | O_CREAT | O_TRUNC, 0600));
}

static void end_capture(void)
{
    static char line[4 * LOG_LINE_BYTES];
    FILE *fp;

    restore_stderr();
    fp = fopen(own_path("log"), "rb");
    assert_non_null(fp);
    while (fgets(line, sizeof line, fp) != NULL) {
        assert_in_range(strlen(line), 2, LOG_LINE_BYTES);
        assert_int_equal(line[strlen(line) - 1], '\n');
        lines[n_lines] = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        if (!json_is_object(lines[n_lines])) {
            fail_msg("no JSON object: %s", line);
        }
        n_lines++;
    }
    (void)fclose(fp);
}

static void drop_lines(void)
{
    while (n_lines > 0) {
        json_decref(lines[--n_lines]);
    }
}

static const char *text_of(size_t line, const char *name)
{
    assert_in_range(line + 1, 1, n_lines);
    return json_string_value(json_object_get(lines[line], name));
}

/* Warnings are bounded by the second: a test that counts them begins where one does, and where
 * another test's were told. */
static void await_second(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    now.tv_sec = 0;
    now.tv_nsec = 1000000000 - now.tv_nsec;
    now.tv_sec = now.tv_nsec == 1000000000;
    now.tv_nsec %= 1000000000;
    (void)nanosleep(&now, NULL);
}

static const struct log_request example = {
    .id = "id-1",
    .trace_id = "0af7651916cd43dd8448eb211c80319c",
    .parent_id = "b7ad6b7169203331",
    .client = "alice",
    .address = "192.0.2.1",
    .method = "PUT",
    .path = "/v1/devices/Near",
    .route = "/v1/devices/{device}",
    .detail = "a bound",
    .status = 201,
    .duration_us = 1234,
    .bytes = 5678,
};

/* ---- lines ----------------------------------------------------------------------------------- */

static void a_line_has_time_level_and_message(void **state)
{
    const char *stamp;
    (void)state;
    begin_capture();
    log_write(LOG_INFO, "%d of %s", 3, "them");
    log_write(LOG_ERROR, "100%%");
    end_capture();
    assert_int_equal(n_lines, 2);
    assert_int_equal(json_object_size(lines[0]), 3);
    assert_string_equal(text_of(0, "level"), "info");
    assert_string_equal(text_of(0, "message"), "3 of them");
    assert_string_equal(text_of(1, "level"), "error");
    assert_string_equal(text_of(1, "message"), "100%");
    stamp = text_of(0, "time");
    assert_int_equal(strlen(stamp), 24);
    assert_int_equal(stamp[10], 'T');
    assert_int_equal(stamp[23], 'Z');
    drop_lines();
}

static void only_what_is_severe_enough_is_written(void **state)
{
    static const size_t n_expected[] = {
        [LOG_ERROR] = 1, [LOG_WARNING] = 2, [LOG_INFO] = 3, [LOG_DEBUG] = 4};
    (void)state;
    for (int least = LOG_ERROR; least <= LOG_DEBUG; least++) {
        begin_capture();
        log_set_level((enum log_level)least);
        for (int level = LOG_ERROR; level <= LOG_DEBUG; level++) {
            assert_int_equal(log_is_on((enum log_level)level), level <= least);
            if (level % 2 == 0) {
                log_write((enum log_level)level, "x");
            } else {
                log_write_fields((enum log_level)level, "x", NULL, 0);
            }
        }
        log_set_level(LOG_INFO);
        end_capture();
        assert_int_equal(n_lines, n_expected[least]);
        drop_lines();
    }
}

static void fields_are_texts_and_numbers(void **state)
{
    const struct log_field fields[] = {
        {"who",   "alice", 0        },
        {"empty", "",      0        },
        {"n",     NULL,    INT64_MAX},
        {"zero",  NULL,    0        }
    };
    (void)state;
    begin_capture();
    log_write_fields(LOG_INFO, "m", fields, COUNT_OF(fields));
    end_capture();
    assert_int_equal(json_object_size(lines[0]), 6);
    assert_string_equal(text_of(0, "who"), "alice");
    assert_null(text_of(0, "empty"));
    assert_near_relative(json_number_value(json_object_get(lines[0], "n")), 9223372036854775807.0,
                         1e-15);
    assert_true(json_is_integer(json_object_get(lines[0], "zero")));
    drop_lines();
}

/* Any bytes in any text give one line of JSON that is not too long. */
static void whatever_clients_send_is_one_line_within_its_bound(void **state)
{
    struct rng rng;
    (void)state;
    rng_init(&rng, 1);
    begin_capture();
    for (size_t round = 0; round < 2000; round++) {
        static char texts[10][3000];
        struct log_field fields[12];
        size_t longest = round % 2 == 0 ? 2999 : 200;
        uint64_t kind = rng_below(&rng, 3);
        for (size_t i = 0; i < 10; i++) {
            size_t length = rng_below(&rng, longest);
            for (size_t c = 0; c < length; c++) {
                texts[i][c] = (char)(kind == 0   ? 1 + rng_below(&rng, 255)
                                     : kind == 1 ? 1 + rng_below(&rng, 31)
                                                 : 'a');
            }
            texts[i][length] = '\0';
            fields[i] = (struct log_field){i == 3 ? "path" : "field", texts[i], 0};
        }
        fields[10] = (struct log_field){"number", NULL, INT64_MAX};
        fields[11] = (struct log_field){"number", NULL, INT64_MAX};
        for (size_t i = 0; i < 12; i++) { /* names once each */
            static const char *const names[] = {"a", "b", "c", "path", "e", "f",
                                                "g", "h", "i", "j",    "k", "l"};
            fields[i].name = names[i];
        }
        log_write_fields(LOG_INFO, texts[9], fields, 12);
    }
    end_capture();
    assert_int_equal(n_lines, 2000);
    drop_lines();
}

static void long_texts_are_cut_between_characters(void **state)
{
    char text[1000];
    struct log_field field = {"field", text, 0};
    (void)state;
    begin_capture();
    for (size_t offset = 0; offset < 3; offset++) { /* two bytes a character */
        size_t length = 0;
        for (size_t i = 0; i < offset; i++) {
            text[length++] = 'x';
        }
        for (size_t i = 0; i < 300; i++) {
            text[length++] = '\xc3';
            text[length++] = '\xa9';
        }
        text[length] = '\0';
        log_write_fields(LOG_INFO, "m", &field, 1);
    }
    memset(text, 'y', 141);
    text[140] = '\0';
    log_write_fields(LOG_INFO, "m", &field, 1); /* what just fits is not cut */
    text[140] = 'y';
    text[141] = '\0';
    log_write_fields(LOG_INFO, "m", &field, 1);
    end_capture();
    for (size_t i = 0; i < 3; i++) {
        const char *cut = text_of(i, "field");
        size_t length = strlen(cut);
        assert_in_range(length, 137, 140);
        assert_string_equal(cut + length - 3, "...");
        assert_null(strstr(cut, "\xef\xbf\xbd"));
    }
    assert_int_equal(strlen(text_of(3, "field")), 140);
    assert_null(strstr(text_of(3, "field"), "."));
    assert_int_equal(strlen(text_of(4, "field")), 140);
    assert_non_null(strstr(text_of(4, "field"), "y..."));
    drop_lines();
}

static void newlines_and_quotes_cannot_forge_a_line(void **state)
{
    struct log_field field = {"path", "/x\"}\n{\"level\":\"info\",\"message\":\"forged\xff\"}", 0};
    (void)state;
    begin_capture();
    log_write_fields(LOG_INFO, "a\nb", &field, 1);
    end_capture();
    assert_int_equal(n_lines, 1);
    assert_string_equal(text_of(0, "message"), "a\nb");
    assert_string_equal(text_of(0, "path"),
                        "/x\"}\n{\"level\":\"info\",\"message\":\"forged\xef\xbf\xbd\"}");
    drop_lines();
}

/* ---- requests -------------------------------------------------------------------------------- */

static void a_request_is_told_with_its_fields(void **state)
{
    (void)state;
    log_set_level(LOG_DEBUG);
    begin_capture();
    log_request(&example);
    end_capture();
    log_set_level(LOG_INFO);
    assert_int_equal(json_object_size(lines[0]), 15);
    assert_string_equal(text_of(0, "level"), "debug");
    assert_string_equal(text_of(0, "detail"), "a bound");
    assert_string_equal(text_of(0, "request_id"), "id-1");
    assert_string_equal(text_of(0, "trace_id"), "0af7651916cd43dd8448eb211c80319c");
    assert_string_equal(text_of(0, "parent_id"), "b7ad6b7169203331");
    assert_string_equal(text_of(0, "client"), "alice");
    assert_string_equal(text_of(0, "address"), "192.0.2.1");
    assert_string_equal(text_of(0, "method"), "PUT");
    assert_string_equal(text_of(0, "path"), "/v1/devices/Near");
    assert_string_equal(text_of(0, "route"), "/v1/devices/{device}");
    assert_int_equal(json_integer_value(json_object_get(lines[0], "status")), 201);
    assert_int_equal(json_integer_value(json_object_get(lines[0], "duration_us")), 1234);
    assert_int_equal(json_integer_value(json_object_get(lines[0], "bytes")), 5678);
    drop_lines();
}

static void which_requests_are_told_depends_on_the_level(void **state)
{
    static const struct {
        unsigned status;
        bool is_operator;
        enum log_level quietest; /* level at which it is logged still */
        const char *level;
    } rows[] = {
        {200, false, LOG_DEBUG,   "debug"  },
        {404, false, LOG_DEBUG,   "debug"  },
        {499, false, LOG_DEBUG,   "debug"  },
        {500, false, LOG_WARNING, "warning"},
        {503, false, LOG_WARNING, "warning"},
        {200, true,  LOG_ERROR,   "info"   },
        {403, true,  LOG_ERROR,   "info"   },
        {503, true,  LOG_ERROR,   "warning"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        for (int level = LOG_ERROR; level <= LOG_DEBUG; level++) {
            struct log_request request = example;
            bool is_expected = level >= (int)rows[i].quietest;
            request.status = rows[i].status;
            request.is_operator = rows[i].is_operator;
            log_set_level((enum log_level)level);
            assert_int_equal(log_request_is_on(request.status, request.is_operator), is_expected);
            begin_capture();
            log_request(&request);
            end_capture();
            assert_int_equal(n_lines, is_expected ? 1 : 0);
            if (is_expected) {
                assert_string_equal(text_of(0, "level"), rows[i].level);
                assert_int_equal(json_is_true(json_object_get(lines[0], "audit")),
                                 rows[i].is_operator);
            }
            drop_lines();
        }
    }
    log_set_level(LOG_INFO);
}

/* ---- what does not go through ---------------------------------------------------------------- */

static uint64_t told_as_lost(void)
{
    uint64_t n = 0;

    for (size_t i = 0; i < n_lines; i++) {
        if (strstr(text_of(i, "message"), "lines were left out") != NULL) {
            n += strtoull(text_of(i, "message"), NULL, 10);
        }
    }
    return n;
}

static void a_flood_of_warnings_is_bounded_and_told(void **state)
{
    uint64_t before = log_n_lost();
    uint64_t n_lost;
    (void)state;
    await_second();
    begin_capture();
    for (size_t i = 0; i < 1000; i++) {
        log_write(LOG_WARNING, "flood");
    }
    n_lost = log_n_lost() - before;
    log_write(LOG_INFO, "after");
    end_capture();
    /* even were each second's bound used up while the loop runs for some seconds */
    assert_in_range(n_lost, 100, 1000 - LOG_WARNINGS_A_SECOND);
    assert_int_equal(told_as_lost(), n_lost);
    assert_string_equal(text_of(n_lines - 1, "message"), "after");
    drop_lines();
    await_second();
}

static void refused_operations_are_bounded_too(void **state)
{
    struct log_request refused = example;
    uint64_t before = log_n_lost();
    (void)state;
    refused.is_operator = true;
    refused.status = 401; /* a stranger who tries tokens */
    await_second();
    begin_capture();
    for (size_t i = 0; i < 1000; i++) {
        log_request(&refused);
    }
    assert_in_range(log_n_lost() - before, 100, 1000 - LOG_WARNINGS_A_SECOND);
    log_write(LOG_INFO, "after");
    end_capture();
    assert_true(json_is_true(json_object_get(lines[0], "audit")));
    assert_string_equal(text_of(0, "message"), "an operator's request was refused");
    assert_int_equal(told_as_lost(), log_n_lost() - before);
    drop_lines();
    await_second();
}

static void other_levels_and_operators_are_not_bounded_so(void **state)
{
    struct log_request done = example;
    uint64_t before = log_n_lost();
    (void)state;
    done.is_operator = true;
    begin_capture();
    for (size_t i = 0; i < 500; i++) {
        log_request(&done);
        log_write(LOG_INFO, "x");
        log_write(LOG_ERROR, "x");
    }
    end_capture();
    assert_int_equal(n_lines, 1500);
    assert_int_equal(log_n_lost(), before);
    drop_lines();
}

/* A pipe that nobody reads: nothing waits, and what was lost is told once there is room. */
static void a_full_pipe_holds_nobody_up(void **state)
{
    static char piece[65536];
    uint64_t before = log_n_lost();
    uint64_t n_lost;
    char message[80];
    size_t n_read = 0;
    ssize_t got;
    int ends[2];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    redirect(ends[1]);
    for (size_t i = 0; i < 20000; i++) {
        log_write(LOG_INFO, "a line of some length, so that the pipe is full soon: %zu", i);
    }
    n_lost = log_n_lost() - before;
    while ((got = read(ends[0], piece, sizeof piece)) > 0) {
        n_read += (size_t)got;
    }
    log_write(LOG_INFO, "after");
    restore_stderr();
    assert_in_range(n_lost, 1, 19999);
    assert_true(n_read > 0);
    got = read(ends[0], piece, sizeof piece - 1);
    assert_true(got > 0);
    piece[got] = '\0';
    (void)snprintf(message, sizeof message, "\"%llu lines were left out of this log\"",
                   (unsigned long long)n_lost);
    assert_contains(piece, message);
    assert_contains(piece, "\"after\"");
    (void)close(ends[0]);
}

static void a_closed_log_is_survived(void **state)
{
    uint64_t before = log_n_lost();
    int ends[2];
    (void)state;
    (void)signal(SIGPIPE, SIG_IGN);
    assert_int_equal(pipe(ends), 0);
    (void)close(ends[0]);
    redirect(ends[1]);
    log_write(LOG_INFO, "nobody is there");
    (void)close(STDERR_FILENO);
    log_write(LOG_INFO, "nothing is there");
    restore_stderr();
    (void)signal(SIGPIPE, SIG_DFL);
    assert_int_equal(log_n_lost(), before + 2);
    begin_capture(); /* so that no other test is told */
    log_write(LOG_INFO, "x");
    end_capture();
    assert_int_equal(told_as_lost(), 2);
    drop_lines();
}

static void without_memory_a_line_is_left_out(void **state)
{
    uint64_t before = log_n_lost();
    (void)state;
    begin_capture();
    mem_fail_after(1, 1);
    log_write(LOG_ERROR, "x");
    mem_fail_after(0, 0);
    log_write(LOG_ERROR, "y");
    end_capture();
    assert_int_equal(log_n_lost(), before + 1);
    assert_int_equal(n_lines, 2);
    assert_int_equal(told_as_lost(), 1);
    drop_lines();
}

enum { N_THREADS = 4, N_EACH = 500 };

static void *write_many(void *name)
{
    struct log_field field = {"thread", name, 0};

    for (size_t i = 0; i < N_EACH; i++) {
        log_write_fields(LOG_INFO, "a message that is written whole", &field, 1);
    }
    return NULL;
}

static void lines_of_threads_are_not_mixed(void **state)
{
    static char names[N_THREADS][200];
    pthread_t threads[N_THREADS];
    (void)state;
    begin_capture();
    for (size_t t = 0; t < N_THREADS; t++) {
        memset(names[t], (int)('a' + t), 120);
        assert_int_equal(pthread_create(&threads[t], NULL, write_many, names[t]), 0);
    }
    for (size_t t = 0; t < N_THREADS; t++) {
        assert_int_equal(pthread_join(threads[t], NULL), 0);
    }
    end_capture();
    assert_int_equal(n_lines, N_THREADS * N_EACH);
    for (size_t i = 0; i < n_lines; i++) {
        const char *name = text_of(i, "thread");
        assert_string_equal(name, names[name[0] - 'a']);
    }
    drop_lines();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        directory_test(a_line_has_time_level_and_message),
        directory_test(only_what_is_severe_enough_is_written),
        directory_test(fields_are_texts_and_numbers),
        directory_test(whatever_clients_send_is_one_line_within_its_bound),
        directory_test(long_texts_are_cut_between_characters),
        directory_test(newlines_and_quotes_cannot_forge_a_line),
        directory_test(a_request_is_told_with_its_fields),
        directory_test(which_requests_are_told_depends_on_the_level),
        directory_test(a_flood_of_warnings_is_bounded_and_told),
        directory_test(refused_operations_are_bounded_too),
        directory_test(other_levels_and_operators_are_not_bounded_so),
        directory_test(a_full_pipe_holds_nobody_up),
        directory_test(a_closed_log_is_survived),
        directory_test(without_memory_a_line_is_left_out),
        directory_test(lines_of_threads_are_not_mixed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
