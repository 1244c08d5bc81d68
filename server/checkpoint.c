#include "server/checkpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/mem.h"
#include "server/result_tree.h"

/* Everything that decides what the training will end with. */
static void make_key(const struct training_set *set, const struct predictor_kind *kind,
                     const struct fit_options *options, char key[DIGEST_HEX_BYTES])
{
    char text[256];
    struct digest_part part = {text, 0};

    (void)snprintf(text, sizeof text, "1 %s %s seed %" PRIu64 " epochs %zu rate %a held out %a",
                   kind->name, set->sha256, options->seed, options->n_epochs,
                   options->learning_rate, options->held_out_share);
    part.size = strlen(text);
    digest_hex(&part, 1, key);
}

/* Absent, unreadable or damaged: the training begins at its beginning. */
static void load_state(struct checkpoint *checkpoint, const char *path)
{
    char *bytes = NULL;
    size_t size;

    if (file_read(path, SAFETENSORS_MAX_FILE_BYTES, &bytes, &size, NULL) != ERR_OK) {
        return;
    }
    if (safetensors_parse(bytes, size, &checkpoint->state, NULL) == ERR_OK) {
        checkpoint->bytes = bytes;
    } else {
        memset(&checkpoint->state, 0, sizeof checkpoint->state);
        mem_free(bytes);
    }
}

enum err checkpoint_open(struct checkpoint *checkpoint, const char *directory,
                         const struct training_set *set, const struct predictor_kind *kind,
                         const struct fit_options *options, struct error *err)
{
    char key[DIGEST_HEX_BYTES];
    enum err rc;

    memset(checkpoint, 0, sizeof *checkpoint);
    make_key(set, kind, options, key);
    rc = path_format(checkpoint->path, err, "%s/training-%.16s.checkpoint", directory, key);
    if (rc == ERR_OK) {
        load_state(checkpoint, checkpoint->path);
    }
    return rc;
}

bool checkpoint_take_over(struct checkpoint *checkpoint, const char *directory)
{
    char path[PATH_BYTES];

    if (checkpoint->state.n_tensors == 0 &&
        path_format(path, NULL, "%s/%s", directory, strrchr(checkpoint->path, '/') + 1) == ERR_OK) {
        load_state(checkpoint, path);
    }
    return checkpoint->state.n_tensors > 0;
}

enum err checkpoint_save(const struct checkpoint *checkpoint, const struct tensor *state, size_t n,
                         struct error *err)
{
    struct result_batch batch = {0};
    char *bytes = NULL;
    size_t size = 0;
    enum err rc = safetensors_encode(state, n, NULL, 0, &bytes, &size, err);

    rc = rc != ERR_OK ? rc : result_stage(&batch, checkpoint->path, bytes, size, err);
    rc = rc != ERR_OK ? rc : result_commit(&batch, err);
    result_close(&batch);
    mem_free(bytes);
    return rc;
}

void checkpoint_remove(const struct checkpoint *checkpoint)
{
    (void)unlink(checkpoint->path);
}

void checkpoint_close(struct checkpoint *checkpoint)
{
    safetensors_close(&checkpoint->state);
    mem_free(checkpoint->bytes);
    checkpoint->bytes = NULL;
}
