/* What the job store says to SQLite. */
#include "server/job_store_sqlite.h"

#define JOB JOB_COLUMNS("")

/* ---- writing --------------------------------------------------------------------------------- */

/* A runner's job, where it is still its own. */
#define HELD " WHERE id = ?1 AND state = 'running' AND lease_owner = ?2 AND attempt = ?3"
/* The runner counts on from what was stored when it began; nobody else does meanwhile. */
#define REPORTED                                                            \
    " revision = max(revision + 1, ?4), progress = coalesce(?5, progress)," \
    " history = coalesce(?6, history)"
#define RELEASED " lease_owner = NULL, lease_until_ms = 0"

#define MAY_BEGIN JOB_MAY_BEGIN("?2")

const char *const job_sqlite_write_sql[JOB_SQLITE_N_WRITES] = {
    [JOB_WRITE_CLAIM] =
        "UPDATE jobs SET state = 'running', attempt = attempt + 1,"
        " revision = (attempt + 1) << 32, started_ms = ?2, progress = NULL,"
        " lease_owner = ?3, lease_until_ms = ?4, not_before_ms = 0 WHERE seq ="
        "  (SELECT seq FROM jobs INDEXED BY jobs_to_claim WHERE state = 'queued' AND kind = ?1"
        "    AND " MAY_BEGIN " ORDER BY priority DESC, seq LIMIT 1)"
        " RETURNING " JOB,
    [JOB_WRITE_RENEW] =
        "UPDATE jobs SET revision = max(revision, ?4), progress = coalesce(?5, progress),"
        " history = coalesce(?6, history), lease_until_ms = ?7" HELD
        " RETURNING is_cancel_requested",
    [JOB_WRITE_END] =
        "UPDATE jobs SET" REPORTED "," RELEASED ", state = ?7, result = ?8, error = ?9,"
        " ended_ms = ?10" HELD " RETURNING seq",
    /* whose end was asked for meanwhile waits no longer for whoever sees to it */
    [JOB_WRITE_REQUEUE] =
        "UPDATE jobs SET" REPORTED "," RELEASED ", state = 'queued', started_ms = 0,"
        " not_before_ms = iif(is_cancel_requested, 0, ?7), error = coalesce(?8, error),"
        " n_failures = n_failures + ?9" HELD " RETURNING seq",
    [JOB_WRITE_GET] = "SELECT " JOB " FROM jobs WHERE id = ?",
    /* of one that runs the revision is the runner's to count */
    [JOB_WRITE_CANCEL] =
        "UPDATE jobs SET is_cancel_requested = 1,"
        " state = iif(state = 'queued', 'cancelled', state),"
        " revision = revision + (state = 'queued'), ended_ms = iif(state = 'queued', ?2, 0)"
        " WHERE id = ?1 AND state IN ('queued', 'running') RETURNING " JOB,
    [JOB_WRITE_REMOVE] = "DELETE FROM jobs WHERE id = ? AND ended_ms > 0 RETURNING seq",
    [JOB_WRITE_FORGET] = "DELETE FROM removed_jobs WHERE id = ? RETURNING 1",
    [JOB_WRITE_END_OVERDUE] =
        "UPDATE jobs SET state = 'failed', revision = revision + 1, ended_ms = ?1,"
        " error = " JOB_OVERDUE_ERROR
        " WHERE seq IN (SELECT seq FROM jobs INDEXED BY jobs_overdue WHERE state = 'queued'"
        "  AND deadline_ms > 0 AND deadline_ms <= ?1 ORDER BY deadline_ms LIMIT ?2)"
        " RETURNING id",
    [JOB_WRITE_PROBE] = "UPDATE probe SET n = n + 1",
    [JOB_SQLITE_FIND_KEY] = "SELECT " JOB ", digest FROM jobs INDEXED BY jobs_by_key"
                            " WHERE client = ? AND key = ?",
    [JOB_SQLITE_COUNT_QUEUED] = "SELECT coalesce(sum(n), 0) FROM job_counts WHERE state = 'queued'",
    [JOB_SQLITE_INSERT] =
        "INSERT INTO jobs (id, kind, space, state, priority, submitted_ms, deadline_ms, params,"
        " client, key, digest) VALUES (?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?)"
        " RETURNING " JOB,
    [JOB_SQLITE_LIST_RUNNING] =
        "SELECT seq, lease_owner, lease_until_ms FROM jobs INDEXED BY jobs_running"
        " WHERE state = 'running' ORDER BY seq",
    [JOB_SQLITE_ADOPT] = "UPDATE jobs SET lease_owner = ?2, lease_until_ms = ?3 WHERE seq = ?1"
                         " RETURNING " JOB,
};

/* ---- reading --------------------------------------------------------------------------------- */

#define LIST(index, filter) \
    "SELECT " JOB " FROM jobs " index " WHERE " filter "seq < ? ORDER BY seq DESC LIMIT ?"

const char *const job_sqlite_read_sql[JOB_N_READS] = {
    [JOB_READ_LIST] = LIST("", ""),
    [JOB_READ_LIST + JOB_BY_STATE] = LIST("INDEXED BY jobs_list_s", "state = ? AND "),
    [JOB_READ_LIST + JOB_BY_KIND] = LIST("INDEXED BY jobs_list_k", "kind = ? AND "),
    [JOB_READ_LIST + JOB_BY_STATE + JOB_BY_KIND] =
        LIST("INDEXED BY jobs_list_sk", "state = ? AND kind = ? AND "),
    [JOB_READ_LIST + JOB_BY_SPACE] = LIST("INDEXED BY jobs_list_p", "space = ? AND "),
    [JOB_READ_LIST + JOB_BY_STATE + JOB_BY_SPACE] =
        LIST("INDEXED BY jobs_list_sp", "state = ? AND space = ? AND "),
    [JOB_READ_LIST + JOB_BY_KIND + JOB_BY_SPACE] =
        LIST("INDEXED BY jobs_list_kp", "kind = ? AND space = ? AND "),
    [JOB_READ_LIST + JOB_BY_STATE + JOB_BY_KIND + JOB_BY_SPACE] =
        LIST("INDEXED BY jobs_list_skp", "state = ? AND kind = ? AND space = ? AND "),
    [JOB_READ_GET] = "SELECT " JOB " FROM jobs WHERE id = ?",
    [JOB_READ_HISTORY] = "SELECT history FROM jobs WHERE id = ?",
    /* the oldest of those that ended, as many as are too old or too many, whichever is more */
    [JOB_READ_EXPIRED] = "SELECT " JOB " FROM jobs INDEXED BY jobs_ended WHERE ended_ms > 0"
                         " ORDER BY ended_ms, seq LIMIT min(?1, max("
                         "  (SELECT count(*) FROM (SELECT 1 FROM jobs INDEXED BY jobs_ended"
                         "    WHERE ended_ms > 0 AND ended_ms < ?2 LIMIT ?1)),"
                         "  (SELECT coalesce(sum(n), 0) FROM job_counts"
                         "    WHERE " JOB_HAS_ENDED ") - ?3))",
    [JOB_READ_REMOVED] = "SELECT id, space FROM removed_jobs LIMIT ?",
    [JOB_READ_COUNTS] = "SELECT state, kind, n FROM job_counts",
};
