"""Jobs over HTTP: submissions, keys, preferences, lists, long polls, events, cancelling, removal."""

import concurrent.futures
import json
import re
import socket
import threading
import time

import pytest
from conftest import make_root, make_small, run
from job_tools import ENDED, Daemon, add_search_table, add_unseen_device, follow, mlp, nas, order

LONG = 10**8  # epochs, beyond any test's end
NOBODY = "01890a5d-ac96-774b-bcce-b302099a8057"  # an id of no job
FIELDS = {"id", "kind", "search_space", "state", "attempt", "priority", "cancel_requested", "progress",
          "submitted_at", "started_at", "ended_at", "deadline_at", "params", "result", "error"}  # fmt: skip


def make_tree(root):
    make_root(root)
    make_small(root)
    add_search_table(root)
    add_unseen_device(root)
    return root


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One daemon for the tests that leave it as it is."""
    daemon = Daemon(make_tree(tmp_path_factory.mktemp("jobs"))).start()
    yield daemon
    assert daemon.stop() == 0


@pytest.fixture
def make(tmp_path):
    """Starts a daemon of the test's own; it has to end well."""
    daemons = []

    def make_one(*arguments):  # one training runs at a time, the others wait
        daemons.append(Daemon(make_tree(tmp_path / f"root{len(daemons)}"), "--job-workers", 3, *arguments).start())
        return daemons[-1]

    yield make_one
    for daemon in daemons:
        assert daemon.stop() == 0


def running(daemon, **others):
    """A training that does not end by itself and has published progress."""
    job = daemon.submit(mlp(LONG, **others))
    daemon.wait(job["id"], "running")
    return daemon.wait_for_stage(job["id"], "training")


def cancel(daemon, id):
    reply = daemon.request("POST", f"/v1/jobs/{id}/cancel")
    assert reply.status_code in (200, 202), reply.text
    return reply.json() if reply.status_code == 200 else daemon.wait(id)


# ---- submissions -------------------------------------------------------------------------------------


def test_a_submission_is_acknowledged_with_its_address(shared):
    reply = shared.request("POST", "/v1/jobs", json=order("train", seed=7))
    job = reply.json()
    assert reply.status_code == 202 and set(job) == FIELDS
    assert reply.headers["Location"] == f"/v1/jobs/{job['id']}" and reply.headers["Retry-After"] == "1"
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", job["id"])
    assert job["params"] == {"predictor": "cost", "seed": 7, "activate": False, "force": False}
    ended = shared.wait(job["id"])
    assert ended["state"] == "succeeded" and ended["attempt"] == 1 and ended["progress"]["percent"] == 100
    assert ended["result"]["held_out"]["validation"] == "10-fold" and ended["error"] is None
    assert ended["submitted_at"] <= ended["started_at"] <= ended["ended_at"]


def test_a_version_of_a_job_is_listed_and_can_be_activated(make):
    daemon = make()
    job = daemon.wait(daemon.submit(order("train", seed=3))["id"])
    version = job["result"]["version"]
    models = daemon.request("GET", "/v1/models/nasbench201").json()
    (listed,) = (model for model in models["versions"] if model["version"] == version)
    assert not listed["is_served"] and listed["r_held_out"] == pytest.approx(job["result"]["held_out"]["r"], rel=1e-6)
    reply = daemon.request("POST", "/v1/models/nasbench201/activate", json={"version": version})
    assert reply.status_code == 200 and reply.json()["is_served"]
    assert daemon.request("GET", "/v1/models/nasbench201").json()["served"]["version"] == version


def test_a_worse_version_is_served_only_by_force(make):
    daemon = make()
    served = daemon.request("GET", "/v1/models/nasbench201").json()["served"]["version"]
    refused = daemon.wait(daemon.submit(mlp(5, activate=True))["id"])
    assert refused["state"] == "succeeded" and refused["result"]["activated"] is False
    assert served in refused["result"]["activation"] and "force" in refused["result"]["activation"]
    assert daemon.request("GET", "/v1/models/nasbench201").json()["served"]["version"] == served
    forced = daemon.wait(daemon.submit(mlp(5, activate=True, force=True))["id"])["result"]
    assert forced["activated"] is True and forced["activation"] is None
    assert daemon.request("GET", "/v1/models/nasbench201").json()["served"]["version"] == forced["version"]


@pytest.mark.parametrize(
    "body, pointer, words",
    [
        ({"kind": "bake"}, "/kind", "train, test, nas"),
        ({"search_space": "darts"}, "/search_space", "nasbench201"),
        ({"colour": 1}, "/colour", "not a field"),
        ({"priority": 101}, "/priority", "-100 to 100"),
        ({"deadline_s": 0}, "/deadline_s", "1 to"),
        ({"params": []}, "/params", "object"),
        ({"params": {"epochs": 5}}, "/params/epochs", "not a field"),
        ({"params": {"predictor": "forest"}}, "/params/predictor", "cost, mlp"),
        ({"params": {"predictor": "cost", "epoch": 5}}, "/params/epoch", "mlp"),
        ({"params": {"lr": -1}}, "/params/lr", "positive"),
        ({"params": {"seed": 1.5}}, "/params/seed", "whole"),
        ({"params": {"force": True}}, "/params/force", "activate"),
        ({"params": {"train_devices": []}}, "/params/train_devices", "1 to 256"),
        ({"params": {"train_devices": ["Near", "../x"]}}, "/params/train_devices/1", "name"),
        ({"params": {"train_devices": ["Near", "Far", "near"]}}, "/params/train_devices/2", "twice"),
        ({"params": {"train_devices": ["Near", "Nobody"]}}, "/params/train_devices/1", "Nobody"),
        ({"search_space": "fbnetv3"}, "/search_space", "net.txt"),
        ({"kind": "test", "params": {"test_devices": ["Nobody"]}}, "/params/test_devices/0", "Nobody"),
        ({"kind": "test", "params": {"test_devices": ["Far"]}}, "/params/test_devices/0", "latencies"),
        ({"kind": "test", "params": {"version": "cost-000000000000"}}, "/params/version", "cost-000000000000"),
        ({"kind": "test", "params": {"seed": 1}}, "/params/seed", "holdout"),
        ({"kind": "nas"}, "/params", "missing"),
        ({"kind": "nas", "params": {"latency_constraint_ms": 1}}, "/params", "device"),
        ({"kind": "nas", "params": {"device": "Near"}}, "/params/latency_constraint_ms", "missing"),
        ({"kind": "nas", "params": {"device": "No", "latency_constraint_ms": 1}}, "/params/device", "No"),
        (
            {"kind": "nas", "params": {"hardware": [2, 3, 0, 7.46], "latency_constraint_ms": 1}},
            "/params/hardware/2",
            "cache",
        ),
        (
            {"kind": "nas", "params": {"device": "Near", "hardware": [2, 3, 1, 7], "latency_constraint_ms": 1}},
            "/params",
            "only one",
        ),
    ],
)
def test_what_could_be_known_is_refused_at_once(body, pointer, words, shared):
    n_before = len(shared.jobs())
    reply = shared.request("POST", "/v1/jobs", json={"kind": "train", "search_space": "nasbench201"} | body)
    assert reply.status_code == 422, reply.text
    errors = {error["pointer"]: error["detail"] for error in reply.json()["errors"]}
    assert words in errors[pointer], errors
    assert str(shared.root) not in reply.text and len(shared.jobs()) == n_before


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"kind": "train", "kind": "test"}'])
def test_what_is_no_submission_is_refused(body, shared):
    reply = shared.request("POST", "/v1/jobs", data=body, headers={"Content-Type": "application/json"})
    assert reply.status_code == (422 if body[:1] in (b"[",) or b"kind" in body else 400), reply.text


# ---- idempotency keys --------------------------------------------------------------------------------


def test_a_key_stands_for_one_job(shared):
    first = shared.request("POST", "/v1/jobs", json=nas(seed=1), headers={"Idempotency-Key": "one"})
    again = shared.request("POST", "/v1/jobs", json=nas(seed=1), headers={"Idempotency-Key": '"one"'})
    assert first.status_code == 202 and again.status_code in (200, 202)
    assert again.json()["id"] == first.json()["id"] and again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    spaced = json.dumps(nas(seed=1), indent=3).encode()  # the same thing, written otherwise
    headers = {"Idempotency-Key": "one", "Content-Type": "application/json"}
    assert shared.request("POST", "/v1/jobs", data=spaced, headers=headers).json()["id"] == first.json()["id"]
    other = shared.request("POST", "/v1/jobs", json=nas(seed=2), headers={"Idempotency-Key": "one"})
    assert other.status_code == 422 and "Idempotency-Key" in other.text
    shared.wait(first.json()["id"])
    ended = shared.request("POST", "/v1/jobs", json=nas(seed=1), headers={"Idempotency-Key": "one"})
    assert ended.status_code == 200 and ended.json()["state"] == "succeeded"


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "ä".encode()])
def test_a_key_that_is_none_is_refused(key, shared):
    reply = shared.request("POST", "/v1/jobs", json=nas(), headers={"Idempotency-Key": key})
    assert reply.status_code in (400, 422) and "Idempotency-Key" in reply.text


def test_a_key_that_many_use_at_once_makes_one_job(shared):
    def post(_):
        return shared.request("POST", "/v1/jobs", json=nas(seed=3), headers={"Idempotency-Key": "many"})

    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        replies = list(pool.map(post, range(128)))
    assert {reply.status_code for reply in replies} <= {200, 202, 409}
    assert len({reply.json()["id"] for reply in replies if reply.ok}) == 1
    assert sum(job["params"].get("seed") == 3 and job["kind"] == "nas" for job in shared.jobs()) == 1


# ---- Prefer: wait ------------------------------------------------------------------------------------


def test_a_client_that_prefers_to_wait_gets_the_ended_job(shared):
    reply = shared.request("POST", "/v1/jobs", json=nas(), headers={"Prefer": "wait=20"})
    assert reply.status_code == 200 and reply.json()["state"] == "succeeded"
    assert reply.headers["Preference-Applied"] == "wait=20" and "Retry-After" not in reply.headers


def test_what_does_not_end_in_time_is_202(make):
    daemon = make()
    begun = time.monotonic()
    reply = daemon.request("POST", "/v1/jobs", json=mlp(LONG), headers={"Prefer": "respond-async, wait=1"})
    assert reply.status_code == 202 and reply.json()["state"] == "running" and time.monotonic() >= begun + 0.9


@pytest.mark.parametrize("prefer", ["wait", "wait=x", "wait=-1", "return=minimal", ";;,="])
def test_other_preferences_are_passed_over(prefer, shared):
    reply = shared.request("POST", "/v1/jobs", json=nas(), headers={"Prefer": prefer})
    assert reply.status_code == 202 and "Preference-Applied" not in reply.headers


# ---- lists -------------------------------------------------------------------------------------------


def test_jobs_are_listed_in_parts_and_by_what_they_are(make):
    daemon = make()
    ids = [daemon.submit(nas(seed=i))["id"] for i in range(7)] + [daemon.submit(order("train"))["id"]]
    for id in ids:
        daemon.wait(id)
    seen, query = [], {"limit": 3}
    for _ in range(3):
        part = daemon.request("GET", "/v1/jobs", params=query).json()
        assert len(part["jobs"]) == (3 if len(seen) < 6 else 2)
        seen += [job["id"] for job in part["jobs"]]
        query["cursor"] = part["next"]
    assert part["next"] is None and seen == ids[::-1]
    assert [job["id"] for job in daemon.jobs(kind="train")] == ids[-1:]
    assert len(daemon.jobs(kind="nas", state="succeeded", search_space="nasbench201")) == 7
    assert daemon.jobs(state="queued") == [] and daemon.jobs(search_space="fbnetv3") == []


@pytest.mark.parametrize(
    "query", ["state=done", "kind=bake", "limit=0", "limit=1001", "limit=x", "cursor=x", "search_space=darts"]
)
def test_a_wrong_filter_is_named(query, shared):
    reply = shared.request("GET", f"/v1/jobs?{query}")
    assert reply.status_code == 422 and query.split("=")[0] in reply.json()["detail"]


# ---- one job, and waiting for it ---------------------------------------------------------------------


@pytest.mark.parametrize("id", [NOBODY, "x", "..", NOBODY.upper(), NOBODY + "0", "%00"])
@pytest.mark.parametrize("method, end", [("GET", ""), ("GET", "/events"), ("POST", "/cancel"), ("DELETE", "")])
def test_an_unknown_id_is_not_found(id, method, end, shared):
    assert shared.request(method, f"/v1/jobs/{id}{end}").status_code in (404, 405)


def test_a_job_has_a_tag(shared):
    id = shared.submit(nas())["id"]
    shared.wait(id)
    reply = shared.request("GET", f"/v1/jobs/{id}")
    tag = reply.headers["ETag"]
    same = shared.request("GET", f"/v1/jobs/{id}", headers={"If-None-Match": tag})
    assert same.status_code == 304 and same.content == b"" and same.headers["ETag"] == tag
    assert shared.request("GET", f"/v1/jobs/{id}", headers={"If-None-Match": '"x"'}).status_code == 200
    begun = time.monotonic()
    assert shared.request("GET", f"/v1/jobs/{id}?wait=30").status_code == 200, "it has ended: nothing to wait for"
    assert time.monotonic() < begun + 10
    assert shared.request("DELETE", f"/v1/jobs/{id}", headers={"If-Match": '"x"'}).status_code == 412
    assert shared.request("DELETE", f"/v1/jobs/{id}", headers={"If-Match": tag}).status_code == 204
    assert shared.request("GET", f"/v1/jobs/{id}").status_code == 404


def test_a_long_poll_answers_on_change(make):
    daemon = make()
    id = running(daemon)["id"]
    last = daemon.job(id)["progress"]["epoch"]
    for _ in range(5):
        reply = daemon.request("GET", f"/v1/jobs/{id}?wait=20")
        assert reply.status_code == 200 and reply.headers["Retry-After"] == "1"
        assert reply.json()["progress"]["epoch"] > last
        last = reply.json()["progress"]["epoch"]
    ended = threading.Event()
    found = []

    def poll():
        while (job := daemon.request("GET", f"/v1/jobs/{id}?wait=20").json())["state"] not in ENDED:
            pass
        found.append(job["state"])
        ended.set()

    threading.Thread(target=poll, daemon=True).start()
    cancel(daemon, id)
    assert ended.wait(10) and found == ["cancelled"]


def test_a_long_poll_of_what_waits_ends_in_time(make):
    daemon = make()
    for _ in range(2):
        daemon.submit(mlp(LONG))
    id = daemon.submit(mlp(LONG))["id"]
    tag = daemon.request("GET", f"/v1/jobs/{id}").headers["ETag"]
    begun = time.monotonic()
    reply = daemon.request("GET", f"/v1/jobs/{id}?wait=1")
    assert reply.status_code == 200 and reply.json()["state"] == "queued" and time.monotonic() >= begun + 0.9
    assert daemon.request("GET", f"/v1/jobs/{id}?wait=1", headers={"If-None-Match": tag}).status_code == 304
    for wait in ("61", "-1", "x", "", "1.5"):
        assert daemon.request("GET", f"/v1/jobs/{id}?wait={wait}").status_code == 422


def test_a_hundred_long_polls_hold_nobody_up(make):
    daemon = make()
    daemon.submit(mlp(LONG))
    ids = [daemon.submit(mlp(LONG))["id"] for _ in range(2)]
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        polls = [pool.submit(daemon.request, "GET", f"/v1/jobs/{ids[i % 2]}?wait=30") for i in range(100)]
        time.sleep(0.5)
        asked = {"search_space": "nasbench201", "hardware": [2, 3, 1, 7.46], "architectures": ["444244"] * 20000}
        for _ in range(5):  # on the pool, as the polls were
            assert daemon.request("POST", "/v1/predict", json=asked).status_code == 200
        assert not any(poll.done() for poll in polls)
        for id in ids:
            cancel(daemon, id)
        assert {poll.result(20).json()["state"] for poll in polls} == {"cancelled"}


# ---- events ------------------------------------------------------------------------------------------


def test_events_tell_a_job_from_its_begin_to_its_end(make):
    daemon = make()
    id = daemon.submit(mlp(60_000))["id"]
    events = list(follow(daemon, id))
    kinds = [kind for kind, _, _ in events]
    numbers = [number for _, number, _ in events]
    assert numbers == sorted(set(numbers)) and kinds[-1] == "job" and kinds.count("progress") > 3
    assert events[-1][2] == daemon.job(id) and events[-1][2]["state"] == "succeeded"
    percents = [data["percent"] for kind, _, data in events if kind == "progress"]
    assert percents == sorted(percents) and all(0 <= percent <= 100 for percent in percents)
    after = [event for event in events if event[1] > numbers[-1]]
    assert after == []
    done = daemon.request("GET", f"/v1/jobs/{id}/events", headers={"Last-Event-ID": str(numbers[-1])})
    assert done.status_code == 204, "a client that has all of it is told not to ask again"


def test_events_go_on_after_the_last_one_that_was_seen(make):
    daemon = make()
    id = running(daemon)["id"]
    events = follow(daemon, id)
    seen = [next(events) for _ in range(5)]
    last = seen[2][1]
    again = follow(daemon, id, headers={"Last-Event-ID": str(last)})
    assert [next(again), next(again)] == seen[3:]
    by_query = follow(daemon, id, params={"last_event_id": last})
    assert next(by_query) == seen[3]
    ignored = follow(daemon, id, headers={"Last-Event-ID": "x"})
    assert next(ignored) == seen[0]
    cancel(daemon, id)
    kind, number, job = list(events)[-1]
    assert kind == "job" and number > seen[-1][1] and job["state"] == "cancelled"


def test_a_silent_stream_has_pings(make, monkeypatch):
    monkeypatch.setenv("DGLD_TEST_EVENT_PING_MS", "100")
    daemon = make()
    for _ in range(2):
        daemon.submit(mlp(LONG))
    id = daemon.submit(mlp(LONG))["id"]
    events = follow(daemon, id)
    assert next(events)[2]["state"] == "queued"
    assert [next(events) for _ in range(3)] == [("comment", None, "ping")] * 3
    cancel(daemon, id)
    assert [event for event in events if event[0] != "comment"][-1][2]["state"] == "cancelled"


def test_head_opens_no_stream(make):
    daemon = make()
    id = running(daemon)["id"]
    for _ in range(3):
        reply = daemon.request("HEAD", f"/v1/jobs/{id}/events", timeout=5)
        assert reply.status_code == 200 and reply.headers["Content-Type"] == "text/event-stream"
    assert re.search(r"^dgld_event_streams 0$", daemon.request("GET", "/metrics").text, re.M)


def test_streams_are_bounded(make):
    daemon = make("--event-streams-max", 2)
    id = running(daemon)["id"]
    streams = [daemon.request("GET", f"/v1/jobs/{id}/events", stream=True) for _ in range(2)]
    refused = daemon.request("GET", f"/v1/jobs/{id}/events")
    assert refused.status_code == 503 and "event_streams_max" in refused.json()["detail"]
    assert re.search(r"^dgld_event_streams 2$", daemon.request("GET", "/metrics").text, re.M)
    for stream in streams:
        stream.close()
    deadline = time.monotonic() + 30
    while (reply := daemon.request("GET", f"/v1/jobs/{id}/events", stream=True)).status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    reply.close()


def test_a_stop_ends_streams_and_polls_at_once(make):
    daemon = make()
    id = running(daemon)["id"]
    waits = daemon.submit(mlp(LONG))["id"]
    blocked = daemon.submit(mlp(LONG))["id"]
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        stream = pool.submit(lambda: list(follow(daemon, id)))
        polls = [pool.submit(daemon.request, "GET", f"/v1/jobs/{job}?wait=60") for job in (waits, blocked)]
        time.sleep(0.5)
        begun = time.monotonic()
        url = daemon.url
        assert daemon.stop() == 0 and time.monotonic() < begun + 10
        assert stream.result(5)[-1][0] in ("progress", "job")
        assert {poll.result(5).status_code for poll in polls} == {200}
    daemon.start()
    assert daemon.url != url
    job = daemon.wait(id, "running")
    assert job["attempt"] == 2 and job["error"] is None, "the service's end is not the job's failure"


# ---- who may -----------------------------------------------------------------------------------------


def test_jobs_are_for_operators_and_readable_for_all(make, tmp_path):
    tokens = {}
    for role in ("predict", "operator"):
        done = run("token", "--name", role, "--role", role, "--file", tmp_path / "tokens.json")
        tokens[role] = re.search(r"dgld_\S+", done.stdout)[0]
    daemon = make("--tokens-file", tmp_path / "tokens.json")

    def ask(role, method, path, **keywords):
        headers = {"Authorization": f"Bearer {tokens[role]}"} if role else {}
        headers |= keywords.pop("headers", {})
        return daemon.request(method, path, headers=headers, **keywords)

    assert ask(None, "POST", "/v1/jobs", json=nas()).status_code == 401
    assert ask("predict", "POST", "/v1/jobs", json=nas()).status_code == 403
    job = ask("operator", "POST", "/v1/jobs", json=nas(), headers={"Prefer": "wait=20"}).json()
    assert ask("predict", "GET", f"/v1/jobs/{job['id']}").json() == job
    assert ask("predict", "GET", f"/v1/jobs/{job['id']}/events").status_code == 200
    assert ask("predict", "POST", f"/v1/jobs/{job['id']}/cancel").status_code == 403
    assert ask("predict", "DELETE", f"/v1/jobs/{job['id']}").status_code == 403
    assert ask("operator", "DELETE", f"/v1/jobs/{job['id']}").status_code == 204


# ---- what is told elsewhere --------------------------------------------------------------------------


def test_metrics_count_jobs(make):
    daemon = make()
    daemon.wait(daemon.submit(nas())["id"])
    running(daemon)
    deadline = time.monotonic() + 10
    wanted = ('dgld_jobs{kind="nas",state="succeeded"} 1', 'dgld_jobs{kind="train",state="running"} 1')
    while not all(line in (text := daemon.request("GET", "/metrics").text) for line in wanted):
        assert time.monotonic() < deadline, text
        time.sleep(0.2)


def test_without_a_store_there_are_no_jobs_and_all_else_works(make):
    daemon = make("--job-store", "")
    for method, path in (("GET", "/v1/jobs"), ("POST", "/v1/jobs"), ("GET", f"/v1/jobs/{NOBODY}")):
        reply = daemon.request(method, path, json=nas() if method == "POST" else None)
        assert reply.status_code == 503 and "job_store" in reply.json()["detail"]
    asked = {"search_space": "nasbench201", "hardware": [2, 3, 1, 7.46], "architectures": ["444244"]}
    assert daemon.request("POST", "/v1/predict", json=asked).status_code == 200
    assert daemon.request("GET", "/readyz").json() == {"status": "ready"}


def test_cancelling_takes_an_empty_body_or_an_empty_object(shared):
    for body, statuses in ((b"", (200, 202)), (b"{}", (200, 202)), (b'{"now": true}', (422,)), (b"[", (400,))):
        job = shared.submit(mlp(LONG))
        reply = shared.request("POST", f"/v1/jobs/{job['id']}/cancel", data=body)
        assert reply.status_code in statuses, reply.text
        if not reply.ok:
            cancel(shared, job["id"])


def test_hostile_streams_of_requests_leave_it_well(shared):
    """Connections that are dropped in every phase of a wait."""
    id = shared.submit(mlp(LONG))["id"]
    host, port = re.search(r"//(.*):(\d+)", shared.url).groups()
    paths = [f"/v1/jobs/{id}?wait=2", f"/v1/jobs/{id}/events"]
    for i in range(200):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(f"GET {paths[i % 2]} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            if i % 3:
                connection.recv(10)
    cancel(shared, id)
    deadline = time.monotonic() + 30
    while not re.search(r"^dgld_event_streams 0$", shared.request("GET", "/metrics").text, re.M):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert shared.request("GET", "/readyz").json() == {"status": "ready"}
