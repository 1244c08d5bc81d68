/* Writing into the tree: every file is whole or absent, whatever happens meanwhile.
 *
 * A batch stages files beside their places (written and fsynced), then commits them by renaming,
 * and fsyncs the directories. A batch that is closed without commit leaves nothing. Belongs to one
 * thread; different batches do not meet.
 *
 * What is staged is locked for as long as its batch lives (server/file_lock.h). So whoever comes
 * across it, in whichever container, can tell whether its writer is gone: numbers of processes say
 * nothing between containers. */
#ifndef DGLD_SERVER_RESULT_TREE_H
#define DGLD_SERVER_RESULT_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"

struct staged_file {
    char *temporary, *path;
    size_t n_kept; /* directories of `path` longer than this were made for it */
    int fd;        /* of the temporary file, which is locked by it */
};

struct result_batch {
    struct staged_file *files; /* owned */
    size_t n_files;
    /* Asked every 32 KiB or so of a file that is made while it is written; false ends that with
     * ERR_CANCELED. NULL: nobody is asked. */
    bool (*may_go_on)(void *context);
    void *context;
};

/* ERR_CANCELED where the batch is to stop. */
enum err result_go_on(const struct result_batch *batch, struct error *err);

/* Creates the missing directories of `path` and writes `bytes` beside it. A directory in the file's
 * place is refused. */
enum err result_stage(struct result_batch *batch, const char *path, const char *bytes, size_t size,
                      struct error *err);

/* Hands out the next `size` bytes of a file, fewer only where it ends. */
typedef size_t result_read(void *source, char *bytes, size_t size);

/* The same for a file that is made while it is written. */
enum err result_stage_from(struct result_batch *batch, const char *path, result_read *read,
                           void *source, struct error *err);

/* Writes a whole file to `fd`, which is empty; its offset is the maker's to move. */
typedef enum err result_make(void *context, int fd, struct error *err);

/* The same for a file that is not written from front to back. Errors of the maker come with the
 * path in front. */
enum err result_stage_made(struct result_batch *batch, const char *path, result_make *make,
                           void *context, struct error *err);

/* Puts all staged files in place. Each rename is atomic; where one fails, the files before it stay.
 */
enum err result_commit(struct result_batch *batch, struct error *err);

/* Creates one directory, durably, whose parent exists. That it exists already is no error. */
enum err result_make_directory(const char *path, struct error *err);

/* Removes what was staged and not committed, and the directories made for it. Accepts a zeroed
 * struct. */
void result_close(struct result_batch *batch);

/* Removes what was staged in a directory, and not committed, by processes that have ended, killed
 * perhaps; of a file system without locks, what is an hour old. */
void result_sweep(const char *directory);

/* Removes a file; it stays away after a crash too. ERR_NOT_FOUND where there is none. */
enum err result_remove(const char *path, struct error *err);

#endif
