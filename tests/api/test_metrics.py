"""GET /metrics: the text format, and that what is counted is what happened."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest
import requests
from conftest import run
from prometheus_client.parser import text_string_to_metric_families

GOOD = {"search_space": "nasbench201", "hardware": [2.0, 3, 1, 7.46], "architectures": ["444244"]}
SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)*)\})? (\S+)')


@pytest.fixture
def daemon(start, root):
    """A daemon of the test's own: nobody else's requests are counted."""
    return start(root)


def scrape(daemon, session=requests):
    reply = session.get(daemon.url + "/metrics", timeout=30)
    assert reply.status_code == 200, reply.text
    return reply.text


def read(text):
    """{(name, labels as a sorted tuple): value} of all samples, by a parser that is not ours."""
    samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in samples, f"{key} is there twice"
            samples[key] = sample.value
    return samples


def value(samples, name, **labels):
    return samples.get((name, tuple(sorted(labels.items()))), 0)


def wait_for(daemon, condition):
    """Scrapes until the condition holds; returns those samples."""
    deadline = time.monotonic() + 20
    while not condition(samples := read(scrape(daemon))):
        assert time.monotonic() < deadline, samples
        time.sleep(0.005)
    return samples


def check_format(text):
    """The rules of the text format, and the conventions that `promtool check metrics` knows."""
    assert text.endswith("\n") and "\n\n" not in text
    types, helped, family, series = {}, set(), None, {}
    for line in text.splitlines():
        if line.startswith("# HELP "):
            family = line.split(" ", 3)[2]
            assert family not in helped and len(line.split(" ", 3)[3]) > 5, line
            helped.add(family)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == family and name not in types and kind in ("counter", "gauge", "histogram"), line
            types[name] = kind
            assert (kind == "counter") == name.endswith("_total"), line
            assert re.fullmatch(r"(dgld|process)_[a-z_]+", name), line
        else:
            match = SAMPLE.fullmatch(line)
            assert match, line
            name, labels = match[1], match[2] or ""
            base = re.sub(r"_(bucket|sum|count)$", "", name) if types[family] == "histogram" else name
            assert base == family, f"{line} stands under {family}"
            assert (name, labels) not in series, line
            series[name, labels] = float(match[3])
    assert set(types) == helped
    check_histograms([name for name, kind in types.items() if kind == "histogram"], series)


def check_histograms(families, series):
    for family in families:
        groups = {}
        for (name, labels), count in series.items():
            if name == family + "_bucket":
                rest, bound = re.fullmatch(r'(.*?),?le="([^"]+)"', labels).groups()
                groups.setdefault(rest, []).append((float(bound), count))
        totals = {labels: count for (name, labels), count in series.items() if name == family + "_count"}
        assert set(groups) == set(totals)
        for labels, buckets in groups.items():
            bounds, counts = zip(*buckets)
            assert list(bounds) == sorted(set(bounds)) and bounds[-1] == float("inf")
            assert list(counts) == sorted(counts) and counts[-1] == totals[labels]
            total = series[family + "_sum", labels]
            assert total >= 0 and (total > 0 or counts[-1] == 0)


def test_format_is_that_of_prometheus(daemon):
    daemon.predict(**GOOD)
    requests.get(daemon.url + "/nothing")
    reply = requests.get(daemon.url + "/metrics")
    assert reply.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    check_format(reply.text)
    assert len(read(reply.text)) > 50
    promtool = shutil.which("promtool")
    if promtool:
        done = subprocess.run([promtool, "check", "metrics"], input=reply.text, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, ""), done


@pytest.mark.parametrize(
    "bad",
    [
        "dgld_x 1\n",
        "# HELP dgld_x Some help.\n# TYPE dgld_x counter\ndgld_x 1\n",
        "# HELP dgld_x_total Some help.\n# TYPE dgld_x_total counter\ndgld_x_total 1\ndgld_x_total 2\n",
        '# HELP dgld_x Some help.\n# TYPE dgld_x gauge\ndgld_x{a="1} 1\n',
        '# HELP dgld_x Some help.\n# TYPE dgld_x histogram\ndgld_x_bucket{le="1"} 2\ndgld_x_bucket{le="+Inf"} 1\n'
        "dgld_x_sum 1\ndgld_x_count 1\n",
        '# HELP dgld_x Some help.\n# TYPE dgld_x histogram\ndgld_x_bucket{le="+Inf"} 1\ndgld_x_sum 1\ndgld_x_count 2\n',
    ],
)
def test_rules_find_what_breaks_them(bad):
    with pytest.raises((AssertionError, KeyError)):
        check_format(bad)


def test_requests_are_counted_by_route_method_and_status(daemon):
    for _ in range(5):
        daemon.predict(**GOOD)
    for _ in range(3):
        daemon.post(GOOD | {"architectures": ["9"]})
    requests.head(daemon.url + "/healthz")
    requests.get(daemon.url + "/healthz")
    requests.put(daemon.url + "/v1/predict")
    daemon.post(b"x", **{"Content-Type": "text/html"})
    samples = wait_for(daemon, lambda s: value(s, "dgld_http_requests_total", route="/metrics", method="GET", code="200"))
    expected = {
        ("/v1/predict", "POST", "200"): 5,
        ("/v1/predict", "POST", "422"): 3,
        ("/v1/predict", "POST", "415"): 1,
        ("/healthz", "HEAD", "200"): 1,
        ("/healthz", "GET", "200"): 1,
        ("(none)", "PUT", "405"): 1,
    }
    counted = {
        tuple(dict(labels)[k] for k in ("route", "method", "code")): count
        for (name, labels), count in samples.items()
        if name == "dgld_http_requests_total" and ("route", "/metrics") not in labels
    }
    assert counted == expected
    for route in ("/v1/predict", "/healthz", "(none)"):
        n = sum(count for key, count in expected.items() if key[0] == route)
        assert value(samples, "dgld_http_request_duration_seconds_count", route=route) == n


def test_paths_and_methods_of_clients_make_no_series(daemon):
    def series():
        return {key for key in read(scrape(daemon)) if key[0].startswith("dgld_http_request")}

    requests.get(daemon.url + "/nothing")
    requests.request("BREW", daemon.url + "/nothing")
    series()
    before = series()
    for i in range(40):
        requests.get(f"{daemon.url}/{i}%22%0a/x{i}")
        requests.request(f"BREW{i}", f"{daemon.url}/{i}")
    assert series() == before
    samples = read(scrape(daemon))
    assert value(samples, "dgld_http_requests_total", route="(none)", method="GET", code="404") == 41
    assert value(samples, "dgld_http_requests_total", route="(none)", method="other", code="404") == 41


def test_client_that_goes_is_counted_as_such(daemon):
    with socket.create_connection(("127.0.0.1", daemon.port)) as connection:
        connection.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        wait_for(daemon, lambda s: value(s, "dgld_http_requests_in_flight") == 2)
    gone = {"route": "/v1/predict", "method": "POST", "code": "499"}
    wait_for(daemon, lambda s: value(s, "dgld_http_requests_total", **gone) == 1)


def test_client_that_is_too_slow_is_counted_as_such(start, root):
    (root / "own.json").write_text('{"body_timeout_s": 1}')
    daemon = start(root, "--config", root / "own.json")
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=30) as connection:
        connection.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert connection.recv(1000).startswith(b"HTTP/1.1 408")
        slow = {"route": "/v1/predict", "method": "POST", "code": "408"}
        wait_for(daemon, lambda s: value(s, "dgld_http_requests_total", **slow) == 1)


def test_requests_and_connections_that_are_open_are_told(daemon):
    with requests.Session() as session:
        samples = read(scrape(daemon, session))
        before = value(samples, "dgld_http_connections")
        assert value(samples, "dgld_http_requests_in_flight") == 1 and before >= 1
        held = [socket.create_connection(("127.0.0.1", daemon.port)) for _ in range(7)]
        for connection in held[:3]:
            connection.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        wait_for(daemon, lambda s: value(s, "dgld_http_requests_in_flight") == 4)
        wait_for(daemon, lambda s: value(s, "dgld_http_connections") >= before + 7)
        for connection in held:
            connection.close()
        wait_for(daemon, lambda s: value(s, "dgld_http_connections") <= before + 1)
        wait_for(daemon, lambda s: value(s, "dgld_http_requests_in_flight") == 1)


def test_bodies_that_are_held_are_told(daemon):
    body = json.dumps(GOOD | {"architectures": ["444244"] * 50_000}).encode()
    assert value(read(scrape(daemon)), "dgld_http_held_bytes") < 10_000
    with socket.create_connection(("127.0.0.1", daemon.port)) as connection:
        connection.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:-1])
        wait_for(daemon, lambda s: value(s, "dgld_http_held_bytes") >= len(body) - 1)
    wait_for(daemon, lambda s: value(s, "dgld_http_held_bytes") < 10_000)


def test_connections_that_are_refused_are_counted_by_reason(start, root):
    (root / "own.json").write_text('{"connections_per_address_max": 4, "http_threads": 1}')
    daemon = start(root, "--config", root / "own.json")
    held = [socket.create_connection(("127.0.0.1", daemon.port)) for _ in range(3)]
    with requests.Session() as session:
        scrape(daemon, session)
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", daemon.port), timeout=30) as refused:
                assert refused.recv(1) == b""
        samples = read(scrape(daemon, session))
    assert value(samples, "dgld_http_connections_refused_total", reason="connections_per_address_max") == 5
    assert value(samples, "dgld_http_connections_refused_total", reason="connections_max") == 0
    for connection in held:
        connection.close()


def test_predictions_and_batch_sizes_are_counted(daemon):
    daemon.predict(**GOOD)
    daemon.predict(**GOOD | {"architectures": ["444244"] * 10})
    many = {key: GOOD[key] for key in ("search_space",)} | {"devices": [GOOD["hardware"]] * 3}
    daemon.predict(**many, architectures=["444244"] * 20_000)
    daemon.post(GOOD | {"architectures": ["9"]})
    samples = read(scrape(daemon))
    assert value(samples, "dgld_predictions_total", search_space="nasbench201", predictor="cost") == 60_011
    assert value(samples, "dgld_predictions_total", search_space="fbnetv3", predictor="cost") == 0
    assert value(samples, "dgld_batch_size_count") == 3
    assert value(samples, "dgld_batch_size_sum") == 20_011
    assert value(samples, "dgld_batch_size_bucket", le="1") == 1
    assert value(samples, "dgld_batch_size_bucket", le="16") == 2
    assert value(samples, "dgld_batch_size_bucket", le="65536") == 3


def test_inferences_are_counted_with_predictions(daemon):
    infer = {
        "inputs": [
            {"name": "architecture", "datatype": "INT64", "shape": [2, 6], "data": [4, 4, 4, 2, 4, 4] * 2},
            {"name": "hardware", "datatype": "FP64", "shape": [4], "data": [2.0, 3, 1, 7.46]},
        ]
    }
    assert daemon.post(infer, "/v2/models/nasbench201/infer").status_code == 200
    assert daemon.post({"inputs": []}, "/v2/models/nasbench201/infer").status_code == 400
    samples = read(scrape(daemon))
    assert value(samples, "dgld_predictions_total", search_space="nasbench201", predictor="cost") == 2
    assert value(samples, "dgld_batch_size_count") == 1
    answered = {"route": "/v2/models/{model}/infer", "method": "POST"}
    assert value(samples, "dgld_http_requests_total", code="200", **answered) == 1
    assert value(samples, "dgld_http_requests_total", code="400", **answered) == 1


def test_activations_are_counted(daemon):
    before = daemon.predict(**GOOD)["model"]["version"]
    for name in ("mlp", before, "mlp"):
        assert daemon.post({"version": name}, "/v1/models/nasbench201/activate").status_code == 200
    samples = read(scrape(daemon))
    assert value(samples, "dgld_model_activations_total", search_space="nasbench201") == 4
    infos = [dict(labels) for name, labels in samples if name == "dgld_model_info"]
    assert [i["predictor"] for i in infos if i["search_space"] == "nasbench201"] == ["mlp"]


def test_served_models_are_told(daemon):
    version = daemon.predict(**GOOD)["model"]["version"]
    samples = read(scrape(daemon))
    assert value(samples, "dgld_model_info", search_space="nasbench201", version=version, predictor="cost") == 1
    assert len([1 for name, _ in samples if name == "dgld_model_info"]) == 2
    assert value(samples, "dgld_model_activations_total", search_space="nasbench201") == 1
    assert value(samples, "dgld_ready") == 1


def test_space_without_a_model_has_no_info(start, root):
    (root / "result" / "fbnetv3" / "pretrainmodel.safetensors").unlink()
    samples = read(scrape(start(root)))
    assert len([1 for name, _ in samples if name == "dgld_model_info"]) == 1
    assert value(samples, "dgld_model_activations_total", search_space="fbnetv3") == 0


def test_build_and_pool_are_told(daemon):
    samples = read(scrape(daemon))
    version = run("--version").stdout.split()[1]
    assert value(samples, "dgld_build_info", version=version) == 1
    assert ("dgld_pool_queue_length", ()) in samples and ("dgld_pool_busy_threads", ()) in samples
    assert value(samples, "dgld_pool_queue_length") == 0


def test_bounds_are_those_of_the_settings_as_they_are_now(start, root):
    (root / "own.json").write_text('{"pool_queue_max": 77, "connections_max": 500}')
    daemon = start(root, "--config", root / "own.json", "--job-store", "")
    bounds = {dict(labels)["setting"]: n for (name, labels), n in read(scrape(daemon)).items() if name == "dgld_bound"}
    assert bounds == {
        "pool_queue_max": 77,
        "connections_max": 500,
        "transfer_max_bytes": 536870912,
        "event_streams_max": 256,
        "job_queue_max": 10000,
    }
    assert "dgld_job_store_up" not in scrape(daemon), "no jobs are wanted"
    (root / "own.json").write_text('{"pool_queue_max": 78, "connections_max": 500}')
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(daemon, lambda s: value(s, "dgld_bound", setting="pool_queue_max") == 78)


def test_process_figures_are_those_of_the_daemon(daemon):
    def status(key):
        with open(f"/proc/{daemon.process.pid}/status") as file:
            return int(re.search(rf"^{key}:\s+(\d+)", file.read(), re.M)[1])

    samples = read(scrape(daemon))
    assert value(samples, "process_resident_memory_bytes") == pytest.approx(1024 * status("VmRSS"), rel=0.3)
    assert value(samples, "process_virtual_memory_bytes") == pytest.approx(1024 * status("VmSize"), rel=0.3)
    assert value(samples, "process_threads") == status("Threads")
    n_open = len(os.listdir(f"/proc/{daemon.process.pid}/fd"))
    assert abs(value(samples, "process_open_fds") - n_open) <= 2
    with open(f"/proc/{daemon.process.pid}/limits") as file:
        assert value(samples, "process_max_fds") == int(re.search(r"^Max open files\s+(\d+)", file.read(), re.M)[1])
    assert value(samples, "process_start_time_seconds") == pytest.approx(time.time(), abs=120)
    assert 0 < value(samples, "process_cpu_seconds_total") < 60


def test_scrapes_under_load_are_consistent(daemon):
    n_each, n_threads = 200, 4

    def ask():
        with requests.Session() as session:
            for _ in range(n_each):
                assert session.post(daemon.url + "/v1/predict", json=GOOD, timeout=30).status_code == 200

    threads = [threading.Thread(target=ask) for _ in range(n_threads)]
    for thread in threads:
        thread.start()
    last = {}
    while any(thread.is_alive() for thread in threads):
        text = scrape(daemon)
        check_format(text)
        samples = read(text)
        for (name, labels), before in last.items():
            if name.endswith(("_total", "_count", "_bucket", "_sum")):
                assert samples[name, labels] >= before, f"{name}{labels} went back"
        last = samples
    for thread in threads:
        thread.join()
    n = n_each * n_threads
    answered = {"route": "/v1/predict", "method": "POST", "code": "200"}
    wait_for(daemon, lambda s: value(s, "dgld_http_requests_total", **answered) == n)
    assert value(read(scrape(daemon)), "dgld_predictions_total", search_space="nasbench201", predictor="cost") == n


def test_other_methods_are_refused(daemon):
    assert requests.post(daemon.url + "/metrics").status_code == 405
    head = requests.head(daemon.url + "/metrics")
    assert head.status_code == 200 and head.text == ""
