#include "core/belief.h"

#include <math.h>
#include <string.h>

#include "core/mem.h"

#define UNKNOWN_LEVEL 1.0 /* beside the middle measurement */

/* `make hyperparameters` (tests/bench/derive_hyperparameters.c, with the rule) derives those of the same
 * kind and the excess from devices of the library that stand in for unseen ones, and prints the
 * evidence; those of other kinds were set on the nine devices of nasbench201, each predicted with the
 * others. What matters is their order of magnitude. */
const struct belief_numbers belief_numbers = {
    .same_level = 0.23,
    .same_level_weight = 10.0,
    .same_slope = 0.04,
    .same_group_weight = 0.3,
    .same_own_scatter = 0.064,
    .other_level = 0.3,
    .other_offset = 0.2,
    .other_group_weight = 1.0,
    .other_scatter = 0.05,
    .same_excess = 0.15,
    .other_excess = 0.05,
};

/* Without and with a data sheet: who gives one most likely means a phone as the method does, and
 * who measures a device that has none most likely has a library of its like. */
static const double weights[2][BELIEF_N_KINDS] = {
    {0.15, 0.05, 0.8 },
    {0.9,  0.03, 0.07},
};

static void add_group(struct belief *b, size_t size, double sd, double weight)
{
    b->groups[b->n_groups++] = (struct robust_group){size, sd * sd, weight};
}

/* Room for one more column. */
static double *add_column(struct belief *b, size_t q)
{
    return b->columns + b->n_columns++ * q;
}

/* One column a feature; a group's features together carry its deviation. */
static void add_residuals(struct belief *b, const struct belief_ground *ground)
{
    const struct residual_basis *basis = ground->basis;
    const struct space_residuals *residuals = &basis->residuals;
    const double weight = b->kind == BELIEF_SAME_KIND ? ground->numbers->same_group_weight
                                                      : ground->numbers->other_group_weight;

    for (size_t g = 0; g < residuals->n_groups; g++) {
        const struct space_residual_group *group = &residuals->groups[g];
        double sd = b->kind == BELIEF_SAME_KIND ? group->same_kind : group->other_kind;
        add_group(b, group->size, sd / sqrt((double)group->size), weight);
    }
    for (size_t j = 0; j < basis->p; j++) {
        residual_standardised(basis, j, add_column(b, basis->q));
    }
}

static void believe_same_kind(struct belief *b, const struct belief_ground *ground)
{
    const struct belief_numbers *numbers = ground->numbers;
    const size_t q = ground->basis->q;
    double *slope;

    add_column(b, q)[0] = 1.0;
    add_group(b, 1, ground->has_hardware ? numbers->same_level : UNKNOWN_LEVEL,
              ground->has_hardware ? numbers->same_level_weight : INFINITY);
    slope = add_column(b, q);
    slope[0] = -ground->mean_log_a;
    slope[RESIDUAL_BASE] = 1.0;
    add_group(b, 1, numbers->same_slope, INFINITY);
    b->noise_scale = hypot(ground->scatter, numbers->same_own_scatter);
}

static void believe_other_kind(struct belief *b, const struct belief_ground *ground)
{
    const size_t q = ground->basis->q;

    b->mean[RESIDUAL_BASE] = 1.0 / ground->mean_root_a;
    memcpy(add_column(b, q), b->mean, q * sizeof *b->mean);
    add_group(b, 1, ground->numbers->other_level, INFINITY);
    add_column(b, q)[0] = 1.0;
    add_group(b, 1, ground->numbers->other_offset, INFINITY);
}

/* The mean of the library's functions, and as latent factors what each differs from it by. */
static void believe_library(struct belief *b, const struct belief_ground *ground)
{
    const struct residual_basis *basis = ground->basis;
    const struct calibration_prior *prior = ground->prior;
    const size_t n = prior->n_devices;
    double mean[1 + SPACE_MAX_RESIDUALS] = {0};
    double factor[1 + SPACE_MAX_RESIDUALS];

    for (size_t d = 0; d < n; d++) {
        for (size_t j = 0; j <= basis->p; j++) {
            mean[j] += prior->functions[d * (1 + basis->p) + j] / (double)n;
        }
    }
    residual_function(basis, mean, b->mean);
    memcpy(add_column(b, basis->q), b->mean, basis->q * sizeof *b->mean);
    add_group(b, 1, ground->numbers->other_level, INFINITY);
    for (size_t d = 0; n > 1 && d < n; d++) {
        for (size_t j = 0; j <= basis->p; j++) {
            factor[j] = prior->functions[d * (1 + basis->p) + j] - mean[j];
        }
        residual_function(basis, factor, add_column(b, basis->q));
    }
    if (n > 1) {
        add_group(b, n, 1.0 / sqrt((double)(n - 1)), INFINITY);
    }
}

enum err belief_init(struct belief *belief, enum belief_kind kind,
                     const struct belief_ground *ground, struct error *err)
{
    const size_t q = ground->basis->q;
    const size_t columns_max =
        2 + ground->basis->p + (kind == BELIEF_LIBRARY ? ground->prior->n_devices : 0);

    *belief = (struct belief){
        .kind = kind,
        .is_root = kind != BELIEF_SAME_KIND,
        .base_origin = kind == BELIEF_SAME_KIND ? ground->mean_log_a : ground->mean_root_a,
        .log_weight = log(weights[ground->has_hardware ? 1 : 0][kind]),
        .noise_scale = ground->numbers->other_scatter,
        .sharpness = 1.0 - (kind == BELIEF_SAME_KIND ? ground->numbers->same_excess
                                                     : ground->numbers->other_excess),
        .columns = mem_calloc(columns_max + 1, q * sizeof *belief->columns),
    };
    if (belief->columns == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for a belief about a device");
    }
    belief->mean = belief->columns + columns_max * q;
    if (kind == BELIEF_SAME_KIND) {
        believe_same_kind(belief, ground);
    } else if (kind == BELIEF_OTHER_KIND) {
        believe_other_kind(belief, ground);
    } else {
        believe_library(belief, ground);
    }
    add_residuals(belief, ground);
    return ERR_OK;
}

void belief_close(struct belief *belief)
{
    mem_free(belief->columns);
    *belief = (struct belief){0};
}
