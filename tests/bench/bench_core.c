/* Measures the core in one process and one thread, and writes one CSV line a figure:
 *
 *     metric,unit,aim,better,median,low,high,runs
 *
 * Called by bench.py as: bench_core ROOT DATA_PATH RUNS, where DATA_PATH may be "-": then nothing
 * is trained. Clocks are wall clocks, so what else the machine does is in the figures; the median
 * of several runs is what to look at. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/device.h"
#include "core/matrix.h"
#include "core/mem.h"
#include "core/rng.h"
#include "core/search.h"
#include "server/run_infer.h"
#include "server/run_train.h"
#include "server/training_set.h"
#include "tests/bench/search_problem.h"

enum { MAX_RUNS = 101, N_ARCHITECTURES = 15625, SEED = 1 };

/* What a run may use; `act` is measured, once a run. */
struct bench {
    const struct space *space;
    const char *root;
    struct training_set set;
    struct model model;
    int32_t *genes; /* (n, space->n_genes) */
    uint8_t *bytes; /* the same */
    double *a, *sd; /* (n) */
    size_t n;
    struct search_problem problem;
    struct accuracy_table table; /* the oracle's, where there are data ... */
    struct accuracy_table all;   /* ... and all of a space that can be numbered */
};

typedef enum err (*act_fn)(struct bench *bench, struct error *err);

struct figure {
    const char *name; /* the metric is <name>_<space> */
    const char *unit;
    double per_second; /* units a second */
    double aim;        /* at most */
    act_fn act;
    size_t run_share;          /* one run of so many is made: for what takes long */
    bool is_per_arch;          /* the figure is divided by the number of architectures */
    bool is_for_training;      /* needs the measured data */
    const struct space *space; /* NULL: both */
};

/* ---- what is measured ------------------------------------------------------------------------ */

static const struct fit_options fit_options = {
    .seed = 0,
    .n_epochs = FIT_DEFAULT_EPOCHS,
    .learning_rate = FIT_DEFAULT_LEARNING_RATE,
    .held_out_share = FIT_DEFAULT_HELD_OUT,
};

static enum err fit_kind(struct bench *b, const struct predictor_kind *kind, struct error *err)
{
    const struct dataset *rows = &b->set.architectures;
    struct predictor *predictor = NULL;
    enum err rc = predictor_fit(kind, b->space, rows->genes, b->set.a, rows->n_rows, &fit_options,
                                &predictor, NULL, err);

    predictor_destroy(predictor);
    return rc;
}

static enum err fit(struct bench *b, struct error *err)
{
    return fit_kind(b, &predictor_kind_cost, err);
}

/* The paper's predictor: 50,000 epochs, frozen layers and all. */
static enum err fit_mlp(struct bench *b, struct error *err)
{
    return fit_kind(b, &predictor_kind_mlp, err);
}

static enum err validate(struct bench *b, struct error *err)
{
    double *held_out = mem_calloc(b->set.architectures.n_rows, sizeof *held_out);
    size_t n_folds;
    enum err rc = held_out == NULL ? error_set(err, ERR_NOMEM, "no memory to validate")
                                   : run_holdout(&b->set, &predictor_kind_cost, &fit_options,
                                                 held_out, NULL, &n_folds, err);

    mem_free(held_out);
    return rc;
}

/* From the file to a predictor that answers: nasbench201 makes its table here. */
static enum err load(struct bench *b, struct error *err)
{
    char path[PATH_BYTES];
    struct model model = {0};
    enum err rc = model_store_path(b->root, b->space, path, err);

    rc = rc != ERR_OK ? rc : model_store_load(path, b->space, &model, NULL, err);
    model_close(&model);
    return rc;
}

static enum err predict(struct bench *b, struct error *err)
{
    return predictor_predict(b->model.predictor, b->genes, b->n, b->a, NULL, err);
}

static enum err predict_sd(struct bench *b, struct error *err)
{
    return predictor_predict(b->model.predictor, b->genes, b->n, b->a, b->sd, err);
}

/* As binary tensors of UINT8 come: validated on the way. */
static enum err predict_bytes(struct bench *b, struct error *err)
{
    size_t bad_row;

    return predictor_predict_bytes(b->model.predictor, b->bytes, b->n, b->a, &bad_row, err);
}

static enum err infer_type(struct bench *b, enum infer_type type, const void *genes,
                           struct error *err)
{
    static const double phone[HARDWARE_N_FIELDS] = {2.0, 3.0, 1.0, 7.46};
    struct infer_request request = {
        .n = b->n,
        .architecture = {.type = type,
                         .n_rows = b->n,
                         .n_columns = b->space->n_genes,
                         .bytes = genes                       },
        .hardware = { .type = INFER_FP64,
                         .n_rows = 1,
                         .n_columns = HARDWARE_N_FIELDS,
                         .is_vector = true,
                         .bytes = (const unsigned char *)phone},
    };

    return run_infer(&b->model, &request, (unsigned char *)b->a, err);
}

/* From the tensors of a body to the numbers of a reply. */
static enum err infer_uint8(struct bench *b, struct error *err)
{
    return infer_type(b, INFER_UINT8, b->bytes, err);
}

static enum err infer_int32(struct bench *b, struct error *err)
{
    return infer_type(b, INFER_INT32, b->genes, err);
}

/* About the median of random architectures on that phone. */
static double limit_ms(const struct space *space)
{
    return space == &space_nasbench201 ? 2600 : 640;
}

/* Latencies on one phone of architectures whose accuracy is known, and the best of them. */
static enum err exhaust(struct bench *b, const struct accuracy_table *table, struct error *err)
{
    const struct search_candidates candidates = {.space = b->space,
                                                 .n = table->architectures.n_rows,
                                                 .genes = table->architectures.genes,
                                                 .accuracy = table->accuracy,
                                                 .cost = b->a};
    enum err rc = predictor_predict(b->problem.latency.predictor, candidates.genes, candidates.n,
                                    b->a, NULL, err);

    for (size_t i = 0; rc == ERR_OK && i < candidates.n; i++) {
        b->a[i] *= b->problem.factor / limit_ms(b->space);
    }
    if (rc == ERR_OK && !search_exhaustive(&candidates).is_feasible) {
        rc = error_set(err, ERR_INVALID, "nothing keeps the limit");
    }
    return rc;
}

static enum err exhaust_table(struct bench *b, struct error *err)
{
    return exhaust(b, &b->table, err);
}

static enum err exhaust_all(struct bench *b, struct error *err)
{
    return exhaust(b, &b->all, err);
}

/* With the shipped predictors and the options by default: of fbnetv3 100 generations of 100. */
static enum err search_by_default(struct bench *b, struct error *err)
{
    const struct genetic_options options = genetic_defaults(b->space, 0);
    struct genetic_result result = {0};
    enum err rc = search_problem_search(&b->problem, limit_ms(b->space), &options, &result, err);

    genetic_result_close(&result);
    return rc;
}

/* clang-format off */
static const struct figure figures[] = {
    /* name         unit            a second aim   act         share per arch training space */
    {"fit",         "s",            1.0,     2.0,  fit,        2,    false,   true, NULL},
    {"validate",    "s",            1.0,     0.0,  validate,   5,    false,   true, NULL},
    {"fit_mlp",     "s",            1.0,     10.0, fit_mlp,    10,   false,   true, NULL},
    {"load",        "ms",           1e3,     20.0, load,       1,    false,   false, NULL},
    {"predict",     "us/arch",      1e6,     0.5,  predict,    1,    true,    false, NULL},
    {"predict_sd",  "us/arch",      1e6,     2.0,  predict_sd, 1,    true,    false, NULL},
    {"predict_bytes", "us/arch",    1e6,     0.0,  predict_bytes, 1, true,    false, NULL}, /* validated */
    {"infer_uint8", "us/arch",      1e6,     0.0,  infer_uint8, 1,   true,    false, NULL},
    {"infer_int32", "us/arch",      1e6,     0.0,  infer_int32, 1,   true,    false, NULL},
    {"search_table",   "ms",        1e3,     1.0,  exhaust_table, 1, false,   true,  &space_nasbench201},
    {"search_all",     "ms",        1e3,     1.0,  exhaust_all, 1,   false,   false, &space_nasbench201},
    {"search_genetic", "ms",        1e3,     0.0,  search_by_default, 1, false, false, &space_nasbench201},
    {"search_genetic", "ms",        1e3,     150.0, search_by_default, 1, false, false, &space_fbnetv3},
};
/* clang-format on */

/* ---- measuring ------------------------------------------------------------------------------- */

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

static enum err measure(struct bench *b, const struct figure *figure, size_t n_runs,
                        struct error *err)
{
    const double unit = figure->per_second / (figure->is_per_arch ? (double)b->n : 1.0);
    size_t n = n_runs / figure->run_share > 0 ? n_runs / figure->run_share : 1;
    double values[MAX_RUNS];
    double median;

    for (size_t i = 0; i < n; i++) {
        double start = monotonic_seconds();
        enum err rc = figure->act(b, err);
        if (rc != ERR_OK) {
            return error_wrap(err, "%s %s", figure->name, b->space->name);
        }
        values[i] = (monotonic_seconds() - start) * unit;
    }
    qsort(values, n, sizeof *values, compare_doubles);
    median = 0.5 * (values[(n - 1) / 2] + values[n / 2]);
    (void)printf("%s_%s,%s,", figure->name, b->space->name, figure->unit);
    if (figure->aim > 0.0) {
        (void)printf("%g", figure->aim);
    }
    (void)printf(",lower,%.6g,%.6g,%.6g,%zu\n", median, values[0], values[n - 1], n);
    if (figure->is_per_arch) {
        (void)printf("%s_%s_rate,arch/s,,higher,%.6g,%.6g,%.6g,%zu\n", figure->name, b->space->name,
                     1e6 / median, 1e6 / values[n - 1], 1e6 / values[0], n);
    }
    (void)fflush(stdout);
    return ERR_OK;
}

/* Random ones, so that no figure profits from a neighbour in a table. */
static enum err make_architectures(struct bench *b, struct error *err)
{
    const struct space *space = b->space;
    struct rng rng;

    b->n = N_ARCHITECTURES;
    b->genes = mem_calloc(b->n, space->n_genes * sizeof *b->genes);
    b->bytes = mem_calloc(b->n, space->n_genes);
    b->a = mem_calloc(b->n, sizeof *b->a);
    b->sd = mem_calloc(b->n, sizeof *b->sd);
    if (b->genes == NULL || b->bytes == NULL || b->a == NULL || b->sd == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for %zu architectures", b->n);
    }
    rng_init(&rng, SEED);
    for (size_t i = 0; i < b->n * space->n_genes; i++) {
        const struct gene *gene = &space->genes[i % space->n_genes];
        b->genes[i] = gene->first + gene->step * (int32_t)rng_below(&rng, (size_t)gene->n_values);
        b->bytes[i] = (uint8_t)b->genes[i];
    }
    return ERR_OK;
}

static enum err load_data(struct bench *b, const char *data_path, struct error *err)
{
    struct data_tree tree;
    struct names devices = {0};
    enum err rc = data_tree_init(&tree, b->root, data_path, err);

    rc = rc != ERR_OK ? rc : training_default_devices(&tree, b->space, &devices, err);
    rc = rc != ERR_OK ? rc : training_set_load(&tree, b->space, &devices, &b->set, err);
    names_close(&devices);
    return rc;
}

/* What searches need: predictors, and of a space that can be numbered all accuracies. */
static enum err open_search(struct bench *b, const char *data_path, struct error *err)
{
    const struct hardware phone = {2.0, 3.0, 1.0, 7.46};
    const bool is_numbered = b->space->n_architectures > 0;
    struct data_tree tree;
    enum err rc = search_problem_open(&b->problem, b->root, "-", b->space, &phone, err);

    if (rc == ERR_OK && is_numbered) {
        rc = accuracy_source_list(&b->problem.source, &b->all, err);
    }
    if (rc == ERR_OK && is_numbered && strcmp(data_path, "-") != 0) {
        rc = data_tree_init(&tree, b->root, data_path, err);
        rc = rc != ERR_OK ? rc : data_load_accuracy(&tree, b->space, &b->table, err);
    }
    return rc;
}

static void close_bench(struct bench *b)
{
    training_set_close(&b->set);
    model_close(&b->model);
    search_problem_close(&b->problem);
    accuracy_table_close(&b->table);
    accuracy_table_close(&b->all);
    mem_free(b->genes);
    mem_free(b->bytes);
    mem_free(b->a);
    mem_free(b->sd);
}

static enum err run_space(const struct space *space, const char *root, const char *data_path,
                          size_t n_runs, struct error *err)
{
    struct bench b = {.space = space, .root = root};
    bool has_data = strcmp(data_path, "-") != 0;
    char path[PATH_BYTES];
    enum err rc = model_store_path(root, space, path, err);

    rc = rc != ERR_OK ? rc : model_store_load(path, space, &b.model, NULL, err);
    rc = rc != ERR_OK ? rc : make_architectures(&b, err);
    if (rc == ERR_OK && has_data) {
        rc = load_data(&b, data_path, err);
    }
    rc = rc != ERR_OK ? rc : open_search(&b, data_path, err);
    for (size_t i = 0; rc == ERR_OK && i < sizeof figures / sizeof *figures; i++) {
        if ((has_data || !figures[i].is_for_training) &&
            (figures[i].space == NULL || figures[i].space == space)) {
            rc = measure(&b, &figures[i], n_runs, err);
        }
    }
    close_bench(&b);
    return rc;
}

int main(int argc, char **argv)
{
    struct error err = {0};
    long n_runs = argc == 4 ? strtol(argv[3], NULL, 10) : 0;
    enum err rc;

    if (n_runs < 1 || n_runs > MAX_RUNS) {
        (void)fprintf(stderr, "usage: bench_core ROOT DATA_PATH|- RUNS (1 to %d)\n", MAX_RUNS);
        return 2;
    }
    rc = matrix_init(&err);
    for (size_t i = 0; rc == ERR_OK && built_in_spaces[i] != NULL; i++) {
        rc = run_space(built_in_spaces[i], argv[1], argv[2], (size_t)n_runs, &err);
    }
    if (rc != ERR_OK) {
        (void)fprintf(stderr, "bench_core: %s\n", err.text);
        return 1;
    }
    return 0;
}
