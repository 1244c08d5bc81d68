/* For tests of where models are kept and served: models that are told apart. Header only. */
#ifndef DGLD_TESTS_SUPPORT_ONE_ROW_MODEL_H
#define DGLD_TESTS_SUPPORT_ONE_ROW_MODEL_H

#include "proto/model_file.h"
#include "tests/support/check.h"

/* The architecture of fbnetv3 whose genes are all the least. */
static inline void smallest_genes(int32_t genes[28])
{
    for (size_t g = 0; g < 28; g++) {
        genes[g] = space_fbnetv3.genes[g].first;
    }
}

/* A model of fbnetv3 fitted to one row: its A at the smallest architecture is near `a`, its seed is
 * `a`, so that a torn one shows, and `a` decides its version. */
static inline struct model one_row_model(double a)
{
    struct model model = {
        .info = {.source = "a.txt", .n_rows = 1, .data_sha256 = "0", .validation = "none"}
    };
    int32_t genes[28];

    smallest_genes(genes);
    assert_int_equal(predictor_fit(&predictor_kind_cost, &space_fbnetv3, genes, &a, 1,
                                   &(struct fit_options){0}, &model.predictor, NULL, NULL),
                     ERR_OK);
    model.info.seed = (uint64_t)a;
    model.info.r_held_out = NAN;
    model_version(model.predictor, model.info.version);
    return model;
}

/* A of the smallest architecture; NaN where it cannot be predicted. */
static inline double predict_smallest(const struct model *model)
{
    int32_t genes[28];
    double a = 0;

    smallest_genes(genes);
    return predictor_predict(model->predictor, genes, 1, &a, NULL, NULL) == ERR_OK ? a : NAN;
}

/* Whether predictor and papers are of one model. */
static inline bool is_whole_model(const struct model *model)
{
    const double a = (double)model->info.seed;

    return fabs(predict_smallest(model) - a) < 0.05 * a;
}

#endif
