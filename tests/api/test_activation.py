"""Sockets that a supervisor hands over: LISTEN_FDS of sd_listen_fds(3)."""

import http.client
import json
import os
import socket
import subprocess
import threading
import time

import pytest
import requests
from conftest import BINARY, ROOT, handing_over

GOOD = {"search_space": "nasbench201", "hardware": [2.0, 3, 1, 7.46], "architectures": ["444244"]}


def messages(log):
    return [entry["message"] for entry in log]


@pytest.fixture
def listen(tmp_path):
    """Makes listening sockets as a supervisor would, and closes its copies at the end."""
    sockets = []

    def make(address="127.0.0.1", family=None, kind=socket.SOCK_STREAM, is_listening=True):
        if family is None:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sockets.append(socket.socket(family, kind))
        sockets[-1].bind(address if family == socket.AF_UNIX else (address, 0))
        if is_listening:
            sockets[-1].listen(128)
        return sockets[-1]

    yield make
    for one in sockets:
        one.close()


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(self.path)


def predict_over(path):
    connection = UnixConnection(path)
    connection.request("POST", "/v1/predict", json.dumps(GOOD), {"Content-Type": "application/json"})
    reply = connection.getresponse()
    body = json.loads(reply.read())
    connection.close()
    return reply.status, body


def start_fails(root, sockets, names="web:second", *arguments):
    """The sentence with which a service that was handed these sockets refuses to start."""
    prefix, more = handing_over(sockets, names)
    command = [*prefix, str(BINARY), "serve", "--root", str(root), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=ROOT, **more)
    assert done.returncode == 1, done
    return done.stderr.splitlines()[-1]


def test_sockets_of_every_family_are_served_instead_of_the_settings(start, root, listen, tmp_path):
    path = str(tmp_path / "http.sock")
    v4, v6 = listen(), listen("::1")
    local = listen(path, socket.AF_UNIX)
    hidden = listen("\0dgld-test-%d" % os.getpid(), socket.AF_UNIX)
    taken = listen()  # a port that could not be bound
    daemon = start(root, "--port", taken.getsockname()[1], sockets=[v4, local, v6, hidden])
    port = v6.getsockname()[1]
    assert daemon.addresses == [
        f"http://127.0.0.1:{v4.getsockname()[1]}", f"unix:{path}", f"http://[::1]:{port}", f"unix:@dgld-test-{os.getpid()}"]
    assert "4 sockets are the supervisor's; bind and port are not looked at" in messages(daemon.log)
    expected = daemon.predict(**GOOD)
    assert requests.post(f"http://[::1]:{port}/v1/predict", json=GOOD, timeout=30).json() == expected
    assert predict_over(path) == predict_over("\0dgld-test-%d" % os.getpid()) == (200, expected)
    code, _ = daemon.stop()
    assert code == 0


def test_unix_socket_alone_is_enough_and_has_one_rate_for_all(start, root, listen, tmp_path):
    path = str(tmp_path / "http.sock")
    daemon = start(root, "--request-rate-max", "1", "--request-burst-max", "3", "--log-level", "debug",
                   "--connections-per-address-max", "1", sockets=[listen(path, socket.AF_UNIX)])
    assert daemon.addresses == [f"unix:{path}"]
    idle = [UnixConnection(path) for _ in range(3)]
    for connection in idle:
        connection.connect()
    assert [predict_over(path)[0] for _ in range(4)] == [200, 200, 200, 429]
    code, log = daemon.stop()
    assert code == 0 and os.path.exists(path)  # it is the supervisor's
    assert [e["status"] for e in log if e.get("path") == "/v1/predict"] == [200, 200, 200, 429]


def test_who_waits_at_a_stop_is_served_by_the_next_process(start, root, listen):
    """Nobody is refused or reset from the stop of one process to the start of the next."""
    shared = listen()
    first = start(root, sockets=[shared])
    assert first.post(GOOD).status_code == 200
    assert first.stop()[0] == 0
    replies = []

    def ask():
        replies.append(requests.post(first.url + "/v1/predict", json=GOOD, timeout=60).status_code)

    waiting = [threading.Thread(target=ask) for _ in range(20)]
    for thread in waiting:
        thread.start()
    time.sleep(0.2)
    assert replies == []
    second = start(root, sockets=[shared])
    for thread in waiting:
        thread.join()
    assert replies == [200] * 20 and second.port == first.port


def test_two_processes_serve_one_socket_and_one_of_them_stops(start, root, listen):
    shared = listen()
    first, second = start(root, sockets=[shared]), start(root, sockets=[shared])
    assert first.url == second.url
    for _ in range(20):
        assert first.post(GOOD).status_code == 200
    assert first.stop()[0] == 0
    for _ in range(20):
        assert second.post(GOOD).status_code == 200


def test_sockets_of_another_process_are_left_alone(start, root, listen, monkeypatch):
    monkeypatch.setenv("LISTEN_PID", "1")
    monkeypatch.setenv("LISTEN_FDS", "1")
    daemon = start(root)
    assert daemon.port != 8080 and not any("supervisor" in m for m in messages(daemon.log))
    monkeypatch.delenv("LISTEN_PID")
    assert start(root).post(GOOD).status_code == 200


def test_what_is_no_listening_stream_socket_stops_the_start(root, listen, tmp_path):
    wrong = {
        "bound only": listen(is_listening=False),
        "datagrams": listen(kind=socket.SOCK_DGRAM, is_listening=False),
        "packets": listen(str(tmp_path / "packets"), socket.AF_UNIX, socket.SOCK_SEQPACKET),
    }
    for one in wrong.values():
        assert start_fails(root, [listen(), one]) == (
            "dgld: descriptor 4 (second) of LISTEN_FDS: it is not a listening stream socket; in a socket unit "
            "ListenStream= with Accept=no makes one")
    with open(tmp_path / "file", "w") as file:
        assert "descriptor 3 (web) of LISTEN_FDS: it is not a listening" in start_fails(root, [file])
    assert "descriptor 3 of LISTEN_FDS: it is not" in start_fails(root, [wrong["datagrams"]], "\x1b[2J")


def test_socket_off_loopback_needs_tokens_or_leave(start, root, listen):
    said = start_fails(root, [listen(), listen("0.0.0.0")])
    assert "the supervisor hands over a socket at 0.0.0.0:" in said and "where anyone could call" in said
    assert "[::]:" in start_fails(root, [listen("::")])
    daemon = start(root, "--insecure", sockets=[listen("0.0.0.0")])
    assert daemon.post(GOOD).status_code == 200
    assert any(m.startswith("anyone who reaches 0.0.0.0:") for m in messages(daemon.log))
