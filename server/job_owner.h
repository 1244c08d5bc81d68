/* Who runs jobs: a name for each process, and whether the process of a name still lives.
 *
 * Beside a store lies a file that stays empty. Each process that runs jobs of the store holds a
 * lock on one byte of it, at an offset drawn at random, and is named after that offset: the kernel
 * lets go of the lock when the process ends, however it ends. Thread-safe once opened. */
#ifndef DGLD_SERVER_JOB_OWNER_H
#define DGLD_SERVER_JOB_OWNER_H

#include <stdbool.h>

#include "core/error.h"

enum { JOB_OWNER_NAME_BYTES = 17 }; /* 16 hexadecimal digits */

struct job_owner {
    int fd; /* of the file */
    char name[JOB_OWNER_NAME_BYTES];
};

/* Opens the file (created where it is missing), draws a name and takes its lock. ERR_IO. */
enum err job_owner_open(const char *path, struct job_owner *out, struct error *err);

/* Whether the process of that name lives. Text that is no name gives false. Where the kernel cannot
 * tell, true: then leases tell. */
bool job_owner_is_alive(const struct job_owner *owner, const char *name);

void job_owner_close(struct job_owner *owner);

#endif
