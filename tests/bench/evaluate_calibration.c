/* Prints every figure that calibrations are judged by, from the measured data, which are read in
 * place ($DGLD_TEST_SHARED or ../shared):
 *
 *     make figures
 *
 * Nothing is fitted to the phones of REFERENCE.md but each phone's own calibrations. */
#include <time.h>

#include "core/matrix.h"
#include "core/stats.h"
#include "core/suggest.h"
#include "tests/support/calibration_data.h"

enum { N_DRAWS = 20 };

static const size_t sizes[] = {1, 3, 10, 50};
enum { N_SIZES = sizeof sizes / sizeof *sizes };

static void stop_on(enum err rc, const struct error *err)
{
    if (rc != ERR_OK) {
        (void)fprintf(stderr, "%s\n", err->text);
        exit(1);
    }
}

static struct trial_result mean_of_draws(struct trial trial)
{
    struct trial_result mean = {0};
    struct error err = {0};

    for (uint64_t draw = 0; draw < N_DRAWS; draw++) {
        struct trial_result one;
        trial.seed = draw;
        if (trial.wild != 0.0) {
            trial.wild = draw % 2 == 0 ? 10.0 : 0.1;
        }
        stop_on(run_trial(&trial, &one, &err), &err);
        mean.metrics.rmse += one.metrics.rmse / N_DRAWS;
        mean.metrics.r += one.metrics.r / N_DRAWS;
        mean.metrics.spearman += one.metrics.spearman / N_DRAWS;
        mean.coverage += one.coverage / N_DRAWS;
        mean.log_width += one.log_width / N_DRAWS;
    }
    return mean;
}

static void print_phones(const struct device_data *phones, const struct calibration_prior *prior,
                         int base)
{
    double ratios[N_SIZES] = {0};

    printf("\nRMSE ms after n random measurements, mean of %d draws, base %s, prior %s\n", N_DRAWS,
           base == BASE_SEEN ? "seen" : "held out", prior != NULL ? "nine devices" : "none");
    printf("%-22s %7s %7s %7s %7s %7s   asked at 10; with one wild of ten\n", "", "n = 0", "1", "3",
           "10", "50");
    for (size_t p = 0; p < N_PHONES; p++) {
        struct trial trial = {
            .device = &phones[p],
            .base = base,
            .prior = phones[p].space == &space_nasbench201 ? prior : NULL,
        };
        struct trial_result none;
        double at_ten = 0.0;
        double wild;
        (void)run_trial(&trial, &none, NULL);
        printf("%-22s %7.4g", phones[p].name, none.metrics.rmse);
        for (size_t s = 0; s < N_SIZES; s++) {
            double rmse;
            trial.n = sizes[s];
            rmse = mean_of_draws(trial).metrics.rmse;
            ratios[s] += rmse / none.metrics.rmse / N_PHONES;
            at_ten = sizes[s] == 10 ? rmse : at_ten;
            printf(" %7.4g", rmse);
        }
        trial.n = 10;
        trial.wild = 10.0;
        wild = mean_of_draws(trial).metrics.rmse;
        printf("   %5.4g %s; %+.1f %%\n", phone_list[p].rmse_ms,
               at_ten <= phone_list[p].rmse_ms ? "met" : "NOT MET", 100.0 * (wild / at_ten - 1.0));
    }
    printf("%-22s %7s", "mean of RMSE(n)/RMSE(0)", "");
    for (size_t s = 0; s < N_SIZES; s++) {
        printf(" %7.3f", ratios[s]);
    }
    printf("\n");
}

/* Median log ratio of measured to predicted latency: what the data sheet misses of a phone. */
static double offset_of(const struct device_data *phone)
{
    static double log_ratio[DATA_MAX_ROWS];

    for (size_t i = 0; i < phone->n; i++) {
        log_ratio[i] = log(phone->latency_ms[i] / phone->a[BASE_HELD_OUT][i] /
                           hardware_factor(&phone->hardware));
    }
    return stats_median(log_ratio, phone->n);
}

/* Coverage, and mean width on log scale, without measurements. */
static double coverage_at(const struct device_data *phone, double device_spread, double *width)
{
    size_t n_inside = 0;

    *width = 0.0;
    for (size_t i = 0; i < phone->n; i++) {
        const double a = phone->a[BASE_HELD_OUT][i];
        const double latency_ms = a * hardware_factor(&phone->hardware);
        const double spread = hypot(phone->sd[BASE_HELD_OUT][i] / a, device_spread);
        double low;
        double high;
        interval_bounds(&latency_ms, &spread, 1, 0.9, &low, &high);
        n_inside += phone->latency_ms[i] >= low && phone->latency_ms[i] <= high ? 1 : 0;
        *width += log(high / low) / (double)phone->n;
    }
    return (double)n_inside / (double)phone->n;
}

/* Of a space (NULL: both), without the phone `left_out` (N_PHONES: with all): the spread with which 90 %
 * intervals hold 90 %, mean over the phones, by bisection. */
static double spread_between(const struct device_data *phones, const struct space *space,
                             size_t left_out)
{
    double low = 0.0;
    double high = 1.0;

    for (int step = 0; step < 30; step++) {
        const double middle = 0.5 * (low + high);
        double coverage = 0.0;
        double n = 0.0;
        for (size_t p = 0; p < N_PHONES; p++) {
            if (p != left_out && (space == NULL || phones[p].space == space)) {
                double width;
                coverage += coverage_at(&phones[p], middle, &width);
                n += 1.0;
            }
        }
        if (coverage < SPACE_COVERAGE_LEVEL * n) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return high;
}

/* By how much the spread must be wider for phones that it was not estimated from: with the factor,
 * intervals hold 90 % of those left out, mean over the nine. `others` (N_PHONES) is what the space's
 * other phones tell. */
static double factor_for_unseen(const struct device_data *phones, const double *others)
{
    double low = 0.5;
    double high = 3.0;

    for (int step = 0; step < 30; step++) {
        const double middle = 0.5 * (low + high);
        double coverage = 0.0;
        for (size_t p = 0; p < N_PHONES; p++) {
            double width;
            coverage += coverage_at(&phones[p], middle * others[p], &width) / N_PHONES;
        }
        if (coverage < SPACE_COVERAGE_LEVEL) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return high;
}

/* `widths` (N_PHONES) receives those of the spread that was estimated without the phone. */
static void print_zero_intervals(const struct device_data *phones, double *widths)
{
    double others[N_PHONES];
    double coverage[2][2] = {{0}};
    double n[2] = {0};
    double factor;

    for (size_t p = 0; p < N_PHONES; p++) {
        others[p] = spread_between(phones, phones[p].space, p);
    }
    factor = factor_for_unseen(phones, others);
    printf(
        "\n90 %% intervals without measurements, held-out architectures: what the sheet misses "
        "(log),\ncoverage with the spread that the space's other phones tell, and with the shipped "
        "one\n");
    for (size_t p = 0; p < N_PHONES; p++) {
        const struct space *space = phones[p].space;
        const int s = space == &space_nasbench201 ? 0 : 1;
        const double spread = factor * others[p];
        double width;
        const double shipped = coverage_at(&phones[p], space->device_spread, &width);
        const double left_out = coverage_at(&phones[p], spread, &widths[p]);
        printf("%-22s %+.3f  %.3f (%.3f)  %.3f (%.3f)\n", phones[p].name, offset_of(&phones[p]),
               left_out, spread, shipped, space->device_spread);
        coverage[s][0] += left_out;
        coverage[s][1] += shipped;
        n[s] += 1.0;
    }
    printf("mean: nasbench201 %.3f, shipped %.3f; fbnetv3 %.3f, shipped %.3f; factor %.3f; "
           "to ship %.3f, %.3f, elsewhere %.3f\n",
           coverage[0][0] / n[0], coverage[0][1] / n[0], coverage[1][0] / n[1],
           coverage[1][1] / n[1], factor,
           factor * spread_between(phones, &space_nasbench201, N_PHONES),
           factor * spread_between(phones, &space_fbnetv3, N_PHONES),
           factor * spread_between(phones, NULL, N_PHONES));
}

static void print_intervals(const struct device_data *phones, const struct calibration_prior *prior,
                            const double *widths)
{
    printf("\n90 %% intervals after n measurements, held-out architectures: coverage, and width "
           "beside that\n"
           "without measurements\n%-22s %13s %13s %13s %13s\n",
           "", "n = 1", "3", "10", "50");
    for (int space = 0; space < 2; space++) {
        double coverage[N_SIZES] = {0};
        double width[N_SIZES] = {0};
        double n = 0.0;
        for (size_t p = 0; p < N_PHONES; p++) {
            struct trial trial = {
                .device = &phones[p], .base = BASE_HELD_OUT, .prior = space == 0 ? prior : NULL};
            if ((phones[p].space == &space_nasbench201) != (space == 0)) {
                continue;
            }
            printf("%-22s", phones[p].name);
            for (size_t s = 0; s < N_SIZES; s++) {
                struct trial_result mean;
                trial.n = sizes[s];
                mean = mean_of_draws(trial);
                coverage[s] += mean.coverage;
                width[s] += mean.log_width / widths[p];
                printf("   %.3f %5.3f ", mean.coverage, mean.log_width / widths[p]);
            }
            printf("\n");
            n += 1.0;
        }
        printf("%-22s", "mean");
        for (size_t s = 0; s < N_SIZES; s++) {
            printf("   %.3f %5.3f ", coverage[s] / n, width[s] / n);
        }
        printf("\n");
    }
}

/* The suggestion among the rows that were measured, beside random draws. */
static void print_suggestions(const struct device_data *phones,
                              const struct calibration_prior *prior)
{
    static const size_t suggested_sizes[] = {3, 5, 10, 20};
    struct error err = {0};
    double ratios[4] = {0};

    printf("\nRMSE ms of suggested measurements (of random ones, mean of %d draws), base held out\n"
           "%-22s %15s %15s %15s %15s\n",
           N_DRAWS, "", "n = 3", "5", "10", "20");
    for (size_t p = 0; p < N_PHONES; p++) {
        const struct calibration_prior *own = phones[p].space == &space_nasbench201 ? prior : NULL;
        const struct suggest_candidates candidates = {phones[p].genes, phones[p].a[BASE_HELD_OUT],
                                                      phones[p].sd[BASE_HELD_OUT], phones[p].n};
        size_t rows[20];
        stop_on(calibration_suggest(phones[p].space, own, true, &candidates, 20, NULL, rows, &err),
                &err);
        printf("%-22s", phones[p].name);
        for (size_t s = 0; s < 4; s++) {
            struct trial trial = {.device = &phones[p],
                                  .base = BASE_HELD_OUT,
                                  .prior = own,
                                  .n = suggested_sizes[s],
                                  .rows = rows};
            struct trial_result suggested;
            double drawn;
            stop_on(run_trial(&trial, &suggested, &err), &err);
            trial.rows = NULL;
            drawn = mean_of_draws(trial).metrics.rmse;
            ratios[s] += suggested.metrics.rmse / drawn / N_PHONES;
            printf("   %5.4g (%5.4g)", suggested.metrics.rmse, drawn);
        }
        printf("\n");
    }
    printf("%-22s %11.3f %15.3f %15.3f %15.3f\n", "mean ratio", ratios[0], ratios[1], ratios[2],
           ratios[3]);
}

static double spearman_of_prior(const struct calibration_prior *prior,
                                const struct device_data *device)
{
    static double latency_ms[DATA_MAX_ROWS];
    struct metrics metrics;
    struct error err = {0};

    stop_on(calibration_prior_predict(prior, device->has_hardware ? &device->hardware : NULL,
                                      device->genes, device->n, latency_ms, NULL, &err),
            &err);
    stop_on(metrics_compute(latency_ms, device->latency_ms, device->n, &metrics, &err), &err);
    return metrics.spearman;
}

/* Each of n devices, with what the others teach. */
static void print_library(const char *title, const struct device_data *devices, size_t n)
{
    static const size_t library_sizes[] = {10, 20, 50};
    double means[3] = {0};
    double sheet = 0.0;
    struct error err = {0};

    printf("\nSpearman on %s, each with what the others teach\n", title);
    printf("%-16s %7s %7s %7s %7s  coverage at 50; suggested 10\n", "", "n = 0", "10", "20", "50");
    for (size_t d = 0; d < n; d++) {
        struct calibration_prior *prior = NULL;
        struct trial trial = {.device = &devices[d], .base = BASE_SEEN};
        const struct suggest_candidates candidates = {devices[d].genes, devices[d].a[BASE_SEEN],
                                                      devices[d].sd[BASE_SEEN], devices[d].n};
        size_t rows[10];
        double none;
        struct trial_result one;
        stop_on(learn_library(devices, n, d, &prior, &err), &err);
        none = spearman_of_prior(prior, &devices[d]);
        sheet += none / (double)n;
        printf("%-16s %7.3f", devices[d].name, none);
        trial.prior = prior;
        for (size_t s = 0; s < 3; s++) {
            double spearman;
            trial.n = library_sizes[s];
            spearman = mean_of_draws(trial).metrics.spearman;
            means[s] += spearman / (double)n;
            printf(" %7.3f", spearman);
        }
        printf("  %.3f", mean_of_draws(trial).coverage);
        stop_on(calibration_suggest(devices[d].space, prior, devices[d].has_hardware, &candidates,
                                    10, NULL, rows, &err),
                &err);
        if (devices[d].n <= SUGGEST_MAX_CANDIDATES) {
            trial.rows = rows;
            trial.n = 10;
            stop_on(run_trial(&trial, &one, &err), &err);
            printf("  %.3f", one.metrics.spearman);
        }
        printf("\n");
        calibration_prior_destroy(prior);
    }
    printf("%-16s %7.4f %7.4f %7.4f %7.4f\n", "mean", sheet, means[0], means[1], means[2]);
}

static double now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

static void print_speed(const struct device_data *device, const struct calibration_prior *prior,
                        size_t n)
{
    static double latency_ms[DATA_MAX_ROWS];
    static double spread[DATA_MAX_ROWS];
    const struct measured measured = {device->genes, device->a[BASE_SEEN], device->sd[BASE_SEEN],
                                      device->latency_ms, n};
    struct error err = {0};
    double fit_ms = INFINITY;
    double predict_us = INFINITY;

    for (int repeat = 0; repeat < 20; repeat++) {
        struct calibration *calibration = NULL;
        double start = now_ms();
        stop_on(calibration_fit(device->space, prior,
                                device->has_hardware ? &device->hardware : NULL, &measured,
                                &calibration, &err),
                &err);
        fit_ms = fmin(fit_ms, now_ms() - start);
        start = now_ms();
        calibration_predict(calibration, device->genes, device->a[BASE_SEEN], device->sd[BASE_SEEN],
                            device->n, latency_ms, spread);
        predict_us = fmin(predict_us, 1e3 * (now_ms() - start) / (double)device->n);
        calibration_destroy(calibration);
    }
    printf("%-12s %4zu measurements: fit %.2f ms, prediction with spread %.2f us\n",
           device->space->name, n, fit_ms, predict_us);
}

static void print_numbers(const char *name, const char *shape, const double *values, size_t n)
{
    printf("static const double %s%s = {\n", name, shape);
    for (size_t i = 0; i < n; i++) {
        printf("%.5g,%s", values[i], i % 8 == 7 || i + 1 == n ? "\n" : " ");
    }
    printf("};\n\n");
}

/* The source of core/prior_nasbench201.c; `make format` shapes it. */
static void print_source(const struct calibration_prior *prior)
{
    printf("/* What nine devices taught (core/calibration_prior.h): those of "
           "data/library/nasbench201, "
           "public\n * measurements of HELP (Lee et al., NeurIPS 2021), fitted by "
           "`evaluate_calibration prior`.\n * In order:");
    for (size_t d = 0; d < N_LIBRARY; d++) {
        printf("%s%s%s", d % 6 == 5 ? "\n * " : " ", library_list[d].name,
               d + 1 < N_LIBRARY ? "," : ". */\n");
    }
    printf("#include \"core/calibration_prior.h\"\n#include \"core/space_nasbench201.h\"\n\n"
           "enum { N_DEVICES = %zu, N_COEFFICIENTS = %zu };\n\n",
           prior->n_devices, prior->n_coefficients);
    print_numbers("functions", "[N_DEVICES * N_COEFFICIENTS]", prior->functions,
                  prior->n_devices * prior->n_coefficients);
    print_numbers("level", "[N_DEVICES]", prior->level, prior->n_devices);
    print_numbers("hardware", "[N_DEVICES * HARDWARE_N_FIELDS]", prior->hardware,
                  prior->n_devices * HARDWARE_N_FIELDS);
    printf("const struct calibration_prior nasbench201_calibration_prior = {\n"
           "    .space = &space_nasbench201,\n    .n_devices = N_DEVICES,\n"
           "    .n_coefficients = N_COEFFICIENTS,\n    .functions = functions,\n"
           "    .level = level,\n    .hardware = hardware,\n};\n");
}

int main(int argc, char **argv)
{
    struct space_data spaces_data[2];
    struct device_data phones[N_PHONES];
    struct device_data library[N_LIBRARY];
    struct device_data fbnet[N_FBNET];
    struct calibration_prior *prior = NULL;
    double widths[N_PHONES];
    struct error err = {0};

    stop_on(matrix_init(&err), &err);
    stop_on(load_space("nasbench201", &spaces_data[0], &err), &err);
    stop_on(load_space("fbnetv3", &spaces_data[1], &err), &err);
    for (size_t p = 0; p < N_PHONES; p++) {
        const bool is_second = strcmp(phone_list[p].space, "fbnetv3") == 0;
        stop_on(load_phone(&spaces_data[is_second], phone_list[p].name, &phones[p], &err), &err);
    }
    stop_on(load_library(spaces_data[0].predictor, library, &err), &err);
    stop_on(learn_library(library, N_LIBRARY, N_LIBRARY, &prior, &err), &err);
    if (argc > 1 && strcmp(argv[1], "prior") == 0) {
        print_source(prior);
        return 0;
    }
    print_phones(phones, NULL, BASE_HELD_OUT);
    print_phones(phones, prior, BASE_HELD_OUT);
    print_phones(phones, prior, BASE_SEEN);
    printf("\n");
    print_speed(&phones[1], prior, 1);
    print_speed(&phones[1], prior, 10);
    print_speed(&phones[1], prior, 100);
    print_speed(&library[5], prior, 10);
    print_speed(&library[5], prior, 100);
    print_speed(&phones[5], NULL, 100);
    print_zero_intervals(phones, widths);
    print_intervals(phones, prior, widths);
    print_suggestions(phones, prior);
    print_library("nine devices of nasbench201", library, N_LIBRARY);
    stop_on(load_fbnet(fbnet, &err), &err);
    print_speed(&fbnet[0], NULL, 100);
    print_library("six devices of fbnet, known by their genes alone", fbnet, N_FBNET);
    return 0;
}
