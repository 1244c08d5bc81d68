/* What the tests of job kinds share: a small data tree of nasbench201 with a served model, and an
 * environment that counts what a run reports and stops it at will. Header only, single-threaded. */
#ifndef DGLD_TESTS_SUPPORT_JOB_H
#define DGLD_TESTS_SUPPORT_JOB_H

#include "server/job_kinds.h"
#include "server/model_store.h"
#include "tests/support/check.h"

#define JOB_TREE "data/nasbench201/"
#define JOB_ID   "01890a5d-ac96-774b-bcce-b302099a8057"

enum { JOB_ROWS = 24, JOB_GENES = 6 };

/* Some cells of the space, the same ones always. */
static inline void job_genes(size_t row, int32_t genes[JOB_GENES])
{
    space_unrank(&space_nasbench201, row * 651 + 7, genes);
}

/* net.txt, its A = 100 * (number of the row, from 1), and the devices One (k = 2), Two (k = 1) and
 * Three (k = 1), of which Two and Three were measured: A * k and a bit. */
static inline void job_make_tree(struct data_tree *tree)
{
    char net[1024] = "";
    char a[1024] = "";
    char two[1024] = "";

    for (size_t row = 0; row < JOB_ROWS; row++) {
        int32_t genes[JOB_GENES];
        job_genes(row, genes);
        for (size_t g = 0; g < JOB_GENES; g++) {
            (void)snprintf(net + strlen(net), sizeof net - strlen(net), "%d%s", (int)genes[g],
                           g + 1 < JOB_GENES ? " " : "\n");
        }
        (void)snprintf(a + strlen(a), sizeof a - strlen(a), "%zu\n", 100 * (row + 1));
        (void)snprintf(two + strlen(two), sizeof two - strlen(two), "%zu\n",
                       100 * (row + 1) + row % 3);
    }
    (void)write_text(JOB_TREE "net.txt", net);
    (void)write_text(JOB_TREE "a.txt", a);
    (void)write_text(JOB_TREE "latency/Two.txt", two);
    (void)write_text(JOB_TREE "latency/Three.txt", two);
    (void)write_text(JOB_TREE "hardware/One.txt", "1 1 1 1");
    (void)write_text(JOB_TREE "hardware/Two.txt", "2 1 1 1");
    (void)write_text(JOB_TREE "hardware/Three.txt", "2 1 1 1");
    assert_int_equal(data_tree_init(tree, check_directory, NULL, NULL), ERR_OK);
}

/* measurements/ of Four (no data sheet) and Two: the cells of the tree and as many others, each device
 * in a way of its own. */
static inline void job_make_library(void)
{
    static const char *const names[] = {"Four", "Two"};

    for (size_t d = 0; d < COUNT_OF(names); d++) {
        char rows[4096] = "architecture,latency_ms\n";
        char path[64];
        for (size_t row = 0; row < 2 * JOB_ROWS; row++) {
            int32_t genes[JOB_GENES];
            char text[SPACE_TEXT_BYTES];
            double ms = 10.0;
            space_unrank(&space_nasbench201, (row * 311 + d) % 15625, genes);
            for (size_t g = 0; g < JOB_GENES; g++) {
                ms += (double)genes[g] * (d == 0 ? 1.0 : 3.0) + (double)(g * d);
            }
            (void)space_print_genes(&space_nasbench201, genes, text);
            (void)snprintf(rows + strlen(rows), sizeof rows - strlen(rows), "%s,%g\n", text, ms);
        }
        (void)snprintf(path, sizeof path, JOB_TREE "measurements/%s.csv", names[d]);
        (void)write_text(path, rows);
    }
}

/* Fits the kind to the rows (mlp: one epoch) and serves that, as trained on the device One. */
static inline void job_serve_model(const struct predictor_kind *kind,
                                   char version[MODEL_VERSION_BYTES])
{
    struct model model = {
        .info = {.source = "a.txt", .n_rows = 1, .data_sha256 = "0", .validation = "none"}
    };
    const struct fit_options options = {.n_epochs = 1, .learning_rate = 0.1};
    char name[] = "One";
    char *const names[] = {name};
    int32_t genes[JOB_ROWS * JOB_GENES];
    double a[JOB_ROWS];
    char path[PATH_BYTES];
    struct error err = {0};

    for (size_t row = 0; row < JOB_ROWS; row++) {
        job_genes(row, genes + row * JOB_GENES);
        a[row] = 100.0 * (double)(row + 1);
    }
    assert_ok(predictor_fit(kind, &space_nasbench201, genes, a, JOB_ROWS, &options,
                            &model.predictor, NULL, &err),
              &err);
    assert_ok(model_info_set_devices(&model.info, names, 1, &err), &err);
    model_version(model.predictor, model.info.version);
    memcpy(version, model.info.version, MODEL_VERSION_BYTES);
    assert_ok(model_store_save(check_directory, NULL, &model, path, &err), &err);
    model_close(&model);
}

/* ---- the environment ------------------------------------------------------------------------- */

struct job_watch {
    int attempt;               /* 0 is the first, too */
    size_t stop_at, n_reports; /* the report, from 1, that is answered by a stop; 0: none is */
    bool is_commit_refused;
    size_t n_commits;
    double percent;                 /* the last one that was told */
    size_t stop_epoch, first_epoch; /* the epoch that is answered by a stop; the first one told */
    const char *served;             /* the version that is served, NULL: there is none ... */
    double r_served;                /* ... and its R */
    struct model model;             /* that one, as far as it is told */
    int n_acquired;                 /* and not given back */
    enum err activation;            /* what serving another one ends with */
    size_t n_activations;
    char activated[MODEL_NAME_BYTES]; /* the last one */
};

static inline bool job_watch_report(void *context, const struct job_progress *progress)
{
    struct job_watch *watch = context;

    assert_true(progress->percent >= watch->percent && progress->percent <= 100.0);
    assert_non_null(progress->stage);
    assert_int_equal(watch->n_commits, 0); /* what may not be stopped any more tells nothing */
    watch->percent = progress->percent;
    watch->first_epoch = watch->first_epoch > 0 ? watch->first_epoch : progress->epoch;
    return ++watch->n_reports != watch->stop_at &&
           (progress->epoch == 0 || progress->epoch != watch->stop_epoch);
}

static inline bool job_watch_commit(void *context)
{
    struct job_watch *watch = context;

    watch->n_commits++;
    return !watch->is_commit_refused;
}

static inline const struct model *job_watch_acquire(void *context, const struct space *space)
{
    struct job_watch *watch = context;

    assert_ptr_equal(space, &space_nasbench201);
    (void)snprintf(watch->model.info.version, sizeof watch->model.info.version, "%s",
                   watch->served);
    watch->model.info.r_held_out = watch->r_served;
    watch->n_acquired++;
    return &watch->model;
}

static inline void job_watch_release(void *context, const struct model *model)
{
    struct job_watch *watch = context;

    assert_ptr_equal(model, &watch->model);
    watch->n_acquired--;
}

static inline enum err job_watch_activate(void *context, const struct space *space,
                                          const char *name, struct error *err)
{
    struct job_watch *watch = context;

    assert_ptr_equal(space, &space_nasbench201);
    assert_int_equal(watch->n_commits, 1); /* what is served is in place */
    watch->n_activations++;
    (void)snprintf(watch->activated, sizeof watch->activated, "%s", name);
    return watch->activation == ERR_OK ? ERR_OK
                                       : error_set(err, watch->activation, "no room to serve it");
}

static inline struct job_env job_watch_env(struct job_watch *watch, const struct data_tree *tree)
{
    return (struct job_env){
        .tree = tree,
        .id = JOB_ID,
        .attempt = watch->attempt > 0 ? watch->attempt : 1,
        .context = watch,
        .report = job_watch_report,
        .may_commit = job_watch_commit,
        .acquire_served = watch->served != NULL ? job_watch_acquire : NULL,
        .release_served = job_watch_release,
        .activate = job_watch_activate,
    };
}

/* Reads an order as a client would submit it. */
static inline void job_read(const char *json, struct job_order *order)
{
    struct field_errors errors = {0};
    struct error err = {0};

    assert_ok(msg_job_decode(json, strlen(json), order, &errors, &err), &err);
    field_errors_close(&errors);
}

/* Submits, and expects the check to refuse it for that pointer alone, in words that hold `phrase`. */
static inline void job_refused(const struct data_tree *tree, const char *json, const char *pointer,
                               const char *phrase)
{
    const struct job_env env = {.tree = tree};
    struct job_order order = {0};
    struct field_errors errors = {0};
    struct error err = {0};

    job_read(json, &order);
    assert_error(job_kinds[order.kind].check(&env, &order, &errors, &err), ERR_INVALID, &err,
                 phrase);
    assert_int_equal(errors.n, 1);
    assert_string_equal(errors.items[0].pointer, pointer);
    assert_contains(errors.items[0].detail, phrase);
    assert_null(strstr(errors.items[0].detail, check_directory)); /* no path of the service's */
    field_errors_close(&errors);
    job_order_close(&order);
}

static inline void job_accepted(const struct data_tree *tree, const char *json)
{
    const struct job_env env = {.tree = tree};
    struct job_order order = {0};
    struct field_errors errors = {0};
    struct error err = {0};

    job_read(json, &order);
    assert_ok(job_kinds[order.kind].check(&env, &order, &errors, &err), &err);
    assert_int_equal(errors.n, 0);
    field_errors_close(&errors);
    job_order_close(&order);
}

static inline enum err job_try(const struct data_tree *tree, const char *json,
                               struct job_watch *watch, struct text *result, struct error *err)
{
    const struct job_env env = job_watch_env(watch, tree);
    struct job_order order = {0};
    enum err rc;

    job_read(json, &order);
    rc = job_kinds[order.kind].run(&env, &order, result, err);
    job_order_close(&order);
    return rc;
}

/* Runs it to its end. */
static inline void job_succeeds(const struct data_tree *tree, const char *json, struct text *result)
{
    struct job_watch watch = {0};
    struct error err = {0};

    assert_ok(job_try(tree, json, &watch, result, &err), &err);
    assert_int_equal(watch.n_commits, 1);
    assert_true(watch.n_reports > 2);
    assert_null(strchr(result->bytes, '\n'));
}

/* Stops it at its 1st report, at some or all of the following, and then where it asks whether it may
 * commit: it must leave no file below `directory` each time. */
static inline void job_stops(const struct data_tree *tree, const char *json, const char *directory,
                             bool is_everywhere)
{
    size_t n_reports = 0;

    for (size_t at = 1;; at += is_everywhere ? 1 : 1 + at / 2) {
        struct job_watch watch = {.stop_at = at, .is_commit_refused = true};
        struct text result = {0};
        struct error err = {0};
        assert_error(job_try(tree, json, &watch, &result, &err), ERR_CANCELED, &err, "stopped");
        assert_int_equal(result.size, 0);
        assert_int_equal(count_files(own_path(directory)), 0);
        n_reports = watch.n_reports;
        text_close(&result);
        if (watch.n_commits > 0) {
            break;
        }
        assert_int_equal(n_reports, at);
    }
    assert_true(n_reports > 2);
}

static inline void job_stops_everywhere(const struct data_tree *tree, const char *json,
                                        const char *directory)
{
    job_stops(tree, json, directory, true);
}

#endif
