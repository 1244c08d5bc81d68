#include "core/predictor.h"

#include <math.h>
#include <string.h>

#include "core/mem.h"

enum {
    WIDENED_ROWS = 256, /* rows of bytes that are made genes at a time */
    TOLD_ROWS = 64,     /* rows that are predicted between two tellings: 15 ms of an mlp */
};

const struct predictor_kind *const predictor_kinds[] = {&predictor_kind_cost, &predictor_kind_mlp,
                                                        NULL};

const struct predictor_kind *predictor_kind_find(const char *name)
{
    for (const struct predictor_kind *const *kind = predictor_kinds; *kind != NULL; kind++) {
        if (strcmp((*kind)->name, name) == 0) {
            return *kind;
        }
    }
    return NULL;
}

const char *predictor_kind_names(void)
{
    return "cost, mlp";
}

enum err predictor_fit(const struct predictor_kind *kind, const struct space *space,
                       const int32_t *genes, const double *a, size_t n,
                       const struct fit_options *options, struct predictor **out,
                       struct fit_report *report, struct error *err)
{
    return kind->fit(space, genes, a, n, options, out, report, err);
}

void fit_report_close(struct fit_report *report)
{
    mem_free(report->distrusted);
    mem_free(report->held_out);
    mem_free(report->held_out_a);
    memset(report, 0, sizeof *report);
}

/* ---- progress -------------------------------------------------------------------------------- */

enum err fit_tell(const struct fit_hooks *hooks, const struct fit_progress *progress,
                  struct error *err)
{
    if (hooks == NULL || hooks->progress == NULL || hooks->progress(hooks->context, progress)) {
        return ERR_OK;
    }
    return error_set(err, ERR_CANCELED, "stopped while %s", progress->stage);
}

static bool tell_whole(void *context, const struct fit_progress *progress)
{
    const struct fit_part *part = context;
    struct fit_progress told = *progress;

    told.percent = part->from + (part->to - part->from) * progress->percent / 100.0;
    told.stage = part->stage != NULL ? part->stage : progress->stage;
    return fit_tell(part->whole, &told, NULL) == ERR_OK;
}

void fit_part_init(struct fit_part *part, const struct fit_hooks *whole, const char *stage,
                   double from, double to)
{
    *part = (struct fit_part){
        .hooks = {.context = part, .progress = tell_whole},
        .whole = whole,
        .stage = stage,
        .from = from,
        .to = to,
    };
}

/* ---- cross-validation ------------------------------------------------------------------------ */

/* Rows of one side of a split. */
struct part {
    size_t n;
    size_t *rows;   /* (n): where they stand in the whole */
    int32_t *genes; /* (n, n_genes) */
    double *a, *sd; /* (n) */
};

/* Collects the rows inside the fold, or those outside of it. */
static void collect_part(const struct space *space, const int32_t *genes, const double *a, size_t n,
                         const size_t *fold, size_t wanted, bool is_inside, struct part *part)
{
    part->n = 0;
    for (size_t i = 0; i < n; i++) {
        if ((fold[i] == wanted) == is_inside) {
            memcpy(part->genes + part->n * space->n_genes, genes + i * space->n_genes,
                   space->n_genes * sizeof *genes);
            part->a[part->n] = a[i];
            part->rows[part->n++] = i;
        }
    }
}

/* Fits without the fold, and predicts it: part->a and part->sd. Of the fold's work nine tenths count as
 * the fit. */
static enum err validate_fold(const struct predictor_kind *kind, const struct space *space,
                              const int32_t *genes, const double *a, size_t n, const size_t *fold,
                              size_t f, const struct fit_options *options,
                              const struct fit_hooks *hooks, struct part *part, struct error *err)
{
    struct fit_options fold_options = *options;
    struct fit_part fitting;
    struct fit_part predicting;
    struct predictor *predictor = NULL;
    enum err rc;

    fit_part_init(&fitting, hooks, NULL, 0.0, 90.0);
    fit_part_init(&predicting, hooks, NULL, 90.0, 100.0);
    fold_options.hooks = &fitting.hooks;
    collect_part(space, genes, a, n, fold, f, false, part);
    rc = kind->fit(space, part->genes, part->a, part->n, &fold_options, &predictor, NULL, err);
    if (rc == ERR_OK) {
        collect_part(space, genes, a, n, fold, f, true, part);
        rc = predictor_predict_told(predictor, part->genes, part->n, &predicting.hooks, part->a,
                                    part->sd, err);
    }
    predictor_destroy(predictor);
    return rc;
}

enum err predictor_cross_validate(const struct predictor_kind *kind, const struct space *space,
                                  const int32_t *genes, const double *a, size_t n,
                                  const size_t *fold, size_t n_folds,
                                  const struct fit_options *options, double *predicted, double *sd,
                                  struct error *err)
{
    struct part part = {
        .rows = mem_calloc(n, sizeof *part.rows),
        .genes = mem_calloc(n, space->n_genes * sizeof *part.genes),
        .a = mem_calloc(n, sizeof *part.a),
        .sd = mem_calloc(n, sizeof *part.sd),
    };
    enum err rc = ERR_OK;

    if (part.rows == NULL || part.genes == NULL || part.a == NULL || part.sd == NULL) {
        rc = error_set(err, ERR_NOMEM, "no memory to cross-validate %zu rows", n);
    }
    for (size_t f = 0; rc == ERR_OK && f < n_folds; f++) {
        struct fit_part one;
        fit_part_init(&one, options->hooks, "validating", 100.0 * (double)f / (double)n_folds,
                      100.0 * (double)(f + 1) / (double)n_folds);
        rc = validate_fold(kind, space, genes, a, n, fold, f, options, &one.hooks, &part, err);
        for (size_t i = 0; rc == ERR_OK && i < part.n; i++) {
            predicted[part.rows[i]] = part.a[i];
            if (sd != NULL) {
                sd[part.rows[i]] = part.sd[i];
            }
        }
    }
    mem_free(part.rows);
    mem_free(part.genes);
    mem_free(part.a);
    mem_free(part.sd);
    return rc;
}

enum err predictor_predict(const struct predictor *predictor, const int32_t *genes, size_t n,
                           double *a, double *sd, struct error *err)
{
    return predictor->kind->predict(predictor, genes, n, a, sd, err);
}

enum err predictor_predict_told(const struct predictor *predictor, const int32_t *genes, size_t n,
                                const struct fit_hooks *hooks, double *a, double *sd,
                                struct error *err)
{
    enum err rc = ERR_OK;
    size_t rows;

    for (size_t first = 0; rc == ERR_OK && first < n; first += rows) {
        const size_t left = n - first;
        const struct fit_progress progress = {
            .stage = "predicting", .percent = 100.0 * (double)first / (double)n, .loss = NAN};
        /* no row is left alone: a product of one row is another one in BLAS, in its last bits */
        rows = left <= TOLD_ROWS + 1 ? left : TOLD_ROWS;
        rc = fit_tell(hooks, &progress, err);
        if (rc == ERR_OK) {
            rc = predictor_predict(predictor, genes + first * predictor->space->n_genes, rows,
                                   a + first, sd != NULL ? sd + first : NULL, err);
        }
    }
    return rc;
}

/* Bytes to genes, and whether they are such. */
static enum err widen_rows(const struct space *space, const uint8_t *bytes, size_t n,
                           int32_t *genes, size_t *bad_row, struct error *err)
{
    for (size_t row = 0; row < n; row++) {
        int32_t *wide = genes + row * space->n_genes;
        for (size_t g = 0; g < space->n_genes; g++) {
            wide[g] = bytes[row * space->n_genes + g];
        }
        if (space_validate(space, wide, NULL, err) != ERR_OK) {
            *bad_row = row;
            return ERR_INVALID;
        }
    }
    return ERR_OK;
}

enum err predictor_predict_widened(const struct predictor *predictor, const uint8_t *genes,
                                   size_t n, double *a, size_t *bad_row, struct error *err)
{
    const size_t n_genes = predictor->space->n_genes;
    int32_t wide[WIDENED_ROWS * SPACE_MAX_GENES];

    for (size_t first = 0; first < n; first += WIDENED_ROWS) {
        size_t rows = n - first < WIDENED_ROWS ? n - first : WIDENED_ROWS;
        enum err rc =
            widen_rows(predictor->space, genes + first * n_genes, rows, wide, bad_row, err);
        if (rc != ERR_OK) {
            *bad_row += first;
            return rc;
        }
        rc = predictor_predict(predictor, wide, rows, a + first, NULL, err);
        if (rc != ERR_OK) {
            return rc;
        }
    }
    return ERR_OK;
}

enum err predictor_predict_bytes(const struct predictor *predictor, const uint8_t *genes, size_t n,
                                 double *a, size_t *bad_row, struct error *err)
{
    return predictor->kind->predict_bytes(predictor, genes, n, a, bad_row, err);
}

void predictor_destroy(struct predictor *predictor)
{
    if (predictor != NULL) {
        predictor->kind->destroy(predictor);
    }
}
