"""What takes long runs on a pool, so that nobody waits behind it; and what that may cost in memory."""

import http.client
import itertools
import json
import os
import pathlib
import re
import socket
import threading
import time

import pytest
import requests

HARDWARE = [2.0, 3, 1, 7.46]
GOOD = {"search_space": "nasbench201", "hardware": HARDWARE, "architectures": ["444244"]}
MILLION = GOOD | {"architectures": ["444244"] * 1_000_000}
WHOLE_SPACE = ["".join(genes) for genes in itertools.product("12345", repeat=6)]


def configured(root, start, **settings):
    (root / "config").mkdir()
    (root / "config" / "dgld.json").write_text(json.dumps(settings))
    return start(root)


def memory_kib(daemon, name):
    with open(f"/proc/{daemon.process.pid}/status") as status:
        return int(re.search(rf"^{name}:\s+(\d+) kB", status.read(), re.M)[1])


def threads_niceness(daemon):
    return sorted(
        int((task / "stat").read_text().rsplit(")", 1)[1].split()[16])
        for task in pathlib.Path(f"/proc/{daemon.process.pid}/task").iterdir()
    )


def test_a_million_architectures_in_json_stay_within_a_gibibyte(start, root):
    daemon = start(root)
    reply = requests.post(daemon.url + "/v1/predict", json=MILLION, timeout=60)
    assert reply.status_code == 200
    latencies = reply.json()["latency_ms"]
    assert len(latencies) == 1_000_000 and set(latencies) == set(daemon.predict(**GOOD)["latency_ms"])
    assert memory_kib(daemon, "VmHWM") < 1 << 20


def test_memory_of_a_large_batch_is_given_back(start, root):
    daemon = start(root)
    before = memory_kib(daemon, "VmRSS")
    for _ in range(3):
        assert requests.post(daemon.url + "/v1/predict", json=MILLION, timeout=60).status_code == 200
    assert memory_kib(daemon, "VmRSS") < before + 16 * 1024


def test_at_rest_the_service_holds_at_most_64_mib(start, root):
    assert memory_kib(start(root), "VmRSS") < 64 * 1024


@pytest.mark.cost
@pytest.mark.parametrize("wanted", ["1", "2", None])
def test_the_matrix_library_has_no_threads(wanted, start, root, monkeypatch):
    """It begins with one a core, or as many as its variable says; every product is made in its caller's."""
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    if wanted:
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", wanted)
    daemon = start(root, "--http-threads", 1, "--pool-threads", 1, "--job-store", "")
    assert len(threads_niceness(daemon)) == 3, "the loop, and one thread for HTTP and for the pool each"


def test_a_batch_on_the_pool_gives_what_single_calls_give(service):
    every = service.predict(**GOOD | {"architectures": WHOLE_SPACE})["latency_ms"]
    assert len(every) == 15625
    for i in range(0, 15625, 1301):
        assert service.predict(**GOOD | {"architectures": [WHOLE_SPACE[i]]})["latency_ms"] == [every[i]]


def test_many_devices_go_to_the_pool_too(service):
    vectors = [[1 + i / 1000, 3, 1, 7.46] for i in range(1000)]
    body = {"search_space": "nasbench201", "devices": vectors, "architectures": ["444244"] * 5}
    rows = service.predict(**body)["latency_ms"]
    single = {key: body[key] for key in ("search_space", "architectures")}
    assert rows[700] == service.predict(**single, hardware=vectors[700])["latency_ms"]


def test_single_calls_are_answered_while_the_pool_is_busy(start, root):
    daemon = configured(root, start, pool_threads=1, http_threads=1)
    data = json.dumps(MILLION).encode()
    statuses = []
    posts = [threading.Thread(target=lambda: statuses.append(daemon.post(data).status_code)) for _ in range(4)]
    for thread in posts:
        thread.start()
    n_between = 0
    while any(thread.is_alive() for thread in posts):
        assert daemon.predict(**GOOD)["latency_ms"]
        n_between += 1
    assert statuses == [200] * 4
    assert n_between > 4  # one I/O thread that did the batches itself would let through about one each


def test_a_full_queue_is_503_and_names_the_bound(start, root):
    daemon = configured(root, start, pool_threads=1, pool_queue_max=1)
    data = json.dumps(GOOD | {"architectures": ["444244"] * 300_000}).encode()
    answers = []
    posts = [threading.Thread(target=lambda: answers.append(daemon.post(data))) for _ in range(12)]
    for thread in posts:
        thread.start()
    for thread in posts:
        thread.join()
    refused = [a for a in answers if a.status_code == 503]
    assert {a.status_code for a in answers} <= {200, 503} and len(refused) < 12
    for answer in refused:
        assert "queue is full: as many requests wait as pool_queue_max, which is 1 here" in answer.json()["detail"]
        assert int(answer.headers["Retry-After"]) >= 1
    assert daemon.predict(**GOOD)["latency_ms"]


def test_what_waited_longer_than_batch_timeout_ms_is_503(start, root):
    daemon = configured(root, start, pool_threads=1, batch_timeout_ms=1)
    data = json.dumps(MILLION).encode()
    answers = []
    posts = [threading.Thread(target=lambda: answers.append(daemon.post(data))) for _ in range(4)]
    for thread in posts:
        thread.start()
    for thread in posts:
        thread.join()
    late = [a for a in answers if a.status_code == 503]
    assert late and all("batch_timeout_ms, which is 1 here" in a.json()["detail"] for a in late)


def test_a_body_that_took_its_time_has_not_waited_for_the_pool(start, root):
    """What body_timeout_s lets a client take is not held against it by batch_timeout_ms."""
    daemon = configured(root, start, batch_timeout_ms=300)
    body = json.dumps(GOOD).encode() + b" " * 40000
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=30) as connection:
        connection.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:-1])
        time.sleep(1)
        connection.sendall(body[-1:])
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("devices, architectures", [(1, 101), (51, 2), (2, 51)])
def test_more_latencies_than_batch_max_are_413_by_name(devices, architectures, start, root):
    daemon = configured(root, start, batch_max=100)
    body = {"search_space": "nasbench201", "devices": [HARDWARE] * devices, "architectures": ["444244"] * architectures}
    reply = daemon.post(body)
    assert reply.status_code == 413
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert "batch_max" in reply.json()["detail"] and "100 here" in reply.json()["detail"]
    assert reply.json()["errors"][0]["pointer"] == "/architectures"
    assert daemon.post(body | {"architectures": ["444244"], "devices": [HARDWARE] * 100}).status_code == 200


def test_pool_threads_give_way_to_the_others(start, root):
    daemon = configured(root, start, pool_threads=3, http_threads=2)
    deadline = time.monotonic() + 20  # each thread lowers itself once it runs
    while threads_niceness(daemon).count(os.nice(0) + 10) != 3:
        assert time.monotonic() < deadline, threads_niceness(daemon)
        time.sleep(0.01)


def test_a_client_that_leaves_during_its_batch_takes_nothing_along(start, root):
    daemon = start(root)
    data = json.dumps(MILLION).encode()
    for _ in range(5):
        connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=30)
        connection.request("POST", "/v1/predict", data, {"Content-Type": "application/json"})
        connection.close()
    assert daemon.predict(**GOOD)["latency_ms"]
    code, log = daemon.stop()
    assert code == 0, log
