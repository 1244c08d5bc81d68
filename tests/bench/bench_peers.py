"""Holds the daemon against what a user would reach for instead: the same predictions served by Python.

    bench_peers.py                 a table, and build/bench/peers-<commit>.csv
    bench_peers.py --quick         the same in a minute, for trying out

The servers are in peers/: FastAPI with a NumPy table, FastAPI with PyTorch that runs the paper's network, and
MLServer with the NumPy table. Before anything is measured each has to give the daemon's own latencies. Daemon
and peer run in turns on the same bytes, both with a worker a core. Figures are medians of the rounds.
"""

import argparse
import contextlib
import dataclasses
import http.client
import itertools
import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import typing

import numpy
from safetensors.numpy import load_file

from bench import (
    BINARY,
    HARDWARE,
    HERE,
    PATH,
    PROGRAMS,
    ROOT,
    BenchError,
    Figure,
    cpu_seconds,
    describe_run,
    drive,
    free_port,
    on_signal,
    post,
    print_figure,
    print_heading,
    run,
    serve_command,
    show,
    started,
    write_csv,
)

PEERS = HERE / "peers"
TRAINED = ROOT / "result" / "nasbench201" / "pretrainmodel-mlp.safetensors"
INFER_PATH = "/v2/models/nasbench201/infer"
SPACE = ["".join(genes) for genes in itertools.product("12345", repeat=6)]
START_LIMIT_S = 60
REQUEST_TIMEOUT_S = 60
SETTLE_S = 0.3
N_WORKERS = len(os.sched_getaffinity(0))
HEADINGS = (
    "served by",
    "one a request: requests/s",
    "their p50 / p99, ms",
    "100 a request: predictions/s",
    "15,625 a request, of the network 400: predictions/s",
    "memory after it all, MiB",
    "exec to first answer, ms",
)


@dataclasses.dataclass(frozen=True)
class Plan:
    """How long a run takes."""

    starts: int = 5
    rounds: int = 3
    round_s: int = 4
    slow_round_s: int = 16  # where a request takes a second
    limit_s: int = 1800


QUICK = Plan(starts=1, rounds=1, round_s=1, slow_round_s=6, limit_s=300)


# ---- what is asked -----------------------------------------------------------------------------------


def predict_body(architectures, **more):
    return json.dumps({"search_space": "nasbench201", "hardware": HARDWARE, "architectures": architectures} | more)


def mlp_body(architectures):
    return predict_body(architectures, model="mlp")


def infer_body(architectures):
    genes = [int(gene) for architecture in architectures for gene in architecture]
    inputs = [
        {"name": "architecture", "datatype": "INT64", "shape": [len(architectures), 6], "data": genes},
        {"name": "hardware", "datatype": "FP64", "shape": [4], "data": HARDWARE},
    ]
    return json.dumps({"inputs": inputs})


def latencies_of_predict(reply):
    return reply["latency_ms"]


def latencies_of_infer(reply):
    return next(tensor["data"] for tensor in reply["outputs"] if tensor["name"] == "latency_ms")


def some(n):
    """n different architectures from all over the space."""
    return [SPACE[i * len(SPACE) // n] for i in range(n)]


@dataclasses.dataclass(frozen=True)
class Contest:
    """Daemon and peer under the same requests."""

    name: str
    peer: str  # as the table calls it
    ours: str
    path: str
    body: typing.Callable
    latencies: typing.Callable
    command: typing.Callable  # of a folder and a port
    environment: typing.Callable = lambda folder, port: {}
    large: int = 15625
    tolerance: float = 1e-6  # relative; replies are FP32, or have nine digits
    connections: tuple = (32, 32, 16)  # of one, a hundred, a large batch a request
    is_slow: bool = False

    def sizes(self):
        return (1, 100, self.large)


def uvicorn(app):
    def command(_, port):
        program = ROOT / "build" / "peers-fastapi" / "bin" / "uvicorn"
        options = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
        return [program, f"{app}:app", "--app-dir", PEERS, "--port", port, "--workers", N_WORKERS, *options]

    return command


def mlserver(_folder, _port):
    return [ROOT / "build" / "peers-mlserver" / "bin" / "mlserver", "start", PEERS / "mlserver"]


def mlserver_environment(folder, port):
    return {
        "MLSERVER_HTTP_PORT": str(port),
        "MLSERVER_GRPC_PORT": str(free_port()),
        "MLSERVER_METRICS_PORT": str(free_port()),
        "MLSERVER_PARALLEL_WORKERS": "0",  # a worker is a queue away: two take more than twice the processor time
    }


CONTESTS = (
    Contest(
        "table",
        "FastAPI, NumPy table",
        "dgld, `/v1/predict`",
        PATH,
        predict_body,
        latencies_of_predict,
        uvicorn("fastapi_table"),
    ),
    Contest(
        "infer",
        "MLServer, NumPy table",
        "dgld, `/v2` in JSON",
        INFER_PATH,
        infer_body,
        latencies_of_infer,
        mlserver,
        mlserver_environment,
    ),
    Contest(
        "mlp",
        "FastAPI, PyTorch, the paper's network",
        "dgld, `/v1/predict`, the paper's network",
        PATH,
        mlp_body,
        latencies_of_predict,
        uvicorn("fastapi_mlp"),
        large=400,
        tolerance=1e-5,  # four wide layers in single precision, summed in another order
        connections=(32, 16, 8),
        is_slow=True,
    ),
)


# ---- servers -----------------------------------------------------------------------------------------


def ask(port, path, body):
    _, reply = post(port, body, path, REQUEST_TIMEOUT_S)
    return json.loads(reply)


def wait_for_answer(process, port, path, body, log):
    """Asks again and again until there is a prediction. A port that is open with nobody ready behind it is no answer."""
    deadline = time.monotonic() + START_LIMIT_S
    trouble = "no connection"
    while time.monotonic() < deadline and process.poll() is None:
        try:
            return ask(port, path, body)
        except (OSError, http.client.HTTPException, BenchError) as error:
            trouble = str(error)
        time.sleep(0.001)
    said = log.read_text(errors="replace")[-2000:]
    raise BenchError(f"no prediction from port {port}{path}; exit code {process.poll()}; {trouble}; it said: {said}")


@contextlib.contextmanager
def serving(contest, is_ours, folder):
    """One of the two servers; yields (process, port, milliseconds from exec to the first prediction)."""
    port = free_port()
    command = serve_command(port) if is_ours else contest.command(folder, port)
    environment = {} if is_ours else contest.environment(folder, port)
    files = {"PEER_TABLE": folder / "table.npy", "PEER_FROZEN": folder / "frozen.safetensors", "PEER_TRAINED": TRAINED}
    environment = os.environ | {name: str(path) for name, path in files.items()} | environment
    log = folder / f"{'dgld' if is_ours else contest.name}.log"
    body = contest.body(some(1))
    with log.open("w") as output:
        begin = time.perf_counter()
        with started(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT) as process:
            wait_for_answer(process, port, contest.path, body, log)
            yield process, port, 1e3 * (time.perf_counter() - begin)


def family(pid):
    """A process and all that descend from it."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        tasks = list(pathlib.Path("/proc", str(pid), "task").iterdir())
        children = {int(child) for task in tasks for child in (task / "children").read_text().split()}
        return {pid}.union(*map(family, children))
    return set()


def resident_mib(pid):
    """Memory of a process and its descendants; what some of them share counts once."""
    kib = 0
    for member in family(pid):
        rollup = pathlib.Path("/proc", str(member), "smaps_rollup").read_text()
        kib += int(re.search(r"^Pss:\s+(\d+) kB", rollup, re.M)[1])
    return kib / 1024


# ---- the same predictions ----------------------------------------------------------------------------


def prepare(folder):
    """Files that the peers read: the table of A from the daemon's own predictions, and the frozen layers."""
    seed = int(load_file(TRAINED)["seed"][0])
    run([PROGRAMS / "frozen_layers", seed, folder / "frozen.safetensors"], timeout_s=60)
    frequency, dispatch, cache, bandwidth = HARDWARE
    factor = (1 / dispatch + 1 / (cache**0.5 * bandwidth)) / frequency
    contest = CONTESTS[0]
    with serving(contest, True, folder) as (_, port, _):
        latency_ms = contest.latencies(ask(port, contest.path, contest.body(SPACE)))
    numpy.save(folder / "table.npy", numpy.array(latency_ms) / factor)


def largest_difference(ours, theirs):
    """Relative; raises where they are not as many."""
    if len(ours) != len(theirs):
        raise BenchError(f"{len(theirs)} latencies instead of {len(ours)}")
    return max(abs(a - b) / abs(a) for a, b in zip(ours, theirs))


def check_same(contest, our_port, their_port):
    for n in contest.sizes():
        body = contest.body(some(n))
        ours, theirs = (contest.latencies(ask(port, contest.path, body)) for port in (our_port, their_port))
        difference = largest_difference(ours, theirs)
        if not difference <= contest.tolerance:
            raise BenchError(f"{contest.peer} differs from dgld by {difference:.2g} in a batch of {n}")


# ---- measuring ---------------------------------------------------------------------------------------


def measure_starts(plan, contest, folder):
    """In turns: {is_ours: figure}."""
    took = {True: [], False: []}
    for i in range(plan.starts):
        for is_ours in (True, False) if i % 2 == 0 else (False, True):
            with serving(contest, is_ours, folder) as (_, _, ms):
                took[is_ours].append(ms)
    return took


def settle(process):
    """Waits until a server is through with what wrk left behind, so that it does not work in the other's turn."""
    deadline = time.monotonic() + REQUEST_TIMEOUT_S
    used = cpu_seconds(process)
    while time.monotonic() < deadline:
        time.sleep(SETTLE_S)
        before, used = used, cpu_seconds(process)
        if used - before < SETTLE_S / 10:
            return
    raise BenchError(f"{process.args[0]} is still at work after {REQUEST_TIMEOUT_S} s without a request")


def measure_loads(plan, contest, folder, servers):
    """{(is_ours, size): loads}, in turns."""
    loads = {(is_ours, n): [] for is_ours in servers for n in contest.sizes()}
    for n, connections in zip(contest.sizes(), contest.connections):
        body_file = folder / f"{contest.name}{n}.json"
        body_file.write_text(contest.body(some(n)))
        seconds = plan.slow_round_s if contest.is_slow and n > 1 else plan.round_s
        for i in range(plan.rounds):
            for is_ours in (True, False) if i % 2 == 0 else (False, True):
                process, port = servers[is_ours]
                load = drive(process, port, body_file, seconds, connections, contest.path, timeout_s=REQUEST_TIMEOUT_S)
                loads[is_ours, n].append(load)
                settle(process)
    return loads


def measure(plan, contest, folder):
    """All figures of a contest, the daemon's beside the peer's."""
    starts = measure_starts(plan, contest, folder)
    with serving(contest, True, folder) as ours, serving(contest, False, folder) as theirs:
        servers = {True: ours[:2], False: theirs[:2]}
        check_same(contest, ours[1], theirs[1])
        loads = measure_loads(plan, contest, folder, servers)
        resident = {is_ours: resident_mib(process.pid) for is_ours, (process, _) in servers.items()}
    for is_ours, who in ((True, "dgld"), (False, "peer")):
        yield from figures_of(f"{contest.name}_{who}", contest, {n: loads[is_ours, n] for n in contest.sizes()})
        yield Figure.of(f"{contest.name}_{who}_resident", "MiB", "lower", [resident[is_ours]])
        yield Figure.of(f"{contest.name}_{who}_start", "ms", "lower", starts[is_ours])


def figures_of(prefix, contest, loads):
    one, hundred, large = (loads[n] for n in contest.sizes())
    yield Figure.of(f"{prefix}_single", "req/s", "higher", [load.rate for load in one])
    yield Figure.of(f"{prefix}_single_p50", "ms", "lower", [load.p50_us / 1e3 for load in one])
    yield Figure.of(f"{prefix}_single_p99", "ms", "lower", [load.p99_us / 1e3 for load in one])
    yield Figure.of(f"{prefix}_single_cpu", "us/req", "lower", [load.cpu_us for load in one])
    for name, n, seen in (("batch100", 100, hundred), ("large", contest.large, large)):
        yield Figure.of(f"{prefix}_{name}", "arch/s", "higher", [n * load.rate for load in seen])
        yield Figure.of(f"{prefix}_{name}_cpu", "us/arch", "lower", [load.cpu_us / n for load in seen])
    errors = [load.errors for load in (*one, *hundred, *large)]
    yield Figure(f"{prefix}_errors", "requests", "lower", sum(errors), min(errors), max(errors), len(errors), 0)


# ---- what is told ------------------------------------------------------------------------------------


def row(name, prefix, figures):
    """A row of the table, of figures by metric."""
    value = {key: figures[f"{prefix}_{key}"].median for key in ("single", "batch100", "large", "resident", "start")}
    tail = " / ".join(show(figures[f"{prefix}_single_{key}"].median) for key in ("p50", "p99"))
    rest = (show(value[key]) for key in ("batch100", "large", "resident", "start"))
    return f"| {' | '.join((name, show(value['single']), tail, *rest))} |"


def table(figures):
    """Side by side, in Markdown."""
    by_metric = {figure.metric: figure for figure in figures}
    yield f"| {' | '.join(HEADINGS)} |"
    yield "|" + " --- |" * len(HEADINGS)
    for contest in CONTESTS:
        yield row(contest.ours, f"{contest.name}_dgld", by_metric)
        yield row(contest.peer, f"{contest.name}_peer", by_metric)


def check_programs():
    for program in (BINARY, PROGRAMS / "frozen_layers", ROOT / "build" / "peers-fastapi", ROOT / "build" / "peers-mlserver"):
        if not program.exists():
            raise BenchError(f"{program.relative_to(ROOT)} is not there; run make bench-peers")


def measure_all(plan, output):
    check_programs()
    about = describe_run()
    print(f"{about['commit']}, {about['date']}, {about['cores']} cores of {about['cpu']}")
    print_heading()
    figures = []
    with tempfile.TemporaryDirectory(prefix="dgld-peers-") as name:
        folder = pathlib.Path(name)
        prepare(folder)
        for contest in CONTESTS:
            for figure in measure(plan, contest, folder):
                print_figure(figure)
                figures.append(figure)
    path = output or ROOT / "build" / "bench" / f"peers-{about['commit']}.csv"
    write_csv(path, about, figures)
    print(*table(figures), f"written to {path}", sep="\n")
    if any(figure.metric.endswith("_errors") and figure.high > 0 for figure in figures):
        raise BenchError("requests failed; the figures mean nothing")


def main():
    parser = argparse.ArgumentParser(description="Measures the daemon beside Python servers of the same predictions.")
    parser.add_argument("--quick", action="store_true", help="a minute, for trying out; not for comparing")
    parser.add_argument("--output", type=pathlib.Path, help="where the CSV goes; default build/bench/peers-<commit>.csv")
    arguments = parser.parse_args()

    plan = QUICK if arguments.quick else Plan()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, on_signal)
    signal.alarm(plan.limit_s)
    try:
        measure_all(plan, arguments.output)
    except (BenchError, OSError) as error:
        print(f"bench_peers.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
