/* The saved state of a training that takes long, so that one that was killed goes on where it was.
 *
 * A checkpoint is a safetensors file beside the results, named after its key: what the training
 * learns from and how, so that only the very same training finds it. Belongs to one thread. */
#ifndef DGLD_SERVER_CHECKPOINT_H
#define DGLD_SERVER_CHECKPOINT_H

#include <stdbool.h>

#include "core/error.h"
#include "core/predictor.h"
#include "proto/digest.h"
#include "proto/safetensors.h"
#include "server/path.h"
#include "server/training_set.h"

struct checkpoint {
    char path[PATH_BYTES];
    struct safetensors state; /* what was saved, or zeroed */
    char *bytes;              /* owned: what `state` points into */
};

/* Names the checkpoint of a training in `directory`, and loads what an earlier run of it saved, where
 * that is whole. ERR_LIMIT, ERR_NOMEM. The caller ends it with checkpoint_close(). */
enum err checkpoint_open(struct checkpoint *checkpoint, const char *directory,
                         const struct training_set *set, const struct predictor_kind *kind,
                         const struct fit_options *options, struct error *err);

/* Loads what was saved of the same training in another directory, where nothing was in its own. True
 * where there is a state to go on from now. */
bool checkpoint_take_over(struct checkpoint *checkpoint, const char *directory);

/* Writes the state, whole or not at all. */
enum err checkpoint_save(const struct checkpoint *checkpoint, const struct tensor *state, size_t n,
                         struct error *err);

/* Removes the file, if there is one: the training has ended well. */
void checkpoint_remove(const struct checkpoint *checkpoint);

/* Accepts a zeroed struct. */
void checkpoint_close(struct checkpoint *checkpoint);

#endif
