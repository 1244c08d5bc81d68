"""The Open Inference Protocol on the wire, field by field, and what it does with what is wrong."""

import itertools
import json
import re
import struct
import threading
import time

import numpy
import pytest
import requests
from conftest import A53, factor

INFER = "/v2/models/nasbench201/infer"
CELLS = numpy.array(list(itertools.product(range(1, 6), repeat=6)), dtype=numpy.uint8)
DURATIONS = ["success", "fail", "queue", "compute_input", "compute_infer", "compute_output", "cache_hit"]


def json_inputs(cells=((4, 4, 4, 2, 4, 4),), hardware=A53):
    cells = numpy.asarray(cells)
    return [
        {"name": "architecture", "shape": list(cells.shape), "datatype": "INT64", "data": cells.tolist()},
        {"name": "hardware", "shape": [4], "datatype": "FP64", "data": list(hardware)},
    ]


def binary_request(cells, hardware=A53, outputs=None, **fields):
    """The body of a binary request and its headers."""
    cells = numpy.ascontiguousarray(cells, dtype=numpy.uint8)
    device = numpy.array(hardware, dtype="<f4")
    header = {
        "inputs": [
            {
                "name": name,
                "shape": list(array.shape),
                "datatype": datatype,
                "parameters": {"binary_data_size": array.nbytes},
            }
            for name, datatype, array in (("architecture", "UINT8", cells), ("hardware", "FP32", device))
        ],
        "outputs": outputs or [{"name": "latency_ms", "parameters": {"binary_data": True}}],
    } | fields
    text = json.dumps(header).encode()
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(text))}
    return text + cells.tobytes() + device.tobytes(), headers


def post_binary(service, body, headers, path=INFER):
    return requests.post(service.url + path, data=body, headers=headers, timeout=60)


def infer_binary(service, cells, hardware=A53):
    """Latencies by binary tensors, both ways."""
    reply = post_binary(service, *binary_request(cells, hardware))
    assert reply.status_code == 200, reply.text
    length = int(reply.headers["Inference-Header-Content-Length"])
    return json.loads(reply.content[:length]), numpy.frombuffer(reply.content[length:], dtype="<f4")


def error_of(reply, status):
    """The sentence of a refusal, whose body is $inference_error_response and nothing else."""
    assert reply.status_code == status, reply.text
    assert reply.headers["Content-Type"] == "application/json"
    assert list(reply.json()) == ["error"] and isinstance(reply.json()["error"], str)
    return reply.json()["error"]


# ---- bodies, field by field --------------------------------------------------------------------------


def test_server_metadata_response(service):
    for path in ("/v2", "/v2/"):
        reply = requests.get(service.url + path)
        assert reply.status_code == 200 and reply.headers["Content-Type"] == "application/json"
        assert set(reply.json()) == {"name", "version", "extensions"}
        assert reply.json()["name"] == "dgld" and re.fullmatch(r"\d+\.\d+\.\d+", reply.json()["version"])
        assert all(isinstance(e, str) for e in reply.json()["extensions"])


def test_health_responses(service):
    assert requests.get(service.url + "/v2/health/live").json() == {"live": True}
    assert requests.get(service.url + "/v2/health/ready").json() == {"live": True, "ready": True}
    for path in ("nasbench201", "nasbench201/versions/default", "nasbench201/versions/mlp"):
        reply = requests.get(f"{service.url}/v2/models/{path}/ready")
        assert (reply.status_code, reply.json()) == (200, {"name": "nasbench201", "ready": True})
    error_of(requests.get(service.url + "/v2/models/nothing/ready"), 404)
    error_of(requests.get(service.url + "/v2/models/nasbench201/versions/nothing/ready"), 404)


def test_model_metadata_response(service):
    for space, genes in (("nasbench201", 6), ("fbnetv3", 28)):
        served = service.predict(search_space=space, hardware=list(A53), architectures=[])["model"]["version"]
        expected = {
            "name": space,
            "versions": [served],
            "platform": "dgld",
            "inputs": [
                {"name": "architecture", "datatype": "INT64", "shape": [-1, genes]},
                {"name": "hardware", "datatype": "FP64", "shape": [-1, 4]},
            ],
            "outputs": [{"name": "latency_ms", "datatype": "FP32", "shape": [-1]}],
        }
        for path in ("", f"/versions/{served}", "/versions/default"):
            found = requests.get(f"{service.url}/v2/models/{space}{path}").json()
            assert served in found.pop("versions") and found == {k: v for k, v in expected.items() if k != "versions"}


def test_inference_response_in_json(service):
    reply = service.post({"id": "42", "inputs": json_inputs([[4, 4, 4, 2, 4, 4], [1, 1, 1, 1, 1, 1]])}, INFER)
    assert reply.status_code == 200 and reply.headers["Content-Type"] == "application/json"
    assert "Inference-Header-Content-Length" not in reply.headers
    body = reply.json()
    assert set(body) == {"model_name", "model_version", "id", "outputs"}
    assert body["model_name"] == "nasbench201" and body["id"] == "42"
    (output,) = body["outputs"]
    assert set(output) == {"name", "shape", "datatype", "data"}
    assert (output["name"], output["datatype"], output["shape"]) == ("latency_ms", "FP32", [2])
    expected = service.predict(
        search_space="nasbench201", hardware=list(A53), architectures=["444244", "111111"]
    )
    assert body["model_version"] == expected["model"]["version"]
    assert numpy.allclose(output["data"], expected["latency_ms"], rtol=1e-7)
    assert [float(numpy.float32(x)) for x in output["data"]] == pytest.approx(output["data"], rel=1e-8)


def test_id_is_left_out_where_none_was_given(service):
    assert "id" not in service.post({"inputs": json_inputs()}, INFER).json()


@pytest.mark.parametrize("name", ["", 'quo"te\\', "\u00e9\u20ac\U0001f600", "\x00\n", "x" * 5000])
def test_any_id_comes_back(name, service):
    assert service.post({"id": name, "inputs": json_inputs()}, INFER).json()["id"] == name


def test_inference_response_with_binary_data(service):
    reply = post_binary(service, *binary_request(CELLS[:3], id="b"))
    assert reply.status_code == 200 and reply.headers["Content-Type"] == "application/octet-stream"
    length = int(reply.headers["Inference-Header-Content-Length"])
    assert int(reply.headers["Content-Length"]) == len(reply.content) == length + 12
    body = json.loads(reply.content[:length])
    assert set(body) == {"model_name", "model_version", "id", "outputs"} and body["id"] == "b"
    assert body["outputs"] == [
        {"name": "latency_ms", "datatype": "FP32", "shape": [3], "parameters": {"binary_data_size": 12}}
    ]
    data = service.post({"inputs": json_inputs(CELLS[:3])}, INFER).json()["outputs"][0]["data"]
    assert list(struct.unpack("<3f", reply.content[length:])) == pytest.approx(data, rel=1e-7)


def test_binary_only_one_way(service):
    body, headers = binary_request(CELLS[:2], outputs=[{"name": "latency_ms"}])
    data = post_binary(service, body, headers).json()["outputs"][0]["data"]
    reply = service.post({"parameters": {"binary_data_output": True}, "inputs": json_inputs(CELLS[:2])}, INFER)
    length = int(reply.headers["Inference-Header-Content-Length"])
    assert list(struct.unpack("<2f", reply.content[length:])) == pytest.approx(data, rel=1e-7)


def test_statistics_response(service):
    service.post({"inputs": json_inputs()}, INFER)
    body = requests.get(service.url + "/v2/models/stats").json()
    assert list(body) == ["model_stats"] and {s["name"] for s in body["model_stats"]} == {"nasbench201", "fbnetv3"}
    for stats in body["model_stats"]:
        fields = {"name", "version", "last_inference", "inference_count", "execution_count", "inference_stats"}
        assert set(stats) == fields | {"batch_stats"}
        assert set(stats["inference_stats"]) == set(DURATIONS) | {"cache_miss"}
        for batch in stats["batch_stats"]:
            assert set(batch) == {"batch_size", "compute_input", "compute_infer", "compute_output"}
        durations = list(stats["inference_stats"].values())
        durations += [v for batch in stats["batch_stats"] for k, v in batch.items() if k != "batch_size"]
        for duration in durations:
            assert set(duration) == {"count", "ns"}
            assert all(isinstance(v, int) and v >= 0 for v in duration.values())
    used = next(s for s in body["model_stats"] if s["name"] == "nasbench201")
    assert abs(used["last_inference"] / 1000 - time.time()) < 300
    error_of(requests.get(service.url + "/v2/models/nothing/stats"), 404)
    error_of(requests.get(service.url + "/v2/models/nasbench201/versions/nothing/stats"), 404)


def test_repository_index_response(service):
    for body in (b"", b"{}", b'{"ready": false}', b'{"ready": true}'):
        reply = requests.post(service.url + "/v2/repository/index", data=body)
        assert reply.status_code == 200
        assert [m["name"] for m in reply.json()] == ["nasbench201", "fbnetv3"]
        for model in reply.json():
            assert set(model) == {"name", "version", "state", "reason"}
            assert model["state"] == "READY" and model["reason"] == ""


# ---- what is asked -----------------------------------------------------------------------------------


def test_a_device_for_each_row_binary(service):
    generator = numpy.random.default_rng(2)
    devices = generator.uniform(0.5, 40, (5000, 4)).astype("<f4")
    cells = generator.integers(1, 6, (5000, 6))
    _, each = infer_binary(service, cells, devices)
    _, one = infer_binary(service, cells)
    assert numpy.allclose(each / one, [factor(d.astype(float)) / factor(A53) for d in devices], rtol=2e-6)


def test_whole_space_binary_agrees_with_json(service):
    header, found = infer_binary(service, CELLS)
    assert header["outputs"][0]["shape"] == [15625] and found.shape == (15625,)
    data = service.post({"inputs": json_inputs(CELLS)}, INFER).json()["outputs"][0]["data"]
    assert numpy.allclose(found, data, rtol=3e-7)  # 7.46 is rounded in FP32


def test_fields_of_others_are_passed_over(service):
    body = {"model_name": "x", "inputs": json_inputs(), "parameters": {"custom": 1.5}, "future": [{}]}
    assert service.post(body, INFER).status_code == 200


def test_large_mlp_batches_are_refused_and_small_ones_answered(service):
    path = "/v2/models/nasbench201/versions/mlp/infer"
    assert post_binary(service, *binary_request(CELLS[:8]), path).status_code == 200
    reply = post_binary(service, *binary_request(CELLS[:4097]), path)
    assert "the predictor mlp takes at most 4096 architectures in a call, not 4097" in error_of(reply, 413)


# ---- what is wrong -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method, path, status, phrase",
    [
        ("GET", "/v2/models/resnet50", 404, 'there is no model "resnet50"; there are nasbench201, fbnetv3'),
        ("GET", "/v2/models/nasbench201/versions/9", 404, 'no model "9"'),
        ("GET", "/v2/models/nasbench201/versions/..%2fx", 404, ""),
        ("GET", "/v2/models/nasbench201/versions/..", 404, ""),
        ("GET", "/v2/models/nasbench201/versions/.x", 404, "name"),
        ("GET", "/v2/models/nasbench201/versions/a%20b", 404, "name"),
        ("GET", "/v2/models/resnet50/config", 404, "resnet50"),
        ("POST", "/v2/models/resnet50/infer", 404, "resnet50"),
        ("POST", "/v2/models/nasbench201/versions/9/infer", 404, 'no model "9"'),
        ("POST", "/v2/repository/models/resnet50/load", 404, "resnet50"),
        ("POST", "/v2/repository/models/resnet50/unload", 404, "resnet50"),
        ("GET", "/v2/nothing", 404, ""),
        ("GET", "/v2/models", 404, ""),
        ("GET", INFER, 405, ""),
        ("POST", "/v2", 405, ""),
        ("GET", "/v2/repository/index", 405, ""),
    ],
)
def test_unknown_addresses_models_and_methods(method, path, status, phrase, service):
    assert phrase in error_of(requests.request(method, service.url + path, data=b"{}"), status)


@pytest.mark.parametrize(
    "body, phrase",
    [
        (b"", "empty where JSON is expected"),
        (b"{", "line 1, column 2"),
        (b'{"inputs": [] }\xff', "the text goes on"),
        (b"[]", "must be an object"),
        (b"{}", "/inputs: inputs is missing"),
        (json.dumps({"inputs": json_inputs()[:1]}).encode(), "the input hardware is missing"),
        (json.dumps({"inputs": json_inputs([[4, 4, 4, 2, 4]])}).encode(), "must be [N, 6], not [1, 5]"),
        (json.dumps({"inputs": json_inputs([[4, 4, 4, 2, 4, 6]])}).encode(), "architecture[0]: gene 6 of nasbench201"),
        (json.dumps({"inputs": json_inputs(hardware=(2, 0, 1, 7))}).encode(), "hardware[1]: dispatch_width"),
        (json.dumps({"inputs": json_inputs(hardware=(2, 3, 1))}).encode(), "data ends after 3 of the 4 elements"),
    ],
)
def test_wrong_requests(body, phrase, service):
    assert phrase in error_of(service.post(body, INFER), 400)


@pytest.mark.parametrize(
    "length", ["", "-1", "1e3", "0x10", "1, 2", "99999", "4294967297", "18446744073709551615", "9" * 60, "a" * 3000]
)
def test_hostile_header_lengths(length, service):
    body, headers = binary_request(CELLS[:2])
    headers["Inference-Header-Content-Length"] = length
    assert "Inference-Header-Content-Length" in error_of(post_binary(service, body, headers), 400)


def test_wrong_header_lengths_and_truncated_bodies(service):
    body, headers = binary_request(CELLS[:2])
    right = int(headers["Inference-Header-Content-Length"])
    for length in (0, 1, right - 1, right + 1, len(body)):
        headers["Inference-Header-Content-Length"] = str(length)
        error_of(post_binary(service, body, headers), 400)
    headers["Inference-Header-Content-Length"] = str(right)
    for size in (right, right + 1, len(body) - 1):
        assert "bytes left for it" in error_of(post_binary(service, body[:size], headers), 400)
    assert "1 bytes of the body belong to no input" in error_of(post_binary(service, body + b"x", headers), 400)
    del headers["Inference-Header-Content-Length"]
    error_of(post_binary(service, body, headers), 400)


def test_shapes_whose_product_overflows(service):
    for rows in (2**61, 2**62, 2**63, 2**64, 3074457345618258603, 1e300):
        body, headers = binary_request(CELLS[:2])
        right = int(headers["Inference-Header-Content-Length"])
        request = json.loads(body[:right])
        request["inputs"][0]["shape"][0] = rows
        text = json.dumps(request).encode()
        headers["Inference-Header-Content-Length"] = str(len(text))
        assert "binary_data_size is 12" in error_of(post_binary(service, text + body[right:], headers), 400)


def test_compressed_bodies_are_refused_before_they_are_looked_at(service):
    for encoding in ("gzip", "deflate", "br", "gzip, gzip"):
        reply = service.post(b"\x1f\x8b", INFER, **{"Content-Encoding": encoding})
        assert f"Content-Encoding {encoding} is not taken" in error_of(reply, 415)
        assert reply.headers["Accept-Encoding"] == "identity"
    assert service.post({"inputs": json_inputs()}, INFER, **{"Content-Encoding": "identity"}).status_code == 200


def test_batch_bound_is_named(root, start):
    (root / "config").mkdir()
    (root / "config" / "dgld.json").write_text('{"batch_max": 100}')
    daemon = start(root)
    assert infer_binary(daemon, CELLS[:100])[1].shape == (100,)
    message = error_of(post_binary(daemon, *binary_request(CELLS[:101])), 413)
    assert "101 architectures" in message and "100" in message and "batch_max" in message


@pytest.mark.parametrize(
    "path, body, phrase",
    [
        ("index", b"[", "line 1"),
        ("index", b'{"ready": 1}', "/ready: must be true or false"),
        ("models/nasbench201/load", b'{"parameters": {"config": "{}"}}', "/parameters/config"),
        ("models/nasbench201/load", b'{"parameters": {"file:1/m": "eA=="}}', "files are not taken"),
        ("models/nasbench201/unload", b"7", "must be an object"),
    ],
)
def test_wrong_repository_requests(path, body, phrase, service):
    assert phrase in error_of(requests.post(f"{service.url}/v2/repository/{path}", data=body), 400)
    assert requests.get(service.url + "/v2/models/nasbench201/ready").status_code == 200


# ---- unload and load ---------------------------------------------------------------------------------


def test_a_service_without_any_model_is_not_ready(root, start):
    daemon = start(root)
    order = daemon.url + "/v2/repository/models/"

    def told():
        ready = requests.get(daemon.url + "/v2/health/ready")
        up = re.search(r"^dgld_ready (\d)$", requests.get(daemon.url + "/metrics").text, re.M)[1]
        return requests.get(daemon.url + "/readyz").status_code, ready.status_code, ready.json()["ready"], up

    requests.post(order + "nasbench201/unload")
    assert told() == (200, 200, True, "1")
    requests.post(order + "fbnetv3/unload")
    assert told() == (503, 400, False, "0")
    requests.post(order + "nasbench201/load")
    assert told() == (200, 200, True, "1")


def test_unloaded_model_answers_4xx_until_it_is_loaded(root, start):
    daemon = start(root)
    order = daemon.url + "/v2/repository/models/nasbench201/"
    reply = requests.post(order + "unload")
    assert (reply.status_code, reply.json()) == (200, {})
    ready = requests.get(daemon.url + "/v2/models/nasbench201/ready")
    assert (ready.status_code, ready.json()) == (400, {"name": "nasbench201", "ready": False})
    assert "nasbench201 is not loaded" in error_of(daemon.post({"inputs": json_inputs()}, INFER), 409)
    for path in ("", "/config", "/versions/mlp"):
        error_of(requests.get(f"{daemon.url}/v2/models/nasbench201{path}"), 409)
    version = requests.get(daemon.url + "/v1/models/nasbench201").json()["versions"][0]["version"]
    assert version.startswith("cost-")
    asked = {"search_space": "nasbench201", "hardware": [2, 3, 1, 7.46], "architectures": ["444244"]}
    for named in ({}, {"model": "default"}, {"model": "mlp"}, {"model": version}):
        reply = requests.post(daemon.url + "/v1/predict", json=asked | named)
        assert reply.status_code == 503 and "repository/models/nasbench201/load" in reply.json()["detail"], named
    assert requests.get(daemon.url + "/v2/models/fbnetv3/ready").status_code == 200
    assert [m["name"] for m in requests.post(daemon.url + "/v2/repository/index", json={"ready": True}).json()] == [
        "fbnetv3"
    ]
    time.sleep(1.5)  # nothing loads it by itself
    assert requests.get(daemon.url + "/v2/models/nasbench201/ready").status_code == 400
    assert requests.post(order + "load", json={}).status_code == 200
    assert daemon.post({"inputs": json_inputs()}, INFER).status_code == 200
    (root / "result" / "nasbench201" / "pretrainmodel.safetensors").unlink()
    requests.post(order + "unload")
    index = requests.post(daemon.url + "/v2/repository/index").json()
    assert index[0]["state"] == "UNAVAILABLE" and "dgld train" in index[0]["reason"]
    assert "pretrainmodel.safetensors" in error_of(requests.post(order + "load"), 400)


def test_service_is_ready_as_long_as_a_model_is_loaded(root, start):
    daemon = start(root)

    def order(space, what):
        assert requests.post(f"{daemon.url}/v2/repository/models/{space}/{what}").status_code == 200

    def check(is_ready):
        reply = requests.get(daemon.url + "/readyz")
        assert reply.status_code == (200 if is_ready else 503) and ("no predictor is loaded" in reply.text) != is_ready
        reply = requests.get(daemon.url + "/v2/health/ready")
        assert (reply.status_code, reply.json()["ready"]) == ((200, True) if is_ready else (400, False))
        assert f"\ndgld_ready {int(is_ready)}\n" in requests.get(daemon.url + "/metrics").text

    order("nasbench201", "unload")
    check(True)
    order("fbnetv3", "unload")
    check(False)
    order("nasbench201", "load")
    check(True)


def test_loading_anew_under_load_fails_no_request(root, start):
    daemon = start(root)
    body, headers = binary_request(CELLS)
    statuses, stop = [], threading.Event()

    def ask():
        with requests.Session() as session:
            while not stop.is_set():
                statuses.append(session.post(daemon.url + INFER, data=body, headers=headers).status_code)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(30):
        assert requests.post(daemon.url + "/v2/repository/models/nasbench201/load").status_code == 200
    stop.set()
    for thread in threads:
        thread.join()
    assert len(statuses) > 30 and set(statuses) == {200}


# ---- size --------------------------------------------------------------------------------------------


def high_water_mb(daemon):
    status = open(f"/proc/{daemon.process.pid}/status").read()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


@pytest.mark.cost
def test_a_million_architectures_in_64_mb(root, start):
    daemon = start(root)
    generator = numpy.random.default_rng(5)
    ranks = generator.integers(0, 15625, 1_000_000)
    _, all_cells = infer_binary(daemon, CELLS)
    for _ in range(3):
        header, found = infer_binary(daemon, CELLS[ranks])
        assert header["outputs"][0]["shape"] == [1_000_000]
        assert numpy.array_equal(found, all_cells[ranks])
    cells = CELLS[ranks].copy()
    cells[999_999, 5] = 6
    message = error_of(post_binary(daemon, *binary_request(cells)), 400)
    assert "architecture[999999]: gene 6 of nasbench201 must be 1 to 5, not 6" in message
    assert high_water_mb(daemon) <= 64
