/* All cells of nasbench201 with an accuracy and a latency each, made up or true. Header only,
 * single-threaded. */
#ifndef DGLD_TESTS_SUPPORT_CELLS_H
#define DGLD_TESTS_SUPPORT_CELLS_H

#include "core/device.h"
#include "core/rng.h"
#include "core/table.h"
#include "server/model_store.h"
#include "tests/support/check.h"

enum { N_CELLS = 15625 };

static int32_t cells[N_CELLS * 6];
static double cell_accuracy[N_CELLS];
static double cell_cost[N_CELLS];

static inline double accuracy_of_cell(const int32_t *genes)
{
    return cell_accuracy[space_rank(&space_nasbench201, genes)];
}

static inline double cost_of_cell(const int32_t *genes)
{
    return cell_cost[space_rank(&space_nasbench201, genes)];
}

static inline void list_cells(void)
{
    for (size_t i = 0; i < N_CELLS; i++) {
        space_unrank(&space_nasbench201, i, cells + i * 6);
    }
}

/* Operators have a worth and a cost on each edge, and every cell its own deviation from the sum: a
 * tenth of the range for accuracy, so that there are many peaks. From `lowest` upwards. */
static inline void make_cells(double lowest)
{
    static const double worth[] = {0, 4, 6, 7, 3};
    static const double dear[] = {0, 1, 5, 20, 3};
    struct rng rng;

    rng_init(&rng, 11);
    list_cells();
    for (size_t i = 0; i < N_CELLS; i++) {
        cell_accuracy[i] = lowest + 5 * rng_uniform(&rng);
        cell_cost[i] = 10 + 5 * rng_uniform(&rng);
        for (size_t g = 0; g < 6; g++) {
            const int32_t value = cells[i * 6 + g];
            cell_accuracy[i] += worth[value - 1] * (double)(1 + g % 2);
            cell_cost[i] += dear[value - 1] * (double)(1 + g % 3);
        }
    }
}

/* The benchmark's accuracies on CIFAR-100, which lie outside of the repository. */
static inline void read_true_accuracies(void)
{
    struct table nets = {0};
    struct table accuracies = {0};
    struct error err = {0};

    assert_ok(table_read(shared_path("data/nasbench201_full/net.txt"), 6, &nets, &err), &err);
    assert_ok(
        table_read(shared_path("data/nasbench201_full/acc_cifar100.txt"), 1, &accuracies, &err),
        &err);
    assert_int_equal(nets.n_rows, N_CELLS);
    assert_int_equal(accuracies.n_rows, N_CELLS);
    for (size_t i = 0; i < N_CELLS; i++) {
        int32_t genes[6];
        for (size_t g = 0; g < 6; g++) {
            genes[g] = (int32_t)nets.values[i * 6 + g];
        }
        cell_accuracy[space_rank(&space_nasbench201, genes)] = accuracies.values[i];
    }
    table_close(&nets);
    table_close(&accuracies);
}

/* Latencies in ms on a Galaxy A10s, by the predictor that ships. */
static inline void predict_cells(void)
{
    const struct hardware galaxy_a10s = {2, 3, 1, 7.46};
    struct model model = {0};
    struct error err = {0};

    list_cells();
    assert_ok(model_store_load("result/nasbench201/pretrainmodel.safetensors", &space_nasbench201,
                               &model, NULL, &err),
              &err);
    assert_ok(predictor_predict(model.predictor, cells, N_CELLS, cell_cost, NULL, &err), &err);
    for (size_t i = 0; i < N_CELLS; i++) {
        cell_cost[i] *= hardware_factor(&galaxy_a10s);
    }
    model_close(&model);
}

#endif
