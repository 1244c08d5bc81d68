/* Which architectures to measure of a device, so that calibration (core/calibration.h) gains most.
 *
 * Before anything is measured, the beliefs about a device say how uncertain the latency of each
 * architecture is, and how much of that a measurement of another would take away: both follow from
 * the prior covariance alone. The n architectures are chosen one after the other, each taking away
 * the most of the expected squared error in milliseconds, summed over the candidates (Cohn,
 * Ghahramani and Jordan, JAIR 4, 1996); a belief counts by its weight, and the most unusual
 * architectures are left alone. Deterministic. Thread-safe. */
#ifndef DGLD_CORE_SUGGEST_H
#define DGLD_CORE_SUGGEST_H

#include <stddef.h>
#include <stdint.h>

#include "core/calibration_prior.h"
#include "core/error.h"
#include "core/predictor.h"
#include "core/space.h"

/* More candidates than this are thinned out evenly; the work is proportional to candidates times
 * suggestions. */
enum { SUGGEST_MAX_CANDIDATES = 2048, SUGGEST_MAX = 1000 };

/* What may be measured, borrowed for the call. */
struct suggest_candidates {
    const int32_t *genes; /* (n, n_genes), valid */
    const double *a;      /* (n): predicted A ... */
    const double *sd;     /* (n): ... and its standard deviation; NULL: unknown */
    size_t n;
};

/* Chooses `n` candidates in the order in which they help: rows (n) receives their positions,
 * without repetition. `has_hardware` tells whether the device has a data sheet, `prior` (may be
 * NULL) is as for calibration_fit(). ERR_INVALID where n is 0, above SUGGEST_MAX, or more than
 * there are candidates after thinning; ERR_NOMEM; ERR_CANCELED by `hooks` (may be NULL), which are
 * told of the stage "suggesting". */
enum err calibration_suggest(const struct space *space, const struct calibration_prior *prior,
                             bool has_hardware, const struct suggest_candidates *candidates,
                             size_t n, const struct fit_hooks *hooks, size_t *rows,
                             struct error *err);

/* The same over the space itself: distinct architectures, drawn by `seed` where they are more than
 * SUGGEST_MAX_CANDIDATES. genes (n, n_genes) receives them. */
enum err calibration_suggest_of_space(const struct predictor *predictor,
                                      const struct calibration_prior *prior, bool has_hardware,
                                      uint64_t seed, size_t n, const struct fit_hooks *hooks,
                                      int32_t *genes, struct error *err);

/* Draws what may be chosen of a space: distinct architectures without those of `excluded`
 * (n_excluded, n_genes; may be NULL), in `genes`, which has room for SUGGEST_MAX_CANDIDATES. Returns
 * how many there are. */
size_t suggest_draw(const struct space *space, uint64_t seed, const int32_t *excluded,
                    size_t n_excluded, int32_t *genes);

#endif
