/* What the job store says to PostgreSQL. Whatever changes a job notifies of it, too, in the same
 * statement: a transaction is as few round trips as it can be. */
#include "server/job_store_postgres.h"

#define JOB JOB_COLUMNS("::int")

/* What is notified of, on the schema's channel:
 *     q                            a job waits
 *     x <id>                       a running job's end was asked for
 *     c <id> <revision> <0 or 1>   a job has changed, and has ended or not */
#define NOTIFY_QUEUED        "pg_notify('dgld', 'q')"
#define NOTIFY_CANCEL        "pg_notify('dgld', 'x ' || id)"
#define NOTIFY_CHANGED(ends) "pg_notify('dgld', 'c ' || id || ' ' || revision || ' " ends "')"

/* ---- writing --------------------------------------------------------------------------------- */

/* A runner's job, where it is still its own. */
#define HELD " WHERE id = $1 AND state = 'running' AND lease_owner = $2 AND attempt = $3::integer"
/* The runner counts on from what was stored when it began; nobody else does meanwhile. */
#define REPORTED                                               \
    " revision = greatest(revision + 1, $4::bigint), progress" \
    " = coalesce($5::text, progress), history = coalesce($6::text, history)"
#define RELEASED " lease_owner = NULL, lease_until_ms = 0"

#define MAY_BEGIN JOB_MAY_BEGIN("$2::bigint")

#define STRIPE "current_setting('dgld.stripe')::integer"

const char *const pg_job_write_sql[PG_JOB_N_WRITES] = {
    /* One row, whatever becomes of it. Where another replica writes a job of the same key just now
     * it is waited for; then there is none. */
    [PG_JOB_SUBMIT] =
        "WITH known AS (SELECT " JOB ", digest FROM dgld.jobs"
        "  WHERE client = $8 AND key = $9::text),"
        " waiting AS (SELECT coalesce(sum(n), 0)::bigint AS n FROM dgld.job_counts"
        "  WHERE state = 'queued'),"
        " made AS (INSERT INTO dgld.jobs (id, kind, space, state, priority, submitted_ms,"
        "   deadline_ms, params, client, key, digest)"
        "  SELECT $1::text, $2::text, $3::text, 'queued', $4::integer, $5::bigint, $6::bigint,"
        "   $7::text, $8::text, $9::text, $10::text FROM waiting"
        "   WHERE n < $11::bigint AND NOT EXISTS (SELECT FROM known)"
        "  ON CONFLICT (client, key) WHERE key IS NOT NULL DO NOTHING"
        "  RETURNING " JOB ", digest)"
        " SELECT job.*, waiting.n FROM waiting LEFT JOIN"
        "  (SELECT known.*, 0 AS is_new, '' AS told FROM known"
        "   UNION ALL SELECT made.*, 1, " NOTIFY_QUEUED "::text FROM made) AS job ON true",
    [PG_JOB_FIND_KEY] = "SELECT " JOB ", digest FROM dgld.jobs"
                        " WHERE client = $1 AND key = $2",
    [JOB_WRITE_CLAIM] =
        "WITH next AS MATERIALIZED (SELECT seq FROM dgld.jobs WHERE state = 'queued' AND kind = $1"
        "  AND " MAY_BEGIN " ORDER BY priority DESC, seq LIMIT 1 FOR UPDATE SKIP LOCKED),"
        " taken AS (UPDATE dgld.jobs SET state = 'running', attempt = attempt + 1,"
        "  revision = (attempt + 1)::bigint << 32, started_ms = $2::bigint, progress = NULL,"
        "  lease_owner = $3, lease_until_ms = $4::bigint, not_before_ms = 0"
        "  WHERE seq = (SELECT seq FROM next) RETURNING " JOB ")"
        " SELECT *, " NOTIFY_CHANGED("0") " FROM taken",
    [JOB_WRITE_RENEW] =
        "WITH held AS (UPDATE dgld.jobs SET revision = greatest(revision, $4::bigint),"
        "  progress = coalesce($5::text, progress), history = coalesce($6::text, history),"
        "  lease_until_ms = $7::bigint" HELD
        "  RETURNING id, revision, is_cancel_requested::int AS flag)"
        " SELECT flag, " NOTIFY_CHANGED("0") " FROM held",
    [JOB_WRITE_END] =
        "WITH held AS (UPDATE dgld.jobs SET" REPORTED "," RELEASED ", state = $7,"
        "  result = $8, error = $9, ended_ms = $10::bigint" HELD " RETURNING id, revision)"
        " SELECT 1, " NOTIFY_CHANGED("1") " FROM held",
    /* whose end was asked for meanwhile waits no longer for whoever sees to it */
    [JOB_WRITE_REQUEUE] =
        "WITH held AS (UPDATE dgld.jobs SET" REPORTED "," RELEASED ", state = 'queued',"
        "  started_ms = 0, not_before_ms = CASE WHEN is_cancel_requested THEN 0 ELSE $7::bigint "
        "END,"
        "  error = coalesce($8::text, error), n_failures = n_failures + $9::integer" HELD
        "  RETURNING id, revision)"
        " SELECT 1, " NOTIFY_CHANGED("0") ", " NOTIFY_QUEUED " FROM held",
    [JOB_WRITE_GET] = "SELECT " JOB " FROM dgld.jobs WHERE id = $1",
    /* of one that runs the revision is the runner's to count */
    [JOB_WRITE_CANCEL] = "WITH told AS (UPDATE dgld.jobs SET is_cancel_requested = true,"
                         "  state = CASE state WHEN 'queued' THEN 'cancelled' ELSE state END,"
                         "  revision = revision + CASE state WHEN 'queued' THEN 1 ELSE 0 END,"
                         "  ended_ms = CASE state WHEN 'queued' THEN $2::bigint ELSE 0 END"
                         "  WHERE id = $1 AND state IN ('queued', 'running') RETURNING " JOB ")"
                         " SELECT *, CASE state WHEN 'running' THEN " NOTIFY_CANCEL
                         "::text ELSE " NOTIFY_CHANGED("1") "::text END FROM told",
    [JOB_WRITE_REMOVE] = "DELETE FROM dgld.jobs WHERE id = $1 AND ended_ms > 0 RETURNING seq",
    [JOB_WRITE_FORGET] = "DELETE FROM dgld.removed_jobs WHERE id = $1",
    [JOB_WRITE_END_OVERDUE] =
        "WITH late AS MATERIALIZED (SELECT seq FROM dgld.jobs WHERE state = 'queued'"
        "  AND deadline_ms > 0 AND deadline_ms <= $1::bigint ORDER BY deadline_ms LIMIT $2"
        "  FOR UPDATE SKIP LOCKED),"
        " ended AS (UPDATE dgld.jobs SET state = 'failed', revision = revision + 1,"
        "  ended_ms = $1::bigint, error = " JOB_OVERDUE_ERROR
        "  WHERE seq IN (SELECT seq FROM late) RETURNING id, revision, deadline_ms)"
        " SELECT id, " NOTIFY_CHANGED("1") " FROM ended ORDER BY deadline_ms",
    [PG_JOB_ADOPT] =
        "WITH orphan AS MATERIALIZED (SELECT seq FROM dgld.jobs WHERE state = 'running'"
        "  AND lease_until_ms <= $1::bigint ORDER BY seq LIMIT 1 FOR UPDATE SKIP LOCKED)"
        " UPDATE dgld.jobs SET lease_owner = $2, lease_until_ms = $3::bigint"
        " WHERE seq = (SELECT seq FROM orphan) RETURNING " JOB,
    [JOB_WRITE_PROBE] = "INSERT INTO dgld.probe AS p VALUES (" STRIPE ", 1)"
                        " ON CONFLICT (stripe) DO UPDATE SET n = p.n + 1",
};

/* ---- reading --------------------------------------------------------------------------------- */

#define LIST(filter) "SELECT " JOB " FROM dgld.jobs WHERE " filter " ORDER BY seq DESC LIMIT "

const char *const pg_job_read_sql[JOB_N_READS] = {
    [JOB_READ_LIST] = LIST("seq < $1") "$2",
    [JOB_READ_LIST + JOB_BY_STATE] = LIST("state = $1 AND seq < $2") "$3",
    [JOB_READ_LIST + JOB_BY_KIND] = LIST("kind = $1 AND seq < $2") "$3",
    [JOB_READ_LIST + JOB_BY_STATE + JOB_BY_KIND] =
        LIST("state = $1 AND kind = $2 AND seq < $3") "$4",
    [JOB_READ_LIST + JOB_BY_SPACE] = LIST("space = $1 AND seq < $2") "$3",
    [JOB_READ_LIST + JOB_BY_STATE + JOB_BY_SPACE] =
        LIST("state = $1 AND space = $2 AND seq < $3") "$4",
    [JOB_READ_LIST + JOB_BY_KIND + JOB_BY_SPACE] =
        LIST("kind = $1 AND space = $2 AND seq < $3") "$4",
    [JOB_READ_LIST + JOB_BY_STATE + JOB_BY_KIND + JOB_BY_SPACE] =
        LIST("state = $1 AND kind = $2 AND space = $3 AND seq < $4") "$5",
    [JOB_READ_GET] = "SELECT " JOB " FROM dgld.jobs WHERE id = $1",
    [JOB_READ_HISTORY] = "SELECT history FROM dgld.jobs WHERE id = $1",
    /* the oldest of those that ended, as many as are too old or too many, whichever is more */
    [JOB_READ_EXPIRED] = "SELECT " JOB " FROM dgld.jobs WHERE ended_ms > 0"
                         " ORDER BY ended_ms, seq LIMIT least($1::bigint, greatest("
                         "  (SELECT count(*) FROM (SELECT 1 FROM dgld.jobs"
                         "    WHERE ended_ms > 0 AND ended_ms < $2 LIMIT $1::bigint) AS old),"
                         "  (SELECT coalesce(sum(n), 0)::bigint FROM dgld.job_counts"
                         "    WHERE " JOB_HAS_ENDED ") - $3::bigint))",
    [JOB_READ_REMOVED] = "SELECT id, space FROM dgld.removed_jobs LIMIT $1",
    [JOB_READ_COUNTS] = "SELECT state, kind, sum(n) FROM dgld.job_counts GROUP BY state, kind",
};
