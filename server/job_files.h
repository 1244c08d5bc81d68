/* Where the files of a job lie. Thread-safe.
 *
 *   result/<space>/jobs/<id>/                             of its first attempt
 *   result/<space>/jobs/<id>/attempt-<n>/                 of a later one
 *   result/<space>/models/<version>-job-<id>.safetensors  a version, of the first attempt
 *   result/<space>/models/<version>-job-<id>-<n>.safetensors         and of a later one
 *
 * No two attempts write, or remove, the same file. So one that has lost its job to another, because
 * its process was stopped for a while, harms nothing of it, whenever it goes on: which files are the
 * job's says the result that the store has accepted. A checkpoint is read by later attempts, too. */
#ifndef DGLD_SERVER_JOB_FILES_H
#define DGLD_SERVER_JOB_FILES_H

#include <limits.h>

#include "core/error.h"
#include "core/space.h"
#include "proto/model_file.h"

enum { JOB_ATTEMPT_ANY = INT_MAX };

/* The directory of an attempt (0 is the first, too, here and below), into `out` (PATH_BYTES). */
enum err job_directory(const char *root, const struct space *space, const char *id, int attempt,
                       char *out, struct error *err);

/* The name of the model that an attempt has made. ERR_LIMIT where it is too long. */
enum err job_model_name(const char *version, const char *id, int attempt,
                        char out[MODEL_NAME_BYTES], struct error *err);

/* The attempt that made the model in a file of that name, and the job, into `id` (JOB_ID_BYTES); 0
 * where none did. */
int job_model_attempt(const char *file, char *id);

/* Removes whatever files the attempts `first` to `last` of a job have, or have left: results, models
 * and checkpoints. What is not there is no error. */
enum err job_files_remove_attempts(const char *root, const struct space *space, const char *id,
                                   int first, int last, struct error *err);

/* The same of all attempts. */
enum err job_files_remove(const char *root, const struct space *space, const char *id,
                          struct error *err);

/* The results and checkpoints of those attempts alone, or the models. */
enum err job_results_remove_attempts(const char *root, const struct space *space, const char *id,
                                     int first, int last, struct error *err);
enum err job_models_remove_attempts(const char *root, const struct space *space, const char *id,
                                    int first, int last, struct error *err);

#endif
