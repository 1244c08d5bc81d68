/* Which architectures to measure of a device, so that calibration (core/calibration.h) gains most.
 *
 * The beliefs about a device say how uncertain the latency of each architecture is, and how much of
 * that a measurement of another would take away: both follow from the covariance alone, which is the
 * prior one where nothing is measured yet, and else what the architectures measured leave of it. The n
 * architectures are chosen one after the other, each taking away the most of the expected squared
 * error in milliseconds, summed over the candidates (Cohn, Ghahramani and Jordan, JAIR 4, 1996); a
 * belief counts by its weight, which is the calibration's where there are measurements. Deterministic.
 * Thread-safe. */
#ifndef DGLD_CORE_SUGGEST_H
#define DGLD_CORE_SUGGEST_H

#include <stddef.h>
#include <stdint.h>

#include "core/calibration.h"
#include "core/calibration_prior.h"
#include "core/device.h"
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

/* How it is chosen. `make hyperparameters` derives it. */
struct suggest_numbers {
    /* What features of the same kind explain of an architecture's latency, its measurement is
     * believed to miss by so many times as much (as a variance): unusual ones, which would tell most
     * if latency were linear, tell less. */
    double same_kind_misfit;
};

/* Those that ship. */
extern const struct suggest_numbers suggest_numbers;

/* All that a choice may depend on, borrowed for the call. */
struct suggest_choice {
    const struct space *space;
    const struct calibration_prior *prior; /* as for calibration_fit(); may be NULL */
    const struct hardware *hardware;       /* NULL: no data sheet */
    const struct suggest_candidates *candidates;
    const struct measured *measured;      /* of the device so far, as for calibration_fit(); NULL:
                                              nothing, as where it has no rows. A candidate among them
                                              is not suggested */
    const struct belief_numbers *beliefs; /* NULL, as the next: those that ship */
    const struct suggest_numbers *numbers;
};

/* As calibration_suggest(), after what is measured already: the n architectures that help most beside
 * those. ERR_INVALID too where fewer than n candidates (after thinning) are not measured yet; errors
 * of calibration_fit(). */
enum err calibration_suggest_next(const struct suggest_choice *choice, size_t n,
                                  const struct fit_hooks *hooks, size_t *rows, struct error *err);

/* calibration_suggest() over the space itself: distinct architectures, drawn by `seed` where they are
 * more than SUGGEST_MAX_CANDIDATES. genes (n, n_genes) receives them. Errors of predictor_predict()
 * besides. */
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
