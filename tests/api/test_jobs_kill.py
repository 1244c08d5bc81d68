"""The promise of a 202: the daemon is killed at random moments, and every job comes to its one end.

DGLD_TEST_SEED repeats a run's choices, which a failing one prints; what the scheduler does stays chance."""

import collections
import os
import random
import re
import threading
import time

import pytest
import requests
from conftest import make_root  # noqa: F401  (the fixture `small` is made from it)
from job_tools import ENDED, SPACE, Daemon, add_search_table, add_unseen_device, check_whole, files_of, mlp, nas, order, tree

N_CLIENTS = 4
OPEN_MAX = 6  # jobs of a client that have not ended, so that the end does not take long


class Client(threading.Thread):
    """Submits, watches, cancels and deletes jobs of its own, and keeps a book of what it was told.

    Nobody else touches its jobs, so that what it was told last has to be so at the end."""

    def __init__(self, daemon, number, seed):
        super().__init__(daemon=True)
        self.daemon_process, self.number = daemon, number
        self.random = random.Random(f"{seed}/{number}")
        self.n_orders = 0
        self.sent = {}  # tag -> order: one submission each, sent once, or again with the same key
        self.keyed = set()  # tags of those with a key
        self.pending = []  # (tag, key): sent without an answer
        self.ids = {}  # tag -> id: acknowledged
        self.last = {}  # id -> the document that was seen last
        self.cancel_asked, self.cancelled, self.deletion_asked, self.deleted = set(), set(), set(), set()
        self.replayed = 0
        self.wrong = []
        self.is_over = threading.Event()

    def run(self):
        actions = [self.submit] * 5 + [self.look] * 3 + [self.cancel] * 2 + [self.delete] + [self.repeat] * 2
        while not self.is_over.is_set():
            try:
                self.random.choice(actions)()
            except requests.RequestException:
                time.sleep(0.005)  # it was killed
            except Exception as error:  # noqa: BLE001  a thread's exception would be lost
                self.wrong.append(repr(error))
                return

    def ask(self, method, path, **keywords):
        return self.daemon_process.request(method, path, **keywords)

    def fail(self, reply):
        raise AssertionError(f"{reply.request.method} {reply.request.path_url}: {reply.status_code} {reply.text}")

    def see(self, job):
        """An ended job never changes again; attempts are never taken back."""
        before = self.last.get(job["id"])
        if before is not None:
            assert before["state"] not in ENDED or before == job, f"{before} became {job}"
            assert job["attempt"] >= before["attempt"], f"{before} became {job}"
        self.last[job["id"]] = job

    def make_order(self):
        """Its seed tells it from all others."""
        tag = self.number * 1_000_000 + self.n_orders
        self.n_orders += 1
        kind = self.random.randrange(8)
        if kind < 3:
            activate = {"activate": True, "force": True} if kind == 0 else {}
            return tag, order("train", predictor="cost", seed=tag, **activate)
        if kind == 3:
            return tag, mlp(self.random.randrange(100, 400), seed=tag)
        if kind < 6:
            return tag, order("test", holdout=True, predictor="cost", test_devices=["Other"], seed=tag)
        return tag, nas(seed=tag)

    def submit(self):
        n_open = sum(self.last[id]["state"] not in ENDED for id in self.ids.values() if id in self.last)
        if n_open + len(self.pending) > OPEN_MAX:
            return self.look()
        tag, body = self.make_order()
        key = f"key-{tag}" if self.random.random() < 0.6 else None
        self.sent[tag] = body
        if key:
            self.keyed.add(tag)
        self.post(tag, key, body)

    def post(self, tag, key, body):
        headers = {"Idempotency-Key": key} if key else {}
        if self.random.random() < 0.2:
            headers["Prefer"] = "wait=1"
        if key and (tag, key) not in self.pending:
            self.pending.append((tag, key))  # until there is an answer
        reply = self.ask("POST", "/v1/jobs", json=body, headers=headers)
        if reply.status_code in (409, 503):  # the same key is in flight; it is stopping: later
            if not key:
                del self.sent[tag]
            return
        if reply.status_code not in (200, 202):
            self.fail(reply)
        job = reply.json()
        assert self.ids.get(tag, job["id"]) == job["id"], f"{key} gave {self.ids[tag]} and {job['id']}"
        self.ids[tag] = job["id"]
        if key:
            self.pending.remove((tag, key))
            self.replayed += reply.headers.get("Idempotency-Replayed") == "true"
        self.see(job)

    def repeat(self):
        """Sends again what had no answer, or sometimes what had one."""
        answered = [tag for tag in self.keyed if tag in self.ids and self.ids[tag] not in self.deletion_asked]
        if self.pending:
            tag, key = self.random.choice(self.pending)
            self.post(tag, key, self.sent[tag])
        elif answered and self.random.random() < 0.3:
            tag = self.random.choice(answered)
            self.post(tag, f"key-{tag}", self.sent[tag])

    def choose(self, condition):
        found = [id for id in self.ids.values() if id not in self.deletion_asked and condition(self.last[id])]
        return self.random.choice(found) if found else None

    def look(self):
        is_open = self.random.random() < 0.7
        if id := self.choose(lambda job: not is_open or job["state"] not in ENDED):
            wait = f"?wait={self.random.randrange(2)}" if self.random.random() < 0.3 else ""
            reply = self.ask("GET", f"/v1/jobs/{id}{wait}")
            if reply.status_code != 200:
                self.fail(reply)
            self.see(reply.json())

    def cancel(self):
        if self.random.random() < 0.5 and (id := self.choose(lambda job: job["state"] not in ENDED)):
            self.cancel_asked.add(id)
            reply = self.ask("POST", f"/v1/jobs/{id}/cancel")
            if reply.status_code not in (200, 202, 409, 503):
                self.fail(reply)
            if reply.status_code in (200, 202):
                self.see(reply.json())
                if reply.json()["state"] == "cancelled":
                    self.cancelled.add(id)

    def delete(self):
        again = {self.ids.get(tag) for tag, _ in self.pending}  # will be sent again: a key goes with its job
        if id := self.choose(lambda job: job["state"] in ENDED and job["id"] not in again):
            self.deletion_asked.add(id)
            reply = self.ask("DELETE", f"/v1/jobs/{id}")
            if reply.status_code not in (204, 503):
                self.fail(reply)
            if reply.status_code == 204:
                self.deleted.add(id)


def check_client(client, daemon, by_tag):
    """What it was told holds."""
    root = daemon.root
    for tag, id in client.ids.items():
        reply = daemon.request("GET", f"/v1/jobs/{id}")
        if id in client.deletion_asked and reply.status_code == 404:
            assert files_of(root, id) == [], id
            continue
        assert reply.status_code == 200 and id not in client.deleted, f"{id} is lost: {reply.text}"
        job = reply.json()
        client.see(job)
        assert job["params"]["seed"] == tag, job
        wanted = {"succeeded"} if id not in client.cancel_asked else {"succeeded", "cancelled"}
        wanted = {"cancelled"} if id in client.cancelled else wanted
        assert job["state"] in wanted, job
        if job["state"] == "succeeded":
            check_whole(root, job)
        else:
            assert files_of(root, id) == [] and job["result"] is None, job
    for tag in client.sent:
        assert len(by_tag[tag]) <= 1, f"one submission made {by_tag[tag]}"


def check_attempts(daemon, jobs):
    """By the logs of all lives: each attempt is begun by one worker only, when the one before is over.

    One that was claimed right before a kill may not have come to say so."""
    begun, over, ends = {}, {}, collections.Counter()
    for life in range(len(daemon.logs)):
        for entry in daemon.lines(life):
            message = entry["message"]
            assert entry["level"] != "error" and "left out" not in message, entry
            if not (found := re.match(r"job (\S+): attempt (\d+) (.*)", message)):
                continue
            id, attempt, what = found[1], int(found[2]), found[3]
            assert "lost its lease" not in what, entry
            if what.endswith(" begun"):
                last, in_life = begun.get(id, (0, None))
                assert attempt > last, f"{id}: attempt {attempt} begun after {last}"
                assert last == 0 or over.get(id) == last or in_life < life, f"{id}: {last} still ran"
                begun[id] = (attempt, life)
            elif "interrupted" in what:
                assert begun.get(id, (0, -1))[1] < life, f"{id}: taken away while it ran"
            else:
                assert attempt == begun[id][0], entry
                over[id] = attempt
                ends[id] += re.search(r"\) (succeeded|failed|cancelled) after", message) is not None
    for job in jobs:
        last = begun.get(job["id"], (0, 0))[0]
        assert last == job["attempt"] or job["state"] == "cancelled" and last < job["attempt"], job
    assert max(ends.values()) == 1, "a job ended twice"


def check_tree(daemon, before, jobs):
    """No file but those that were there, those that jobs name, and models that were replaced."""
    root = daemon.root
    named = {f"result/{file}" for job in jobs for file in (job["result"] or {}).get("files", [])}
    foreign = tree(root) - before - named
    kept = {file for file in foreign if re.fullmatch(rf"result/{SPACE}/models/[a-z]+-[0-9a-f]+\.safetensors", file)}
    assert foreign == kept
    assert not [path for path in root.rglob("*.tmp")]


def run_kills(small, n_kills, capsys):
    seed = int(os.environ.get("DGLD_TEST_SEED", random.SystemRandom().randrange(10**6)))
    print(f"DGLD_TEST_SEED={seed}")
    chance = random.Random(seed)
    add_search_table(small)
    add_unseen_device(small)
    before = tree(small)
    daemon = Daemon(small, "--log-level", "debug", "--job-attempts-max", 1000).start()
    clients = [Client(daemon, number, seed) for number in range(1, N_CLIENTS + 1)]
    for client in clients:
        client.start()
    try:
        for _ in range(n_kills):
            time.sleep(chance.choice((chance.uniform(0, 0.1), chance.uniform(0.1, 0.9))))
            daemon.kill()
            daemon.start()
    finally:
        for client in clients:
            client.is_over.set()
        for client in clients:
            client.join(timeout=60)
    assert [client.wrong for client in clients] == [[]] * N_CLIENTS
    deadline = time.monotonic() + 120
    while left := [job for job in daemon.jobs() if job["state"] not in ENDED]:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
    # what a killed daemon did not come to serve is served after the time of a lease
    while left := list((daemon.root / "result").glob("*/.activations/*")):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
    jobs = daemon.jobs()
    by_tag = collections.defaultdict(list)
    for job in jobs:
        by_tag[job["params"]["seed"]].append(job["id"])
    for client in clients:
        check_client(client, daemon, by_tag)
    check_tree(daemon, before, jobs)
    assert daemon.stop() == 0
    check_attempts(daemon, jobs)
    assert len({job["id"] for job in jobs}) == len(jobs)
    with capsys.disabled():
        states = collections.Counter((job["kind"], job["state"]) for job in jobs)
        print(f"\n{n_kills} kills: {dict(states)}, {sum(len(c.deleted) for c in clients)} deleted, "
              f"{sum(c.replayed for c in clients)} replayed, attempts up to {max(job['attempt'] for job in jobs)}")
    assert max(job["attempt"] for job in jobs) > 1, "no kill hit a job that ran"


@pytest.mark.cost
def test_no_kill_loses_or_doubles_a_job(small, capsys):
    run_kills(small, 20, capsys)


@pytest.mark.long
def test_no_kill_loses_or_doubles_a_job_at_length(small, capsys):
    run_kills(small, 200, capsys)


def trained_bytes(daemon, id, limit_s=120):
    job = daemon.wait(id, "succeeded", limit_s=limit_s)
    check_whole(daemon.root, job)
    (file,) = (f for f in job["result"]["files"] if f.endswith(".safetensors"))
    return (daemon.root / "result" / file).read_bytes(), job


@pytest.mark.cost
def test_a_killed_training_of_mlp_goes_on_to_the_same_bytes(root, data, tmp_path_factory):
    """It is killed each time before it could have ended had it begun anew, so it ends by its checkpoints alone."""
    undisturbed = tmp_path_factory.mktemp("undisturbed")
    make_root(undisturbed)
    daemon = Daemon(undisturbed, "--data-path", data).start()
    begun = time.monotonic()
    expected, _ = trained_bytes(daemon, daemon.submit(mlp(8000))["id"])
    whole_s = time.monotonic() - begun
    assert daemon.stop() == 0

    daemon = Daemon(root, "--data-path", data, "--log-level", "debug").start()
    id = daemon.submit(mlp(8000))["id"]
    epochs = []
    for n_kills in range(1, 60):
        time.sleep(whole_s * (0.5 + 0.04 * (n_kills % 5)))
        job = daemon.job(id)
        if job["state"] in ENDED:
            break
        epochs.append(job["progress"].get("epoch", 0) if job["progress"] else 0)
        daemon.kill()
        daemon.start()
    made, job = trained_bytes(daemon, id)
    assert made == expected
    assert job["attempt"] == n_kills > 1 and max(epochs) > 0
    assert not list((root / "result" / SPACE).glob("*.checkpoint"))
    assert daemon.stop() == 0
