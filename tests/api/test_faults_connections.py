"""Ten thousand clients that stay connected and ask nothing: the next one is served as ever, and what they took is back
when they are gone."""

import contextlib
import resource
import socket
import time

import pytest
from conftest import make_root
from faults import n_descriptors, resident_bytes, wait_for
from job_tools import Daemon

N_LONG, N_SHORT = 10_000, 1_000
SPARE = 256  # descriptors of whoever holds the connections, besides
# a connection's memory for headers (32 KiB, of which pages count that were written), its record and the library's own
BYTES_EACH = 40 << 10
QUESTION = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
ASKED = {"search_space": "nasbench201", "hardware": [2, 3, 1, 7.46], "architectures": ["444244"]}


@contextlib.contextmanager
def many_files(n):
    """This process and those that it starts may have so many descriptors, as far as the machine lets them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < n:
        pytest.skip(f"this machine allows {hard} descriptors a process")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, n), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def connect(port, i):
    """From one of several addresses of loopback: each has fewer than 28,000 ports for one that it connects to."""
    connection = socket.socket()
    connection.bind((f"127.0.0.{2 + i % 8}", 0))
    connection.settimeout(30)
    connection.connect(("127.0.0.1", port))
    return connection


def receive(connection):
    received = b""
    while not received.endswith(b'{"status":"alive"}\n'):
        piece = connection.recv(4096)
        assert piece, received
        received += piece
    return received


def at_rest(pid):
    """Descriptors but for those that are open for a moment: of a file that is looked at, of a connection that ends."""
    counts = []
    for _ in range(50):
        counts.append(n_descriptors(pid))
        time.sleep(0.01)
    return min(counts)


def hold(root, n):
    """Opens n connections, each of which has asked once, and looks at the daemon with them and after."""
    daemon = Daemon(root, "--connections-max", n + 100, "--connections-per-address-max", n, "--idle-timeout-s", 600).start()
    daemon.headers = {"Connection": "close"}
    port, pid = int(daemon.url.rsplit(":", 1)[1]), daemon.process.pid
    assert daemon.request("POST", "/v1/predict", json=ASKED).ok
    assert wait_for(lambda: "dgld_http_connections 1\n" in daemon.request("GET", "/metrics").text)  # who asks this
    before, memory = at_rest(pid), resident_bytes(pid)
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(connect(port, i)) for i in range(n)]
        for i in range(0, n, 100):
            for connection in held[i : i + 100]:
                connection.sendall(QUESTION)
            for connection in held[i : i + 100]:
                assert receive(connection).startswith(b"HTTP/1.1 200")
        taken = resident_bytes(pid) - memory
        assert n_descriptors(pid) - before >= n
        for _ in range(20):
            began = time.monotonic()
            assert daemon.request("POST", "/v1/predict", json=ASKED).status_code == 200
            assert time.monotonic() - began < 10
        for connection in held[:: max(1, n // 100)]:  # they are as good as ever
            connection.sendall(QUESTION)
            assert receive(connection).startswith(b"HTTP/1.1 200")
        metrics = daemon.request("GET", "/metrics").text
        assert f"dgld_http_connections {n + 1}\n" in metrics or f"dgld_http_connections {n}\n" in metrics, metrics[:2000]
    assert wait_for(lambda: n_descriptors(pid) <= before + 1, 30), (n_descriptors(pid), before)
    assert daemon.request("POST", "/v1/predict", json=ASKED).ok
    assert daemon.stop() == 0
    return taken / n


def test_a_thousand_connections_are_held(tmp_path):
    (tmp_path / "root").mkdir()
    make_root(tmp_path / "root")
    with many_files(N_SHORT + SPARE):
        assert hold(tmp_path / "root", N_SHORT) < BYTES_EACH


@pytest.mark.long
def test_ten_thousand_connections_are_held_at_length(tmp_path, capsys):
    (tmp_path / "root").mkdir()
    make_root(tmp_path / "root")
    with many_files(N_LONG + SPARE):
        each = hold(tmp_path / "root", N_LONG)
    with capsys.disabled():
        print(f"\n{each:.0f} bytes of resident memory a connection")
    assert each < BYTES_EACH
