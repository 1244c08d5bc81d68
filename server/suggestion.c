#include "server/suggestion.h"

#include <string.h>

#include "core/mem.h"
#include "core/suggest.h"
#include "server/calibrator.h"
#include "server/measured_rows.h"

void suggestion_close(struct suggestion *suggestion)
{
    mem_free(suggestion->genes);
    memset(suggestion, 0, sizeof *suggestion);
}

/* Copies the first of each architecture that is given and not measured; returns how many. */
static size_t keep_new(const struct space *space, const int32_t *given, size_t n_given,
                       const struct measured_rows *measured, int32_t *genes)
{
    size_t n = 0;

    for (size_t i = 0; i < n_given; i++) {
        const int32_t *row = given + i * space->n_genes;
        if (!space_is_among(space, measured->genes, measured->n, row) &&
            !space_is_among(space, genes, n, row)) {
            memcpy(genes + n * space->n_genes, row, space->n_genes * sizeof *genes);
            n++;
        }
    }
    return n;
}

/* Chooses among candidates (n_candidates), whose A goes into `a` (2 n_candidates) with its standard
 * deviation. */
static enum err choose(const struct model *model, bool has_hardware, const int32_t *candidates,
                       size_t n_candidates, double *a, size_t *rows, struct suggestion *out,
                       struct error *err)
{
    const struct predictor *predictor = model->predictor;
    const size_t n_genes = predictor->space->n_genes;
    double *sd = a + n_candidates;
    const struct suggest_candidates among = {candidates, a, sd, n_candidates};
    enum err rc = predictor_predict(predictor, candidates, n_candidates, a, sd, err);

    rc = rc != ERR_OK
             ? rc
             : calibration_suggest(predictor->space, calibrator_prior(predictor->space, model),
                                   has_hardware, &among, out->n, NULL, rows, err);
    for (size_t i = 0; rc == ERR_OK && i < out->n; i++) {
        memcpy(out->genes + i * n_genes, candidates + rows[i] * n_genes,
               n_genes * sizeof *candidates);
    }
    return rc;
}

static enum err suggest_new(const struct model *model, const struct measured_rows *measured,
                            const int32_t *given, size_t n_given, uint64_t seed,
                            struct suggestion *out, struct error *err)
{
    const struct space *space = model->predictor->space;
    const size_t room = given != NULL ? n_given : SUGGEST_MAX_CANDIDATES;
    int32_t *candidates = mem_calloc(room, space->n_genes * sizeof *candidates);
    double *a = mem_calloc(room, 2 * sizeof *a);
    size_t *rows = mem_calloc(out->n, sizeof *rows);
    enum err rc = ERR_OK;

    out->genes = mem_calloc(out->n, space->n_genes * sizeof *out->genes);
    if (candidates == NULL || a == NULL || rows == NULL || out->genes == NULL) {
        rc = error_set(err, ERR_NOMEM, "no memory to choose among %zu architectures", room);
    } else {
        const size_t n = given != NULL
                             ? keep_new(space, given, n_given, measured, candidates)
                             : suggest_draw(space, seed, measured->genes, measured->n, candidates);
        out->is_short = n < out->n;
        rc = out->is_short
                 ? error_set(err, ERR_INVALID,
                             "%zu architectures cannot be suggested: %zu are there that are not "
                             "measured yet",
                             out->n, n)
                 : choose(model, out->has_hardware, candidates, n, a, rows, out, err);
    }
    mem_free(candidates);
    mem_free(a);
    mem_free(rows);
    return rc;
}

enum err suggestion_make(const struct model *model, const struct data_tree *tree,
                         const char *device, const int32_t *given, size_t n_given, uint64_t seed,
                         size_t n, struct suggestion *out, struct error *err)
{
    const struct space *space = model->predictor->space;
    struct suggestion made = {.n = n};
    struct measured_rows measured = {0};
    struct device_sheet sheet;
    enum err rc = data_find_device(tree, space, device, &sheet, err);

    memset(out, 0, sizeof *out);
    made.has_hardware = rc == ERR_OK;
    if (rc == ERR_OK || rc == ERR_NOT_FOUND) {
        rc = measured_rows_load(tree, space, device, &measured, err);
    }
    made.n_measurements = measured.n;
    rc = rc != ERR_OK ? rc : suggest_new(model, &measured, given, n_given, seed, &made, err);
    measured_rows_close(&measured);
    if (rc != ERR_OK) {
        const bool is_short = made.is_short;
        suggestion_close(&made);
        out->is_short = is_short;
        return rc;
    }
    *out = made;
    return ERR_OK;
}
