#include "core/library_evaluate.h"

#include <math.h>
#include <string.h>

#include "core/calibration.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/rng.h"

enum { REST_MIN = 10 }; /* rows to score on */

const size_t library_sizes[LIBRARY_N_SIZES] = {0, 10, 20, 50};

/* One device's rows in the order of a draw, with what predicts them, in two blocks. */
struct draw {
    size_t n;
    size_t *order;       /* (n) */
    int32_t *genes;      /* (n, n_genes), in the same block size */
    double *a, *sd;      /* (n), in the device's own order */
    double *drawn_a;     /* (n), as all below in the draw's */
    double *drawn_sd;    /* (n) */
    double *measured_ms; /* (n) */
    double *latency_ms;  /* (n) */
};

static void draw_close(struct draw *draw)
{
    mem_free(draw->order);
    mem_free(draw->genes);
    mem_free(draw->a);
}

static enum err draw_init(struct draw *draw, const struct space *space,
                          const struct predictor *predictor, const struct library_device *device,
                          struct error *err)
{
    const size_t n = device->n;

    *draw = (struct draw){
        .n = n,
        .order = mem_calloc(n, sizeof *draw->order),
        .genes = mem_calloc(n, space->n_genes * sizeof *draw->genes),
        .a = mem_calloc(n, 6 * sizeof *draw->a),
    };
    if (draw->order == NULL || draw->genes == NULL || draw->a == NULL) {
        return error_set(err, ERR_NOMEM, "no memory to evaluate %zu measurements", n);
    }
    draw->sd = draw->a + n;
    draw->drawn_a = draw->a + 2 * n;
    draw->drawn_sd = draw->a + 3 * n;
    draw->measured_ms = draw->a + 4 * n;
    draw->latency_ms = draw->a + 5 * n;
    if (predictor != NULL) {
        return predictor_predict(predictor, device->genes, n, draw->a, draw->sd, err);
    }
    for (size_t i = 0; i < n; i++) {
        draw->a[i] = 1.0;
    }
    return ERR_OK;
}

static void shuffle(struct draw *draw, const struct space *space,
                    const struct library_device *device, uint64_t seed)
{
    const size_t n_genes = space->n_genes;
    struct rng rng;

    rng_init(&rng, seed);
    for (size_t i = 0; i < draw->n; i++) {
        draw->order[i] = i;
    }
    rng_shuffle(&rng, draw->order, draw->n);
    for (size_t i = 0; i < draw->n; i++) {
        const size_t at = draw->order[i];
        memcpy(draw->genes + i * n_genes, device->genes + at * n_genes,
               n_genes * sizeof *draw->genes);
        draw->drawn_a[i] = draw->a[at];
        draw->drawn_sd[i] = draw->sd[at];
        draw->measured_ms[i] = device->latency_ms[at];
    }
}

/* Predicts all rows of the draw but the first `size`, which are measured. */
static enum err predict_rest(const struct draw *draw, const struct space *space,
                             const struct calibration_prior *prior, const struct hardware *hardware,
                             size_t size, struct error *err)
{
    const struct measured measured = {draw->genes, draw->drawn_a, draw->drawn_sd, draw->measured_ms,
                                      size};
    struct calibration *calibration = NULL;
    enum err rc;

    if (size == 0) {
        return calibration_prior_predict(prior, hardware, draw->genes, draw->n, draw->latency_ms,
                                         NULL, err);
    }
    rc = calibration_fit(space, prior, hardware, &measured, &calibration, err);
    if (rc == ERR_OK) {
        calibration_predict(calibration, draw->genes + size * space->n_genes, draw->drawn_a + size,
                            draw->drawn_sd + size, draw->n - size, draw->latency_ms + size, NULL);
    }
    calibration_destroy(calibration);
    return rc;
}

static enum err evaluate_sizes(struct draw *draw, const struct space *space,
                               const struct calibration_prior *prior,
                               const struct library_device *device, size_t n_draws, uint64_t seed,
                               const struct fit_hooks *hooks, struct library_figures *figures,
                               struct error *err)
{
    for (size_t s = 0; s < LIBRARY_N_SIZES; s++) {
        const size_t size = library_sizes[s];
        const size_t repeats = size == 0 ? 1 : n_draws; /* without measurements nothing is drawn */
        double sums[3] = {0};
        if (size + REST_MIN > draw->n || (size == 0 && prior == NULL)) {
            figures->at[s].spearman = figures->at[s].r = figures->at[s].rmse_ms = NAN;
            continue;
        }
        for (size_t i = 0; i < repeats; i++) {
            struct metrics metrics;
            const struct fit_progress progress = {
                .stage = "validating",
                .percent = 100.0 * ((double)s + (double)i / (double)repeats) / LIBRARY_N_SIZES,
                .loss = NAN,
            };
            enum err rc;
            shuffle(draw, space, device, rng_at(seed, i));
            rc = fit_tell(hooks, &progress, err);
            rc = rc != ERR_OK ? rc : predict_rest(draw, space, prior, device->hardware, size, err);
            rc = rc != ERR_OK ? rc
                              : metrics_compute(draw->latency_ms + size, draw->measured_ms + size,
                                                draw->n - size, &metrics, err);
            if (rc != ERR_OK) {
                return rc;
            }
            sums[0] += metrics.spearman / (double)repeats;
            sums[1] += metrics.r / (double)repeats;
            sums[2] += metrics.rmse / (double)repeats;
        }
        figures->at[s].spearman = sums[0];
        figures->at[s].r = sums[1];
        figures->at[s].rmse_ms = sums[2];
    }
    return ERR_OK;
}

/* The library without device d. */
static enum err learn_others(const struct space *space, const struct library_device *devices,
                             size_t n_devices, size_t d, const struct fit_hooks *hooks,
                             struct calibration_prior **prior, struct error *err)
{
    struct library_device others[LIBRARY_MAX_DEVICES];
    size_t n = 0;

    for (size_t i = 0; i < n_devices; i++) {
        if (i != d) {
            others[n++] = devices[i];
        }
    }
    return n == 0 ? ERR_OK : calibration_prior_fit(space, others, n, hooks, prior, err);
}

enum err library_evaluate(const struct space *space, const struct predictor *predictor,
                          const struct library_device *devices, size_t n_devices, size_t n_draws,
                          uint64_t seed, const struct fit_hooks *hooks,
                          struct library_figures *figures, struct error *err)
{
    enum err rc = ERR_OK;

    if (n_devices == 0 || n_devices > LIBRARY_MAX_DEVICES) {
        return error_set(err, ERR_LIMIT, "a library has 1 to %d devices, not %zu",
                         LIBRARY_MAX_DEVICES, n_devices);
    }
    for (size_t d = 0; rc == ERR_OK && d < n_devices; d++) {
        struct calibration_prior *prior = NULL;
        struct draw draw = {0};
        struct fit_part learning;
        struct fit_part part;
        const double from = 100.0 * (double)d / (double)n_devices;
        const double middle = 100.0 * ((double)d + 0.5) / (double)n_devices;
        fit_part_init(&learning, hooks, "validating", from, middle);
        fit_part_init(&part, hooks, "validating", middle,
                      100.0 * (double)(d + 1) / (double)n_devices);
        rc = learn_others(space, devices, n_devices, d, &learning.hooks, &prior, err);
        if (rc == ERR_OK) {
            rc = draw_init(&draw, space, predictor, &devices[d], err);
        }
        if (rc == ERR_OK) {
            rc = evaluate_sizes(&draw, space, prior, &devices[d], n_draws, seed, &part.hooks,
                                &figures[d], err);
        }
        draw_close(&draw);
        calibration_prior_destroy(prior);
    }
    return rc;
}
