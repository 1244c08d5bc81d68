#include "core/search_archive.h"

#include <assert.h>
#include <string.h>

#include "core/mem.h"

enum { FEWEST_ROWS = 256 };

/* FNV-1a, but of eight codes at a time. */
static uint64_t hash_codes(const uint8_t *codes, size_t n)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    while (n > 0) {
        const size_t n_taken = n < sizeof hash ? n : sizeof hash;
        uint64_t word = 0;
        memcpy(&word, codes, n_taken);
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
        codes += n_taken;
        n -= n_taken;
    }
    return hash;
}

/* Where the architecture is, or the free slot where it would be. */
static size_t find_slot(const struct search_archive *archive, const uint8_t *codes)
{
    size_t slot = (size_t)hash_codes(codes, archive->n_genes) & (archive->n_slots - 1);

    while (archive->slots[slot] != 0 &&
           memcmp(search_archive_row(archive, archive->slots[slot] - 1), codes, archive->n_genes) !=
               0) {
        slot = (slot + 1) & (archive->n_slots - 1);
    }
    return slot;
}

/* A failure in the middle leaves some blocks larger than they need be, which does no harm. */
static bool resize_rows(struct search_archive *archive, size_t capacity)
{
    uint8_t *codes = mem_resize(archive->codes, capacity, archive->n_genes);
    double *values;

    if (codes == NULL) {
        return false;
    }
    archive->codes = codes;
    values = mem_resize(archive->accuracy, capacity, sizeof *values);
    if (values == NULL) {
        return false;
    }
    archive->accuracy = values;
    values = mem_resize(archive->cost, capacity, sizeof *values);
    if (values == NULL) {
        return false;
    }
    archive->cost = values;
    return true;
}

enum err search_archive_reserve(struct search_archive *archive, size_t n_more, struct error *err)
{
    size_t capacity = archive->capacity == 0 ? FEWEST_ROWS : archive->capacity;
    uint32_t *slots;

    if (n_more <= archive->capacity - archive->n) {
        return ERR_OK;
    }
    while (capacity < archive->n + n_more) {
        capacity *= 2;
    }
    assert(capacity < UINT32_MAX);
    slots = mem_calloc(2 * capacity, sizeof *slots);
    if (slots == NULL || !resize_rows(archive, capacity)) {
        mem_free(slots);
        return error_set(err, ERR_NOMEM, "memory is out for %zu architectures of a search",
                         capacity);
    }
    mem_free(archive->slots);
    archive->slots = slots;
    archive->n_slots = 2 * capacity;
    archive->capacity = capacity;
    for (size_t row = 0; row < archive->n; row++) {
        slots[find_slot(archive, search_archive_row(archive, row))] = (uint32_t)row + 1;
    }
    return ERR_OK;
}

bool search_archive_has(const struct search_archive *archive, const uint8_t *codes)
{
    return archive->n > 0 && archive->slots[find_slot(archive, codes)] != 0;
}

size_t search_archive_find(const struct search_archive *archive, const uint8_t *codes)
{
    const uint32_t row = archive->slots[find_slot(archive, codes)];

    assert(row != 0);
    return row - 1;
}

bool search_archive_add(struct search_archive *archive, const uint8_t *codes)
{
    size_t slot;

    assert(archive->n < archive->capacity);
    slot = find_slot(archive, codes);
    if (archive->slots[slot] != 0) {
        return false;
    }
    memcpy(archive->codes + archive->n * archive->n_genes, codes, archive->n_genes);
    archive->slots[slot] = (uint32_t)++archive->n;
    return true;
}

void search_archive_close(struct search_archive *archive)
{
    mem_free(archive->codes);
    mem_free(archive->accuracy);
    mem_free(archive->cost);
    mem_free(archive->slots);
    *archive = (struct search_archive){.n_genes = archive->n_genes};
}
