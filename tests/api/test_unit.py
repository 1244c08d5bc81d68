"""The units of deploy/systemd: what they promise, and the service's command line run as they run it, with the sockets, the
notifications and the restrictions (tests/support/confine.py) of a service manager, but without one."""

import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import pytest
import requests
from conftest import ROOT, HAND_OVER, Service, make_small

sys.path.insert(0, str(ROOT / "tests" / "support"))
import confine  # noqa: E402

SERVICE = ROOT / "deploy" / "systemd" / "dgld.service"
SOCKET = ROOT / "deploy" / "systemd" / "dgld.socket"
GOOD = {"search_space": "nasbench201", "hardware": [2.0, 3, 1, 7.46], "architectures": ["444244"]}
WATCHDOG_S = 0.6


def value(unit, key, section="Service"):
    found = [v for name, v in confine.read_section(unit, section) if name == key]
    return found[-1]


def seconds(text):
    return float(re.fullmatch(r"(\d+)s", text)[1])


# ---- what they say ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def installed():
    """The prefix of `make install`, where every user may read."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="dgld-unit-"))
    path.chmod(0o755)
    done = subprocess.run(["make", "install", f"PREFIX={path}"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    yield path
    shutil.rmtree(path)


def needs_systemd_analyze():
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")


def test_exposure_is_at_most_two(installed):
    needs_systemd_analyze()
    units = installed / "lib" / "systemd" / "system"
    done = subprocess.run(["systemd-analyze", "--no-pager", "security", "--offline=true", "--threshold=20", units / "dgld.service"],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert 0 < float(re.search(r"exposure level for dgld.service: ([\d.]+)", done.stdout)[1]) <= 2.0


def test_units_have_no_mistakes(installed):
    needs_systemd_analyze()
    units = installed / "lib" / "systemd" / "system"
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", units / "dgld.service", units / "dgld.socket"],
                          capture_output=True, text=True)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "dgld" in line]) == (0, [])


def test_limits_of_the_unit_suit_the_settings():
    settings = json.loads((ROOT / "config" / "dgld.json").read_text())
    assert settings["connections_max"] == 10_000
    assert int(value(SERVICE, "LimitNOFILE")) >= settings["connections_max"] + 1000
    assert seconds(value(SERVICE, "TimeoutStopSec")) > (settings["drain_delay_ms"] + settings["drain_timeout_ms"]) / 1000
    assert value(SOCKET, "ListenStream", "Socket") == f"{settings['bind']}:{settings['port']}"
    assert value(SERVICE, "LimitNICE") == "+0"  # what a job needs to leave the idle priority, and no more
    assert value(SERVICE, "Type") == "notify" and seconds(value(SERVICE, "WatchdogSec")) > 0


# ---- what they start ----------------------------------------------------------------------------


class Unit(Service):
    """The service as the unit starts it, on a socket that it is handed over; told() are its messages."""

    def __init__(self, prefix, state, sockets, manager):
        unit = prefix / "lib" / "systemd" / "system" / "dgld.service"
        command = value(unit, "ExecStart").replace("/var/lib/dgld", str(state)).split()
        assert command[0] == str(prefix / "bin" / "dgld")
        environment = {"PATH": os.environ["PATH"], "NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": str(int(WATCHDOG_S * 1e6))}
        fds = [s.fileno() for s in sockets]
        prefix = [sys.executable, "-c", HAND_OVER, ",".join(map(str, fds)), "dgld.socket", sys.executable, confine.__file__, str(unit)]
        self.process = subprocess.Popen(prefix + command, stderr=subprocess.PIPE, text=True, cwd=state, env=environment, pass_fds=fds)
        self.log = []
        self.manager = manager
        self.port = sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def told(self, timeout=60):
        """The next message to the service manager, or None."""
        deadline = time.monotonic() + timeout
        while not select.select([self.manager], [], [], min(0.2, timeout))[0]:
            if time.monotonic() > deadline or self.process.poll() is not None:
                return None
        return dict(line.split("=", 1) for line in self.manager.recv(4096).decode().splitlines())

    def told_of(self, key):
        """The next message that has the key; others must be of the watchdog."""
        while (message := self.told()) is not None and key not in message:
            assert message == {"WATCHDOG": "1"}, message
        assert message, (self.process.poll(), self.process.poll() is not None and self.process.stderr.read())
        return message


@pytest.fixture
def launch(installed):
    """Starts the service as its unit does, with a state directory and a manager's socket of its own."""
    needs_systemd_analyze()
    path = pathlib.Path(tempfile.mkdtemp(prefix="dgld-state-"))
    state = path / "state"
    state.mkdir()
    make_small(state)
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(path / "notify"))
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    subprocess.run(["chmod", "-R", "a+rwX", path], check=True)
    daemons = []

    def launch_one():
        daemons.append(Unit(installed, state, [listener], manager))
        return daemons[-1]

    yield launch_one
    for daemon in daemons:
        daemon.process.send_signal(signal.SIGCONT)
        daemon.stop()
    listener.close()
    manager.close()
    shutil.rmtree(path)


def policies(daemon):
    """By which the kernel schedules its threads."""
    return {int(re.sub(r".*\)", "", (task / "stat").read_text()).split()[38])
            for task in pathlib.Path(f"/proc/{daemon.process.pid}/task").iterdir()}  # fmt: skip


def test_all_that_the_service_does_is_allowed_to_it(launch):
    """Predictions of both kinds, trainings (linear algebra in threads), a search, and its files, in a process that any
    forbidden call would end."""
    daemon = launch()
    assert daemon.told_of("READY")["STATUS"] == f"listening on {daemon.url}"
    assert daemon.predict(**GOOD)["latency_ms"] == [4610.75151]
    assert daemon.predict(**GOOD, model="mlp")["model"]["predictor"] == "mlp"
    assert daemon.predict(**(GOOD | {"architectures": ["444244"] * 100_000}))["latency_ms"][-1] == 4610.75151
    for order in ({"kind": "train", "search_space": "nasbench201", "params": {"train_devices": ["Near"], "force": True, "activate": True}},
                  {"kind": "train", "search_space": "nasbench201", "params": {"predictor": "mlp", "train_devices": ["Near"], "epoch": 2}},
                  {"kind": "nas", "search_space": "nasbench201", "params": {"device": "Oppo A5", "latency_constraint_ms": 4000}}):
        job = daemon.post(order, path="/v1/jobs", Prefer="wait=60").json()
        assert job["state"] == "succeeded", job
    put = requests.put(daemon.url + "/v1/devices/Mine", json={"hardware": [2, 3, 1, 7.46]}, timeout=30)
    assert put.status_code == 201, put.text
    status = pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text()
    assert re.search(r"^Seccomp:\t2$", status, re.M) and re.search(r"^CapEff:\t0+$", status, re.M)
    endless = {"kind": "train", "search_space": "nasbench201", "params": {"predictor": "mlp", "train_devices": ["Near"], "epoch": 100_000_000}}
    job = daemon.post(endless, path="/v1/jobs").json()["id"]
    deadline = time.monotonic() + 60
    while policies(daemon) != {0, 5}:  # SCHED_OTHER, and SCHED_IDLE of the run
        assert time.monotonic() < deadline, policies(daemon)
        time.sleep(0.05)
    assert requests.post(f"{daemon.url}/v1/jobs/{job}/cancel", timeout=30).status_code in (200, 202)
    if os.geteuid() == 0:
        assert re.search(r"^Uid:\t65534\t", status, re.M)
    assert daemon.stop()[0] == 0


def test_filters_end_who_does_what_is_forbidden(installed):
    """Else the test above would say nothing."""
    needs_systemd_analyze()
    unit = installed / "lib" / "systemd" / "system" / "dgld.service"
    tries = {"import os; os.chroot('/')": -signal.SIGSYS,
             "import socket; socket.socket(socket.AF_NETLINK)": -signal.SIGSYS,
             "import mmap; mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)": -signal.SIGSYS,
             "import os; os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))": -signal.SIGSYS,
             "import os, socket; socket.socket(); os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))": 0}
    for code, expected in tries.items():
        done = subprocess.run([sys.executable, confine.__file__, unit, "/usr/bin/python3", "-c", code], capture_output=True, cwd="/")
        assert done.returncode == expected, (code, done)


def test_the_watchdog_is_fed_as_often_as_it_asks_and_not_by_a_hung_loop(launch):
    daemon = launch()
    daemon.told_of("READY")
    began = time.monotonic()
    for _ in range(4):
        assert daemon.told() == {"WATCHDOG": "1"}
    assert time.monotonic() - began > WATCHDOG_S  # half of it each, and not all at once
    daemon.process.send_signal(signal.SIGSTOP)
    while daemon.told(timeout=2 * WATCHDOG_S) is not None:
        pass
    assert daemon.told(timeout=WATCHDOG_S) is None
    daemon.process.send_signal(signal.SIGCONT)
    assert daemon.told() == {"WATCHDOG": "1"}


def test_a_reload_is_told_from_its_begin_to_its_end(launch):
    daemon = launch()
    daemon.told_of("READY")
    before_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    daemon.process.send_signal(signal.SIGHUP)
    message = daemon.told_of("RELOADING")
    assert message["RELOADING"] == "1" and int(message["MONOTONIC_USEC"]) >= before_us
    assert daemon.told_of("READY")["STATUS"] == f"listening on {daemon.url}"
    assert daemon.predict(**GOOD)["latency_ms"] == [4610.75151]


def test_a_stop_answers_what_it_has_and_leaves_who_waits_to_the_next(launch):
    daemon = launch()
    daemon.told_of("READY")
    body = json.dumps(GOOD).encode()
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=60) as connection:
        head = b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
        connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body))
        assert connection.recv(100).startswith(b"HTTP/1.1 100")
        connection.sendall(body[:-1])
        daemon.process.send_signal(signal.SIGTERM)
        message = daemon.told_of("STOPPING")
        assert message["STOPPING"] == "1" and int(message["EXTEND_TIMEOUT_USEC"]) > 10_000_000
        connection.sendall(body[-1:])
        reply = b""
        while piece := connection.recv(65536):
            reply += piece
    assert reply.startswith(b"HTTP/1.1 200") and b"4610.75151" in reply
    assert daemon.process.wait(timeout=60) == 0
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=60) as waiting:
        waiting.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        launch().told_of("READY")
        assert waiting.recv(1000).startswith(b"HTTP/1.1 200")
