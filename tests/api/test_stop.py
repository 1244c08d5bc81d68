"""The stop: what a load balancer and a supervisor see of it."""

import contextlib
import json
import os
import re
import signal
import socket
import time

import pytest
import requests

GOOD = {"search_space": "nasbench201", "hardware": [2.0, 3, 1, 7.46], "architectures": ["444244"]}


def messages(log):
    return [entry["message"] for entry in log]


def wait_until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.005)


def is_ready(daemon):
    return requests.get(daemon.url + "/readyz", timeout=30).status_code == 200


def is_listening(daemon):
    try:
        socket.create_connection(("127.0.0.1", daemon.port), timeout=5).close()
        return True
    except OSError:
        return False


@pytest.fixture
def launch(start, root):
    """Starts a daemon with settings of the test's own."""

    def launch_one(**settings):
        (root / "own.json").write_text(json.dumps(settings))
        return start(root, "--config", root / "own.json")

    return launch_one


def half_sent(daemon):
    body = json.dumps(GOOD).encode()
    connection = socket.create_connection(("127.0.0.1", daemon.port), timeout=60)
    head = b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
    connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body))
    assert connection.recv(100).startswith(b"HTTP/1.1 100")
    connection.sendall(body[:-1])
    return connection, body[-1:]


# ---- drain_delay_ms


def test_during_the_delay_it_is_not_ready_and_answers_still(launch):
    daemon = launch(drain_delay_ms=600_000)
    with requests.Session() as session:
        session.get(daemon.url + "/healthz")
        daemon.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not is_ready(daemon))
        assert is_listening(daemon)
        for asker in (session, requests):  # the connection from before, and new ones
            reply = asker.post(daemon.url + "/v1/predict", json=GOOD, timeout=30)
            assert reply.status_code == 200
        reply = session.get(daemon.url + "/readyz")
        assert reply.status_code == 503 and reply.json()["detail"] == "the service is stopping"
        assert session.get(daemon.url + "/healthz").status_code == 200
    assert daemon.process.poll() is None
    code, log = daemon.stop()
    assert code == 0 and "a second signal: stopping now" in messages(log)


def test_connections_are_kept_during_the_delay(launch):
    """The load balancer would open them anew, here."""
    daemon = launch(drain_delay_ms=600_000)
    daemon.process.send_signal(signal.SIGTERM)
    wait_until(lambda: not is_ready(daemon))
    ask = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=30) as connection:
        for _ in range(3):
            connection.sendall(ask)
            reply = connection.recv(2000)
            assert reply.startswith(b"HTTP/1.1 200") and b"connection: close" not in reply.lower()


def test_after_the_delay_it_stops_in_good_order(launch):
    daemon = launch(drain_delay_ms=300)
    connection, rest = half_sent(daemon)
    daemon.process.send_signal(signal.SIGTERM)
    wait_until(lambda: not is_listening(daemon))
    connection.sendall(rest)
    received = b""
    while piece := connection.recv(65536):
        received += piece
    connection.close()
    assert received.startswith(b"HTTP/1.1 200") and b"connection: close" in received.lower()
    daemon.process.wait(timeout=30)
    code, log = daemon.stop()
    assert code == 0
    stop = [m for m in messages(log) if "stop" in m or "refused" in m]
    assert stop == [
        "SIGTERM: stopping; connections are refused in 300 ms",
        "connections are refused from now on; 1 requests are in flight",
        "stopped",
    ]


def test_delay_that_is_over_ends_a_service_without_requests(launch):
    daemon = launch(drain_delay_ms=100)
    daemon.process.send_signal(signal.SIGINT)
    assert daemon.process.wait(timeout=30) == 0


def test_drain_timeout_begins_with_the_end_of_the_delay(launch):
    daemon = launch(drain_delay_ms=200, drain_timeout_ms=200)
    connection, _ = half_sent(daemon)
    code, log = daemon.stop()
    connection.close()
    assert code == 0
    assert "1 requests are still in flight after drain_timeout_ms; stopping" in messages(log)


@pytest.mark.parametrize("is_signalled", [True, False])
def test_end_does_not_wait_for_long_computations(is_signalled, launch):
    """Batches of the paper's predictor, that take longer together than stop() waits; a second signal, or the end
    of drain_timeout_ms, and it ends all the same."""
    daemon = launch(drain_timeout_ms=600_000 if is_signalled else 100)
    body = json.dumps(GOOD | {"model": "mlp", "architectures": ["444244"] * 4096}).encode()
    head = b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            connection = socket.create_connection(("127.0.0.1", daemon.port), timeout=60)
            stack.enter_context(connection).sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        wait_until(lambda: in_flight(daemon) == 41)
        daemon.process.send_signal(signal.SIGTERM)
        if is_signalled:
            wait_until(lambda: not is_listening(daemon))
            daemon.process.send_signal(signal.SIGTERM)
        daemon.process.wait(timeout=30)
    code, log = daemon.stop()
    reason = "a second signal: stopping now" if is_signalled else "requests are still in flight after drain_timeout_ms; stopping"
    assert code == 0 and messages(log)[-1] == "stopped" and messages(log)[-2].endswith(reason)


def in_flight(daemon):
    text = requests.get(daemon.url + "/metrics", timeout=30).text
    return int(re.search(r"^dgld_http_requests_in_flight (\d+)$", text, re.M)[1])


# ---- connections that are kept open


ASK = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


def kept_open(daemon):
    """A connection that was answered on, and then is idle."""
    connection = socket.create_connection(("127.0.0.1", daemon.port), timeout=30)
    connection.sendall(ASK)
    assert connection.recv(2000).startswith(b"HTTP/1.1 200")
    return connection


def test_next_request_of_a_kept_connection_is_answered_as_its_last(launch):
    """Its client could not know of the stop when it sent it."""
    daemon = launch(drain_idle_ms=600_000, drain_timeout_ms=600_000)
    connections = [kept_open(daemon) for _ in range(20)]
    daemon.process.send_signal(signal.SIGTERM)
    wait_until(lambda: not is_listening(daemon))
    for connection in connections:
        assert daemon.process.poll() is None
        connection.sendall(ASK)
        reply = b""
        while piece := connection.recv(2000):
            reply += piece
        assert reply.startswith(b"HTTP/1.1 200") and b"connection: close" in reply.lower()
        connection.close()
    assert daemon.process.wait(timeout=30) == 0


def test_kept_connection_that_asks_nothing_is_closed_after_drain_idle(launch):
    daemon = launch(drain_idle_ms=400, drain_timeout_ms=600_000)
    with kept_open(daemon) as connection:
        begin = time.monotonic()
        daemon.process.send_signal(signal.SIGTERM)
        assert connection.recv(100) == b""
        assert time.monotonic() - begin > 0.3
    assert daemon.process.wait(timeout=30) == 0


def test_drain_timeout_ends_the_wait_for_kept_connections(launch):
    daemon = launch(drain_idle_ms=600_000, drain_timeout_ms=200)
    with kept_open(daemon):
        code, log = daemon.stop()
    assert code == 0 and messages(log)[-2:] == ["SIGTERM: stopping", "stopped"]


# ---- the supervisor


@pytest.fixture(params=["file", "abstract"])
def supervisor(request, tmp_path, monkeypatch):
    """A socket as systemd has it, named in the environment."""
    name = str(tmp_path / "notify") if request.param == "file" else f"@dgld-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + name[1:] if name[0] == "@" else name)
        listener.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        yield listener


def receive(supervisor):
    return dict(line.split("=", 1) for line in supervisor.recv(4096).decode().split("\n"))


def test_supervisor_is_told_of_start_and_stop(supervisor, launch):
    daemon = launch(drain_delay_ms=100)
    told = receive(supervisor)
    assert told["READY"] == "1" and f"http://127.0.0.1:{daemon.port}" in told["STATUS"]
    assert is_ready(daemon)
    daemon.process.send_signal(signal.SIGTERM)
    assert receive(supervisor)["STOPPING"] == "1"
    assert daemon.process.wait(timeout=30) == 0


def test_supervisor_is_told_of_a_reload(supervisor, launch):
    daemon = launch()
    status = receive(supervisor)["STATUS"]
    before_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    daemon.process.send_signal(signal.SIGHUP)
    told = receive(supervisor)
    assert told["RELOADING"] == "1"
    assert before_us <= int(told["MONOTONIC_USEC"]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert receive(supervisor) == {"READY": "1", "STATUS": status}
    assert is_ready(daemon)


def test_watchdog_is_fed(supervisor, launch, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "40000")
    launch()
    assert receive(supervisor)["READY"] == "1"
    assert [receive(supervisor) for _ in range(3)] == [{"WATCHDOG": "1"}] * 3


def test_watchdog_of_another_process_is_not_fed(supervisor, launch, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "2000")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    daemon = launch()
    assert receive(supervisor)["READY"] == "1"
    assert is_ready(daemon)
    daemon.process.send_signal(signal.SIGTERM)
    assert "STOPPING" in receive(supervisor)  # the very next message


def test_service_that_fails_to_start_is_never_ready(supervisor, root, start):
    (root / "result" / "nasbench201" / "pretrainmodel.safetensors").write_bytes(b"broken")
    with pytest.raises(AssertionError, match="did not start"):
        start(root)
    supervisor.setblocking(False)
    with pytest.raises(BlockingIOError):
        supervisor.recv(4096)


@pytest.mark.parametrize("name", ["/nonexistent/socket", "relative", "@nobody-is-there", ""])
def test_service_starts_without_its_supervisor(name, launch, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    assert is_ready(launch())
