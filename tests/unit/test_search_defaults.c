/* genetic_defaults(): that a search with the options a user gets who says nothing finds what an
 * exhaustive one does, with the predictors that are shipped, with a table that holds a part of the
 * space, and with a predictor trained on networks of the user's own. */
#include "core/device.h"
#include "core/matrix.h"
#include "core/rng.h"
#include "core/search.h"
#include "core/search_genetic.h"
#include "server/accuracy_source.h"
#include "server/model_store.h"
#include "tests/support/check.h"

enum {
    N_CELLS = 15625,
    N_SEEDS = IS_SANITIZED ? 10 : 100,
    N_NETWORKS = 300,
    TEXT_BYTES = N_NETWORKS * 160,
};

static const double limits_ms[] = {1000, 2000, 3000, 4000, 6000};

/* ---- cells ----------------------------------------------------------------------------------- */

static int32_t cells[N_CELLS * 6];
static double accuracy[N_CELLS]; /* NaN where there is none */
static double latency_ms[N_CELLS];

static enum err evaluate(void *context, const int32_t *genes, size_t n, double *accuracies,
                         double *cost, struct error *err)
{
    const double *limit_ms = context;

    (void)err;
    for (size_t i = 0; i < n; i++) {
        const size_t rank = space_rank(&space_nasbench201, genes + i * 6);
        accuracies[i] = accuracy[rank];
        cost[i] = latency_ms[rank] / *limit_ms;
    }
    return ERR_OK;
}

/* All accuracies and latencies on a Galaxy A10s. `data_path` may be NULL. */
static void ask_about_all_cells(const char *data_path)
{
    const struct hardware galaxy_a10s = {2, 3, 1, 7.46};
    struct data_tree tree;
    struct accuracy_source source = {0};
    struct model model = {0};
    struct error err = {0};

    for (size_t i = 0; i < N_CELLS; i++) {
        space_unrank(&space_nasbench201, i, cells + i * 6);
    }
    assert_ok(data_tree_init(&tree, ".", data_path, &err), &err);
    assert_ok(accuracy_source_open(&tree, &space_nasbench201, &source, &err), &err);
    assert_ok(accuracy_source_predict(&source, cells, N_CELLS, accuracy, &err), &err);
    accuracy_source_close(&source);
    assert_ok(model_store_load("result/nasbench201/pretrainmodel.safetensors", &space_nasbench201,
                               &model, NULL, &err),
              &err);
    assert_ok(predictor_predict(model.predictor, cells, N_CELLS, latency_ms, NULL, &err), &err);
    model_close(&model);
    for (size_t i = 0; i < N_CELLS; i++) {
        latency_ms[i] *= hardware_factor(&galaxy_a10s);
    }
}

/* By search_exhaustive() over the cells that have an accuracy; where none of them keeps the limit,
 * the fastest. Returns its rank. */
static size_t find_optimum(double limit_ms, bool *is_feasible)
{
    static int32_t genes[N_CELLS * 6];
    static double some_accuracy[N_CELLS];
    static double cost[N_CELLS];
    struct search_candidates known = {&space_nasbench201, 0, genes, some_accuracy, cost};
    struct search_result found;

    for (size_t i = 0; i < N_CELLS; i++) {
        if (!isnan(accuracy[i])) {
            memcpy(genes + known.n * 6, cells + i * 6, 6 * sizeof *genes);
            some_accuracy[known.n] = accuracy[i];
            cost[known.n++] = latency_ms[i] / limit_ms;
        }
    }
    found = search_exhaustive(&known);
    *is_feasible = found.is_feasible;
    return space_rank(&space_nasbench201, genes + found.best * 6);
}

/* In at least 95 of 100 seeds, at every limit. */
static void assert_found_by_default(void)
{
    for (size_t l = 0; l < COUNT_OF(limits_ms); l++) {
        double limit_ms = limits_ms[l];
        const struct genetic_hooks hooks = {&limit_ms, evaluate, NULL};
        bool is_feasible;
        const size_t optimum = find_optimum(limit_ms, &is_feasible);
        size_t n_found = 0;
        for (uint64_t seed = 0; seed < N_SEEDS; seed++) {
            struct genetic_options options = genetic_defaults(&space_nasbench201, 0);
            struct genetic_result result = {0};
            struct error err = {0};
            options.seed = seed;
            assert_ok(search_genetic(&space_nasbench201, &options, &hooks, &result, &err), &err);
            assert_in_range(result.n_evaluated, 1, 2000);
            assert_int_equal(result.is_feasible, is_feasible);
            n_found += space_rank(&space_nasbench201, result.genes) == optimum;
            genetic_result_close(&result);
        }
        print_message("limit %g ms: found with %zu of %d seeds\n", limit_ms, n_found, N_SEEDS);
        assert_at_least((double)n_found, 0.95 * N_SEEDS - (IS_SANITIZED ? 1 : 0));
    }
}

static void the_optimum_of_the_shipped_predictors_is_found(void **state)
{
    (void)state;
    ask_about_all_cells(check_directory); /* where there are no data */
    assert_found_by_default();
}

/* Its rows are a quarter of the space: the accurate ones, none of which keeps the tightest limit. */
static void the_optimum_of_the_oracle_is_found(void **state)
{
    char data_path[TEST_PATH_BYTES];
    size_t n_known = 0;

    (void)state;
    (void)snprintf(data_path, sizeof data_path, "%s", shared_path("data/dgl"));
    ask_about_all_cells(data_path);
    for (size_t i = 0; i < N_CELLS; i++) {
        n_known += isnan(accuracy[i]) ? 0 : 1;
    }
    assert_int_equal(n_known, 4000);
    assert_found_by_default();
}

/* ---- networks of the user's own -------------------------------------------------------------- */

/* Nowhere at the end of a range that is longer than two. */
static int32_t optimum[28];

static void set_optimum(void)
{
    struct rng rng;

    rng_init(&rng, 3);
    for (size_t g = 0; g < 28; g++) {
        const struct gene *gene = &space_fbnetv3.genes[g];
        const size_t at = gene->n_values > 2 ? 1 + rng_below(&rng, (size_t)gene->n_values - 2)
                                             : rng_below(&rng, (size_t)gene->n_values);
        optimum[g] = gene->first + gene->step * (int32_t)at;
    }
}

/* The truth that the networks show: 80 at the optimum, less elsewhere. */
static double closeness(const int32_t *genes)
{
    double sum = 80;

    for (size_t g = 0; g < 28; g++) {
        const struct gene *gene = &space_fbnetv3.genes[g];
        const double apart = (double)((genes[g] - optimum[g]) / gene->step) / gene->n_values;
        sum -= (double)(1 + g % 4) * apart * apart;
    }
    return sum;
}

static void write_networks(void)
{
    static char text[TEXT_BYTES];
    size_t used = 0;
    struct rng rng;

    rng_init(&rng, 1);
    for (size_t i = 0; i < N_NETWORKS; i++) {
        int32_t genes[28];
        for (size_t g = 0; g < 28; g++) {
            const struct gene *gene = &space_fbnetv3.genes[g];
            genes[g] = gene->first + gene->step * (int32_t)rng_below(&rng, (size_t)gene->n_values);
            used += (size_t)snprintf(text + used, TEXT_BYTES - used, "%d ", genes[g]);
        }
        used += (size_t)snprintf(text + used, TEXT_BYTES - used, "%.4f %.4f\n", closeness(genes),
                                 closeness(genes) + 10);
        assert_in_range(used, 1, TEXT_BYTES - 1);
    }
    (void)write_text("data/fbnetv3/NAS/dataxy.txt", text);
}

static double mega_macs(const int32_t *genes)
{
    struct cost cost = {0};

    assert_int_equal(space_count(&space_fbnetv3, genes, &cost, NULL), ERR_OK);
    return (double)cost_total_macs(&cost) / 1e6;
}

struct networks {
    struct accuracy_source source;
    double limit;
};

static enum err evaluate_networks(void *context, const int32_t *genes, size_t n, double *accuracies,
                                  double *cost, struct error *err)
{
    struct networks *networks = context;

    for (size_t i = 0; i < n; i++) {
        cost[i] = mega_macs(genes + i * 28) / networks->limit;
    }
    return accuracy_source_predict(&networks->source, genes, n, accuracies, err);
}

/* The limit leaves room for networks half as large again. */
static void the_optimum_that_networks_of_the_user_show_is_found(void **state)
{
    struct networks networks = {0};
    const struct genetic_hooks hooks = {&networks, evaluate_networks, NULL};
    struct data_tree tree;
    struct error err = {0};

    (void)state;
    set_optimum();
    write_networks();
    assert_ok(data_tree_init(&tree, check_directory, NULL, &err), &err);
    assert_ok(accuracy_source_open(&tree, &space_fbnetv3, &networks.source, &err), &err);
    assert_string_equal(networks.source.model.predictor->kind->name, "genes");
    networks.limit = 1.5 * mega_macs(optimum);
    for (uint64_t seed = 0; seed < 3; seed++) {
        struct genetic_options options = genetic_defaults(&space_fbnetv3, 0);
        struct genetic_result result = {0};
        options.seed = seed;
        assert_ok(search_genetic(&space_fbnetv3, &options, &hooks, &result, &err), &err);
        assert_true(result.is_feasible);
        assert_near(closeness(result.genes), 80, 0.05);
        assert_near_relative(mega_macs(result.genes), mega_macs(optimum), 0.1);
        genetic_result_close(&result);
    }
    accuracy_source_close(&networks.source);
}

/* ---- the options themselves ------------------------------------------------------------------ */

static void defaults_are_those_of_the_reference_or_fewer(void **state)
{
    const struct genetic_options large = genetic_defaults(&space_fbnetv3, 0);
    const struct genetic_options small = genetic_defaults(&space_nasbench201, 0);

    (void)state;
    assert_int_equal(large.population_size, 100);
    assert_int_equal(large.n_generations, 100);
    assert_int_equal(large.evaluations_max, 10000);
    assert_near(large.crossover_rate, 2, 0);
    assert_near(large.mutation_rate, 0.05, 0);
    assert_near(large.accuracy_base, GENETIC_DEFAULT_ACCURACY_BASE, 0);
    assert_int_equal(small.population_size, 50);
    assert_int_equal(small.n_generations, 40);
    assert_int_equal(small.evaluations_max, 2000);
}

/* Whatever is asked for is used up, by options that are valid. */
static void any_number_of_evaluations_has_its_options(void **state)
{
    static const size_t numbers[] = {1, 9, 10, 101, 1000, 12345, GENETIC_MAX_EVALUATIONS};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        const struct genetic_options o = genetic_defaults(&space_fbnetv3, numbers[i]);
        assert_int_equal(o.evaluations_max, numbers[i]);
        assert_in_range(o.population_size, 1, GENETIC_MAX_POPULATION);
        assert_in_range(o.n_generations, 1, GENETIC_MAX_GENERATIONS);
        assert_in_range(o.n_elite, 1, o.population_size);
        assert_in_range(o.population_size * o.n_generations, numbers[i],
                        numbers[i] + o.population_size - 1);
    }
}

static int start(void **state)
{
    (void)state;
    return matrix_init(NULL) == ERR_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        directory_test(the_optimum_of_the_shipped_predictors_is_found),
        counted_test(the_optimum_of_the_oracle_is_found),
        directory_test(the_optimum_that_networks_of_the_user_show_is_found),
        counted_test(defaults_are_those_of_the_reference_or_fewer),
        counted_test(any_number_of_evaluations_has_its_options),
    };

    return cmocka_run_group_tests(tests, start, NULL);
}
