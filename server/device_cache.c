#include "server/device_cache.h"

#include <stdio.h>
#include <string.h>

#include "core/mem.h"

enum err device_cache_init(struct device_cache *cache, struct error *err)
{
    memset(cache, 0, sizeof *cache);
    return pthread_mutex_init(&cache->lock, NULL) == 0
               ? ERR_OK
               : error_set(err, ERR_NOMEM, "no memory for a lock");
}

void device_cache_close(struct device_cache *cache)
{
    for (size_t i = 0; i < DEVICE_CACHE_SLOTS; i++) {
        mem_free(cache->slots[i].path);
    }
    (void)pthread_mutex_destroy(&cache->lock);
    memset(cache, 0, sizeof *cache);
}

/* The one slot that a name may be remembered in. */
static struct device_cache_entry *slot_of(struct device_cache *cache, const struct space *space,
                                          const char *name)
{
    uint32_t hash = UINT32_C(0x811c9dc5);

    for (const char *c = name; *c != '\0'; c++) {
        hash = (hash ^ (unsigned char)*c) * UINT32_C(0x01000193); /* FNV-1a */
    }
    for (const char *c = space->name; *c != '\0'; c++) {
        hash = (hash ^ (unsigned char)*c) * UINT32_C(0x01000193);
    }
    return &cache->slots[(hash ^ (hash >> 16)) % DEVICE_CACHE_SLOTS];
}

static enum err look_at_directories(const struct data_tree *tree, const struct space *space,
                                    struct file_look *looks, struct error *err)
{
    static const enum data_place searched[DEVICE_CACHE_DIRECTORIES] = {
        DATA_HARDWARE, DATA_NAS, DATA_SHEETS, DATA_SHEETS_SHIPPED};
    for (size_t i = 0; i < DEVICE_CACHE_DIRECTORIES; i++) {
        char path[PATH_BYTES];
        enum err rc = data_place_dir(tree, space, searched[i], path, err);
        if (rc != ERR_OK) {
            return rc;
        }
        looks[i] = file_look_at(path);
    }
    return ERR_OK;
}

/* Whether the name is remembered with these directories, and the file looks as it did. */
static bool recall(struct device_cache *cache, const struct space *space, const char *name,
                   const struct file_look *directories, struct hardware *out)
{
    const struct device_cache_entry *entry = slot_of(cache, space, name);
    char path[PATH_BYTES];
    struct hardware hardware = {0};
    struct file_look then = {0};
    struct file_look now;
    bool is_there;

    (void)pthread_mutex_lock(&cache->lock);
    is_there = entry->space == space && strcmp(entry->name, name) == 0 &&
               file_look_are_same(entry->directories, directories, DEVICE_CACHE_DIRECTORIES);
    if (is_there) {
        (void)snprintf(path, sizeof path, "%s", entry->path);
        then = entry->file;
        hardware = entry->hardware;
        cache->n_hits++;
    }
    (void)pthread_mutex_unlock(&cache->lock);
    if (!is_there) {
        return false;
    }
    now = file_look_at(path);
    if (!file_look_are_same(&now, &then, 1)) {
        return false;
    }
    *out = hardware;
    return true;
}

/* Does nothing where memory is out: the next request searches again. */
static void remember(struct device_cache *cache, const struct space *space, const char *name,
                     const char *path, const struct file_look *directories,
                     const struct hardware *hardware)
{
    struct device_cache_entry *entry = slot_of(cache, space, name);
    struct file_look file = file_look_at(path);
    struct timespec now = {0};
    bool is_whole_settled;
    char *copy;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    is_whole_settled = file.inode != 0 && file_look_is_settled(&file, &now);
    for (size_t i = 0; i < DEVICE_CACHE_DIRECTORIES; i++) {
        is_whole_settled = is_whole_settled && file_look_is_settled(&directories[i], &now);
    }
    copy = is_whole_settled ? mem_strdup(path) : NULL;
    if (copy == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&cache->lock);
    mem_free(entry->path);
    entry->space = space;
    (void)snprintf(entry->name, sizeof entry->name, "%s", name);
    entry->path = copy;
    memcpy(entry->directories, directories, sizeof entry->directories);
    entry->file = file;
    entry->hardware = *hardware;
    (void)pthread_mutex_unlock(&cache->lock);
}

enum err device_cache_find(struct device_cache *cache, const struct data_tree *tree,
                           const struct space *space, const char *name, struct hardware *out,
                           struct error *err)
{
    struct file_look directories[DEVICE_CACHE_DIRECTORIES];
    struct device_sheet sheet;
    char path[PATH_BYTES];
    /* before the search: what changes while it goes on is seen by the next call */
    enum err rc = look_at_directories(tree, space, directories, err);

    if (rc != ERR_OK || recall(cache, space, name, directories, out)) {
        return rc;
    }
    rc = data_find_device_file(tree, space, name, &sheet, path, err);
    if (rc == ERR_OK) {
        *out = sheet.hardware;
        remember(cache, space, name, path, directories, out);
    }
    return rc;
}
