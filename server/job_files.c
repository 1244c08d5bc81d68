#include "server/job_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/job.h"
#include "server/path.h"

#define ATTEMPT_PREFIX "attempt-"

/* ---- names ----------------------------------------------------------------------------------- */

enum err job_directory(const char *root, const struct space *space, const char *id, int attempt,
                       char *out, struct error *err)
{
    return attempt <= 1 ? path_format(out, err, "%s/result/%s/jobs/%s", root, space->name, id)
                        : path_format(out, err, "%s/result/%s/jobs/%s/" ATTEMPT_PREFIX "%d", root,
                                      space->name, id, attempt);
}

enum err job_model_name(const char *version, const char *id, int attempt,
                        char out[MODEL_NAME_BYTES], struct error *err)
{
    int length = attempt <= 1
                     ? snprintf(out, MODEL_NAME_BYTES, "%s-job-%s", version, id)
                     : snprintf(out, MODEL_NAME_BYTES, "%s-job-%s-%d", version, id, attempt);

    return length < MODEL_NAME_BYTES
               ? ERR_OK
               : error_set(err, ERR_LIMIT, "the name of a model, %.64s..., is too long", out);
}

/* The number that is all of `text`; 0 where it is none. */
static int read_number(const char *text)
{
    char *end;
    long n = text[0] >= '1' && text[0] <= '9' ? strtol(text, &end, 10) : 0;

    return n > 0 && n < INT_MAX && *end == '\0' ? (int)n : 0;
}

/* The attempt that a directory below the job's is of; 0 where it is of none. */
static int attempt_of_directory(const char *name)
{
    const size_t n = sizeof ATTEMPT_PREFIX - 1;

    return strncmp(name, ATTEMPT_PREFIX, n) == 0 ? read_number(name + n) : 0;
}

int job_model_attempt(const char *file, char *id)
{
    static const char suffix[] = ".safetensors";
    const size_t n_suffix = sizeof suffix - 1;
    const size_t length = strlen(file);
    const char *at = strstr(file, "-job-");
    char number[16];
    size_t n;

    if (at == NULL || length < n_suffix || strcmp(file + length - n_suffix, suffix) != 0) {
        return 0;
    }
    at += sizeof "-job-" - 1;
    n = (size_t)(file + length - n_suffix - at);
    if (n < JOB_ID_BYTES - 1 || n - (JOB_ID_BYTES - 1) >= sizeof number) {
        return 0;
    }
    (void)snprintf(id, JOB_ID_BYTES, "%.*s", JOB_ID_BYTES - 1, at);
    (void)snprintf(number, sizeof number, "%.*s", (int)(n - (JOB_ID_BYTES - 1)),
                   at + JOB_ID_BYTES - 1);
    if (!job_id_is_valid(id)) {
        return 0;
    }
    return number[0] == '\0' ? 1 : number[0] == '-' ? read_number(number + 1) : 0;
}

/* ---- removal --------------------------------------------------------------------------------- */

/* Whose files of a directory are to go. */
struct removal {
    const char *id; /* of models; NULL: all files but the directories of other attempts */
    int first, last;
};

static bool is_to_go(const struct removal *removal, const char *name)
{
    char id[JOB_ID_BYTES];
    int attempt;

    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        return false;
    }
    if (removal->id == NULL) {
        return attempt_of_directory(name) == 0;
    }
    attempt = job_model_attempt(name, id);
    return attempt > 0 && attempt >= removal->first && attempt <= removal->last &&
           strcmp(id, removal->id) == 0;
}

/* Removes files of a directory, and makes that last. A directory that is not there has none. */
static enum err remove_files(const char *directory, const struct removal *removal,
                             struct error *err)
{
    const struct dirent *entry;
    DIR *dir = opendir(directory);
    size_t n_removed = 0;
    int failed = 0;

    if (dir == NULL) {
        return errno == ENOENT ? ERR_OK : error_sys(err, errno, "cannot list %s", directory);
    }
    while (failed == 0 && (entry = readdir(dir)) != NULL) {
        if (is_to_go(removal, entry->d_name)) {
            failed = unlinkat(dirfd(dir), entry->d_name, 0) != 0 && errno != ENOENT ? errno : 0;
            n_removed++;
        }
    }
    if (n_removed > 0) {
        (void)fsync(dirfd(dir));
    }
    (void)closedir(dir);
    return failed == 0 ? ERR_OK : error_sys(err, failed, "cannot remove a file of %s", directory);
}

/* A directory that is gone, or in which something else is, is none to complain of: whoever comes last
 * removes it. */
static enum err remove_directory(const char *path, struct error *err)
{
    return rmdir(path) == 0 || errno == ENOENT || errno == ENOTEMPTY || errno == EEXIST
               ? ERR_OK
               : error_sys(err, errno, "cannot remove %s", path);
}

static enum err remove_attempt(const char *directory, struct error *err)
{
    const struct removal all = {.id = NULL};
    enum err rc = remove_files(directory, &all, err);

    return rc != ERR_OK ? rc : remove_directory(directory, err);
}

/* The directories of the attempts below that of the job, save the first one's, which it is. */
static enum err remove_later_attempts(const char *directory, int first, int last, struct error *err)
{
    const struct dirent *entry;
    DIR *dir = opendir(directory);
    enum err rc = ERR_OK;

    if (dir == NULL) {
        return errno == ENOENT ? ERR_OK : error_sys(err, errno, "cannot list %s", directory);
    }
    while (rc == ERR_OK && (entry = readdir(dir)) != NULL) {
        int attempt = attempt_of_directory(entry->d_name);
        char path[PATH_BYTES];
        if (attempt > 0 && attempt >= first && attempt <= last) {
            rc = path_format(path, err, "%s/%s", directory, entry->d_name);
            rc = rc != ERR_OK ? rc : remove_attempt(path, err);
        }
    }
    (void)closedir(dir);
    return rc;
}

enum err job_models_remove_attempts(const char *root, const struct space *space, const char *id,
                                    int first, int last, struct error *err)
{
    const struct removal models = {id, first, last};
    char path[PATH_BYTES];
    enum err rc = job_id_is_valid(id)
                      ? path_format(path, err, "%s/result/%s/models", root, space->name)
                      : error_set(err, ERR_INVALID, "\"%.64s\" is no job's id", id);

    return rc != ERR_OK ? rc : remove_files(path, &models, err);
}

enum err job_results_remove_attempts(const char *root, const struct space *space, const char *id,
                                     int first, int last, struct error *err)
{
    char path[PATH_BYTES];
    enum err rc = job_id_is_valid(id) ? job_directory(root, space, id, 1, path, err)
                                      : error_set(err, ERR_INVALID, "\"%.64s\" is no job's id", id);

    rc = rc != ERR_OK ? rc : remove_later_attempts(path, first, last, err);
    if (rc != ERR_OK) {
        return rc;
    }
    return first <= 1 ? remove_attempt(path, err) : remove_directory(path, err);
}

enum err job_files_remove_attempts(const char *root, const struct space *space, const char *id,
                                   int first, int last, struct error *err)
{
    enum err rc = job_models_remove_attempts(root, space, id, first, last, err);

    return rc != ERR_OK ? rc : job_results_remove_attempts(root, space, id, first, last, err);
}

enum err job_files_remove(const char *root, const struct space *space, const char *id,
                          struct error *err)
{
    return job_files_remove_attempts(root, space, id, 1, JOB_ATTEMPT_ANY, err);
}
