/* A copy of what the service keeps below its root, taken while it works.
 *
 * The job store is copied first, as it is at one moment, then the files: so all that a job of the
 * copy names as its result is there, since results are in place before their jobs have ended. Files
 * are replaced whole or not at all (server/result_tree.h), so each is copied whole. What is there at
 * the end has been fsynced; a copy that was not finished is not there. Single-threaded. */
#ifndef DGLD_SERVER_BACKUP_H
#define DGLD_SERVER_BACKUP_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

/* What is copied. Everything is borrowed. */
struct backup_plan {
    const char *root;
    const char *job_store;   /* as the setting has it: below the root, or absolute; "" for none */
    const char *private_key; /* likewise: a file that is left out whatever it holds */
    const char *to;          /* a directory that is made, and must not be there yet */
};

struct backup_report {
    size_t n_files; /* the job store among them */
    size_t n_links; /* symbolic links: what they lead to is not copied */
    size_t n_keys;  /* files that were left out, since a private key (PEM) is in them */
    int64_t n_jobs;
    uint64_t n_bytes;
};

/* Makes the directory, with config/, data/ and result/ of the root, the job store where the setting
 * says, and SHA256SUMS over all files. A store that lies elsewhere than below the root is put to
 * `result/.jobs.sqlite`. ERR_INVALID where `to` is there already, or the store is damaged or not
 * ours; ERR_IO, ERR_LIMIT, ERR_NOMEM. Nothing is left where it fails. */
enum err backup_make(const struct backup_plan *plan, struct backup_report *out, struct error *err);

#endif
