/* Prints every figure that calibrations are judged by, from the measured data, which are read in place
 * ($DGLD_TEST_SHARED or ../shared):
 *
 *     make build/release/tests/bench/evaluate_calibration && build/release/tests/bench/evaluate_calibration
 *
 * Nothing is fitted to the phones of REFERENCE.md but each phone's own calibrations. */
#include "core/matrix.h"
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

static void print_library(const struct device_data *library)
{
    static const size_t library_sizes[] = {10, 20, 50};
    double means[3] = {0};
    struct error err = {0};

    printf("\nSpearman on devices of the library, each with what the others teach\n");
    printf("%-16s %7s %7s %7s %7s\n", "", "sheet", "n = 10", "20", "50");
    for (size_t d = 0; d < N_LIBRARY; d++) {
        struct calibration_prior *prior = NULL;
        struct trial trial = {.device = &library[d], .base = BASE_SEEN};
        struct trial_result none;
        stop_on(learn_library(library, N_LIBRARY, d, &prior, &err), &err);
        (void)run_trial(&trial, &none, NULL);
        printf("%-16s %7.3f", library[d].name, none.metrics.spearman);
        trial.prior = prior;
        for (size_t s = 0; s < 3; s++) {
            double spearman;
            trial.n = library_sizes[s];
            spearman = mean_of_draws(trial).metrics.spearman;
            means[s] += spearman / N_LIBRARY;
            printf(" %7.3f", spearman);
        }
        printf("\n");
        calibration_prior_destroy(prior);
    }
    printf("%-16s %7s %7.4f %7.4f %7.4f\n", "mean", "", means[0], means[1], means[2]);
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
    struct calibration_prior *prior = NULL;
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
    print_library(library);
    return 0;
}
