"""Requests that no decent client sends, and clients that are slow on purpose."""

import itertools
import json
import selectors
import socket
import time

import pytest
import requests
from conftest import Service, make_root

GOOD = {"search_space": "nasbench201", "hardware": [2.0, 3, 1, 7.46], "architectures": ["444244"]}
BODY = json.dumps(GOOD).encode()
HOST = b"Host: x\r\nConnection: close\r\n"
POST = b"POST /v1/predict HTTP/1.1\r\nContent-Type: application/json\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
CHUNK = b"%x\r\n%s\r\n" % (len(BODY), BODY)


def get(path, headers=HOST, method=b"GET"):
    return method + b" " + path + b" HTTP/1.1\r\n" + headers + b"\r\n"


def status_of(received):
    return int(received.split(b" ", 2)[1]) if received.startswith(b"HTTP/1.") else None


def is_serving(service):
    return service.post(GOOD).status_code == 200


# ---- single requests -------------------------------------------------------------------------------------------

# What is sent, and the statuses that are right; None: the connection may be closed without a word, since the
# client may still be sending when it is.
CASES = {
    "HTTP/1.0": (b"GET /healthz HTTP/1.0\r\n\r\n", {200}),
    "HTTP/0.9": (b"GET /healthz\r\n\r\n", {400}),
    "HTTP/2.0": (b"GET /healthz HTTP/2.0\r\n\r\n", {505}),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {505}),
    "a TLS handshake": (b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00\r\n\r\n", {400, None}),
    "absolute form": (get(b"http://x/healthz"), {200}),
    "absolute form of https": (get(b"HTTPS://x:8080/healthz"), {200}),
    "absolute form without a path": (get(b"http://x"), {200}),
    "a path that looks absolute": (get(b"/http://x/healthz"), {404}),
    "a target without a slash": (get(b"healthz"), {404}),
    "another scheme": (get(b"ftp://x/healthz"), {404}),
    "no target": (b"GET  HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "OPTIONS *": (get(b"*", method=b"OPTIONS"), {204}),
    "TRACE": (get(b"/healthz", method=b"TRACE"), {405}),
    "CONNECT": (get(b"example.com:443", method=b"CONNECT"), {404}),
    "a method in lower case": (get(b"/healthz", method=b"get"), {405}),
    "a long method": (get(b"/healthz", method=b"A" * 5000), {405}),
    "no Host": (get(b"/healthz", b"Connection: close\r\n"), {400}),
    "two Hosts": (get(b"/healthz", HOST + b"Host: y\r\n"), {400}),
    "a header of 40,000 bytes": (get(b"/healthz", HOST + b"X: " + b"a" * 40_000 + b"\r\n"), {431, None}),
    "3,000 headers": (get(b"/healthz", HOST + b"X: a\r\n" * 3000), {431, None}),
    "100 headers": (get(b"/healthz", HOST + b"X: a\r\n" * 100), {200}),
    "a NUL in a header": (get(b"/healthz", HOST + b"X: a\0b\r\n"), {400}),
    "a NUL in a header's name": (get(b"/healthz", HOST + b"X\0: a\r\n"), {400}),
    "a NUL after the length": (POST + b"Content-Length: 2\x00\r\n\r\n{}", {400}),
    "a bare CR in a header": (get(b"/healthz", HOST + b"X: a\rY: b\r\n"), {400}),
    "a length behind a bare CR": (POST + b"Content-Length: 2\r\nX: a\rContent-Length: 3\r\n\r\n{}x", {400}),
    "a header without a colon": (get(b"/healthz", HOST + b"Xab\r\n"), {400}),
    "a header without a name": (get(b"/healthz", HOST + b": ab\r\n"), {400}),
    "an upgrade": (get(b"/healthz", b"Host: x\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n"), {200}),
    "an Expect that nobody knows": (POST + b"Expect: tea\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY, {417}),
    "two lengths": (POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x", {400}),
    "a length and chunks": (POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400}),
    "a list of lengths": (POST + b"Content-Length: 2, 2\r\n\r\n{}", {400}),
    "a chunk": (CHUNKED + CHUNK + b"0\r\n\r\n", {200}),
    "a chunk with an extension": (CHUNKED + CHUNK.replace(b"\r\n", b";a=b\r\n", 1) + b"0\r\n\r\n", {200}),
    "a chunk and a trailer": (CHUNKED + CHUNK + b"0\r\nX-T: 1\r\n\r\n", {200}),
    "a chunk of no number": (CHUNKED + b"zz\r\n" + BODY, {400}),
    "a chunk of a negative number": (CHUNKED + b"-5\r\n" + BODY, {400}),
    "a chunk of 0x5": (CHUNKED + b"0x5\r\n" + BODY, {400}),
    "a chunk of 2**68": (CHUNKED + b"1" + b"0" * 17 + b"\r\n" + BODY, {413}),
    "a chunk that does not end": (CHUNKED + b"5\r\n" + BODY, {400}),
    "a chunk with a long extension": (CHUNKED + b"5;" + b"a" * 40_000 + b"\r\n", {400, 413, 431, 500, None}),  # 500: in the library's words
    "a trailer with another length": (CHUNKED + CHUNK + b"0\r\nContent-Length: 3\r\n\r\nGET", {200}),
    "a path of 12,000 bytes": (get(b"/" + b"a" * 12_000), {404}),
    "a path of 40,000 bytes": (get(b"/" + b"a" * 40_000), {414, 431, None}),
    "a NUL in the path": (get(b"/healthz%00"), {404}),
    "a raw NUL in the path": (get(b"/health\0z"), {400}),
    "bytes that are no UTF-8 in the path": (get(b"/\xff\xfe%ff%c0%80"), {404}),
    "an escape that breaks off": (get(b"/healthz%2"), {404}),
    "control characters in the path": (get(b"/%01%7f%0d%0aX:%20y"), {404}),
    "a path that climbs": (get(b"/v1/results/..%2f..%2fetc%2fpasswd"), {404}),
    "a query of nonsense": (get(b"/healthz?%zz&&&=&a=%00%ff&" + b"&" * 50), {200}),
    "a body that nobody wants": (get(b"/healthz", HOST + b"Content-Length: 5\r\n") + b"hello", {200}),
    "a body that is no UTF-8": (POST + b"Content-Length: 4\r\n\r\n\"\xff\xfe\"", {400}),
}  # fmt: skip


@pytest.mark.parametrize("half_close", [False, True], ids=["open", "half-closed"])
@pytest.mark.parametrize("name", CASES)
def test_strange_request_is_answered_as_it_should(name, half_close, service):
    raw, right = CASES[name]
    received = b""
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        try:
            connection.sendall(raw)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65536):
                received += piece
        except OSError:  # it was closed before all was sent
            assert None in right or received
    assert status_of(received) in right
    assert received.count(b"HTTP/1.1 2") <= 1, "what follows is not taken for a request"
    assert is_serving(service)


@pytest.mark.parametrize("name", CASES)
def test_strange_request_in_pieces_is_answered_the_same(name, service):
    raw, right = CASES[name]
    received = b""
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        step = max(1, len(raw) // 50)
        try:
            for at in range(0, len(raw), step):
                connection.sendall(raw[at : at + step])
            while piece := connection.recv(65536):
                received += piece
        except OSError:
            received = received or connection_rest(connection)
    assert status_of(received) in right | ({None} if right != {200} else set())
    assert is_serving(service)


def connection_rest(connection):
    try:
        return connection.recv(65536)
    except OSError:
        return b""


def test_errors_about_strange_paths_are_json_still(service):
    for path in (b"/\xff\xfe", b"/%ff", b"/%01%22%5c", b"/%0d%0aSet-Cookie:%20a=b", b"/" + b"\xf0\x9f" * 100):
        head, body = service.exchange(get(path)).split(b"\r\n\r\n", 1)
        assert status_of(head) == 404 and json.loads(body)["status"] == 404
        assert b"Set-Cookie" not in head


def test_half_closed_connection_gets_all_its_answers(service):
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        request = b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
        connection.sendall(request * 20)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while piece := connection.recv(65536):
            received += piece
    assert received.count(b"HTTP/1.1 200 OK") == 20


@pytest.mark.parametrize("sent", [b"GET /healthz HTT", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 20], ids=["part", "whole"])
def test_an_end_that_comes_with_the_data_is_seen(service, sent):
    """The idle timeout, a minute, is not what closes them."""
    connections = [socket.create_connection(("127.0.0.1", service.port), timeout=30) for _ in range(200)]
    for connection in connections:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
    for connection in connections:
        with connection:
            received = b""
            while piece := connection.recv(65536):
                received += piece
        assert received.count(b"HTTP/1.1 200 OK") == sent.count(b"\r\n\r\n")


# ---- slow clients ----------------------------------------------------------------------------------------------

N_SLOW = 1000
LARGE = json.dumps(GOOD | {"architectures": ["444244"] * 100_000}).encode()
HEADERS = POST.replace(b"Connection: close\r\n", b"")


class SlowClients:
    """Many connections from an address of their own. Each has sent `first` and goes on with a byte of `drip` at a
    time whenever step() is called; what they receive is left unread unless is_reading."""

    addresses = itertools.count(2)

    def __init__(self, service, n, first, drip=b"", is_reading=True):
        self.address = f"127.0.0.{next(self.addresses)}"  # connections of another test may be open still
        self.first, self.drip, self.is_reading, self.n_closed, self.at = first, drip, is_reading, 0, 0
        self.received = []
        self.selector = selectors.DefaultSelector()
        self.connections = []
        for _ in range(n):
            connection = socket.socket()
            connection.bind((self.address, 0))
            if not is_reading:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(30)
            connection.connect(("127.0.0.1", service.port))
            try:
                connection.sendall(first)
            except ConnectionError:
                self.n_closed += 1  # the service would not have it
                connection.close()
                continue
            connection.setblocking(False)
            self.connections.append(connection)

    def step(self):
        """One more byte on each connection; those that the service has closed are dropped and counted."""
        byte = self.drip[self.at % len(self.drip) :][:1] if self.drip else b""
        self.at += 1
        for connection in list(self.connections):
            try:
                if byte:
                    connection.send(byte)
                while self.is_reading:
                    piece = connection.recv(65536)
                    if not piece:
                        raise ConnectionResetError
                    self.received.append(piece)
            except BlockingIOError:
                continue
            except ConnectionError:
                self.n_closed += 1
                self.connections.remove(connection)
                connection.close()

    def close(self):
        for connection in self.connections:
            connection.close()


SLOW = {
    "nothing sent": (b"", b""),
    "headers dribbled": (b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: ", b"a"),
    "header after header": (b"GET /healthz HTTP/1.1\r\nHost: x\r\n", b"X: a\r\n"),
    "body dribbled": (HEADERS + b"Content-Length: 1000000\r\n\r\n", b" "),
    "chunks dribbled": (HEADERS + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "a refused body dribbled": (b"PUT /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n", b" "),
}


@pytest.fixture(scope="module")
def patient(tmp_path_factory):
    """A daemon whose deadlines are far away: slow clients stay, and must not matter."""
    yield from serve(tmp_path_factory.mktemp("patient"), {"idle_timeout_s": 600, "header_timeout_s": 600,
                     "body_timeout_s": 600, "reply_timeout_s": 600})  # fmt: skip


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    """A daemon that gives a request a second for its headers, for its body, and for its reply, whatever trickles."""
    yield from serve(tmp_path_factory.mktemp("strict"), {"idle_timeout_s": 600, "header_timeout_s": 1,
                     "body_timeout_s": 1, "reply_timeout_s": 1})  # fmt: skip


def serve(root, settings):
    make_root(root)
    (root / "own.json").write_text(json.dumps(settings))
    daemon = Service(root, "--config", root / "own.json")
    yield daemon
    assert daemon.stop()[0] == 0


@pytest.mark.parametrize("name", SLOW)
def test_a_thousand_slow_clients_do_not_keep_a_normal_one_out(name, patient):
    slow = SlowClients(patient, N_SLOW, *SLOW[name])
    try:
        for _ in range(10):
            slow.step()
            assert is_serving(patient)
        assert len(slow.connections) == N_SLOW
    finally:
        slow.close()


def test_a_thousand_clients_that_do_not_read_do_not_keep_a_normal_one_out(patient):
    request = HEADERS + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
    slow = SlowClients(patient, N_SLOW, request * 8, is_reading=False)
    try:
        for _ in range(10):
            assert is_serving(patient)
    finally:
        slow.close()


@pytest.mark.parametrize("name", [name for name in SLOW if name != "nothing sent"])
def test_trickling_does_not_put_off_the_deadline(name, strict):
    slow = SlowClients(strict, 50, *SLOW[name])
    deadline = time.monotonic() + 60
    try:
        while slow.connections:
            assert time.monotonic() < deadline, f"{len(slow.connections)} of 50 are open still"
            slow.step()
            time.sleep(0.05)
        assert is_serving(strict)
        assert slow.received and all(piece.startswith(b"HTTP/1.1 4") for piece in slow.received)
    finally:
        slow.close()


@pytest.mark.parametrize("n", [600, 6000])
def test_arguments_without_end_hold_nobody_up(strict, n):
    """Of about 500 the library's memory for the connection is full to the brim: there it may close without a word."""
    assert status_of(strict.exchange(get(b"/healthz?" + b"&" * n))) in (200, 400, 408, 413, 414, 431)
    assert is_serving(strict)


def test_reply_that_is_not_read_is_given_up(strict):
    """Replies of 1 MB each that nobody takes: the service closes the connections, and what they held is free."""
    request = HEADERS + b"Content-Length: %d\r\n\r\n" % len(LARGE) + LARGE
    slow = SlowClients(strict, 8, request * 4, is_reading=False)
    deadline = time.monotonic() + 60
    try:
        while slow.n_closed < 8:
            assert time.monotonic() < deadline, f"{len(slow.connections)} of 8 are open still"
            time.sleep(0.05)
            slow.drip = b"x"  # a closed connection shows when something is sent
            slow.step()
        assert is_serving(strict)
    finally:
        slow.close()


def test_bound_on_connections_of_one_address_leaves_others_alone(root, start):
    (root / "own.json").write_text(json.dumps({"connections_per_address_max": 20}))
    daemon = start(root, "--config", root / "own.json")
    slow = SlowClients(daemon, 60, b"GET /healthz HTTP/1.1\r\nHost: x\r\n", b"a")
    deadline = time.monotonic() + 20
    try:
        while slow.n_closed < 40:
            assert time.monotonic() < deadline, f"{slow.n_closed} connections were refused"
            slow.step()
        assert len(slow.connections) == 20
        assert is_serving(daemon)
    finally:
        slow.close()
    while not is_served(daemon, slow.address):
        assert time.monotonic() < deadline, "the places were not given back"
    assert any("connections_per_address_max" in entry["message"] for entry in daemon.stop()[1])


def is_served(daemon, address):
    try:
        with socket.create_connection(("127.0.0.1", daemon.port), timeout=30, source_address=(address, 0)) as connection:
            connection.sendall(get(b"/healthz"))
            return status_of(connection.recv(1000)) == 200
    except ConnectionError:
        return False


def test_bound_on_all_connections_is_kept_and_let_go(root, start):
    (root / "own.json").write_text(json.dumps({"connections_max": 40, "http_threads": 2}))
    daemon = start(root, "--config", root / "own.json")
    slow = SlowClients(daemon, 100, b"GET /healthz HTTP/1.1\r\nHost: x\r\n", b"a")
    deadline = time.monotonic() + 20
    try:
        while slow.n_closed < 60:
            assert time.monotonic() < deadline, f"{slow.n_closed} connections were refused"
            slow.step()
        assert len(slow.connections) <= 40
    finally:
        slow.close()
    while not is_served(daemon, "127.0.0.1"):
        assert time.monotonic() < deadline, "the places were not given back"
    assert any("connections_max" in entry["message"] for entry in daemon.stop()[1])
