"""Jobs in PostgreSQL: what clients see of it, of its absence, and of a second daemon that shares it."""

import itertools
import json
import re
import signal
import subprocess
import threading
import time
import urllib.parse

import pytest
import requests
from conftest import run
from job_tools import SPACE, Daemon, add_search_table, follow, mlp, nas, order
from postgres import DATABASE, PASSWORD, ROLE

LONG = 100_000_000  # epochs that no test lives to see
ASKED = {"search_space": SPACE, "hardware": [2, 3, 1, 7.46], "architectures": ["444244"]}
QUICK = nas(export=[])


@pytest.fixture
def make(small, postgres):
    """Makes daemons that share the root and the database; not started yet."""
    add_search_table(small)
    made = []

    def make_one(*arguments, uri=postgres.uri):
        made.append(Daemon(small, "--job-store", uri, "--job-workers", 3, *arguments))
        return made[-1]

    yield make_one
    for daemon in made:
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.process.send_signal(signal.SIGCONT)
            assert daemon.stop() == 0


def ready(daemon):
    reply = daemon.request("GET", "/readyz")
    assert reply.status_code == 200, "it predicts, whatever becomes of jobs"
    return reply.json()


def wait_until(is_so, limit_s=20):
    deadline = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def wait_for_status(daemon, status):
    wait_until(lambda: ready(daemon)["status"] == status)
    return ready(daemon)


def refused(reply):
    assert reply.status_code == 503, reply.text
    assert int(reply.headers["Retry-After"]) >= 1
    return reply.json()["detail"]


# ---- one daemon ----------------------------------------------------------------------------------


def test_jobs_are_submitted_listed_waited_for_cancelled_and_removed(make, postgres):
    daemon = make().start()
    assert ready(daemon) == {"status": "ready"}
    done = daemon.request("POST", "/v1/jobs", json=QUICK, headers={"Prefer": "wait=30", "Idempotency-Key": "k"})
    assert done.status_code == 200 and done.json()["state"] == "succeeded", done.text
    again = daemon.request("POST", "/v1/jobs", json=QUICK, headers={"Idempotency-Key": "k"})
    assert again.json()["id"] == done.json()["id"] and again.headers["Idempotency-Replayed"] == "true"
    assert daemon.request("POST", "/v1/jobs", json=nas(export=[], seed=2), headers={"Idempotency-Key": "k"}).status_code == 422
    running = daemon.submit(mlp(LONG))["id"]
    daemon.wait_for_stage(running, "training")
    waiting = daemon.submit(mlp(LONG, seed=1), **{"Idempotency-Key": "ü-\"'"[1:]})["id"]
    assert [job["id"] for job in daemon.jobs()] == [waiting, running, done.json()["id"]]
    assert [job["id"] for job in daemon.jobs(kind="train", state="running", search_space=SPACE)] == [running]
    metrics = daemon.request("GET", "/metrics").text
    assert re.search(r"^dgld_job_store_up 1$", metrics, re.M)
    assert 'dgld_jobs{kind="train",state="queued"} 1' in metrics and 'dgld_jobs{kind="nas",state="succeeded"} 1' in metrics
    for id in (waiting, running):
        assert daemon.request("POST", f"/v1/jobs/{id}/cancel").status_code in (200, 202)
        assert daemon.wait(id)["state"] == "cancelled"
        assert daemon.request("DELETE", f"/v1/jobs/{id}").status_code == 204
        assert daemon.request("GET", f"/v1/jobs/{id}").status_code == 404
    wait_until(lambda: postgres.sql("SELECT count(*) FROM dgld.removed_jobs") == "0")
    assert daemon.stop() == 0
    second = make().start()  # what was stored is there
    assert second.job(done.json()["id"]) == done.json()


def test_what_runs_at_a_stop_goes_on_at_the_next_start(make):
    daemon = make().start()
    id = daemon.submit(mlp(LONG))["id"]
    daemon.wait_for_stage(id, "training")
    assert daemon.stop() == 0
    daemon.start()
    assert daemon.wait(id, "running")["attempt"] == 2
    daemon.request("POST", f"/v1/jobs/{id}/cancel")
    assert daemon.wait(id)["state"] == "cancelled"


def test_a_password_is_printed_nowhere(make, postgres, tmp_path, monkeypatch):
    secret = urllib.parse.quote(PASSWORD, safe="")
    address = f"127.0.0.1:{postgres.port}/{DATABASE}"
    daemon = make("--log-level", "debug", uri=f"postgresql://{ROLE}:{secret}@{address}").start()
    assert daemon.wait(daemon.submit(QUICK)["id"])["state"] == "succeeded"
    said = [run("config", *arguments, root=daemon.root) for arguments in (daemon.arguments, [*daemon.arguments, "--json"])]
    assert all(done.returncode == 0 and f"port={postgres.port}" in done.stdout for done in said), said
    (daemon.root / "config").mkdir(exist_ok=True)
    (daemon.root / "config" / "dgld.json").write_text(json.dumps({"job_store": f"postgres://u:{secret}@elsewhere/db"}))
    daemon.process.send_signal(signal.SIGHUP)
    postgres.stop()
    texts = [refused(daemon.request("GET", "/v1/jobs")), wait_for_status(daemon, "degraded")["detail"]]
    postgres.start()
    wait_for_status(daemon, "ready")
    (daemon.root / "config" / "dgld.json").unlink()
    assert daemon.stop() == 0
    # wrong passwords, and files of passwords
    wrong = make(uri=f"postgresql://{ROLE}:wr0ng-{secret}@{address}").start()
    assert "password authentication failed" in wait_for_status(wrong, "degraded")["detail"]
    texts.append(ready(wrong)["detail"])
    assert wrong.stop() == 0
    texts += [done.stdout + done.stderr for done in said]
    texts += [path.read_text() for one in (daemon, wrong) for path in one.logs]
    for text in texts:
        assert PASSWORD not in text and secret not in text and "wr0ng" not in text, text
    escaped = PASSWORD.replace(":", "\\:")
    (tmp_path / "passwords").write_text(f"127.0.0.1:{postgres.port}:{DATABASE}:{ROLE}:{escaped}\n")
    (tmp_path / "passwords").chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "passwords"))
    assert ready(make(uri=f"postgresql://{ROLE}@{address}").start()) == {"status": "ready"}
    monkeypatch.delenv("PGPASSFILE")
    (tmp_path / "services").write_text(
        f"[jobs]\nhost=127.0.0.1\nport={postgres.port}\ndbname={DATABASE}\nuser={ROLE}\npassword={PASSWORD}\n"
    )
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    assert ready(make(uri="postgresql:///?service=jobs").start()) == {"status": "ready"}


def test_a_database_is_reached_by_tls_that_is_verified(make, postgres, tmp_path):
    for name in ("server", "other"):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
            + ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", tmp_path / f"{name}.key"]
            + ["-out", tmp_path / f"{name}.crt"],
            check=True,
            capture_output=True,
        )
    postgres.serve_tls(tmp_path / "server.crt", tmp_path / "server.key")
    user = f"{ROLE}:{urllib.parse.quote(PASSWORD, safe='')}"
    uri = f"postgresql://{user}@127.0.0.1:{postgres.port}/{DATABASE}?sslmode=verify-full&sslrootcert={tmp_path}"
    daemon = make(uri=f"{uri}/server.crt").start()
    assert daemon.wait(daemon.submit(QUICK)["id"])["state"] == "succeeded"
    kinds = "SELECT bool_and(ssl), count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'dgld'"
    assert postgres.sql(kinds, user="postgres") == "t|6"
    assert daemon.stop() == 0
    refusing = make(uri=f"{uri}/other.crt").start()
    assert "certificate verify failed" in wait_for_status(refusing, "degraded")["detail"]


@pytest.mark.parametrize(
    "uri, said",
    [
        ("postgress://u:secret@h/db", "postgresql://"),
        ("postgres://u:s%zzecret@h/db", "libpq"),
        # an @ that is not escaped, by which a part of the password is the host's or the database's
        ("postgresql://u:s@ecret@h/db", "%40"),
        ("postgresql://u:s@h2/ecret@h/db", "%40"),
        ("postgresql://u:s@ecret@h1,h2/db", "%40"),
        ("postgresql://u:s@a,ecret@h/db?connect_timeout=2", "%40"),
        # not the name of a file
        ("postgresql:/u:secret@h/db", "postgresql://"),
        ("Postgres:u:secret@h/db", "postgresql://"),
        ("host=h user=u password=secret", "postgresql://"),
    ],
)
def test_an_address_that_is_none_stops_the_start(root, uri, said):
    done = run("serve", "--port", 0, "--job-store", uri, root=root)
    assert done.returncode != 0 and "job-store" in done.stderr and said in done.stderr and "ecret" not in done.stderr


@pytest.mark.parametrize("uri", ["postgresql://u%40realm@h/d%40b", "postgresql://u@/db?host=@abstract,@other", "result/postgres:x"])
def test_an_at_in_its_place_is_none_of_a_password(root, uri):
    done = run("config", "--job-store", uri, root=root)
    assert done.returncode == 0 and uri in done.stdout


def test_a_store_of_a_newer_schema_stops_the_start(make, postgres):
    assert make().start().stop() == 0
    postgres.sql("UPDATE dgld.schema_version SET version = 99")
    done = run("serve", "--port", 0, "--job-store", postgres.uri, root=make().root)
    assert done.returncode == 1 and "schema 99" in done.stderr and "start that version" in done.stderr


def test_a_role_needs_a_schema_or_the_right_to_make_one(make, postgres):
    postgres.sql(f"CREATE DATABASE lent OWNER postgres; ", user="postgres", database="postgres")
    uri = postgres.uri.replace(f"/{DATABASE}?", "/lent?")
    try:
        daemon = make(uri=uri).start()
        assert "make it the owner of the schema" in wait_for_status(daemon, "degraded")["detail"]
        postgres.sql(f"CREATE SCHEMA dgld AUTHORIZATION {ROLE}", user="postgres", database="lent")
        wait_for_status(daemon, "ready")
        assert daemon.wait(daemon.submit(QUICK)["id"])["state"] == "succeeded"
        assert daemon.stop() == 0
    finally:
        postgres.sql("DROP DATABASE lent WITH (FORCE)", user="postgres", database="postgres")


# ---- the database is away ------------------------------------------------------------------------


class Predicting(threading.Thread):
    """Predicts all the time, which has to succeed all the time."""

    def __init__(self, daemon):
        super().__init__(daemon=True)
        self.url, self.is_over, self.n, self.wrong, self.longest_s = daemon.url, threading.Event(), 0, [], 0.0

    def run(self):
        with requests.Session() as session:
            while not self.is_over.is_set():
                begun = time.monotonic()
                reply = session.post(self.url + "/v1/predict", json=ASKED, timeout=30)
                self.longest_s = max(self.longest_s, time.monotonic() - begun)
                self.n += 1
                if reply.status_code != 200:
                    self.wrong.append(reply.text)
                time.sleep(0.005)

    def end(self):
        self.is_over.set()
        self.join(timeout=60)
        assert self.n > 10 and not self.wrong, (self.n, self.wrong[:3])


class Submitting(threading.Thread):
    """Submits jobs that wait for ever, each with a key; sends again what was not acknowledged."""

    def __init__(self, daemon, number):
        super().__init__(daemon=True)
        self.target, self.number, self.is_over = daemon, number, threading.Event()
        self.ids, self.n_refused, self.wrong = {}, 0, []

    def run(self):
        for i in itertools.count():
            key = f"{self.number}-{i}"
            while key not in self.ids:
                if self.is_over.is_set():
                    return
                reply = self.target.request("POST", "/v1/jobs", json=mlp(LONG, seed=i), headers={"Idempotency-Key": key})
                if reply.status_code == 202:
                    self.ids[key] = reply.json()["id"]
                elif reply.status_code == 503 and "Retry-After" in reply.headers:
                    self.n_refused += 1
                    time.sleep(0.02)
                else:
                    self.wrong.append(reply.text)
                    return


def test_a_restart_of_the_database_loses_nothing_that_was_acknowledged(make, postgres):
    daemon = make().start()
    running = daemon.submit(mlp(LONG))["id"]
    daemon.wait_for_stage(running, "training")
    threads = [Submitting(daemon, n) for n in range(3)] + [Predicting(daemon)]
    for thread in threads:
        thread.start()
    *clients, predicting = threads
    for number in (signal.SIGQUIT, signal.SIGINT):
        n_before = sum(len(client.ids) for client in clients)
        wait_until(lambda: sum(len(client.ids) for client in clients) > n_before + 10)
        postgres.stop(number)
        wait_for_status(daemon, "degraded")
        assert re.search(r"^dgld_job_store_up 0$", daemon.request("GET", "/metrics").text, re.M)
        for path in ("/v1/jobs", f"/v1/jobs/{running}", f"/v1/jobs/{running}/events"):
            assert "cannot be used" in refused(daemon.request("GET", path))
        for method, path in (("POST", f"/v1/jobs/{running}/cancel"), ("DELETE", f"/v1/jobs/{running}")):
            assert "cannot be used" in refused(daemon.request(method, path))
        wait_until(lambda: all(client.n_refused > 0 for client in clients))
        postgres.start()
        wait_for_status(daemon, "ready")
        for client in clients:
            client.n_refused = 0
    n_before = sum(len(client.ids) for client in clients)
    wait_until(lambda: sum(len(client.ids) for client in clients) > n_before + 10)
    for client in clients:
        client.is_over.set()
        client.join(timeout=60)
        assert not client.wrong
    predicting.end()
    acknowledged = [id for client in clients for id in client.ids.values()]
    kept = [job["id"] for job in daemon.jobs()]
    assert len(set(acknowledged)) == len(acknowledged) and set(acknowledged) <= set(kept)
    assert int(postgres.sql("SELECT count(*) - count(DISTINCT key) FROM dgld.jobs WHERE key IS NOT NULL")) == 0
    counted = postgres.sql("SELECT state, kind, count(*) FROM dgld.jobs GROUP BY 1, 2 ORDER BY 1, 2")
    assert counted == postgres.sql(
        "SELECT state, kind, sum(n) FROM dgld.job_counts GROUP BY 1, 2 HAVING sum(n) <> 0 ORDER BY 1, 2"
    )
    job = daemon.job(running)  # it ran on meanwhile, and was held
    assert (job["state"], job["attempt"]) == ("running", 1)


def test_a_daemon_starts_before_its_database(make, postgres):
    postgres.stop()
    daemon = make().start()
    told = wait_for_status(daemon, "degraded")
    assert "jobs" in told["detail"] and "cannot be used" in told["detail"]
    assert daemon.request("POST", "/v1/predict", json=ASKED).status_code == 200
    refused(daemon.request("POST", "/v1/jobs", json=QUICK))
    postgres.start()
    wait_for_status(daemon, "ready")
    assert daemon.wait(daemon.submit(QUICK)["id"])["state"] == "succeeded"


def test_a_database_that_is_silent_holds_up_no_prediction(make, postgres):
    daemon = make().start()
    id = daemon.submit(mlp(LONG))["id"]
    daemon.wait_for_stage(id, "training")
    predicting = Predicting(daemon)
    predicting.start()
    postgres.freeze()
    try:
        refused(daemon.request("GET", f"/v1/jobs/{id}"))
        wait_for_status(daemon, "degraded")
        begun = time.monotonic()
        for _ in range(10):
            refused(daemon.request("GET", "/v1/jobs"))
            refused(daemon.request("POST", "/v1/jobs", json=QUICK))
        assert time.monotonic() - begun < 10, "nobody waits for it any more"
    finally:
        postgres.thaw()
    wait_for_status(daemon, "ready")
    predicting.end()
    assert daemon.wait(daemon.submit(QUICK)["id"])["state"] == "succeeded"
    assert (daemon.job(id)["state"], daemon.job(id)["attempt"]) == ("running", 1)


# ---- two daemons ---------------------------------------------------------------------------------


@pytest.fixture
def pair(make, monkeypatch):
    """Two daemons that do not look for themselves: what one does, the other is told of, or never knows. The
    first is busy with a training, so that the next one is the second's."""
    monkeypatch.setenv("DGLD_TEST_JOB_POLL_MS", "3600000")
    first = make("--job-lease-ms", 3600000).start()
    first.busy_with = first.submit(mlp(LONG))["id"]
    first.wait_for_stage(first.busy_with, "training")
    second = make("--job-lease-ms", 3600000).start()
    time.sleep(0.3)  # it has looked once, and listens
    return first, second


def test_a_job_of_one_daemon_runs_on_another_and_is_seen_from_both(pair):
    first, second = pair
    id = first.submit(mlp(LONG, seed=1))["id"]
    assert first.wait(id, "running")["attempt"] == 1
    second.wait_for_stage(id, "training")  # which runs there
    assert {job["id"] for job in second.jobs(state="running")} == {id, first.busy_with}
    # who waits at one hears of what the other does
    waiting = threading.Thread(target=lambda: seen.append(first.request("GET", f"/v1/jobs/{id}?wait=60").json()))
    seen = []
    events = follow(first, id)
    assert next(events)[2]["state"] == "running"
    reply = first.request("POST", f"/v1/jobs/{id}/cancel")
    assert reply.status_code in (200, 202)
    waiting.start()
    assert [data["state"] for kind, _, data in events if kind == "job"][-1] == "cancelled"
    waiting.join(timeout=60)
    assert seen[0]["state"] == "cancelled" and second.job(id)["state"] == "cancelled"
    course = [one.request("GET", f"/v1/jobs/{id}/history").json() for one in pair]  # which the second has left
    assert course[0] == course[1] and course[0]["points"]


def test_a_wait_ends_with_the_job_that_another_runs(pair):
    first, second = pair
    reply = first.request("POST", "/v1/jobs", json=order("train", predictor="cost"), headers={"Prefer": "wait=60"})
    assert reply.status_code == 200 and reply.json()["state"] == "succeeded"
    # and a key is one job's, wherever it is sent
    ids = {one.submit(QUICK, **{"Idempotency-Key": "same"})["id"] for one in (first, second, first)}
    assert len(ids) == 1


def test_a_daemon_that_stalls_loses_its_job_and_changes_nothing_after(make, postgres):
    first = make("--job-lease-ms", 1000).start()
    id = first.submit(mlp(20000))["id"]
    first.wait_for_stage(id, "training")
    first.process.send_signal(signal.SIGSTOP)
    second = make("--job-lease-ms", 1000).start()
    job = second.wait(id, limit_s=90)
    assert (job["state"], job["attempt"]) == ("succeeded", 2)
    row = postgres.sql("SELECT * FROM dgld.jobs")
    first.process.send_signal(signal.SIGCONT)
    wait_until(lambda: any("had lost its lease" in line["message"] for line in first.lines()))
    assert postgres.sql("SELECT * FROM dgld.jobs") == row
    assert first.job(id) == second.job(id)
