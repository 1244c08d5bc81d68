/* core/mlp.h against finite differences, against libm, and against a training recorded with PyTorch
 * (the file mlp_sgd.json beside the measured data: weights, gradients, 200 losses, outputs). */
#include <jansson.h>

#include "core/matrix.h"
#include "core/mlp.h"
#include "core/table.h"
#include "tests/support/check.h"

/* ---- tanh ------------------------------------------------------------------------------------ */

static void tanh_agrees_with_libm(void **state)
{
    double worst = 0.0;

    (void)state;
    for (int i = -250000; i <= 250000; i++) {
        double y[3] = {i * 1e-4, i * 1e-9, i * 1e-1};
        const double x[3] = {y[0], y[1], y[2]};
        mlp_tanh(y, 3);
        for (size_t k = 0; k < 3; k++) {
            worst = fmax(worst, fabs(y[k] - tanh(x[k])));
        }
    }
    assert_at_most(worst, 4e-16);
}

static void tanh_keeps_signs_limits_and_nan(void **state)
{
    double y[] = {INFINITY, -INFINITY, NAN, 0.0, -0.0, 1e308, -1e308};

    (void)state;
    mlp_tanh(y, COUNT_OF(y));
    assert_true(y[0] == 1.0 && y[1] == -1.0 && isnan(y[2]));
    assert_true(y[3] == 0.0 && !signbit(y[3]) && y[4] == 0.0 && signbit(y[4]));
    assert_true(y[5] == 1.0 && y[6] == -1.0);
}

/* Whatever the place in a vector, an element gets the same bits. */
static void tanh_does_not_depend_on_the_place(void **state)
{
    double many[37];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(many); i++) {
        many[i] = 0.1 * (double)i - 1.7;
    }
    for (size_t i = 0; i < COUNT_OF(many); i++) {
        double one = many[i];
        double all[COUNT_OF(many)];
        memcpy(all, many, sizeof all);
        mlp_tanh(&one, 1);
        mlp_tanh(all, COUNT_OF(all));
        assert_memory_equal(&one, &all[i], sizeof one);
    }
}

/* ---- gradients ------------------------------------------------------------------------------- */

enum { N_ROWS = 11 };

static double loss_of(const struct mlp *mlp, struct mlp_workspace *ws, const double *x,
                      const double *target)
{
    double slope[N_ROWS];

    return loss_smooth_l1(mlp_forward(mlp, ws, x, N_ROWS), target, N_ROWS, slope);
}

static void backward_agrees_with_finite_differences(void **state)
{
    const size_t widths[] = {3, 7, 5, 1};
    struct mlp mlp;
    struct mlp_workspace ws;
    struct rng rng;
    double x[N_ROWS * 3];
    double target[N_ROWS];
    double slope[N_ROWS];

    (void)state;
    assert_ok(mlp_init(&mlp, widths, 3, NULL), NULL);
    assert_ok(mlp_workspace_init(&ws, &mlp, N_ROWS, NULL), NULL);
    rng_init(&rng, 5);
    mlp_draw(&mlp, &rng);
    for (size_t i = 0; i < N_ROWS * 3; i++) {
        x[i] = 2.0 * rng_uniform(&rng) - 1.0;
    }
    for (size_t i = 0; i < N_ROWS; i++) {
        target[i] = 4.0 * rng_uniform(&rng) - 2.0; /* errors below and above the kink at 1 */
    }
    loss_smooth_l1(mlp_forward(&mlp, &ws, x, N_ROWS), target, N_ROWS, slope);
    mlp_backward(&mlp, &ws, x, N_ROWS, slope, 0);
    for (size_t i = 0; i < mlp.n_parameters; i++) {
        const double step = 1e-6;
        double gradient = ws.gradient[i];
        double kept = mlp.parameters[i];
        double up;
        double down;
        mlp.parameters[i] = kept + step;
        up = loss_of(&mlp, &ws, x, target);
        mlp.parameters[i] = kept - step;
        down = loss_of(&mlp, &ws, x, target);
        mlp.parameters[i] = kept;
        assert_near(gradient, (up - down) / (2.0 * step), 1e-8);
    }
    mlp_workspace_close(&ws);
    mlp_close(&mlp);
}

/* ---- the recorded training ------------------------------------------------------------------- */

enum { RECORDED_ROWS = 40, RECORDED_STEPS = 200, RECORDED_GENES = 6, FIRST_TRAINED = 5 };

struct recording {
    json_t *root;
    struct mlp mlp;
    struct mlp_workspace ws;
    double x[RECORDED_ROWS * RECORDED_GENES];
    double target[RECORDED_ROWS];
};

/* Copies nested lists of numbers, in order; returns how many there were. */
static size_t copy_numbers(const json_t *value, double *out)
{
    size_t n = 0;

    if (json_is_number(value)) {
        *out = json_number_value(value);
        return 1;
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
        n += copy_numbers(json_array_get(value, i), out + n);
    }
    return n;
}

static void load_layers(const json_t *layers, size_t first, struct mlp *mlp)
{
    for (size_t l = 0; l < json_array_size(layers); l++) {
        const json_t *layer = json_array_get(layers, l);
        size_t in = mlp->widths[first + l];
        size_t out = mlp->widths[first + l + 1];
        assert_int_equal(copy_numbers(json_object_get(layer, "weight"), mlp_weight(mlp, first + l)),
                         in * out);
        assert_int_equal(copy_numbers(json_object_get(layer, "bias"), mlp_bias(mlp, first + l)),
                         out);
    }
}

static void load_rows(struct recording *r)
{
    double mean[RECORDED_GENES];
    struct table net = {0};
    double *a = NULL;

    assert_ok(table_read(shared_path("data/dgl/nasbench201/net.txt"), RECORDED_GENES, &net, NULL),
              NULL);
    assert_ok(table_read_positive(shared_path("data/dgl/nasbench201/a.txt"), 0, &a, NULL, NULL),
              NULL);
    assert_int_equal(copy_numbers(json_object_get(r->root, "column_mean"), mean), RECORDED_GENES);
    for (size_t i = 0; i < RECORDED_ROWS; i++) {
        r->target[i] = a[i] / 100.0;
        for (size_t g = 0; g < RECORDED_GENES; g++) {
            r->x[i * RECORDED_GENES + g] = net.values[i * RECORDED_GENES + g] - mean[g];
        }
    }
    mem_free(a);
    table_close(&net);
}

static struct recording *load_recording(void)
{
    static struct recording r;
    const char *path = shared_path("vectors/mlp_sgd.json");
    double widths[8];
    size_t sizes[8];

    r.root = json_load_file(path, 0, NULL);
    assert_non_null(r.root);
    assert_int_equal(copy_numbers(json_object_get(r.root, "widths"), widths), 8);
    for (size_t i = 0; i < 8; i++) {
        sizes[i] = (size_t)widths[i];
    }
    assert_ok(mlp_init(&r.mlp, sizes, 7, NULL), NULL);
    assert_ok(mlp_workspace_init(&r.ws, &r.mlp, RECORDED_ROWS, NULL), NULL);
    load_layers(json_object_get(r.root, "layers_before"), 0, &r.mlp);
    load_rows(&r);
    return &r;
}

static void close_recording(struct recording *r)
{
    mlp_workspace_close(&r->ws);
    mlp_close(&r->mlp);
    json_decref(r->root);
}

#define RECORDED_TOLERANCE 1e-9

static void assert_outputs(struct recording *r, const char *key)
{
    double expected[RECORDED_ROWS];
    const double *output = mlp_forward(&r->mlp, &r->ws, r->x, RECORDED_ROWS);

    assert_int_equal(copy_numbers(json_object_get(r->root, key), expected), RECORDED_ROWS);
    for (size_t i = 0; i < RECORDED_ROWS; i++) {
        assert_near(output[i], expected[i], RECORDED_TOLERANCE);
    }
}

static void first_outputs_and_gradients_are_as_recorded(void **state)
{
    struct recording *r = load_recording();
    double slope[RECORDED_ROWS];
    struct mlp expected = {0};

    (void)state;
    assert_outputs(r, "output_before");
    loss_smooth_l1(mlp_forward(&r->mlp, &r->ws, r->x, RECORDED_ROWS), r->target, RECORDED_ROWS,
                   slope);
    mlp_backward(&r->mlp, &r->ws, r->x, RECORDED_ROWS, slope, FIRST_TRAINED);
    assert_ok(mlp_init(&expected, r->mlp.widths, r->mlp.n_layers, NULL), NULL);
    load_layers(json_object_get(r->root, "gradient_first_step_last_two_layers"), FIRST_TRAINED,
                &expected);
    for (const double *e = mlp_weight(&expected, FIRST_TRAINED);
         e < expected.parameters + expected.n_parameters; e++) {
        assert_near(r->ws.gradient[e - expected.parameters], *e, RECORDED_TOLERANCE);
    }
    mlp_close(&expected);
    close_recording(r);
}

struct losses {
    double expected[RECORDED_STEPS];
    size_t n_seen;
};

static bool compare_loss(void *context, size_t epoch, double loss)
{
    struct losses *losses = context;

    assert_int_equal(epoch, ++losses->n_seen);
    assert_near(loss, losses->expected[epoch - 1], RECORDED_TOLERANCE);
    return true;
}

static void training_is_as_recorded(void **state)
{
    struct recording *r = load_recording();
    struct losses losses = {.n_seen = 0};
    const struct mlp_training training = {
        .first_layer = FIRST_TRAINED,
        .n_epochs = RECORDED_STEPS,
        .learning_rate = 0.1,
        .observer = compare_loss,
        .context = &losses,
    };
    struct mlp expected = {0};

    (void)state;
    assert_int_equal(copy_numbers(json_object_get(r->root, "loss_per_step"), losses.expected),
                     RECORDED_STEPS);
    assert_ok(mlp_train(&r->mlp, &r->ws, r->x, r->target, RECORDED_ROWS, &training, NULL, NULL),
              NULL);
    assert_int_equal(losses.n_seen, RECORDED_STEPS);
    assert_outputs(r, "output_after");
    assert_ok(mlp_init(&expected, r->mlp.widths, r->mlp.n_layers, NULL), NULL);
    load_layers(json_object_get(r->root, "layers_after_last_two"), FIRST_TRAINED, &expected);
    for (const double *e = mlp_weight(&expected, FIRST_TRAINED);
         e < expected.parameters + expected.n_parameters; e++) {
        assert_near(r->mlp.parameters[e - expected.parameters], *e, RECORDED_TOLERANCE);
    }
    mlp_close(&expected);
    close_recording(r);
}

/* ---- ends of a training ---------------------------------------------------------------------- */

struct small {
    struct mlp mlp;
    struct mlp_workspace ws;
    double x[N_ROWS * 2], target[N_ROWS];
};

static void make_small(struct small *s)
{
    const size_t widths[] = {2, 4, 1};
    struct rng rng;

    assert_ok(mlp_init(&s->mlp, widths, 2, NULL), NULL);
    assert_ok(mlp_workspace_init(&s->ws, &s->mlp, N_ROWS, NULL), NULL);
    rng_init(&rng, 3);
    mlp_draw(&s->mlp, &rng);
    for (size_t i = 0; i < N_ROWS; i++) {
        s->x[2 * i] = rng_uniform(&rng);
        s->x[2 * i + 1] = rng_uniform(&rng);
        s->target[i] = s->x[2 * i] - s->x[2 * i + 1];
    }
}

static void close_small(struct small *s)
{
    mlp_workspace_close(&s->ws);
    mlp_close(&s->mlp);
}

static enum err train_small(struct small *s, const struct mlp_training *training, double *loss,
                            struct error *err)
{
    return mlp_train(&s->mlp, &s->ws, s->x, s->target, N_ROWS, training, loss, err);
}

static void training_lowers_the_loss(void **state)
{
    struct small s;
    const struct mlp_training none = {.n_epochs = 0, .learning_rate = 0.1};
    const struct mlp_training many = {.n_epochs = 3000, .learning_rate = 0.5};
    double before;
    double after;

    (void)state;
    make_small(&s);
    assert_ok(train_small(&s, &none, &before, NULL), NULL);
    assert_ok(train_small(&s, &many, &after, NULL), NULL);
    assert_at_most(after, 0.05 * before);
    close_small(&s);
}

static void a_loss_that_is_not_finite_stops_with_the_epoch(void **state)
{
    struct small s;
    const struct mlp_training wild = {.n_epochs = 100, .learning_rate = 1e308};
    struct error err = {0};

    (void)state;
    make_small(&s);
    assert_error(train_small(&s, &wild, NULL, &err), ERR_NUMERIC, &err, "epoch");
    assert_contains(err.text, "learning rate");
    close_small(&s);
}

static bool stop_at_seven(void *context, size_t epoch, double loss)
{
    (void)context;
    (void)loss;
    return epoch < 7;
}

static void a_training_that_was_stopped_goes_on_to_the_same_bits(void **state)
{
    struct small whole;
    struct small parts;
    struct mlp_training training = {.n_epochs = 20, .learning_rate = 0.1};
    struct error err = {0};

    (void)state;
    make_small(&whole);
    make_small(&parts);
    assert_ok(train_small(&whole, &training, NULL, NULL), NULL);
    training.observer = stop_at_seven;
    assert_error(train_small(&parts, &training, NULL, &err), ERR_CANCELED, &err, "epoch 7");
    training.observer = NULL;
    training.first_epoch = 7;
    assert_ok(train_small(&parts, &training, NULL, NULL), NULL);
    assert_memory_equal(parts.mlp.parameters, whole.mlp.parameters,
                        whole.mlp.n_parameters * sizeof(double));
    close_small(&parts);
    close_small(&whole);
}

/* With fewer rows than twice the inputs the first layer's steps are taken in the space of the rows:
 * the outcome must be that of plain descent, also across the epochs where its parameters catch up.
 */
static void steps_in_row_space_are_plain_descent(void **state)
{
    enum { N_INPUTS = 9, N_STEPS = 2 * MLP_SYNC_EPOCHS + 345 };
    const size_t widths[] = {N_INPUTS, 4, 1};
    const struct mlp_training training = {.n_epochs = N_STEPS, .learning_rate = 0.1};
    struct mlp mlp[2];
    struct mlp_workspace ws;
    struct rng rng;
    double x[N_ROWS * N_INPUTS];
    double target[N_ROWS];
    double slope[N_ROWS];

    (void)state;
    rng_init(&rng, 8);
    for (size_t i = 0; i < N_ROWS * N_INPUTS; i++) {
        x[i] = 2.0 * rng_uniform(&rng) - 1.0;
    }
    for (size_t i = 0; i < N_ROWS; i++) {
        target[i] = 6.0 * rng_uniform(&rng) - 3.0;
    }
    for (size_t m = 0; m < 2; m++) {
        assert_ok(mlp_init(&mlp[m], widths, 2, NULL), NULL);
        rng_init(&rng, 4);
        mlp_draw(&mlp[m], &rng);
    }
    assert_ok(mlp_workspace_init(&ws, &mlp[0], N_ROWS, NULL), NULL);
    assert_ok(mlp_train(&mlp[0], &ws, x, target, N_ROWS, &training, NULL, NULL), NULL);
    for (size_t step = 0; step < N_STEPS; step++) {
        loss_smooth_l1(mlp_forward(&mlp[1], &ws, x, N_ROWS), target, N_ROWS, slope);
        mlp_backward(&mlp[1], &ws, x, N_ROWS, slope, 0);
        for (size_t i = 0; i < mlp[1].n_parameters; i++) {
            mlp[1].parameters[i] -= training.learning_rate * ws.gradient[i];
        }
    }
    for (size_t i = 0; i < mlp[0].n_parameters; i++) {
        assert_near(mlp[0].parameters[i], mlp[1].parameters[i], 1e-9);
    }
    mlp_workspace_close(&ws);
    mlp_close(&mlp[1]);
    mlp_close(&mlp[0]);
}

static void count_breath(void *context)
{
    ++*(size_t *)context;
}

/* Trains a network of the predictor's shape on n rows; the parameters are the caller's to free. */
static struct mlp train_wide(size_t n, void (*breathe)(void *context), size_t *n_breaths)
{
    const size_t widths[] = {256, 28, 1};
    const struct mlp_training training = {.n_epochs = 3, .learning_rate = 0.1};
    double *x = mem_calloc(n * widths[0], sizeof *x);
    double *target = mem_calloc(n, sizeof *target);
    struct mlp_workspace ws;
    struct mlp mlp;
    struct rng rng;

    rng_init(&rng, 5);
    for (size_t i = 0; i < n * widths[0]; i++) {
        x[i] = 2.0 * rng_uniform(&rng) - 1.0;
    }
    for (size_t i = 0; i < n; i++) {
        target[i] = 4.0 * rng_uniform(&rng);
    }
    assert_ok(mlp_init(&mlp, widths, 2, NULL), NULL);
    mlp_draw(&mlp, &rng);
    assert_ok(mlp_workspace_init(&ws, &mlp, n, NULL), NULL);
    ws.breathe = breathe;
    ws.breathe_context = n_breaths;
    assert_ok(mlp_train(&mlp, &ws, x, target, n, &training, NULL, NULL), NULL);
    mlp_workspace_close(&ws);
    mem_free(target);
    mem_free(x);
    return mlp;
}

static void products_in_parts_are_the_same(void **state)
{
    static const size_t n_rows[] = {701, 301}; /* the plain way, and in row space */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(n_rows); i++) {
        size_t n_breaths = 0;
        struct mlp whole = train_wide(n_rows[i], NULL, NULL);
        struct mlp parts = train_wide(n_rows[i], count_breath, &n_breaths);
        for (size_t p = 0; p < whole.n_parameters;
             p++) { /* some BLAS add small products otherwise */
            assert_near(parts.parameters[p], whole.parameters[p], 1e-13);
        }
        assert_true(n_breaths > 3 * 3);
        mlp_close(&parts);
        mlp_close(&whole);
    }
}

static void a_layer_without_units_is_refused(void **state)
{
    const size_t widths[] = {2, 0, 1};
    struct mlp mlp;
    struct error err = {0};

    (void)state;
    assert_error(mlp_init(&mlp, widths, 2, &err), ERR_INVALID, &err, "0 units");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tanh_agrees_with_libm),
        cmocka_unit_test(tanh_keeps_signs_limits_and_nan),
        cmocka_unit_test(tanh_does_not_depend_on_the_place),
        counted_test(backward_agrees_with_finite_differences),
        counted_test(first_outputs_and_gradients_are_as_recorded),
        counted_test(training_is_as_recorded),
        counted_test(training_lowers_the_loss),
        counted_test(a_loss_that_is_not_finite_stops_with_the_epoch),
        counted_test(a_training_that_was_stopped_goes_on_to_the_same_bits),
        counted_test(steps_in_row_space_are_plain_descent),
        counted_test(products_in_parts_are_the_same),
        counted_test(a_layer_without_units_is_refused),
    };

    return matrix_init(NULL) == ERR_OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
