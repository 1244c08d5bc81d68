"""Measures speed, and says how it compares: with the aims, with nginx, with an earlier run.

    bench.py                       a table, and build/bench/<commit>.csv
    bench.py --quick               the same in a few seconds, for trying out
    bench.py --compare A.csv B.csv  ratios of two runs

Figures are medians of several runs, with the lowest and the highest. What is compared with nginx runs in
turns with it, so that both see the same machine. Everything stays on loopback, every step has a time
limit, and what was started is stopped, however the run ends.
"""

import argparse
import contextlib
import csv
import dataclasses
import datetime
import http.client
import itertools
import json
import os
import pathlib
import platform
import random
import re
import shutil
import signal
import socket
import sqlite3
import statistics
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
BINARY = ROOT / "build" / "dgld"
PROGRAMS = ROOT / "build" / "release" / "tests" / "bench"
BENCH_CORE = PROGRAMS / "bench_core"
PATH = "/v1/predict"
HARDWARE = [2.0, 4, 2, 14.9]
COLUMNS = ["metric", "unit", "aim", "better", "median", "low", "high", "runs"]
RUN_COLUMNS = ["commit", "date", "cpu", "cores"]

NGINX_CONFIG = """
daemon off;
worker_processes auto;
pid nginx.pid;
error_log stderr;
events { worker_connections 1024; }
http {
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 3600s;
    client_body_temp_path tmp_body;
    proxy_temp_path tmp_proxy;
    fastcgi_temp_path tmp_fastcgi;
    uwsgi_temp_path tmp_uwsgi;
    scgi_temp_path tmp_scgi;
    server {
        listen 127.0.0.1:%(port)d;
        location = %(path)s { default_type %(type)s; return 200 '%(body)s'; }
    }
}
"""


class BenchError(Exception):
    """The run cannot go on; the sentence says why."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """How long a run takes."""

    core_runs: int = 21
    starts: int = 15
    rounds: int = 5
    round_s: int = 4
    batch_rounds: int = 3
    batch_s: int = 3
    loop_s: int = 4
    ended_jobs: int = 100_000
    polls: int = 1000
    limit_s: int = 600
    search_limit_s: int = 7200  # most of which is the peers'


QUICK = Plan(core_runs=5, starts=5, rounds=2, round_s=1, batch_rounds=1, batch_s=1, loop_s=1, ended_jobs=2000, polls=100, limit_s=180, search_limit_s=180)


@dataclasses.dataclass
class Figure:
    metric: str
    unit: str
    better: str  # "lower" or "higher"
    median: float
    low: float
    high: float
    runs: int
    aim: float | None = None

    @classmethod
    def of(cls, metric, unit, better, values, aim=None):
        return cls(metric, unit, better, statistics.median(values), min(values), max(values), len(values), aim)

    @classmethod
    def of_row(cls, row):
        """A row of a table, text as it is."""
        numbers = [float(row[key]) for key in ("median", "low", "high")]
        aim = float(row["aim"]) if row["aim"] else None
        return cls(row["metric"], row["unit"], row["better"], *numbers, int(row["runs"]), aim)

    def is_met(self):
        return self.median <= self.aim if self.better == "lower" else self.median >= self.aim


# ---- processes ---------------------------------------------------------------------------------------


def stop(process):
    """Ends a process and the workers of its group; asks first."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=5)


@contextlib.contextmanager
def started(command, **keywords):
    """A process in a group of its own, for as long as the block lasts."""
    process = subprocess.Popen(list(map(str, command)), start_new_session=True, **keywords)
    try:
        yield process
    finally:
        stop(process)


def run(command, timeout_s):
    """Runs a program to its end and returns what it printed."""
    with started(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT) as process:
        try:
            output, _ = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise BenchError(f"no end after {timeout_s} s: {command[0]}") from None
    if process.returncode != 0:
        raise BenchError(f"{command[0]} failed with {process.returncode}: {output[-2000:]}")
    return output


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for_200(process, port, path, limit_s=20):
    """Asks again and again until the answer is 200."""
    question = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=limit_s) as connection:
                connection.sendall(question)
                if connection.recv(64).split(b" ")[1:2] == [b"200"]:
                    return
        except OSError:
            pass
        time.sleep(0.0002)
    raise BenchError(f"no 200 from port {port}{path}; exit code {process.poll()}")


def cpu_seconds(process):
    """Processor time that a process and its children have used so far."""
    tree = pathlib.Path("/proc", str(process.pid), "task", str(process.pid), "children").read_text().split()
    ticks = 0
    for pid in [str(process.pid), *tree]:
        fields = pathlib.Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


# ---- the core, and the start of the daemon -----------------------------------------------------------


def find_data():
    """The measured data: linked into data/, or beside the checkout; None where there is none."""
    for place in (ROOT / "data", ROOT.parent / "shared" / "data" / "dgl"):
        if all((place / space / "a.txt").is_file() for space in ("nasbench201", "fbnetv3")):
            return place
    print("no measured data in data/ or ../shared: training is not measured", file=sys.stderr)
    return None


def measure_core(plan):
    output = run([BENCH_CORE, ROOT, find_data() or "-", plan.core_runs], timeout_s=240)
    for row in csv.DictReader(output.splitlines(), COLUMNS):
        yield Figure.of_row(row)


def measure_hot_paths(plan):
    """From the bytes of a body to those of a reply, without HTTP, and what jansson takes for the same JSON."""
    output = run([PROGRAMS / "hot_paths", ROOT, plan.core_runs], timeout_s=240)
    rows = {row["metric"]: Figure.of_row(row) for row in csv.DictReader(output.splitlines(), COLUMNS)}
    yield from rows.values()
    for what in ("single", "batch"):
        ours, theirs = rows[f"json_{what}"], rows[f"jansson_{what}"]
        ratio = ours.median / theirs.median
        yield Figure(f"json_{what}_ratio", "of jansson", "lower", ratio, ours.low / theirs.high, ours.high / theirs.low, ours.runs, 1.3)


def serve_command(port):
    return [BINARY, "serve", "--root", ROOT, "--port", port]


def measure_start(plan):
    """From just before exec to the first 200 on /readyz."""
    values = []
    for _ in range(plan.starts):
        port = free_port()
        begin = time.perf_counter()
        with started(serve_command(port), stderr=subprocess.DEVNULL) as process:
            wait_for_200(process, port, "/readyz")
            values.append(1e3 * (time.perf_counter() - begin))
    yield Figure.of("start_to_ready", "ms", "lower", values, aim=30)


# ---- requests ----------------------------------------------------------------------------------------


def predict_body(n):
    """A request for `n` architectures of nasbench201, in the short notation."""
    everything = ["".join(genes) for genes in itertools.product("12345", repeat=6)]
    some = ["444244"] if n == 1 else random.Random(1).sample(everything, n)
    return json.dumps({"search_space": "nasbench201", "hardware": HARDWARE, "architectures": some})


def post(port, body, path=PATH, timeout_s=20):
    """Posts once; returns (content type, reply)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        reply = response.read()
    finally:
        connection.close()
    if response.status != 200:
        raise BenchError(f"POST {path} on port {port} answered {response.status}: {reply[:500]}")
    return response.getheader("Content-Type"), reply


@dataclasses.dataclass
class Load:
    """What wrk saw in one round."""

    rate: float  # requests a second
    cpu_us: float  # processor time of the server, a request
    p50_us: float
    p99_us: float
    errors: int


def drive(process, port, body_file, seconds, connections, path=PATH, headers=(), timeout_s=5):
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", f"{timeout_s}s", "-s", HERE / "post.lua"]
    before = cpu_seconds(process)
    output = run([*command, f"http://127.0.0.1:{port}{path}", "--", body_file, *headers], timeout_s=seconds + 20)
    used = cpu_seconds(process) - before
    line = re.search(r"^result (.*)$", output, re.M)
    if line is None:
        raise BenchError(f"wrk said nothing to be understood: {output[-2000:]}")
    seen = {key: int(value) for key, value in (word.split("=") for word in line[1].split())}
    errors = sum(seen[key] for key in ("connect", "read", "write", "timeout", "status"))
    n = max(seen["requests"], 1)
    return Load(1e6 * seen["requests"] / seen["us"], 1e6 * used / n, seen["p50_us"], seen["p99_us"], errors)


@contextlib.contextmanager
def nginx_answering(folder, content_type, reply):
    """nginx that returns `reply` to everything; yields (process, port)."""
    if b"'" in reply or b"$" in reply or b"\\" in reply:
        raise BenchError("the reply cannot stand in nginx's settings as it is")
    port = free_port()
    body = reply.decode().replace("\n", "\\n")
    (folder / "nginx.conf").write_text(NGINX_CONFIG % {"port": port, "path": PATH, "type": content_type, "body": body})
    command = ["nginx", "-p", folder, "-c", folder / "nginx.conf", "-e", "stderr"]
    with started(command, stderr=(folder / "nginx.log").open("w")) as process:
        try:
            wait_for_200(process, port, PATH)
        except BenchError as error:
            raise BenchError(f"{error}; nginx: {(folder / 'nginx.log').read_text()[-2000:]}") from None
        yield process, port


@contextlib.contextmanager
def echoing():
    """A bare libmicrohttpd handler that echoes what it gets: what the library alone makes possible."""
    port = free_port()
    with started([PROGRAMS / "echo", port, os.cpu_count()], stderr=subprocess.DEVNULL) as process:
        time.sleep(0.2)
        yield process, port


def measure_single(plan, folder, daemon, daemon_port):
    """One prediction a request, in turns with nginx that returns the same bytes, and with an echo."""
    body_file = folder / "single.json"
    body_file.write_text(predict_body(1))
    content_type, reply = post(daemon_port, body_file.read_text())
    loads = {"dgld": [], "nginx": [], "echo": []}
    with nginx_answering(folder, content_type, reply) as (nginx, nginx_port), echoing() as (echo, echo_port):
        if post(nginx_port, body_file.read_text()) != (content_type, reply):
            raise BenchError("nginx does not return the same reply")
        servers = [("dgld", daemon, daemon_port), ("nginx", nginx, nginx_port), ("echo", echo, echo_port)]
        for name, process, port in servers:
            drive(process, port, body_file, 1, 32)  # warms up
        for i in range(plan.rounds):
            for name, process, port in servers if i % 2 == 0 else reversed(servers):
                loads[name].append(drive(process, port, body_file, plan.round_s, 32))
    for name, seen in loads.items():
        yield Figure.of(f"http_single_{name}", "req/s", "higher", [load.rate for load in seen])
    medians = {name: statistics.median(load.rate for load in seen) for name, seen in loads.items()}
    for metric, name, aim in (("http_single_ratio", "dgld", 1.0), ("http_single_echo_ratio", "echo", None)):
        rounds = [ours.rate / theirs.rate for ours, theirs in zip(loads[name], loads["nginx"])]
        ratio = Figure.of(metric, "of nginx", "higher", rounds, aim=aim)
        ratio.median = medians[name] / medians["nginx"]
        yield ratio
    for name, seen in loads.items():
        yield Figure.of(f"http_single_{name}_cpu", "us/req", "lower", [load.cpu_us for load in seen])
        yield Figure.of(f"http_single_{name}_p50", "us", "lower", [load.p50_us for load in seen])
        yield Figure.of(f"http_single_{name}_p99", "us", "lower", [load.p99_us for load in seen])
    errors = [load.errors for seen in loads.values() for load in seen]
    yield Figure("http_single_errors", "requests", "lower", sum(errors), min(errors), max(errors), len(errors), 0)


def measure_batch(plan, folder, daemon, port, n, connections):
    body_file = folder / f"batch{n}.json"
    body_file.write_text(predict_body(n))
    n_answered = len(json.loads(post(port, body_file.read_text())[1])["latency_ms"])
    if n_answered != n:
        raise BenchError(f"{n_answered} latencies for {n} architectures")
    loads = [drive(daemon, port, body_file, plan.batch_s, connections) for _ in range(plan.batch_rounds)]
    yield Figure.of(f"http_batch{n}", "arch/s", "higher", [n * load.rate for load in loads])
    yield Figure.of(f"http_batch{n}_cpu", "us/arch", "lower", [load.cpu_us / n for load in loads])
    errors = [load.errors for load in loads]
    yield Figure(f"http_batch{n}_errors", "requests", "lower", sum(errors), min(errors), max(errors), len(errors), 0)


INFER_PATH = "/v2/models/nasbench201/infer"


def infer_request(n):
    """(headers, body) of an inference request with binary tensors for `n` architectures, UINT8 in, FP32 out."""
    everything = [bytes(genes) for genes in itertools.product(range(1, 6), repeat=6)]
    genes = b"".join(everything[i % len(everything)] for i in range(n))
    hardware = struct.pack("<4f", *HARDWARE)
    inputs = [
        {"name": "architecture", "datatype": "UINT8", "shape": [n, 6], "parameters": {"binary_data_size": len(genes)}},
        {"name": "hardware", "datatype": "FP32", "shape": [4], "parameters": {"binary_data_size": len(hardware)}},
    ]
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    length = str(len(head))
    headers = ["Content-Type", "application/octet-stream", "Inference-Header-Content-Length", length]
    return headers, head + genes + hardware


def measure_infer(plan, folder, daemon, port):
    """Binary tensors, in turns with a bare libmicrohttpd handler that echoes the same bytes."""
    n = 100_000
    headers, body = infer_request(n)
    body_file = folder / "infer.bin"
    body_file.write_bytes(body)
    loads = {"dgld": [], "echo": []}
    with echoing() as (echo, echo_port):
        servers = [("dgld", daemon, port), ("echo", echo, echo_port)]
        for i in range(plan.rounds):
            for name, process, at in servers if i % 2 == 0 else reversed(servers):
                loads[name].append(drive(process, at, body_file, plan.batch_s, 4, INFER_PATH, headers))
    for name, seen in loads.items():
        aim = 30e6 if name == "dgld" else None
        yield Figure.of(f"http_infer{n}_{name}", "arch/s", "higher", [n * load.rate for load in seen], aim=aim)
        yield Figure.of(f"http_infer{n}_{name}_cpu", "ns/arch", "lower", [1e3 * load.cpu_us / n for load in seen])
    ratios = [ours.rate / theirs.rate for ours, theirs in zip(loads["dgld"], loads["echo"])]
    yield Figure.of(f"http_infer{n}_ratio", "of echo", "higher", ratios, aim=0.8)
    errors = [load.errors for seen in loads.values() for load in seen]
    yield Figure(f"http_infer{n}_errors", "requests", "lower", sum(errors), min(errors), max(errors), len(errors), 0)


def open_loop(port, rate, seconds, request_file):
    """Requests that are due at fixed times; returns what the program measured, latencies in us."""
    output = run([PROGRAMS / "open_loop", port, rate, seconds, 64, request_file], timeout_s=seconds + 30)
    return {key: float(value) for key, value in re.findall(r"(\w+)=([\d.]+)", output)}


def fifth_of_capacity(folder, port):
    """Single predictions: (a fifth of as many a second as can be answered, the file of such a request)."""
    body = predict_body(1)
    single, request_file = folder / "single.json", folder / "request"
    single.write_text(body)
    request_file.write_text(
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )
    url = f"http://127.0.0.1:{port}{PATH}"
    output = run(["wrk", "-t1", "-c32", "-d2s", "-s", HERE / "post.lua", url, "--", single], timeout_s=30)
    capacity = re.search(r"requests=(\d+) us=(\d+)", output)
    return int(int(capacity[1]) / int(capacity[2]) * 1e6 / 5), request_file


def measure_beside_batches(plan, folder, port):
    """Single predictions at a fifth of capacity, alone and beside a connection that posts the whole space in a loop."""
    batch = folder / "batch15625.json"
    batch.write_text(predict_body(15625))
    url = f"http://127.0.0.1:{port}{PATH}"
    wrk = ["wrk", "-t1", "-d60s", "-s", HERE / "post.lua", "-c1", url, "--", batch]
    rate, request_file = fifth_of_capacity(folder, port)
    idle, busy = [], []
    for _ in range(plan.rounds):
        idle.append(open_loop(port, rate, plan.loop_s, request_file))
        with started(wrk, stdout=subprocess.DEVNULL):
            time.sleep(0.3)
            busy.append(open_loop(port, rate, plan.loop_s, request_file))
    yield Figure.of("open_loop_rate", "req/s", "higher", [rate])
    yield Figure.of("open_loop_p99_idle", "us", "lower", [seen["p99_us"] for seen in idle])
    limit_us = max(5000, 3 * statistics.median(seen["p99_us"] for seen in idle))
    yield Figure.of("open_loop_p99_beside_batches", "us", "lower", [seen["p99_us"] for seen in busy], aim=limit_us)
    errors = [seen["errors"] for seen in idle + busy]
    yield Figure("open_loop_errors", "requests", "lower", sum(errors), min(errors), max(errors), len(errors), 0)


def resident_mib(process):
    status = pathlib.Path("/proc", str(process.pid), "status").read_text()
    return int(re.search(r"^VmRSS:\s+(\d+) kB", status, re.M)[1]) / 1024


def measure_one_core(plan, folder):
    """A batch of the whole space through a daemon that has one core for everything."""
    port = free_port()
    core = str(min(os.sched_getaffinity(0)))
    with started(["taskset", "-c", core, *serve_command(port)], stderr=subprocess.DEVNULL) as daemon:
        wait_for_200(daemon, port, "/readyz")
        for figure in measure_batch(plan, folder, daemon, port, 15625, 4):
            if figure.metric == "http_batch15625":
                figure.metric, figure.aim = "http_batch15625_one_core", 2e6
                yield figure


def measure_http(plan):
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dgld-bench-")))
        port = free_port()
        daemon = stack.enter_context(started(serve_command(port), stderr=subprocess.DEVNULL))
        wait_for_200(daemon, port, "/readyz")
        yield Figure.of("resident_at_rest", "MiB", "lower", [resident_mib(daemon)], aim=64)
        yield from measure_single(plan, folder, daemon, port)
        yield from measure_beside_batches(plan, folder, port)
        yield from measure_batch(plan, folder, daemon, port, 100, 32)
        yield from measure_batch(plan, folder, daemon, port, 15625, 4)
        yield from measure_one_core(plan, folder)
        yield from measure_infer(plan, folder, daemon, port)


# ---- jobs --------------------------------------------------------------------------------------------

ENDLESS = 100_000_000  # epochs


def ask(port, method, path, body=None, **headers):
    """One request on a connection of its own; returns the reply's JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        headers |= {"Content-Type": "application/json"} if body else {}
        connection.request(method, path, json.dumps(body) if body else None, headers)
        response = connection.getresponse()
        reply = response.read()
    finally:
        connection.close()
    if response.status not in (200, 202):
        raise BenchError(f"{method} {path} answered {response.status}: {reply[:500]}")
    return json.loads(reply)


def training(seed=0, **params):
    return {"kind": "train", "search_space": "nasbench201", "params": {"seed": seed, **params}}


def endless(seed=0):
    return training(seed, predictor="mlp", epoch=ENDLESS)


def wait_for_job(port, id, is_there, limit_s=60):
    deadline = time.monotonic() + limit_s
    while not is_there(job := ask(port, "GET", f"/v1/jobs/{id}")):
        if time.monotonic() > deadline:
            raise BenchError(f"the job is {job['state']} still: {job}")
        time.sleep(0.02)
    return job


def is_training(job):
    return (job["progress"] or {}).get("stage") == "training"


@contextlib.contextmanager
def job_daemon(root, data, workers):
    """A daemon with a root of its own, so that jobs leave nothing in the checkout; yields (process, port)."""
    port = free_port()
    flags = ["--data-path", data, "--job-workers", workers, "--job-queue-max", 1000000, "--job-ended-max", 1000000]
    command = [BINARY, "serve", "--root", root, "--port", port, *flags]
    with started(command, stderr=subprocess.DEVNULL) as daemon:
        wait_for_200(daemon, port, "/readyz")
        yield daemon, port


def measure_submissions(plan, folder, root, data):
    """Durable ones, while a training that does not end keeps those before them in the queue."""
    body_file = folder / "job.json"
    body_file.write_text(json.dumps(training(predictor="cost")))
    with job_daemon(root, data, 3) as (daemon, port):
        id = ask(port, "POST", "/v1/jobs", endless())["id"]
        wait_for_job(port, id, is_training)
        loads = [drive(daemon, port, body_file, plan.round_s, 64, "/v1/jobs") for _ in range(plan.rounds)]
    yield Figure.of("jobs_submitted", "jobs/s", "higher", [load.rate for load in loads], aim=2000)
    yield Figure.of("jobs_submitted_p99", "us", "lower", [load.p99_us for load in loads])
    errors = [load.errors for load in loads]
    yield Figure("jobs_submitted_errors", "requests", "lower", sum(errors), min(errors), max(errors), len(errors), 0)


def fill_store(root, n):
    """Makes `n` ended jobs of the one that is there; returns their ids."""
    with contextlib.closing(sqlite3.connect(root / "result" / ".jobs.sqlite")) as store:
        columns = [row[1] for row in store.execute("PRAGMA table_info(jobs)") if row[1] not in ("seq", "id")]
        rest = ", ".join(columns)
        store.execute(f"""
            WITH RECURSIVE counter(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM counter WHERE i < {n - 1})
            INSERT INTO jobs (id, {rest})
            SELECT printf('0193a1b2-0000-7000-8000-%012x', i), {rest} FROM counter, (SELECT {rest} FROM jobs LIMIT 1)""")
        store.commit()
        return [row[0] for row in store.execute("SELECT id FROM jobs")]


def time_requests(port, paths):
    """Milliseconds of each, one after another on one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    took = []
    for path in paths:
        begin = time.perf_counter()
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
        took.append(1e3 * (time.perf_counter() - begin))
        if response.status != 200:
            raise BenchError(f"GET {path} answered {response.status}: {body[:500]}")
    connection.close()
    return took


def measure_full_store(plan, root, data):
    """Polling and listing where many jobs have ended: the 99th percentile of each round."""
    with job_daemon(root, data, 3) as (_, port):
        job = ask(port, "POST", "/v1/jobs", training(predictor="cost"))
        wait_for_job(port, job["id"], lambda job: job["state"] == "succeeded")
    ids = fill_store(root, plan.ended_jobs)
    chance = random.Random(1)
    queries = ["", "?state=succeeded", "?kind=train&state=succeeded", "?search_space=nasbench201", "?state=failed"]
    with job_daemon(root, data, 3) as (_, port):
        deep = ask(port, "GET", "/v1/jobs?limit=1000")["next"]
        queries += [f"?cursor={deep}", f"?state=succeeded&cursor={deep}"]
        rounds = {"polled": [], "listed": []}
        for _ in range(plan.rounds):
            polls = [f"/v1/jobs/{chance.choice(ids)}" for _ in range(plan.polls)]
            lists = [f"/v1/jobs{chance.choice(queries)}" for _ in range(plan.polls // 4)]
            for name, paths in (("polled", polls), ("listed", lists)):
                rounds[name].append(statistics.quantiles(time_requests(port, paths), n=100)[98])
    for name, values in rounds.items():
        yield Figure.of(f"jobs_{name}_p99_of_{plan.ended_jobs}", "ms", "lower", values, aim=5)


def seconds_of(action):
    begun = time.monotonic()
    action()
    return time.monotonic() - begun


def measure_waits(plan, root, data):
    """What a client waits for: a search with Prefer: wait, and a training that is cancelled while it runs or waits."""
    limits = {"hardware": [2, 3, 1, 7.46], "latency_constraint_ms": 4000}
    search = {"kind": "nas", "search_space": "nasbench201", "params": limits}
    with job_daemon(root, data, 3) as (_, port):
        searches = [seconds_of(lambda: ask(port, "POST", "/v1/jobs", search, Prefer="wait=10")) for _ in range(plan.polls // 5)]
        running, queued = [], []
        for i in range(plan.polls // 10):
            ids = [ask(port, "POST", "/v1/jobs", endless(i + k))["id"] for k in range(2)]
            wait_for_job(port, ids[0], is_training)
            queued.append(seconds_of(lambda: ask(port, "POST", f"/v1/jobs/{ids[1]}/cancel")))
            running.append(seconds_of(lambda: ask(port, "POST", f"/v1/jobs/{ids[0]}/cancel")))
    for name, values, aim in (("search_waited", searches, None), ("cancel_queued", queued, 100), ("cancel_running", running, 100)):
        yield Figure.of(f"jobs_{name}", "ms", "lower", [1000 * value for value in values], aim=aim)


def measure_beside_training(plan, folder, root, data):
    """Single predictions at a fifth of capacity, alone and beside trainings of mlp on every core.

    By default there are two workers more than cores: one is left to each kind of job that does not run."""
    n = os.cpu_count()
    with job_daemon(root, data, 0) as (_, port):
        rate, request_file = fifth_of_capacity(folder, port)
        idle, busy = [], []
        for i in range(plan.rounds):
            idle.append(open_loop(port, rate, plan.loop_s, request_file))
            ids = [ask(port, "POST", "/v1/jobs", endless(i * n + k))["id"] for k in range(n)]
            for id in ids:
                wait_for_job(port, id, is_training)
            busy.append(open_loop(port, rate, plan.loop_s, request_file))
            for id in ids:
                ask(port, "POST", f"/v1/jobs/{id}/cancel")
    yield Figure.of("open_loop_p99_before_training", "us", "lower", [seen["p99_us"] for seen in idle])
    limit_us = 2 * statistics.median(seen["p99_us"] for seen in idle)
    yield Figure.of("open_loop_p99_beside_training", "us", "lower", [seen["p99_us"] for seen in busy], aim=limit_us)
    errors = [seen["errors"] for seen in idle + busy]
    yield Figure("training_errors", "requests", "lower", sum(errors), min(errors), max(errors), len(errors), 0)


def measure_jobs(plan):
    data = find_data()
    if data is None:
        return
    with tempfile.TemporaryDirectory(prefix="dgld-bench-") as name:
        folder = pathlib.Path(name)
        for i, measure_one in enumerate((
            lambda root: measure_submissions(plan, folder, root, data),
            lambda root: measure_waits(plan, root, data),
            lambda root: measure_full_store(plan, root, data),
            lambda root: measure_beside_training(plan, folder, root, data),
        )):
            root = folder / f"root{i}"
            shutil.copytree(ROOT / "data" / "devices", root / "data" / "devices")
            (root / "result" / "nasbench201").mkdir(parents=True)
            shutil.copy(ROOT / "result" / "nasbench201" / "pretrainmodel.safetensors", root / "result" / "nasbench201")
            yield from measure_one(root)


# ---- the dashboard -----------------------------------------------------------------------------------

USABLE = "() => document.querySelector('section.bests[aria-busy=false]') && performance.now()"


def measure_dashboard(plan):
    """From the navigation to a chart that is drawn and can be used, in a Chromium that has nothing of the page yet."""
    from playwright.sync_api import sync_playwright

    sys.path.append(str(ROOT / "tests" / "api"))
    from browser import ARGUMENTS, CHROMIUM

    values = []
    port = free_port()
    with started(serve_command(port), stderr=subprocess.DEVNULL) as process, sync_playwright() as playwright:
        wait_for_200(process, port, "/readyz")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for _ in range(plan.rounds):
            context = browser.new_context()
            page = context.new_page()
            page.goto(f"http://127.0.0.1:{port}/")
            values.append(page.wait_for_function(USABLE).json_value())
            context.close()
        browser.close()
    yield Figure.of("dashboard_usable", "ms", "lower", values, aim=1000)


# ---- the search --------------------------------------------------------------------------------------


def measure_search(plan):
    """Against pymoo and Optuna: bench_search.py prints its tables, and its rows become this run's."""
    signal.alarm(plan.search_limit_s)
    with tempfile.TemporaryDirectory(prefix="dgld-bench-") as name:
        table = pathlib.Path(name) / "search.csv"
        command = [sys.executable, HERE / "bench_search.py", "--output", table, *(["--quick"] if plan == QUICK else [])]
        with started(command, cwd=ROOT) as process:
            if process.wait() != 0:
                raise BenchError(f"bench_search.py failed with {process.returncode}")
        return read_csv(table)


# ---- what is told ------------------------------------------------------------------------------------


def git(*arguments):
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=20)
    return done.stdout.strip() if done.returncode == 0 else ""


def describe_run():
    """Commit, date and machine: what tells two runs apart."""
    commit = git("rev-parse", "--short=12", "HEAD") or "unknown"
    if git("status", "--porcelain", "--untracked-files=no"):
        commit += "-changed"
    cpu = re.search(r"^model name\s*:\s*(.+)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    return {
        "commit": commit,
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "cpu": cpu[1] if cpu else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
    }


def show(value):
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def print_heading():
    print(f"{'metric':<30} {'unit':<9} {'median':>12} {'lowest':>12} {'highest':>12} {'runs':>4}  aim")


def print_figure(figure):
    aim = ""
    if figure.aim is not None:
        sign = "<=" if figure.better == "lower" else ">="
        aim = f"{sign} {show(figure.aim)}  {'met' if figure.is_met() else 'MISSED'}"
    numbers = " ".join(f"{show(value):>12}" for value in (figure.median, figure.low, figure.high))
    print(f"{figure.metric:<30} {figure.unit:<9} {numbers} {figure.runs:>4}  {aim}".rstrip(), flush=True)


def write_csv(path, about, figures):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS + RUN_COLUMNS)
        writer.writeheader()
        for figure in figures:
            row = dataclasses.asdict(figure) | about
            writer.writerow({key: f"{value:.6g}" if isinstance(value, float) else value for key, value in row.items()})


def read_csv(path):
    with path.open(newline="") as file:
        return [Figure.of_row(row) for row in csv.DictReader(file)]


def compare(path_a, path_b):
    """Prints B against A; a change counts as one only where the two ranges do not meet."""
    tables = []
    for name, path in (("A", path_a), ("B", path_b)):
        with open(path, newline="") as file:
            rows = list(csv.DictReader(file))
        if not rows or set(COLUMNS + RUN_COLUMNS) - set(rows[0]):
            raise BenchError(f"{path} is no table of bench.py")
        print(f"{name}: {rows[0]['commit']}, {rows[0]['date']}, {rows[0]['cores']} cores of {rows[0]['cpu']}")
        tables.append({row["metric"]: row for row in rows})
    print(f"{'metric':<30} {'unit':<9} {'A':>12} {'B':>12} {'B/A':>8}")
    for metric, a in tables[0].items():
        b = tables[1].get(metric)
        if b is None:
            print(f"{metric:<30} {a['unit']:<9} {show(float(a['median'])):>12} {'-':>12}")
            continue
        median_a, median_b = float(a["median"]), float(b["median"])
        ratio = f"{median_b / median_a:.3f}" if median_a else "-"
        verdict = ""
        if float(a["high"]) < float(b["low"]) or float(b["high"]) < float(a["low"]):
            verdict = "better" if (median_b < median_a) == (a["better"] == "lower") else "worse"
        print(f"{metric:<30} {a['unit']:<9} {show(median_a):>12} {show(median_b):>12} {ratio:>8}  {verdict}".rstrip())
    for metric in tables[1].keys() - tables[0].keys():
        b = tables[1][metric]
        print(f"{metric:<30} {b['unit']:<9} {'-':>12} {show(float(b['median'])):>12}")


def check_tools():
    for tool, package in (("wrk", "wrk"), ("nginx", "nginx-light")):
        if shutil.which(tool, path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None:
            raise BenchError(f"{tool} is missing: apt-get install {package}, or make deps-lint")
    for program in (BINARY, BENCH_CORE, PROGRAMS / "echo", PROGRAMS / "open_loop", PROGRAMS / "search_peer"):
        if not program.is_file():
            raise BenchError(f"{program.relative_to(ROOT)} is not built; run make bench")


def measure(plan, output):
    about = describe_run()
    print(f"{about['commit']}, {about['date']}, {about['cores']} cores of {about['cpu']}")
    print_heading()
    figures = []
    for figure in itertools.chain(measure_core(plan), measure_hot_paths(plan), measure_start(plan), measure_dashboard(plan), measure_http(plan), measure_jobs(plan)):
        print_figure(figure)
        figures.append(figure)
    path = output or ROOT / "build" / "bench" / f"{about['commit']}.csv"
    write_csv(path, about, figures)  # what follows takes long
    figures += measure_search(plan)
    write_csv(path, about, figures)
    print(f"written to {path}")
    if any(figure.metric.endswith("_errors") and figure.high > 0 for figure in figures):
        raise BenchError("requests failed; the figures mean nothing")


def on_signal(number, _frame):
    raise SystemExit(f"bench.py: stopped by {signal.Signals(number).name}")


def main():
    parser = argparse.ArgumentParser(description="Measures speed, and says how it compares.")
    parser.add_argument("--quick", action="store_true", help="a few seconds, for trying out; not for comparing")
    parser.add_argument("--output", type=pathlib.Path, help="where the CSV goes; default build/bench/<commit>.csv")
    parser.add_argument("--compare", nargs=2, metavar=("A.csv", "B.csv"), help="print the ratios of two runs")
    arguments = parser.parse_args()

    plan = QUICK if arguments.quick else Plan()
    try:
        if arguments.compare:
            compare(*arguments.compare)
            return 0
        check_tools()
        os.environ["PATH"] = f"{os.environ.get('PATH', '')}:/usr/sbin"
        os.environ["OPENBLAS_NUM_THREADS"] = "1"
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
            signal.signal(number, on_signal)
        signal.alarm(plan.limit_s)
        measure(plan, arguments.output)
    except BenchError as error:
        print(f"bench.py: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"bench.py: {error.filename or ''}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
