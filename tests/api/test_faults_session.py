"""Calls of the system that fail: one at a time, the n-th of a kind, while a client goes through all that the contract
offers and has every kind of job run. What is answered is right or a clean refusal, nothing is lost, left or
leaked, and the same request is answered as ever when the fault is over.

A sample of n is tried always, every n by `make test-long`."""

import collections
import contextlib
import os
import random
import shutil
import signal
import subprocess
import time

import pytest
import requests
from conftest import BINARY, ROOT, make_root, make_small
from faults import SQLITE_FULL, SQLITE_NOMEM, Faults, n_descriptors, wait_for
from job_tools import ENDED, SPACE, Daemon, add_search_table, add_unseen_device, check_whole, files_of, mlp, nas, order, tree
from test_contract import BEFORE, BY_NAME, CONTRACT, EXAMPLES, check_like, check_reply, send

LONG = 100_000_000  # epochs that no test lives to see
# Where a reply may be missing: its connection could not be made, or kept, or there was no memory for it.
MAY_CLOSE = {"memory", "accept", "send"}
# What the service may answer: that it cannot just now, or an error of its own.
REFUSALS = {500, 503}
# Blocks and descriptors are back where they were in this time, but for what is kept on purpose.
REST_S = 0.3
# A fault point that left something is tried that often again: what is kept once is no leak.
N_CONFIRM = 6
# What libzip itself loses where it lacks memory: a source that checks a CRC is made in two blocks, and where there is
# none for the second, the first is forgotten. One for each failure; discarding the archive does not bring it back.
LIBZIP_FORGETS_ONE = ("libzip.so", "libzip.so", "(zip_close+")
# The library does not see every client's end at once: with this it ends the connection itself.
CLOSE = {"Connection": "close"}
MORE_ERRORS = {"sqlite": (SQLITE_NOMEM, SQLITE_FULL)}


# ---- what is done ----------------------------------------------------------------------------------------


class Step:
    """Something that a client does, and what has to be there before."""

    def __init__(self, name, act, prepare=lambda: None, tidy=lambda: None, is_job=False):
        self.name, self.act, self.prepare, self.tidy, self.is_job = name, act, prepare, tidy, is_job


# What undoes an operation: sent before it, whether or not there is something to be undone.
UNDONE_BY = {
    "putDevice": ("deleteDevice", "removed"),
    "putSpace": ("deleteSpace", "droppedSpace"),
    "putMeasurements": ("deleteMeasurements", "measured"),
    "v2Unload": ("v2Load", "plain"),
}
OF_A_JOB = {"getJob", "getJobHistory", "deleteJob", "cancelJob", "followJob"}
QUICK = nas(export=[])
ORDERS = {
    "train cost": order("train", predictor="cost"),
    "train mlp": mlp(2),
    "test": order("test", test_devices=["Other"]),
    "nas": nas(),
    "nas pareto": nas(objective="pareto", export=[]),
}


def good_examples():
    """One example of each operation that is answered well; those that come first are the plainest."""
    found = {}
    for operation, name, status in EXAMPLES:
        if status < "300" and operation.name != "submitJob":
            found.setdefault(operation.name, (operation, name))
    return found.values()


class Session:
    """A daemon whose calls can be made to fail, and the steps."""

    def __init__(self, root, *arguments, place=None):
        make_root(root)
        make_small(root)
        add_search_table(root)
        add_unseen_device(root)
        shutil.copy(ROOT / "result" / SPACE / "accuracymodel.safetensors", root / "result" / SPACE)
        self.root, self.faults = root, Faults(place or root.parent / f"{root.name}-faults")
        self.daemon = Daemon(root, "--job-workers", 3, *arguments, environment=self.faults.environment).start()
        self.daemon.headers = CLOSE
        self.tried = collections.Counter()
        self.steps = [self.step_of(*example) for example in good_examples()] + [self.step_of_kind(name) for name in ORDERS]

    def send(self, name, example, **keywords):
        return send(self.daemon.url, BY_NAME[name], example, CLOSE, **keywords)

    def step_of(self, operation, example):
        if operation.name in OF_A_JOB:
            return self.step_of_job(operation, example)
        before = [pair for pair in [UNDONE_BY.get(operation.name), *BEFORE.get((operation.name, example), [])] if pair]

        def prepare():
            for name, other in before:
                assert self.send(name, other).status_code < 500, name

        def tidy():
            if operation.name == "v2Unload":
                assert self.send("v2Load", "plain").ok

        return Step(operation.name, lambda: self.send(operation.name, example), prepare, tidy)

    def step_of_job(self, operation, example):
        """An operation on a job that is made before it: one that runs, to be cancelled; else one that has ended."""
        job = {}

        def prepare():
            if operation.name in ("cancelJob", "deleteJob") or not job:
                job.update(self.daemon.submit(mlp(LONG) if operation.name == "cancelJob" else QUICK))
                self.daemon.wait(job["id"], *(("running",) if operation.name == "cancelJob" else ()))

        def act():
            reply = self.send(operation.name, example, places={"id": job["id"]})
            if operation.name == "cancelJob" and reply.status_code == 202:  # it is on its way
                self.daemon.wait(job["id"])
                reply = self.send(operation.name, example, places={"id": job["id"]})
            return reply

        def tidy():
            if operation.name in ("cancelJob", "deleteJob"):
                self.remove_jobs()

        return Step(operation.name, act, prepare, tidy)

    def step_of_kind(self, name):
        """A job from its submission to its end, followed by its events."""

        def act():
            reply = self.daemon.request("POST", "/v1/jobs", json=ORDERS[name])
            if reply.status_code == 202:
                id = reply.json()["id"]
                reply = self.daemon.request("GET", f"/v1/jobs/{id}/events", timeout=60)
                if reply.status_code == 200:
                    reply = self.daemon.request("GET", f"/v1/jobs/{id}")
            return reply

        return Step(name, act, tidy=self.remove_jobs, is_job=True)

    def remove_jobs(self):
        """Every job comes to its end, is whole or gone, and is removed with all its files."""
        for job in self.daemon.jobs():
            if job["state"] not in ENDED and job["params"].get("epoch") == LONG:
                self.daemon.request("POST", f"/v1/jobs/{job['id']}/cancel")
            job = self.daemon.wait(job["id"])
            if job["state"] == "succeeded":
                check_whole(self.root, job)
            else:
                assert job["state"] == "cancelled" or job["error"], job
            reply = self.daemon.request("DELETE", f"/v1/jobs/{job['id']}")
            assert reply.status_code in (204, 404), reply.text
            assert wait_for(lambda: files_of(self.root, job["id"]) == []), files_of(self.root, job["id"])

    # ---- one fault point

    def at_rest(self):
        return self.faults.live_blocks(), n_descriptors(self.daemon.process.pid)

    def is_back(self, blocks, descriptors):
        now = self.at_rest()
        return now[0] <= blocks and now[1] <= descriptors

    def run_clean(self, step):
        """Without a fault; returns (status, body) and the counts of the calls it took."""
        step.prepare()
        before = self.faults.counts()
        reply = step.act()
        after = self.faults.counts()
        step.tidy()
        assert reply.status_code < 300, (step.name, reply.status_code, reply.text[:500])
        return reply, {kind: after[kind] - before[kind] for kind in after}

    def run_faulty(self, step, kind, n, error):
        """With the fault; returns what came back, None for a connection that was closed, and whether the call was reached."""
        step.prepare()
        self.faults.arm(kind, n, error=error)
        try:
            reply = step.act()
        except requests.RequestException as failure:
            assert kind in MAY_CLOSE, f"no reply: {failure}"
            reply = None
        has_failed = self.faults.disarm() > 0
        if kind == "postgres":
            self.let_reconnect()
        assert self.daemon.process.poll() is None, f"it ended with {self.daemon.process.returncode}: {self.daemon.lines()[-3:]}"
        step.tidy()
        return reply, has_failed

    def let_reconnect(self):
        """A connection that was lost while it was idle is found by the next request, which is refused; there are several."""
        n_well = 0
        for _ in range(500):
            n_well = n_well + 1 if self.daemon.request("GET", "/v1/jobs").status_code == 200 else 0
            if n_well >= 8 and self.daemon.request("GET", "/readyz").json() == {"status": "ready"}:
                return
            time.sleep(0.02)
        raise AssertionError("it does not connect anew")

    def check(self, step, reply, golden, has_failed):
        if reply is None:
            return
        if reply.status_code == golden.status_code:
            if step.is_job:
                check_job(reply.json(), golden.json(), has_failed)
            elif step.name == "cancelJob":
                check_cancelled(reply)
            elif step.name == "activateModel" and has_failed:
                check_reply(BY_NAME[step.name], reply)  # it is done; what cannot be read of files is left out
            else:
                check_same(reply, golden)
            return
        assert has_failed and reply.status_code in REFUSALS, (reply.status_code, reply.text[:500])
        operation = BY_NAME.get(step.name, BY_NAME["submitJob"])
        if not step.is_job:
            check_reply(operation, reply)
        assert str(self.root) not in reply.text, "a place of the machine is told"

    def try_point(self, step, kind, n, golden, error=0):
        """The step with the fault and again without; returns whether something was left behind."""
        rest = self.at_rest()
        reply, has_failed = self.run_faulty(step, kind, n, error)
        self.check(step, reply, golden, has_failed)
        again, _ = self.run_clean(step)
        self.check(step, again, golden, False)
        self.tried[kind] += has_failed
        return not wait_for(lambda: self.is_back(*rest), REST_S)

    def check_point(self, step, kind, n, golden, error=0):
        try:
            if self.try_point(step, kind, n, golden, error):
                rest = self.at_rest()
                if all(self.try_point(step, kind, n, golden, error) for _ in range(N_CONFIRM)):
                    now = self.at_rest()
                    blocks = now[0] - rest[0] - (N_CONFIRM if is_forgotten_by_libzip(self.faults.trace()) else 0)
                    assert blocks < N_CONFIRM and now[1] - rest[1] < N_CONFIRM, f"it leaks: {rest} {now}"
        except Exception as failure:
            self.faults.disarm()
            raise AssertionError(f"{step.name}: {kind} {n} (error {error}): {failure}\n" + "\n".join(self.faults.trace())) from failure

    def sweep(self, step, choose, kinds=None):
        """The points of a step that `choose` takes of all."""
        self.run_clean(step)  # what is loaded when it is first asked for
        golden, counts = self.run_clean(step)
        for kind in kinds or self.faults.kinds:
            for n in choose(counts[kind]):
                for error in (0, *(MORE_ERRORS.get(kind, ()) if choose is every else ())):
                    self.check_point(step, kind, n, golden, error)

    def end(self):
        """It stops in order, has left no file that it was writing, and finds what it stored."""
        self.remove_jobs()
        assert self.daemon.stop() == 0, self.daemon.lines()[-5:]
        self.daemon.start()
        assert self.daemon.jobs() == [] and self.daemon.request("GET", "/readyz").json() == {"status": "ready"}
        left = [name for name in tree(self.root) if name.endswith(".tmp") or "/jobs/" in name]
        assert left == []
        assert self.daemon.stop() == 0


def is_forgotten_by_libzip(trace):
    return len(trace) > 2 and all(part in frame for part, frame in zip(LIBZIP_FORGETS_ONE, trace))


def check_cancelled(reply):
    assert reply.status_code == 200 and reply.json()["state"] == "cancelled", reply.text


def check_job(job, golden, has_failed):
    """It has ended as the other did, or with the fault's sentence, or is to be tried again."""
    assert (job["kind"], job["params"]) == (golden["kind"], golden["params"])
    if job["state"] == golden["state"]:
        assert set(job["result"]) == set(golden["result"]), job
    else:
        assert has_failed and job["state"] in ("queued", "running", "failed"), job


def check_same(reply, golden):
    assert reply.status_code == golden.status_code, (reply.status_code, reply.text[:500])
    kind = golden.headers.get("Content-Type", "")
    assert reply.headers.get("Content-Type", "") == kind
    if kind.startswith("application/json"):
        check_like(golden.json(), reply.json())
    elif kind.startswith("text/plain"):  # figures, which vary
        assert bool(reply.text) == bool(golden.text)
    else:
        assert reply.content == golden.content


@contextlib.contextmanager
def session(root, *arguments):
    root.mkdir(exist_ok=True)
    made = Session(root, *arguments)
    try:
        yield made
    finally:
        made.faults.disarm()
        if made.daemon.process.poll() is None:
            made.daemon.stop()


# ---- tests -----------------------------------------------------------------------------------------------


def every(n):
    return range(1, n + 1)


def some_of(seed, most):
    """The first call, the last, and some between them: others for each step."""
    generator = random.Random(seed)

    def choose(n):
        if n <= most:
            return every(n)
        return sorted({1, n, *generator.sample(range(2, n), most - 2)})

    return choose


def test_the_session_has_every_operation_and_every_kind_of_job(tmp_path):
    with session(tmp_path / "root") as made:
        names = {step.name for step in made.steps}
        assert names >= set(BY_NAME) - {"submitJob"}
    assert {order["kind"] for order in ORDERS.values()} == set(CONTRACT["components"]["schemas"]["JobKind"]["enum"])


SAMPLE = 2
# Jobs take their time to be tried again: each step tries some of the kinds, in turn.
JOB_KINDS = ("memory", "write", "sqlite", "open", "sync", "rename")
SLOW = set(ORDERS) | {"deleteJob", "cancelJob", "activateModel", "v2Load", "v2Unload"}


def test_a_call_that_fails_hurts_nothing_but_its_request(tmp_path):
    with session(tmp_path / "root") as made:
        for i, step in enumerate(made.steps):
            if step.name in SLOW:
                made.sweep(step, lambda n, i=i: [1 + i * 7919 % n] if n else [], [JOB_KINDS[i % 6]])
            else:
                made.sweep(step, some_of(i, SAMPLE))
        made.end()
        assert sum(made.tried.values()) > 250 and len(made.tried) >= 7, made.tried


@pytest.mark.long
@pytest.mark.parametrize("part", range(8))
def test_every_call_that_fails_hurts_nothing_but_its_request_at_length(part, tmp_path, capsys):
    """Steps in parts, that can run side by side."""
    with session(tmp_path / "root") as made:
        for step in made.steps[part::8]:
            made.sweep(step, every)
        made.end()
        with capsys.disabled():
            print(f"\nfault points of part {part}: {dict(made.tried)}")


# ---- the start, and the first of each request ------------------------------------------------------------


def start_with_fault(root, faults, number, n):
    """Starts and, where it comes up, stops a daemon whose n-th call of the kind fails; returns (what it said, exit code)."""
    faults.prepare(number, n)
    command = [BINARY, "serve", "--root", root, "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=faults.environment) as process:
        said = []
        for line in process.stderr:
            said.append(line)
            if "listening on" in line:
                faults.disarm()
                process.send_signal(signal.SIGTERM)
        return said, process.wait(timeout=60)


# What ends the process by itself, and why nothing can be done about it here.
ENDS_BY_ITSELF = {
    "memory": ("uv_", "uv__", "blas_"),  # libuv and OpenBLAS abort where they lack memory while they begin
    "thread": ("blas_",),
}


def try_start(root, faults, kind, n):
    if faults.trace_path.exists():
        os.truncate(faults.trace_path, 0)
    said, code = start_with_fault(root, faults, faults.kinds.index(kind), n)
    if code < 0 and any(name in "".join(faults.trace()) for name in ENDS_BY_ITSELF.get(kind, ())):
        return
    listened = any("listening on" in line for line in said)
    assert code == 0 or (code == 1 and not listened and any(line.startswith("dgld: ") for line in said)), (kind, n, code, said, faults.trace())


def sweep_starts(path, choose):
    root = path / "root"
    root.mkdir()
    make_root(root)
    faults = Faults(path / "faults")
    start_with_fault(root, faults, -1, 0)
    counts = faults.counts()
    tried = collections.Counter()
    for kind in set(counts) - {"accept", "send", "postgres"}:
        for n in choose(counts[kind]):
            try_start(root, faults, kind, n)
            tried[kind] += 1
    start_with_fault(root, faults, -1, 0)
    return tried


def test_a_start_with_a_call_that_fails_serves_or_says_why_not(tmp_path):
    sweep_starts(tmp_path, some_of(7, 3))


@pytest.mark.long
def test_every_start_with_a_call_that_fails_serves_or_says_why_not_at_length(tmp_path, capsys):
    """Of memory and SQLite, which a start asks for thousands of times, a thousand."""
    tried = sweep_starts(tmp_path, some_of(8, 1000))
    with capsys.disabled():
        print(f"\nfault points of the start: {dict(tried)}")


# ---- a job store at a server -----------------------------------------------------------------------------

STORED = ("listJobs", "getJob", "deleteJob", "nas")


def sweep_server(root, uri, choose):
    """The connection is lost at a call of libpq's, of those that the steps take."""
    with session(root, "--job-store", uri) as made:
        for step in made.steps:
            if step.name in STORED:
                made.sweep(step, choose, ["postgres"])
        made.remove_jobs()
        assert wait_for(lambda: made.daemon.request("GET", "/readyz").json() == {"status": "ready"})
        assert made.daemon.stop() == 0
        return made.tried


def test_a_lost_connection_to_the_server_of_jobs_hurts_nothing_but_its_request(tmp_path, postgres):
    assert sweep_server(tmp_path / "root", postgres.uri, some_of(5, 2))["postgres"] > 4


@pytest.mark.long
def test_every_lost_connection_to_the_server_of_jobs_hurts_nothing_but_its_request_at_length(tmp_path, postgres, capsys):
    tried = sweep_server(tmp_path / "root", postgres.uri, every)
    with capsys.disabled():
        print(f"\nfault points of libpq: {tried['postgres']}")
