/* The genetic search, and the predictors that it asks, for programs that hold other searches against
 * it: all of them ask the same numbers.
 *
 *     search_peer ROOT DATA_PATH|- SPACE F D C M
 *
 * Reads commands from standard input, a line each, and answers each on standard output:
 *
 *     genes                           "first step n_values" of every gene
 *     evaluate N                      and N lines of genes: N lines "accuracy latency_ms"; an
 *                                     accuracy that the source does not have is "nan"
 *     search LIMIT_MS EVALUATIONS SEED
 *                                     "feasible accuracy latency_ms evaluations seconds", then the
 *                                     shares of the time that latency and accuracy took, and the
 *                                     genes; with the options that a user gets by default
 *
 * Ends at the end of the input, or, with a sentence on standard error, at the first error. */
#include <stdio.h>
#include <stdlib.h>

#include "core/matrix.h"
#include "core/mem.h"
#include "tests/bench/search_problem.h"

enum { MAX_ROWS = 1000000, BASE = 10 };

/* The lines of an evaluation. */
struct rows {
    int32_t *genes; /* (n, n_genes), owned */
    double *values; /* (2 n), owned: accuracies, latencies */
    size_t n;
};

static enum err read_rows(const struct space *space, struct rows *rows, struct error *err)
{
    rows->genes = mem_calloc(rows->n, space->n_genes * sizeof *rows->genes);
    rows->values = mem_calloc(rows->n, 2 * sizeof *rows->values);
    if (rows->genes == NULL || rows->values == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for %zu architectures", rows->n);
    }
    for (size_t i = 0; i < rows->n; i++) {
        char line[SPACE_TEXT_BYTES];
        enum err rc = fgets(line, sizeof line, stdin) == NULL
                          ? error_set(err, ERR_SYNTAX, "the input ends within an evaluation")
                          : space_parse(space, line, strcspn(line, "\n"),
                                        rows->genes + i * space->n_genes, NULL, err);
        if (rc != ERR_OK) {
            return rc;
        }
    }
    return ERR_OK;
}

static enum err evaluate(struct search_problem *p, const char *arguments, struct error *err)
{
    struct rows rows = {.n = strtoul(arguments, NULL, BASE)};
    enum err rc;

    if (rows.n < 1 || rows.n > MAX_ROWS) {
        return error_set(err, ERR_INVALID, "evaluate 1 to %d architectures", MAX_ROWS);
    }
    rc = read_rows(p->space, &rows, err);
    rc = rc != ERR_OK
             ? rc
             : search_problem_ask(p, rows.genes, rows.n, rows.values, rows.values + rows.n, err);
    for (size_t i = 0; rc == ERR_OK && i < rows.n; i++) {
        (void)printf("%.17g %.17g\n", rows.values[i], rows.values[rows.n + i]);
    }
    mem_free(rows.genes);
    mem_free(rows.values);
    return rc;
}

static enum err search(struct search_problem *p, const char *arguments, struct error *err)
{
    char *rest;
    const double limit_ms = strtod(arguments, &rest);
    const size_t evaluations = strtoul(rest, &rest, BASE);
    struct genetic_options options = genetic_defaults(p->space, evaluations);
    struct genetic_result result = {0};
    char genes[SPACE_TEXT_BYTES];
    const double start = monotonic_seconds();
    double seconds;
    enum err rc;

    options.seed = strtoul(rest, &rest, BASE);
    rc = search_problem_search(p, limit_ms, &options, &result, err);
    if (rc != ERR_OK) {
        return rc;
    }
    seconds = monotonic_seconds() - start;
    (void)space_print_genes(p->space, result.genes, genes);
    (void)printf("%d %.17g %.17g %zu %.6g %.3f %.3f %s\n", result.is_feasible, result.accuracy,
                 result.cost * limit_ms, result.n_evaluated, seconds, p->latency_s / seconds,
                 p->accuracy_s / seconds, genes);
    genetic_result_close(&result);
    return ERR_OK;
}

static enum err list_genes(struct search_problem *p, const char *arguments, struct error *err)
{
    (void)arguments;
    (void)err;
    for (size_t g = 0; g < p->space->n_genes; g++) {
        const struct gene *gene = &p->space->genes[g];
        (void)printf("%d %d %d%s", gene->first, gene->step, gene->n_values,
                     g + 1 < p->space->n_genes ? " " : "\n");
    }
    return ERR_OK;
}

static enum err run_command(struct search_problem *p, const char *line, struct error *err)
{
    static const struct {
        const char *name;
        enum err (*run)(struct search_problem *p, const char *arguments, struct error *err);
    } commands[] = {
        {"genes",     list_genes},
        {"evaluate ", evaluate  },
        {"search ",   search    },
    };

    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        const size_t length = strlen(commands[i].name);
        if (strncmp(line, commands[i].name, length) == 0) {
            return commands[i].run(p, line + length, err);
        }
    }
    return error_set(err, ERR_SYNTAX, "this is no command: %s", line);
}

static enum err serve(struct search_problem *p, struct error *err)
{
    char line[SPACE_TEXT_BYTES];
    enum err rc = ERR_OK;

    while (rc == ERR_OK && fgets(line, sizeof line, stdin) != NULL) {
        rc = run_command(p, line, err);
        (void)fflush(stdout);
    }
    return rc;
}

int main(int argc, char **argv)
{
    struct search_problem problem = {0};
    struct error err = {0};
    const struct space *space = argc == 4 + HARDWARE_N_FIELDS ? space_find(argv[3]) : NULL;
    double vector[HARDWARE_N_FIELDS];
    struct hardware hardware;
    enum err rc;

    if (space == NULL) {
        (void)fprintf(stderr, "usage: search_peer ROOT DATA_PATH|- SPACE F D C M\n");
        return 2;
    }
    for (size_t i = 0; i < HARDWARE_N_FIELDS; i++) {
        vector[i] = strtod(argv[4 + i], NULL);
    }
    hardware = hardware_from_vector(vector);
    rc = hardware_validate(&hardware, NULL, &err);
    rc = rc != ERR_OK ? rc : matrix_init(&err);
    rc =
        rc != ERR_OK ? rc : search_problem_open(&problem, argv[1], argv[2], space, &hardware, &err);
    rc = rc != ERR_OK ? rc : serve(&problem, &err);
    search_problem_close(&problem);
    if (rc != ERR_OK) {
        (void)fprintf(stderr, "search_peer: %s\n", err.text);
        return 1;
    }
    return 0;
}
