#include "server/data_tree.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/file.h"
#include "core/mem.h"
#include "core/table.h"
#include "server/shipped.h"

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
    static const char *const parts[] = {"net.txt", "hardware", "latency", "NAS", "measurements"};
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

static enum err missing_data(const struct space *space, const char *path, struct error *err)
{
    if (space->declaration != NULL) {
        return error_set(err, ERR_NOT_FOUND,
                         "there is no %s: the data of a declared space is its user's to write, "
                         "net.txt and latency/<device>.txt of measured architectures, and for a "
                         "search NAS/net.txt and NAS/acc.txt",
                         path);
    }
    return error_set(err, ERR_NOT_FOUND,
                     "there is no %s; get the data with: make data FROM=<a copy of the "
                     "reference's data>, or name its place with --data_path",
                     path);
}

enum err data_load_architectures(const struct data_tree *tree, const struct space *space,
                                 struct dataset *out, struct error *err)
{
    char path[PATH_BYTES];
    enum err rc = space_file(tree, space, "net.txt", path, err);

    rc = rc != ERR_OK ? rc : dataset_load(space, path, out, err);
    return rc == ERR_NOT_FOUND ? missing_data(space, path, err) : rc;
}

/* What a place's directory is below of. */
enum base { BASE_SPACE, BASE_ROOT, BASE_ROOT_SPACE, BASE_SHIPPED };

static const struct place {
    const char *directory;
    const char *suffix;
    enum base base;
} places[DATA_N_PLACES] = {
    [DATA_HARDWARE] = {"hardware",     ".txt",  BASE_SPACE     },
    [DATA_NAS] = {"NAS",          ".txt",  BASE_SPACE     },
    [DATA_SHEETS] = {"data/devices", ".json", BASE_ROOT      },
    [DATA_SHEETS_SHIPPED] = {"data/devices", ".json", BASE_SHIPPED   },
    [DATA_MEASUREMENTS] = {"measurements", ".csv",  BASE_ROOT_SPACE},
    [DATA_MEASUREMENTS_GIVEN] = {"measurements", ".csv",  BASE_SPACE     },
    [DATA_LATENCY] = {"latency",      ".txt",  BASE_SPACE     },
};

enum err data_place_dir(const struct data_tree *tree, const struct space *space, enum data_place at,
                        char *out, struct error *err)
{
    const struct place *place = &places[at];

    switch (place->base) {
    case BASE_SHIPPED:
        if (shipped_directory()[0] != '\0') {
            return path_format(out, err, "%s/%s", shipped_directory(), place->directory);
        }
        /* fall through */
    case BASE_ROOT:
        return path_format(out, err, "%s/%s", tree->root, place->directory);
    case BASE_ROOT_SPACE:
        return path_format(out, err, "%s/data/%s/%s", tree->root, space->name, place->directory);
    default:
        return space_file(tree, space, place->directory, out, err);
    }
}

enum err data_place_path(const struct data_tree *tree, const struct space *space,
                         enum data_place at, const char *name, char *out, struct error *err)
{
    char directory[PATH_BYTES];
    enum err rc = data_place_dir(tree, space, at, directory, err);

    return rc != ERR_OK ? rc : path_format(out, err, "%s/%s%s", directory, name, places[at].suffix);
}

/* The device's name that a file name stands for; false where it stands for none. */
static bool stem_of(enum data_place at, const char *file, char stem[DEVICE_NAME_BYTES])
{
    const struct place *place = &places[at];
    size_t length = strlen(file);
    size_t suffix = strlen(place->suffix);

    if (length <= suffix || length - suffix >= DEVICE_NAME_BYTES ||
        strcmp(file + length - suffix, place->suffix) != 0) {
        return false;
    }
    memcpy(stem, file, length - suffix);
    stem[length - suffix] = '\0';
    if (at == DATA_NAS &&
        (strcmp(stem, "net") == 0 || strcmp(stem, "acc") == 0 || strcmp(stem, "dataxy") == 0)) {
        return false; /* the search's tables, not devices */
    }
    return device_name_validate(stem, NULL) == ERR_OK;
}

enum err data_list_place(const struct data_tree *tree, const struct space *space,
                         enum data_place at, struct names *names, struct error *err)
{
    char directory[PATH_BYTES];
    enum err rc = data_place_dir(tree, space, at, directory, err);
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
        if (stem_of(at, entry->d_name, stem)) {
            rc = names_add(names, stem, err);
        }
    }
    (void)closedir(dir);
    return rc;
}

/* The file of `name` in a place: its path, and in `found` the name as it is spelled there.
 * ERR_NOT_FOUND where there is none, ERR_INVALID where several fold to the same name. */
static enum err find_in_place(const struct data_tree *tree, const struct space *space,
                              enum data_place at, const char *name, char *path,
                              char found[DEVICE_NAME_BYTES], struct error *err)
{
    const struct place *place = &places[at];
    char directory[PATH_BYTES];
    char wanted[DEVICE_NAME_BYTES];
    char file[DEVICE_NAME_BYTES + 8];
    struct names names = {0};
    size_t n_matches = 0;
    enum err rc = data_place_dir(tree, space, at, directory, err);

    rc = rc != ERR_OK ? rc : path_format(path, err, "%s/%s%s", directory, name, place->suffix);
    if (rc != ERR_OK) {
        return rc;
    }
    (void)snprintf(file, sizeof file, "%s%s", name, place->suffix);
    if (stem_of(at, file, found) && path_is_file(path)) {
        return ERR_OK;
    }
    if (!device_name_fold(name, wanted)) {
        return ERR_NOT_FOUND;
    }
    rc = data_list_place(tree, space, at, &names, err);
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

enum err data_read_sheet(enum data_place at, const char *path, struct device_sheet *sheet,
                         struct error *err)
{
    double vector[HARDWARE_N_FIELDS];
    size_t lines[HARDWARE_N_FIELDS];
    size_t bad_field = 0;
    char *bytes = NULL;
    size_t size;
    enum err rc;

    if (at == DATA_SHEETS || at == DATA_SHEETS_SHIPPED) {
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

enum err data_find_device_file(const struct data_tree *tree, const struct space *space,
                               const char *name, struct device_sheet *out, char *path,
                               struct error *err)
{
    enum err rc = device_name_validate(name, err);

    for (enum data_place at = DATA_HARDWARE; rc == ERR_OK && at <= DATA_SHEETS_SHIPPED; at++) {
        struct device_sheet sheet = {0};
        enum err found = find_in_place(tree, space, at, name, path, sheet.name, err);
        if (found == ERR_NOT_FOUND) {
            continue;
        }
        rc = found != ERR_OK ? found : data_read_sheet(at, path, &sheet, err);
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

enum err data_find_device(const struct data_tree *tree, const struct space *space, const char *name,
                          struct device_sheet *out, struct error *err)
{
    char path[PATH_BYTES];

    return data_find_device_file(tree, space, name, out, path, err);
}

enum err data_find_measurements(const struct data_tree *tree, const struct space *space,
                                const char *name, char *path, char spelled[DEVICE_NAME_BYTES],
                                struct error *err)
{
    enum err rc = device_name_validate(name, err);

    for (enum data_place at = DATA_MEASUREMENTS; rc == ERR_OK && at <= DATA_MEASUREMENTS_GIVEN;
         at++) {
        char name_found[DEVICE_NAME_BYTES];
        enum err found = find_in_place(tree, space, at, name, path, name_found, err);
        if (found == ERR_OK && spelled != NULL) {
            memcpy(spelled, name_found, DEVICE_NAME_BYTES);
        }
        if (found != ERR_NOT_FOUND) {
            return found;
        }
    }
    return rc != ERR_OK ? rc
                        : error_set(err, ERR_NOT_FOUND,
                                    "there are no measurements of \"%s\" in measurements/ of %s",
                                    name, space->name);
}

enum err data_is_measured(const struct data_tree *tree, const struct space *space, const char *name,
                          char spelled[DEVICE_NAME_BYTES], struct error *err)
{
    char path[PATH_BYTES];
    struct error found = {0};
    enum err rc = data_find_measurements(tree, space, name, path, spelled, &found);

    if (rc != ERR_OK && rc != ERR_NOT_FOUND && err != NULL) {
        *err = found;
    }
    return rc;
}

enum err data_list_measured(const struct data_tree *tree, const struct space *space,
                            struct names *out, struct error *err)
{
    struct names names = {0};
    enum err rc = data_list_place(tree, space, DATA_LATENCY, &names, err);

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
    enum err rc = find_in_place(tree, space, DATA_LATENCY, device, path, found, err);

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

/* An architecture that was trained more than once has the mean of its accuracies, in each row. */
static enum err average_repeated(struct accuracy_table *table, struct error *err)
{
    const struct dataset *rows = &table->architectures;
    size_t *group = mem_calloc(rows->n_rows, sizeof *group);
    double *sums = mem_calloc(2 * rows->n_rows, sizeof *sums); /* then how many each is of */
    size_t n_groups = 0;
    enum err rc;

    if (group == NULL || sums == NULL) {
        rc = error_set(err, ERR_NOMEM, "no memory for %zu architectures", rows->n_rows);
    } else {
        rc = dataset_group(rows->space, rows->genes, rows->n_rows, group, &n_groups, err);
    }
    for (size_t i = 0; rc == ERR_OK && i < rows->n_rows; i++) {
        sums[group[i]] += table->accuracy[i];
        sums[rows->n_rows + group[i]] += 1.0;
    }
    for (size_t i = 0; rc == ERR_OK && n_groups < rows->n_rows && i < rows->n_rows; i++) {
        table->accuracy[i] = sums[group[i]] / sums[rows->n_rows + group[i]];
    }
    mem_free(sums);
    mem_free(group);
    return rc;
}

enum err data_read_accuracy(const struct space *space, const char *net_path,
                            const char *accuracy_path, struct accuracy_table *out,
                            struct error *err)
{
    struct accuracy_table table = {0};
    enum err rc = dataset_load(space, net_path, &table.architectures, err);

    rc = rc != ERR_OK ? rc
                      : table_read_positive(accuracy_path, table.architectures.n_rows,
                                            &table.accuracy, NULL, err);
    for (size_t i = 0; rc == ERR_OK && i < table.architectures.n_rows; i++) {
        if (table.accuracy[i] > 100.0) {
            rc = error_set(err, ERR_INVALID, "%s:%zu: an accuracy is at most 100 %%, not %.12g",
                           accuracy_path, i + 1, table.accuracy[i]);
        }
    }
    rc = rc != ERR_OK ? rc : average_repeated(&table, err);
    if (rc != ERR_OK) {
        accuracy_table_close(&table);
        return rc;
    }
    *out = table;
    return ERR_OK;
}

enum err data_load_accuracy(const struct data_tree *tree, const struct space *space,
                            struct accuracy_table *out, struct error *err)
{
    char net[PATH_BYTES];
    char accuracy[PATH_BYTES];
    enum err rc = space_file(tree, space, "NAS/net.txt", net, err);

    rc = rc != ERR_OK ? rc : space_file(tree, space, "NAS/acc.txt", accuracy, err);
    rc = rc != ERR_OK ? rc : data_read_accuracy(space, net, accuracy, out, err);
    return rc == ERR_NOT_FOUND ? missing_data(space, path_is_file(net) ? accuracy : net, err) : rc;
}

void accuracy_table_close(struct accuracy_table *table)
{
    dataset_close(&table->architectures);
    mem_free(table->accuracy);
    memset(table, 0, sizeof *table);
}

/* Takes `prefix` and the slash behind it out of a sentence, wherever a path begins with it; a path
 * that is no longer becomes ".". */
static void cut_prefix(char *text, const char *prefix)
{
    size_t length = strlen(prefix);
    char *at = text;

    while (length > 0 && (at = strstr(at, prefix)) != NULL) {
        bool begins = at == text || strchr(" \"'(", at[-1]) != NULL;
        size_t n_cut = length + strspn(at + length, "/");
        bool is_all = length > 1 && strchr(" \"',:;)", at[length]) != NULL; /* or the end */
        if (begins && n_cut > length) {
            memmove(at, at + n_cut, strlen(at + n_cut) + 1);
        } else if (begins && is_all) {
            *at = '.';
            memmove(at + 1, at + length, strlen(at + length) + 1);
        } else {
            at++;
        }
    }
}

void data_localize(const struct data_tree *tree, struct error *err)
{
    bool is_root_longer = strlen(tree->root) > strlen(tree->data_path);

    /* the longer first: one may lie in the other */
    cut_prefix(err->text, is_root_longer ? tree->root : tree->data_path);
    cut_prefix(err->text, is_root_longer ? tree->data_path : tree->root);
    cut_prefix(err->text, shipped_directory());
}
