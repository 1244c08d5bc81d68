/* What a file looks like from outside: enough to tell whether what was read of it still holds. File
 * systems keep times in ticks of some milliseconds to two seconds, so of a file that has changed that
 * recently nothing should be remembered. Plain data; thread-safe. */
#ifndef DGLD_SERVER_FILE_LOOK_H
#define DGLD_SERVER_FILE_LOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <time.h>

/* What stat(2) says of a file, or zeroes where there is none. */
struct file_look {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified, changed;
};

struct file_look file_look_at(const char *path);

/* Whether the looks (n each) are the same. */
bool file_look_are_same(const struct file_look *a, const struct file_look *b, size_t n);

/* Whether a change from `now` (CLOCK_REALTIME) on would be seen in the times of the file. */
bool file_look_is_settled(const struct file_look *look, const struct timespec *now);

#endif
