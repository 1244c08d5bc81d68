"""One process takes over from another: no request fails, jobs go on, and one that cannot changes nothing."""

import concurrent.futures
import ctypes
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest
import requests
from conftest import BINARY, ROOT, make_root, make_small, wait_until
from job_tools import SPACE, add_search_table, check_whole, mlp, nas
from load_tools import Load, connector, prediction, question

PR_SET_CHILD_SUBREAPER = 36


@pytest.fixture(scope="module", autouse=True)
def reaper():
    """Orphans become this process's children, so that it hears how they ended."""
    prctl = ctypes.CDLL(None).prctl
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    yield
    prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


class Line:
    """A line of processes at the same sockets, the last of which serves."""

    def __init__(self, root, *arguments, program=BINARY, environment=None, **keywords):
        self.root, self.log = root, root.parent / f"{root.name}-log"
        command = [str(program), "serve", "--root", str(root), *map(str, arguments)]
        with self.log.open("ab") as log:
            process = subprocess.Popen(command, stderr=log, cwd=ROOT, env=os.environ | (environment or {}), **keywords)
        process.returncode = 0  # its end is heard of by wait_for()
        self.pid = process.pid
        self.port = int(wait_until(lambda: re.search(r"listening on https?://[^\"]*:(\d+)", self.log.read_text()))[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def messages(self):
        return [json.loads(line)["message"] for line in self.log.read_text().splitlines() if line.startswith("{")]

    def count(self, pattern):
        return len(re.findall(pattern, self.log.read_text()))

    def wait_for(self, pid):
        """The exit code of one of the line."""
        deadline = time.monotonic() + 30
        while True:
            found, status = os.waitpid(pid, os.WNOHANG)
            if found == pid:
                return os.waitstatus_to_exitcode(status)
            assert time.monotonic() < deadline, f"process {pid} does not end: {self.messages()[-5:]}"
            time.sleep(0.005)

    def hand_over(self):
        """Has the program started anew; returns when it serves and the one before has ended well."""
        n = self.count("serves from now on")
        os.kill(self.pid, signal.SIGUSR2)
        wait_until(lambda: self.count("serves from now on") > n)
        before, self.pid = self.pid, int(re.findall(r"process (\d+) serves from now on", self.log.read_text())[-1])
        assert self.pid != before and self.wait_for(before) == 0

    def stop(self):
        os.kill(self.pid, signal.SIGTERM)
        assert self.wait_for(self.pid) == 0
        self.pid = None


@pytest.fixture
def line(tmp_path):
    """Starts lines of processes; what is left of them at the end is killed."""
    lines = []

    def start(root=None, *arguments, **keywords):
        if root is None:
            root = tmp_path / "root"
            root.mkdir()
            make_root(root)
        lines.append(Line(root, *arguments, **keywords))
        return lines[-1]

    yield start
    for one in lines:
        if one.pid is not None:
            os.kill(one.pid, signal.SIGKILL)
            one.wait_for(one.pid)


def all_clients(load):
    """Every way to ask: at full speed and with pauses, on kept connections and on new ones, short and long."""
    single, large = question(prediction(1)), question(prediction(8000))
    load.add("kept", load.kept, 4, single)
    load.add("kept, large", load.kept, 1, large)
    load.add("kept, with pauses", load.kept, 3, single, 0.15)
    load.add("fresh", load.fresh, 2, single)
    load.add("fresh, large", load.fresh, 1, large)
    load.add("fresh, asking late", load.fresh, 2, single, 0.15)
    load.add("readiness", load.kept, 1, question(None, "/readyz", "GET"), 0.01)
    load.add("readiness, fresh", load.fresh, 1, question(None, "/readyz", "GET"), 0.01)


def test_handing_over_under_load_fails_no_request(line):
    one = line(None, "--port", 0)
    with Load(connector(one.port)) as load:
        all_clients(load)
        wait_until(lambda: len(load.n_answered) == 8)
        for _ in range(4):
            load.wait_for_more(5)
            one.hand_over()
        load.wait_for_more(5)
    assert load.failures == [], load.n_answered
    assert sum(load.n_answered.values()) > 500
    one.stop()
    assert one.count("serves from now on") == 4 and one.count('"level":"error"') == 0
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", one.port), timeout=5).close()


def test_processes_at_a_supervisors_socket_replace_each_other_without_a_failed_request(line, tmp_path):
    """As systemd has it: the next is started at the socket, and when it serves the one before is stopped."""
    root = tmp_path / "root"
    root.mkdir()
    make_root(root)
    # $LISTEN_PID is that of the program itself
    program = tmp_path / "start"
    program.write_text(f'#!/bin/sh\nLISTEN_FDS=1 LISTEN_PID=$$ exec {BINARY} "$@"\n')
    program.chmod(0o755)
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as listener:
        port = listener.getsockname()[1]

        def start_one():
            return line(root, program=program, pass_fds=[3], preexec_fn=lambda: os.dup2(listener.fileno(), 3))

        one = start_one()
        with Load(connector(port)) as load:
            all_clients(load)
            wait_until(lambda: len(load.n_answered) == 7 or len(load.n_answered) == 8)
            for _ in range(2):
                load.wait_for_more(3)
                before, n = one, one.count("listening on")
                one = start_one()
                wait_until(lambda: one.count("listening on") > n)
                before.stop()
            load.wait_for_more(3)
        one.stop()
    told = [failure for failure in load.failures if not failure.startswith("readiness") or "503" not in failure]
    assert told == [], load.n_answered


def test_jobs_go_on_in_the_process_that_takes_over(line, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    make_root(root)
    make_small(root)
    add_search_table(root)
    one = line(root, "--port", 0)

    def submit(order, **headers):
        reply = requests.post(one.url + "/v1/jobs", json=order, headers=headers, timeout=30)
        assert reply.status_code == 202, reply.text
        return reply.json()["id"]

    def job(id):
        return requests.get(f"{one.url}/v1/jobs/{id}", timeout=30).json()

    long = submit(mlp(60_000, seed=1))
    wait_until(lambda: (job(long)["progress"] or {}).get("stage") == "training")
    submitted = []
    body = json.dumps(nas()).encode()

    def is_right(reply):
        submitted.append(json.loads(reply.body)["id"] if reply.status == 202 else None)
        return reply.status == 202

    with Load(connector(one.port), is_right) as load:
        load.add("kept", load.kept, 2, question(body, "/v1/jobs"), 0.1)
        load.add("fresh", load.fresh, 1, question(body, "/v1/jobs"), 0.1)
        wait_until(lambda: len(load.n_answered) == 2)
        for _ in range(2):
            load.wait_for_more(3)
            one.hand_over()
        load.wait_for_more(3)
    assert load.failures == []
    wait_until(lambda: (job(long)["progress"] or {}).get("stage") == "training" or job(long)["state"] == "succeeded")
    assert job(long)["attempt"] > 1
    requests.post(f"{one.url}/v1/jobs/{long}/cancel", timeout=30)
    for id in submitted:
        found = wait_until(lambda: (it := job(id))["state"] in ("succeeded", "failed") and it)
        assert found["state"] == "succeeded", found
        check_whole(root, found)
    one.stop()


def test_event_streams_end_whole_and_go_on_elsewhere(line, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    make_root(root)
    make_small(root)
    one = line(root, "--port", 0)
    id = requests.post(one.url + "/v1/jobs", json=mlp(50_000_000), timeout=30).json()["id"]
    reply = requests.get(f"{one.url}/v1/jobs/{id}/events", stream=True, timeout=30)
    lines = reply.iter_lines(chunk_size=1)
    last = next(line.split(b": ")[1] for line in lines if line.startswith(b"id: "))
    one.hand_over()
    list(lines)  # a stream that is cut, and not ended, raises
    again = requests.get(f"{one.url}/v1/jobs/{id}/events", stream=True, headers={"Last-Event-ID": last.decode()}, timeout=30)
    assert again.status_code == 200 and any(line.startswith(b"data: ") for line in again.iter_lines(chunk_size=1))
    again.close()
    requests.post(f"{one.url}/v1/jobs/{id}/cancel", timeout=30)
    one.stop()


# ---- which program, and when not


@pytest.fixture
def versions(tmp_path):
    """bin/dgld, a link that leads to one of two copies of the program."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("dgld-1", "dgld-2"):
        shutil.copy(BINARY, folder / name)
    (folder / "dgld").symlink_to("dgld-1")

    def use(name):
        (folder / "next").symlink_to(name)
        (folder / "next").rename(folder / "dgld")

    return folder, use


def running(one):
    return pathlib.Path(os.readlink(f"/proc/{one.pid}/exe")).name


def test_the_program_at_the_path_takes_over_and_may_be_rolled_back(line, versions):
    folder, use = versions
    one = line(None, "--port", 0, program=folder / "dgld")
    assert running(one) == "dgld-1"
    for name in ("dgld-2", "dgld-1"):
        use(name)
        one.hand_over()
        assert running(one) == name
    one.stop()


def is_going_on(one, reason):
    """The process that was to be replaced says why it was not, and serves."""
    n = one.count("nobody takes over")
    os.kill(one.pid, signal.SIGUSR2)
    wait_until(lambda: one.count("nobody takes over") > n)
    assert reason in [m for m in one.messages() if "nobody takes over" in m][-1]
    assert requests.get(one.url + "/readyz", timeout=30).status_code == 200
    return True


def test_successor_that_cannot_serve_changes_nothing(line, versions, tmp_path):
    folder, use = versions
    (tmp_path / "own.json").write_text("{}")
    one = line(None, "--port", 0, "--config", tmp_path / "own.json", program=folder / "dgld")
    with Load(connector(one.port)) as load:
        load.add("kept", load.kept, 2, question(prediction(1)), 0.01)
        load.add("fresh", load.fresh, 1, question(prediction(1)), 0.01)
        wait_until(lambda: len(load.n_answered) == 2)
        (tmp_path / "own.json").write_text('{"pool_threads": "many"}')
        assert is_going_on(one, "it ended with exit code 1")
        (tmp_path / "own.json").write_text("{}")
        (folder / "broken").write_text("no program")
        (folder / "broken").chmod(0o755)
        use("broken")
        assert is_going_on(one, f"cannot execute {folder}/dgld: Exec format error")
        use("missing")
        assert is_going_on(one, f"cannot execute {folder}/dgld: No such file or directory")
        use("dgld-2")
        one.hand_over()
        load.wait_for_more(3)
    assert load.failures == [] and running(one) == "dgld-2"
    one.stop()


def has_ended(pid):
    """Whether it has, whoever heard of it first."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return not os.path.exists(f"/proc/{pid}")


def test_a_stop_takes_a_successor_that_does_not_serve_yet_along(line, versions):
    folder, use = versions
    (folder / "slow").write_text("#!/bin/sh\nexec sleep 600\n")
    (folder / "slow").chmod(0o755)
    one = line(None, "--port", 0, program=folder / "dgld")
    use("slow")
    os.kill(one.pid, signal.SIGUSR2)
    successor = int(wait_until(lambda: re.search(r"is started as process (\d+)", one.log.read_text()))[1])
    os.kill(one.pid, signal.SIGUSR2)
    wait_until(lambda: one.count(f"nobody takes over: process {successor} is on its way to take over already"))
    one.stop()
    wait_until(lambda: has_ended(successor))


@pytest.mark.long
def test_successor_that_never_serves_is_killed_at_length(line, versions):
    folder, use = versions
    (folder / "slow").write_text("#!/bin/sh\nexec sleep 600\n")
    (folder / "slow").chmod(0o755)
    one = line(None, "--port", 0, program=folder / "dgld")
    use("slow")
    os.kill(one.pid, signal.SIGUSR2)
    wait_until(lambda: one.count("nobody takes over, this process goes on: it was ended by signal 9"), 90)
    use("dgld-2")
    one.hand_over()
    one.stop()


def read_until(supervisor, beginning, told):
    """Messages to `told`, up to the one that begins like this."""
    deadline = time.monotonic() + 30
    while not (told and told[-1].startswith(beginning)):
        assert time.monotonic() < deadline, told[-5:]
        told.append(supervisor.recv(4096).decode())


def test_supervisor_hears_which_process_is_to_be_watched(line, tmp_path):
    name = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(name)
        supervisor.settimeout(30)
        own = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "400000"}
        one = line(None, "--port", 0, environment=own)
        old = one.pid
        told = []
        with concurrent.futures.ThreadPoolExecutor() as threads:  # a supervisor reads all the time
            reading = threads.submit(read_until, supervisor, "MAINPID=", told)
            one.hand_over()
            reading.result()
        assert told[-1].startswith(f"MAINPID={one.pid}\n")
        supervisor.setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:
                told.append(supervisor.recv(4096).decode())
        assert not any(message.startswith("STOPPING") for message in told)
        supervisor.settimeout(30)
        while supervisor.recv(4096) != b"WATCHDOG=1":  # the one that serves goes on with that
            pass
        assert old != one.pid
        one.stop()


# ---- behind a balancer


def test_two_replicas_behind_a_balancer_are_replaced_without_a_failed_request(line, tmp_path):
    """As Kubernetes does it: who is told to stop is asked no more once it is not ready, and serves until then."""
    replicas = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        make_root(tmp_path / name)
        replicas.append(line(tmp_path / name, "--port", 0, "--drain-delay-ms", 600))
    ready = [True, True]

    def probe():
        for i, replica in enumerate(replicas):
            try:
                ready[i] = requests.get(replica.url + "/readyz", timeout=5).status_code == 200
            except requests.ConnectionError:
                ready[i] = False

    turn = iter(range(10**9))

    def port():
        able = [replica.port for replica, is_ready in zip(replicas, ready) if is_ready]
        return able[next(turn) % len(able)]

    with Load(connector(port)) as load:
        load.add("kept", load.kept, 4, question(prediction(1)))
        load.add("kept, with pauses", load.kept, 2, question(prediction(1)), 0.15)
        load.add("fresh", load.fresh, 2, question(prediction(1)))
        wait_until(lambda: len(load.n_answered) == 3)
        for i, name in enumerate(("a", "b")):
            old = replicas[i]
            os.kill(old.pid, signal.SIGTERM)
            while not (ended := os.waitpid(old.pid, os.WNOHANG))[0]:
                probe()
                time.sleep(0.05)
            old.pid = None
            assert ended[1] == 0 and not ready[i] and ready[1 - i]
            replicas[i] = line(tmp_path / name, "--port", old.port, "--drain-delay-ms", 600)
            wait_until(lambda: probe() or ready[i])
            load.wait_for_more(5)
    assert load.failures == [], load.n_answered
    for replica in replicas:
        replica.stop()
