#include "server/model_list.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"
#include "proto/safetensors.h"
#include "server/model_store.h"
#include "server/shipped.h"

static const char file_ending[] = ".safetensors";

/* ---- one file -------------------------------------------------------------------------------- */

static enum err read_exactly(int fd, char *bytes, size_t size, off_t at, struct error *err)
{
    while (size > 0) {
        ssize_t n = pread(fd, bytes, size, at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return error_sys(err, errno, "cannot read the file");
        }
        if (n == 0) {
            return error_set(err, ERR_IO, "the file was cut while it was read");
        }
        bytes += n;
        size -= (size_t)n;
        at += n;
    }
    return ERR_OK;
}

/* Reads what model_peek() needs of an open file into a block that the caller owns. */
static enum err read_head(int fd, size_t file_bytes, char **out, size_t *size, struct error *err)
{
    char length[SAFETENSORS_LENGTH_BYTES] = {0};
    size_t n = file_bytes < sizeof length ? file_bytes : sizeof length;
    char *bytes;
    enum err rc = read_exactly(fd, length, n, 0, err);

    rc = rc != ERR_OK ? rc : safetensors_head_bytes(length, file_bytes, size, err);
    if (rc != ERR_OK) {
        return rc;
    }
    bytes = mem_calloc(*size, 1);
    if (bytes == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for the header of a model");
    }
    rc = read_exactly(fd, bytes, *size, 0, err);
    if (rc != ERR_OK) {
        mem_free(bytes);
        return rc;
    }
    *out = bytes;
    return ERR_OK;
}

/* Fills in what an open file tells of itself and of its model. */
static enum err peek(int fd, const struct space *space, struct model_item *item, struct error *err)
{
    struct stat st;
    char *bytes = NULL;
    size_t size = 0;
    enum err rc;

    if (fstat(fd, &st) != 0) {
        return error_sys(err, errno, "cannot inspect the file");
    }
    item->size_bytes = (uint64_t)st.st_size;
    item->modified = st.st_mtim;
    if (!S_ISREG(st.st_mode)) {
        return error_set(err, ERR_IO, "it is not a regular file");
    }
    if (item->size_bytes > SAFETENSORS_MAX_FILE_BYTES) {
        return error_set(err, ERR_LIMIT, "the file has %lld bytes; at most %zu are accepted",
                         (long long)st.st_size, SAFETENSORS_MAX_FILE_BYTES);
    }
    rc = read_head(fd, (size_t)st.st_size, &bytes, &size, err);
    rc = rc != ERR_OK
             ? rc
             : model_peek(bytes, size, (size_t)st.st_size, space, &item->info, &item->kind, err);
    mem_free(bytes);
    return rc;
}

/* Whether the model's name leads to this file and not to another one. */
static enum err check_reachable(const char *root, const struct space *space, const char *name,
                                const char *path, struct error *err)
{
    char reached[PATH_BYTES];
    enum err rc = model_store_named_path(root, space, name, reached, err);

    if (rc == ERR_OK && strcmp(reached, path) != 0) {
        rc = error_set(err, ERR_INVALID, "the name \"%s\" leads to %s instead", name, reached);
    }
    return rc;
}

static void close_item(struct model_item *item)
{
    model_info_close(&item->info);
    names_close(&item->names);
    mem_free(item->error);
    mem_free(item->path);
    memset(item, 0, sizeof *item);
}

/* Reads the file of a name into `item`, to be ended by close_item() in every case. What is wrong
 * with the file becomes the item's error; ERR_NOT_FOUND where it is gone, ERR_NOMEM. */
static enum err load_item(const char *root, const struct space *space, const char *name,
                          const char *path, struct model_item *item, struct error *err)
{
    struct error why = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hang us */
    enum err rc;

    if (fd < 0 && errno == ENOENT) {
        return error_set(err, ERR_NOT_FOUND, "%s is gone", path);
    }
    rc = fd < 0 ? error_sys(&why, errno, "cannot open the file") : peek(fd, space, item, &why);
    if (fd >= 0) {
        (void)close(fd);
    }
    rc = rc != ERR_OK ? rc : check_reachable(root, space, name, path, &why);
    if (rc == ERR_NOMEM) {
        return error_set(err, ERR_NOMEM, "%s", why.text);
    }
    if (rc != ERR_OK) {
        model_info_close(&item->info);
        item->kind = NULL;
        item->error = mem_strdup(why.text);
    }
    item->path = mem_strdup(path);
    if (item->path == NULL || (rc != ERR_OK && item->error == NULL)) {
        return error_set(err, ERR_NOMEM, "no memory for a list of models");
    }
    return ERR_OK;
}

/* ---- the list -------------------------------------------------------------------------------- */

static struct model_item *find_version(const struct model_list *list, const char *version)
{
    for (size_t i = 0; i < list->n; i++) {
        if (list->items[i].kind != NULL && strcmp(list->items[i].info.version, version) == 0) {
            return &list->items[i];
        }
    }
    return NULL;
}

static enum err append(struct model_list *list, const struct model_item *item, struct error *err)
{
    struct model_item *grown = mem_resize(list->items, list->n + 1, sizeof *grown);

    if (grown == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for a list of models");
    }
    list->items = grown;
    list->items[list->n++] = *item;
    return ERR_OK;
}

/* Adds the file of a name: to the version that it holds, or as an item of its own. */
static enum err add_file(struct model_list *list, const char *root, const struct space *space,
                         const char *name, const char *path, struct error *err)
{
    struct model_item item = {0};
    struct model_item *known;
    bool is_named_after_version;
    enum err rc = load_item(root, space, name, path, &item, err);

    if (rc != ERR_OK) {
        close_item(&item);
        return rc == ERR_NOT_FOUND ? ERR_OK : rc; /* it was there a moment ago */
    }
    is_named_after_version = item.kind != NULL && strcmp(item.info.version, name) == 0;
    known = item.kind != NULL ? find_version(list, item.info.version) : NULL;
    if (!is_named_after_version) {
        rc = names_add(known != NULL ? &known->names : &item.names, name, err);
    }
    if (rc == ERR_OK && known == NULL) {
        rc = append(list, &item, err);
        if (rc == ERR_OK) {
            return ERR_OK;
        }
    }
    close_item(&item);
    return rc;
}

/* The stems of the files "<prefix><stem>.safetensors" in a directory, sorted. */
static enum err list_stems(const char *directory, const char *prefix, struct names *out,
                           struct error *err)
{
    const size_t n_ending = sizeof file_ending - 1;
    const size_t n_prefix = strlen(prefix);
    DIR *dir = opendir(directory);
    const struct dirent *entry;
    enum err rc = ERR_OK;

    if (dir == NULL) { /* there need be none */
        return errno == ENOENT ? ERR_OK : error_sys(err, errno, "cannot list %s", directory);
    }
    while (rc == ERR_OK && (entry = readdir(dir)) != NULL) {
        char stem[PATH_BYTES];
        size_t length = strlen(entry->d_name);
        if (entry->d_name[0] != '.' && length > n_prefix + n_ending &&
            strncmp(entry->d_name, prefix, n_prefix) == 0 &&
            strcmp(entry->d_name + length - n_ending, file_ending) == 0) {
            (void)snprintf(stem, sizeof stem, "%.*s", (int)(length - n_prefix - n_ending),
                           entry->d_name + n_prefix);
            rc = names_add(out, stem, err);
        }
    }
    (void)closedir(dir);
    names_sort(out);
    return rc;
}

/* An item that says how many files were not looked at. */
static enum err add_rest(struct model_list *list, const char *directory, size_t n_left,
                         struct error *err)
{
    struct model_item item = {0};
    char text[PATH_BYTES + 128];

    (void)snprintf(text, sizeof text, "%zu more files of %s are not listed: at most %d are", n_left,
                   directory, MODEL_LIST_MAX_FILES);
    item.error = mem_strdup(text);
    item.path = mem_strdup(directory);
    if (item.error == NULL || item.path == NULL || append(list, &item, NULL) != ERR_OK) {
        close_item(&item);
        return error_set(err, ERR_NOMEM, "no memory for a list of models");
    }
    return ERR_OK;
}

/* Adds the files "<prefix><name>.safetensors" of a directory; `n_files` counts on. */
static enum err add_directory(struct model_list *list, const char *root, const struct space *space,
                              const char *directory, const char *prefix, size_t *n_files,
                              struct error *err)
{
    struct names stems = {0};
    char path[PATH_BYTES];
    enum err rc = list_stems(directory, prefix, &stems, err);

    for (size_t i = 0; rc == ERR_OK && i < stems.n; i++) {
        if (++*n_files > MODEL_LIST_MAX_FILES) {
            rc = add_rest(list, directory, stems.n - i, err);
            break;
        }
        rc = path_format(path, err, "%s/%s%s%s", directory, prefix, stems.items[i], file_ending);
        rc = rc != ERR_OK ? rc : add_file(list, root, space, stems.items[i], path, err);
    }
    names_close(&stems);
    return rc;
}

/* Adds a shipped file, unless its name leads to another one. */
static enum err add_shipped_file(struct model_list *list, const char *root,
                                 const struct space *space, const char *name, const char *path,
                                 struct error *err)
{
    return check_reachable(root, space, name, path, NULL) == ERR_OK
               ? add_file(list, root, space, name, path, err)
               : ERR_OK;
}

/* Adds what ships: the named models that the root lacks, and the default by its other name. */
static enum err add_shipped(struct model_list *list, const char *root, const struct space *space,
                            struct error *err)
{
    static const char prefix[] = "pretrainmodel-";
    struct names stems = {0};
    char directory[PATH_BYTES];
    char path[PATH_BYTES];
    enum err rc = path_format(directory, err, "%s/result/%s", shipped_directory(), space->name);

    if (shipped_directory()[0] == '\0' || strcmp(shipped_directory(), root) == 0) {
        return ERR_OK; /* nothing, or nothing besides */
    }
    rc = rc != ERR_OK ? rc : list_stems(directory, prefix, &stems, err);
    for (size_t i = 0; rc == ERR_OK && i < stems.n; i++) {
        rc = path_format(path, err, "%s/%s%s%s", directory, prefix, stems.items[i], file_ending);
        rc = rc != ERR_OK ? rc : add_shipped_file(list, root, space, stems.items[i], path, err);
    }
    names_close(&stems);
    rc = rc != ERR_OK ? rc : path_format(path, err, "%s/pretrainmodel%s", directory, file_ending);
    return rc != ERR_OK ? rc : add_shipped_file(list, root, space, MODEL_STORE_SHIPPED, path, err);
}

/* By version, then what is no model by its path. */
static int compare_items(const void *a, const void *b)
{
    const struct model_item *x = a;
    const struct model_item *y = b;

    if ((x->kind == NULL) != (y->kind == NULL)) {
        return x->kind == NULL ? 1 : -1;
    }
    return x->kind != NULL ? strcmp(x->info.version, y->info.version) : strcmp(x->path, y->path);
}

enum err model_list_load(const char *root, const struct space *space, struct model_list *out,
                         struct error *err)
{
    struct model_list list = {0};
    char path[PATH_BYTES];
    size_t n_files = 0;
    enum err rc = model_store_path(root, space, path, err);

    rc = rc != ERR_OK ? rc : add_file(&list, root, space, "default", path, err);
    rc = rc != ERR_OK ? rc : path_format(path, err, "%s/result/%s", root, space->name);
    rc = rc != ERR_OK ? rc
                      : add_directory(&list, root, space, path, "pretrainmodel-", &n_files, err);
    rc = rc != ERR_OK ? rc : add_shipped(&list, root, space, err);
    rc = rc != ERR_OK ? rc : path_format(path, err, "%s/result/%s/models", root, space->name);
    rc = rc != ERR_OK ? rc : add_directory(&list, root, space, path, "", &n_files, err);
    if (rc != ERR_OK) {
        model_list_close(&list);
        return rc;
    }
    if (list.n > 0) {
        qsort(list.items, list.n, sizeof *list.items, compare_items);
    }
    *out = list;
    return ERR_OK;
}

const struct model_item *model_list_find(const struct model_list *list, const char *name)
{
    const struct model_item *found = find_version(list, name);

    for (size_t i = 0; found == NULL && i < list->n; i++) {
        found = names_contain(&list->items[i].names, name) ? &list->items[i] : NULL;
    }
    return found;
}

void model_list_close(struct model_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        close_item(&list->items[i]);
    }
    mem_free(list->items);
    memset(list, 0, sizeof *list);
}

static enum err no_such_model(const struct space *space, const char *name, struct error *err)
{
    return error_set(err, ERR_NOT_FOUND, "there is no model \"%s\" of %s", name, space->name);
}

enum err model_list_find_path(const char *root, const struct space *space, const char *name,
                              char *out, bool *is_by_version, struct error *err)
{
    struct model_list list;
    const struct model_item *item;
    enum err rc = model_store_named_path(root, space, name, out, err);
    bool is_named = rc == ERR_OK && path_is_file(out);

    if (is_by_version != NULL) {
        *is_by_version = !is_named;
    }
    if (rc != ERR_OK || is_named) {
        return rc;
    }
    rc = model_list_load(root, space, &list, err);
    if (rc != ERR_OK) {
        return rc;
    }
    item = model_list_find(&list, name);
    rc = item != NULL ? path_format(out, err, "%s", item->path) : no_such_model(space, name, err);
    model_list_close(&list);
    return rc;
}

enum err model_list_confirm(const struct model *model, const char *version, struct error *err)
{
    return strcmp(model->info.version, version) == 0
               ? ERR_OK
               : no_such_model(model->predictor->space, version, err);
}
