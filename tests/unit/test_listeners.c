/* server/listeners.h: sockets of the settings, and of a supervisor. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "server/listeners.h"
#include "tests/support/check.h"

/* Whether what was open at 3 and above before the tests stays open is of no concern to a test
 * program: it puts sockets of its own there. */
enum { FIRST_FD = 3 };

static void place(int fd, int at)
{
    if (fd != at) {
        assert_int_equal(dup2(fd, at), at);
        (void)close(fd);
    }
}

/* A listening socket of loopback or of everywhere at descriptor `at`. */
static void listen_at(int at, uint32_t host)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(host)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 5), 0);
    place(fd, at);
}

static void listen_at_path(int at, const char *path, size_t length)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    memcpy(address.sun_path, path, length);
    assert_int_equal(bind(fd, (struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)),
                     0);
    assert_int_equal(listen(fd, 5), 0);
    place(fd, at);
}

/* `pid` NULL is this process's. */
static void hand_over(const char *pid, const char *fds, const char *names)
{
    char own[24];

    (void)snprintf(own, sizeof own, "%ld", (long)getpid());
    assert_int_equal(setenv("LISTEN_PID", pid != NULL ? pid : own, 1), 0);
    assert_int_equal(setenv("LISTEN_FDS", fds, 1), 0);
    assert_int_equal(setenv("LISTEN_FDNAMES", names, 1), 0);
}

static void assert_nothing_is_in_the_environment(void)
{
    assert_null(getenv("LISTEN_PID"));
    assert_null(getenv("LISTEN_FDS"));
    assert_null(getenv("LISTEN_FDNAMES"));
}

static void what_is_handed_over_is_taken_once(void **state)
{
    struct listeners listeners = {0};
    struct error err = {0};
    (void)state;
    listen_at(FIRST_FD, INADDR_LOOPBACK);
    listen_at(FIRST_FD + 1, INADDR_ANY);
    hand_over(NULL, "2", "a:b");
    assert_ok(listeners_inherit(&listeners, &err), &err);
    assert_int_equal(listeners.n, 2);
    assert_true(listeners.is_inherited);
    assert_true(listeners.items[0].is_local);
    assert_false(listeners.items[1].is_local);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(listeners.items[i].fd, FIRST_FD + i);
        assert_true(fcntl(FIRST_FD + i, F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(FIRST_FD + i, F_GETFD) & FD_CLOEXEC);
    }
    assert_nothing_is_in_the_environment();
    listeners_close(&listeners);
    assert_int_equal(fcntl(FIRST_FD, F_GETFD), -1);
    assert_ok(listeners_inherit(&listeners, &err), &err);
    assert_int_equal(listeners.n, 0);
}

static void what_is_for_others_is_left_alone(void **state)
{
    static const char *const others[] = {"1", "", "0", "-1", "x", "99999999999999999999"};
    struct error err = {0};
    char text[64];
    (void)state;
    listen_at(FIRST_FD, INADDR_LOOPBACK);
    for (size_t i = 0; i <= COUNT_OF(others); i++) {
        struct listeners listeners = {0};
        (void)snprintf(text, sizeof text, "%ldx", (long)getpid());
        hand_over(i < COUNT_OF(others) ? others[i] : text, "1", "a");
        assert_ok(listeners_inherit(&listeners, &err), &err);
        assert_int_equal(listeners.n, 0);
        assert_nothing_is_in_the_environment();
    }
    assert_true(fcntl(FIRST_FD, F_GETFD) >= 0);
    (void)close(FIRST_FD);
}

static void malformed_numbers_are_refused(void **state)
{
    static const char *const wrong[] = {"",   "0",  "-1", "33",
                                        "1x", " 1", "+1", "99999999999999999999"};
    struct error err = {0};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct listeners listeners = {0};
        hand_over(NULL, wrong[i], "a");
        assert_error(listeners_inherit(&listeners, &err), ERR_INVALID, &err,
                     "LISTEN_FDS must be a whole number from 1 to 32, not");
        assert_int_equal(listeners.n, 0);
        assert_nothing_is_in_the_environment();
    }
}

static void a_descriptor_that_is_no_listening_socket_is_named(void **state)
{
    static const struct {
        const char *names, *said;
    } rows[] = {
        {"a:web:c", "descriptor 4 (web) of LISTEN_FDS: it is not a listening stream socket"},
        {"",        "descriptor 4 of LISTEN_FDS: it is"                                    },
        {"a",       "descriptor 4 of LISTEN_FDS: it is"                                    },
        {"a:\x1b[", "descriptor 4 of LISTEN_FDS: it is"                                    },
        {"a:\xff",  "descriptor 4 of LISTEN_FDS: it is"                                    },
    };
    struct error err = {0};
    int fds[2];
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct listeners listeners = {0};
        listen_at(FIRST_FD, INADDR_LOOPBACK);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0); /* connected */
        place(fds[0], FIRST_FD + 1);
        hand_over(NULL, "2", rows[i].names);
        assert_error(listeners_inherit(&listeners, &err), ERR_INVALID, &err, rows[i].said);
        assert_int_equal(listeners.n, 0);
        (void)close(fds[1]);
        (void)close(FIRST_FD + 1); /* closed: neither */
        hand_over(NULL, "2", rows[i].names);
        assert_error(listeners_inherit(&listeners, &err), ERR_INVALID, &err, rows[i].said);
        (void)close(FIRST_FD);
    }
}

static void addresses_are_printed_without_what_does_harm(void **state)
{
    static const char hidden[] = "\0dgld-\n\xc3\xa9-test";
    struct listeners listeners = {0};
    struct error err = {0};
    const char *path = own_path("dgld.sock");
    char expected[LISTENERS_TEXT_BYTES];
    char text[LISTENERS_TEXT_BYTES];
    (void)state;
    listen_at_path(FIRST_FD, hidden, sizeof hidden - 1);
    listen_at_path(FIRST_FD + 1, path, strlen(path));
    hand_over(NULL, "2", "a:b");
    assert_ok(listeners_inherit(&listeners, &err), &err);
    listeners_print(&listeners, true, text);
    (void)snprintf(expected, sizeof expected, "unix:@dgld-\?\?\?-test, unix:%s", path);
    assert_string_equal(text, expected);
    assert_true(listeners.items[0].is_unix && listeners.items[0].is_local);
    listeners_close(&listeners);
}

static void many_addresses_are_cut(void **state)
{
    struct listeners listeners = {.n = LISTENERS_MAX};
    char text[LISTENERS_TEXT_BYTES + 1];
    (void)state;
    text[LISTENERS_TEXT_BYTES] = 'x';
    for (size_t i = 0; i < LISTENERS_MAX; i++) {
        (void)snprintf(listeners.items[i].address, LISTENER_ADDRESS_BYTES, "127.0.0.1:%zu", i);
    }
    listeners_print(&listeners, false, text);
    assert_int_equal(strlen(text), LISTENERS_TEXT_BYTES - 1);
    assert_int_equal(text[LISTENERS_TEXT_BYTES], 'x');
    assert_memory_equal(text, "http://127.0.0.1:0, http://127.0.0.1:1, ", 40);
}

static void sockets_off_loopback_need_leave(void **state)
{
    struct listeners listeners = {
        .n = 2, .items = {{.is_local = true, .address = "near"}, {.address = "far"}}
    };
    struct config config;
    struct error err = {0};
    (void)state;
    config_init(&config);
    assert_string_equal(listeners_exposed(&listeners, &config), "far");
    assert_error(listeners_check(&listeners, &config, &err), ERR_INVALID, &err,
                 "the supervisor hands over a socket at far, where anyone could call");
    (void)snprintf(config.tokens_file, sizeof config.tokens_file, "tokens");
    assert_ok(listeners_check(&listeners, &config, &err), &err);
    config.tokens_file[0] = '\0';
    config.insecure = true;
    assert_ok(listeners_check(&listeners, &config, &err), &err);
    config.insecure = false;
    listeners.n = 1;
    (void)snprintf(config.bind, sizeof config.bind, "0.0.0.0"); /* not looked at */
    assert_ok(listeners_check(&listeners, &config, &err), &err);
    assert_null(listeners_exposed(&listeners, &config));
    listeners.n = 0;
    assert_string_equal(listeners_exposed(&listeners, &config), "0.0.0.0");
}

static void the_address_of_the_settings_is_bound(void **state)
{
    struct listeners listeners = {0};
    struct listeners second = {0};
    struct config config;
    struct error err = {0};
    char text[LISTENERS_TEXT_BYTES];
    (void)state;
    config_init(&config);
    config.port = 0;
    assert_ok(listeners_bind(&config, &listeners, &err), &err);
    assert_int_equal(listeners.n, 1);
    assert_false(listeners.is_inherited);
    listeners_print(&listeners, false, text);
    assert_memory_equal(text, "http://127.0.0.1:", 17);
    config.port = strtol(text + 17, NULL, 10);
    assert_in_range(config.port, 1, 65535);
    assert_error(listeners_bind(&config, &second, &err), ERR_IO, &err,
                 "cannot listen on 127.0.0.1 port");
    (void)snprintf(config.bind, sizeof config.bind, "nowhere");
    assert_error(listeners_bind(&config, &second, &err), ERR_INVALID, &err,
                 "bind must be an IPv4 or IPv6 address, not \"nowhere\"");
    assert_int_equal(second.n, 0);
    listeners_close(&listeners);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(what_is_handed_over_is_taken_once),
        counted_test(what_is_for_others_is_left_alone),
        counted_test(malformed_numbers_are_refused),
        counted_test(a_descriptor_that_is_no_listening_socket_is_named),
        directory_test(addresses_are_printed_without_what_does_harm),
        counted_test(many_addresses_are_cut),
        counted_test(sockets_off_loopback_need_leave),
        counted_test(the_address_of_the_settings_is_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
