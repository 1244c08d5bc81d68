/* A predictor: architectures in, the network parameter A and its uncertainty out.
 *
 * A predictor is immutable once made, so any number of threads may use one; who made it ends it
 * with predictor_destroy(). Kinds are a table (predictor_kinds), and everything goes through it.
 * Fitting is reentrant: fits in several threads do not meet. */
#ifndef DGLD_CORE_PREDICTOR_H
#define DGLD_CORE_PREDICTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/space.h"
#include "core/tensor.h"

enum { PREDICTOR_MAX_TENSORS = 8 };

struct predictor;

/* What work that takes long tells its caller, and how it is stopped and taken up again. */
struct fit_progress {
    const char *stage;      /* static: "features", "training", "validating", "predicting" */
    double percent;         /* of the whole, 0 to 100; it never falls */
    size_t epoch, n_epochs; /* where the stage has epochs, else 0 ... */
    double loss;            /* ... and NaN */
};

struct fit_hooks {
    void *context;
    /* Called after every epoch, and every 20 ms or so between what has none; returns false to stop
     * the work with ERR_CANCELED. May be NULL. */
    bool (*progress)(void *context, const struct fit_progress *progress);
    /* Called every tenth of a millisecond or so of what takes long, to let others have the processor
     * where the kernel would not do so by itself. May be NULL. */
    void (*breathe)(void *context);
    /* Called every CHECKPOINT_EPOCHS with the state of the fit, to be kept outside. May be NULL. */
    enum err (*save)(void *context, const struct tensor *state, size_t n, struct error *err);
    /* A state that was saved by a fit of the same data and options: the fit goes on from there, and
     * ends with the same weights as one that was never stopped. With none (n_state 0), or one that
     * no such fit can have saved, it begins at the beginning. */
    const struct tensor *state;
    size_t n_state;
};

enum { CHECKPOINT_EPOCHS = 1000 }; /* a multiple of MLP_SYNC_EPOCHS */

/* What a fit may be told; a kind ignores what it has no use for. */
struct fit_options {
    uint64_t seed;
    size_t n_epochs;      /* mlp */
    double learning_rate; /* mlp */
    /* mlp: of the distinct architectures, 0 .. 1, kept from training to validate on */
    double held_out_share;
    const struct fit_hooks *hooks; /* may be NULL */
};

#define FIT_DEFAULT_EPOCHS        50000
#define FIT_DEFAULT_LEARNING_RATE 0.1
#define FIT_DEFAULT_HELD_OUT      0.2

/* What a fit tells. The caller ends it with fit_report_close(). */
struct fit_report {
    size_t *distrusted; /* rows whose A the fit did not believe, from 0, ascending, owned */
    size_t n_distrusted;
    double noise_scale; /* scatter of log A about the model, where the kind estimates it, else 0 */
    size_t *held_out;   /* rows that were not trained on, owned ... */
    double *held_out_a; /* ... and their predictions (n_held_out), owned */
    size_t n_held_out;
    double loss; /* after the last epoch, where there were epochs, else 0 */
};

struct predictor_kind {
    const char *name;    /* "cost" */
    bool has_epochs;     /* epochs, learning rate and held-out share mean something to it */
    size_t fit_rows_max; /* architectures that a fit takes */
    size_t batch_max;    /* architectures that a service should take in one call; 0: any number */
    enum err (*fit)(const struct space *space, const int32_t *genes, const double *a, size_t n,
                    const struct fit_options *options, struct predictor **out,
                    struct fit_report *report, struct error *err);
    enum err (*predict)(const struct predictor *predictor, const int32_t *genes, size_t n,
                        double *a, double *sd, struct error *err);
    /* predictor_predict_bytes(); predictor_predict_widened() where a kind has no way of its own. */
    enum err (*predict_bytes)(const struct predictor *predictor, const uint8_t *genes, size_t n,
                              double *a, size_t *bad_row, struct error *err);
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

extern const struct predictor_kind predictor_kind_cost; /* core/predictor_cost.h */
extern const struct predictor_kind predictor_kind_mlp;  /* core/predictor_mlp.c: the paper's */

/* All kinds, ended by NULL; and the one of that name, or NULL. */
extern const struct predictor_kind *const predictor_kinds[];
const struct predictor_kind *predictor_kind_find(const char *name);
/* "cost, mlp" for messages; static string. */
const char *predictor_kind_names(void);

/* Fits A (n, positive) of the architectures `genes` (n, n_genes; valid). `report` may be NULL.
 * ERR_INVALID where n is 0 or more than the kind takes; ERR_NOMEM; ERR_NUMERIC. */
enum err predictor_fit(const struct predictor_kind *kind, const struct space *space,
                       const int32_t *genes, const double *a, size_t n,
                       const struct fit_options *options, struct predictor **out,
                       struct fit_report *report, struct error *err);

/* Accepts a zeroed struct. */
void fit_report_close(struct fit_report *report);

/* Tells how far the work is. `hooks` may be NULL. ERR_CANCELED where it is to stop. */
enum err fit_tell(const struct fit_hooks *hooks, const struct fit_progress *progress,
                  struct error *err);

/* Hooks for a part of some work, from one percent of it to another: `hooks` tells the whole's how far
 * it is in the terms of the whole, and neither saves nor resumes. Borrows the whole's hooks, and must
 * not be moved while in use. */
struct fit_part {
    struct fit_hooks hooks;
    const struct fit_hooks *whole; /* may be NULL */
    const char *stage;             /* told instead of the part's own, unless NULL */
    double from, to;
};

void fit_part_init(struct fit_part *part, const struct fit_hooks *whole, const char *stage,
                   double from, double to);

/* Held-out predictions: each row is predicted by a predictor that was fitted without its fold.
 * fold (n) holds 0 .. n_folds - 1 (dataset_fold()); `predicted` and `sd` (n; sd may be NULL)
 * receive what predictor_predict() gives. The options' hooks are told of the stage "validating"; the
 * folds' fits neither save nor resume. Errors as of predictor_fit(). */
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

/* Does that some rows at a time, telling `hooks` (may be NULL) of the stage "predicting" in between.
 * ERR_CANCELED besides. */
enum err predictor_predict_told(const struct predictor *predictor, const int32_t *genes, size_t n,
                                const struct fit_hooks *hooks, double *a, double *sd,
                                struct error *err);

/* The same for genes as bytes from outside, (n, n_genes), which are validated on the way: the fast
 * way from a body to latencies. ERR_INVALID names the gene of the first row that has one outside of
 * its domain, and `bad_row` receives that row. */
enum err predictor_predict_bytes(const struct predictor *predictor, const uint8_t *genes, size_t n,
                                 double *a, size_t *bad_row, struct error *err);

/* Does that by making the bytes genes, some rows at a time, for predictor_predict(). */
enum err predictor_predict_widened(const struct predictor *predictor, const uint8_t *genes,
                                   size_t n, double *a, size_t *bad_row, struct error *err);

/* Accepts NULL. */
void predictor_destroy(struct predictor *predictor);

#endif
