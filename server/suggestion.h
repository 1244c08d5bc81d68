/* Which architectures to measure of a device, for the service and the command line. Thread-safe. */
#ifndef DGLD_SERVER_SUGGESTION_H
#define DGLD_SERVER_SUGGESTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "proto/model_file.h"
#include "server/data_tree.h"

/* Made for `device`, which nobody need know yet. What is measured of it already is not suggested. */
struct suggestion {
    bool has_hardware;     /* its data sheet is known */
    size_t n_measurements; /* that are stored */
    int32_t *genes;        /* (n, n_genes), owned, the most helpful one first */
    size_t n;
    bool is_short; /* of one that was refused: fewer architectures are left than were asked for */
};

/* Chooses n among `given` (n_given, n_genes), or where that is NULL among what `seed` draws of the
 * space. ERR_INVALID where fewer are left; errors of the device's files. The caller ends `out` with
 * suggestion_close(). */
enum err suggestion_make(const struct model *model, const struct data_tree *tree,
                         const char *device, const int32_t *given, size_t n_given, uint64_t seed,
                         size_t n, struct suggestion *out, struct error *err);

/* Accepts a zeroed struct. */
void suggestion_close(struct suggestion *suggestion);

#endif
