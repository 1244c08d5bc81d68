/* server/process.h: figures of this process. */
#include <fcntl.h>
#include <sys/resource.h>
#include <time.h>

#include "server/process.h"
#include "tests/support/check.h"

static void figures_are_those_of_this_process(void **state)
{
    struct process_figures figures;
    struct rlimit limit;
    double first;
    (void)state;
    assert_true(process_read(&figures));
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(figures.max_fds, limit.rlim_cur);
    assert_in_range(figures.resident_bytes, 100000, figures.virtual_bytes);
    assert_in_range(figures.n_threads, 1, 1000);
    /* it began before now, and no longer ago than a test may take */
    assert_near(figures.start_time_s, (double)time(NULL), 600);
    assert_at_most(figures.start_time_s, (double)time(NULL) + 1);
    first = figures.start_time_s;
    assert_true(process_read(&figures));
    assert_near(figures.start_time_s, first, 0); /* who compares two scrapes sees no restart */
}

static void open_descriptors_are_counted(void **state)
{
    struct process_figures before;
    struct process_figures after;
    int fds[7];
    (void)state;
    assert_true(process_read(&before));
    for (size_t i = 0; i < COUNT_OF(fds); i++) {
        fds[i] = open("/dev/null", O_RDONLY);
        assert_true(fds[i] >= 0);
    }
    assert_true(process_read(&after));
    assert_int_equal(after.n_open_fds, before.n_open_fds + COUNT_OF(fds));
    for (size_t i = 0; i < COUNT_OF(fds); i++) {
        (void)close(fds[i]);
    }
    assert_true(process_read(&after));
    assert_int_equal(after.n_open_fds, before.n_open_fds);
}

static void work_and_memory_show(void **state)
{
    enum { BYTES = 64 << 20 };
    struct process_figures before;
    struct process_figures after;
    char *block;
    volatile unsigned char sum = 0;
    (void)state;
    assert_true(process_read(&before));
    block = malloc(BYTES);
    assert_non_null(block);
    for (size_t round = 0; round < 3; round++) {
        for (size_t i = 0; i < BYTES; i += 512) {
            block[i] = (char)(i + round);
            sum = (unsigned char)(sum + block[i]);
        }
    }
    assert_true(process_read(&after));
    free(block);
    assert_true(after.cpu_s > before.cpu_s);
    assert_in_range(after.resident_bytes, before.resident_bytes + BYTES / 10 * 9, SIZE_MAX);
    assert_in_range(after.virtual_bytes, before.virtual_bytes + BYTES / 10 * 9, SIZE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(figures_are_those_of_this_process),
        counted_test(open_descriptors_are_counted),
        counted_test(work_and_memory_show),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
