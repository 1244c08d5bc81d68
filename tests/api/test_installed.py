"""An installed program on a root of its user's: predictors and device sheets that ship stand in for what the root
lacks, are only read, and make way for what somebody chose."""

import shutil
import subprocess
import time

import pytest
import requests
from conftest import ROOT, make_small, run_json, snapshot

NAS = ["--search_space", "nasbench201", "--device", "Samsung Galaxy A10s"]
PHONE = "/v1/devices/Samsung%20Galaxy%20A10s"
MODEL = "result/nasbench201/pretrainmodel.safetensors"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The prefix of `make install`."""
    prefix = tmp_path_factory.mktemp("installed")
    done = subprocess.run(["make", "install", f"PREFIX={prefix}"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return prefix


@pytest.fixture
def release(installed, tmp_path):
    """A copy of it that a test may upgrade."""
    shutil.copytree(installed, tmp_path / "prefix")
    return tmp_path / "prefix"


@pytest.fixture
def empty(tmp_path):
    """A root that nothing is in, as a new volume is."""
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def share(prefix):
    return prefix / "share" / "dgld"


def upgrade(prefix):
    """Another version ships as the served predictor: here the paper's."""
    served = share(prefix) / MODEL
    shutil.copy(served.with_name("pretrainmodel-mlp.safetensors"), served)


def served(daemon):
    """The version that predicts, and the names that it is listed by."""
    models = requests.get(daemon.url + "/v1/models/nasbench201", timeout=30).json()
    return models["served"]["version"], models["served"]["names"]


def activate(daemon, version):
    reply = daemon.post({"version": version}, path="/v1/models/nasbench201/activate")
    assert reply.status_code == 200, reply.text


def test_commands_read_what_ships_and_write_to_the_root(installed, empty):
    before = snapshot(installed)
    program = str(installed / "bin" / "dgld")
    command = [program, "predict", *NAS, "444244", "--root", str(empty)]
    predicted = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert float(predicted.split("\t")[0]) == run_json("predict", *NAS, "444244", root=ROOT)["latency_ms"][0]
    assert list(empty.iterdir()) == []
    searching = [program, "nas", "--search_space", "nasbench201", "--nas_target_device", "Samsung Galaxy A10s"]
    searching += ["--latency_constraint_ms", "4000", "--root", str(empty)]
    subprocess.run(searching, capture_output=True, check=True)
    assert {file.suffix for file in empty.rglob("*") if file.is_file()} == {".json", ".onnx", ".pt"}
    assert snapshot(installed) == before


def test_an_empty_root_serves_all_that_ships_and_runs_jobs(installed, empty, start):
    daemon = start(empty, binary=installed / "bin" / "dgld")
    devices = requests.get(daemon.url + "/v1/devices", timeout=30).json()["devices"]
    assert {device["name"] for device in devices} == {file.stem for file in (ROOT / "data" / "devices").iterdir()}
    listed = requests.get(daemon.url + "/v1/models/nasbench201", timeout=30).json()["versions"]
    assert [model["names"] for model in listed] == [["default", "shipped"], ["mlp"]]
    assert daemon.predict(search_space="fbnetv3", device="Oppo A5", model="mlp", architectures=[[3, 5, 5, 3, 5, 5, 5, 4, 2, 5, 3, 5, 3, 6, 16, 16, 24, 40, 72, 120, 184, 224, 2, 4, 5, 5, 6, 6]])
    order = {"kind": "nas", "search_space": "nasbench201", "params": {"device": "Oppo A5", "latency_constraint_ms": 4000}}
    assert daemon.post(order, path="/v1/jobs", Prefer="wait=20").json()["state"] == "succeeded"
    assert requests.get(daemon.url + "/readyz", timeout=30).json() == {"status": "ready"}


def test_an_upgrade_brings_its_predictor_to_who_chose_none(release, empty, start):
    daemon = start(empty, binary=release / "bin" / "dgld")
    old = served(daemon)[0]
    daemon.stop()
    upgrade(release)
    assert served(start(empty, binary=release / "bin" / "dgld"))[0].startswith("mlp") and old.startswith("cost")


def test_an_upgrade_leaves_what_was_activated_and_offers_its_own(release, empty, start):
    daemon = start(empty, binary=release / "bin" / "dgld")
    old = served(daemon)[0]
    activate(daemon, old)
    daemon.stop()
    upgrade(release)
    daemon = start(empty, binary=release / "bin" / "dgld")
    assert served(daemon) == (old, ["default"])
    activate(daemon, "shipped")
    assert served(daemon)[0].startswith("mlp")
    activate(daemon, old)  # kept, though it ships no more
    assert served(daemon)[0] == old


def test_a_training_goes_to_the_root_and_keeps_what_shipped(installed, empty, start):
    make_small(empty)
    before = snapshot(installed)
    daemon = start(empty, binary=installed / "bin" / "dgld")
    old = served(daemon)[0]
    order = {"kind": "train", "search_space": "nasbench201", "params": {"train_devices": ["Near"], "activate": True, "force": True}}
    job = daemon.post(order, path="/v1/jobs", Prefer="wait=20").json()
    assert job["state"] == "succeeded", job
    assert served(daemon)[0] == job["result"]["version"] != old
    assert (empty / "result" / "nasbench201" / "models" / f"{old}.safetensors").is_file()
    assert snapshot(installed) == before


def test_a_served_file_that_is_gone_goes_on_being_served_until_it_is_asked_for(installed, empty, start):
    """A volume that is away for a moment must not change predictions."""
    daemon = start(empty, "--model-poll-ms", 20, binary=installed / "bin" / "dgld")
    shipped = served(daemon)[0]
    activate(daemon, "mlp")
    (empty / MODEL).unlink()
    time.sleep(0.3)
    assert served(daemon)[0].startswith("mlp")
    assert daemon.post(b"", path="/v2/repository/models/nasbench201/load").status_code == 200
    assert served(daemon)[0] == shipped


def test_a_shipped_sheet_may_be_overruled_and_not_removed(installed, empty, start):
    daemon = start(empty, binary=installed / "bin" / "dgld")
    shipped = requests.get(daemon.url + PHONE, timeout=30)
    reply = requests.delete(daemon.url + PHONE, timeout=30)
    assert reply.status_code == 409 and "ships with the service" in reply.json()["detail"]
    reply = requests.put(daemon.url + PHONE.lower(), json={"hardware": [1, 1, 1, 1]}, timeout=30)
    assert reply.status_code == 200 and reply.json()["hardware"]["frequency_ghz"] == 1
    assert [file.name for file in (empty / "data" / "devices").iterdir()] == ["Samsung Galaxy A10s.json"]
    assert requests.delete(daemon.url + PHONE, timeout=30).status_code == 204
    assert requests.get(daemon.url + PHONE, timeout=30).json() == shipped.json()


def test_another_place_may_be_named(installed, empty, start):
    """A program that runs where it was built has nothing beside it."""
    daemon = start(empty, "--shipped", share(installed))
    assert served(daemon)[0].startswith("cost")
