"""What the tests of the built program share: the binary, a root of their own, and a running service."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = ROOT / "build" / "dgld"
SHARED = pathlib.Path(os.environ.get("DGLD_TEST_SHARED", ROOT.parent / "shared"))
DATA = SHARED / "data" / "dgl"


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
    for space in ("nasbench201", "fbnetv3"):
        (path / "result" / space).mkdir(parents=True)
        for file in (ROOT / "result" / space).glob("pretrainmodel*.safetensors"):
            shutil.copy(file, path / "result" / space)


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


class Service:
    """A daemon on a free port of loopback."""

    def __init__(self, root, *arguments):
        command = [str(BINARY), "serve", "--root", str(root), "--port", "0", *map(str, arguments)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT)
        self.log = []
        self.port = None
        deadline = time.monotonic() + 20
        while self.port is None and time.monotonic() < deadline:
            line = self.process.stderr.readline()
            if not line:
                break
            self.log.append(json.loads(line) if line.startswith("{") else {"message": line})
            found = re.search(r"listening on http://.*:(\d+)$", self.log[-1]["message"])
            self.port = int(found[1]) if found else None
        assert self.port, f"the service did not start: {self.log}"
        self.url = f"http://127.0.0.1:{self.port}"

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


@pytest.fixture
def start():
    """Starts daemons of a test's own; what is still running at its end is stopped."""
    daemons = []

    def start_one(root, *arguments):
        daemons.append(Service(root, *arguments))
        return daemons[-1]

    yield start_one
    for daemon in daemons:
        daemon.stop()
