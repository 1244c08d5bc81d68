/* An accuracy predictor: architectures in, top-1 accuracy in percent out.
 *
 * A predictor is immutable once made, so any number of threads may use one; who made it ends it
 * with accuracy_destroy(). Kinds are a table (accuracy_kinds), and everything goes through it.
 * Fitting is reentrant, and gives the same predictor for the same rows, in the same order, and the
 * same seed. */
#ifndef DGLD_CORE_ACCURACY_H
#define DGLD_CORE_ACCURACY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/space.h"
#include "core/tensor.h"

enum { ACCURACY_MAX_TENSORS = 4, ACCURACY_MAX_ROWS = 200000 };

/* Networks whose accuracy is known: n rows, borrowed. */
struct accuracy_rows {
    size_t n;
    const int32_t *genes;     /* (n, n_genes); in the domain, but for a kind that says otherwise */
    const double *accuracy;   /* (n), percent, 0 < accuracy <= 100 */
    const double *resolution; /* (n), side of the input image; NULL: that of the space, for all */
};

/* How flexible a fit is. A kind lists those that are worth trying, and cross-validation chooses. */
struct accuracy_setting {
    double scale; /* of the features: the larger, the faster the model may change */
    double noise; /* variance of the noise over that of the model */
};

struct accuracy_predictor;
struct accuracy_features;

struct accuracy_kind {
    const char *name;                         /* "cells" */
    const char *about;                        /* what it is and is not, one sentence */
    const struct space *space;                /* the only space that it is for */
    const struct accuracy_features *features; /* of the kernel kinds; else NULL */
    const struct accuracy_setting *settings;  /* (n_settings), at least one */
    size_t n_settings;
    size_t rows_min;     /* fewer are refused */
    bool is_validated;   /* rows are held out to measure it: by folds ... */
    size_t split_rows;   /* ... or, where this is positive and there are twice as many rows, by
                            random splits that train on so many */
    bool is_distrusting; /* leaves rows out that are far from what the others say */
    enum err (*fit)(const struct accuracy_kind *kind, const struct accuracy_rows *rows,
                    const struct accuracy_setting *setting, uint64_t seed,
                    struct accuracy_predictor **out, struct error *err);
    enum err (*predict)(const struct accuracy_predictor *predictor, const int32_t *genes, size_t n,
                        double *accuracy, struct error *err);
    /* Describes the weights: `tensors` has room for ACCURACY_MAX_TENSORS, their data stay the
     * predictor's. Returns how many there are. */
    size_t (*weights)(const struct accuracy_predictor *predictor, struct tensor *tensors);
    /* Makes a predictor from such weights, trusting nothing. */
    enum err (*load)(const struct accuracy_kind *kind, const struct tensor *tensors, size_t n,
                     struct accuracy_predictor **out, struct error *err);
    void (*destroy)(struct accuracy_predictor *predictor);
};

/* What every kind's own struct begins with. */
struct accuracy_predictor {
    const struct accuracy_kind *kind;
};

extern const struct accuracy_kind accuracy_kind_cells; /* nasbench201: core/accuracy_cells.c */
extern const struct accuracy_kind accuracy_kind_genes; /* fbnetv3: core/accuracy_genes.c */
extern const struct accuracy_kind accuracy_kind_macs;  /* fbnetv3: core/accuracy_macs.c; its rows
                                                        * may lie outside of the domain */

/* All kinds, ended by NULL; and the one of that name, or NULL. */
extern const struct accuracy_kind *const accuracy_kinds[];
const struct accuracy_kind *accuracy_kind_find(const char *name);

/* How well a kind predicts rows that it did not see. */
struct accuracy_report {
    size_t n_parts;        /* folds or random splits; 0: nothing was held out */
    size_t n_train;        /* rows that each split trained on; 0 where there were folds */
    size_t n_held_out;     /* rows that were predicted: of all folds, or of each split */
    double kendall;        /* over those rows (tau-b); of splits the mean; NaN without parts */
    double rmse;           /* likewise, percent */
    double kendall_fitted; /* of the final predictor, over the rows that it was fitted to */
    double rmse_fitted;    /* likewise */
    size_t *distrusted;    /* rows that were left out, from 0, ascending, owned */
    size_t n_distrusted;
};

/* Chooses the setting, measures by rows held out (equal architectures always on the same side of a
 * fold), leaves out what it distrusts, and fits the rest. ERR_INVALID where there are fewer rows
 * than the kind takes, or more than ACCURACY_MAX_ROWS; ERR_NOMEM; ERR_NUMERIC. The caller ends the
 * report with accuracy_report_close(). */
enum err accuracy_train(const struct accuracy_kind *kind, const struct accuracy_rows *rows,
                        uint64_t seed, struct accuracy_predictor **out,
                        struct accuracy_report *report, struct error *err);

/* Accepts a zeroed struct. */
void accuracy_report_close(struct accuracy_report *report);

/* Predicts `n` architectures: genes (n, n_genes) are valid, `accuracy` (n) receives percent, 0 to
 * 100. ERR_NOMEM, ERR_NUMERIC. */
enum err accuracy_predict(const struct accuracy_predictor *predictor, const int32_t *genes,
                          size_t n, double *accuracy, struct error *err);

/* Accepts NULL. */
void accuracy_destroy(struct accuracy_predictor *predictor);

#endif
