"""What the tests of the built program share: the binary, a root of their own, and a running service."""

import json
import math
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import numpy
import pytest
import requests

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests" / "support"))

from postgres import Postgres  # noqa: E402
# another build of the program, one with a sanitizer, may be tried: run_tests.py --mode
BINARY = pathlib.Path(os.environ.get("DGLD_TEST_BINARY", ROOT / "build" / "dgld"))
SHARED = pathlib.Path(os.environ.get("DGLD_TEST_SHARED", ROOT.parent / "shared"))
DATA = SHARED / "data" / "dgl"
# the search spaces that the program has of itself, in its order
BUILT_IN = re.findall(r"&space_(\w+)", re.search(r"#define BUILT_IN (.*)", (ROOT / "core" / "space_list.c").read_text())[1])
TRAIN_DEVICES = {
    "Galaxy A9": (2.2, 4, 2, 14.9),
    "Honor 9C": (2.0, 4, 1, 14.9),
    "iQOO 5 Pro": (2.84, 10, 4, 44),
    "Samsung Galaxy A80": (2.2, 10, 1, 14.9),
    "Samsung Galaxy A90 5G": (2.84, 10, 2, 34.1),
    "Samsung Galaxy M30s": (2.3, 4, 1, 14.9),
    "Samsung Galaxy S20+ 5G": (2.84, 10, 4, 44),
    "Samsung Galaxy Note10": (2.84, 10, 2, 34.1),
    "Xiaomi Redmi 10X Pro 5G": (2.6, 10, 2, 34.1),
    "Xiaomi Redmi K20 Pro": (2.84, 10, 2, 34.1),
    "Honor V30 Pro": (2.86, 10, 4, 34.1),
    "VIVO NEX": (2.8, 5, 2, 29.8),
}
UNSEEN_DEVICES = {
    "nasbench201": {
        "Huawei Mate 20": (2.2, 10, 4, 34.1),
        "Motorola Moto E6s": (2, 3, 1, 7.46),
        "Samsung Galaxy A10s": (2, 3, 1, 7.46),
        "Sony Xperia XZ2": (2.8, 5, 2, 29.8),
        "Xiaomi Redmi 5 Plus": (2, 3, 1, 7.46),
    },
    "fbnetv3": {
        "Asus ROG Phone 3": (3.1, 10, 4, 44),
        "Oppo A5": (1.8, 3, 1, 7.46),
        "Samsung Galaxy S8+": (2.45, 4, 2, 29.8),
        "Xiaomi Mi 8 Lite": (2.2, 4, 2, 14.9),
    },
}
A53 = (2, 3, 1, 7.46)
CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"


def factor(hardware):
    """k of the device formula."""
    frequency, width, cache, bandwidth = hardware
    return (1 / width + 1 / (math.sqrt(cache) * bandwidth)) / frequency


@pytest.fixture(scope="session")
def data():
    """The reference's data; tests that need it are skipped, and counted, where it is absent."""
    if not (DATA / "nasbench201" / "net.txt").is_file():
        pytest.skip("the reference's data is not at ../shared/data/dgl")
    return DATA


@pytest.fixture
def root(tmp_path):
    """A root with the shipped device sheets, settings and predictors, that a test may spoil."""
    make_root(tmp_path)
    return tmp_path


def make_root(path):
    shutil.copytree(ROOT / "data" / "devices", path / "data" / "devices")
    for space in BUILT_IN:
        (path / "result" / space).mkdir(parents=True)
        for file in (ROOT / "result" / space).glob("pretrainmodel*.safetensors"):
            shutil.copy(file, path / "result" / space)


@pytest.fixture
def small(root):
    """A root with data of our own: 80 cells, their A, and the phones "Near" (measured) and "Far" (not)."""
    make_small(root)
    return root


def make_small(root):
    generator = numpy.random.default_rng(7)
    genes = generator.integers(1, 6, (80, 6))
    a = 2000 + numpy.array([0, 100, 500, 2500, 300])[genes - 1].sum(axis=1) * generator.lognormal(0, 0.02, 80)
    space = root / "data" / "nasbench201"
    for name in ("hardware", "latency"):
        (space / name).mkdir(parents=True)
    write_rows(space / "net.txt", genes)
    write_rows(space / "a.txt", a)
    (space / "hardware" / "Near.txt").write_text("2 3 1 7.46\n")
    (space / "hardware" / "Far.txt").write_text("2.2 10 4 34.1\n")
    write_rows(space / "latency" / "Near.txt", a * factor(A53) * generator.lognormal(0, 0.03, 80))


def write_rows(path, rows):
    path.write_text("".join(" ".join(map(str, numpy.atleast_1d(row))) + "\n" for row in rows))


def wait_until(condition, limit_s=30):
    """Asks until it is so; returns what it then is."""
    deadline = time.monotonic() + limit_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.005)
    return found


def snapshot(path):
    """Every file below a directory, with its bytes."""
    return {str(f.relative_to(path)): f.is_file() and f.read_bytes() for f in path.rglob("*")}


def refused(code, *arguments, **keywords):
    """Runs what has to fail with this exit code, in one clean sentence and without output; returns stderr."""
    done = run(*arguments, **keywords)
    assert (done.returncode, done.stdout) == (code, ""), done
    assert re.fullmatch(r"dgld: [^\n]+\n" + (r"(Try: dgld --help\n)?" if code == 2 else ""), done.stderr)
    return done.stderr


def make_user_tree(path):
    """A root as above with the built program at build/dgld, to run commands as a reader of the README does."""
    if not DATA.is_dir():
        pytest.skip("the reference's data is not at ../shared/data/dgl")
    make_root(path)
    (path / "build").mkdir()
    (path / "build" / "dgld").symlink_to(BINARY)
    return path


def link_data(path):
    """Does to such a tree what its user does: make data FROM=..."""
    (path / "deploy").mkdir()
    shutil.copy(ROOT / "Makefile", path)
    shutil.copy(ROOT / "deploy" / "link-data.sh", path / "deploy")
    done = subprocess.run(["make", "data", f"FROM={DATA}"], cwd=path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def run(*arguments, root=None, stdin=None, timeout=120):
    """Runs the program to its end; the result has returncode, stdout and stderr as text."""
    command = [str(BINARY), *map(str, arguments)]
    if root is not None:
        command += ["--root", str(root)]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout, cwd=ROOT)


def run_json(*arguments, **keywords):
    """Runs with --json, expects success, and returns the parsed answer."""
    done = run(*arguments, "--json", **keywords)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# Runs a command as a supervisor does that hands it sockets: these descriptors become 3, 4, ...
HAND_OVER = """
import fcntl, os, sys
high = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 100) for fd in sys.argv[1].split(",")]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i)
    os.close(fd)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(high)), LISTEN_FDNAMES=sys.argv[2])
os.execv(sys.argv[3], sys.argv[3:])
"""


def handing_over(sockets, names="dgld.socket"):
    """The start of a command line that hands sockets over, and what Popen needs for it."""
    fds = [s.fileno() for s in sockets]
    return [sys.executable, "-c", HAND_OVER, ",".join(map(str, fds)), names], {"pass_fds": fds}


def make_certificate(folder):
    """tls.crt and tls.key of 127.0.0.1, which is its own authority."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ["-subj", "/CN=dgld", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "30"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command = ["openssl", "req", "-x509", "-nodes", *kind, *names, "-keyout", folder / "tls.key", "-out", folder / "tls.crt"]
    subprocess.run(command, check=True, capture_output=True)


class Service:
    """A daemon on a free port of loopback, or on the `sockets` that it is handed over."""

    def __init__(self, root, *arguments, binary=BINARY, sockets=(), **keywords):
        command = [str(binary), "serve", "--root", str(root), "--port", "0", *map(str, arguments)]
        prefix, more = handing_over(sockets) if sockets else ([], {})
        self.process = subprocess.Popen(prefix + command, stderr=subprocess.PIPE, text=True, cwd=ROOT, **more, **keywords)
        self.log = []
        self.addresses = None
        deadline = time.monotonic() + 20
        while self.addresses is None and time.monotonic() < deadline:
            line = self.process.stderr.readline()
            if not line:
                break
            self.log.append(json.loads(line) if line.startswith("{") else {"message": line})
            found = re.search(r"^listening on (.*)$", self.log[-1]["message"])
            self.addresses = found[1].split(", ") if found else None
        assert self.addresses, f"the service did not start: {self.log}"
        found = re.search(r"(https?)://\S*:(\d+)(, |$)", ", ".join(self.addresses))
        self.port = int(found[2]) if found else None
        self.url = f"{found[1]}://127.0.0.1:{self.port}" if found else None

    def post(self, body, path="/v1/predict", **headers):
        """Posts an object as JSON, or bytes as they are."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} | headers
        return requests.post(self.url + path, data=data, headers=headers, timeout=120)

    def predict(self, **fields):
        """Posts a prediction that has to succeed and returns the reply."""
        reply = self.post(fields)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def exchange(self, data):
        """Sends bytes on a connection of their own and returns all that comes back until it is closed."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(data)
            received = b""
            while piece := connection.recv(65536):
                received += piece
        return received

    def stop(self, number=signal.SIGTERM):
        """Sends a signal, waits, and returns (exit code, log entries)."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        _, rest = self.process.communicate(timeout=30)
        self.log += [json.loads(line) for line in rest.splitlines() if line.startswith("{")]
        return self.process.returncode, self.log


@pytest.fixture(scope="session")
def service(tmp_path_factory):
    """One daemon for all tests that do not stop it; it has to end well."""
    path = tmp_path_factory.mktemp("service")
    make_root(path)
    daemon = Service(path)
    yield daemon
    code, log = daemon.stop()
    assert code == 0, log


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One daemon, with a root that is told, for the tests of a file that need not see what others do."""
    path = tmp_path_factory.mktemp("shared")
    make_root(path)
    daemon = Service(path)
    daemon.root = path
    yield daemon
    code, log = daemon.stop()
    assert code == 0, log


@pytest.fixture
def start():
    """Starts daemons of a test's own; what is still running at its end is stopped."""
    daemons = []

    def start_one(root, *arguments, **keywords):
        daemons.append(Service(root, *arguments, **keywords))
        return daemons[-1]

    yield start_one
    for daemon in daemons:
        daemon.stop()


@pytest.fixture(scope="session")
def postgres_server():
    """One PostgreSQL for all tests that want one. It survives what a test does to it, and loses nothing."""
    server = Postgres(is_durable=True, has_port=True)
    yield server
    server.close()


@pytest.fixture
def postgres(postgres_server):
    """The same, running, without a job store in it."""
    if postgres_server.process is None:
        postgres_server.start()
    postgres_server.sql("SET client_min_messages = error; DROP SCHEMA IF EXISTS dgld CASCADE")
    return postgres_server


def pytest_configure(config):
    config.addinivalue_line("markers", "long: takes minutes; make test-long runs it")
    config.addinivalue_line("markers", "cost: about time, memory or threads, of which a sanitizer has its own")


def pytest_collection_modifyitems(config, items):
    """Tests that take minutes are for make test-long alone; what a program costs is that of no sanitizer."""
    left_out = set() if os.environ.get("DGLD_TEST_LONG") else {"long"}
    if BINARY.parent.name in ("asan", "tsan"):
        left_out.add("cost")
    dropped = [item for item in items if left_out & {mark.name for mark in item.iter_markers()}]
    config.hook.pytest_deselected(items=dropped)
    items[:] = [item for item in items if item not in dropped]
