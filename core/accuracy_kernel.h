/* Accuracy by a sparse Gaussian process, for kinds that differ in their features alone.
 *
 *     log(ceiling - accuracy) = level + sum_j weight_j k(x, c_j)
 *     k(x, c) = exp(-scale^2 |x - c|^2 / 2) + linear x . c
 *
 * x are features of the architecture, weighed by what is known of the space. The c_j are those of
 * architectures of the training data, chosen one by one where the ones before determine the process
 * least (a pivoted Cholesky factorisation), and their weights come from all rows (the projected
 * process; Rasmussen and Williams 2006, section 8.3). The ceiling lies above the best accuracy, by
 * a share of the way from the median to the best: so differences near the top, which a search is
 * after, count more than those at the bottom. Ownership and threads are those of core/accuracy.h. */
#ifndef DGLD_CORE_ACCURACY_KERNEL_H
#define DGLD_CORE_ACCURACY_KERNEL_H

#include "core/accuracy.h"

enum { ACCURACY_MAX_FEATURES = 80, ACCURACY_MAX_POINTS = 600 };

struct accuracy_features {
    size_t n_features;
    size_t n_points; /* architectures that the model may rest on, at most ACCURACY_MAX_POINTS */
    double linear;   /* weight of the linear part of the kernel */
    /* Writes `features` (n_features), scaled, finite. The genes are valid. Equal functions have
     * equal features. */
    void (*compute)(const int32_t *genes, double *features);
};

/* Functions of struct accuracy_kind, for kinds that have features. ERR_NOMEM; ERR_NUMERIC of a fit
 * or prediction that is not finite; ERR_INVALID names the tensor that cannot be one of such a
 * predictor. */
enum err accuracy_kernel_fit(const struct accuracy_kind *kind, const struct accuracy_rows *rows,
                             const struct accuracy_setting *setting, uint64_t seed,
                             struct accuracy_predictor **out, struct error *err);
enum err accuracy_kernel_predict(const struct accuracy_predictor *predictor, const int32_t *genes,
                                 size_t n, double *accuracy, struct error *err);
size_t accuracy_kernel_weights(const struct accuracy_predictor *predictor, struct tensor *tensors);
enum err accuracy_kernel_load(const struct accuracy_kind *kind, const struct tensor *tensors,
                              size_t n, struct accuracy_predictor **out, struct error *err);
void accuracy_kernel_destroy(struct accuracy_predictor *predictor);

#endif
