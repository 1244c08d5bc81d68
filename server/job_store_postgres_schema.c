#include "server/job_store_postgres.h"

/* As in SQLite (server/job_store_sqlite_schema.c), but that counts come in stripes, one a session that
 * writes: transactions of several replicas would wait for each other else, for a row that all of
 * them write. Columns that a heartbeat writes are in no index, and pages have room for it. */
/* clang-format off */
static const char version_1[] =
    "CREATE TABLE dgld.jobs ("
    " seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
    " id text COLLATE \"C\" NOT NULL UNIQUE CHECK (length(id) = 36),"
    " kind text COLLATE \"C\" NOT NULL,"
    " space text COLLATE \"C\" NOT NULL,"
    " state text COLLATE \"C\" NOT NULL"
    "  CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),"
    " priority integer NOT NULL,"
    " attempt integer NOT NULL DEFAULT 0 CHECK (attempt >= 0),"
    " n_failures integer NOT NULL DEFAULT 0,"
    " is_cancel_requested boolean NOT NULL DEFAULT false,"
    " submitted_ms bigint NOT NULL,"
    " started_ms bigint NOT NULL DEFAULT 0,"
    " ended_ms bigint NOT NULL DEFAULT 0,"
    " deadline_ms bigint NOT NULL DEFAULT 0,"
    " revision bigint NOT NULL DEFAULT 1,"
    " params text NOT NULL,"
    " progress text,"
    " result text,"
    " error text,"
    " client text COLLATE \"C\" NOT NULL,"
    " key text COLLATE \"C\","
    " digest text,"
    " lease_owner text,"
    " lease_until_ms bigint NOT NULL DEFAULT 0,"
    " not_before_ms bigint NOT NULL DEFAULT 0,"
    " CHECK ((state = 'running') = (lease_owner IS NOT NULL)),"
    " CHECK ((state IN ('queued', 'running')) = (ended_ms = 0))"
    ") WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02,"
    "  autovacuum_analyze_scale_factor = 0.05);"
    "CREATE UNIQUE INDEX jobs_by_key ON dgld.jobs (client, key) WHERE key IS NOT NULL;"
    "CREATE INDEX jobs_to_claim ON dgld.jobs (kind, priority DESC, seq) WHERE state = 'queued';"
    "CREATE INDEX jobs_overdue ON dgld.jobs (deadline_ms)"
    " WHERE state = 'queued' AND deadline_ms > 0;"
    "CREATE INDEX jobs_running ON dgld.jobs (seq) WHERE state = 'running';"
    "CREATE INDEX jobs_ended ON dgld.jobs (ended_ms, seq) WHERE ended_ms > 0;"
    "CREATE INDEX jobs_list_s ON dgld.jobs (state, seq);"
    "CREATE INDEX jobs_list_k ON dgld.jobs (kind, seq);"
    "CREATE INDEX jobs_list_sk ON dgld.jobs (state, kind, seq);"
    "CREATE INDEX jobs_list_p ON dgld.jobs (space, seq);"
    "CREATE INDEX jobs_list_sp ON dgld.jobs (state, space, seq);"
    "CREATE INDEX jobs_list_kp ON dgld.jobs (kind, space, seq);"
    "CREATE INDEX jobs_list_skp ON dgld.jobs (state, kind, space, seq);"
    /* whose files are still to be removed */
    "CREATE TABLE dgld.removed_jobs ("
    " id text COLLATE \"C\" NOT NULL PRIMARY KEY, space text NOT NULL);"
    "CREATE FUNCTION dgld.note_removed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    " INSERT INTO dgld.removed_jobs VALUES (OLD.id, OLD.space) ON CONFLICT DO NOTHING;"
    " RETURN NULL;"
    " END $$;"
    "CREATE TRIGGER jobs_removed AFTER DELETE ON dgld.jobs"
    " FOR EACH ROW EXECUTE FUNCTION dgld.note_removed();"
    /* so that nobody counts a hundred thousand rows for each submission; a stripe alone may be
     * negative, the sum of all is not */
    "CREATE TABLE dgld.job_counts ("
    " stripe integer NOT NULL, state text COLLATE \"C\" NOT NULL, kind text COLLATE \"C\" NOT NULL,"
    " n bigint NOT NULL, PRIMARY KEY (stripe, state, kind)) WITH (fillfactor = 50);"
    "CREATE FUNCTION dgld.add_count(text, text, bigint) RETURNS void"
    " LANGUAGE plpgsql AS $$ BEGIN" /* whose plans are kept, as those of SQL are not */
    " INSERT INTO dgld.job_counts AS c VALUES"
    "  (coalesce(nullif(current_setting('dgld.stripe', true), ''), '-1')::integer, $1, $2, $3)"
    "  ON CONFLICT (stripe, state, kind) DO UPDATE SET n = c.n + excluded.n;"
    " END $$;"
    "CREATE FUNCTION dgld.count_jobs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    " IF TG_OP <> 'INSERT' THEN PERFORM dgld.add_count(OLD.state, OLD.kind, -1); END IF;"
    " IF TG_OP <> 'DELETE' THEN PERFORM dgld.add_count(NEW.state, NEW.kind, 1); END IF;"
    " RETURN NULL;"
    " END $$;"
    "CREATE TRIGGER jobs_count AFTER INSERT OR DELETE ON dgld.jobs"
    " FOR EACH ROW EXECUTE FUNCTION dgld.count_jobs();"
    "CREATE TRIGGER jobs_count_update AFTER UPDATE OF state ON dgld.jobs"
    " FOR EACH ROW WHEN (NEW.state <> OLD.state) EXECUTE FUNCTION dgld.count_jobs();"
    /* one row a session, written to find out whether writing works */
    "CREATE TABLE dgld.probe (stripe integer NOT NULL PRIMARY KEY, n bigint NOT NULL);";
/* clang-format on */

static const char version_2[] = "ALTER TABLE dgld.jobs ADD COLUMN history text";

static const char *const steps[] = {version_1, version_2};

const struct postgres_schema pg_job_schema = {
    .name = "dgld", .steps = steps, .n_steps = sizeof steps / sizeof *steps};
