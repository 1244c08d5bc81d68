"""Requests of one address in a time. The rate is so low that no test waits for it."""

import json
import signal
import socket
import time

import pytest
import requests
from conftest import run

GOOD = {"search_space": "nasbench201", "hardware": [2.0, 3, 1, 7.46], "architectures": ["444244"]}


def configure(root, **settings):
    (root / "own.json").write_text(json.dumps(settings))
    return ("--config", root / "own.json")


def ask_from(daemon, address, method=b"GET", path=b"/nothing"):
    """Status of a request from an address of loopback."""
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=30, source_address=(address, 0)) as connection:
        connection.sendall(method + b" " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return int(connection.recv(1000).split()[1])


def test_more_than_a_burst_is_429_and_names_the_bound(root, start):
    daemon = start(root, *configure(root, request_rate_max=1, request_burst_max=5))
    replies = [daemon.post(GOOD) for _ in range(40)]
    assert [r.status_code for r in replies[:5]] == [200] * 5
    assert 429 in {r.status_code for r in replies} <= {200, 429}
    refusal = next(r for r in replies if r.status_code == 429)
    assert int(refusal.headers["Retry-After"]) == 1
    assert refusal.headers["Content-Type"] == "application/problem+json"
    body = refusal.json()
    assert body["type"] == "urn:dgld:problem:too-many-requests"
    assert "request_rate_max" in body["detail"] and "request_burst_max" in body["detail"]


def test_addresses_do_not_share_a_bound(root, start):
    daemon = start(root, *configure(root, request_rate_max=1, request_burst_max=3))
    for address in ("127.0.0.2", "127.0.0.3"):
        assert 429 in [ask_from(daemon, address) for _ in range(20)]
    assert ask_from(daemon, "127.0.0.4") == 404


def test_health_is_always_answered(root, start):
    daemon = start(root, *configure(root, request_rate_max=1, request_burst_max=1))
    assert 429 in [daemon.post(GOOD).status_code for _ in range(10)]
    assert [requests.get(daemon.url + "/healthz").status_code for _ in range(20)] == [200] * 20


@pytest.mark.parametrize("method, path", [(b"GET", b"/nothing"), (b"PUT", b"/v1/predict"), (b"OPTIONS", b"/v1/predict")])
def test_requests_that_are_refused_anyway_count_too(method, path, root, start):
    daemon = start(root, *configure(root, request_rate_max=1, request_burst_max=2))
    assert 429 in [ask_from(daemon, "127.0.0.1", method, path) for _ in range(20)]


def test_connection_is_kept_after_429(root, start):
    daemon = start(root, *configure(root, request_rate_max=1, request_burst_max=1))
    with requests.Session() as session:
        statuses = [session.post(daemon.url + "/v1/predict", json=GOOD).status_code for _ in range(10)]
    assert statuses[0] == 200 and 429 in statuses


def test_there_is_no_bound_unless_set(service):
    with requests.Session() as session:
        assert {session.get(service.url + "/nothing").status_code for _ in range(500)} == {404}


def test_bound_is_set_and_lifted_by_sighup(root, start):
    if run("config").returncode == 2:
        pytest.skip("settings are not read again yet")
    daemon = start(root, *configure(root))
    assert {ask_from(daemon, "127.0.0.1") for _ in range(20)} == {404}
    configure(root, request_rate_max=1, request_burst_max=1)
    wait_for(daemon, lambda: ask_from(daemon, "127.0.0.1") == 429)
    configure(root)
    wait_for(daemon, lambda: {ask_from(daemon, "127.0.0.1") for _ in range(20)} == {404})


def wait_for(daemon, settled):
    daemon.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 20
    while not settled():
        assert time.monotonic() < deadline, "the reload did not take effect"
