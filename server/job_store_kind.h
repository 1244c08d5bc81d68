/* What a kind of job store provides: server/job_store.h through a table of functions. A store's
 * struct begins with a struct job_store. */
#ifndef DGLD_SERVER_JOB_STORE_KIND_H
#define DGLD_SERVER_JOB_STORE_KIND_H

#include "server/job_store.h"

struct job_store_kind {
    bool is_server;
    int64_t (*now_ms)(struct job_store *store);
    /* NULL: there are no news */
    void (*follow)(struct job_store *store, job_news_fn *tell, void *context);
    void (*close)(struct job_store *store);
    enum err (*begin)(struct job_store *store, struct error *err);
    enum err (*commit)(struct job_store *store, struct error *err);
    void (*rollback)(struct job_store *store);
    enum err (*probe)(struct job_store *store, struct error *err);
    enum err (*submit)(struct job_store *store, const struct job_draft *draft,
                       enum submit_result *result, struct job *out, struct error *err);
    enum err (*claim)(struct job_store *store, const struct job_lease *lease,
                      const enum job_kind *kinds, size_t n_kinds, bool *is_found, struct job *out,
                      struct error *err);
    enum err (*renew)(struct job_store *store, const struct job_report *report,
                      int64_t lease_until_ms, bool *is_held, bool *is_cancel_requested,
                      struct error *err);
    enum err (*end)(struct job_store *store, const struct job_report *report, enum job_state state,
                    const char *result, const char *error, int64_t now_ms, bool *is_held,
                    struct error *err);
    enum err (*requeue)(struct job_store *store, const struct job_report *report,
                        int64_t not_before_ms, const char *error, bool is_failure, bool *is_held,
                        struct error *err);
    enum err (*cancel)(struct job_store *store, const char *id, int64_t now_ms, bool *is_found,
                       struct job *out, struct error *err);
    enum err (*remove)(struct job_store *store, const char *id, bool *is_removed,
                       struct error *err);
    enum err (*forget)(struct job_store *store, const char *id, struct error *err);
    enum err (*end_overdue)(struct job_store *store, int64_t now_ms, size_t limit,
                            char (*ids)[JOB_ID_BYTES], size_t *n, struct error *err);
    enum err (*adopt)(struct job_store *store, const struct job_lease *lease, bool *is_found,
                      struct job *out, struct error *err);
    enum err (*get)(struct job_store *store, const char *id, struct job *out, struct error *err);
    enum err (*history)(struct job_store *store, const char *id, char **out, struct error *err);
    enum err (*list)(struct job_store *store, const struct job_filter *filter, struct job_list *out,
                     struct error *err);
    enum err (*list_expired)(struct job_store *store, int64_t ended_before_ms, size_t keep_max,
                             size_t limit, struct job_list *out, struct error *err);
    enum err (*list_removed)(struct job_store *store, size_t limit, struct job_trace *out,
                             size_t *n, struct error *err);
    enum err (*count)(struct job_store *store, size_t counts[JOB_N_KINDS][JOB_N_STATES],
                      struct error *err);
};

struct job_store {
    const struct job_store_kind *kind;
};

/* As job_store_open(). */
enum err job_store_sqlite_open(const char *path, struct job_store **out, char *owner,
                               struct error *err);
enum err job_store_postgres_open(const char *uri, struct job_store **out, char *owner,
                                 struct error *err);

#endif
