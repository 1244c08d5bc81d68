"""Absolute deadlines: who sends or reads a byte now and then does not hold a connection for ever."""

import json
import socket
import time

import pytest
from conftest import Service, make_root

GOOD = {"search_space": "nasbench201", "hardware": [2.0, 3, 1, 7.46], "architectures": ["444244"]}


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    """A daemon whose clients have one second for anything; idle ones longer."""
    path = tmp_path_factory.mktemp("strict")
    make_root(path)
    (path / "config").mkdir()
    settings = {"header_timeout_s": 1, "body_timeout_s": 1, "reply_timeout_s": 1, "idle_timeout_s": 600}
    (path / "config" / "dgld.json").write_text(json.dumps(settings))
    daemon = Service(path)
    yield daemon
    code, log = daemon.stop()
    assert code == 0, log


def dribble(daemon, begin, piece):
    """Sends `begin`, then `piece` every 50 ms; returns what came back until the connection was closed."""
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=0.05) as connection:
        connection.sendall(begin)
        received = b""
        for _ in range(400):  # twenty seconds
            try:
                part = connection.recv(4096)
                if not part:
                    return received
                received += part
            except TimeoutError:
                pass
            except ConnectionError:
                return received
            try:
                connection.sendall(piece)
            except OSError:
                pass  # closed; what was sent before can be read still
    raise AssertionError("the connection was never closed")


HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: x\r\n"
CASES = {
    "nothing": (b"", b"", b"headers"),
    "a request line": (b"GET /heal", b"t", b"headers"),
    "headers": (HEAD, b"X-A: b\r\n", b"headers"),
    "a body": (HEAD + b"Content-Length: 1000\r\n\r\n", b" ", b"body"),
    "a body that stops": (HEAD + b"Content-Length: 1000\r\n\r\nabc", b"", b"body"),
    "chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", b"body"),
    "a refused body": (HEAD.replace(b"predict", b"nothing") + b"Content-Length: 1000\r\n\r\n", b" ", b"body"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_does_not_arrive_in_time_is_408(name, strict):
    begin, piece, what = CASES[name]
    received = dribble(strict, begin, piece)
    assert received.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b"Connection: close" in received and b"the " + what + b" did not arrive in time" in received


def test_a_reply_that_is_not_read_ends_the_connection(strict):
    body = json.dumps(GOOD | {"architectures": ["444244"] * 1_000_000}).encode()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(30)
        connection.connect(("127.0.0.1", strict.port))
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        received = len(connection.recv(4096))  # the reply has begun
        time.sleep(2.5)
        try:
            while part := connection.recv(1 << 20):
                received += len(part)
        except ConnectionError:
            pass
    assert received < 11_000_000  # less than the whole


def test_a_connection_may_idle_between_requests(strict):
    """The deadline for headers is for who has begun: a kept connection may rest as long as idle_timeout_s."""
    question = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.create_connection(("127.0.0.1", strict.port), timeout=30) as connection:
        for _ in range(2):
            connection.sendall(question)
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")
            time.sleep(2)
        connection.sendall(question)
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")


def test_a_batch_may_take_longer_than_the_deadlines(root, start):
    """What the service itself needs is not held against the client."""
    (root / "config").mkdir()
    settings = {"body_timeout_s": 1, "reply_timeout_s": 1, "header_timeout_s": 1}
    (root / "config" / "dgld.json").write_text(json.dumps(settings))
    daemon = start(root)
    reply = daemon.post(GOOD | {"model": "mlp", "architectures": ["444244"] * 4096})
    assert reply.status_code == 200 and len(reply.json()["latency_ms"]) == 4096


def test_half_a_request_does_not_hold_up_the_stop(root, start):
    """The library does not see a client's end that arrives with its data; the deadline does."""
    (root / "config").mkdir()
    (root / "config" / "dgld.json").write_text('{"body_timeout_s": 1, "drain_timeout_ms": 60000}')
    daemon = start(root)
    with socket.create_connection(("127.0.0.1", daemon.port)) as connection:
        connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\n{")
    time.sleep(0.2)
    code, log = daemon.stop()  # fails after 30 seconds
    assert code == 0, log
