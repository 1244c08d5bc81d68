/* Locks that the kernel keeps on bytes of open files: between threads, processes, containers, and,
 * on a network file system that has them (NFS 4), machines. A lock belongs to what open(2) gave, and
 * goes when that is closed, however its process ends. Thread-safe. */
#ifndef DGLD_SERVER_FILE_LOCK_H
#define DGLD_SERVER_FILE_LOCK_H

#include <sys/types.h>

enum file_lock {
    FILE_LOCK_TAKEN,
    FILE_LOCK_BUSY,    /* somebody holds it */
    FILE_LOCK_UNKNOWN, /* the file system has none: nobody can tell */
};

/* Takes the lock on byte `at` of a file that is open for writing, or does not; never waits. The byte
 * need not exist. */
enum file_lock file_lock_try(int fd, off_t at);

#endif
