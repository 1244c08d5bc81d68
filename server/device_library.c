#include "server/device_library.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"

static const char suffix[] = ".csv";

/* Whether a file's name is that of a device's measurements, and then the device's. */
static bool device_of(const char *file, char device[DEVICE_NAME_BYTES])
{
    const size_t length = strlen(file);
    const size_t n = sizeof suffix - 1;

    if (length <= n || length - n >= DEVICE_NAME_BYTES || strcmp(file + length - n, suffix) != 0) {
        return false;
    }
    (void)snprintf(device, DEVICE_NAME_BYTES, "%.*s", (int)(length - n), file);
    return device_name_validate(device, NULL) == ERR_OK;
}

static size_t find_folded(const struct names *names, const char *name)
{
    char wanted[DEVICE_NAME_BYTES];
    char folded[DEVICE_NAME_BYTES];

    for (size_t i = 0; device_name_fold(name, wanted) && i < names->n; i++) {
        if (device_name_fold(names->items[i], folded) && strcmp(folded, wanted) == 0) {
            return i;
        }
    }
    return SIZE_MAX;
}

/* Adds the devices that have a file in the directory. One that is not there has none, unless it has
 * to be. */
static enum err list_devices(const char *directory, bool has_to_be, struct names *names,
                             struct error *err)
{
    const struct dirent *entry;
    DIR *dir = opendir(directory);
    enum err rc = ERR_OK;

    if (dir == NULL) {
        return !has_to_be && (errno == ENOENT || errno == ENOTDIR)
                   ? ERR_OK
                   : error_sys(err, errno, "cannot list %s", directory);
    }
    while (rc == ERR_OK && (entry = readdir(dir)) != NULL) {
        char device[DEVICE_NAME_BYTES];
        if (device_of(entry->d_name, device)) {
            rc = names_add(names, device, err);
        }
    }
    (void)closedir(dir);
    return rc;
}

/* Where libraries are: the named directory, or the root's own and that of the data path. */
struct places {
    char directories[2][PATH_BYTES];
    struct names names[2]; /* devices there, owned */
    size_t n;
};

static void places_close(struct places *places)
{
    names_close(&places->names[0]);
    names_close(&places->names[1]);
}

static enum err find_places(const struct data_tree *tree, const struct space *space,
                            const char *directory, struct places *out, struct error *err)
{
    enum err rc = ERR_OK;

    out->n = 1;
    if (directory != NULL) {
        rc = path_format(out->directories[0], err, "%s", directory);
    } else {
        out->n = tree->data_path[0] != '\0' ? 2 : 1;
        rc = data_place_dir(tree, space, DATA_MEASUREMENTS, out->directories[0], err);
        rc = rc != ERR_OK || out->n < 2
                 ? rc
                 : data_place_dir(tree, space, DATA_MEASUREMENTS_GIVEN, out->directories[1], err);
    }
    for (size_t i = 0; rc == ERR_OK && i < out->n; i++) {
        rc = list_devices(out->directories[i], directory != NULL, &out->names[i], err);
    }
    return rc;
}

/* All devices of the places, or those that are asked for, as they are spelled there; sorted. */
static enum err choose(const struct space *space, const struct places *places,
                       const struct names *only, struct names *out, size_t *bad, struct error *err)
{
    enum err rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && only != NULL && i < only->n; i++) {
        const char *found = NULL;
        for (size_t p = 0; p < places->n && found == NULL; p++) {
            size_t at = find_folded(&places->names[p], only->items[i]);
            found = at != SIZE_MAX ? places->names[p].items[at] : NULL;
        }
        if (found == NULL || names_contain(out, found)) {
            *bad = i;
            return error_set(err, found == NULL ? ERR_NOT_FOUND : ERR_INVALID,
                             found == NULL ? "there are no measurements of \"%s\" for %s"
                                           : "%s is named twice (%s)",
                             only->items[i], space->name);
        }
        rc = names_add(out, found, err);
    }
    for (size_t p = 0; p < places->n && (only == NULL || only->n == 0); p++) {
        for (size_t i = 0; rc == ERR_OK && i < places->names[p].n; i++) {
            const char *name = places->names[p].items[i];
            if (p == 0 || find_folded(&places->names[0], name) == SIZE_MAX) {
                rc = names_add(out, name, err);
            }
        }
    }
    names_sort(out);
    if (rc == ERR_OK && out->n == 0) {
        rc = error_set(err, ERR_NOT_FOUND,
                       "there are no measurements of %s to learn from in %s: a library is a file "
                       "<device>.csv (architecture,latency_ms) for each device",
                       space->name, places->directories[0]);
    }
    if (rc == ERR_OK && out->n > LIBRARY_MAX_DEVICES) {
        rc = error_set(err, ERR_LIMIT, "a library has at most %d devices, not %zu; name some",
                       LIBRARY_MAX_DEVICES, out->n);
    }
    return rc;
}

/* Reads the next device, and its sheet where it has one. */
static enum err add_device(const struct data_tree *tree, const struct space *space,
                           const struct places *places, struct device_library *library,
                           struct error *err)
{
    const size_t d = library->n;
    const char *name = library->names.items[d];
    const size_t p = names_contain(&places->names[0], name) ? 0 : 1;
    struct device_sheet sheet;
    char path[PATH_BYTES];
    enum err rc = path_format(path, err, "%s/%s%s", places->directories[p], name, suffix);
    enum err found;

    rc = rc != ERR_OK ? rc : measured_rows_read(space, path, &library->rows[d], err);
    if (rc != ERR_OK) {
        return rc;
    }
    library->n++; /* its rows are to be ended */
    if (library->rows[d].n > LIBRARY_MAX_ROWS) {
        return error_set(err, ERR_LIMIT, "%s: %zu measurements where at most %zu can be used", path,
                         library->rows[d].n, LIBRARY_MAX_ROWS);
    }
    library->n_rows += library->rows[d].n;
    found = data_find_device(tree, space, name, &sheet, err);
    if (found != ERR_OK && found != ERR_NOT_FOUND) {
        return found;
    }
    library->hardware[d] = found == ERR_OK ? sheet.hardware : (struct hardware){0};
    library->devices[d] = (struct library_device){
        .name = name,
        .genes = library->rows[d].genes,
        .latency_ms = library->rows[d].latency_ms,
        .n = library->rows[d].n,
        .hardware = found == ERR_OK ? &library->hardware[d] : NULL,
    };
    return ERR_OK;
}

enum err device_library_load(const struct data_tree *tree, const struct space *space,
                             const char *directory, const struct names *only,
                             struct device_library *out, size_t *bad, struct error *err)
{
    struct places places = {0};
    size_t at_fault = SIZE_MAX;
    enum err rc;

    memset(out, 0, sizeof *out);
    rc = find_places(tree, space, directory, &places, err);
    rc = rc != ERR_OK ? rc : choose(space, &places, only, &out->names, &at_fault, err);
    while (rc == ERR_OK && out->n < out->names.n) {
        rc = add_device(tree, space, &places, out, err);
    }
    places_close(&places);
    if (bad != NULL) {
        *bad = at_fault;
    }
    if (rc != ERR_OK) {
        device_library_close(out);
    }
    return rc;
}

void device_library_close(struct device_library *library)
{
    for (size_t d = 0; d < library->n; d++) {
        measured_rows_close(&library->rows[d]);
    }
    names_close(&library->names);
    memset(library, 0, sizeof *library);
}
