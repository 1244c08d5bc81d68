/* What kinds of job there are, and how each is checked and run: functions of their parameters and
 * the data, which know neither HTTP nor the store. */
#ifndef DGLD_SERVER_JOB_KINDS_H
#define DGLD_SERVER_JOB_KINDS_H

#include <stdbool.h>

#include "core/error.h"
#include "proto/job.h"
#include "server/accuracy_cache.h"
#include "server/data_tree.h"
#include "server/job_files.h"
#include "server/names.h"
#include "server/result_tree.h"

/* What a run may use. Everything is borrowed. */
struct job_env {
    const struct data_tree *tree; /* its root is where results go, too */
    const char *id;               /* of the job: its files are named after it ... */
    int attempt;                  /* ... and after the attempt, from 1 (server/job_files.h) */
    void *context;                /* of the functions */
    /* Tells how far it is. False: stop at once, with ERR_CANCELED. To be called every 20 ms at
     * least; it costs some tens of nanoseconds. */
    bool (*report)(void *context, const struct job_progress *progress);
    /* Lets others have the processor, if it is time to. To be called every tenth of a millisecond or so
     * where that can be; it costs some tens of nanoseconds. report() does it, too. May be NULL. */
    void (*breathe)(void *context);
    /* To be asked once, right before files are put in place. False: put none, ERR_CANCELED. From a
     * true on the job will not be cancelled any more. */
    bool (*may_commit)(void *context);
    /* The model that is served of the space, or NULL; to be given back. Where there are no such
     * functions nothing is served, and the space's file is loaded instead. */
    const struct model *(*acquire_served)(void *context, const struct space *space);
    void (*release_served)(void *context, const struct model *model);
    /* Accuracies that were opened before; may be NULL. */
    struct accuracy_cache *accuracies;
    /* Has a model served, by version or name, once the job has ended well. */
    enum err (*activate)(void *context, const struct space *space, const char *name,
                         struct error *err);
};

struct job_kind_entry {
    /* Looks at everything that could be known to make the job fail: devices, data, models. Adds what
     * is wrong with the order to `errors` with its pointer (from the submission's top:
     * "/params/train_devices/3"); else an error of its own (ERR_IO, ERR_NOMEM). ERR_INVALID where
     * there are field errors. */
    enum err (*check)(const struct job_env *env, const struct job_order *order,
                      struct field_errors *errors, struct error *err);
    /* Runs it, and writes its result, one JSON object. ERR_CANCELED where it was told to stop; then
     * none of its results is there. The same order on the same data gives the same files, and may be
     * run again after a run that was killed or stopped at any point: what such a run leaves, a
     * checkpoint, the next one goes on from. Whoever does not run it again removes its files. */
    enum err (*run)(const struct job_env *env, const struct job_order *order, struct text *result,
                    struct error *err);
};

extern const struct job_kind_entry job_kinds[]; /* (JOB_N_KINDS) */

/* One file a kind. */
enum err job_train_check(const struct job_env *env, const struct job_order *order,
                         struct field_errors *errors, struct error *err);
enum err job_train_run(const struct job_env *env, const struct job_order *order,
                       struct text *result, struct error *err);
enum err job_test_check(const struct job_env *env, const struct job_order *order,
                        struct field_errors *errors, struct error *err);
enum err job_test_run(const struct job_env *env, const struct job_order *order, struct text *result,
                      struct error *err);
enum err job_nas_check(const struct job_env *env, const struct job_order *order,
                       struct field_errors *errors, struct error *err);
enum err job_nas_run(const struct job_env *env, const struct job_order *order, struct text *result,
                     struct error *err);

/* For those. Adds what an error says to the field errors where it is one of the order, which names something
 * that is missing or wrong; ERR_OK then. Else gives the error back. */
enum err job_check_blame(const struct data_tree *tree, const char *pointer,
                         struct field_errors *errors, struct error *err);

/* Whether a predictor of that kind can be trained on those devices: by loading the data as the run
 * will. What is wrong with them is an error of /search_space. */
enum err job_check_training(const struct data_tree *tree, const struct space *space,
                            const struct names *devices, const struct predictor_kind *kind,
                            struct field_errors *errors, struct error *err);

/* The pointer of what names the model: a param, written into `out`, or else the search space. */
const char *job_model_pointer(const struct job_model *model, char out[64]);

/* Hooks that report to *env; percents are of the job. Borrows env. */
struct fit_hooks job_fit_hooks(const struct job_env **env);

/* Removes what runs before this one, which were killed, say, have left. */
enum err job_begin(const struct job_env *env, const struct space *space, struct error *err);

/* Removes what this run has left. */
void job_give_up(const struct job_env *env, const struct space *space);

/* Commits what was staged where the job may still do so. ERR_CANCELED where it was told to stop. */
enum err job_commit(const struct job_env *env, struct result_batch *batch, struct error *err);

/* The picture that a test or a search leaves. */
#define JOB_PLOT_FILE "plot.svg"

/* Appends a file of the job's to a list, by its path below result/. */
void job_put_file(const struct job_env *env, const struct space *space, const char *name,
                  bool is_first, struct text *out);

#endif
