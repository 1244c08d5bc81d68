/* For tests of what is refused of a model's file: a sound one with one thing in it changed. Header
 * only, single-threaded. */
#ifndef DGLD_TESTS_SUPPORT_CHANGED_FILE_H
#define DGLD_TESTS_SUPPORT_CHANGED_FILE_H

#include "proto/safetensors.h"
#include "tests/support/check.h"

/* What is changed: nothing of what is NULL. */
struct file_change {
    const char *key;              /* of the metadata, whose value becomes ... */
    const char *value;            /* ... this; NULL: it is left out */
    const char *without;          /* the tensor of that name is left out */
    const struct tensor *instead; /* takes the place of the tensor of its name */
};

static inline size_t change_meta(const struct safetensors *st, const struct file_change *change,
                                 struct safetensors_meta *out)
{
    size_t n = 0;

    for (size_t i = 0; i < st->n_meta; i++) {
        const char *key = st->meta[i].key;
        const bool is_changed = change->key != NULL && strcmp(key, change->key) == 0;
        if (strcmp(key, "sha256") != 0 && (!is_changed || change->value != NULL)) {
            out[n] = st->meta[i]; /* of the digest writing makes a new one */
            out[n++].value = is_changed ? (char *)change->value : st->meta[i].value;
        }
    }
    return n;
}

static inline size_t change_tensors(const struct safetensors *st, const struct file_change *change,
                                    struct tensor *out)
{
    size_t n = 0;

    for (size_t i = 0; i < st->n_tensors; i++) {
        const char *name = st->tensors[i].name;
        if (change->instead != NULL && strcmp(name, change->instead->name) == 0) {
            out[n++] = *change->instead;
        } else if (change->without == NULL || strcmp(name, change->without) != 0) {
            out[n++] = st->tensors[i];
        }
    }
    return n;
}

/* The bytes of the file so changed (out_size), to be mem_free()d. */
static inline char *changed_file(const char *bytes, size_t size, const struct file_change *change,
                                 size_t *out_size)
{
    struct safetensors st = {0};
    struct safetensors_meta meta[32];
    struct tensor tensors[16];
    char *changed = NULL;

    assert_int_equal(safetensors_parse(bytes, size, &st, NULL), ERR_OK);
    assert_true(st.n_meta <= COUNT_OF(meta) && st.n_tensors <= COUNT_OF(tensors));
    assert_int_equal(safetensors_encode(tensors, change_tensors(&st, change, tensors), meta,
                                        change_meta(&st, change, meta), &changed, out_size, NULL),
                     ERR_OK);
    safetensors_close(&st);
    return changed;
}

#endif
