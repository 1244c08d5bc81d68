/* proto/job_history.h: what is kept of a job's course. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "proto/job_history.h"
#include "tests/support/check.h"

static struct job_progress epoch(size_t step)
{
    return (struct job_progress){
        .stage = "training", .epoch = step, .n_epochs = 1000000, .loss = 1.0 / (double)step};
}

static struct job_progress generation(size_t step, double accuracy, double latency_ms)
{
    return (struct job_progress){.generation = step,
                                 .n_generations = 1000,
                                 .accuracy = accuracy,
                                 .latency_ms = latency_ms,
                                 .loss = NAN};
}

static void add(struct job_history *history, struct job_progress progress)
{
    if (job_history_is_due(history, &progress)) {
        job_history_add(history, &progress);
    }
}

/* What is kept are steps of one stride, from the first on, as many as half of what may be. */
static void check_even(const struct job_history *history, size_t n_steps)
{
    assert_in_range(history->n, 1, JOB_HISTORY_MAX - 1);
    assert_in_range(n_steps, 1 + (history->n - 1) * history->stride, history->n * history->stride);
    for (size_t i = 0; i < history->n; i++) {
        assert_int_equal(history->points[i].step, 1 + i * history->stride);
        assert_near_relative(history->points[i].loss, 1.0 / (double)history->points[i].step, 1e-6);
    }
}

static void a_curve_is_thinned_evenly_however_long_it_is(void **state)
{
    struct job_history history = {0};

    (void)state;
    for (size_t step = 1; step <= 100000; step++) {
        const struct job_progress now = epoch(step);
        add(&history, now);
        assert_false(job_history_is_due(&history, &now)); /* told again it gives nothing new */
        if (step < 300 || step % 1000 == 0) {
            check_even(&history, step);
        }
    }
    assert_int_equal(history.stride, 512);
}

static void a_run_that_goes_on_from_before_takes_back_what_came_after(void **state)
{
    struct job_history history = {0};

    (void)state;
    for (size_t step = 1; step <= 50; step++) {
        add(&history, epoch(step));
    }
    add(&history, epoch(31)); /* from a checkpoint */
    check_even(&history, 31);
    for (size_t step = 32; step <= 1000; step++) {
        add(&history, epoch(step));
    }
    assert_int_equal(history.stride, 8);
    for (size_t step = 500; step <= 600; step++) { /* lies between two points */
        add(&history, epoch(step));
    }
    check_even(&history, 600);
    add(&history, epoch(1)); /* from the beginning */
    check_even(&history, 1);
    add(&history, generation(7, 70, 2)); /* something else altogether */
    assert_int_equal(history.n, 1);
    assert_false(history.is_of_epochs);
}

static void what_tells_of_no_step_is_passed_over(void **state)
{
    const struct job_progress nothing[] = {
        {.stage = "loading", .loss = NAN },
        {               .stage = "training",       .epoch = 3,      .n_epochs = 9, .loss = NAN},
        {               .stage = "training",       .epoch = 3, .n_epochs = 9, .loss = INFINITY},
        {               .stage = "training",       .epoch = 0,        .n_epochs = 9, .loss = 1},
        {               .stage = "validating",     .epoch = 3,        .n_epochs = 9, .loss = 1},
        {               .epoch = 3,                .n_epochs = 9,                     .loss = 1},
        { .generation = 2, .n_generations = 9,                   .accuracy = 0, .loss = NAN}, /* no network yet */
    };
    struct job_history history = {0};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(nothing); i++) {
        assert_false(job_progress_has_step(&nothing[i]));
        assert_false(job_history_is_due(&history, &nothing[i]));
        job_history_add(&history, &nothing[i]);
    }
    assert_true(job_history_is_empty(&history));
}

static void a_front_is_kept_as_it_was_told_last(void **state)
{
    struct job_history history = {0};
    struct job_front front = {.n_changes = 4, .n = 1, .accuracy = {70}, .latency_ms = {2}};
    struct job_progress now = {.stage = "predicting", .loss = NAN, .front = &front};

    (void)state;
    add(&history, now);
    assert_false(job_history_is_due(&history, &now));
    front = (struct job_front){
        .n_changes = 5, .n = 2, .accuracy = {69,  71  },
                .latency_ms = {1.5, 2.25}
    };
    assert_true(job_history_is_due(&history, &now));
    add(&history, now);
    now.front = NULL; /* as it was */
    assert_false(job_history_is_due(&history, &now));
    assert_int_equal(history.front.n, 2);
    assert_false(job_history_is_empty(&history));
}

static void check_written(const struct job_history *history, const struct job_progress *last,
                          const char *expected)
{
    struct text text = {0};

    msg_job_put_history(history, last, &text);
    assert_string_equal(text.bytes, expected);
    text_close(&text);
}

static void it_is_written_with_where_it_is_now(void **state)
{
    struct job_history training = {0}, search = {0}, none = {0};
    struct job_front front = {
        .n_changes = 1, .n = 2, .accuracy = {69,  71.5},
                .latency_ms = {1.5, 2.25}
    };
    struct job_progress now = epoch(5);

    (void)state;
    check_written(&none, &now, "{\"stride\":1,\"points\":[],\"front\":[]}");
    add(&training, epoch(1));
    add(&training, epoch(2));
    check_written(&training, NULL,
                  "{\"stride\":1,\"points\":[{\"epoch\":1,\"loss\":1},{\"epoch\":2,\"loss\":0.5}],"
                  "\"front\":[]}");
    check_written(&training, &now,
                  "{\"stride\":1,\"points\":[{\"epoch\":1,\"loss\":1},{\"epoch\":2,\"loss\":0.5},"
                  "{\"epoch\":5,\"loss\":0.2}],\"front\":[]}");
    now = (struct job_progress){.stage = "writing", .loss = NAN}; /* of another kind */
    add(&search, generation(1, 68.25, NAN));
    add(&search, generation(2, 70, 3.5));
    now.front = &front;
    add(&search, now);
    check_written(&search, &now,
                  "{\"stride\":1,\"points\":[{\"generation\":1,\"accuracy\":68.25},"
                  "{\"generation\":2,\"accuracy\":70,\"latency_ms\":3.5}],"
                  "\"front\":[{\"latency_ms\":1.5,\"accuracy\":69},"
                  "{\"latency_ms\":2.25,\"accuracy\":71.5}]}");
}

static void a_curve_that_was_written_is_read_and_goes_on(void **state)
{
    static struct job_history history, again;
    struct text text = {0};
    struct job_progress last;

    (void)state;
    for (size_t step = 1; step <= 1593; step++) { /* 199 points of stride 8, then one more */
        add(&history, epoch(step));
    }
    last = epoch(1594);
    msg_job_put_history(&history, &last, &text);
    assert_int_equal(msg_job_read_history(text.bytes, text.size, &again, NULL), ERR_OK);
    assert_int_equal(again.stride, history.stride);
    assert_true(again.is_of_epochs);
    assert_int_equal(again.n, history.n); /* where it was is no point of the curve */
    for (size_t i = 0; i < history.n; i++) {
        assert_int_equal(again.points[i].step, history.points[i].step);
        assert_near(again.points[i].loss, history.points[i].loss, 1e-6);
        assert_true(isnan(again.points[i].accuracy));
    }
    for (size_t step = 1595; step <= 5000; step++) {
        add(&again, epoch(step));
    }
    check_even(&again, 5000);
    text_close(&text);
}

static void what_is_no_history_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"stride\":1}",
        "{\"stride\":0,\"points\":[]}",
        "{\"stride\":1,\"points\":{}}",
        "{\"stride\":1,\"points\":[1]}",
        "{\"stride\":1,\"points\":[{\"loss\":1}]}",
        "{\"stride\":1,\"points\":[{\"epoch\":0}]}",
        "{\"stride\":1,\"points\":[{\"epoch\":\"1\"}]}",
        "{\"stride\":1,\"points\":[{\"epoch\":2},{\"epoch\":2}]}",
        "{\"stride\":1,\"points\":[{\"epoch\":2},{\"generation\":3}]}",
    };
    static struct job_history history;
    struct text text = {0};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_not_equal(msg_job_read_history(bad[i], strlen(bad[i]), &history, NULL), ERR_OK);
        assert_true(job_history_is_empty(&history));
    }
    text_puts(&text, "{\"stride\":1,\"points\":[{\"epoch\":1}");
    for (int i = 2; i <= JOB_HISTORY_MAX + 1; i++) { /* one too many */
        text_printf(&text, ",{\"epoch\":%d}", i);
    }
    text_puts(&text, "]}");
    assert_int_equal(msg_job_read_history(text.bytes, text.size, &history, NULL), ERR_INVALID);
    text_close(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(a_curve_is_thinned_evenly_however_long_it_is),
        counted_test(a_run_that_goes_on_from_before_takes_back_what_came_after),
        counted_test(what_tells_of_no_step_is_passed_over),
        counted_test(a_front_is_kept_as_it_was_told_last),
        counted_test(it_is_written_with_where_it_is_now),
        counted_test(a_curve_that_was_written_is_read_and_goes_on),
        counted_test(what_is_no_history_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
