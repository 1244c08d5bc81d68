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

enum err checkpoint_open(struct checkpoint *checkpoint, const char *directory,
                         const struct training_set *set, const struct predictor_kind *kind,
                         const struct fit_options *options, struct error *err)
{
    char key[DIGEST_HEX_BYTES];
    size_t size;
    enum err rc;

    memset(checkpoint, 0, sizeof *checkpoint);
    make_key(set, kind, options, key);
    rc = path_format(checkpoint->path, err, "%s/training-%.16s.checkpoint", directory, key);
    if (rc != ERR_OK) {
        return rc;
    }
    /* absent, unreadable or damaged: the training begins at its beginning */
    if (file_read(checkpoint->path, SAFETENSORS_MAX_FILE_BYTES, &checkpoint->bytes, &size, NULL) ==
        ERR_OK) {
        (void)safetensors_parse(checkpoint->bytes, size, &checkpoint->state, NULL);
    }
    return ERR_OK;
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
