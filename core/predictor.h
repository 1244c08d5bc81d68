/* A predictor: architectures in, the network parameter A and its uncertainty out.
 *
 * A predictor is immutable once made, so any number of threads may use one; who made it ends it
 * with predictor_destroy(). Kinds are a table (predictor_kinds), and everything goes through it.
 * Fitting is reentrant: fits in several threads do not meet. */
#ifndef DGLD_CORE_PREDICTOR_H
#define DGLD_CORE_PREDICTOR_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/space.h"
#include "core/tensor.h"

enum { PREDICTOR_MAX_TENSORS = 8 };

struct predictor;

/* What a fit may be told; a kind ignores what it has no use for. */
struct fit_options {
    uint64_t seed;
};

/* What a fit tells. The caller ends it with fit_report_close(). */
struct fit_report {
    size_t *distrusted; /* rows whose A the fit did not believe, from 0, ascending, owned */
    size_t n_distrusted;
    double noise_scale; /* scatter of log A about the model, where the kind estimates it */
};

struct predictor_kind {
    const char *name; /* "cost" */
    enum err (*fit)(const struct space *space, const int32_t *genes, const double *a, size_t n,
                    const struct fit_options *options, struct predictor **out,
                    struct fit_report *report, struct error *err);
    enum err (*predict)(const struct predictor *predictor, const int32_t *genes, size_t n,
                        double *a, double *sd, struct error *err);
    /* Describes the weights: `tensors` has room for PREDICTOR_MAX_TENSORS, their data stay the
     * predictor's. Returns how many there are. */
    size_t (*weights)(const struct predictor *predictor, struct tensor *tensors);
    /* Makes a predictor from such weights, trusting nothing. */
    enum err (*load)(const struct space *space, const struct tensor *tensors, size_t n_tensors,
                     struct predictor **out, struct error *err);
    void (*destroy)(struct predictor *predictor);
};

/* What every kind's own struct begins with. */
struct predictor {
    const struct predictor_kind *kind;
    const struct space *space;
};

extern const struct predictor_kind predictor_kind_cost;

/* All kinds, ended by NULL; and the one of that name, or NULL. */
extern const struct predictor_kind *const predictor_kinds[];
const struct predictor_kind *predictor_kind_find(const char *name);

/* Fits A (n, positive) of the architectures `genes` (n, n_genes; valid). `report` may be NULL.
 * ERR_INVALID where n is 0 or more than the kind takes; ERR_NOMEM; ERR_NUMERIC. */
enum err predictor_fit(const struct predictor_kind *kind, const struct space *space,
                       const int32_t *genes, const double *a, size_t n,
                       const struct fit_options *options, struct predictor **out,
                       struct fit_report *report, struct error *err);

/* Accepts a zeroed struct. */
void fit_report_close(struct fit_report *report);

/* Held-out predictions: each row is predicted by a predictor that was fitted without its fold.
 * fold (n) holds 0 .. n_folds - 1 (dataset_fold()); `predicted` and `sd` (n; sd may be NULL)
 * receive what predictor_predict() gives. Errors as of predictor_fit(). */
enum err predictor_cross_validate(const struct predictor_kind *kind, const struct space *space,
                                  const int32_t *genes, const double *a, size_t n,
                                  const size_t *fold, size_t n_folds,
                                  const struct fit_options *options, double *predicted, double *sd,
                                  struct error *err);

/* Predicts `n` architectures: genes (n, n_genes) are valid, `a` (n) receives A, in ms per unit of
 * the device factor k, `sd` (n; may be NULL) its predictive standard deviation in the same unit:
 * what is unsure about the model and the scatter of single networks, not what four numbers miss of
 * a device. ERR_NOMEM, ERR_NUMERIC. */
enum err predictor_predict(const struct predictor *predictor, const int32_t *genes, size_t n,
                           double *a, double *sd, struct error *err);

/* Accepts NULL. */
void predictor_destroy(struct predictor *predictor);

#endif
