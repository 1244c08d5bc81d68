/* What may be believed of a device before it is measured, in the form in which measurements revise
 * it: log latency or the root of latency is linear in x = [1, base, features] (core/residual.h),
 *
 *     log latency  = offset + log A + f,       base = log A
 *     root latency = exp(offset / 2) * f,      base = root A
 *     f            = mean . x + sum_j beta_j columns_j . x + noise
 *
 * with beta_j ~ N(0, variance of its group). core/calibration.h tells what the beliefs are, and
 * core/suggest.h asks them which measurements would revise them most. Plain data; thread-safe. */
#ifndef DGLD_CORE_BELIEF_H
#define DGLD_CORE_BELIEF_H

#include <stdbool.h>
#include <stddef.h>

#include "core/calibration_prior.h"
#include "core/error.h"
#include "core/residual.h"
#include "core/robust_fit.h"

enum belief_kind { BELIEF_SAME_KIND, BELIEF_OTHER_KIND, BELIEF_LIBRARY, BELIEF_N_KINDS };

/* How much is believed, as standard deviations of log latency (same kind) or relative to the root of
 * latency (other kinds and library); how far each group of features may go is the space's own
 * (struct space_residual_group). A weight is that of the belief beside what the measurements say, in
 * effective parameters; INFINITY: it is not changed. */
struct belief_numbers {
    double same_level, same_level_weight; /* beside k of the data sheet */
    double same_slope;
    double same_group_weight;
    double same_own_scatter; /* of one device, beside that of A */
    double other_level;
    double other_offset;
    double other_group_weight;
    double other_scatter;
    /* Scatter is less heavy-tailed than the t that is fitted to it, whose standard deviation makes
     * intervals too wide by so much. */
    double same_excess;
    double other_excess; /* of the library's too */
};

/* Those that ship. */
extern const struct belief_numbers belief_numbers;

/* What a belief is made from. */
struct belief_ground {
    const struct belief_numbers *numbers;
    const struct residual_basis *basis;
    const struct calibration_prior *prior; /* for BELIEF_LIBRARY */
    bool has_hardware;
    double mean_log_a, mean_root_a; /* of architectures in use: where level and slope part */
    double scatter; /* of log A of single networks about the prediction, as a scale of the t */
};

struct belief {
    enum belief_kind kind;
    bool is_root;
    double base_origin; /* the middle base of the architectures in use */
    double log_weight;  /* how much it is believed beside the others */
    double noise_scale; /* of the t */
    double sharpness;   /* 1 less the excess: a factor of spreads */
    size_t n_columns, n_groups;
    struct robust_group groups[ROBUST_FIT_MAX_GROUPS];
    double *columns; /* (n_columns, q), owned */
    double *mean;    /* (q), in the same block */
};

/* The caller ends it with belief_close(), whatever this returns. ERR_NOMEM. */
enum err belief_init(struct belief *belief, enum belief_kind kind,
                     const struct belief_ground *ground, struct error *err);

/* Accepts a zeroed struct. */
void belief_close(struct belief *belief);

#endif
