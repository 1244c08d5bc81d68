"""Several daemons on one database and one tree: everything of the tree is visible to all, and jobs come to
one end whatever happens to their runners.

DGLD_TEST_SEED repeats a run's choices, which a failing one prints; what the scheduler does stays chance.
"""

import collections
import hashlib
import itertools
import json
import os
import random
import re
import shutil
import signal
import threading
import time

import pytest
import requests
from job_tools import ENDED, SPACE, Daemon, add_search_table, add_unseen_device, check_whole, files_of, mlp, nas, order, tree
from safetensors import safe_open

LEASE_MS = 1000
PHONE = {"hardware": {"frequency_ghz": 2, "dispatch_width": 3, "cache_mb": 1, "memory_bandwidth_gbs": 7.46}}
ASKED = {"search_space": SPACE, "hardware": [2, 3, 1, 7.46], "architectures": ["444244"]}


def wait_until(is_so, limit_s=20):
    deadline = time.monotonic() + limit_s
    while not (result := is_so()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return result


@pytest.fixture
def replicas(small, postgres):
    """Three daemons that share the root and the database."""
    add_search_table(small)
    add_unseen_device(small)
    shutil.copy(small / f"result/{SPACE}/pretrainmodel.safetensors", small / f"result/{SPACE}/pretrainmodel-first.safetensors")
    arguments = ("--job-store", postgres.uri, "--job-workers", 3, "--job-lease-ms", LEASE_MS)
    made = [Daemon(small, *arguments, "--log-level", "debug", "--job-attempts-max", 1000).start() for _ in range(3)]
    yield made
    for daemon in made:
        if daemon.process.poll() is None:
            daemon.process.send_signal(signal.SIGCONT)
            assert daemon.stop() == 0


# ---- what is shared ------------------------------------------------------------------------------


def served(daemon):
    return daemon.request("POST", "/v1/predict", json=ASKED).json()["model"]["version"]


def test_a_model_that_is_activated_at_one_is_served_by_all_within_two_seconds(replicas):
    before = {served(one) for one in replicas}
    assert len(before) == 1
    job = replicas[0].wait(replicas[0].submit(order("train"))["id"], "succeeded")
    versions = [job["result"]["version"], *before] * 2
    for one, version in zip(itertools.cycle(replicas), versions):
        reply = one.request("POST", f"/v1/models/{SPACE}/activate", json={"version": version})
        assert reply.status_code == 200, reply.text
        assert served(one) == version
        wait_until(lambda: {served(each) for each in replicas} == {version}, limit_s=2)


def test_a_model_of_a_job_is_activated_for_all_when_the_job_has_ended(replicas):
    submitted = replicas[0].submit(order("train", activate=True, force=True))
    job = replicas[1].wait(submitted["id"], "succeeded")
    assert job["result"]["activated"] is True
    wait_until(lambda: {served(each) for each in replicas} == {job["result"]["version"]}, limit_s=3)
    assert not (replicas[0].root / "result" / SPACE / ".activations").exists()


def ask_for(root, id, attempt, model):
    """Writes down that an attempt's model is to be served, as its runner does before it stores its end."""
    path = root / "result" / SPACE / ".activations" / f"{id}.{attempt}"
    path.parent.mkdir(exist_ok=True)
    path.write_text(model)
    return path


def test_an_activation_whose_runner_was_killed_is_made_up_for(replicas):
    job = replicas[0].wait(replicas[0].submit(order("train"))["id"], "succeeded")
    model = job["result"]["files"][0].split("/")[-1].removesuffix(".safetensors")
    asked = ask_for(replicas[0].root, job["id"], job["attempt"], model)
    wait_until(lambda: {served(each) for each in replicas} == {job["result"]["version"]}, limit_s=10)
    wait_until(lambda: not asked.exists())


def test_an_activation_of_an_attempt_that_lost_its_job_or_came_too_late_is_none(replicas):
    one = replicas[0]
    version = served(one)
    job = one.wait(one.submit(order("train"))["id"], "succeeded")
    model = job["result"]["files"][0].split("/")[-1].removesuffix(".safetensors")
    asked = ask_for(one.root, job["id"], job["attempt"] + 1, model)
    wait_until(lambda: not asked.exists())
    assert {served(each) for each in replicas} == {version}
    asked = ask_for(one.root, job["id"], job["attempt"], model)  # and then another decision
    activated = one.request("POST", f"/v1/models/{SPACE}/activate", json={"version": "mlp"}).json()["version"]
    wait_until(lambda: not asked.exists())
    wait_until(lambda: {served(each) for each in replicas} == {activated}, limit_s=3)


def test_devices_and_measurements_of_one_are_known_to_all_at_once(replicas):
    rows = {"architectures": ["444244", "111111", "555555"], "latency_ms": [40.0, 20.0, 30.0]}
    for n, (one, other) in enumerate(itertools.permutations(replicas, 2)):
        path = f"/v1/devices/Phone%20{n % 2}"
        asked = {"search_space": SPACE, "device": f"Phone {n % 2}", "architectures": ["444244"]}
        phone = {"hardware": PHONE["hardware"] | {"frequency_ghz": 1.0 + n}}
        assert one.request("PUT", path, json=phone).status_code in (200, 201)
        told = other.request("GET", path).json()
        assert told["hardware"]["frequency_ghz"] == 1.0 + n
        plain = other.request("POST", "/v1/predict", json=asked).json()["latency_ms"]
        assert one.request("POST", "/v1/predict", json=asked).json()["latency_ms"] == plain
        assert one.request("PUT", f"{path}/measurements/{SPACE}", json=rows).status_code in (200, 201)
        fitted = other.request("POST", "/v1/predict", json=asked).json()["latency_ms"]
        assert fitted != plain and one.request("POST", "/v1/predict", json=asked).json()["latency_ms"] == fitted
        assert other.request("DELETE", f"{path}/measurements/{SPACE}").status_code == 204
        assert one.request("POST", "/v1/predict", json=asked).json()["latency_ms"] == plain


def test_of_two_conditional_writes_at_two_replicas_one_wins(replicas):
    """Of each round's writers, who all saw the same state, exactly one may replace it."""
    path = "/v1/devices/Contested"
    assert replicas[0].request("PUT", path, json=PHONE).status_code == 201
    start = threading.Barrier(6)
    outcomes = collections.Counter()

    def write(one, number, etag):
        start.wait()
        phone = {"hardware": PHONE["hardware"] | {"frequency_ghz": number / 1000}}
        outcomes[one.request("PUT", path, json=phone, headers={"If-Match": etag}).status_code] += 1

    for n in range(15):
        etag = replicas[n % 3].request("GET", path).headers["ETag"]
        threads = [threading.Thread(target=write, args=(replicas[k % 3], 1000 + 10 * n + k, etag)) for k in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        assert outcomes == {200: n + 1, 412: 5 * (n + 1)}


def test_a_writer_that_is_stopped_holds_up_writers_for_seconds_and_predictions_not_at_all(replicas):
    """It is stopped while it holds the lock, as one is that writes all the time, sooner or later."""
    stopped, other, _ = replicas
    over = threading.Event()

    def write():
        for n in itertools.count():
            if over.is_set():
                return
            try:
                stopped.request("PUT", "/v1/devices/Busy", json={"hardware": PHONE["hardware"] | {"frequency_ghz": 1 + n % 9}})
            except requests.RequestException:
                return

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    statuses = collections.Counter()
    try:
        for _ in range(20):
            stopped.process.send_signal(signal.SIGSTOP)
            reply = other.request("PUT", "/v1/devices/Other%20one", json=PHONE)
            statuses[reply.status_code] += 1
            assert reply.status_code in (200, 201) or reply.status_code == 503 and "Retry-After" in reply.headers
            assert other.request("POST", "/v1/predict", json=ASKED, timeout=5).status_code == 200
            stopped.process.send_signal(signal.SIGCONT)
            if statuses[503]:
                break
            time.sleep(0.02)
    finally:
        over.set()
        stopped.process.send_signal(signal.SIGCONT)
        for thread in threads:
            thread.join(timeout=60)
    wait_until(lambda: other.request("PUT", "/v1/devices/Other%20one", json=PHONE).status_code == 200)


def test_a_space_that_is_declared_at_one_is_known_to_all(replicas):
    def known(one):
        return {space["name"] for space in one.request("GET", "/v1/spaces").json()["spaces"]}

    first, second, third = replicas
    own = {"genes": [{"name": "kernel", "values": [3, 5, 7]}, {"name": "depth", "first": 1, "n_values": 40}]}
    made = first.request("PUT", "/v1/spaces/own", json=own)
    assert made.status_code == 201, made.text
    wait_until(lambda: all("own" in known(one) for one in replicas), limit_s=2)
    # who looks before writing sees what others wrote, however short a time ago
    changed = own | {"about": "one of our own"}
    assert second.request("PUT", "/v1/spaces/own", json=changed, headers={"If-Match": made.headers["ETag"]}).status_code == 200
    assert third.request("PUT", "/v1/spaces/own", json=own, headers={"If-Match": made.headers["ETag"]}).status_code == 412
    assert third.request("DELETE", "/v1/spaces/own").status_code == 204
    wait_until(lambda: not any("own" in known(one) for one in replicas), limit_s=2)


# ---- jobs, while replicas are killed, stopped and robbed of their database -----------------------


class Client(threading.Thread):
    """Submits jobs to whichever replica answers, each until it is acknowledged."""

    def __init__(self, replicas, orders, lasting_s, seed):
        super().__init__(daemon=True)
        self.replicas, self.orders, self.chance = replicas, orders, random.Random(seed)
        self.pause_s = lasting_s / len(orders)
        self.ids, self.n_refused, self.wrong = {}, 0, []

    def run(self):
        for key, body in self.orders:
            while key not in self.ids and not self.wrong:
                try:
                    self.send(key, body)
                except requests.RequestException:  # it is down, or stopped
                    time.sleep(0.02)
            time.sleep(self.chance.uniform(0, 2 * self.pause_s))

    def send(self, key, body):
        one = self.chance.choice(self.replicas)
        reply = one.request("POST", "/v1/jobs", json=body, headers={"Idempotency-Key": key}, timeout=1.5)
        if reply.status_code in (200, 202):
            self.ids[key] = reply.json()["id"]
        elif reply.status_code == 503 and "Retry-After" in reply.headers:
            self.n_refused += 1
            time.sleep(0.05)
        elif reply.status_code == 409 and "is being carried out" in reply.text:
            time.sleep(0.05)  # the one before, that was not waited for
        else:
            self.wrong.append((reply.status_code, reply.text))


class Predicting(threading.Thread):
    """Predicts at one replica all the time, which has to succeed where that was alive all the time."""

    def __init__(self, replica):
        super().__init__(daemon=True)
        self.replica, self.is_over, self.n, self.wrong = replica, threading.Event(), 0, []

    def run(self):
        while not self.is_over.is_set():
            disturbed, n_disturbed = self.replica.is_disturbed, self.replica.n_disturbed
            try:
                reply = self.replica.request("POST", "/v1/predict", json=ASKED, timeout=20)
                said = None if reply.status_code == 200 else reply.text
            except requests.RequestException as error:
                said = str(error)
            if not disturbed and n_disturbed == self.replica.n_disturbed:
                self.n += 1
                self.wrong += [said] if said else []
            time.sleep(0.05)


class Watching(threading.Thread):
    """Notes the bytes of each job's files when it is first seen to have ended."""

    def __init__(self, replicas):
        super().__init__(daemon=True)
        self.replicas, self.is_over, self.digests, self.wrong = replicas, threading.Event(), {}, []

    def run(self):
        while not self.is_over.is_set():
            for one in self.replicas:
                try:
                    self.look(one.request("GET", "/v1/jobs", params={"state": "succeeded", "limit": 1000}, timeout=1.5))
                except requests.RequestException:
                    pass
            time.sleep(0.2)

    def look(self, reply):
        for job in reply.json()["jobs"] if reply.status_code == 200 else []:
            if job["state"] == "succeeded" and job["id"] not in self.digests:
                try:
                    self.digests[job["id"]] = digest(self.replicas[0].root, job)
                except OSError as error:
                    self.wrong.append(f"{job['id']} has ended, but: {error}")


def digest(root, job):
    return {file: hashlib.sha256((root / "result" / file).read_bytes()).hexdigest() for file in job["result"]["files"]}


def make_orders(n, chance):
    kinds = (
        (12, lambda seed: nas(seed=seed, export=[])),
        (2, lambda seed: nas(seed=seed)),
        (4, lambda seed: order("test", holdout=True, predictor="cost", test_devices=["Other"], seed=seed)),
        (6, lambda seed: order("train", seed=seed)),
        (2, lambda seed: order("train", seed=seed, activate=True, force=True)),
        (1, lambda seed: mlp(chance.choice((1001, 2500)), seed=seed)),
    )
    made = chance.choices([make for _, make in kinds], [weight for weight, _ in kinds], k=n)
    return [(f"key-{seed}", make(seed)) for seed, make in enumerate(made)]


def is_busy(daemon):
    """Whether a job runs there, as far as its log tells."""
    running = set()
    for entry in daemon.lines(-1):
        if found := re.match(r"job (\S+): attempt (\d+) .* begun$", entry["message"]):
            running.add(found.groups())
        elif found := re.match(r"job (\S+): attempt (\d+) \(.* after", entry["message"]):
            running.discard(found.groups())
    return bool(running)


class disturbance:
    """In it a replica is not alive."""

    def __init__(self, replica):
        self.replica = replica

    def __enter__(self):
        self.replica.is_disturbed = True
        self.replica.n_disturbed += 1

    def __exit__(self, *_):
        self.replica.n_disturbed += 1
        self.replica.is_disturbed = False


def kill(replicas, chance):
    one = chance.choice(replicas)
    with disturbance(one):
        one.kill()
        time.sleep(chance.uniform(0, 1))
        one.start()


def stop(replicas, chance):
    """Beyond its lease, while it runs a job where one does."""
    one = next((one for one in chance.sample(replicas, 3) if is_busy(one)), replicas[0])
    with disturbance(one):
        one.process.send_signal(signal.SIGSTOP)
        time.sleep(LEASE_MS / 1000 * chance.uniform(2.2, 3.5))
        one.process.send_signal(signal.SIGCONT)
        time.sleep(0.2)


def restart_database(replicas, postgres, chance):
    """Meanwhile submissions are refused, to be sent again."""
    postgres.stop(chance.choice((signal.SIGINT, signal.SIGQUIT)))
    time.sleep(0.3)
    for one in replicas:
        reply = one.request("POST", "/v1/jobs", json=nas(export=[]))
        assert reply.status_code == 503 and int(reply.headers["Retry-After"]) >= 1, reply.text
        assert one.request("POST", "/v1/predict", json=ASKED).status_code == 200
    time.sleep(chance.uniform(0, 2 * LEASE_MS / 1000))
    postgres.start()


def check_jobs(root, jobs, acknowledged, orders, seen):
    """Every submission is one job, which has ended well, with the files that the store tells of."""
    by_seed = collections.Counter(job["params"]["seed"] for job in jobs)
    assert max(by_seed.values()) == 1 and len(jobs) == len(orders), "one submission made several jobs"
    by_id = {job["id"]: job for job in jobs}
    for key, id in acknowledged.items():
        assert id in by_id, f"{key} is lost"
        assert f"key-{by_id[id]['params']['seed']}" == key
    for job in jobs:
        assert job["state"] == "succeeded", job
        check_whole(root, job)
        assert digest(root, job) == seen[job["id"]], f"files of {job['id']} changed after its end"
        for file in job["result"]["files"]:
            path = root / "result" / file
            if path.name == "result.json":
                said = {name: value for name, value in job["result"].items() if name != "files"}
                told = json.loads(path.read_text())
                assert {name: told[name] for name in said} == said
            elif path.suffix == ".safetensors":
                with safe_open(path, "numpy") as model:
                    assert model.metadata()["version"] == job["result"]["version"]


def check_logs(replicas):
    """Each attempt was begun once, and at most one of a job ended well."""
    begun, ended, n_lost = collections.Counter(), collections.Counter(), 0
    for one in replicas:
        for entry in one.lines():
            message = entry["message"]
            if found := re.match(r"job (\S+): attempt (\d+) .* begun$", message):
                begun[found.groups()] += 1
            elif found := re.match(r"job (\S+): attempt (\d+) \(.*\) (succeeded|failed|cancelled) after", message):
                ended[found[1]] += 1
            n_lost += "had lost its lease" in message
    assert max(begun.values()) == 1 and max(ended.values()) == 1
    return n_lost


def run_disturbed(replicas, postgres, n_jobs, disturbances, capsys, seed=None):
    seed = seed or int(os.environ.get("DGLD_TEST_SEED", random.SystemRandom().randrange(10**6)))
    print(f"DGLD_TEST_SEED={seed}")
    chance = random.Random(seed)
    root = replicas[0].root
    before = tree(root)
    for one in replicas:
        one.is_disturbed, one.n_disturbed = False, 0
    orders = make_orders(n_jobs, chance)
    lasting_s = 3.5 * len(disturbances)  # about as long as they take
    clients = [Client(replicas, orders[n::6], lasting_s, seed + n) for n in range(6)]
    watching = Watching(replicas)
    others = [watching] + [Predicting(one) for one in replicas]
    begun = time.monotonic()
    for thread in clients + others:
        thread.start()
    try:
        for disturb in chance.sample(disturbances, len(disturbances)):
            time.sleep(chance.uniform(0.5, 1.5))
            disturb(replicas, chance) if disturb is not restart_database else disturb(replicas, postgres, chance)
        for client in clients:
            client.join(timeout=600)
            assert not client.is_alive() and not client.wrong, client.wrong
        assert sum(client.n_refused for client in clients) > 0, "the database was never missed"
        deadline = time.monotonic() + 300
        while left := [job for job in replicas[0].jobs() if job["state"] not in ENDED]:
            assert time.monotonic() < deadline, left
            time.sleep(0.1)
        ended_s = time.monotonic() - begun
        wait_until(lambda: len(watching.digests) == len(replicas[0].jobs()))
    finally:
        for thread in others:
            thread.is_over.set()
        for thread in others:
            thread.join(timeout=60)
    for thread in others:
        assert not thread.wrong, thread.wrong[:3]
    assert min(thread.n for thread in others[1:]) > 10
    jobs = replicas[0].jobs()
    assert all(one.jobs() == jobs for one in replicas)
    acknowledged = {key: id for client in clients for key, id in client.ids.items()}
    assert set(acknowledged) == {key for key, _ in orders}
    # what was lost is swept: at once by who lost it, or at the next start
    replicas[0].stop()
    replicas[0].start()
    named = {f"result/{file}" for job in jobs for file in job["result"]["files"]}
    kept = re.compile(rf"result/{SPACE}/models/[a-z]+-[0-9a-f]+\.safetensors")  # models that were replaced
    wait_until(lambda: not {f for f in tree(root) - before - named if not kept.fullmatch(f)}, limit_s=60)
    assert not list(root.rglob("*.tmp"))
    assert not [d for d in (root / "result" / SPACE / "jobs").glob("*") if not any(d.iterdir())]
    check_jobs(root, jobs, acknowledged, orders, watching.digests)
    # what is served is one of the models that were to be, by all
    activated = {job["result"]["version"] for job in jobs if job["result"].get("activated")}
    versions = wait_until(lambda: (v := {served(one) for one in replicas}) and len(v) == 1 and v, limit_s=3)
    assert versions <= activated
    n_lost = check_logs(replicas)
    with capsys.disabled():
        attempts = collections.Counter(job["attempt"] for job in jobs)
        print(f"\n{n_jobs} jobs in {ended_s:.1f} s, attempts {dict(attempts)}, {n_lost} lost leases, "
              f"{sum(client.n_refused for client in clients)} refusals, {sum(t.n for t in others[1:])} predictions")
    assert max(job["attempt"] for job in jobs) > 1, "no job was interrupted"


def test_jobs_come_to_one_end_while_replicas_are_killed_and_stopped(replicas, postgres, capsys):
    run_disturbed(replicas, postgres, 150, [kill, stop, restart_database], capsys)


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_thousand_jobs_come_to_one_end_at_length(replicas, postgres, capsys, seed):
    run_disturbed(replicas, postgres, 1000, [kill] * 8 + [stop] * 8 + [restart_database] * 3, capsys, seed)


def test_a_search_that_is_stopped_while_it_writes_changes_nothing_of_its_successor(replicas):
    """Stopped with its files staged, and its directory taken from under it."""
    root = replicas[0].root
    for one in replicas:
        one.is_disturbed, one.n_disturbed = False, 0
    for _ in range(20):
        id = replicas[0].submit(nas())["id"]
        while not (staged := list((root / f"result/{SPACE}/jobs").glob(f"{id}/.model.*"))):
            if replicas[0].job(id)["state"] in ENDED:
                break
        if staged:
            break
    assert staged, "it is too quick to be caught"
    runner = next(one for one in replicas if any(f"job {id}: attempt 1 " in e["message"] for e in one.lines()))
    runner.process.send_signal(signal.SIGSTOP)
    other = next(one for one in replicas if one is not runner)
    job = other.wait(id)
    if job["attempt"] == 1:
        pytest.skip("it was done before it could be stopped")
    assert job["state"] == "succeeded" and job["result"]["files"][0] == f"{SPACE}/jobs/{id}/attempt-2/result.json"
    before = digest(root, job)
    runner.process.send_signal(signal.SIGCONT)
    wait_until(lambda: any("had lost its lease" in entry["message"] for entry in runner.lines()))
    assert other.job(id) == runner.job(id) == job and digest(root, job) == before
    check_whole(root, job)
