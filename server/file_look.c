#include "server/file_look.h"

#include <sys/stat.h>

enum { SETTLED_S = 2 }; /* the coarsest ticks of a file system in use */

struct file_look file_look_at(const char *path)
{
    struct file_look look = {0};
    struct stat st;

    if (stat(path, &st) == 0) {
        look.device = st.st_dev;
        look.inode = st.st_ino;
        look.size = st.st_size;
        look.modified = st.st_mtim;
        look.changed = st.st_ctim;
    }
    return look;
}

static bool is_same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool file_look_are_same(const struct file_look *a, const struct file_look *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (a[i].device != b[i].device || a[i].inode != b[i].inode || a[i].size != b[i].size ||
            !is_same_time(&a[i].modified, &b[i].modified) ||
            !is_same_time(&a[i].changed, &b[i].changed)) {
            return false;
        }
    }
    return true;
}

bool file_look_is_settled(const struct file_look *look, const struct timespec *now)
{
    return now->tv_sec - look->modified.tv_sec > SETTLED_S &&
           now->tv_sec - look->changed.tv_sec > SETTLED_S;
}
