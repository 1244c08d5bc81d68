/* server/notify.h: datagrams to a supervisor. */
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "server/notify.h"
#include "tests/support/check.h"

/* A socket such as a supervisor has; `name` as in $NOTIFY_SOCKET, which is set to it. */
static int listen_at(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(name);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0 && length < sizeof address.sun_path);
    memcpy(address.sun_path, name, length);
    if (name[0] == '@') {
        address.sun_path[0] = '\0';
    }
    assert_int_equal(bind(fd, (struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)),
                     0);
    assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
    return fd;
}

static const char *receive(int fd)
{
    static char message[1024];
    ssize_t size = recv(fd, message, sizeof message - 1, 0);

    message[size > 0 ? size : 0] = '\0';
    return message;
}

static void messages_reach_a_socket_in_the_file_system(void **state)
{
    int fd = listen_at(own_path("notify"));
    (void)state;
    notify_ready("serving nasbench201");
    assert_string_equal(receive(fd), "READY=1\nSTATUS=serving nasbench201");
    notify_stopping("done soon", 20500);
    assert_string_equal(receive(fd), "STOPPING=1\nEXTEND_TIMEOUT_USEC=20500000\nSTATUS=done soon");
    notify_watchdog();
    assert_string_equal(receive(fd), "WATCHDOG=1");
    assert_true(notify_send("X_OWN=1", 0));
    assert_string_equal(receive(fd), "X_OWN=1");
    assert_string_equal(receive(fd), "");
    (void)close(fd);
}

static void messages_reach_an_abstract_socket(void **state)
{
    char name[64];
    int fd;
    (void)state;
    (void)snprintf(name, sizeof name, "@dgld-test-%ld", (long)getpid());
    fd = listen_at(name);
    assert_true(notify_send("READY=1", 0));
    assert_string_equal(receive(fd), "READY=1");
    (void)close(fd);
    assert_false(notify_send("READY=1", 0));
}

static unsigned long long microseconds(const struct timespec *time)
{
    return (unsigned long long)time->tv_sec * 1000000 + (unsigned long long)time->tv_nsec / 1000;
}

static void a_reload_tells_its_time(void **state)
{
    int fd = listen_at(own_path("notify"));
    const char *message;
    struct timespec before;
    struct timespec after;
    unsigned long long us = 0;
    (void)state;
    (void)clock_gettime(CLOCK_MONOTONIC, &before);
    notify_reloading();
    (void)clock_gettime(CLOCK_MONOTONIC, &after);
    message = receive(fd);
    assert_memory_equal(message, "RELOADING=1\nMONOTONIC_USEC=", 27);
    us = strtoull(message + 27, NULL, 10);
    assert_in_range(us, microseconds(&before), microseconds(&after));
    (void)close(fd);
}

static void without_a_socket_nothing_is_sent(void **state)
{
    static const char *const names[] = {
        "", "/", "@", "relative", "/nonexistent/socket", "vsock:2:1234"};
    char too_long[300];
    (void)state;
    (void)unsetenv("NOTIFY_SOCKET");
    assert_false(notify_send("READY=1", 0));
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        assert_int_equal(setenv("NOTIFY_SOCKET", names[i], 1), 0);
        assert_false(notify_send("READY=1", 0));
    }
    memset(too_long, 'x', sizeof too_long);
    too_long[0] = '/';
    too_long[sizeof too_long - 1] = '\0';
    assert_int_equal(setenv("NOTIFY_SOCKET", too_long, 1), 0);
    assert_false(notify_send("READY=1", 0));
}

/* Fills the queue of a supervisor that does not read; returns how many messages that took. */
static size_t fill_queue(void)
{
    size_t n_sent = 0;

    while (n_sent < 100000 && notify_send("WATCHDOG=1", 0)) {
        n_sent++;
    }
    assert_in_range(n_sent, 1, 99999);
    return n_sent;
}

static void a_supervisor_that_does_not_read_holds_nobody_up(void **state)
{
    int fd = listen_at(own_path("notify"));
    (void)state;
    (void)fill_queue();
    assert_false(notify_send("READY=1", 10));
    notify_main_pid(12, "serving"); /* the test's end says that it does not wait for ever */
    (void)close(fd);
}

static void *tell_main_pid(void *unused)
{
    (void)unused;
    notify_main_pid(12, "serving");
    return NULL;
}

static void what_is_told_once_waits_for_a_supervisor_that_is_behind(void **state)
{
    int fd = listen_at(own_path("notify"));
    const struct timespec until_it_waits = {.tv_nsec = 50 * 1000 * 1000};
    size_t n_queued = fill_queue();
    pthread_t teller;
    (void)state;
    assert_int_equal(pthread_create(&teller, NULL, tell_main_pid, NULL), 0);
    (void)nanosleep(&until_it_waits, NULL);
    for (size_t i = 0; i < n_queued; i++) {
        assert_string_equal(receive(fd), "WATCHDOG=1");
    }
    assert_int_equal(pthread_join(teller, NULL), 0);
    assert_string_equal(receive(fd), "MAINPID=12\nREADY=1\nSTATUS=serving");
    (void)close(fd);
}

static void a_long_status_is_cut(void **state)
{
    int fd = listen_at(own_path("notify"));
    char status[2000];
    (void)state;
    memset(status, 'x', sizeof status);
    status[sizeof status - 1] = '\0';
    notify_ready(status);
    assert_int_equal(strlen(receive(fd)), 511);
    (void)close(fd);
}

static uint64_t period(const char *timeout_us, const char *pid)
{
    (void)unsetenv("WATCHDOG_USEC");
    (void)unsetenv("WATCHDOG_PID");
    if (timeout_us != NULL) {
        assert_int_equal(setenv("WATCHDOG_USEC", timeout_us, 1), 0);
    }
    if (pid != NULL) {
        assert_int_equal(setenv("WATCHDOG_PID", pid, 1), 0);
    }
    return notify_watchdog_period_ms();
}

static void the_watchdog_is_fed_twice_a_period(void **state)
{
    char own[24];
    (void)state;
    (void)snprintf(own, sizeof own, "%ld", (long)getpid());
    assert_int_equal(period("30000000", NULL), 15000);
    assert_int_equal(period("30000000", own), 15000);
    assert_int_equal(period("1", NULL), 1);
    assert_int_equal(period("30000000", "1"), 0); /* another process's */
    assert_int_equal(period("30000000", ""), 0);
    assert_int_equal(period(NULL, NULL), 0);
    assert_int_equal(period("", NULL), 0);
    assert_int_equal(period("0", NULL), 0);
    assert_int_equal(period("-5", NULL), 0);
    assert_int_equal(period("5s", NULL), 0);
    assert_int_equal(period("99999999999999999999999", NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        directory_test(messages_reach_a_socket_in_the_file_system),
        counted_test(messages_reach_an_abstract_socket),
        directory_test(a_reload_tells_its_time),
        counted_test(without_a_socket_nothing_is_sent),
        directory_test(a_supervisor_that_does_not_read_holds_nobody_up),
        directory_test(what_is_told_once_waits_for_a_supervisor_that_is_behind),
        directory_test(a_long_status_is_cut),
        counted_test(the_watchdog_is_fed_twice_a_period),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
