/* Reading what stands below a directory, by paths from outside: no path leaves the tree.
 *
 * A path is names joined by single slashes, "" for the tree's top; no name is empty, begins with a
 * dot (hidden files, "." and "..") or ends in ".tmp" (files in the making). A symbolic link is
 * followed where it is relative and leads to something that such a path could name; all others are
 * as absent. Only regular files and directories exist, and nothing that is opened can block.
 * Thread-safe. */
#ifndef DGLD_SERVER_TREE_FILE_H
#define DGLD_SERVER_TREE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "core/error.h"
#include "proto/msg_result.h"

struct tree_file {
    int fd; /* owned; open for reading */
    bool is_directory;
    uint64_t size, inode;
    struct timespec modified;
};

/* Opens `path` below the directory `top`. ERR_NOT_FOUND for everything that is absent, must not be
 * seen or may not be read; ERR_IO where the system has no descriptors or the disk fails. */
enum err tree_open(const char *top, const char *path, struct tree_file *out, struct error *err);

/* Accepts a file that was closed or given away (fd -1). */
void tree_close(struct tree_file *file);

/* Some of what stands in a directory, sorted by name. */
struct tree_listing {
    struct result_entry *entries; /* (n), owned */
    size_t n;
    char *next; /* owned: where there may be more, the last name that was looked at; else NULL */
};

/* Lists the files and directories in `path`: of the names greater than `after` (may be "") the
 * first `limit`, less those of other kinds. The memory that is taken depends on `limit` alone.
 * Errors of tree_open(); ERR_NOT_FOUND where `path` is no directory; ERR_NOMEM. */
enum err tree_list(const char *top, const char *path, const char *after, size_t limit,
                   struct tree_listing *out, struct error *err);

/* Accepts a zeroed struct. */
void tree_listing_close(struct tree_listing *listing);

#endif
