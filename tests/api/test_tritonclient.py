"""The Open Inference Protocol with a client that others wrote: tritonclient's HTTP client from PyPI."""

import itertools
import re

import numpy
import pytest
from conftest import A53, ROOT, TRAIN_DEVICES, factor
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

CELLS = numpy.array(list(itertools.product(range(1, 6), repeat=6)), dtype=numpy.int64)
TYPES = {"INT64": numpy.int64, "INT32": numpy.int32, "UINT8": numpy.uint8}
FLOATS = {"FP64": numpy.float64, "FP32": numpy.float32}


@pytest.fixture
def client(service):
    with InferenceServerClient(service.url.removeprefix("http://"), concurrency=4) as made:
        yield made


def tensor(name, array, datatype, binary):
    made = InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array, binary_data=binary)
    return made


def inputs(cells, hardware=A53, datatype="INT64", hardware_type="FP64", binary=True):
    return [
        tensor("architecture", numpy.ascontiguousarray(cells, dtype=TYPES[datatype]), datatype, binary),
        tensor("hardware", numpy.array(hardware, dtype=FLOATS[hardware_type]), hardware_type, binary),
    ]


def outputs(binary):
    return [InferRequestedOutput("latency_ms", binary_data=binary)]


def infer(client, cells, space="nasbench201", version="", binary_out=True, **keywords):
    answer = client.infer(space, inputs(cells, **keywords), version, outputs(binary_out))
    return answer.as_numpy("latency_ms")


def latencies_of(service, cells, hardware=A53):
    texts = ["".join(map(str, cell)) for cell in cells]
    reply = service.predict(search_space="nasbench201", hardware=list(hardware), architectures=texts)
    return numpy.array(reply["latency_ms"])


def test_server_and_models_are_live_and_ready(client):
    assert client.is_server_live() and client.is_server_ready()
    for space in ("nasbench201", "fbnetv3"):
        assert client.is_model_ready(space)
        assert client.is_model_ready(space, "default")
        assert client.is_model_ready(space, client.get_model_metadata(space)["versions"][0])
        assert client.is_model_ready(space, "mlp")
        assert not client.is_model_ready(space, "no-such-version")
    assert not client.is_model_ready("resnet50")


def test_metadata(client):
    server = client.get_server_metadata()
    assert server["name"] == "dgld"
    assert {"binary_tensor_data", "statistics", "model_repository"} <= set(server["extensions"])
    model = client.get_model_metadata("nasbench201")
    assert [(t["name"], t["datatype"], t["shape"]) for t in model["inputs"]] == [
        ("architecture", "INT64", [-1, 6]),
        ("hardware", "FP64", [-1, 4]),
    ]
    assert model["outputs"] == [{"name": "latency_ms", "datatype": "FP32", "shape": [-1]}]
    with pytest.raises(InferenceServerException, match='no model "resnet50"'):
        client.get_model_metadata("resnet50")


def test_configuration_agrees_with_the_metadata(client):
    for space in ("nasbench201", "fbnetv3"):
        model, config = client.get_model_metadata(space), client.get_model_config(space)
        assert config["name"] == space and config["max_batch_size"] == 0
        for told, set_ in ((model["inputs"], config["input"]), (model["outputs"], config["output"])):
            assert [(t["name"], "TYPE_" + t["datatype"], t["shape"]) for t in told] == [
                (t["name"], t["data_type"], t["dims"]) for t in set_
            ]


@pytest.mark.parametrize("binary_out", [False, True])
@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("hardware_type", FLOATS)
@pytest.mark.parametrize("datatype", TYPES)
def test_every_form_gives_what_predict_gives(datatype, hardware_type, binary, binary_out, client, service):
    cells = CELLS[::97]
    found = infer(client, cells, datatype=datatype, hardware_type=hardware_type, binary=binary, binary_out=binary_out)
    assert found.dtype == numpy.float32 and found.shape == (len(cells),)
    assert numpy.allclose(found, latencies_of(service, cells), rtol=3e-7)


@pytest.mark.parametrize("binary", [False, True])
def test_whole_space_at_once(binary, client, service):
    shuffled = numpy.random.default_rng(1).permutation(CELLS)
    assert numpy.allclose(infer(client, shuffled, binary=binary), latencies_of(service, shuffled), rtol=3e-7)


@pytest.mark.parametrize("binary", [False, True])
def test_a_device_for_each_architecture(binary, client):
    devices = list(TRAIN_DEVICES.values())
    cells = numpy.repeat(CELLS[4000:4001], len(devices), axis=0)
    found = infer(client, cells, hardware=devices, binary=binary)
    alone = infer(client, cells[:1], hardware=[A53], binary=binary)
    assert numpy.allclose(found / alone, [factor(d) / factor(A53) for d in devices], rtol=1e-6)


def test_outputs_may_be_left_to_the_server(client, service):
    answer = client.infer("nasbench201", inputs(CELLS[:5]))  # the client then asks for binary data of all
    assert numpy.allclose(answer.as_numpy("latency_ms"), latencies_of(service, CELLS[:5]), rtol=3e-7)
    assert answer.get_output("latency_ms")["parameters"] == {"binary_data_size": 20}


def test_request_id_model_and_version_come_back(client):
    answer = client.infer("nasbench201", inputs(CELLS[:1]), request_id="loop-7").get_response()
    assert answer["id"] == "loop-7" and answer["model_name"] == "nasbench201"
    assert answer["model_version"] == client.get_model_metadata("nasbench201")["versions"][0]


def test_other_version_by_name(client, service):
    cells = CELLS[:3]
    reply = service.predict(
        search_space="nasbench201", hardware=list(A53), architectures=cells.tolist(), model="mlp"
    )
    answer = client.infer("nasbench201", inputs(cells), "mlp", outputs(True))
    assert numpy.allclose(answer.as_numpy("latency_ms"), reply["latency_ms"], rtol=3e-7)
    assert answer.get_response()["model_version"] == reply["model"]["version"]
    with pytest.raises(InferenceServerException, match='no model "nothing"'):
        client.infer("nasbench201", inputs(cells), "nothing")


def test_fbnetv3(client, service):
    genes = [5, 5, 3, 5, 3, 3, 5, 4, 4, 6, 3, 5, 5, 6, 22, 20, 28, 28, 80, 144, 184, 224, 1, 4, 4, 8, 10, 9]
    reply = service.predict(search_space="fbnetv3", hardware=list(A53), architectures=[genes])
    found = infer(client, [genes] * 700, "fbnetv3", datatype="UINT8")
    assert numpy.allclose(found, reply["latency_ms"], rtol=3e-7) and found.shape == (700,)


def test_sequence_priority_and_timeout_parameters_are_passed_over(client):
    answer = client.infer(
        "nasbench201", inputs(CELLS[:1]), sequence_id=3, sequence_start=True, priority=2, timeout=1000,
        parameters={"mine": "yes"},
    )
    assert answer.as_numpy("latency_ms").shape == (1,)


def test_classification_is_refused_by_name(client):
    with pytest.raises(InferenceServerException, match="classification is not offered"):
        client.infer("nasbench201", inputs(CELLS[:1]), outputs=[InferRequestedOutput("latency_ms", class_count=3)])


def test_a_wrong_gene_is_named_with_its_row(client):
    cells = CELLS[:50].copy()
    cells[17, 2] = 9
    for datatype, binary in itertools.product(TYPES, (False, True)):
        with pytest.raises(InferenceServerException, match=r"architecture\[17\]: gene 3 of nasbench201.* not 9") as e:
            infer(client, cells, datatype=datatype, binary=binary)
        assert e.value.status() == "400"


def test_wrong_hardware_is_named_with_its_row(client):
    hardware = numpy.array([A53] * 9)
    hardware[4, 1] = numpy.nan
    with pytest.raises(InferenceServerException, match=r"hardware\[4\]\[1\]: dispatch_width"):
        infer(client, CELLS[:9], hardware=hardware)


def test_compressed_replies_are_read(client, service):
    for algorithm in ("gzip", "deflate"):
        for binary in (False, True):
            answer = client.infer(
                "nasbench201", inputs(CELLS), outputs=outputs(binary), response_compression_algorithm=algorithm
            )
            assert numpy.allclose(answer.as_numpy("latency_ms"), latencies_of(service, CELLS), rtol=3e-7)


def test_compressed_requests_are_refused_clearly(client):
    for algorithm in ("gzip", "deflate"):
        with pytest.raises(InferenceServerException, match=f"Content-Encoding {algorithm} is not taken") as e:
            client.infer("nasbench201", inputs(CELLS[:1]), request_compression_algorithm=algorithm)
        assert e.value.status() == "415"


def test_asynchronous_requests(client, service):
    parts = numpy.array_split(CELLS, 20)
    pending = [client.async_infer("nasbench201", inputs(part)) for part in parts]
    found = numpy.concatenate([answer.get_result().as_numpy("latency_ms") for answer in pending])
    assert numpy.allclose(found, latencies_of(service, CELLS), rtol=3e-7)


def test_no_architecture_gives_none(client):
    for binary in (False, True):
        assert infer(client, numpy.empty((0, 6)), binary=binary, binary_out=binary).shape == (0,)


def test_statistics_count_what_was_asked(root, start):
    daemon = start(root)
    with InferenceServerClient(daemon.url.removeprefix("http://")) as client:
        before = client.get_inference_statistics()["model_stats"]
        assert {(s["name"], s["inference_count"]) for s in before} == {("nasbench201", 0), ("fbnetv3", 0)}
        for n in (1, 64, 64):
            infer(client, CELLS[:n])
        with pytest.raises(InferenceServerException):
            infer(client, CELLS[:7] + 9)
        (stats,) = client.get_inference_statistics("nasbench201")["model_stats"]
        assert stats["version"] == client.get_model_metadata("nasbench201")["versions"][0]
        assert (stats["inference_count"], stats["execution_count"]) == (129, 3)
        times = stats["inference_stats"]
        assert {name: times[name]["count"] for name in times} == {
            "success": 3, "fail": 1, "queue": 3, "compute_input": 3, "compute_infer": 3, "compute_output": 3,
            "cache_hit": 0, "cache_miss": 0,
        }  # fmt: skip
        parts = sum(times[name]["ns"] for name in ("queue", "compute_input", "compute_infer", "compute_output"))
        assert 0 < parts <= times["success"]["ns"]
        assert [(b["batch_size"], b["compute_infer"]["count"]) for b in stats["batch_stats"]] == [(1, 1), (64, 2)]
        infer(client, CELLS[:2], version="mlp")
        both = client.get_inference_statistics("nasbench201")["model_stats"]
        assert [s["inference_count"] for s in both] == [129, 2]
        (mlp,) = client.get_inference_statistics("nasbench201", "mlp")["model_stats"]
        assert mlp["version"].startswith("mlp-") and mlp == both[1]


def test_unload_and_load(root, start):
    daemon = start(root)
    with InferenceServerClient(daemon.url.removeprefix("http://")) as client:
        index = {m["name"]: m for m in client.get_model_repository_index()}
        version = client.get_model_metadata("nasbench201")["versions"][0]
        assert index["nasbench201"] == {"name": "nasbench201", "version": version, "state": "READY", "reason": ""}
        client.unload_model("nasbench201")
        assert not client.is_model_ready("nasbench201") and not client.is_model_ready("nasbench201", "mlp")
        assert client.is_model_ready("fbnetv3")
        index = {m["name"]: m for m in client.get_model_repository_index()}
        assert index["nasbench201"] == {"name": "nasbench201", "state": "UNAVAILABLE", "reason": "unloaded"}
        with pytest.raises(InferenceServerException, match="nasbench201 is not loaded") as e:
            infer(client, CELLS[:1])
        assert e.value.status() == "409"
        client.unload_model("nasbench201", unload_dependents=True)  # once more changes nothing
        client.load_model("nasbench201")
        assert client.is_model_ready("nasbench201") and client.is_model_ready("nasbench201", version)
        assert infer(client, CELLS[:1]).shape == (1,)
        client.load_model("nasbench201")  # a loaded one is loaded anew
        with pytest.raises(InferenceServerException, match="/parameters/config"):
            client.load_model("nasbench201", config="{}")
        for order in (client.load_model, client.unload_model):
            with pytest.raises(InferenceServerException, match='no model "resnet50"'):
                order("resnet50")


def test_a_broken_file_is_not_loaded_and_the_old_model_stays(root, start):
    daemon = start(root)
    with InferenceServerClient(daemon.url.removeprefix("http://")) as client:
        (root / "result" / "nasbench201" / "pretrainmodel.safetensors").write_bytes(b"broken")
        with pytest.raises(InferenceServerException) as e:
            client.load_model("nasbench201")
        assert e.value.status() == "400" and "pretrainmodel.safetensors" in e.value.message()
        assert client.is_model_ready("nasbench201") and infer(client, CELLS[:1]).shape == (1,)
        client.unload_model("nasbench201")
        with pytest.raises(InferenceServerException):
            client.load_model("nasbench201")
        assert not client.is_model_ready("nasbench201")


def test_the_readme_shows_what_works(service):
    program = next(b for b in re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S) if "Infer" in b)
    assert "127.0.0.1:8080" in program
    names = {}
    exec(program.replace("127.0.0.1:8080", service.url.removeprefix("http://")), names)
    assert names["latency_ms"].shape == (100_000,)
    assert numpy.allclose(names["latency_ms"][:500], latencies_of(service, names["cells"][:500]), rtol=3e-7)
