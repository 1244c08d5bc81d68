/* A search space: what an architecture of it is, how it is written, and what it costs to run.
 *
 * An architecture is a vector of genes, int32_t[space->n_genes]. A struct space never changes and is
 * never freed, so any thread may keep a pointer to one. The built-in ones are constant tables; others
 * are declared while the process runs (core/space_declared.h). Every function here is thread-safe.
 * Gene numbers in messages count from 1, as people do. */
#ifndef DGLD_CORE_SPACE_H
#define DGLD_CORE_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/cost.h"
#include "core/error.h"

#define SPACE_MAX_GENES  64
#define SPACE_NAME_BYTES 33 /* with the terminator */

/* A gene takes the values first, first + step, ... (n_values of them); or, where there is no such
 * step (0), those of an ascending list, which begins with `first`. */
struct gene {
    const char *name;
    int32_t first, step, n_values;
    const int32_t *values; /* (n_values) the list, else NULL */
};

/* What the predictor `cost` (core/predictor_cost.h) knows of an architecture: a nominal cost, which
 * alone predicts A up to a factor, and features that correct it, in groups that share a prior. */
#define SPACE_MAX_FEATURES       512
#define SPACE_MAX_FEATURE_GROUPS 8

struct space;

struct space_features {
    size_t n_features;
    size_t n_groups;
    /* Consecutive features; the sizes add up to n_features. */
    size_t group_sizes[SPACE_MAX_FEATURE_GROUPS];
    /* Writes log(nominal cost) and `features` (n_features). The genes are valid. */
    void (*compute)(const struct space *space, const int32_t *genes, double *log_nominal,
                    double *features);
};

/* What may set one device apart from another beyond a factor: features that calibrations by
 * measurements (core/calibration.h) and libraries of devices correct latencies by, in groups. */
#define SPACE_MAX_RESIDUALS       256
#define SPACE_MAX_RESIDUAL_GROUPS 4

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

/* What share of latencies 90 % intervals hold on phones that were not learned from, after so many
 * measurements: held-out architectures, mean over the phones of the space. `make figures` prints
 * them. */
#define SPACE_COVERAGE_LEVEL 0.9
enum { SPACE_N_COVERAGES = 3 };

struct space_coverage {
    size_t n_measurements;
    double share;
};

struct graph;
struct space_declaration;

struct space {
    const char *name;
    unsigned slot;        /* its place in arrays of SPACE_N_SLOTS; no other space ever has it */
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
    /* Writes the customary notation, at most SPACE_TEXT_BYTES with the terminator: space_print().
     * NULL where that is the plainest one. */
    void (*print_own)(const int32_t *genes, char *text);
    /* Whether the genes describe a network that can be counted, inside the domain or not. NULL, as
     * count(), of a declared space. */
    enum err (*check_countable)(const int32_t *genes, struct error *err);
    /* Adds the costs of the network; the genes are countable, `cost` starts as zeroes. */
    void (*count)(const int32_t *genes, struct cost *cost);
    const struct space_features *features;
    double device_spread; /* of log latency, core/interval.h; 0: INTERVAL_DEVICE_SPREAD */
    const struct space_coverage *coverage;   /* (SPACE_N_COVERAGES); NULL: not measured */
    const struct space_residuals *residuals; /* NULL: those that any space has, core/residual.h */
    /* Appends the network's nodes (core/graph.h); the genes are countable. ERR_INVALID where such a
     * network cannot be built. What is built agrees with count() in MACs and parameters. NULL where
     * nobody knows the networks. */
    enum err (*build_graph)(const int32_t *genes, struct graph *graph, struct error *err);
    const struct space_declaration *declaration; /* NULL of a built-in space */
};

/* Room for any architecture in any notation: SPACE_MAX_GENES values of eight characters, a blank
 * between. */
#define SPACE_TEXT_BYTES 640

extern const struct space space_nasbench201; /* Dong and Yang, ICLR 2020 */
extern const struct space space_fbnetv3;     /* Dai et al., CVPR 2021 */

/* The built-in spaces, ended by NULL. */
extern const struct space *const built_in_spaces[];

/* Position of `value` in the gene's domain, or -1 where it is outside; and back. */
int32_t gene_index(const struct gene *gene, int32_t value);
int32_t gene_value(const struct gene *gene, int32_t index);

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

/* Writes the customary notation, at most SPACE_TEXT_BYTES with the terminator. The genes are valid. */
void space_print(const struct space *space, const int32_t *genes, char *text);

/* Whether the genes describe a network whose costs can be counted; ERR_INVALID else, and where
 * nothing is known of the costs in this space. */
enum err space_check_countable(const struct space *space, const int32_t *genes, struct error *err);

/* Whether the space tells what its networks have of that; a declared one only where it has a table. */
enum space_table { SPACE_MACS, SPACE_TRAFFIC_BYTES, SPACE_PARAMS, SPACE_N_TABLES };
bool space_tells(const struct space *space, enum space_table table);

/* Operator costs of any network of the space's form, inside the domain or not (the published
 * FBNetV3-D to G are outside). ERR_INVALID where the genes describe no network. Of a declared space
 * the sums of its tables, 0 for a table that it has not; ERR_INVALID where it has none. */
enum err space_count(const struct space *space, const int32_t *genes, struct cost *cost,
                     struct error *err);

/* Whether an architecture is among those of `rows` (n, n_genes), which are looked through. */
bool space_is_among(const struct space *space, const int32_t *rows, size_t n, const int32_t *genes);

/* Number of an architecture, 0 .. n_architectures - 1, the last gene running fastest; and back.
 * Only where n_architectures is positive; genes are valid. */
size_t space_rank(const struct space *space, const int32_t *genes);
void space_unrank(const struct space *space, size_t rank, int32_t *genes);

/* ---- which spaces there are ------------------------------------------------------------------ */

/* At a time there are at most SPACES_MAX; SPACE_N_SLOTS is how many a process may see come and go. */
enum { SPACES_MAX = 16, SPACE_N_SLOTS = 64 };

/* The spaces of one moment: the built-in ones, then those that are declared, by name. */
struct space_list {
    size_t n;
    const struct space *items[SPACES_MAX];
};

void space_list_get(struct space_list *out);

/* The space of that name, or NULL. */
const struct space *space_find(const char *name);

/* "nasbench201, fbnetv3" for messages; valid until the thread's next call. */
const char *space_names(void);

/* Makes `space` (may be NULL), which is in no slot yet or was taken away before, take the place of
 * `previous` (may be NULL), in one step for whoever looks: for core/space_declared.c. Only one thread
 * at a time calls it. ERR_LIMIT where there are as many spaces as there may be. */
enum err space_exchange(const struct space *previous, struct space *space, struct error *err);

#endif
