#include "server/names.h"

#include <stdlib.h>
#include <string.h>

#include "core/device.h"
#include "core/mem.h"

enum err names_add(struct names *names, const char *name, struct error *err)
{
    char **grown = mem_resize(names->items, names->n + 1, sizeof *grown);

    if (grown == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for a list of names");
    }
    names->items = grown;
    names->items[names->n] = mem_strdup(name);
    if (names->items[names->n] == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for a list of names");
    }
    names->n++;
    return ERR_OK;
}

static enum err add_part(struct names *names, const char *part, size_t length, struct error *err)
{
    char *name;
    enum err rc;

    while (length > 0 && part[0] == ' ') {
        part++;
        length--;
    }
    while (length > 0 && part[length - 1] == ' ') {
        length--;
    }
    name = mem_strndup(part, length);
    if (name == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for a list of names");
    }
    rc = device_name_validate(name, err);
    if (rc == ERR_OK && names_contain(names, name)) {
        rc = error_set(err, ERR_INVALID, "%s is named twice", name);
    }
    if (rc == ERR_OK) {
        rc = names_add(names, name, err);
    }
    mem_free(name);
    return rc;
}

enum err names_split(const char *list, struct names *out, struct error *err)
{
    struct names names = {0};
    enum err rc = ERR_OK;

    for (const char *part = list; rc == ERR_OK && part != NULL;) {
        const char *comma = strchr(part, ',');
        size_t length = comma != NULL ? (size_t)(comma - part) : strlen(part);
        rc = add_part(&names, part, length, err);
        part = comma != NULL ? comma + 1 : NULL;
    }
    if (rc != ERR_OK) {
        names_close(&names);
        return rc;
    }
    *out = names;
    return ERR_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void names_sort(struct names *names)
{
    if (names->n > 0) {
        qsort(names->items, names->n, sizeof *names->items, compare_names);
    }
}

bool names_contain(const struct names *names, const char *name)
{
    for (size_t i = 0; i < names->n; i++) {
        if (strcmp(names->items[i], name) == 0) {
            return true;
        }
    }
    return false;
}

void names_close(struct names *names)
{
    for (size_t i = 0; i < names->n; i++) {
        mem_free(names->items[i]);
    }
    mem_free(names->items);
    memset(names, 0, sizeof *names);
}
