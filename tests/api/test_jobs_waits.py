"""Jobs over HTTP where requests meet: keys in flight, waits that others end, a full pool, a client that does
not read, a stop."""

import contextlib
import json
import re
import socket
import sqlite3
import subprocess
import threading
import time

import pytest
from conftest import ROOT, wait_until
from job_tools import ENDED, SPACE, Daemon, add_search_table, follow, mlp, nas, order

LONG = 100_000_000  # epochs that no test lives to see
COST = order("train", predictor="cost")
ASKED = {"search_space": SPACE, "hardware": [2, 3, 1, 7.46], "architectures": ["444244"]}
NOBODY = "019ab2c4-7d1e-7c3a-9b7e-2f3a5d6c8e90"


@pytest.fixture
def idle(small):
    """Not started yet, so that a test may say with which settings."""
    add_search_table(small)
    made = Daemon(small)
    yield made
    if made.process is not None and made.process.poll() is None:
        assert made.stop() == 0


@pytest.fixture
def daemon(idle):
    return idle.start()


def configured(idle, **settings):
    (idle.root / "own.json").write_text(json.dumps(settings))
    idle.arguments += ["--config", str(idle.root / "own.json")]
    return idle.start()


@pytest.fixture
def busy(idle):
    """A daemon in which one training runs, and the next one waits."""
    configured(idle, job_workers=3)
    idle.running = idle.submit(mlp(LONG))["id"]
    idle.wait(idle.running, "running")
    idle.waiting = idle.submit(mlp(LONG, seed=1))["id"]
    assert idle.job(idle.waiting)["state"] == "queued"
    return idle


def post(daemon, body=COST, **headers):
    return daemon.request("POST", "/v1/jobs", json=body, headers=headers)


def get(daemon, path, **keywords):
    return daemon.request("GET", "/v1/jobs" + path, **keywords)


def cancel(daemon, id, **keywords):
    return daemon.request("POST", f"/v1/jobs/{id}/cancel", **keywords)


def refused(reply, status, *phrases):
    """The reply is a problem of that status that says all of this."""
    assert reply.status_code == status, reply.text
    assert reply.headers["Content-Type"] == "application/problem+json"
    for phrase in phrases:
        assert phrase in reply.text
    return reply.json()


def metric(daemon, name):
    text = daemon.request("GET", "/metrics").text
    return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.M)[1])


class Asking(threading.Thread):
    """A request in a thread of its own; `reply` and `seconds` once it is answered."""

    def __init__(self, daemon, method, path, **keywords):
        super().__init__()
        self.reply, self.seconds = None, None
        self.call = lambda: daemon.request(method, path, **({"timeout": 60} | keywords))
        self.start()

    def run(self):
        begun = time.monotonic()
        self.reply = self.call()
        self.seconds = time.monotonic() - begun

    def answer(self):
        self.join(60)
        assert self.reply is not None, "it was not answered"
        return self.reply


# ---- idempotency -------------------------------------------------------------------------------------


@pytest.mark.parametrize("other", [order("train", predictor="cost", seed=1), COST | {"priority": 1}, COST | {"deadline_s": 9}, nas()])
def test_a_key_stands_for_one_job(other, daemon):
    first = post(daemon, COST, **{"Idempotency-Key": "k"}).json()
    refused(post(daemon, other, **{"Idempotency-Key": "k"}), 422, "Idempotency-Key")
    assert [job["id"] for job in daemon.jobs()] == [first["id"]]


def test_what_was_refused_has_not_used_its_key(daemon):
    refused(post(daemon, order("train", epochs=1), **{"Idempotency-Key": "k"}), 422)
    assert post(daemon, COST, **{"Idempotency-Key": "k"}).status_code == 202


def test_a_key_whose_job_is_being_stored_is_409(daemon):
    store = sqlite3.connect(daemon.root / "result" / ".jobs.sqlite", isolation_level=None)
    store.execute("BEGIN IMMEDIATE")  # the service's own writer waits for this one
    first = Asking(daemon, "POST", "/v1/jobs", json=COST, headers={"Idempotency-Key": "k"})
    try:
        wait_until(lambda: metric(daemon, "dgld_http_requests_in_flight") == 2 and metric(daemon, "dgld_pool_busy_threads") == 0)
        refused(post(daemon, COST, **{"Idempotency-Key": "k"}), 409, "Idempotency-Key")
        refused(post(daemon, nas(), **{"Idempotency-Key": "k"}), 409, "Idempotency-Key")
    finally:
        store.execute("ROLLBACK")
        store.close()
    assert first.answer().status_code == 202
    again = post(daemon, COST, **{"Idempotency-Key": "k"})
    assert again.json()["id"] == first.answer().json()["id"] and len(daemon.jobs()) == 1


def test_keys_are_each_tokens_own(idle):
    tokens = []
    for name in ("ada", "bob"):
        command = [ROOT / "build" / "dgld", "token", "--root", idle.root, "--name", name, "--role", "operator", "--file", "tokens.json"]
        tokens.append(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])
    daemon = configured(idle, tokens_file="tokens.json")
    ids = [
        post(daemon, COST, **{"Idempotency-Key": "k", "Authorization": f"Bearer {token}"}).json()["id"] for token in tokens + tokens
    ]
    assert ids[0] != ids[1] and ids[2:] == ids[:2]


# ---- Prefer ------------------------------------------------------------------------------------------


def test_a_submission_may_wait_for_the_end(daemon):
    reply = post(daemon, COST, Prefer="wait=30")
    assert (reply.status_code, reply.headers["Preference-Applied"]) == (200, "wait=30")
    assert reply.json()["state"] == "succeeded" and reply.json()["result"]["version"].startswith("cost-")
    assert reply.headers["Location"] == f"/v1/jobs/{reply.json()['id']}" and "Retry-After" not in reply.headers
    again = post(daemon, COST, Prefer="respond-async, wait=600", **{"Idempotency-Key": "k"})
    assert (again.status_code, again.headers["Preference-Applied"]) == (200, "wait=60")


def test_what_does_not_end_in_time_is_202(daemon):
    begun = time.monotonic()
    reply = post(daemon, mlp(LONG), Prefer='foo="a, wait=9"; bar, respond-async, wait="1"')
    assert time.monotonic() - begun >= 1
    assert (reply.status_code, reply.headers["Preference-Applied"]) == (202, "wait=1, respond-async")
    assert reply.json()["state"] == "running" and reply.json()["progress"]["percent"] >= 0


def test_a_repeated_submission_waits_as_well(daemon):
    id = post(daemon, mlp(LONG), **{"Idempotency-Key": "k"}).json()["id"]
    again = Asking(daemon, "POST", "/v1/jobs", json=mlp(LONG), headers={"Idempotency-Key": "k", "Prefer": "wait=50"})
    wait_until(lambda: metric(daemon, "dgld_http_requests_in_flight") == 2)
    assert cancel(daemon, id).status_code == 200
    reply = again.answer()
    assert (reply.status_code, reply.json()["id"], reply.json()["state"]) == (200, id, "cancelled")
    assert reply.headers["Idempotency-Replayed"] == "true"


# ---- one job -----------------------------------------------------------------------------------------


def test_a_job_has_a_tag(daemon):
    id = post(daemon, COST, Prefer="wait=30").json()["id"]
    reply = get(daemon, f"/{id}")
    tag = reply.headers["ETag"]
    assert reply.status_code == 200 and "Retry-After" not in reply.headers
    same = get(daemon, f"/{id}", headers={"If-None-Match": tag})
    assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", tag)
    assert get(daemon, f"/{id}", headers={"If-None-Match": '"x"'}).json() == reply.json()
    refused(get(daemon, f"/{id}", headers={"If-Match": '"x"'}), 412)
    head = daemon.request("HEAD", f"/v1/jobs/{id}")
    assert (head.status_code, head.content, head.headers["ETag"]) == (200, b"", tag)


# ---- long poll ---------------------------------------------------------------------------------------


def test_a_poll_is_answered_when_the_job_changes(busy):
    first = get(busy, f"/{busy.waiting}")
    assert int(first.headers["Retry-After"]) >= 1
    polls = [
        Asking(busy, "GET", f"/v1/jobs/{busy.waiting}?wait=50"),
        Asking(busy, "GET", f"/v1/jobs/{busy.waiting}?wait=50", headers={"If-None-Match": first.headers["ETag"]}),
    ]
    wait_until(lambda: metric(busy, "dgld_http_requests_in_flight") == 3)
    assert cancel(busy, busy.waiting).status_code == 200
    for poll in polls:
        reply = poll.answer()
        assert (reply.status_code, reply.json()["state"]) == (200, "cancelled")
        assert reply.headers["ETag"] != first.headers["ETag"] and poll.seconds < 40


def test_a_poll_does_not_wait_for_what_is_known_already(busy):
    ended = post(busy, nas(), Prefer="wait=30").json()["id"]
    assert get(busy, f"/{ended}?wait=60", timeout=20).json()["state"] == "succeeded"
    tag = get(busy, f"/{ended}").headers["ETag"]
    assert get(busy, f"/{ended}?wait=60", timeout=20, headers={"If-None-Match": tag}).status_code == 304
    assert get(busy, f"/{busy.waiting}?wait=60", timeout=20, headers={"If-None-Match": '"an-older-one"'}).status_code == 200
    assert get(busy, f"/{busy.waiting}?wait=0", timeout=20).status_code == 200


def test_a_poll_is_answered_when_its_job_goes_away(busy):
    poll = Asking(busy, "GET", f"/v1/jobs/{busy.waiting}?wait=50")
    wait_until(lambda: metric(busy, "dgld_http_requests_in_flight") == 2)
    assert cancel(busy, busy.waiting).status_code == 200
    assert busy.request("DELETE", f"/v1/jobs/{busy.waiting}").status_code == 204
    assert poll.answer().status_code in (200, 404) and poll.seconds < 40


# ---- cancel and delete -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [{}, {"data": b""}, {"data": b"", "headers": {"Content-Type": "application/x-www-form-urlencoded"}}, {"json": {}}, {"data": b" {} "}],
)
def test_a_cancellation_needs_no_body(body, busy):
    for id in (busy.waiting, busy.running, busy.running):
        reply = cancel(busy, id, **body)
        assert (reply.status_code, reply.json()["state"]) == (200, "cancelled")


@pytest.mark.parametrize("data, status", [(b"{", 400), (b"x", 400), (b"[]", 422), (b'{"x": 1}', 422), (b"null", 422)])
def test_a_body_that_says_something_else_cancels_nothing(data, status, busy):
    refused(cancel(busy, busy.waiting, data=data), status)
    assert busy.job(busy.waiting)["state"] == "queued"


def test_what_has_ended_otherwise_is_409(daemon):
    succeeded = post(daemon, COST, Prefer="wait=30").json()
    refused(cancel(daemon, succeeded["id"]), 409, "the job has succeeded")
    failed = daemon.wait(daemon.submit(mlp(LONG, deadline_s=1))["id"])
    refused(cancel(daemon, failed["id"]), 409, "the job has failed")
    assert daemon.job(succeeded["id"]) == succeeded and daemon.job(failed["id"]) == failed


# ---- events ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("last", ["", "x", "-1", "1.5", "9223372036854775807", "99999999999999999999999"])
def test_a_last_event_that_was_none_is_passed_over(last, busy):
    kind, _, job = next(follow(busy, busy.waiting, headers={"Last-Event-ID": last}))
    assert (kind, job["id"], job["state"]) == ("job", busy.waiting, "queued")


def test_a_waiting_job_is_followed_through_all_its_states(busy):
    events = follow(busy, busy.waiting)
    assert next(events)[2]["state"] == "queued"
    assert cancel(busy, busy.running).status_code == 200
    assert next(events)[2]["state"] == "running"
    assert cancel(busy, busy.waiting).status_code == 200
    *_, (kind, _, job) = events
    assert (kind, job["state"]) == ("job", "cancelled")


def test_who_does_not_read_is_dropped_and_others_go_on(idle, monkeypatch):
    monkeypatch.setenv("DGLD_TEST_EVENT_PING_MS", "1")
    daemon = idle.start()
    id = daemon.submit(mlp(LONG))["id"]
    daemon.wait(id, "running")
    others = (event for event in follow(daemon, id) if event[0] != "comment")
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        slow.settimeout(60)
        slow.connect(("127.0.0.1", int(daemon.url.rsplit(":", 1)[1])))
        slow.sendall(f"GET /v1/jobs/{id}/events HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        wait_until(lambda: metric(daemon, "dgld_event_streams") == 2)
        deadline = time.monotonic() + 60
        while metric(daemon, "dgld_event_streams") == 2:
            assert next(others)[1] > 0 and time.monotonic() < deadline, "it is not dropped"
        received = 0
        with contextlib.suppress(ConnectionResetError):
            while piece := slow.recv(65536):
                received += len(piece)
        assert 0 < received < 1 << 20, "no more than the sockets hold"
    assert next(others)[1] > 0 and metric(daemon, "dgld_event_streams") == 1


def test_nothing_is_lost_where_the_pool_is_full(idle):
    daemon = configured(idle, pool_threads=1, pool_queue_max=1, body_max_bytes=1 << 26)
    id = daemon.submit(mlp(LONG))["id"]
    daemon.wait_for_stage(id, "training")
    large = json.dumps(ASKED | {"architectures": ["444244"] * 60_000})
    is_over = threading.Event()
    statuses = []

    def load():
        while not is_over.is_set():
            headers = {"Content-Type": "application/json"}
            statuses.append(daemon.request("POST", "/v1/predict", data=large, headers=headers).status_code)

    events = follow(daemon, id)
    threads = [threading.Thread(target=load) for _ in range(6)]
    for thread in threads:
        thread.start()
    seen = [next(events) for _ in range(12)]
    is_over.set()
    for thread in threads:
        thread.join()
    seen += [next(events) for _ in range(5)]
    assert 503 in statuses and 200 in statuses, "the pool was full now and then"
    ids = [event[1] for event in seen]
    assert ids == list(range(ids[0], ids[0] + len(ids)))


# ---- the stop ----------------------------------------------------------------------------------------


def test_a_stop_ends_all_that_waits_at_once(busy):
    polls = [
        Asking(busy, "GET", f"/v1/jobs/{busy.waiting}?wait=60"),
        Asking(busy, "POST", "/v1/jobs", json=mlp(LONG, seed=2), headers={"Prefer": "wait=60"}),
    ]
    streams = [follow(busy, id) for id in (busy.running, busy.waiting)]
    assert {next(stream)[0] for stream in streams} == {"job"}
    wait_until(lambda: metric(busy, "dgld_http_requests_in_flight") == 5)
    assert busy.stop() == 0
    assert {event[0] for event in [*streams[0], *streams[1]]} <= {"job", "progress"}, "they have ended"
    assert [poll.answer().status_code for poll in polls] == [200, 202]
    assert polls[1].answer().json()["state"] == "queued"
    assert not [line for line in busy.lines() if "in flight after drain_timeout_ms" in line["message"]]
    assert polls[1].answer().json()["id"] in [job["id"] for job in busy.start().jobs()], "what was promised is kept"


def test_while_it_stops_it_takes_jobs_for_who_comes_next(idle):
    """To refuse them would fail requests of clients that cannot know of the stop yet."""
    daemon = configured(idle, drain_delay_ms=600_000)
    id = daemon.submit(mlp(LONG))["id"]
    daemon.process.terminate()
    wait_until(lambda: daemon.request("GET", "/readyz").status_code == 503)
    taken = post(daemon)
    assert taken.status_code == 202
    assert daemon.job(id)["state"] in ("queued", "running")
    daemon.process.terminate()  # the second signal: at once
    assert daemon.process.wait(timeout=30) == 0
    daemon.start()
    assert daemon.wait(taken.json()["id"])["state"] == "succeeded"
    daemon.kill()  # its delay would begin anew


# ---- no jobs, metrics, readiness -----------------------------------------------------------------------


ROUTES = [("GET", ""), ("POST", ""), ("GET", f"/{NOBODY}"), ("DELETE", f"/{NOBODY}"), ("GET", f"/{NOBODY}/events"), ("POST", f"/{NOBODY}/cancel")]


def test_a_store_that_cannot_be_used_is_told_and_predictions_are_made(idle):
    daemon = configured(idle, job_store="nowhere/jobs.sqlite")
    for method, path in ROUTES:
        reply = daemon.request(method, "/v1/jobs" + path, **({"json": COST} if method == "POST" else {}))
        refused(reply, 503, "job_store", "nowhere/jobs.sqlite")
        assert str(daemon.root) not in reply.text
    ready = daemon.request("GET", "/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
    assert ready.json()["detail"].startswith("jobs: ") and str(daemon.root) not in ready.text
    assert daemon.request("POST", "/v1/predict", json=ASKED).status_code == 200
    assert metric(daemon, "dgld_job_store_up") == 0


def test_ends_of_runs_are_counted_by_kind_and_outcome(busy):
    def runs(kind, outcome):
        return metric(busy, f'dgld_job_runs_total{{kind="{kind}",outcome="{outcome}"}}')

    assert metric(busy, "dgld_job_store_up") == 1
    assert busy.wait(busy.submit(nas(export=[]))["id"])["state"] == "succeeded"
    wait_until(lambda: runs("nas", "succeeded") == 1)
    cancel(busy, busy.running)
    wait_until(lambda: runs("train", "cancelled") == 1)
    busy.wait(busy.waiting, "running")
    with contextlib.closing(sqlite3.connect(busy.root / "result" / ".jobs.sqlite", isolation_level=None)) as store:
        # as another process takes it: by an attempt of its own
        store.execute("UPDATE jobs SET lease_owner = 'another', attempt = attempt + 1 WHERE state = 'running'")
    wait_until(lambda: runs("train", "lost") == 1)
    assert sum(runs(kind, how) for kind in ("train", "nas") for how in ("succeeded", "failed", "cancelled", "put_back", "lost")) == 3


def test_every_reply_of_a_run_is_of_one_piece(daemon):
    """State, times and results of a job agree in whatever is answered."""
    id = daemon.submit(mlp(30_000))["id"]
    states = []
    while not states or states[-1] not in ENDED:
        job = get(daemon, f"/{id}?wait=1").json()
        states.append(job["state"])
        assert (job["started_at"] is None) == (job["state"] == "queued")
        assert (job["ended_at"] is None) == (job["state"] not in ENDED)
        assert (job["result"] is None) == (job["state"] != "succeeded") and job["error"] is None
        assert (job["attempt"] == 0) == (job["state"] == "queued")
    assert states == sorted(states, key=["queued", "running", "succeeded"].index)
