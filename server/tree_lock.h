/* Locks between processes that share a tree, several replicas of the service say: whoever looks at
 * something and then replaces it does both with its lock held.
 *
 * They are bytes of <root>/result/.tree-locks, a file that stays empty. A process that ends, however
 * it ends, lets go; one that is stopped does not, so nobody waits for it for longer than
 * TREE_LOCK_WAIT_MS.
 * Between threads of one process they hold, too, with or without a file system that has locks: who came
 * first has it first. */
#ifndef DGLD_SERVER_TREE_LOCK_H
#define DGLD_SERVER_TREE_LOCK_H

#include "core/error.h"

enum { TREE_LOCK_WAIT_MS = 2000 };

#define TREE_LOCK_DATA   "data/"              /* device sheets and measurements */
#define TREE_LOCK_SPACES "config/spaces/"     /* declared search spaces */
#define TREE_LOCK_SERVED "what is served of " /* and the space's name: what is served of it */

/* Must not be moved while it is held. */
struct tree_lock {
    int fd; /* -1: of a file system without locks, or a tree that cannot be written */
    struct tree_line *line; /* of the threads that want it or its like */
    struct tree_lock *next; /* who comes after in that line */
};

/* Takes the lock of a part of the tree (one of the above; `name` "" but for the last) and of nothing
 * else; where the file system has no locks that is logged, once, and goes on without. ERR_IO where
 * others hold it for too long; then there is nothing to release. A thread takes one at a time. */
enum err tree_lock_take(const char *root, const char *part, const char *name, struct tree_lock *out,
                        struct error *err);
void tree_lock_release(struct tree_lock *lock);

#endif
