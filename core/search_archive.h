/* The architectures that a search has looked at, each once, with what they were found to be worth.
 *
 * An architecture is held as codes: the position of each gene in its domain (gene_index()), a byte
 * each. Rows are numbered from 0 in the order they were added. Belongs to one thread. */
#ifndef DGLD_CORE_SEARCH_ARCHIVE_H
#define DGLD_CORE_SEARCH_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

struct search_archive { /* starts as zeroes but for n_genes */
    size_t n_genes;
    size_t n, capacity;
    uint8_t *codes;   /* (capacity, n_genes), owned */
    double *accuracy; /* (capacity), owned */
    double *cost;     /* (capacity), owned */
    uint32_t *slots;  /* (n_slots), owned: hash table of row + 1, 0 where free */
    size_t n_slots;   /* a power of two, at least twice the capacity */
};

/* Makes room for `n_more` rows. ERR_NOMEM leaves the archive as it was. */
enum err search_archive_reserve(struct search_archive *archive, size_t n_more, struct error *err);

/* Whether the architecture `codes` (n_genes) is there. */
bool search_archive_has(const struct search_archive *archive, const uint8_t *codes);

/* Its row, which must be there. */
size_t search_archive_find(const struct search_archive *archive, const uint8_t *codes);

/* Adds it as row n, which must have room; its accuracy and cost are the caller's to fill in.
 * Returns false, and adds nothing, where it is there already. */
bool search_archive_add(struct search_archive *archive, const uint8_t *codes);

static inline const uint8_t *search_archive_row(const struct search_archive *archive, size_t row)
{
    return archive->codes + row * archive->n_genes;
}

/* Accepts a zeroed struct. */
void search_archive_close(struct search_archive *archive);

#endif
