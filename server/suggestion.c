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

/* Adds what is measured, and chooses. */
static enum err choose(const struct model *model, const struct measured_rows *measured,
                       struct suggest_choice *choice, size_t n, size_t *rows, struct error *err)
{
    struct calibrator_rows predicted = {0};
    enum err rc = ERR_OK;

    if (measured->n > 0) {
        rc = calibrator_rows_open(model, measured->genes, measured->latency_ms, measured->n,
                                  &predicted, err);
        choice->measured = &predicted.measured;
    }
    rc = rc != ERR_OK ? rc : calibration_suggest_next(choice, n, NULL, rows, err);
    choice->measured = NULL;
    calibrator_rows_close(&predicted);
    return rc;
}

/* What a suggestion works on; owned, but for the model. */
struct table {
    const struct model *model;
    int32_t *candidates; /* (n, n_genes) */
    size_t n;
    double *a;    /* (n), and then their standard deviations */
    size_t *rows; /* that are chosen */
};

static enum err table_init(struct table *table, const struct model *model, size_t room,
                           size_t n_rows, struct error *err)
{
    *table = (struct table){
        .model = model,
        .candidates = mem_calloc(room, model->predictor->space->n_genes * sizeof(int32_t)),
        .a = mem_calloc(room, 2 * sizeof(double)),
        .rows = mem_calloc(n_rows, sizeof(size_t)),
    };
    return table->candidates != NULL && table->a != NULL && table->rows != NULL
               ? ERR_OK
               : error_set(err, ERR_NOMEM, "no memory to choose among %zu architectures", room);
}

static void table_close(struct table *table)
{
    mem_free(table->candidates);
    mem_free(table->a);
    mem_free(table->rows);
}

/* Chooses among what the table lists. */
static enum err choose_among(struct table *table, const struct hardware *hardware,
                             const struct measured_rows *measured, struct suggestion *out,
                             struct error *err)
{
    const struct predictor *predictor = table->model->predictor;
    const struct space *space = predictor->space;
    double *sd = table->a + table->n;
    const struct suggest_candidates among = {table->candidates, table->a, sd, table->n};
    struct suggest_choice choice = {
        .space = space,
        .prior = calibrator_prior(space, table->model),
        .hardware = hardware,
        .candidates = &among,
    };
    enum err rc = predictor_predict(predictor, table->candidates, table->n, table->a, sd, err);

    rc = rc != ERR_OK ? rc : choose(table->model, measured, &choice, out->n, table->rows, err);
    for (size_t i = 0; rc == ERR_OK && i < out->n; i++) {
        memcpy(out->genes + i * space->n_genes, table->candidates + table->rows[i] * space->n_genes,
               space->n_genes * sizeof *out->genes);
    }
    return rc;
}

/* What to choose among: of `given`, or where that is NULL what is drawn. */
struct offer {
    const int32_t *given;
    size_t n_given;
    uint64_t seed;
};

static enum err suggest_new(const struct model *model, const struct hardware *hardware,
                            const struct measured_rows *measured, const struct offer *offer,
                            struct suggestion *out, struct error *err)
{
    const struct space *space = model->predictor->space;
    struct table table;
    enum err rc = table_init(
        &table, model, offer->given != NULL ? offer->n_given : SUGGEST_MAX_CANDIDATES, out->n, err);

    out->genes = mem_calloc(out->n, space->n_genes * sizeof *out->genes);
    if (rc == ERR_OK && out->genes == NULL) {
        rc = error_set(err, ERR_NOMEM, "no memory to suggest %zu architectures", out->n);
    }
    if (rc == ERR_OK) {
        table.n =
            offer->given != NULL
                ? keep_new(space, offer->given, offer->n_given, measured, table.candidates)
                : suggest_draw(space, offer->seed, measured->genes, measured->n, table.candidates);
        out->is_short = table.n < out->n;
        rc = out->is_short
                 ? error_set(err, ERR_INVALID,
                             "%zu architectures cannot be suggested: %zu are there that are not "
                             "measured yet",
                             out->n, table.n)
                 : choose_among(&table, hardware, measured, out, err);
    }
    table_close(&table);
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
    if (rc == ERR_OK) {
        rc = suggest_new(model, made.has_hardware ? &sheet.hardware : NULL, &measured,
                         &(struct offer){given, n_given, seed}, &made, err);
    }
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
