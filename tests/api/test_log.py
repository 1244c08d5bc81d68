"""The log: what is told of requests, request ids, traces, and what is never told."""

import json
import os
import re
import signal
import socket
import subprocess
import time

import pytest
import requests
from conftest import BINARY, ROOT

GOOD = {"search_space": "nasbench201", "hardware": [2.0, 3, 1, 7.46], "architectures": ["444244"]}
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def talkative(start, root):
    """A daemon that logs every request."""
    (root / "own.json").write_text('{"log_level": "debug"}')
    return start(root, "--config", root / "own.json")


class Supervisor:
    """Is told when the service has started, and when a reload is done."""

    def __init__(self, listener, root):
        self.listener, self.settings = listener, root / "own.json"
        self.settings.write_text("{}")

    def expect(self, message):
        assert self.listener.recv(1000).startswith(message)

    def reload(self, daemon, level):
        self.settings.write_text(json.dumps({"log_level": level}))
        daemon.process.send_signal(signal.SIGHUP)
        for message in (b"READY=1", b"RELOADING=1", b"READY=1"):  # the first is of the start
            self.expect(message)


@pytest.fixture
def supervisor(root, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", str(root / "notify"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(root / "notify"))
        listener.settimeout(20)
        yield Supervisor(listener, root)


def of_requests(daemon):
    """Stops the daemon and returns its lines about requests."""
    code, log = daemon.stop()
    assert code == 0
    return [entry for entry in log if "status" in entry]


def test_each_request_is_a_line_for_debugging(talkative):
    body = json.dumps(GOOD).encode()
    reply = talkative.post(body, **{"X-Request-Id": "mine-1"})
    requests.get(talkative.url + "/nothing/there?secret=1")
    first, second = of_requests(talkative)
    assert set(first) == {
        *("time", "level", "message", "request_id", "address", "method", "path", "route", "status", "duration_us", "bytes")
    }
    assert (first["level"], first["request_id"], first["address"]) == ("debug", "mine-1", "127.0.0.1")
    assert (first["method"], first["path"], first["route"]) == ("POST", "/v1/predict", "/v1/predict")
    assert (first["status"], first["bytes"]) == (200, len(reply.content))
    assert 0 < first["duration_us"] < 30e6
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["time"])
    assert (second["path"], second["status"], second.get("route")) == ("/nothing/there", 404, None)


def test_lines_of_requests_are_for_debugging_alone(start, root):
    daemon = start(root)
    daemon.predict(**GOOD)
    requests.get(daemon.url + "/nothing")
    assert of_requests(daemon) == []


def test_failures_of_the_service_are_warnings(start, root):
    for file in root.glob("result/*/*.safetensors"):
        file.unlink()
    daemon = start(root)
    reply = daemon.post(GOOD, traceparent=f"00-{TRACE}-{PARENT}-01")
    assert reply.status_code == 503
    (entry,) = of_requests(daemon)
    assert (entry["level"], entry["status"], entry["path"]) == ("warning", 503, "/v1/predict")
    assert entry["request_id"] == reply.headers["X-Request-Id"]
    assert (entry["trace_id"], entry["parent_id"]) == (TRACE, PARENT)
    assert "audit" not in entry
    assert entry["detail"] == reply.json()["detail"] and "predictor" in entry["detail"]


def test_a_line_of_a_503_names_the_bound(start, root):
    daemon = start(root, "--transfer-max-bytes", "5000")
    reply = daemon.post({**GOOD, "x": "x" * 20000})
    assert reply.status_code == 503
    (entry,) = of_requests(daemon)
    assert entry["detail"] == reply.json()["detail"] and "transfer_max_bytes, which is 5000" in entry["detail"]


@pytest.mark.parametrize("level, n", [("error", 0), ("warning", 1), ("info", 1), ("debug", 2)])
def test_level_is_that_of_the_settings(level, n, start, root):
    """Nothing is listening's line at "warning" and above, so the port is chosen beforehand."""
    for file in root.glob("result/*/*.safetensors"):
        file.unlink()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (root / "own.json").write_text(json.dumps({"log_level": level, "port": port}))
    command = [BINARY, "serve", "--root", root, "--config", root / "own.json"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                requests.get(f"http://127.0.0.1:{port}/nothing", timeout=10)
                break
            except requests.ConnectionError:
                time.sleep(0.01)
        requests.post(f"http://127.0.0.1:{port}/v1/predict", json=GOOD, timeout=10)
        process.send_signal(signal.SIGTERM)
        lines = [json.loads(line) for line in process.communicate(timeout=30)[1].splitlines()]
    severe = {"error": 0, "warning": 1, "info": 2, "debug": 3}
    assert all(severe[line["level"]] <= severe[level] for line in lines)
    assert len([line for line in lines if "status" in line]) == n


# ---- operators


@pytest.mark.parametrize("level", ["error", "info"])
def test_what_operators_do_is_logged_at_every_level(level, start, root, supervisor):
    daemon = start(root, "--config", root / "own.json")
    supervisor.reload(daemon, level)
    url = daemon.url + "/v1/devices/My%20Phone"
    assert requests.put(url, json={"hardware": [2.0, 3, 1, 7.46]}, headers={"X-Request-Id": "put"}).status_code == 201
    assert requests.put(url, json={"hardware": [0, 3, 1, 7.46]}, headers={"X-Request-Id": "bad"}).status_code == 422
    assert requests.get(url).status_code == 200
    assert requests.delete(url, headers={"X-Request-Id": "drop"}).status_code == 204
    entries = of_requests(daemon)
    assert [(e["request_id"], e["method"], e["status"]) for e in entries] == [
        ("put", "PUT", 201),
        ("bad", "PUT", 422),
        ("drop", "DELETE", 204),
    ]
    assert all(e["audit"] is True and e["level"] == "info" and e["path"] == "/v1/devices/My Phone" for e in entries)
    assert all(e["route"] == "/v1/devices/{device}" and e["address"] == "127.0.0.1" for e in entries)
    assert [e["message"] for e in entries] == [
        "an operator's request was carried out",
        "an operator's request was refused",
        "an operator's request was carried out",
    ]


# ---- request ids


def test_request_id_of_a_client_is_echoed(service):
    for given in ("a", "x" * 128, "AZaz09-_.~:/+=@#", "2b1c8f0e-93f4-4a6c-9d55-0f6b9c2f7a11"):
        for method, path in (("GET", "/healthz"), ("GET", "/nothing"), ("DELETE", "/healthz"), ("HEAD", "/healthz")):
            reply = requests.request(method, service.url + path, headers={"X-Request-Id": given})
            assert reply.headers["X-Request-Id"] == given
        assert service.post(GOOD, **{"X-Request-Id": given}).headers["X-Request-Id"] == given
        assert service.post(b"{", **{"X-Request-Id": given}).headers["X-Request-Id"] == given


@pytest.mark.parametrize("given", ["", " ", "a b", 'a"b', "x" * 129, "a;b", "a\\b", "<a>", "\u00e9", "a\tb", "%0a"])
def test_other_request_ids_are_replaced(given, service):
    head = f"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-Id: {given}\r\n\r\n"
    reply = service.exchange(head.encode())
    found = re.search(rb"\r\nX-Request-Id: ([^\r]*)\r\n", reply)
    assert reply.startswith(b"HTTP/1.1 200") and re.fullmatch(rb"[0-9a-f]{16}-[0-9a-f]+", found[1])


def test_request_ids_of_ours_differ(start, root):
    ids = []
    for daemon in (start(root), start(root)):
        with requests.Session() as session:
            ids += [session.get(daemon.url + "/healthz").headers["X-Request-Id"] for _ in range(50)]
        ids.append(daemon.post(GOOD | {"architectures": ["444244"] * 50_000}).headers["X-Request-Id"])
    assert len(set(ids)) == len(ids)
    assert len({i.split("-")[0] for i in ids}) == 2


def test_large_batches_have_ids_too(service):
    """They are answered by other threads."""
    reply = service.post(GOOD | {"architectures": ["444244"] * 50_000}, **{"X-Request-Id": "large"})
    assert reply.status_code == 200 and reply.headers["X-Request-Id"] == "large"


# ---- traces


def test_trace_is_carried_into_the_log(talkative):
    for parent in (
        f"00-{TRACE}-{PARENT}-01",
        f"cc-{TRACE}-{PARENT}-00-later",
        f"00-{TRACE}-{PARENT}-01-x",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        "garbage",
    ):
        requests.get(talkative.url + "/healthz", headers={"traceparent": parent})
    entries = of_requests(talkative)
    assert [(e.get("trace_id"), e.get("parent_id")) for e in entries] == [(TRACE, PARENT)] * 2 + [(None, None)] * 4


# ---- what clients send


def test_tokens_bodies_and_queries_are_not_logged(talkative):
    marks = ["token-a1b2", "body-c3d4", "query-e5f6", "cookie-g7h8"]
    headers = {"Authorization": f"Bearer {marks[0]}", "Cookie": marks[3]}
    talkative.post(GOOD | {"device": marks[1]}, path=f"/v1/predict?q={marks[2]}", **headers)
    talkative.post(f"{{{marks[1]}".encode(), **headers)
    requests.get(talkative.url + f"/healthz?q={marks[2]}", headers=headers)
    talkative.stop()
    log = json.dumps(talkative.log)
    assert len(talkative.log) > 5 and not any(mark in log for mark in marks)


@pytest.mark.parametrize(
    "path, told",
    [
        (b"/%0a%7b%22level%22:%22info%22%7d", '/\n{"level":"info"}'),
        (b"/%22%5c", '/"\\'),
        (b"/%ff%c3", "/\ufffd\ufffd"),
        (b"/\xc3\xa9", "/\u00e9"),
        (b"/a%00b", "/a%00b"),
    ],
)
def test_paths_are_one_line_whatever_they_hold(path, told, talkative):
    talkative.exchange(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    (entry,) = of_requests(talkative)
    assert (entry["path"], entry["status"]) == (told, 404)


def test_long_paths_and_methods_are_cut(talkative):
    requests.request("M" * 500, talkative.url + "/" + "p" * 5000)
    (entry,) = of_requests(talkative)
    assert entry["path"].startswith("/ppp") and entry["path"].endswith("...") and len(entry["path"]) <= 600
    assert entry["method"].endswith("MM...") and len(entry["method"]) <= 140


def test_log_that_nobody_reads_holds_no_request_up(root):
    (root / "own.json").write_text('{"log_level": "debug", "port": 0}')
    reading, writing = os.pipe()
    command = [BINARY, "serve", "--root", root, "--config", root / "own.json"]
    with subprocess.Popen(command, stderr=writing, cwd=ROOT) as process:
        os.close(writing)
        head = b""
        while not (found := re.search(rb"listening on http://127.0.0.1:(\d+)", head)):
            head += os.read(reading, 65536)
        url = f"http://127.0.0.1:{int(found[1])}"
        with requests.Session() as session:
            for _ in range(1000):  # some 250 KB of lines; a pipe takes 64
                assert session.get(url + "/healthz", timeout=20).status_code == 200
            lost = re.search(r"^dgld_log_lines_lost_total (\d+)$", session.get(url + "/metrics").text, re.M)
        assert int(lost[1]) > 100
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    os.close(reading)


@pytest.mark.parametrize("before, after", [("debug", "info"), ("info", "debug")])
def test_level_changes_while_it_runs(before, after, start, root, supervisor):
    supervisor.settings.write_text(json.dumps({"log_level": before}))
    daemon = start(root, "--config", root / "own.json")
    requests.get(f"{daemon.url}/{before}")
    supervisor.reload(daemon, after)
    requests.get(f"{daemon.url}/{after}")
    assert [entry["path"] for entry in of_requests(daemon)] == ["/debug"]
