/* What the system says about this process, from /proc/self. Thread-safe. */
#ifndef DGLD_SERVER_PROCESS_H
#define DGLD_SERVER_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

struct process_figures {
    double cpu_s;        /* user and system, of all threads */
    double start_time_s; /* since 1970 */
    uint64_t resident_bytes, virtual_bytes;
    uint64_t n_threads;
    uint64_t n_open_fds, max_fds;
};

/* False where /proc cannot be read; then the figures are zeroes. */
bool process_read(struct process_figures *out);

#endif
