/* A search space: what an architecture of it is, how it is written, and what it costs to run.
 *
 * An architecture is a vector of genes, int32_t[space->n_genes]. Spaces are constant tables, shared
 * by all threads; every function here is pure and thread-safe. Gene numbers in messages count from
 * 1, as people do. */
#ifndef DGLD_CORE_SPACE_H
#define DGLD_CORE_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/cost.h"
#include "core/error.h"

#define SPACE_MAX_GENES 64

/* A gene takes the values first, first + step, ... (n_values of them). */
struct gene {
    const char *name;
    int32_t first, step, n_values;
};

/* What the predictor `cost` (core/predictor_cost.h) knows of an architecture: a nominal cost, which
 * alone predicts A up to a factor, and features that correct it, in groups that share a prior. */
#define SPACE_MAX_FEATURES       128
#define SPACE_MAX_FEATURE_GROUPS 8

struct space_features {
    size_t n_features;
    size_t n_groups;
    size_t
        group_sizes[SPACE_MAX_FEATURE_GROUPS]; /* consecutive features; they add up to n_features */
    /* Writes log(nominal cost) and `features` (n_features). The genes are valid. */
    void (*compute)(const int32_t *genes, double *log_nominal, double *features);
};

/* What may set one device apart from another beyond a factor: features that calibrations by
 * measurements (core/calibration.h) and libraries of devices correct latencies by, in groups. */
#define SPACE_MAX_RESIDUALS       256
#define SPACE_MAX_RESIDUAL_GROUPS 4

struct space;

struct space_residuals {
    size_t n_features;
    size_t n_groups;
    struct space_residual_group {
        size_t size;       /* consecutive features; the sizes add up to n_features */
        double same_kind;  /* how much of log latency a group is believed to change, as a standard
                             deviation, between devices that run networks alike ... */
        double other_kind; /* ... and of the root of latency, between any two */
    } groups[SPACE_MAX_RESIDUAL_GROUPS];
    /* Writes `features` (n_features) of an architecture whose genes are valid. */
    void (*compute)(const struct space *space, const int32_t *genes, double *features);
};

struct graph;

struct space {
    const char *name;
    const char *about;    /* one sentence */
    const char *notation; /* how an architecture may be written, one sentence */
    const char *input;    /* latency conditions: input shape ... */
    int batch;            /* ... and batch size */
    const struct gene *genes;
    size_t n_genes;
    size_t n_stages;                /* of struct cost in use, stem and head included */
    const char *const *stage_names; /* n_stages */
    size_t n_architectures;         /* where all can be numbered 0 .. n - 1, else 0 */
    double constraint_unit_ms;      /* unit of the reference's --latency_constraint */

    /* Reads a notation of this space's own into genes. Returns ERR_NOT_FOUND where `text` is not
     * written in it at all, so that the common notations are tried. NULL where there is none. */
    enum err (*parse_own)(const char *text, size_t length, int32_t *genes, struct error *err);
    /* Writes the customary notation, at most SPACE_TEXT_BYTES with the terminator. */
    void (*print)(const int32_t *genes, char *text);
    /* Whether the genes describe a network that can be counted, inside the domain or not. */
    enum err (*check_countable)(const int32_t *genes, struct error *err);
    /* Adds the costs of the network; the genes are countable, `cost` starts as zeroes. */
    void (*count)(const int32_t *genes, struct cost *cost);
    const struct space_features *features;
    double device_spread; /* of log latency, core/interval.h; 0: INTERVAL_DEVICE_SPREAD */
    const struct space_residuals *residuals; /* NULL: those that any space has, core/residual.h */
    /* Appends the network's nodes (core/graph.h); the genes are countable. ERR_INVALID where such a
     * network cannot be built. What is built agrees with count() in MACs and parameters. */
    enum err (*build_graph)(const int32_t *genes, struct graph *graph, struct error *err);
};

#define SPACE_TEXT_BYTES 256

extern const struct space space_nasbench201; /* Dong and Yang, ICLR 2020 */
extern const struct space space_fbnetv3;     /* Dai et al., CVPR 2021 */

/* All spaces, ended by NULL. */
extern const struct space *const spaces[];

/* The space of that name, or NULL. */
const struct space *space_find(const char *name);

/* "nasbench201, fbnetv3" for messages; static string. */
const char *space_names(void);

/* Position of `value` in the gene's domain, or -1 where it is outside. */
int32_t gene_index(const struct gene *gene, int32_t value);

/* Whether every gene lies in its domain. The message names the gene, its value and what is
 * allowed; `bad_gene` (may be NULL) receives the position from 0. */
enum err space_validate(const struct space *space, const int32_t *genes, size_t *bad_gene,
                        struct error *err);

/* Reads an architecture in any notation: the space's own, the genes as one digit each where all
 * values have one digit ("444244"), or the genes separated by blanks or commas, in brackets or not.
 * `text` holds `length` bytes and needs no terminator. The result is validated as above.
 * ERR_SYNTAX where the text cannot be read, ERR_INVALID where a gene is outside its domain. */
enum err space_parse(const struct space *space, const char *text, size_t length, int32_t *genes,
                     size_t *bad_gene, struct error *err);

/* The same without validation: what is written is read, inside the domain or not. */
enum err space_read(const struct space *space, const char *text, size_t length, int32_t *genes,
                    struct error *err);

/* Writes the plainest notation, which every space reads: the genes as one digit each where all
 * values of the space have one ("444244"), else separated by blanks. At most SPACE_TEXT_BYTES with
 * the terminator; returns the length. The genes are valid. */
size_t space_print_genes(const struct space *space, const int32_t *genes, char *text);

/* Operator costs of any network of the space's form, inside the domain or not (the published
 * FBNetV3-D to G are outside). ERR_INVALID where the genes describe no network. */
enum err space_count(const struct space *space, const int32_t *genes, struct cost *cost,
                     struct error *err);

/* Number of an architecture, 0 .. n_architectures - 1, the last gene running fastest; and back.
 * Only where n_architectures is positive; genes are valid. */
size_t space_rank(const struct space *space, const int32_t *genes);
void space_unrank(const struct space *space, size_t rank, int32_t *genes);

#endif
