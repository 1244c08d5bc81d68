/* How an architecture gets into the archive: as it is, where the whole space is searched; else, where
 * some architectures alone may be looked at, the nearest of them that is left. */
#include <assert.h>
#include <string.h>

#include "core/mem.h"
#include "core/search_genetic_state.h"

enum err genetic_among_init(struct genetic *s, struct error *err)
{
    const struct genetic_options *o = s->options;
    const size_t n_genes = s->space->n_genes;
    struct search_archive *all = &s->among.all;
    enum err rc;

    all->n_genes = n_genes;
    if (o->n_among == 0) {
        return ERR_OK;
    }
    rc = search_archive_reserve(all, o->n_among, err);
    s->among.left = mem_calloc(o->n_among, sizeof *s->among.left);
    s->among.place = mem_calloc(o->n_among, sizeof *s->among.place);
    if (rc != ERR_OK || s->among.left == NULL || s->among.place == NULL) {
        return error_set(err, ERR_NOMEM, "memory is out for %zu architectures", o->n_among);
    }
    for (size_t i = 0; i < o->n_among; i++) {
        uint8_t codes[SPACE_MAX_GENES];
        for (size_t g = 0; g < n_genes; g++) {
            codes[g] = (uint8_t)gene_index(&s->space->genes[g], o->among[i * n_genes + g]);
        }
        (void)search_archive_add(all, codes); /* of equal ones the first */
    }
    s->among.n_left = all->n;
    for (size_t i = 0; i < all->n; i++) {
        s->among.left[i] = s->among.place[i] = (uint32_t)i;
    }
    s->n_architectures = all->n;
    return ERR_OK;
}

void genetic_among_close(struct genetic *s)
{
    search_archive_close(&s->among.all);
    mem_free(s->among.left);
    mem_free(s->among.place);
}

/* Takes one of those that are left into the archive. */
static void take(struct genetic *s, uint32_t row)
{
    struct genetic_among *among = &s->among;
    const uint32_t place = among->place[row];
    const uint32_t last = among->left[--among->n_left];
    const bool is_added = search_archive_add(&s->archive, search_archive_row(&among->all, row));

    assert(is_added);
    (void)is_added;
    among->left[place] = last;
    among->place[last] = place;
}

/* In how many genes they differ, as far as it is below `most`. */
static size_t distance(const uint8_t *a, const uint8_t *b, size_t n_genes, size_t most)
{
    size_t n = 0;

    for (size_t g = 0; g < n_genes && n < most; g++) {
        n += a[g] != b[g];
    }
    return n;
}

/* The nearest of those that are left, of which there are some. */
static uint32_t find_nearest(const struct genetic *s, const uint8_t *codes)
{
    const struct genetic_among *among = &s->among;
    const size_t n_genes = s->space->n_genes;
    uint32_t nearest = among->left[0];
    size_t least = n_genes + 1;

    for (size_t i = 0; i < among->n_left && least > 1;
         i++) { /* 0 is never left: see genetic_add() */
        const uint32_t row = among->left[i];
        const size_t d = distance(search_archive_row(&among->all, row), codes, n_genes, least);
        if (d < least) {
            nearest = row;
            least = d;
        }
    }
    return nearest;
}

bool genetic_add_exactly(struct genetic *s, const uint8_t *codes)
{
    if (s->options->n_among == 0) {
        return search_archive_add(&s->archive, codes);
    }
    if (search_archive_has(&s->archive, codes) || !search_archive_has(&s->among.all, codes)) {
        return false;
    }
    take(s, (uint32_t)search_archive_find(&s->among.all, codes));
    return true;
}

void genetic_add(struct genetic *s, uint8_t *codes)
{
    if (s->options->n_among > 0) {
        if (!genetic_add_exactly(s, codes)) {
            take(s, find_nearest(s, codes));
        }
        return;
    }
    while (!search_archive_add(&s->archive, codes)) {
        size_t g = s->space->n_genes;
        while (g > 0 && ++codes[g - 1] == s->space->genes[g - 1].n_values) {
            codes[--g] = 0;
        }
    }
}
