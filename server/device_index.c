#include "server/device_index.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/mem.h"
#include "proto/msg_measurements.h"
#include "server/shipped.h"

static enum err add_file(struct device_index *index, const char *name, enum data_place at,
                         size_t space, struct error *err)
{
    struct device_file *file;

    if (index->n_files == index->capacity) {
        size_t capacity = index->capacity > 0 ? 2 * index->capacity : 64;
        struct device_file *grown = mem_resize(index->files, capacity, sizeof *grown);
        if (grown == NULL) {
            return error_set(err, ERR_NOMEM, "no memory for a list of devices");
        }
        index->files = grown;
        index->capacity = capacity;
    }
    file = &index->files[index->n_files++];
    memset(file, 0, sizeof *file);
    (void)snprintf(file->name, sizeof file->name, "%s", name);
    (void)device_name_fold(name, file->folded); /* a valid name fits */
    file->at = at;
    file->space = space;
    return ERR_OK;
}

static enum err add_place(const struct data_tree *tree, struct device_index *index, size_t space,
                          enum data_place at, struct error *err)
{
    struct names names = {0};
    enum err rc = data_list_place(tree, index->spaces.items[space], at, &names, err);

    for (size_t i = 0; rc == ERR_OK && i < names.n; i++) {
        rc = add_file(index, names.items[i], at, space, err);
    }
    names_close(&names);
    return rc;
}

static bool is_sheet(enum data_place at)
{
    return at == DATA_SHEETS || at == DATA_SHEETS_SHIPPED;
}

/* Sheets first: the spelling of a sheet is the device's name. */
static int rank_of(const struct device_file *file)
{
    return is_sheet(file->at) ? (int)file->at - DATA_N_PLACES : (int)file->at;
}

static int compare_files(const void *a, const void *b)
{
    const struct device_file *x = a;
    const struct device_file *y = b;
    int order = strcmp(x->folded, y->folded);

    order = order != 0 ? order : rank_of(x) - rank_of(y);
    order = order != 0 ? order : (x->space > y->space) - (x->space < y->space);
    return order != 0 ? order : strcmp(x->name, y->name);
}

enum err device_index_load(const struct data_tree *tree, struct device_index *out,
                           struct error *err)
{
    struct device_index index = {0};
    enum err rc;

    space_list_get(&index.spaces);
    rc = add_place(tree, &index, 0, DATA_SHEETS, err);
    if (rc == ERR_OK && shipped_directory()[0] != '\0') {
        rc = add_place(tree, &index, 0, DATA_SHEETS_SHIPPED, err);
    }
    for (size_t s = 0; rc == ERR_OK && s < index.spaces.n; s++) {
        for (enum data_place at = 0; rc == ERR_OK && at < DATA_N_PLACES; at++) {
            bool is_there_already =
                is_sheet(at) || (at == DATA_MEASUREMENTS_GIVEN && tree->data_path[0] == '\0');
            rc = is_there_already ? ERR_OK : add_place(tree, &index, s, at, err);
        }
    }
    if (rc != ERR_OK) {
        device_index_close(&index);
        return rc;
    }
    if (index.n_files > 0) {
        qsort(index.files, index.n_files, sizeof *index.files, compare_files);
    }
    *out = index;
    return ERR_OK;
}

void device_index_close(struct device_index *index)
{
    mem_free(index->files);
    memset(index, 0, sizeof *index);
}

/* ---- one device ------------------------------------------------------------------------------ */

/* The files of the same folded name as the one at `first`: how many. */
static size_t group_size(const struct device_index *index, size_t first)
{
    size_t n = 1;

    while (first + n < index->n_files &&
           strcmp(index->files[first].folded, index->files[first + n].folded) == 0) {
        n++;
    }
    return n;
}

static bool is_same_place(const struct device_file *a, const struct device_file *b)
{
    return a->at == b->at && a->space == b->space;
}

/* Whether some place holds two of the group's files. They are sorted by place. */
static bool is_ambiguous(const struct device_file *group, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        if (is_same_place(&group[i - 1], &group[i])) {
            return true;
        }
    }
    return false;
}

/* Where the group of a folded name begins, or n_files. */
static size_t find_group(const struct device_index *index, const char *folded)
{
    size_t low = 0;
    size_t high = index->n_files;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(index->files[middle].folded, folded) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < index->n_files && strcmp(index->files[low].folded, folded) == 0 ? low
                                                                                 : index->n_files;
}

/* Notes the device's file of a place that has `n` of the group in its slot. Of several it is the one that is
 * spelled exactly as asked for, or none: none of them may be read, overwritten or removed by chance. */
static void take_file(struct device_files *out, const struct device_file *files, size_t n,
                      const char *name)
{
    const struct device_file **slot =
        is_sheet(files->at) ? &out->sheet : &out->of_space[files->space][files->at];
    size_t i = 0;

    while (n > 1 && i < n && strcmp(files[i].name, name) != 0) {
        i++;
    }
    if (*slot == NULL && i < n) {
        *slot = &files[i];
    }
}

static void take_files(struct device_files *out, const struct device_file *group, size_t n,
                       const char *name)
{
    size_t n_here;

    for (size_t i = 0; i < n; i += n_here) {
        n_here = 1;
        while (i + n_here < n && is_same_place(&group[i], &group[i + n_here])) {
            n_here++;
        }
        take_file(out, &group[i], n_here, name);
    }
}

enum err device_index_find(const struct device_index *index, const char *name,
                           struct device_files *out, struct error *err)
{
    char folded[DEVICE_NAME_BYTES];
    struct device_files files = {.spaces = &index->spaces};
    size_t first = device_name_fold(name, folded) ? find_group(index, folded) : index->n_files;
    size_t n;

    if (first == index->n_files) {
        return error_set(err, ERR_NOT_FOUND, "there is no device \"%s\"", name);
    }
    n = group_size(index, first);
    take_files(&files, &index->files[first], n, name);
    for (size_t i = first; i < first + n; i++) {
        if (strcmp(index->files[i].name, name) == 0) {
            files.name = index->files[i].name;
        }
    }
    if (!is_ambiguous(&index->files[first], n)) {
        files.name = index->files[first].name;
    } else if (files.name == NULL) {
        return error_set(err, ERR_INVALID, "\"%s\" could mean several devices; spell it exactly",
                         name);
    }
    *out = files;
    return ERR_OK;
}

enum err device_index_names(const struct device_index *index, struct names *out, struct error *err)
{
    struct names names = {0};
    enum err rc = ERR_OK;
    size_t n;

    for (size_t first = 0; rc == ERR_OK && first < index->n_files; first += n) {
        const struct device_file *group = &index->files[first];
        size_t n_before = names.n;
        n = group_size(index, first);
        if (!is_ambiguous(group, n)) {
            rc = names_add(&names, group->name, err);
            continue;
        }
        for (size_t i = 0; rc == ERR_OK && i < n; i++) {
            const struct names of_group = {names.items + n_before, names.n - n_before};
            if (names.n == n_before || !names_contain(&of_group, group[i].name)) {
                rc = names_add(&names, group[i].name, err);
            }
        }
    }
    if (rc != ERR_OK) {
        names_close(&names);
        return rc;
    }
    names_sort(&names);
    *out = names;
    return ERR_OK;
}

/* ---- what the files say ---------------------------------------------------------------------- */

const struct device_file *device_file_at(const struct device_files *files,
                                         const struct space *space, enum data_place at)
{
    for (size_t s = 0; files->spaces != NULL && s < files->spaces->n; s++) {
        if (files->spaces->items[s] == space) {
            return files->of_space[s][at];
        }
    }
    return NULL;
}

enum err device_measurements_path(const struct data_tree *tree, const struct device_files *files,
                                  const struct space *space, enum data_place *at, char *path,
                                  struct error *err)
{
    for (enum data_place p = DATA_MEASUREMENTS; p <= DATA_MEASUREMENTS_GIVEN; p++) {
        const struct device_file *file = device_file_at(files, space, p);
        if (file != NULL) {
            *at = p;
            return data_place_path(tree, space, p, file->name, path, err);
        }
    }
    return error_set(err, ERR_NOT_FOUND, "there are no measurements of \"%s\" for %s", files->name,
                     space->name);
}

/* Notes an error of a file, unless another was noted before. Lack of memory is passed on. A file
 * that is gone since the index was loaded is no error. */
static enum err note(const struct data_tree *tree, enum err rc, struct error *err, char *noted)
{
    if (rc == ERR_OK || rc == ERR_NOMEM) {
        return rc;
    }
    if (rc == ERR_NOT_FOUND) {
        return ERR_OK;
    }
    data_localize(tree, err);
    if (noted[0] == '\0') {
        (void)snprintf(noted, ERROR_TEXT_BYTES, "%s", err->text);
    }
    return ERR_OK;
}

static enum err load_sheet(const struct data_tree *tree, const struct device_file *file,
                           struct device_view *out, struct error *err)
{
    char path[PATH_BYTES];
    enum err rc;

    if (file == NULL) {
        return ERR_OK;
    }
    rc = data_place_path(tree, NULL, file->at, file->name, path, err);
    rc = rc != ERR_OK ? rc : data_read_sheet(file->at, path, &out->sheet, err);
    out->has_sheet = rc == ERR_OK;
    return note(tree, rc, err, out->error);
}

/* The hardware that predictions in the space use: the reference's files win over the sheet. */
static enum err load_hardware(const struct data_tree *tree, const struct device_files *files,
                              size_t space, struct device_in_space *in, struct device_view *view,
                              struct error *err)
{
    for (enum data_place at = DATA_HARDWARE; at <= DATA_NAS; at++) {
        const struct device_file *file = files->of_space[space][at];
        struct device_sheet sheet = {0};
        char path[PATH_BYTES];
        enum err rc;
        if (file == NULL) {
            continue;
        }
        rc = data_place_path(tree, in->space, at, file->name, path, err);
        rc = rc != ERR_OK ? rc : data_read_sheet(at, path, &sheet, err);
        if (rc == ERR_NOT_FOUND) {
            continue;
        }
        in->has_hardware = rc == ERR_OK;
        in->hardware = sheet.hardware;
        rc = note(tree, rc, err, in->error);
        if (view->error[0] == '\0') {
            memcpy(view->error, in->error, sizeof view->error);
        }
        return rc;
    }
    in->has_hardware = view->has_sheet;
    in->hardware = view->sheet.hardware;
    return ERR_OK;
}

static enum err count_measurements(const struct data_tree *tree, const struct device_files *files,
                                   struct device_in_space *in, struct error *err)
{
    char path[PATH_BYTES];
    char *bytes = NULL;
    size_t size = 0;
    enum data_place at;
    enum err rc = device_measurements_path(tree, files, in->space, &at, path, err);

    if (rc == ERR_NOT_FOUND) {
        return ERR_OK;
    }
    rc = rc != ERR_OK ? rc : file_read(path, MEASUREMENTS_MAX_FILE_BYTES, &bytes, &size, err);
    if (rc == ERR_OK) {
        rc = msg_measurements_count_csv(in->space, bytes, size, &in->n_measurements, err);
        if (rc != ERR_OK) {
            error_wrap(err, "%s", path);
        }
    }
    mem_free(bytes);
    return note(tree, rc, err, in->error);
}

enum err device_view_load(const struct data_tree *tree, const struct device_files *files,
                          struct device_view *out, struct error *err)
{
    enum err rc;

    memset(out, 0, sizeof *out);
    (void)snprintf(out->name, sizeof out->name, "%s", files->name);
    rc = load_sheet(tree, files->sheet, out, err);
    for (size_t s = 0; rc == ERR_OK && s < files->spaces->n; s++) {
        struct device_in_space *in = &out->spaces[out->n_spaces++];
        in->space = files->spaces->items[s];
        in->has_latency = files->of_space[s][DATA_LATENCY] != NULL;
        rc = load_hardware(tree, files, s, in, out, err);
        rc = rc != ERR_OK ? rc : count_measurements(tree, files, in, err);
    }
    return rc;
}
