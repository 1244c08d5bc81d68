/* Accuracy of FBNetV3 networks where nobody has trained any to learn from: a curve through the
 * seven published networks.
 *
 *     accuracy = ceiling - exp(level - by_macs log(MACs / 10^9) - by_resolution log(side / 224))
 *
 * What it is: a sensible order of networks by size. More MACs never mean less accuracy, and the
 * gain fades out. What it is not: a measurement of any network of the space. It cannot tell two
 * networks of equal MACs apart, and knows nothing of a gene but the MACs it causes.
 *
 * MACs are those of the genes at 224x224, as this program counts them. The published networks were
 * trained and tested at 224 to 320, so their accuracy has a part that a larger image brought. What
 * that is worth, two networks tell that have the same genes and were published at two resolutions:
 * they give by_resolution, and the others, so corrected, the rest. Predictions are for 224. */
#include <math.h>
#include <string.h>

#include "core/accuracy.h"
#include "core/mem.h"
#include "core/space_fbnetv3.h"

#define SPACE_SIDE   224.0
#define MACS_UNIT    1e9
#define CEILING_STEP 0.05 /* percent: ceilings are tried from the best accuracy on, up to 100 */

/* The weights, in the order of their tensor. */
enum { CEILING, LEVEL, BY_MACS, BY_RESOLUTION, N_COEFFICIENTS };

struct accuracy_macs {
    struct accuracy_predictor base;
    double coefficients[N_COEFFICIENTS];
};

static void macs_destroy(struct accuracy_predictor *predictor)
{
    mem_free(predictor);
}

static double log_macs(const int32_t *genes)
{
    struct cost cost = {0};

    space_fbnetv3.count(genes, &cost);
    return log((double)cost_total_macs(&cost) / MACS_UNIT);
}

static double evaluate(const double *c, double log_m, double log_side)
{
    return c[CEILING] - exp(c[LEVEL] - c[BY_MACS] * log_m - c[BY_RESOLUTION] * log_side);
}

static enum err macs_predict(const struct accuracy_predictor *predictor, const int32_t *genes,
                             size_t n, double *accuracy, struct error *err)
{
    const struct accuracy_macs *macs = (const struct accuracy_macs *)predictor;

    for (size_t i = 0; i < n; i++) {
        double a = evaluate(macs->coefficients, log_macs(genes + i * FBNETV3_N_GENES), 0.0);
        if (isnan(a)) {
            return error_set(err, ERR_NUMERIC, "the accuracy predictor gives no number");
        }
        accuracy[i] = fmin(fmax(a, 0.0), 100.0);
    }
    return ERR_OK;
}

struct fit {
    const struct accuracy_rows *rows;
    double *log_m, *log_side; /* (n) each, owned in one block */
};

/* What resolution is worth under a ceiling: the mean over pairs of equal genes. NaN without any. */
static double slope_of_pairs(const struct fit *f, double ceiling)
{
    const struct accuracy_rows *rows = f->rows;
    double sum = 0.0;
    double n = 0.0;

    for (size_t i = 0; i < rows->n; i++) {
        for (size_t j = 0; j < i; j++) {
            if (f->log_side[i] != f->log_side[j] &&
                memcmp(rows->genes + i * FBNETV3_N_GENES, rows->genes + j * FBNETV3_N_GENES,
                       FBNETV3_N_GENES * sizeof *rows->genes) == 0) {
                sum += log((ceiling - rows->accuracy[j]) / (ceiling - rows->accuracy[i])) /
                       (f->log_side[i] - f->log_side[j]);
                n += 1.0;
            }
        }
    }
    return n > 0.0 ? sum / n : NAN;
}

/* Level and by_macs by least squares under that ceiling and resolution; returns the sum of squared
 * residuals of the accuracy. */
static double fit_line(const struct fit *f, double *c)
{
    const struct accuracy_rows *rows = f->rows;
    const double n = (double)rows->n;
    double mean_m = 0.0;
    double mean_y = 0.0;
    double products = 0.0;
    double squares = 0.0;
    double residuals = 0.0;

    for (size_t i = 0; i < rows->n; i++) {
        mean_m += f->log_m[i] / n;
        mean_y += (log(c[CEILING] - rows->accuracy[i]) + c[BY_RESOLUTION] * f->log_side[i]) / n;
    }
    for (size_t i = 0; i < rows->n; i++) {
        double y = log(c[CEILING] - rows->accuracy[i]) + c[BY_RESOLUTION] * f->log_side[i];
        products += (f->log_m[i] - mean_m) * (y - mean_y);
        squares += (f->log_m[i] - mean_m) * (f->log_m[i] - mean_m);
    }
    c[BY_MACS] = -products / squares;
    c[LEVEL] = mean_y + c[BY_MACS] * mean_m;
    for (size_t i = 0; i < rows->n; i++) {
        double r = rows->accuracy[i] - evaluate(c, f->log_m[i], f->log_side[i]);
        residuals += r * r;
    }
    return residuals;
}

/* The ceiling with the least residuals. */
static enum err find_coefficients(const struct fit *f, double *coefficients, struct error *err)
{
    double best = 0.0;
    double least = INFINITY;

    for (size_t i = 0; i < f->rows->n; i++) {
        best = fmax(best, f->rows->accuracy[i]);
    }
    for (size_t step = 1; best + (double)step * CEILING_STEP <= 100.0; step++) {
        double c[N_COEFFICIENTS] = {[CEILING] = best + (double)step * CEILING_STEP};
        double residuals;
        c[BY_RESOLUTION] = slope_of_pairs(f, c[CEILING]);
        residuals = fit_line(f, c);
        if (residuals < least) { /* false for NaN */
            least = residuals;
            memcpy(coefficients, c, sizeof c);
        }
    }
    if (!isfinite(least) || !(coefficients[BY_MACS] > 0.0) ||
        !(coefficients[BY_RESOLUTION] >= 0.0)) {
        return error_set(err, ERR_INVALID,
                         "these networks do not show what MACs and resolution are worth: two must "
                         "have equal genes and different resolutions, and accuracy must grow with "
                         "both");
    }
    return ERR_OK;
}

static enum err macs_fit(const struct accuracy_kind *kind, const struct accuracy_rows *rows,
                         const struct accuracy_setting *setting, uint64_t seed,
                         struct accuracy_predictor **out, struct error *err)
{
    struct accuracy_macs *macs = mem_calloc(1, sizeof *macs);
    struct fit f = {.rows = rows, .log_m = mem_calloc(2 * rows->n, sizeof *f.log_m)};
    enum err rc;

    (void)setting; /* there is nothing to choose, */
    (void)seed;    /* and nothing is drawn */
    if (macs == NULL || f.log_m == NULL) {
        rc = error_set(err, ERR_NOMEM, "no memory to fit %zu networks", rows->n);
    } else {
        f.log_side = f.log_m + rows->n;
        for (size_t i = 0; i < rows->n; i++) {
            f.log_m[i] = log_macs(rows->genes + i * FBNETV3_N_GENES);
            f.log_side[i] = rows->resolution != NULL ? log(rows->resolution[i] / SPACE_SIDE) : 0.0;
        }
        rc = find_coefficients(&f, macs->coefficients, err);
    }
    mem_free(f.log_m);
    if (rc != ERR_OK) {
        mem_free(macs);
        return rc;
    }
    macs->base.kind = kind;
    *out = &macs->base;
    return ERR_OK;
}

static size_t macs_weights(const struct accuracy_predictor *predictor, struct tensor *tensors)
{
    const struct accuracy_macs *macs = (const struct accuracy_macs *)predictor;

    tensors[0] =
        (struct tensor){"coefficients", TENSOR_F64, 1, {N_COEFFICIENTS}, macs->coefficients};
    return 1;
}

static enum err macs_load(const struct accuracy_kind *kind, const struct tensor *tensors, size_t n,
                          struct accuracy_predictor **out, struct error *err)
{
    double c[N_COEFFICIENTS];
    struct accuracy_macs *macs;
    enum err rc = tensor_read(tensors, n, "coefficients", N_COEFFICIENTS, c, err);

    if (rc != ERR_OK) {
        return rc;
    }
    if (!(c[CEILING] > 0.0 && c[CEILING] <= 100.0 && c[BY_MACS] >= 0.0 &&
          c[BY_RESOLUTION] >= 0.0)) {
        return error_set(err, ERR_INVALID,
                         "the tensor \"coefficients\" must hold a ceiling above 0 and at most 100, "
                         "a level, and two slopes that are not negative");
    }
    macs = mem_calloc(1, sizeof *macs);
    if (macs == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for an accuracy predictor");
    }
    macs->base.kind = kind;
    memcpy(macs->coefficients, c, sizeof c);
    *out = &macs->base;
    return ERR_OK;
}

static const struct accuracy_setting settings[] = {
    {1.0, 0.0}
};

const struct accuracy_kind accuracy_kind_macs = {
    .name = "macs",
    .about = "a saturating curve of the MACs through the published FBNetV3 networks, at 224x224; "
             "it orders networks by size and is no measurement of any",
    .space = &space_fbnetv3,
    .settings = settings,
    .n_settings = sizeof settings / sizeof *settings,
    .rows_min = 5,
    .fit = macs_fit,
    .predict = macs_predict,
    .weights = macs_weights,
    .load = macs_load,
    .destroy = macs_destroy,
};
