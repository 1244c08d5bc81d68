"""Clients that ask at full speed, and count everything that goes wrong: what no client may notice while processes,
tokens and certificates are replaced."""

import collections
import json
import socket
import threading
import time

BODY = {"search_space": "nasbench201", "hardware": [2.0, 3, 1, 7.46]}


def prediction(n):
    """A body for `n` architectures; a large one is worked on by the pool, and its reply is long."""
    return json.dumps(BODY | {"architectures": ["444244", "111111", "535353", "123451"] * (n // 4) if n > 1 else ["444244"]}).encode()


def question(body=None, path="/v1/predict", method="POST", **headers):
    """The bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: x", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


class Reply:
    """One reply from a connection; raises where it is torn, or none comes."""

    def __init__(self, connection):
        received = b""
        while b"\r\n\r\n" not in received:
            piece = connection.recv(65536)
            if not piece:
                raise ConnectionError(f"closed after {len(received)} bytes of a reply's head")
            received += piece
        head, self.body = received.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        self.status = int(lines[0].split(" ")[1])
        self.headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines[1:])}
        size = int(self.headers["content-length"])
        while len(self.body) < size:
            piece = connection.recv(65536)
            if not piece:
                raise ConnectionError(f"closed after {len(self.body)} of {size} bytes of a reply's body")
            self.body += piece
        assert len(self.body) == size
        self.is_last = self.headers.get("connection", "").lower() == "close"


class Load:
    """Threads that ask until stop(); `failures` has a sentence for each request that was not answered as it should,
    `n_answered` counts by the kind of client. `connect` gives a socket, TLS done."""

    def __init__(self, connect, is_right=lambda reply: reply.status == 200):
        self.connect, self.is_right = connect, is_right
        self.failures, self.n_answered = [], collections.Counter()
        self.is_over, self.threads = False, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.is_over = True
        for thread in self.threads:
            thread.join()

    def add(self, kind, client, n, *arguments):
        for _ in range(n):
            self.threads.append(threading.Thread(target=self._run, args=(kind, client, *arguments)))
            self.threads[-1].start()

    def _run(self, kind, client, *arguments):
        while not self.is_over:
            try:
                client(kind, *arguments)
            except (OSError, ValueError, KeyError, IndexError, AssertionError) as error:
                self.failures.append(f"{kind}: {type(error).__name__}: {error}")
                if len(self.failures) > 100:
                    return

    def _ask(self, kind, connection, request):
        connection.sendall(request() if callable(request) else request)
        reply = Reply(connection)
        if self.is_right(reply):
            self.n_answered[kind] += 1
        else:
            self.failures.append(f"{kind}: {reply.status} {reply.body[:200]}")
        return reply

    def kept(self, kind, request, pause_s=0):
        """Asks on one connection until it is told that a reply was the last one there."""
        with self.connect() as connection:
            while not self.is_over and not self._ask(kind, connection, request).is_last:
                time.sleep(pause_s)

    def fresh(self, kind, request, pause_s=0):
        """A connection for each request, which says nothing for `pause_s` after it is there."""
        with self.connect() as connection:
            time.sleep(pause_s)
            self._ask(kind, connection, request)

    def wait_for_more(self, n, limit_s=30):
        """Until every kind of client was answered `n` more times."""
        goal = {kind: count + n for kind, count in dict(self.n_answered).items()}
        deadline = time.monotonic() + limit_s
        while any(self.n_answered[kind] < count for kind, count in goal.items()):
            assert time.monotonic() < deadline and len(self.failures) < 100, (self.n_answered, self.failures[:5])
            time.sleep(0.005)


def connector(port, limit_s=30):
    """Connects to a port of loopback; small packets go at once."""

    def connect():
        connection = socket.create_connection(("127.0.0.1", port() if callable(port) else port), timeout=limit_s)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    return connect
