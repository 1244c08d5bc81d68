/* The paper's predictor: genes -> 512 -> 2048 -> 2048 -> 2048 -> 256 -> 28 -> 1 with tanh. The
 * layers up to 256 keep their random weights (core/random_layers.h), so their outputs are computed
 * once for a training run; 256 -> 28 -> 1 is trained by full-batch gradient descent on smooth L1,
 * with targets A / 100 and genes less their column means (Wang and Zhang, IEEE TMC 2024, and its
 * public implementation). */
#include <math.h>
#include <string.h>

#include "core/dataset.h"
#include "core/mem.h"
#include "core/mlp.h"
#include "core/predictor.h"
#include "core/random_layers.h"

/* The network speaks in hundreds of ms. A linear output may fall below zero far from the data; no
 * network is that fast. */
#define TARGET_UNIT 100.0
#define A_MIN       1.0

enum {
    N_TRAINED_LAYERS = 2,
    N_HIDDEN = 28,
    BLOCK_ROWS = 1024,
    MAX_ROWS = 200000,
    N_PARTS = 10,          /* the held-out share is counted in tenths */
    FEATURES_EPOCHS = 200, /* epochs that take about as long as making the features */
};

static const size_t trained_widths[N_TRAINED_LAYERS + 1] = {RANDOM_N_OUTPUTS, N_HIDDEN, 1};

struct predictor_mlp {
    struct predictor base;
    int64_t seed; /* of the frozen layers */
    double column_means[SPACE_MAX_GENES];
    struct random_layers frozen;
    struct mlp trained;
    double residual_sd; /* of A: root mean square over rows that were held out, else over all */
};

static void mlp_predictor_destroy(struct predictor *predictor)
{
    struct predictor_mlp *p = (struct predictor_mlp *)predictor;

    random_layers_close(&p->frozen);
    mlp_close(&p->trained);
    mem_free(p);
}

/* Without its frozen layers yet: draw_frozen(). */
static enum err create(const struct space *space, uint64_t seed, struct predictor_mlp **out,
                       struct error *err)
{
    struct predictor_mlp *p = mem_calloc(1, sizeof *p);
    enum err rc;

    if (p == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for a predictor");
    }
    p->base.kind = &predictor_kind_mlp;
    p->base.space = space;
    p->seed = (int64_t)seed;
    rc = mlp_init(&p->trained, trained_widths, N_TRAINED_LAYERS, err);
    if (rc != ERR_OK) {
        mlp_predictor_destroy(&p->base);
        return rc;
    }
    *out = p;
    return ERR_OK;
}

static enum err draw_frozen(struct predictor_mlp *p, struct error *err)
{
    return random_layers_init(&p->frozen, p->base.space->n_genes, (uint64_t)p->seed, err);
}

/* ---- prediction ------------------------------------------------------------------------------ */

/* Outputs of the frozen layers for n architectures: features (n, RANDOM_N_OUTPUTS). */
static enum err make_features(const struct predictor_mlp *p, const int32_t *genes, size_t n,
                              double *features, random_layers_observer *observer, void *context,
                              struct error *err)
{
    const size_t n_genes = p->base.space->n_genes;
    double *x = mem_calloc(n, n_genes * sizeof *x);
    enum err rc;

    if (x == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for %zu architectures", n);
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t g = 0; g < n_genes; g++) {
            x[i * n_genes + g] = genes[i * n_genes + g] - p->column_means[g];
        }
    }
    rc = random_layers_apply(&p->frozen, x, n, features, observer, context, err);
    mem_free(x);
    return rc;
}

/* A from the network's output; ERR_NUMERIC where it is not finite. */
static enum err output_to_a(const double *output, size_t n, double *a, struct error *err)
{
    for (size_t i = 0; i < n; i++) {
        a[i] = fmax(TARGET_UNIT * output[i], A_MIN);
        if (!isfinite(output[i])) {
            return error_set(err, ERR_NUMERIC, "the predictor gives no finite A");
        }
    }
    return ERR_OK;
}

static enum err mlp_predict(const struct predictor *predictor, const int32_t *genes, size_t n,
                            double *a, double *sd, struct error *err)
{
    const struct predictor_mlp *p = (const struct predictor_mlp *)predictor;
    const size_t block = n < BLOCK_ROWS ? n : BLOCK_ROWS;
    double *features = mem_calloc(block * RANDOM_N_OUTPUTS, sizeof *features);
    struct mlp_workspace ws = {0};
    enum err rc = mlp_workspace_init(&ws, &p->trained, block, err);

    if (features == NULL) {
        rc = error_set(err, ERR_NOMEM, "no memory for %zu predictions", n);
    }
    for (size_t first = 0; rc == ERR_OK && first < n; first += block) {
        size_t rows = n - first < block ? n - first : block;
        rc = make_features(p, genes + first * p->base.space->n_genes, rows, features, NULL, NULL,
                           err);
        if (rc == ERR_OK) {
            rc = output_to_a(mlp_forward(&p->trained, &ws, features, rows), rows, a + first, err);
        }
    }
    for (size_t i = 0; sd != NULL && i < n; i++) {
        sd[i] = p->residual_sd;
    }
    mlp_workspace_close(&ws);
    mem_free(features);
    return rc;
}

/* ---- weights in and out ---------------------------------------------------------------------- */

static struct tensor describe(const char *name, enum tensor_type type, size_t n, const void *data)
{
    struct tensor t = {.type = type, .n_dims = 1, .shape = {n}, .data = data};

    memcpy(t.name, name, strlen(name) + 1);
    return t;
}

static size_t mlp_weights(const struct predictor *predictor, struct tensor *tensors)
{
    const struct predictor_mlp *p = (const struct predictor_mlp *)predictor;

    tensors[0] = describe("seed", TENSOR_I64, 1, &p->seed);
    tensors[1] = describe("column_means", TENSOR_F64, predictor->space->n_genes, p->column_means);
    tensors[2] = describe("hidden.weight", TENSOR_F64, 0, mlp_weight(&p->trained, 0));
    tensors[2].n_dims = 2;
    tensors[2].shape[0] = N_HIDDEN;
    tensors[2].shape[1] = RANDOM_N_OUTPUTS;
    tensors[3] = describe("hidden.bias", TENSOR_F64, N_HIDDEN, mlp_bias(&p->trained, 0));
    tensors[4] = describe("output.weight", TENSOR_F64, N_HIDDEN, mlp_weight(&p->trained, 1));
    tensors[5] = describe("output.bias", TENSOR_F64, 1, mlp_bias(&p->trained, 1));
    tensors[6] = describe("residual_sd", TENSOR_F64, 1, &p->residual_sd);
    return 7;
}

static enum err read_trained(const struct tensor *tensors, size_t n_tensors,
                             struct predictor_mlp *p, struct error *err)
{
    double *const hidden = mlp_weight(&p->trained, 0); /* each bias follows its weight */
    double *const output = mlp_weight(&p->trained, 1);
    const size_t n_hidden_weights = (size_t)N_HIDDEN * RANDOM_N_OUTPUTS;
    const struct {
        const char *name;
        size_t n;
        double *out;
    } parts[] = {
        {"column_means",  p->base.space->n_genes, p->column_means          },
        {"hidden.weight", n_hidden_weights,       hidden                   },
        {"hidden.bias",   N_HIDDEN,               hidden + n_hidden_weights},
        {"output.weight", N_HIDDEN,               output                   },
        {"output.bias",   1,                      output + N_HIDDEN        },
        {"residual_sd",   1,                      &p->residual_sd          },
    };
    enum err rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < sizeof parts / sizeof *parts; i++) {
        rc = tensor_read(tensors, n_tensors, parts[i].name, parts[i].n, parts[i].out, err);
    }
    if (rc == ERR_OK && p->residual_sd < 0.0) {
        rc = error_set(err, ERR_INVALID, "the tensor \"residual_sd\" must not be negative");
    }
    return rc;
}

static enum err mlp_load(const struct space *space, const struct tensor *tensors, size_t n_tensors,
                         struct predictor **out, struct error *err)
{
    struct predictor_mlp *p;
    int64_t seed;
    enum err rc = tensor_read_whole(tensors, n_tensors, "seed", &seed, err);

    rc = rc != ERR_OK ? rc : create(space, (uint64_t)seed, &p, err);
    if (rc != ERR_OK) {
        return rc;
    }
    rc = read_trained(tensors, n_tensors, p, err);
    rc = rc != ERR_OK ? rc : draw_frozen(p, err); /* 40 MB: only for a file that is right */
    if (rc != ERR_OK) {
        mlp_predictor_destroy(&p->base);
        return rc;
    }
    *out = &p->base;
    return ERR_OK;
}

/* ---- fit ------------------------------------------------------------------------------------- */

/* Everything a fit works on. Rows are reordered: those that are trained on come first. */
struct fit {
    const struct space *space;
    const struct fit_options *options;
    struct predictor_mlp *predictor;
    struct mlp_workspace ws;
    size_t n, n_trained;
    size_t *rows;      /* (n): where the reordered rows stand in the caller's data */
    int32_t *genes;    /* (n, n_genes) */
    double *features;  /* (n, RANDOM_N_OUTPUTS) */
    double *target;    /* (n): A in the network's unit */
    double *predicted; /* (n): A */
    double loss;
};

static void fit_free(struct fit *f)
{
    mlp_workspace_close(&f->ws);
    mem_free(f->rows);
    mem_free(f->genes);
    mem_free(f->features);
    mem_free(f->target);
    mem_free(f->predicted);
}

static enum err fit_alloc(struct fit *f, struct error *err)
{
    f->rows = mem_calloc(f->n, sizeof *f->rows);
    f->genes = mem_calloc(f->n, f->space->n_genes * sizeof *f->genes);
    f->features = mem_calloc(f->n, RANDOM_N_OUTPUTS * sizeof *f->features);
    f->target = mem_calloc(f->n, sizeof *f->target);
    f->predicted = mem_calloc(f->n, sizeof *f->predicted);
    if (f->rows == NULL || f->genes == NULL || f->features == NULL || f->target == NULL ||
        f->predicted == NULL) {
        return error_set(err, ERR_NOMEM, "no memory to fit %zu rows", f->n);
    }
    return ERR_OK;
}

/* Splits by architecture: equal ones fall on the same side. Too few to split are all trained on. */
static enum err split_rows(struct fit *f, const int32_t *genes, const double *a, struct error *err)
{
    const size_t n_genes = f->space->n_genes;
    const size_t n_held_out_parts = (size_t)lround(f->options->held_out_share * N_PARTS);
    size_t *part = mem_calloc(f->n, sizeof *part);
    size_t n_placed = 0;
    enum err rc;

    if (part == NULL) {
        return error_set(err, ERR_NOMEM, "no memory to split %zu rows", f->n);
    }
    rc = dataset_fold(f->space, genes, f->n, N_PARTS, f->options->seed, part, err);
    for (size_t i = 0; rc == ERR_INVALID && i < f->n; i++) {
        part[i] = N_PARTS; /* fewer distinct architectures than parts */
    }
    rc = rc == ERR_INVALID ? ERR_OK : rc;
    for (int side = 0; rc == ERR_OK && side < 2; side++) {
        for (size_t i = 0; i < f->n; i++) {
            if ((part[i] < n_held_out_parts) == (side == 1)) {
                f->rows[n_placed] = i;
                f->target[n_placed] = a[i] / TARGET_UNIT;
                memcpy(f->genes + n_placed * n_genes, genes + i * n_genes, n_genes * sizeof *genes);
                n_placed++;
            }
        }
        f->n_trained = side == 0 ? n_placed : f->n_trained;
    }
    mem_free(part);
    return rc;
}

static void set_column_means(struct fit *f)
{
    const size_t n_genes = f->space->n_genes;

    for (size_t g = 0; g < n_genes; g++) {
        double sum = 0.0;
        for (size_t i = 0; i < f->n_trained; i++) {
            sum += f->genes[i * n_genes + g];
        }
        f->predictor->column_means[g] = sum / (double)f->n_trained;
    }
}

/* Takes the trained layers from a saved state; false where it is none of this fit. */
static bool resume_layers(struct fit *f, size_t *first_epoch)
{
    const struct fit_hooks *hooks = f->options->hooks;
    struct mlp *trained = &f->predictor->trained;
    int64_t epoch;

    if (hooks == NULL ||
        tensor_read_whole(hooks->state, hooks->n_state, "epoch", &epoch, NULL) != ERR_OK ||
        epoch < 0 || (uint64_t)epoch > f->options->n_epochs ||
        tensor_read(hooks->state, hooks->n_state, "parameters", trained->n_parameters,
                    trained->parameters, NULL) != ERR_OK) {
        return false;
    }
    *first_epoch = (size_t)epoch;
    return true;
}

/* Sets the trained layers to where the epochs begin. */
static void start_layers(struct fit *f, size_t *first_epoch)
{
    struct rng rng;

    *first_epoch = 0;
    if (!resume_layers(f, first_epoch)) {
        rng_init(&rng, f->options->seed + 1); /* another stream than that of the frozen layers */
        mlp_draw(&f->predictor->trained, &rng);
    }
}

static double percent_done(const struct fit *f, double epochs)
{
    return 100.0 * epochs / (FEATURES_EPOCHS + (double)f->options->n_epochs);
}

static bool watch_features(void *context, double done)
{
    const struct fit *f = context;
    const struct fit_progress progress = {
        .stage = "features", .percent = percent_done(f, FEATURES_EPOCHS * done), .loss = NAN};

    return fit_tell(f->options->hooks, &progress, NULL) == ERR_OK;
}

/* Fills the frozen layers, which takes some 30 ms, and what they make of the rows. */
static enum err prepare_features(struct fit *f, struct error *err)
{
    enum err rc =
        watch_features(f, 0.0) ? ERR_OK : error_set(err, ERR_CANCELED, "stopped before the fit");

    rc = rc != ERR_OK ? rc : draw_frozen(f->predictor, err);
    if (rc == ERR_OK) {
        set_column_means(f);
        rc = make_features(f->predictor, f->genes, f->n, f->features, watch_features, f, err);
    }
    return rc;
}

/* What the observer of the epochs needs. */
struct watch {
    const struct fit *fit;
    enum err save_failed;
    struct error *err;
};

static bool watch_epoch(void *context, size_t epoch, double loss)
{
    struct watch *watch = context;
    const struct fit *f = watch->fit;
    const struct fit_hooks *hooks = f->options->hooks;
    const struct fit_progress progress = {
        .stage = "training",
        .percent = percent_done(f, FEATURES_EPOCHS + (double)epoch),
        .epoch = epoch,
        .n_epochs = f->options->n_epochs,
        .loss = loss,
    };

    if (hooks->save != NULL && epoch % CHECKPOINT_EPOCHS == 0 && epoch < f->options->n_epochs) {
        const struct mlp *trained = &f->predictor->trained;
        int64_t done = (int64_t)epoch;
        const struct tensor state[] = {
            describe("epoch", TENSOR_I64, 1, &done),
            describe("parameters", TENSOR_F64, trained->n_parameters, trained->parameters),
        };
        watch->save_failed = hooks->save(hooks->context, state, 2, watch->err);
        if (watch->save_failed != ERR_OK) {
            return false;
        }
    }
    return hooks->progress == NULL || hooks->progress(hooks->context, &progress);
}

static enum err train_layers(struct fit *f, struct error *err)
{
    struct error save_error = {0};
    struct watch watch = {.fit = f, .save_failed = ERR_OK, .err = &save_error};
    struct mlp_training training = {
        .n_epochs = f->options->n_epochs,
        .learning_rate = f->options->learning_rate,
        .observer = f->options->hooks != NULL ? watch_epoch : NULL,
        .context = &watch,
    };
    enum err rc;

    start_layers(f, &training.first_epoch);
    if (f->options->hooks != NULL) {
        f->ws.breathe = f->options->hooks->breathe;
        f->ws.breathe_context = f->options->hooks->context;
    }
    rc = mlp_train(&f->predictor->trained, &f->ws, f->features, f->target, f->n_trained, &training,
                   &f->loss, err);
    return watch.save_failed != ERR_OK ? error_set(err, save_error.code, "%s", save_error.text)
                                       : rc;
}

static bool is_constant(const double *values, size_t n)
{
    size_t i = 1;

    while (i < n && values[i] == values[0]) {
        i++;
    }
    return i >= n;
}

/* Predicts all rows, and takes the scatter over those that were held out. */
static enum err evaluate(struct fit *f, struct error *err)
{
    size_t first = f->n_trained < f->n ? f->n_trained : 0;
    double squares = 0.0;
    enum err rc = output_to_a(mlp_forward(&f->predictor->trained, &f->ws, f->features, f->n), f->n,
                              f->predicted, err);

    if (rc == ERR_OK && is_constant(f->predicted, f->n) && !is_constant(f->target, f->n)) {
        return error_set(
            err, ERR_NUMERIC,
            "the network predicts the same for every architecture: the learning rate %g "
            "is too large for these data",
            f->options->learning_rate);
    }
    for (size_t i = first; i < f->n; i++) {
        double residual = f->predicted[i] - TARGET_UNIT * f->target[i];
        squares += residual * residual;
    }
    f->predictor->residual_sd = sqrt(squares / (double)(f->n - first));
    return rc;
}

static enum err report_held_out(const struct fit *f, struct fit_report *report, struct error *err)
{
    size_t n = f->n - f->n_trained;

    report->held_out = mem_calloc(n, sizeof *report->held_out);
    report->held_out_a = mem_calloc(n, sizeof *report->held_out_a);
    if (report->held_out == NULL || report->held_out_a == NULL) {
        return error_set(err, ERR_NOMEM, "no memory to report on %zu rows", n);
    }
    memcpy(report->held_out, f->rows + f->n_trained, n * sizeof *f->rows);
    memcpy(report->held_out_a, f->predicted + f->n_trained, n * sizeof *f->predicted);
    report->n_held_out = n;
    report->loss = f->loss;
    return ERR_OK;
}

static enum err run_fit(struct fit *f, const int32_t *genes, const double *a,
                        struct fit_report *report, struct error *err)
{
    enum err rc = fit_alloc(f, err);

    rc = rc != ERR_OK ? rc : split_rows(f, genes, a, err);
    rc = rc != ERR_OK ? rc : create(f->space, f->options->seed, &f->predictor, err);
    rc = rc != ERR_OK ? rc : prepare_features(f, err);
    rc = rc != ERR_OK ? rc : mlp_workspace_init(&f->ws, &f->predictor->trained, f->n, err);
    rc = rc != ERR_OK ? rc : train_layers(f, err);
    rc = rc != ERR_OK ? rc : evaluate(f, err);
    if (rc == ERR_OK && report != NULL) {
        rc = report_held_out(f, report, err);
    }
    return rc;
}

static enum err mlp_fit(const struct space *space, const int32_t *genes, const double *a, size_t n,
                        const struct fit_options *options, struct predictor **out,
                        struct fit_report *report, struct error *err)
{
    struct fit f = {.space = space, .options = options, .n = n};
    enum err rc;

    if (n == 0 || n > MAX_ROWS) {
        return error_set(err, ERR_INVALID, "a fit takes 1 to %d rows, not %zu", MAX_ROWS, n);
    }
    rc = run_fit(&f, genes, a, report, err);
    if (rc == ERR_OK) {
        *out = &f.predictor->base;
    } else if (f.predictor != NULL) {
        mlp_predictor_destroy(&f.predictor->base);
    }
    fit_free(&f);
    return rc;
}

const struct predictor_kind predictor_kind_mlp = {
    .name = "mlp",
    .has_epochs = true,
    .fit_rows_max = MAX_ROWS,
    .batch_max = 4096, /* 20 MFLOP each: more would keep a thread for longer than a client waits */
    .fit = mlp_fit,
    .predict = mlp_predict,
    .predict_bytes = predictor_predict_widened,
    .weights = mlp_weights,
    .load = mlp_load,
    .destroy = mlp_predictor_destroy,
};
