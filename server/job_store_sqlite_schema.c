#include "server/job_store_sqlite.h"

/* "dglj" */
enum { APPLICATION_ID = 0x64676c6a };

/* Each filter of a list, and each of their combinations, has an index that yields its jobs in the
 * order of the list: a page costs what it holds, however many jobs there are. */
/* clang-format off */
static const char version_1[] =
    "CREATE TABLE jobs ("
    " seq INTEGER PRIMARY KEY AUTOINCREMENT," /* not even that of a removed job comes twice */
    " id TEXT NOT NULL UNIQUE CHECK (length(id) = 36),"
    " kind TEXT NOT NULL,"
    " space TEXT NOT NULL,"
    " state TEXT NOT NULL"
    "  CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),"
    " priority INTEGER NOT NULL,"
    " attempt INTEGER NOT NULL DEFAULT 0 CHECK (attempt >= 0),"
    " n_failures INTEGER NOT NULL DEFAULT 0,"
    " is_cancel_requested INTEGER NOT NULL DEFAULT 0,"
    " submitted_ms INTEGER NOT NULL,"
    " started_ms INTEGER NOT NULL DEFAULT 0,"
    " ended_ms INTEGER NOT NULL DEFAULT 0,"
    " deadline_ms INTEGER NOT NULL DEFAULT 0,"
    " revision INTEGER NOT NULL DEFAULT 1,"
    " params TEXT NOT NULL,"
    " progress TEXT,"
    " result TEXT,"
    " error TEXT,"
    " client TEXT NOT NULL,"
    " key TEXT,"
    " digest TEXT,"
    " lease_owner TEXT,"
    " lease_until_ms INTEGER NOT NULL DEFAULT 0,"
    " not_before_ms INTEGER NOT NULL DEFAULT 0,"
    " CHECK ((state = 'running') = (lease_owner IS NOT NULL)),"
    " CHECK ((state IN ('queued', 'running')) = (ended_ms = 0))"
    ") STRICT;"
    "CREATE UNIQUE INDEX jobs_by_key ON jobs (client, key) WHERE key IS NOT NULL;"
    "CREATE INDEX jobs_to_claim ON jobs (kind, priority DESC, seq) WHERE state = 'queued';"
    "CREATE INDEX jobs_overdue ON jobs (deadline_ms) WHERE state = 'queued' AND deadline_ms > 0;"
    "CREATE INDEX jobs_running ON jobs (seq) WHERE state = 'running';"
    "CREATE INDEX jobs_ended ON jobs (ended_ms, seq) WHERE ended_ms > 0;"
    "CREATE INDEX jobs_list_s ON jobs (state, seq);"
    "CREATE INDEX jobs_list_k ON jobs (kind, seq);"
    "CREATE INDEX jobs_list_sk ON jobs (state, kind, seq);"
    "CREATE INDEX jobs_list_p ON jobs (space, seq);"
    "CREATE INDEX jobs_list_sp ON jobs (state, space, seq);"
    "CREATE INDEX jobs_list_kp ON jobs (kind, space, seq);"
    "CREATE INDEX jobs_list_skp ON jobs (state, kind, space, seq);"
    /* whose files are still to be removed */
    "CREATE TABLE removed_jobs (id TEXT NOT NULL PRIMARY KEY, space TEXT NOT NULL)"
    " STRICT, WITHOUT ROWID;"
    "CREATE TRIGGER jobs_removed AFTER DELETE ON jobs BEGIN"
    " INSERT OR IGNORE INTO removed_jobs VALUES (OLD.id, OLD.space);"
    " END;"
    /* so that nobody counts a hundred thousand rows for each page of metrics */
    "CREATE TABLE job_counts ("
    " state TEXT NOT NULL, kind TEXT NOT NULL, n INTEGER NOT NULL CHECK (n >= 0),"
    " PRIMARY KEY (state, kind)) STRICT, WITHOUT ROWID;"
    "CREATE TRIGGER jobs_count_insert AFTER INSERT ON jobs BEGIN"
    " INSERT INTO job_counts VALUES (NEW.state, NEW.kind, 1)"
    "  ON CONFLICT (state, kind) DO UPDATE SET n = n + 1;"
    " END;"
    "CREATE TRIGGER jobs_count_delete AFTER DELETE ON jobs BEGIN"
    " UPDATE job_counts SET n = n - 1 WHERE state = OLD.state AND kind = OLD.kind;"
    " END;"
    "CREATE TRIGGER jobs_count_update AFTER UPDATE OF state ON jobs"
    " WHEN NEW.state <> OLD.state BEGIN"
    " UPDATE job_counts SET n = n - 1 WHERE state = OLD.state AND kind = OLD.kind;"
    " INSERT INTO job_counts VALUES (NEW.state, NEW.kind, 1)"
    "  ON CONFLICT (state, kind) DO UPDATE SET n = n + 1;"
    " END;"
    /* one row, written to find out whether writing works */
    "CREATE TABLE probe (n INTEGER NOT NULL) STRICT;"
    "INSERT INTO probe VALUES (0);";
/* clang-format on */

/* what a job's course was; read for itself */
static const char version_2[] = "ALTER TABLE jobs ADD COLUMN history TEXT;";

static const char *const steps[] = {version_1, version_2};

const struct sqlite_schema job_store_sqlite_schema = {
    .application_id = APPLICATION_ID, .steps = steps, .n_steps = sizeof steps / sizeof *steps};
