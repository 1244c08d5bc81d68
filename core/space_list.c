/* Which spaces there are: a table of slots that only fills, and one word that says which of them
 * count. A look is one load of that word, so it takes no lock and never sees a change by halves. */
#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "core/space.h"

/* The one place that lists them; each stands where its `slot` says. */
#define BUILT_IN &space_nasbench201, &space_fbnetv3

const struct space *const built_in_spaces[] = {BUILT_IN, NULL};

enum { N_BUILT_IN = sizeof built_in_spaces / sizeof *built_in_spaces - 1 };

static_assert(SPACE_N_SLOTS == 64, "a slot is a bit of the word below");

/* A slot is written once, before its bit is first set; whoever sees the bit sees the slot. */
static const struct space *slots[SPACE_N_SLOTS] = {BUILT_IN};
static unsigned n_slots = N_BUILT_IN; /* in use; for space_exchange() alone */
static _Atomic uint64_t live = (1U << N_BUILT_IN) - 1;

static uint64_t bit_of(unsigned slot)
{
    return UINT64_C(1) << slot;
}

static uint64_t load_live(void)
{
    return atomic_load_explicit(&live, memory_order_acquire);
}

/* The lowest slot of the set from `from` on, or SPACE_N_SLOTS. */
static unsigned next_slot(uint64_t set, unsigned from)
{
    while (from < SPACE_N_SLOTS && (set & bit_of(from)) == 0) {
        from++;
    }
    return from;
}

void space_list_get(struct space_list *out)
{
    const uint64_t set = load_live();

    out->n = 0;
    for (unsigned s = next_slot(set, 0); s < SPACE_N_SLOTS; s = next_slot(set, s + 1)) {
        size_t at = out->n++;
        while (at > N_BUILT_IN && strcmp(out->items[at - 1]->name, slots[s]->name) > 0) {
            out->items[at] = out->items[at - 1];
            at--;
        }
        out->items[at] = slots[s];
    }
}

const struct space *space_find(const char *name)
{
    const uint64_t set = load_live();

    for (unsigned s = next_slot(set, 0); s < SPACE_N_SLOTS; s = next_slot(set, s + 1)) {
        if (strcmp(slots[s]->name, name) == 0) {
            return slots[s];
        }
    }
    return NULL;
}

const char *space_names(void)
{
    static _Thread_local char text[SPACES_MAX * (SPACE_NAME_BYTES + 2)];
    struct space_list list;
    size_t used = 0;

    space_list_get(&list);
    for (size_t i = 0; i < list.n && used < sizeof text; i++) {
        int n =
            snprintf(text + used, sizeof text - used, i > 0 ? ", %s" : "%s", list.items[i]->name);
        used += n > 0 ? (size_t)n : 0;
    }
    return text;
}

/* The slot of a space: the one that it has, or else the next. */
static enum err find_slot(struct space *space, struct error *err)
{
    for (unsigned s = N_BUILT_IN; s < n_slots; s++) {
        if (slots[s] == space) {
            return ERR_OK;
        }
    }
    if (n_slots == SPACE_N_SLOTS) {
        return error_set(err, ERR_LIMIT,
                         "search spaces were declared, and declared otherwise, %d times since the "
                         "program was started, and more it does not keep apart; start it anew",
                         SPACE_N_SLOTS - N_BUILT_IN);
    }
    space->slot = n_slots;
    slots[n_slots++] = space;
    return ERR_OK;
}

enum err space_exchange(const struct space *previous, struct space *space, struct error *err)
{
    uint64_t set = load_live();

    assert(previous == NULL || previous->slot >= N_BUILT_IN);
    if (previous != NULL) {
        set &= ~bit_of(previous->slot);
    }
    if (space != NULL) {
        enum err rc;
        if (__builtin_popcountll(set) >= SPACES_MAX) {
            return error_set(err, ERR_LIMIT,
                             "there are %d search spaces already; drop one to declare another",
                             SPACES_MAX);
        }
        rc = find_slot(space, err);
        if (rc != ERR_OK) {
            return rc;
        }
        set |= bit_of(space->slot);
    }
    atomic_store_explicit(&live, set, memory_order_release);
    return ERR_OK;
}
