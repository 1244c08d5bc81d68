"""Jobs over HTTP: what is answered, what waits and for how long, and what a follower sees."""

import contextlib
import json
import re
import socket
import sqlite3
import subprocess
import threading
import time

import pytest
import requests
from conftest import ROOT
from job_tools import ENDED, SPACE, Daemon, add_search_table, mlp, nas, order

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


def wait_until(condition, limit_s=30):
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.005)


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


# ---- submitting --------------------------------------------------------------------------------------


def test_a_submission_is_answered_with_its_job_and_where_it_is(daemon):
    reply = post(daemon, mlp(LONG, priority=7, deadline_s=1000))
    job = reply.json()
    assert reply.status_code == 202 and int(reply.headers["Retry-After"]) >= 1
    assert reply.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert "Preference-Applied" not in reply.headers and "Idempotency-Replayed" not in reply.headers
    assert (job["kind"], job["search_space"], job["priority"]) == ("train", SPACE, 7)
    assert job["params"]["epoch"] == LONG and job["deadline_at"] > job["submitted_at"]
    there = requests.get(daemon.url + reply.headers["Location"]).json()
    assert {key: there[key] for key in ("id", "params", "submitted_at")} == {key: job[key] for key in ("id", "params", "submitted_at")}


@pytest.mark.parametrize(
    "body, status, pointer",
    [
        (b"", 400, None),
        (b"{", 400, None),
        (b"[]", 422, ""),
        (b"{}", 422, "/kind"),
        (order("train", epochs=1), 422, "/params/epochs"),
        (order("train", train_devices=["Galaxy A9", "Nokia 3310"]), 422, "/params/train_devices/1"),
        (order("bake"), 422, "/kind"),
        (order("train", priority=101), 422, "/priority"),
        (order("train", deadline_s=-1), 422, "/deadline_s"),
        (order("nas", device="Nokia 3310", latency_constraint_ms=1), 422, "/params/device"),
    ],
)
def test_what_cannot_be_carried_out_is_refused_by_pointer_and_not_stored(body, status, pointer, daemon):
    data = body if isinstance(body, bytes) else json.dumps(body)
    problem = refused(daemon.request("POST", "/v1/jobs", data=data, headers={"Content-Type": "application/json"}), status)
    if pointer is not None:
        assert pointer in [error["pointer"] for error in problem["errors"]]
    assert daemon.jobs() == []


def test_a_body_of_another_type_is_415(daemon):
    refused(daemon.request("POST", "/v1/jobs", data="kind=train", headers={"Content-Type": "text/plain"}), 415)


# ---- idempotency -------------------------------------------------------------------------------------


def test_the_same_key_and_job_give_the_same_job(daemon):
    first = post(daemon, COST, **{"Idempotency-Key": "a-key"})
    assert first.status_code == 202 and "Idempotency-Replayed" not in first.headers
    ended = daemon.wait(first.json()["id"])
    written_otherwise = {"params": {"force": False, "predictor": "cost", "seed": 0.0}, "search_space": SPACE, "kind": "train"}
    for body, key in ((COST, "a-key"), (COST, '"a-key"'), (written_otherwise, "a-key")):
        again = post(daemon, body, **{"Idempotency-Key": key})
        assert (again.status_code, again.headers["Idempotency-Replayed"]) == (200, "true")
        assert again.json() == ended and again.headers["Location"] == first.headers["Location"]
    assert len(daemon.jobs()) == 1


def test_a_repeated_submission_of_what_has_not_ended_is_202(daemon):
    first = post(daemon, mlp(LONG), **{"Idempotency-Key": "k"})
    again = post(daemon, mlp(LONG), **{"Idempotency-Key": "k"})
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json()["id"] == first.json()["id"] and again.headers["Idempotency-Replayed"] == "true"


@pytest.mark.parametrize("other", [order("train", predictor="cost", seed=1), COST | {"priority": 1}, COST | {"deadline_s": 9}, nas()])
def test_a_key_stands_for_one_job(other, daemon):
    first = post(daemon, COST, **{"Idempotency-Key": "k"}).json()
    refused(post(daemon, other, **{"Idempotency-Key": "k"}), 422, "Idempotency-Key")
    assert [job["id"] for job in daemon.jobs()] == [first["id"]]


@pytest.mark.parametrize("key", ["", '""', "a b", "x" * 256, "\x7f", "\xe4"])
def test_a_key_that_is_none_is_refused_by_name(key, daemon):
    refused(post(daemon, COST, **{"Idempotency-Key": key.encode("latin-1")}), 422, "Idempotency-Key")
    assert daemon.jobs() == []


def test_what_was_refused_has_not_used_its_key(daemon):
    refused(post(daemon, order("train", epochs=1), **{"Idempotency-Key": "k"}), 422)
    assert post(daemon, COST, **{"Idempotency-Key": "k"}).status_code == 202


def test_of_many_with_the_same_key_at_once_one_makes_the_job(daemon):
    for turn in range(10):
        key = {"Idempotency-Key": f"turn {turn}".replace(" ", "-")}
        barrier, replies = threading.Barrier(8), []

        def submit(key=key, barrier=barrier, replies=replies):
            barrier.wait()
            replies.append(post(daemon, mlp(LONG), **key))

        threads = [threading.Thread(target=submit) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(replies) == 8 and {reply.status_code for reply in replies} <= {202, 409}
        taken = [reply for reply in replies if reply.status_code == 202]
        assert len({reply.json()["id"] for reply in taken}) == 1
        assert len([reply for reply in taken if "Idempotency-Replayed" not in reply.headers]) == 1
    assert len(daemon.jobs()) == 10


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


@pytest.mark.parametrize(
    "prefer, applied",
    [("wait=0", "wait=0"), ("respond-async", "respond-async"), ("wait", None), ("wait=-1", None), ("wait=1.5", None), ("return=minimal", None)],
)
def test_other_preferences_answer_at_once(prefer, applied, daemon):
    reply = post(daemon, mlp(LONG), Prefer=prefer)
    assert (reply.status_code, reply.headers.get("Preference-Applied")) == (202, applied)


# ---- one job -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("id", [NOBODY, NOBODY.upper(), "1", "x" * 500, NOBODY + "%00", "%C3%A4", "..", NOBODY[:-1]])
def test_what_is_no_job_is_404(id, daemon):
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/events"), ("POST", "/cancel")):
        if id == "..":
            continue  # requests itself takes such a path for another
        refused(daemon.request(method, f"/v1/jobs/{id}{path}"), 404)


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


def test_polls_with_the_last_tag_see_a_run_go_on(daemon):
    id = daemon.submit(mlp(LONG))["id"]
    daemon.wait_for_stage(id, "training")
    seen, tag = [], None
    for _ in range(5):
        reply = get(daemon, f"/{id}?wait=30", headers={"If-None-Match": tag} if tag else {})
        assert reply.status_code == 200 and reply.headers["ETag"] != tag
        tag = reply.headers["ETag"]
        seen.append(reply.json()["progress"])
    assert len({json.dumps(progress) for progress in seen}) == 5
    assert [p["percent"] for p in seen] == sorted(p["percent"] for p in seen)
    assert {"percent", "stage", "epoch", "n_epochs", "loss", "seconds_left"} <= set(seen[-1])


def test_a_poll_of_what_does_not_change_ends_in_time(busy):
    tag = get(busy, f"/{busy.waiting}").headers["ETag"]
    begun = time.monotonic()
    reply = get(busy, f"/{busy.waiting}?wait=1", headers={"If-None-Match": tag})
    assert (reply.status_code, reply.headers["ETag"]) == (304, tag) and time.monotonic() - begun >= 1
    begun = time.monotonic()
    reply = get(busy, f"/{busy.waiting}?wait=1")
    assert (reply.status_code, reply.json()["state"]) == (200, "queued") and time.monotonic() - begun >= 1


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


@pytest.mark.parametrize("wait", ["61", "-1", "x", "1.5", "", " 1", "1e1", "99999999999999999999"])
def test_a_wait_that_is_none_is_422(wait, daemon):
    refused(get(daemon, f"/{NOBODY}", params={"wait": wait}), 422, "wait must be", "60")


def test_a_hundred_polls_hold_up_nobody(busy):
    request = f"GET /v1/jobs/{busy.waiting}?wait=60 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    port = int(busy.url.rsplit(":", 1)[1])
    polls = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(100)]
    for poll in polls:
        poll.sendall(request)
    wait_until(lambda: metric(busy, "dgld_http_requests_in_flight") == 101)
    for _ in range(50):
        assert busy.request("POST", "/v1/predict", json=ASKED).status_code == 200
        assert busy.job(busy.waiting)["state"] == "queued"
    assert metric(busy, "dgld_http_requests_in_flight") == 101, "none was answered meanwhile"
    assert cancel(busy, busy.waiting).status_code == 200
    for poll in polls:
        received = b""
        while piece := poll.recv(65536):
            received += piece
        assert received.startswith(b"HTTP/1.1 200") and b'"state":"cancelled"' in received
        poll.close()
    wait_until(lambda: metric(busy, "dgld_http_requests_in_flight") == 1)


def test_clients_that_leave_while_they_wait_take_nothing_along(busy):
    port = int(busy.url.rsplit(":", 1)[1])
    paths = [f"/v1/jobs/{busy.waiting}?wait=2", f"/v1/jobs/{busy.waiting}/events"]
    for path in paths * 10:
        with socket.create_connection(("127.0.0.1", port), timeout=60) as leaving:
            leaving.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            time.sleep(0.01)
    assert cancel(busy, busy.waiting).status_code == 200
    wait_until(lambda: metric(busy, "dgld_http_requests_in_flight") == 1 and metric(busy, "dgld_event_streams") == 0)
    assert busy.stop() == 0


# ---- list --------------------------------------------------------------------------------------------


def test_a_list_comes_in_parts_the_newest_first(daemon):
    ids = [daemon.submit(nas(seed=i))["id"] for i in range(7)]
    seen, cursor = [], None
    while True:
        part = get(daemon, "", params={"limit": 3} | ({"cursor": cursor} if cursor else {})).json()
        seen.append([job["id"] for job in part["jobs"]])
        cursor = part["next"]
        if cursor is None:
            break
    assert sum(seen, []) == ids[::-1] and [len(part) for part in seen] == [3, 3, 1]
    assert get(daemon, "").json()["next"] is None
    assert daemon.jobs()[0] == daemon.job(ids[-1])


def test_a_list_is_chosen_by_state_kind_and_space(busy):
    search = post(busy, nas(), Prefer="wait=30").json()["id"]

    def ids(**query):
        return [job["id"] for job in get(busy, "", params=query).json()["jobs"]]

    assert ids(state="running") == [busy.running] and ids(state="queued") == [busy.waiting]
    assert ids(kind="nas") == [search] and ids(kind="test") == []
    assert ids(kind="train", state="succeeded") == [] and ids(kind="nas", state="succeeded") == [search]
    assert ids(search_space="fbnetv3") == [] and len(ids(search_space=SPACE, other="x")) == 3


@pytest.mark.parametrize(
    "name, value",
    [("state", "done"), ("state", ""), ("kind", "Train"), ("search_space", "darts"), ("limit", "0"), ("limit", "1001"), ("limit", "x"),
     ("cursor", "1"), ("cursor", ""), ("cursor", "j01")],
)  # fmt: skip
def test_an_argument_that_is_none_is_422_by_name(name, value, daemon):
    refused(get(daemon, "", params={name: value}), 422, f"{name} must be")


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


def test_what_has_ended_may_be_deleted_and_nothing_else(busy):
    for id in (busy.waiting, busy.running):
        refused(busy.request("DELETE", f"/v1/jobs/{id}"), 409, "cancel it first")
        assert cancel(busy, id).status_code == 200
        tag = get(busy, f"/{id}").headers["ETag"]
        refused(busy.request("DELETE", f"/v1/jobs/{id}", headers={"If-Match": '"x"'}), 412)
        gone = busy.request("DELETE", f"/v1/jobs/{id}", headers={"If-Match": tag})
        assert (gone.status_code, gone.content) == (204, b"")
        refused(get(busy, f"/{id}"), 404)
        refused(busy.request("DELETE", f"/v1/jobs/{id}"), 404)


# ---- events ------------------------------------------------------------------------------------------


class Events:
    """A follower: the events of a job as an EventSource would take them, and the comments between."""

    def __init__(self, daemon, id, query="", **headers):
        headers = {"Accept": "text/event-stream", "Accept-Encoding": "gzip"} | headers
        self.reply = daemon.request("GET", f"/v1/jobs/{id}/events{query}", stream=True, timeout=60, headers=headers)
        self.comments, self.retry_ms = [], None
        self.lines = self.reply.iter_lines(chunk_size=1)

    def __enter__(self):
        assert self.reply.status_code == 200, self.reply.text
        return self

    def __exit__(self, *_):
        self.reply.close()

    def __iter__(self):
        """(id, kind, data) of each event until the stream ends."""
        fields = {}
        for line in self.lines:
            line = line.decode()
            name, _, value = line.partition(": ")
            if line == "" and fields:
                assert set(fields) == {"id", "event", "data"}
                yield int(fields["id"]), fields["event"], json.loads(fields["data"])
                fields = {}
            elif line.startswith(":"):
                self.comments.append(line)
            elif name == "retry":
                self.retry_ms = int(value)
            elif line != "":
                assert name not in fields
                fields[name] = value
        assert fields == {}, "the stream ended within an event"

    def take(self, n):
        return [event for _, event in zip(range(n), self)]


def test_a_follower_sees_a_job_from_its_state_to_its_end(daemon):
    id = daemon.submit(mlp(60_000))["id"]
    with Events(daemon, id) as stream:
        for name, value in (("Content-Type", "text/event-stream"), ("Cache-Control", "no-store"), ("X-Accel-Buffering", "no")):
            assert stream.reply.headers[name] == value
        assert "Content-Encoding" not in stream.reply.headers
        events = list(stream)
        assert stream.retry_ms == 1000
    ids, kinds, data = zip(*events)
    assert list(ids) == sorted(set(ids))
    assert kinds[0] == kinds[-1] == "job" and set(kinds) == {"job", "progress"}
    assert data[-1] == daemon.job(id) and data[-1]["state"] == "succeeded"
    percents = [d["percent"] for k, d in zip(kinds, data) if k == "progress" and "percent" in d]
    assert len(percents) > 1 and percents == sorted(percents)


def test_a_follower_goes_on_where_it_was(daemon):
    id = daemon.submit(mlp(LONG))["id"]
    daemon.wait_for_stage(id, "training")
    with Events(daemon, id) as stream:
        first = stream.take(4)
    with Events(daemon, id) as whole, Events(daemon, id, **{"Last-Event-ID": str(first[2][0])}) as rest:
        again, after = whole.take(12), rest.take(6)
    assert again[:3] == first[:3]
    assert after == again[3:9], "nothing is missed, nothing is told twice"
    with Events(daemon, id, f"?last_event_id={first[2][0]}") as rest:
        assert rest.take(2) == again[3:5]
    with Events(daemon, id, "?last_event_id=1", **{"Last-Event-ID": str(first[2][0])}) as rest:
        assert rest.take(1) == again[3:4], "the header counts"


@pytest.mark.parametrize("last", ["", "x", "-1", "1.5", "9223372036854775807", "99999999999999999999999"])
def test_a_last_event_that_was_none_is_passed_over(last, busy):
    with Events(busy, busy.waiting, **{"Last-Event-ID": last}) as stream:
        ((_, kind, job),) = stream.take(1)
    assert (kind, job["id"], job["state"]) == ("job", busy.waiting, "queued")


def test_the_end_is_told_once(daemon):
    job = post(daemon, COST, Prefer="wait=30").json()
    with Events(daemon, job["id"]) as stream:
        events = list(stream)
    assert [event[1:] for event in events] == [("job", job)]
    again = Events(daemon, job["id"], **{"Last-Event-ID": str(events[-1][0])}).reply
    assert (again.status_code, again.content) == (204, b"")


def test_a_waiting_job_is_followed_through_all_its_states(busy):
    with Events(busy, busy.waiting) as stream:
        found = iter(stream)
        assert next(found)[2]["state"] == "queued"
        assert cancel(busy, busy.running).status_code == 200
        assert next(found)[2]["state"] == "running"
        assert cancel(busy, busy.waiting).status_code == 200
        *_, (_, kind, job) = found
    assert (kind, job["state"]) == ("job", "cancelled")


def test_silence_is_broken_by_pings(busy, monkeypatch):
    assert busy.stop() == 0
    monkeypatch.setenv("DGLD_TEST_EVENT_PING_MS", "50")
    busy.start()
    busy.wait(busy.running, "running")
    with Events(busy, busy.waiting) as stream:
        threading.Timer(0.5, lambda: cancel(busy, busy.waiting)).start()
        events = list(stream)
    assert stream.comments[:3] == [": ping"] * 3 and [event[1] for event in events] == ["job", "job"]


def test_the_headers_of_a_stream_open_none(daemon):
    id = daemon.submit(mlp(LONG))["id"]
    with requests.Session() as session:
        for _ in range(3):
            head = session.head(f"{daemon.url}/v1/jobs/{id}/events", timeout=20)
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["Content-Type"] == "text/event-stream" and head.headers["Cache-Control"] == "no-store"
            assert metric(daemon, "dgld_event_streams") == 0


def test_followers_are_bounded(idle, monkeypatch):
    monkeypatch.setenv("DGLD_TEST_EVENT_PING_MS", "20")
    daemon = configured(idle, event_streams_max=2)
    id = daemon.submit(mlp(LONG))["id"]
    with Events(daemon, id) as one, Events(daemon, id) as two:
        assert metric(daemon, "dgld_event_streams") == 2
        reply = Events(daemon, id).reply
        refused(reply, 503, "event_streams_max, which is 2 here")
        assert int(reply.headers["Retry-After"]) >= 1
        assert one.take(3) and two.take(3)
    wait_until(lambda: metric(daemon, "dgld_event_streams") == 0)  # that they left is found at the next ping
    with Events(daemon, id) as again:
        assert again.take(1)


def test_who_does_not_read_is_dropped_and_others_go_on(idle, monkeypatch):
    monkeypatch.setenv("DGLD_TEST_EVENT_PING_MS", "1")
    daemon = idle.start()
    id = daemon.submit(mlp(LONG))["id"]
    daemon.wait(id, "running")
    with socket.socket() as slow, Events(daemon, id) as other:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        slow.settimeout(60)
        slow.connect(("127.0.0.1", int(daemon.url.rsplit(":", 1)[1])))
        slow.sendall(f"GET /v1/jobs/{id}/events HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        wait_until(lambda: metric(daemon, "dgld_event_streams") == 2)
        found, deadline = iter(other), time.monotonic() + 60
        while metric(daemon, "dgld_event_streams") == 2:
            assert next(found)[0] > 0 and time.monotonic() < deadline, "it is not dropped"
        received = 0
        with contextlib.suppress(ConnectionResetError):
            while piece := slow.recv(65536):
                received += len(piece)
        assert 0 < received < 1 << 20, "no more than the sockets hold"
        assert next(found)[0] > 0


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

    with Events(daemon, id) as stream:
        threads = [threading.Thread(target=load) for _ in range(6)]
        for thread in threads:
            thread.start()
        events = stream.take(12)
        is_over.set()
        for thread in threads:
            thread.join()
        events += stream.take(5)
    assert 503 in statuses and 200 in statuses, "the pool was full now and then"
    ids = [event[0] for event in events]
    assert ids == list(range(ids[0], ids[0] + len(ids)))


# ---- the stop ----------------------------------------------------------------------------------------


def test_a_stop_ends_all_that_waits_at_once(busy):
    polls = [
        Asking(busy, "GET", f"/v1/jobs/{busy.waiting}?wait=60"),
        Asking(busy, "POST", "/v1/jobs", json=mlp(LONG, seed=2), headers={"Prefer": "wait=60"}),
    ]
    with Events(busy, busy.running) as running, Events(busy, busy.waiting) as waiting:
        wait_until(lambda: metric(busy, "dgld_http_requests_in_flight") == 5)
        assert busy.stop() == 0
        kinds = {event[1] for event in running} | {event[1] for event in waiting}
    assert kinds == {"job", "progress"}
    assert [poll.answer().status_code for poll in polls] == [200, 202]
    assert polls[1].answer().json()["state"] == "queued"
    assert not [line for line in busy.lines() if "in flight after drain_timeout_ms" in line["message"]]
    assert polls[1].answer().json()["id"] in [job["id"] for job in busy.start().jobs()], "what was promised is kept"


def test_while_it_stops_it_takes_no_jobs(idle):
    daemon = configured(idle, drain_delay_ms=600_000)
    id = daemon.submit(mlp(LONG))["id"]
    daemon.process.terminate()
    wait_until(lambda: daemon.request("GET", "/readyz").status_code == 503)
    refused(post(daemon), 503, "stopping")
    assert daemon.job(id)["state"] in ("queued", "running")
    daemon.process.terminate()  # the second signal: at once
    assert daemon.process.wait(timeout=30) == 0


# ---- no jobs, metrics, readiness -----------------------------------------------------------------------


ROUTES = [("GET", ""), ("POST", ""), ("GET", f"/{NOBODY}"), ("DELETE", f"/{NOBODY}"), ("GET", f"/{NOBODY}/events"), ("POST", f"/{NOBODY}/cancel")]


def test_where_no_jobs_are_kept_every_address_says_so(idle):
    daemon = configured(idle, job_store="")
    for method, path in ROUTES:
        reply = daemon.request(method, "/v1/jobs" + path, **({"json": COST} if method == "POST" else {}))
        refused(reply, 503, "no jobs are kept", "job_store")
    assert daemon.request("GET", "/readyz").json() == {"status": "ready"}
    assert "dgld_jobs" not in daemon.request("GET", "/metrics").text


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


def test_jobs_are_counted(busy):
    assert post(busy, nas(), Prefer="wait=30").json()["state"] == "succeeded"
    assert metric(busy, 'dgld_jobs{kind="train",state="running"}') == 1
    assert metric(busy, 'dgld_jobs{kind="train",state="queued"}') == 1
    assert metric(busy, 'dgld_jobs{kind="nas",state="succeeded"}') == 1
    assert metric(busy, 'dgld_jobs{kind="test",state="succeeded"}') == 0
    assert busy.request("GET", "/readyz").json() == {"status": "ready"}


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
