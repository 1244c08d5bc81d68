"""Measures what one core gives, and reckons from that what a large load takes: the tables of deploy/CAPACITY.md.

    capacity.py                     measures, and prints the tables
    capacity.py --quick             the same in a minute, for trying out
    capacity.py --write             measures, and puts figures and tables where they belong:
                                    deploy/capacity.json and deploy/CAPACITY.md
    capacity.py --render            puts tables of the figures that are there into deploy/CAPACITY.md

The figures are processor time of the daemon for each request, prediction or job, so that a machine that has
other things to do spoils them little; what a core gives is their inverse. The daemon is bound to one core and
its clients to another where there are two. Medians of several rounds, with the lowest and the highest.
"""

import argparse
import contextlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import bench

ROOT = bench.ROOT
DOCUMENT = ROOT / "deploy" / "CAPACITY.md"
FIGURES = ROOT / "deploy" / "capacity.json"
SPACES = {"nasbench201": "444244", "fbnetv3": "5 5 3 5 3 3 5 4 4 6 3 5 5 6 22 20 28 28 80 144 184 224 1 4 4 8 10 9"}
MLP_EPOCHS = 2000
KEPT = 1000  # connections whose memory is measured
UTILISATION = 0.6  # of a core, planned: what is left is for bursts, and for the loss of a replica
REPLICA_CORES = 4


class Rounds:
    """How often and how long."""

    def __init__(self, is_quick):
        self.n, self.seconds, self.jobs = (2, 1, 2) if is_quick else (7, 3, 7)


def core(i):
    """The i-th core that may be used, or the last."""
    cores = sorted(os.sched_getaffinity(0))
    return str(cores[min(i, len(cores) - 1)])


@contextlib.contextmanager
def daemon(root, *flags, is_bound=True):
    """A daemon, on one core where it is bound; yields (process, port)."""
    port = bench.free_port()
    command = ["taskset", "-c", core(0)] if is_bound else []
    command += [bench.BINARY, "serve", "--root", root, "--port", port, *flags]
    with bench.started(command, stderr=subprocess.DEVNULL) as process:
        wait_for_port(process, port)
        yield process, port


def wait_for_port(process, port):
    """Until it takes connections, whether in TLS or not; and a moment more, so that the start is over."""
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=20).close()
            break
        except OSError:
            if time.monotonic() > deadline or process.poll() is not None:
                raise bench.BenchError("the daemon did not start") from None
            time.sleep(0.01)
    time.sleep(0.2)


def make_root(path, with_data=None):
    """A root of its own, with what ships, and the measured data where jobs need it."""
    shutil.copytree(ROOT / "data" / "devices", path / "data" / "devices")
    for space in SPACES:
        (path / "result" / space).mkdir(parents=True)
        for file in (ROOT / "result" / space).glob("*.safetensors"):
            shutil.copy(file, path / "result" / space)
        if with_data:
            for part in ("net.txt", "a.txt", "latency", "hardware", "NAS"):
                place = with_data / space / part
                if place.exists():
                    (path / "data" / space).mkdir(parents=True, exist_ok=True)
                    (path / "data" / space / part).symlink_to(place)
    return path


# ---- requests ----------------------------------------------------------------------------------------


def body_of(space, n, **others):
    """`n` architectures: of nasbench201 different ones, as many as there are."""
    if space == "nasbench201" and 1 < n <= 5**6 and not others:
        return bench.predict_body(n)
    architectures = [SPACES[space]] * n
    return json.dumps({"search_space": space, "hardware": bench.HARDWARE, "architectures": architectures} | others)


def cost(rounds, process, port, folder, body, connections, path=bench.PATH, headers=(), scheme="http", n=1):
    """(CPU microseconds of the daemon for one of n predictions, requests a second): lists, a round each."""
    file = folder / "body"
    file.write_bytes(body if isinstance(body, bytes) else body.encode())
    wrk = ["taskset", "-c", core(1), "wrk", "-t1", f"-c{connections}", f"-d{rounds.seconds}s", "--timeout", "10s"]
    wrk += ["-s", bench.HERE / "post.lua", f"{scheme}://127.0.0.1:{port}{path}", "--", file, *headers]
    used, rates = [], []
    for _ in range(rounds.n):
        before = bench.cpu_seconds(process)
        output = bench.run(wrk, timeout_s=rounds.seconds + 30)
        cpu_s = bench.cpu_seconds(process) - before
        seen = dict(word.split("=") for line in output.splitlines() if line.startswith("result ") for word in line.split()[1:])
        failed = sum(int(seen[key]) for key in ("connect", "read", "write", "timeout", "status"))
        if failed or not int(seen["requests"]):
            raise bench.BenchError(f"{failed} of {seen['requests']} requests failed: {output[-500:]}")
        used.append(1e6 * cpu_s / int(seen["requests"]) / n)
        rates.append(1e6 * int(seen["requests"]) / int(seen["us"]))
    return used, rates


def spread(values):
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


def bytes_of(port, body, **headers):
    """(bytes of a request, bytes of its reply), heads and all."""
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    request = f"POST {bench.PATH} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n{head}"
    request += f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request.encode())
        size = 0
        while piece := connection.recv(65536):
            size += len(piece)
    return len(request), size


def measure_requests(rounds, folder):
    """One prediction a request, in the ways in which clients ask; then many predictions in one."""
    found = {}
    root = make_root(folder / "requests")
    certificate = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                   "-keyout", root / "key.pem", "-out", root / "cert.pem", "-subj", "/CN=localhost"]  # fmt: skip
    bench.run(certificate, timeout_s=30)
    (root / "key.pem").chmod(0o600)
    token = bench.run([bench.BINARY, "token", "--root", root, "--file", "tokens.json", "--name", "x", "--role", "predict"], 30).strip()
    single = body_of("nasbench201", 1)
    plain = ["Content-Type", "application/json"]
    close = [*plain, "Connection", "close"]
    with daemon(root) as (process, port):
        found["bytes_request"], found["bytes_reply"] = bytes_of(port, single)
        for name, body, n, connections, headers in (
            ("single", single, 1, 32, plain),
            ("single_fresh", single, 1, 32, close),
            ("single_fbnetv3", body_of("fbnetv3", 1), 1, 32, plain),
            ("json_100", body_of("nasbench201", 100), 100, 32, plain),
            ("json_10000", body_of("nasbench201", 10000), 10000, 4, plain),
            ("json_fbnetv3_1000", body_of("fbnetv3", 1000), 1000, 8, plain),
        ):
            tell(name)
            used, rates = cost(rounds, process, port, folder, body, connections, headers=headers, n=n)
            found[name] = spread(used) | {"rate": statistics.median(rates) * n}
        tell("binary")
        headers, body = bench.infer_request(100_000)
        used, rates = cost(rounds, process, port, folder, body, 4, bench.INFER_PATH, headers, n=100_000)
        found["binary"] = spread(used) | {"rate": statistics.median(rates) * 100_000}
        found["bytes_binary"] = (len(body) + 500_000) / 100_000
    tell("tokens and TLS")
    with daemon(root, "--tokens-file", "tokens.json") as (process, port):
        used, rates = cost(rounds, process, port, folder, single, 32, headers=[*plain, "Authorization", f"Bearer {token}"])
        found["single_token"] = spread(used) | {"rate": statistics.median(rates)}
    with daemon(root, "--tls-certificate-file", "cert.pem", "--tls-key-file", "key.pem") as (process, port):
        for name, headers in (("single_tls", plain), ("single_tls_fresh", close)):
            used, rates = cost(rounds, process, port, folder, single, 32, headers=headers, scheme="https")
            found[name] = spread(used) | {"rate": statistics.median(rates)}
    return found


# ---- memory ------------------------------------------------------------------------------------------


def measure_memory(folder):
    """Resident MiB: at rest, with kept connections, after large calls, with mlp."""
    root = make_root(folder / "memory")
    found = {}
    with daemon(root) as (process, port):
        found["at_rest"] = bench.resident_mib(process)
        with contextlib.ExitStack() as stack:
            question = bytes_question(port)
            for _ in range(KEPT):
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
                connection.sendall(question)
                connection.recv(4096)
            found["connection_kib"] = 1024 * (bench.resident_mib(process) - found["at_rest"]) / KEPT
        for _ in range(5):
            bench.post(port, body_of("nasbench201", 100_000))
        found["after_large_calls"] = bench.resident_mib(process)
    with daemon(root) as (process, port):
        before = bench.resident_mib(process)
        bench.post(port, body_of("nasbench201", 8, model="mlp"))
        bench.post(port, body_of("fbnetv3", 8, model="mlp"))
        found["mlp_both"] = bench.resident_mib(process) - before
    return found


def bytes_question(port):
    body = body_of("nasbench201", 1)
    return f"POST {bench.PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


# ---- jobs --------------------------------------------------------------------------------------------


def kinds_of_jobs():
    near = {"hardware": [2, 3, 1, 7.46], "latency_constraint_ms": 4000}
    far = {"hardware": [3.1, 10, 4, 44], "latency_constraint_ms": 90}
    return {
        "train_nasbench201": ("train", "nasbench201", {"predictor": "cost"}),
        "train_fbnetv3": ("train", "fbnetv3", {"predictor": "cost"}),
        "train_mlp": ("train", "nasbench201", {"predictor": "mlp", "epoch": MLP_EPOCHS}),
        "test_nasbench201": ("test", "nasbench201", {}),
        "nas_nasbench201": ("nas", "nasbench201", near),
        "nas_fbnetv3": ("nas", "fbnetv3", far),
    }


def run_job(port, kind, space, params):
    """Submits a job and waits for its end, long polls of many seconds if need be."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    body = json.dumps({"kind": kind, "search_space": space, "params": params})
    connection.request("POST", "/v1/jobs", body, {"Content-Type": "application/json", "Prefer": "wait=60"})
    job = json.loads(connection.getresponse().read())
    connection.close()
    while job["state"] not in ("succeeded", "failed", "cancelled"):
        job = bench.ask(port, "GET", f"/v1/jobs/{job['id']}?wait=10")
    if job["state"] != "succeeded":
        raise bench.BenchError(f"a job did not succeed: {job}")


def measure_kinds(rounds, folder, data):
    """Processor seconds that each kind of job takes, its submission and its files included."""
    root = make_root(folder / "kinds", data)
    found = {}
    with daemon(root) as (process, port):
        for name, (kind, space, params) in kinds_of_jobs().items():
            tell(name)
            used = []
            for i in range(rounds.jobs):
                before = bench.cpu_seconds(process)
                run_job(port, kind, space, params | ({"seed": i} if kind != "test" else {}))
                used.append(bench.cpu_seconds(process) - before)
            found[name] = spread(used)
    return found


def measure_submissions(rounds, folder, name, *flags):
    """Durable ones a second, while a training that does not end keeps them in the queue. The disk bounds them, so the
    daemon has all cores."""
    root = make_root(folder / name, bench.find_data())
    flags = ["--job-workers", "3", "--job-queue-max", "1000000", *flags]
    with daemon(root, *flags, is_bound=False) as (process, port):
        id = bench.ask(port, "POST", "/v1/jobs", bench.endless())["id"]
        bench.wait_for_job(port, id, bench.is_training)
        body = json.dumps(bench.training(predictor="cost"))
        headers = ["Content-Type", "application/json"]
        _, rates = cost(rounds, process, port, folder, body, 64, "/v1/jobs", headers)
        _, alone = cost(rounds, process, port, folder, body, 1, "/v1/jobs", headers)
    return {"rate": spread(rates), "rate_of_one_client": spread(alone)}


@contextlib.contextmanager
def postgres():
    """The URI of a durable PostgreSQL of this run's own, or None where none is installed."""
    sys.path.insert(0, str(ROOT / "tests" / "support"))
    try:
        import postgres as support

        server = support.Postgres(is_durable=True)
    except (ImportError, AssertionError, KeyError) as error:
        print(f"PostgreSQL is not measured: {error}", file=sys.stderr)
        yield None
        return
    try:
        yield server.uri
    finally:
        server.close()


def measure_jobs(rounds, folder):
    data = bench.find_data()
    if data is None:
        raise bench.BenchError("jobs need the measured data: make data FROM=...")
    found = measure_kinds(rounds, folder, data)
    tell("submissions")
    found["sqlite"] = measure_submissions(rounds, folder, "sqlite")
    with postgres() as uri:
        found["postgresql"] = uri and measure_submissions(rounds, folder, "postgresql", "--job-store", uri)
    return found


# ---- tables ------------------------------------------------------------------------------------------


def number(value):
    """Two significant digits, or three from 100 on: more would pretend."""
    if value == 0:
        return "0"
    digits = 2 if abs(value) < 100 else 3
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 10 else f"{rounded:g}"


def time_of(us):
    if us < 1:
        return f"{number(1000 * us)} ns"
    return f"{number(us)} us" if us < 1000 else f"{number(us / 1000)} ms" if us < 1e6 else f"{number(us / 1e6)} s"


def table(heads, rows):
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


ASKED = {
    "single": "one prediction a request, connections kept",
    "single_fbnetv3": "the same of fbnetv3",
    "single_token": "the same of nasbench201 with a token",
    "single_tls": "the same over TLS",
    "single_fresh": "a connection for each request",
    "single_tls_fresh": "the same over TLS, a handshake each",
    "json_100": "JSON, 100 architectures a request",
    "json_10000": "JSON, 10,000 a request",
    "json_fbnetv3_1000": "JSON, 1,000 of fbnetv3 a request",
    "binary": "binary tensors, 100,000 a request",
}
RUN = {
    "train_nasbench201": "train `cost`, nasbench201 (15,625 rows)",
    "train_fbnetv3": "train `cost`, fbnetv3",
    "train_mlp": f"train `mlp`, nasbench201, for {MLP_EPOCHS:,} epochs",
    "test_nasbench201": "test on five devices, nasbench201",
    "nas_nasbench201": "search nasbench201, its files as ONNX and TorchScript included",
    "nas_fbnetv3": "search fbnetv3, likewise",
}


def render_core(figures):
    rows = []
    for name, text in ASKED.items():
        seen = figures["requests"][name]
        ends = f"{time_of(seen['low'])} to {time_of(seen['high'])}"
        rows.append((text, time_of(seen["median"]), ends, number(1e6 / seen["median"])))
    return table(["asked", "processor time a prediction", "of the rounds", "predictions/s of a core"], rows)


def render_jobs(figures):
    rows = []
    for name, text in RUN.items():
        seen = figures["jobs"][name]
        ends = f"{time_of(1e6 * seen['low'])} to {time_of(1e6 * seen['high'])}"
        rows.append((text, time_of(1e6 * seen["median"]), ends, number(3600 / seen["median"])))
    return table(["job", "processor time", "of the rounds", "jobs/hour of a core"], rows)


def render_stores(figures):
    rows = []
    for name, text in (("sqlite", "SQLite, WAL, synchronous=FULL"), ("postgresql", "PostgreSQL on the same machine, fsync on")):
        seen = figures["jobs"][name]
        if seen:
            rows.append((text, number(seen["rate"]["median"]), number(seen["rate_of_one_client"]["median"])))
        else:
            rows.append((text, "not measured", "not measured"))
    return table(["store", "submissions/s, 64 clients", "one client after another"], rows)


def render_memory(figures):
    memory = figures["memory"]
    rows = [
        ("at rest, both shipped spaces", f"{number(memory['at_rest'])} MiB"),
        ("each open connection", f"{number(memory['connection_kib'])} KiB"),
        ("at rest after calls of 100,000 architectures", f"{number(memory['after_large_calls'])} MiB"),
        ("`mlp` of both spaces, once asked for", f"{number(memory['mlp_both'])} MiB more"),
    ]
    return table(["resident memory", ""], rows)


def replicas_for(cores):
    n = -(-cores / UTILISATION // REPLICA_CORES)
    return int(max(n, 1)) + 1


def gbit(bytes_a_second):
    return 8e-9 * bytes_a_second


def load_row(figures, text, predictions_s, name, request_bytes, reply_bytes):
    cores = predictions_s * figures["requests"][name]["median"] / 1e6
    n = replicas_for(cores)
    memory = n * (figures["memory"]["after_large_calls"] + 1000 * figures["memory"]["connection_kib"] / 1024) / 1024
    network = f"{number(gbit(predictions_s * request_bytes))} + {number(gbit(predictions_s * reply_bytes))}"
    return (text, number(cores), number(cores / UTILISATION), n, number(memory), network)


def render_loads(figures):
    """Cores at work, cores to have, replicas, memory and network of the loads that the page speaks of."""
    requests = figures["requests"]
    single = (requests["bytes_request"], requests["bytes_reply"])
    hour = 1e9 / 3600
    tensor = (6, 5)  # a byte a gene; FP32 and its share of the head
    # JSON: a notation of six digits with quotes and comma; a latency of nine digits and comma
    listed = (9, 11)
    rows = [
        load_row(figures, "1,000,000 requests/s, one prediction each", 1e6, "single", *single),
        load_row(figures, "the same over TLS", 1e6, "single_tls", *single),
        load_row(figures, "1,000,000 predictions/s, 100 a request", 1e6, "json_100", *listed),
        load_row(figures, "1,000,000 predictions/s, binary", 1e6, "binary", *tensor),
        load_row(figures, "1,000,000,000 predictions/h, one a request", hour, "single", *single),
        load_row(figures, "1,000,000,000 predictions/h, 100 a request", hour, "json_100", *listed),
        load_row(figures, "1,000,000,000 predictions/h, binary", hour, "binary", *tensor),
    ]
    heads = ["load", "cores at work", f"cores at {UTILISATION:.0%}", f"replicas of {REPLICA_CORES} cores", "memory, GiB", "network in + out, Gbit/s"]
    return table(heads, rows)


def render_run(figures):
    about = figures["about"]
    state = "**To be measured again on a quiet machine**: others worked on it meanwhile.\n" if about["is_busy"] else ""
    return (f"{state}Measured at {about['commit']}, {about['date'][:10]}, on {about['cores']} cores of {about['cpu']} "
            f"(load {about['load']} before the start), {about['rounds']} rounds of {about['seconds']} s each.")  # fmt: skip


BLOCKS = {"run": render_run, "core": render_core, "jobs": render_jobs, "stores": render_stores, "memory": render_memory, "loads": render_loads}


def fill(text, figures):
    """The document with each block between its marks made anew."""
    for name, render in BLOCKS.items():
        begin, end = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
        head, found, rest = text.partition(begin)
        _, closed, tail = rest.partition(end)
        if not found or not closed:
            raise bench.BenchError(f"{DOCUMENT.name} has no block {name}")
        text = head + begin + render(figures) + end + tail
    return text


def tell(what):
    print(f"measuring {what}", file=sys.stderr, flush=True)


def measure(rounds):
    load = os.getloadavg()[0]
    about = bench.describe_run() | {"load": round(load, 1), "is_busy": load > 0.3, "rounds": rounds.n, "seconds": rounds.seconds}
    with tempfile.TemporaryDirectory(prefix="dgld-capacity-") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        requests = measure_requests(rounds, folder)
        tell("memory")
        return {"about": about, "requests": requests, "memory": measure_memory(folder), "jobs": measure_jobs(rounds, folder)}


def main():
    parser = argparse.ArgumentParser(description="Measures what one core gives, and reckons what a load takes.")
    parser.add_argument("--quick", action="store_true", help="a minute, for trying out; not for the document")
    parser.add_argument("--write", action="store_true", help="put figures and tables into deploy/")
    parser.add_argument("--render", action="store_true", help="measure nothing: tables of the figures in deploy/capacity.json")
    arguments = parser.parse_args()
    for number_ in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number_, bench.on_signal)
    try:
        if arguments.render:
            DOCUMENT.write_text(fill(DOCUMENT.read_text(), json.loads(FIGURES.read_text())))
            return 0
        bench.check_tools()
        figures = measure(Rounds(arguments.quick))
        if arguments.write:
            FIGURES.write_text(json.dumps(figures, indent=1) + "\n")
            DOCUMENT.write_text(fill(DOCUMENT.read_text(), figures))
        for name, render in BLOCKS.items():
            print(f"{render(figures)}\n")
    except (bench.BenchError, OSError) as error:
        print(f"capacity.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
