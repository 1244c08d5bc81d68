#define _GNU_SOURCE /* CLOCK_BOOTTIME */ // NOLINT(bugprone-reserved-identifier)
#include "server/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Reads a file from its beginning, as much as `size` holds, and terminates it. */
static bool read_start(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got;

    if (fd < 0) {
        return false;
    }
    got = read(fd, out, size - 1);
    (void)close(fd);
    out[got > 0 ? got : 0] = '\0';
    return got > 0;
}

static double seconds(const struct timespec *time)
{
    return (double)time->tv_sec + 1e-9 * (double)time->tv_nsec;
}

/* Fields of proc(5)'s stat, numbered as there; the second is a name that may hold anything, so they
 * are counted from its closing parenthesis. */
enum { FIRST_AFTER_NAME = 3, N_THREADS = 20, START_TICKS = 22, VIRTUAL_BYTES = 23, PAGES = 24 };

static bool read_stat(uint64_t fields[PAGES + 1])
{
    char text[1024];
    char *at;

    if (!read_start("/proc/self/stat", text, sizeof text) || (at = strrchr(text, ')')) == NULL) {
        return false;
    }
    at++;
    for (size_t i = FIRST_AFTER_NAME; i <= PAGES; i++) {
        at += strspn(at, " ");
        fields[i] = strtoull(at, NULL, 10); /* the state, a letter, gives 0 */
        at += strcspn(at, " ");
    }
    return fields[N_THREADS] > 0;
}

/* When a process started that did so `ticks` after the system: the clock less what has passed since
 * then. Found once, since it would waver with the clock. /proc/uptime tells the same, but not to a
 * service that may see of /proc only what is of processes. */
static double find_start_time_s(uint64_t ticks)
{
    static _Atomic double found;
    double start = atomic_load(&found);
    struct timespec now, uptime;

    if (start == 0 && clock_gettime(CLOCK_BOOTTIME, &uptime) == 0) {
        double expected = 0;
        (void)clock_gettime(CLOCK_REALTIME, &now);
        start = seconds(&now) - seconds(&uptime) + (double)ticks / (double)sysconf(_SC_CLK_TCK);
        if (!atomic_compare_exchange_strong(&found, &expected, start)) {
            start = expected; /* another thread was first */
        }
    }
    return start;
}

/* Newer kernels tell the number of descriptors as the directory's size; else it is counted. */
static uint64_t count_fds(void)
{
    struct stat st;
    uint64_t n = 0;
    DIR *dir;

    if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0) {
        return (uint64_t)st.st_size;
    }
    dir = opendir("/proc/self/fd");
    for (const struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        n += entry->d_name[0] != '.';
    }
    if (dir != NULL) {
        (void)closedir(dir);
        n--; /* its own */
    }
    return n;
}

bool process_read(struct process_figures *out)
{
    uint64_t fields[PAGES + 1] = {0};
    struct rlimit limit = {0};
    struct timespec cpu = {0};

    memset(out, 0, sizeof *out);
    if (!read_stat(fields)) {
        return false;
    }
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu); /* finer than the ticks in stat */
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    out->cpu_s = seconds(&cpu);
    out->start_time_s = find_start_time_s(fields[START_TICKS]);
    out->n_threads = fields[N_THREADS];
    out->virtual_bytes = fields[VIRTUAL_BYTES];
    out->resident_bytes = fields[PAGES] * (uint64_t)sysconf(_SC_PAGESIZE);
    out->n_open_fds = count_fds();
    out->max_fds = limit.rlim_cur;
    return true;
}
