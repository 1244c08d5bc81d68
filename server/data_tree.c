#include "server/data_tree.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/file.h"
#include "core/mem.h"
#include "core/table.h"

#define MAX_SHEET_BYTES ((size_t)64 << 10)

enum err data_tree_init(struct data_tree *tree, const char *root, const char *data_path,
                        struct error *err)
{
    enum err rc = path_format(tree->root, err, "%s", root);

    return rc != ERR_OK
               ? rc
               : path_format(tree->data_path, err, "%s", data_path != NULL ? data_path : "");
}

static bool exists(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0;
}

/* Whether a directory looks like that of a space, by what the reference puts there. */
static bool holds_space(const char *directory)
{
    static const char *const parts[] = {"net.txt", "hardware", "latency", "NAS"};
    char path[PATH_BYTES];

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (path_format(path, NULL, "%s/%s", directory, parts[i]) == ERR_OK && exists(path)) {
            return true;
        }
    }
    return false;
}

enum err data_space_dir(const struct data_tree *tree, const struct space *space, char *out,
                        struct error *err)
{
    enum err rc;

    if (tree->data_path[0] == '\0') {
        return path_format(out, err, "%s/data/%s", tree->root, space->name);
    }
    rc = path_format(out, err, "%s/%s", tree->data_path, space->name);
    if (rc != ERR_OK || holds_space(out)) {
        return rc;
    }
    return path_format(out, err, "%s", tree->data_path);
}

static enum err space_file(const struct data_tree *tree, const struct space *space,
                           const char *file, char *out, struct error *err)
{
    char directory[PATH_BYTES];
    enum err rc = data_space_dir(tree, space, directory, err);

    return rc != ERR_OK ? rc : path_format(out, err, "%s/%s", directory, file);
}

enum err data_load_architectures(const struct data_tree *tree, const struct space *space,
                                 struct dataset *out, struct error *err)
{
    char path[PATH_BYTES];
    enum err rc = space_file(tree, space, "net.txt", path, err);

    if (rc != ERR_OK) {
        return rc;
    }
    rc = dataset_load(space, path, out, err);
    if (rc == ERR_NOT_FOUND) {
        return error_set(err, rc,
                         "there is no %s; get the data with: make data FROM=<a copy of the "
                         "reference's data>, or name its place with --data_path",
                         path);
    }
    return rc;
}

/* Where a device's file may be, in the order in which they win. */
struct place {
    const char *directory; /* below the space's, or below the root where is_shared */
    const char *suffix;
    bool is_shared;
};

static const struct place sheet_places[] = {
    {"hardware",     ".txt",  false},
    {"NAS",          ".txt",  false},
    {"data/devices", ".json", true },
};

static const struct place latency_place = {"latency", ".txt", false};

static enum err place_dir(const struct data_tree *tree, const struct space *space,
                          const struct place *place, char *out, struct error *err)
{
    return place->is_shared ? path_format(out, err, "%s/%s", tree->root, place->directory)
                            : space_file(tree, space, place->directory, out, err);
}

/* The device's name that a file name stands for; false where it stands for none. */
static bool stem_of(const struct place *place, const char *file, char stem[DEVICE_NAME_BYTES])
{
    size_t length = strlen(file);
    size_t suffix = strlen(place->suffix);

    if (length <= suffix || length - suffix >= DEVICE_NAME_BYTES ||
        strcmp(file + length - suffix, place->suffix) != 0) {
        return false;
    }
    memcpy(stem, file, length - suffix);
    stem[length - suffix] = '\0';
    if (strcmp(place->directory, "NAS") == 0 &&
        (strcmp(stem, "net") == 0 || strcmp(stem, "acc") == 0 || strcmp(stem, "dataxy") == 0)) {
        return false; /* the search's tables, not devices */
    }
    return device_name_validate(stem, NULL) == ERR_OK;
}

/* Adds the names of all devices that have a file in `place`. A missing directory has none. */
static enum err list_place(const struct data_tree *tree, const struct space *space,
                           const struct place *place, struct names *names, struct error *err)
{
    char directory[PATH_BYTES];
    enum err rc = place_dir(tree, space, place, directory, err);
    const struct dirent *entry;
    DIR *dir;

    if (rc != ERR_OK) {
        return rc;
    }
    dir = opendir(directory);
    if (dir == NULL) {
        return errno == ENOENT || errno == ENOTDIR
                   ? ERR_OK
                   : error_sys(err, errno, "cannot list %s", directory);
    }
    while (rc == ERR_OK && (entry = readdir(dir)) != NULL) {
        char stem[DEVICE_NAME_BYTES];
        if (stem_of(place, entry->d_name, stem)) {
            rc = names_add(names, stem, err);
        }
    }
    (void)closedir(dir);
    return rc;
}

/* The file of `name` in `place`: its path, and in `found` the name as it is spelled there.
 * ERR_NOT_FOUND where there is none, ERR_INVALID where several fold to the same name. */
static enum err find_in_place(const struct data_tree *tree, const struct space *space,
                              const struct place *place, const char *name, char *path,
                              char found[DEVICE_NAME_BYTES], struct error *err)
{
    char directory[PATH_BYTES];
    char wanted[DEVICE_NAME_BYTES];
    char file[DEVICE_NAME_BYTES + 8];
    struct names names = {0};
    size_t n_matches = 0;
    enum err rc = place_dir(tree, space, place, directory, err);

    rc = rc != ERR_OK ? rc : path_format(path, err, "%s/%s%s", directory, name, place->suffix);
    if (rc != ERR_OK) {
        return rc;
    }
    (void)snprintf(file, sizeof file, "%s%s", name, place->suffix);
    if (stem_of(place, file, found) && path_is_file(path)) {
        return ERR_OK;
    }
    if (!device_name_fold(name, wanted)) {
        return ERR_NOT_FOUND;
    }
    rc = list_place(tree, space, place, &names, err);
    for (size_t i = 0; rc == ERR_OK && i < names.n; i++) {
        char folded[DEVICE_NAME_BYTES];
        if (device_name_fold(names.items[i], folded) && strcmp(folded, wanted) == 0) {
            n_matches++;
            (void)snprintf(found, DEVICE_NAME_BYTES, "%s", names.items[i]);
        }
    }
    names_close(&names);
    if (rc != ERR_OK) {
        return rc;
    }
    if (n_matches > 1) {
        return error_set(err, ERR_INVALID,
                         "\"%s\" could mean several devices in %s; spell it exactly", name,
                         directory);
    }
    return n_matches == 0 ? ERR_NOT_FOUND
                          : path_format(path, err, "%s/%s%s", directory, found, place->suffix);
}

static enum err read_sheet(const struct place *place, const char *path, struct device_sheet *sheet,
                           struct error *err)
{
    double vector[HARDWARE_N_FIELDS];
    size_t lines[HARDWARE_N_FIELDS];
    size_t bad_field = 0;
    char *bytes = NULL;
    size_t size;
    enum err rc;

    if (place->is_shared) {
        rc = file_read(path, MAX_SHEET_BYTES, &bytes, &size, err);
        if (rc == ERR_OK) {
            rc = msg_device_decode(bytes, size, sheet, err);
            mem_free(bytes);
            if (rc != ERR_OK) {
                error_wrap(err, "%s", path);
            }
        }
        return rc;
    }
    rc = table_read_values(path, HARDWARE_N_FIELDS, vector, lines, err);
    if (rc != ERR_OK) {
        return rc;
    }
    sheet->hardware = hardware_from_vector(vector);
    rc = hardware_validate(&sheet->hardware, &bad_field, err);
    if (rc != ERR_OK) {
        error_wrap(err, "%s:%zu", path, lines[bad_field]);
    }
    return rc;
}

enum err data_find_device(const struct data_tree *tree, const struct space *space, const char *name,
                          struct device_sheet *out, struct error *err)
{
    enum err rc = device_name_validate(name, err);

    for (size_t i = 0; rc == ERR_OK && i < sizeof sheet_places / sizeof *sheet_places; i++) {
        struct device_sheet sheet = {0};
        char path[PATH_BYTES];
        enum err found = find_in_place(tree, space, &sheet_places[i], name, path, sheet.name, err);
        if (found == ERR_NOT_FOUND) {
            continue;
        }
        rc = found != ERR_OK ? found : read_sheet(&sheet_places[i], path, &sheet, err);
        if (rc == ERR_OK) {
            *out = sheet;
        }
        return rc;
    }
    return rc != ERR_OK
               ? rc
               : error_set(
                     err, ERR_NOT_FOUND,
                     "there is no device \"%s\": neither a sheet in data/devices nor a file in "
                     "hardware/ or NAS/ of %s has that name",
                     name, space->name);
}

enum err data_list_measured(const struct data_tree *tree, const struct space *space,
                            struct names *out, struct error *err)
{
    struct names names = {0};
    enum err rc = list_place(tree, space, &latency_place, &names, err);

    if (rc != ERR_OK) {
        names_close(&names);
        return rc;
    }
    names_sort(&names);
    *out = names;
    return ERR_OK;
}

enum err data_load_latency(const struct data_tree *tree, const struct space *space,
                           const char *device, size_t n_rows, double **latency_ms,
                           struct error *err)
{
    char path[PATH_BYTES];
    char found[DEVICE_NAME_BYTES];
    enum err rc = find_in_place(tree, space, &latency_place, device, path, found, err);

    if (rc == ERR_NOT_FOUND) {
        return error_set(err, rc, "there are no measured latencies of \"%s\" in latency/ of %s",
                         device, space->name);
    }
    return rc != ERR_OK ? rc : table_read_positive(path, n_rows, latency_ms, NULL, err);
}

enum err data_load_parameter(const struct data_tree *tree, const struct space *space, size_t n_rows,
                             double **a, struct error *err)
{
    char path[PATH_BYTES];
    enum err rc = space_file(tree, space, "a.txt", path, err);

    return rc != ERR_OK ? rc : table_read_positive(path, n_rows, a, NULL, err);
}
