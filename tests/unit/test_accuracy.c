/* core/accuracy.h: what cells have in common, what a fit survives, that the curve of MACs is sensible,
 * and on the real data the figures that the project promises. */
#include "core/accuracy.h"
#include "core/accuracy_kernel.h"
#include "core/dataset.h"
#include "core/matrix.h"
#include "core/metrics.h"
#include "core/rng.h"
#include "core/space_fbnetv3.h"
#include "core/table.h"
#include "server/accuracy_data.h"
#include "tests/support/check.h"

enum { N_CELLS = 15625, MOST_ROWS = 600 };

static void random_genes(const struct space *space, struct rng *rng, int32_t *genes)
{
    for (size_t g = 0; g < space->n_genes; g++) {
        const struct gene *gene = &space->genes[g];
        genes[g] = gene->first + gene->step * (int32_t)rng_below(rng, (size_t)gene->n_values);
    }
}

/* Made-up networks of a user's: an optimum in the middle of some genes, and noise. */
struct made {
    int32_t genes[MOST_ROWS * FBNETV3_N_GENES];
    double accuracy[MOST_ROWS];
    struct accuracy_rows rows;
};

static double made_truth(const int32_t *genes)
{
    double miss = 0.0;

    for (size_t g = 14; g < 22; g++) { /* channels: best at a third of the way */
        const struct gene *gene = &space_fbnetv3.genes[g];
        double at = gene_index(gene, genes[g]) / (double)(gene->n_values - 1);
        miss += (at - 0.33) * (at - 0.33);
    }
    return 80.0 - 2.0 * miss + (genes[0] == 3 ? 0.5 : 0.0);
}

static struct made *make_networks(size_t n, double noise, uint64_t seed)
{
    static struct made made;
    struct rng rng;

    rng_init(&rng, seed);
    for (size_t i = 0; i < n; i++) {
        random_genes(&space_fbnetv3, &rng, made.genes + i * FBNETV3_N_GENES);
        made.accuracy[i] = made_truth(made.genes + i * FBNETV3_N_GENES) +
                           noise * (rng_uniform(&rng) + rng_uniform(&rng) - 1.0);
    }
    made.rows = (struct accuracy_rows){n, made.genes, made.accuracy, NULL};
    return &made;
}

/* ---- cells ----------------------------------------------------------------------------------- */

static void compute_cell(const char *text, double *features)
{
    int32_t genes[6];
    struct error err = {0};

    assert_ok(space_parse(&space_nasbench201, text, strlen(text), genes, NULL, &err), &err);
    accuracy_kind_cells.features->compute(genes, features);
}

static bool are_equal_cells(const char *a, const char *b)
{
    double left[ACCURACY_MAX_FEATURES] = {0};
    double right[ACCURACY_MAX_FEATURES] = {0};

    compute_cell(a, left);
    compute_cell(b, right);
    return memcmp(left, right, sizeof left) == 0;
}

static void cells_of_one_function_have_the_same_features(void **state)
{
    static const struct {
        const char *a, *b;
        bool are_equal;
    } pairs[] = {
        {"411111", "111111", true }, /* an edge that leads nowhere */
        {"111444", "111411", true }, /* edges that come from nowhere */
        {"411121", "111411", true }, /* a skip behind, and the edge alone */
        {"211141", "111411", true }, /* a skip before */
        {"141114", "411141", true }, /* the other inner node */
        {"212112", "111211", true }, /* skips all the way */
        {"411131", "311141", false}, /* another order */
        {"111411", "111311", false}, /* another operator */
        {"411121", "411141", false}, /* one convolution more */
        {"111111", "111211", false}, /* nothing, and the identity */
        {"444444", "444442", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        if (are_equal_cells(pairs[i].a, pairs[i].b) != pairs[i].are_equal) {
            fail_msg("%s and %s", pairs[i].a, pairs[i].b);
        }
    }
}

/* ---- fits ------------------------------------------------------------------------------------ */

static void made_networks_are_learned_and_wild_rows_named(void **state)
{
    static const size_t wild[] = {17, 230, 399};
    struct made *made = make_networks(400, 0.1, 1);
    struct accuracy_predictor *predictor = NULL;
    struct accuracy_report report;
    struct error err = {0};
    double predicted[MOST_ROWS];
    double truth[MOST_ROWS];
    struct metrics m;

    (void)state;
    made->accuracy[wild[0]] = 12.0;
    made->accuracy[wild[1]] = 99.0;
    made->accuracy[wild[2]] = 71.0;
    assert_ok(accuracy_train(&accuracy_kind_genes, &made->rows, 0, &predictor, &report, &err),
              &err);
    assert_int_equal(report.n_distrusted, COUNT_OF(wild));
    assert_memory_equal(report.distrusted, wild, sizeof wild);
    assert_int_equal(report.n_parts, 10);
    assert_int_equal(report.n_held_out, 397);
    assert_at_least(report.kendall, 0.8);
    made = make_networks(MOST_ROWS, 0.0, 2); /* others */
    assert_ok(accuracy_predict(predictor, made->genes, MOST_ROWS, predicted, &err), &err);
    memcpy(truth, made->accuracy, sizeof truth);
    assert_ok(metrics_compute(predicted, truth, MOST_ROWS, &m, &err), &err);
    print_message("made networks: held-out tau %.3f, of others %.3f\n", report.kendall, m.kendall);
    assert_at_least(m.kendall, 0.8);
    accuracy_report_close(&report);
    accuracy_destroy(predictor);
}

static void the_same_rows_and_seed_give_the_same_predictor(void **state)
{
    const struct made *made = make_networks(60, 0.1, 3);
    struct tensor first[ACCURACY_MAX_TENSORS];
    struct tensor second[ACCURACY_MAX_TENSORS];
    struct accuracy_predictor *predictors[2] = {NULL};
    size_t n = 0;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct accuracy_report report;
        struct error err = {0};
        assert_ok(
            accuracy_train(&accuracy_kind_genes, &made->rows, 5, &predictors[i], &report, &err),
            &err);
        accuracy_report_close(&report);
    }
    n = predictors[0]->kind->weights(predictors[0], first);
    assert_int_equal(predictors[1]->kind->weights(predictors[1], second), n);
    for (size_t t = 0; t < n; t++) {
        size_t count = 0;
        assert_true(tensor_count(&first[t], &count));
        assert_memory_equal(first[t].data, second[t].data,
                            count * tensor_type_bytes(first[t].type));
    }
    accuracy_destroy(predictors[0]);
    accuracy_destroy(predictors[1]);
}

static void few_and_equal_rows_give_a_finite_predictor(void **state)
{
    struct made *made = make_networks(40, 0.1, 4);
    struct accuracy_predictor *predictor = NULL;
    struct accuracy_report report;
    struct error err = {0};
    double predicted[40];

    (void)state;
    made->rows.n = 19;
    assert_error(accuracy_train(&accuracy_kind_genes, &made->rows, 0, &predictor, &report, &err),
                 ERR_INVALID, &err, "from 20 to 200000 networks, not 19");
    made->rows.n = 20;
    assert_ok(accuracy_train(&accuracy_kind_genes, &made->rows, 0, &predictor, &report, &err),
              &err);
    accuracy_report_close(&report);
    accuracy_destroy(predictor);
    for (size_t i = 0; i < 40; i++) { /* one network, told forty times */
        memcpy(made->genes + i * FBNETV3_N_GENES, made->genes,
               FBNETV3_N_GENES * sizeof *made->genes);
        made->accuracy[i] = 75.0;
    }
    made->rows.n = 40;
    assert_ok(accuracy_train(&accuracy_kind_genes, &made->rows, 0, &predictor, &report, &err),
              &err);
    assert_int_equal(report.n_parts, 0);
    assert_true(isnan(report.kendall));
    assert_ok(accuracy_predict(predictor, made->genes, 40, predicted, &err), &err);
    assert_near(predicted[39], 75.0, 1e-3);
    accuracy_report_close(&report);
    accuracy_destroy(predictor);
}

static enum err train_once(void *context, struct error *err)
{
    const struct made *made = context;
    struct accuracy_predictor *predictor = NULL;
    struct accuracy_report report = {0};
    enum err rc = accuracy_train(&accuracy_kind_genes, &made->rows, 0, &predictor, &report, err);

    accuracy_report_close(&report);
    accuracy_destroy(predictor);
    return rc;
}

/* With the table of all predictions. */
static enum err fit_cells_once(void *context, struct error *err)
{
    struct accuracy_predictor *predictor = NULL;
    enum err rc = accuracy_kernel_fit(&accuracy_kind_cells, context,
                                      &accuracy_kind_cells.settings[0], 0, &predictor, err);

    accuracy_destroy(predictor);
    return rc;
}

static void running_out_of_memory_is_told_and_leaks_nothing(void **state)
{
    static const int32_t cell[] = {4, 4, 4, 2, 4, 4};
    static const double accuracy[] = {73.5};
    struct accuracy_rows rows = {1, cell, accuracy, NULL};

    (void)state;
    fail_each_allocation(train_once, make_networks(20, 0.1, 1));
    fail_each_allocation(fit_cells_once, &rows);
}

/* ---- the curve of MACs ----------------------------------------------------------------------- */

/* The published networks, and the curve through them. */
static struct accuracy_predictor *fit_published(struct accuracy_data *data)
{
    struct accuracy_model model = {0};
    struct error err = {0};
    char directory[TEST_PATH_BYTES];
    const char *file = shared_path("data/fbnetv3_published.txt");

    (void)snprintf(directory, sizeof directory, "%.*s", (int)(strrchr(file, '/') - file), file);
    assert_ok(accuracy_data_load(&space_fbnetv3, directory, data, &err), &err);
    assert_ok(accuracy_data_train(data, 0, &model, NULL, &err), &err);
    return model.predictor; /* handed over */
}

static void every_published_network_is_met(void **state)
{
    struct accuracy_data data = {0};
    struct accuracy_predictor *predictor = fit_published(&data);
    struct tensor tensor[ACCURACY_MAX_TENSORS];
    double c[4];

    (void)state;
    assert_int_equal(predictor->kind->weights(predictor, tensor), 1);
    assert_int_equal(tensor_read(tensor, 1, "coefficients", 4, c, NULL), ERR_OK);
    assert_int_equal(data.n, 7);
    for (size_t i = 0; i < data.n; i++) {
        double at_224;
        double at_own;
        struct error err = {0};
        assert_ok(accuracy_predict(predictor, data.genes + i * FBNETV3_N_GENES, 1, &at_224, &err),
                  &err);
        /* what resolution is worth is a factor of the distance from the ceiling */
        at_own = c[0] - (c[0] - at_224) * pow(data.resolution[i] / 224.0, -c[3]);
        print_message("network %zu: %.3f published at %g, %.3f there, %.3f at 224\n", i + 1,
                      data.accuracy[i], data.resolution[i], at_own, at_224);
        assert_near(at_own, data.accuracy[i], 0.25);
        assert_true(data.resolution[i] > 224 ? at_224 < at_own : at_224 == at_own);
    }
    accuracy_destroy(predictor);
    accuracy_data_close(&data);
}

static void more_macs_never_mean_less_accuracy(void **state)
{
    struct accuracy_data data = {0};
    struct accuracy_predictor *predictor = fit_published(&data);
    struct rng rng;

    (void)state;
    rng_init(&rng, 6);
    for (int pair = 0; pair < 20000; pair++) {
        int32_t genes[2 * FBNETV3_N_GENES];
        struct cost costs[2] = {0};
        double accuracy[2];
        uint64_t macs[2];
        random_genes(&space_fbnetv3, &rng, genes);
        random_genes(&space_fbnetv3, &rng, genes + FBNETV3_N_GENES);
        if (pair % 2 == 0) { /* a small difference */
            size_t g = rng_below(&rng, FBNETV3_N_GENES);
            int32_t value = genes[FBNETV3_N_GENES + g];
            memcpy(genes + FBNETV3_N_GENES, genes, FBNETV3_N_GENES * sizeof *genes);
            genes[FBNETV3_N_GENES + g] = value;
        }
        assert_int_equal(accuracy_predict(predictor, genes, 2, accuracy, NULL), ERR_OK);
        for (size_t i = 0; i < 2; i++) {
            space_fbnetv3.count(genes + i * FBNETV3_N_GENES, &costs[i]);
            macs[i] = cost_total_macs(&costs[i]);
        }
        assert_true(macs[0] == macs[1] ? accuracy[0] == accuracy[1]
                                       : (macs[0] > macs[1]) == (accuracy[0] > accuracy[1]));
        assert_true(accuracy[0] > 78.0 && accuracy[0] < 83.0);
    }
    accuracy_destroy(predictor);
    accuracy_data_close(&data);
}

/* Accuracy gained by doubled widths is less the second time. */
static void the_gain_by_macs_fades_out(void **state)
{
    struct accuracy_data data = {0};
    struct accuracy_predictor *predictor = fit_published(&data);
    int32_t genes[3 * FBNETV3_N_GENES];
    double accuracy[3];

    (void)state;
    for (size_t g = 0; g < FBNETV3_N_GENES; g++) {
        for (int i = 0; i < 3; i++) {
            int32_t value = space_fbnetv3.genes[g].first;
            genes[i * FBNETV3_N_GENES + (int)g] = g >= 14 && g < 22 ? value << i : value;
        }
    }
    assert_int_equal(accuracy_predict(predictor, genes, 3, accuracy, NULL), ERR_OK);
    assert_true(accuracy[0] < accuracy[1] && accuracy[1] < accuracy[2] && accuracy[2] < 100.0);
    assert_true(accuracy[2] - accuracy[1] < accuracy[1] - accuracy[0]);
    accuracy_destroy(predictor);
    accuracy_data_close(&data);
}

static void networks_that_say_nothing_of_resolution_are_refused(void **state)
{
    struct made *made = make_networks(8, 0.0, 1);
    double resolution[8] = {224, 230, 240, 250, 260, 270, 280, 290};
    struct accuracy_predictor *predictor = NULL;
    struct accuracy_report report = {0};
    struct error err = {0};

    (void)state;
    made->rows.resolution = resolution;
    assert_error(accuracy_train(&accuracy_kind_macs, &made->rows, 0, &predictor, &report, &err),
                 ERR_INVALID, &err, "equal genes and different resolutions");
    assert_null(predictor);
}

/* ---- figures on the benchmark ---------------------------------------------------------------- */

/* All cells, and their predictor. */
static struct accuracy_model model;
static struct accuracy_data cells;

static void train_cells(void)
{
    struct error err = {0};
    char directory[TEST_PATH_BYTES];
    const char *file = shared_path("data/nasbench201_full/net.txt");

    (void)snprintf(directory, sizeof directory, "%.*s", (int)(strrchr(file, '/') - file), file);
    assert_ok(accuracy_data_load(&space_nasbench201, directory, &cells, &err), &err);
    assert_int_equal(cells.n, N_CELLS);
    assert_ok(accuracy_data_train(&cells, 0, &model, NULL, &err), &err);
}

static double true_accuracy_of_best(const double *predicted, size_t rank)
{
    static bool is_taken[N_CELLS];
    size_t best = 0;

    memset(is_taken, 0, sizeof is_taken);
    for (size_t r = 0; r <= rank; r++) {
        best = N_CELLS;
        for (size_t i = 0; i < N_CELLS; i++) {
            if (!is_taken[i] && (best == N_CELLS || predicted[i] > predicted[best])) {
                best = i;
            }
        }
        is_taken[best] = true;
    }
    return cells.accuracy[best];
}

static void cells_are_ranked_as_promised(void **state)
{
    static double predicted[N_CELLS];
    struct error err = {0};
    double ten = 0.0;
    double best = 0.0;

    (void)state;
    train_cells();
    print_message("held-out tau %.4f, RMSE %.3f; fitted tau %.4f, RMSE %.3f\n", model.info.kendall,
                  model.info.rmse, model.info.kendall_fitted, model.info.rmse_fitted);
    assert_int_equal(model.info.n_train, 4000);
    assert_int_equal(model.info.n_held_out, N_CELLS - 4000);
    assert_at_least(model.info.kendall, 0.915);
    assert_at_least(model.info.kendall_fitted, 0.92);
    assert_ok(accuracy_predict(model.predictor, cells.genes, N_CELLS, predicted, &err), &err);
    for (size_t i = 0; i < N_CELLS; i++) {
        best = fmax(best, cells.accuracy[i]);
    }
    for (size_t r = 0; r < 10; r++) {
        ten += true_accuracy_of_best(predicted, r) / 10.0;
    }
    print_message("best of all %.2f, ranked first %.2f, first ten in the mean %.2f\n", best,
                  true_accuracy_of_best(predicted, 0), ten);
    assert_at_least(true_accuracy_of_best(predicted, 0), 73.0);
    assert_at_least(ten, 72.7);
    accuracy_model_close(&model);
    accuracy_data_close(&cells);
}

/* To the last bit, so that a search does not prefer one by chance. */
static void cells_of_one_function_are_predicted_alike(void **state)
{
    static const int32_t pairs[][12] = {
        {4, 1, 1, 1, 2, 1, 1, 1, 1, 4, 1, 1},
        {1, 4, 1, 1, 1, 4, 4, 1, 1, 1, 4, 1},
        {1, 1, 1, 4, 4, 4, 1, 1, 1, 4, 1, 1},
    };
    struct error err = {0};

    (void)state;
    train_cells();
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        double accuracy[2];
        assert_ok(accuracy_predict(model.predictor, pairs[i], 2, accuracy, &err), &err);
        assert_true(accuracy[0] == accuracy[1]);
    }
    accuracy_model_close(&model);
    accuracy_data_close(&cells);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(cells_of_one_function_have_the_same_features),
        counted_test(made_networks_are_learned_and_wild_rows_named),
        counted_test(the_same_rows_and_seed_give_the_same_predictor),
        counted_test(few_and_equal_rows_give_a_finite_predictor),
        counted_test(running_out_of_memory_is_told_and_leaks_nothing),
        counted_test(every_published_network_is_met),
        counted_test(more_macs_never_mean_less_accuracy),
        counted_test(the_gain_by_macs_fades_out),
        counted_test(networks_that_say_nothing_of_resolution_are_refused),
        counted_test(cells_are_ranked_as_promised),
        counted_test(cells_of_one_function_are_predicted_alike),
    };

    if (matrix_init(NULL) != ERR_OK) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
