#include "core/predictor.h"

#include <string.h>

#include "core/mem.h"

enum { WIDENED_ROWS = 256 }; /* rows of bytes that are made genes at a time */

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
        struct predictor *predictor = NULL;
        collect_part(space, genes, a, n, fold, f, false, &part);
        rc = kind->fit(space, part.genes, part.a, part.n, options, &predictor, NULL, err);
        if (rc == ERR_OK) {
            collect_part(space, genes, a, n, fold, f, true, &part);
            rc = predictor_predict(predictor, part.genes, part.n, part.a, part.sd, err);
        }
        for (size_t i = 0; rc == ERR_OK && i < part.n; i++) {
            predicted[part.rows[i]] = part.a[i];
            if (sd != NULL) {
                sd[part.rows[i]] = part.sd[i];
            }
        }
        predictor_destroy(predictor);
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
