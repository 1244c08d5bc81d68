#include "server/calibration_cache.h"

#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "core/mem.h"
#include "proto/msg_measurements.h"
#include "server/measured_rows.h"

/* What the key's answer is looked for with, before anything is read. */
struct question {
    const struct data_tree *tree;
    const struct calibration_key *key;
    const struct space *space;
    double vector[HARDWARE_N_FIELDS];
    struct file_look directories[CALIBRATION_CACHE_DIRECTORIES];
};

enum err calibration_cache_init(struct calibration_cache *cache, struct error *err)
{
    memset(cache, 0, sizeof *cache);
    return pthread_mutex_init(&cache->lock, NULL) == 0
               ? ERR_OK
               : error_set(err, ERR_NOMEM, "no memory for a lock");
}

static void clear_entry(struct calibration_cache_entry *entry)
{
    fitted_unref(entry->fitted);
    mem_free(entry->path);
    memset(entry, 0, sizeof *entry);
}

void calibration_cache_close(struct calibration_cache *cache)
{
    for (size_t i = 0; i < CALIBRATION_CACHE_SLOTS; i++) {
        clear_entry(&cache->slots[i]);
    }
    (void)pthread_mutex_destroy(&cache->lock);
    memset(cache, 0, sizeof *cache);
}

/* The one slot that the answer may be remembered in. */
static struct calibration_cache_entry *slot_of(struct calibration_cache *cache,
                                               const struct calibration_key *key)
{
    const char *const words[] = {key->device, key->model->predictor->space->name,
                                 key->model->info.version};
    uint32_t hash = UINT32_C(0x811c9dc5);

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        for (const char *c = words[i]; *c != '\0'; c++) {
            hash = (hash ^ (unsigned char)*c) * UINT32_C(0x01000193); /* FNV-1a */
        }
    }
    return &cache->slots[(hash ^ (hash >> 16)) % CALIBRATION_CACHE_SLOTS];
}

/* Looks at the directories: before anything is read, so that what changes meanwhile is seen by the
 * next call. */
static enum err ask(const struct data_tree *tree, const struct calibration_key *key,
                    struct question *out, struct error *err)
{
    *out = (struct question){.tree = tree, .key = key, .space = key->model->predictor->space};
    if (key->hardware != NULL) {
        hardware_to_vector(key->hardware, out->vector);
    }
    for (size_t i = 0; i < CALIBRATION_CACHE_DIRECTORIES; i++) {
        const enum data_place at = i == 0 ? DATA_MEASUREMENTS : DATA_MEASUREMENTS_GIVEN;
        char path[PATH_BYTES];
        enum err rc = ERR_OK;
        if (i > 0 && tree->data_path[0] == '\0') {
            break; /* the same place */
        }
        rc = data_place_dir(tree, out->space, at, path, err);
        if (rc != ERR_OK) {
            return rc;
        }
        out->directories[i] = file_look_at(path);
    }
    return ERR_OK;
}

/* Where nothing was ever measured, nothing need be remembered. */
static bool is_nowhere(const struct question *question)
{
    static const struct file_look nothing[CALIBRATION_CACHE_DIRECTORIES];

    return file_look_are_same(question->directories, nothing, CALIBRATION_CACHE_DIRECTORIES);
}

static bool is_same_hardware(const double *a, const double *b)
{
    bool is_same = true;

    for (size_t i = 0; i < HARDWARE_N_FIELDS; i++) {
        is_same = is_same && a[i] == b[i];
    }
    return is_same;
}

/* Whether the entry is about the same; the lock is held. */
static bool is_about(const struct calibration_cache_entry *entry, const struct question *question)
{
    const struct calibration_key *key = question->key;

    return entry->space == question->space && strcmp(entry->device, key->device) == 0 &&
           strcmp(entry->version, key->model->info.version) == 0 &&
           is_same_hardware(entry->vector, question->vector);
}

static bool recall(struct calibration_cache *cache, const struct question *question,
                   struct fitted **out)
{
    const struct calibration_cache_entry *entry = slot_of(cache, question->key);
    char path[PATH_BYTES] = "";
    struct fitted *fitted = NULL;
    struct file_look then = {0};
    struct file_look now;
    bool is_there;

    (void)pthread_mutex_lock(&cache->lock);
    is_there = is_about(entry, question) && entry->is_settled &&
               file_look_are_same(entry->directories, question->directories,
                                  CALIBRATION_CACHE_DIRECTORIES);
    if (is_there) {
        cache->n_hits++;
        fitted = fitted_ref(entry->fitted);
        then = entry->file;
        (void)snprintf(path, sizeof path, "%s", entry->path != NULL ? entry->path : "");
    }
    (void)pthread_mutex_unlock(&cache->lock);
    if (is_there && path[0] != '\0') {
        now = file_look_at(path);
        is_there = file_look_are_same(&now, &then, 1);
    }
    if (!is_there) {
        fitted_unref(fitted);
        return false;
    }
    *out = fitted;
    return true;
}

bool calibration_cache_recall(struct calibration_cache *cache, const struct data_tree *tree,
                              const struct calibration_key *key, struct fitted **out)
{
    struct question question;
    struct error ignored;

    *out = NULL;
    return ask(tree, key, &question, &ignored) == ERR_OK &&
           (is_nowhere(&question) || recall(cache, &question, out));
}

/* A use of what was fitted to that content before; NULL where nothing was. */
static struct fitted *recall_content(struct calibration_cache *cache,
                                     const struct question *question, const char *digest)
{
    const struct calibration_cache_entry *entry = slot_of(cache, question->key);
    struct fitted *fitted = NULL;

    (void)pthread_mutex_lock(&cache->lock);
    if (is_about(entry, question) && strcmp(entry->digest, digest) == 0) {
        fitted = fitted_ref(entry->fitted);
    }
    (void)pthread_mutex_unlock(&cache->lock);
    return fitted;
}

/* Remembers the answer, of the file at `path` (NULL: there is none). Does nothing where memory is
 * out: the next request fits again. */
static void remember(struct calibration_cache *cache, const struct question *question,
                     const char *path, const struct file_look *file, const char *digest,
                     struct fitted *fitted)
{
    struct calibration_cache_entry *entry = slot_of(cache, question->key);
    struct calibration_cache_entry old;
    struct timespec now = {0};
    char *copy = path != NULL ? mem_strdup(path) : NULL;
    bool is_settled;

    if (path != NULL && copy == NULL) {
        return;
    }
    (void)clock_gettime(CLOCK_REALTIME, &now);
    is_settled = path == NULL || (file->inode != 0 && file_look_is_settled(file, &now));
    for (size_t i = 0; i < CALIBRATION_CACHE_DIRECTORIES; i++) {
        is_settled = is_settled && (question->directories[i].inode == 0 ||
                                    file_look_is_settled(&question->directories[i], &now));
    }
    (void)pthread_mutex_lock(&cache->lock);
    old = *entry;
    *entry = (struct calibration_cache_entry){
        .space = question->space,
        .is_settled = is_settled,
        .file = *file,
        .path = copy,
        .fitted = fitted_ref(fitted),
    };
    (void)snprintf(entry->device, sizeof entry->device, "%s", question->key->device);
    (void)snprintf(entry->version, sizeof entry->version, "%s", question->key->model->info.version);
    (void)snprintf(entry->digest, sizeof entry->digest, "%s", digest);
    memcpy(entry->vector, question->vector, sizeof entry->vector);
    memcpy(entry->directories, question->directories, sizeof entry->directories);
    (void)pthread_mutex_unlock(&cache->lock);
    clear_entry(&old);
}

/* Fits the content of a file, unless that was done before. */
static enum err fit_bytes(struct calibration_cache *cache, const struct question *question,
                          const char *bytes, size_t size, const char *digest, struct fitted **out,
                          struct error *err)
{
    struct measured_rows rows = {0};
    enum err rc;

    *out = recall_content(cache, question, digest);
    if (*out != NULL) {
        return ERR_OK;
    }
    rc = measured_rows_parse(question->space, bytes, size, &rows, err);
    if (rc == ERR_OK) {
        rc = fitted_create(question->key->model, question->key->hardware, rows.genes,
                           rows.latency_ms, rows.n, out, err);
    }
    measured_rows_close(&rows);
    if (rc == ERR_OK) {
        (void)pthread_mutex_lock(&cache->lock);
        cache->n_fits++;
        (void)pthread_mutex_unlock(&cache->lock);
    }
    return rc;
}

/* Reads and fits the file at `path`. ERR_NOT_FOUND where it is gone. */
static enum err fit_file(struct calibration_cache *cache, const struct question *question,
                         const char *path, struct fitted **out, struct error *err)
{
    const struct file_look file = file_look_at(path); /* before it is read */
    char digest[DIGEST_HEX_BYTES];
    char *bytes = NULL;
    size_t size = 0;
    enum err rc = file_read(path, MEASUREMENTS_MAX_FILE_BYTES, &bytes, &size, err);

    if (rc != ERR_OK) {
        return rc;
    }
    digest_hex(&(struct digest_part){bytes, size}, 1, digest);
    rc = fit_bytes(cache, question, bytes, size, digest, out, err);
    mem_free(bytes);
    if (rc == ERR_OK) {
        remember(cache, question, path, &file, digest, *out);
    } else {
        error_wrap(err, "%s", path);
    }
    return rc;
}

enum err calibration_cache_find(struct calibration_cache *cache, const struct data_tree *tree,
                                const struct calibration_key *key, struct fitted **out,
                                struct error *err)
{
    static const struct file_look nothing;
    struct question question;
    char path[PATH_BYTES];
    enum err rc = ask(tree, key, &question, err);

    *out = NULL;
    if (rc != ERR_OK || is_nowhere(&question) || recall(cache, &question, out)) {
        return rc;
    }
    rc = data_find_measurements(tree, question.space, key->device, path, NULL, err);
    rc = rc != ERR_OK ? rc : fit_file(cache, &question, path, out, err);
    if (rc == ERR_NOT_FOUND) {
        remember(cache, &question, NULL, &nothing, "", NULL);
        rc = ERR_OK;
    }
    return rc;
}
