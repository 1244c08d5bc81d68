/* A small library of devices, made up: three that are a root, a line and a bit of both in the number
 * of the architecture, of which the first has a data sheet. Header only, for C tests. */
#ifndef DGLD_TESTS_SUPPORT_LIBRARY_H
#define DGLD_TESTS_SUPPORT_LIBRARY_H

#include "core/calibration_prior.h"

enum { LIBRARY_N_DEVICES = 3, LIBRARY_N_ROWS = 60 };

static char *const library_names[] = {(char *)"slow phone", (char *)"gpu", (char *)"server"};

/* `devices` borrow from the rest, and are of the struct's own place. */
struct small_library {
    int32_t genes[LIBRARY_N_ROWS * SPACE_MAX_GENES];
    double latency_ms[LIBRARY_N_DEVICES][LIBRARY_N_ROWS];
    struct library_device devices[LIBRARY_N_DEVICES];
};

/* Architectures of the space, the more differing the further apart they stand. */
static inline void library_fill_genes(const struct space *space, size_t n, int32_t *genes)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t g = 0; g < space->n_genes; g++) {
            const struct gene *gene = &space->genes[g];
            genes[i * space->n_genes + g] =
                gene_value(gene, (int32_t)((i * (g + 3) + g) % (size_t)gene->n_values));
        }
    }
}

static inline void library_make(const struct space *space, struct small_library *library)
{
    static const struct hardware sheet = {2.0, 3.0, 1.0, 7.46};

    library_fill_genes(space, LIBRARY_N_ROWS, library->genes);
    for (size_t i = 0; i < LIBRARY_N_ROWS; i++) {
        library->latency_ms[0][i] = 20.0 + (double)((i * 7) % 13);
        library->latency_ms[1][i] = 3.0 + (double)((i * 7) % 13) / 10.0;
        library->latency_ms[2][i] = 9.0 + (double)(i % 5);
    }
    for (size_t d = 0; d < LIBRARY_N_DEVICES; d++) {
        library->devices[d] =
            (struct library_device){library_names[d], library->genes, library->latency_ms[d],
                                    LIBRARY_N_ROWS, d == 0 ? &sheet : NULL};
    }
}

#endif
