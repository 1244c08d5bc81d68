"""The paper's predictor: what it is told, how it is resumed, what its files hold, and how it is served."""

import fcntl
import json
import shutil
import signal
import struct
import subprocess
import time

import numpy
import pytest
import requests
from conftest import BINARY, ROOT, run, run_json
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

SHIPPED = sorted((ROOT / "result").glob("*/pretrainmodel*.safetensors"))
TRAIN = ["train", "--search_space", "nasbench201", "--predictor", "mlp"]
FILE = "result/nasbench201/pretrainmodel.safetensors"


def train(root, data, *arguments):
    return run_json(*TRAIN, "--data_path", data, *arguments, root=root)


def test_seed_epoch_and_rate_decide_the_weights(root, data):
    first = train(root, data, "--epoch", 50)
    assert train(root, data, "--epoch", 50)["version"] == first["version"]
    for other in (["--epoch", 51], ["--epoch", 50, "--seed", 1], ["--epoch", 50, "--lr", 0.05]):
        assert train(root, data, *other)["version"] != first["version"], other


def test_more_epochs_lower_the_loss(root, data):
    losses = [train(root, data, "--epoch", n)["loss"] for n in (10, 200, 2000)]
    assert losses[0] > losses[1] > losses[2] > 0


def test_a_rate_that_is_too_large_ends_with_the_epoch(root, data):
    before = (root / FILE).read_bytes()
    done = run(*TRAIN, "--data_path", data, "--lr", "1e308", "--epoch", 100, root=root)
    assert done.returncode == 1
    assert "epoch" in done.stderr and "learning rate" in done.stderr
    assert (root / FILE).read_bytes() == before


def test_epochs_select_mlp_unless_the_predictor_is_named(root, data):
    command = ["train", "--search_space", "fbnetv3", "--data_path", data, "--epoch", 20]
    assert run_json(*command, root=root)["predictor"] == "mlp"
    done = run(*command, "--predictor", "cost", "--json", root=root)
    assert json.loads(done.stdout)["predictor"] == "cost"
    assert "no effect" in done.stderr


def test_a_killed_training_goes_on_to_the_same_bytes(root, data, tmp_path_factory):
    """Killed again and again at moments spread over the run, once between any two checkpoints."""
    command = [BINARY, *TRAIN, "--data_path", data, "--epoch", "12000", "--root"]
    undisturbed = tmp_path_factory.mktemp("undisturbed")
    shutil.copytree(root, undisturbed, dirs_exist_ok=True)
    begun = time.monotonic()
    subprocess.run([*command, undisturbed], check=True, capture_output=True)
    whole_s = time.monotonic() - begun

    resumed = 0
    for n_kills in range(40):
        process = subprocess.Popen([*command, root], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            _, said = process.communicate(timeout=whole_s * (0.25 + 0.05 * (n_kills % 4)))
            resumed += "going on from" in said
            assert process.returncode == 0, said
            break
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            _, said = process.communicate()
            resumed += "going on from" in said
    assert resumed >= 1, "no run went on from a checkpoint"
    assert (root / FILE).read_bytes() == (undisturbed / FILE).read_bytes()
    assert not list((root / "result" / "nasbench201").glob("training-*"))


def test_a_damaged_checkpoint_is_no_checkpoint(root, data):
    folder = root / "result" / "nasbench201"
    process = subprocess.Popen([BINARY, *TRAIN, "--data_path", data, "--epoch", "60000", "--root", root],
                               stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(folder.glob("training-*.checkpoint")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    checkpoint = next(folder.glob("training-*.checkpoint"))
    checkpoint.write_bytes(checkpoint.read_bytes()[:-9])
    process = subprocess.Popen([BINARY, *TRAIN, "--data_path", data, "--epoch", "60000", "--root", root],
                               stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    first_line = process.stderr.readline()
    process.kill()
    process.communicate()
    assert first_line.startswith("epoch 6000 of 60000")


def test_held_out_test_trains_folds_of_its_own(root, data):
    report = run_json("test", "--search_space", "fbnetv3", "--data_path", data, "--holdout", "--predictor", "mlp",
                      "--epoch", 300, root=root)
    assert report["predictor"] == "mlp" and report["holdout"] is True
    assert len(report["devices"]) == 4 and all(d["r"] > 0.3 for d in report["devices"])


@pytest.mark.parametrize("file", SHIPPED, ids=lambda f: f"{f.parent.name}-{f.stem}")
def test_python_opens_the_shipped_files(file):
    assert file.stat().st_size < 1_000_000
    tensors = load_file(file)
    assert all(numpy.isfinite(t.astype(float)).all() for t in tensors.values())
    with safe_open(file, "numpy") as opened:
        meta = opened.metadata()
    assert meta["search_space"] == file.parent.name
    assert meta["kind"] == ("mlp" if file.stem.endswith("-mlp") else "cost")
    assert meta["version"].startswith(meta["kind"])
    assert int(meta["n_rows"]) in (200, 500) and len(meta["data_sha256"]) == 64


@pytest.mark.parametrize("file", SHIPPED, ids=lambda f: f"{f.parent.name}-{f.stem}")
def test_files_that_python_wrote_are_opened(root, file, tmp_path):
    with safe_open(file, "numpy") as opened:
        meta = opened.metadata()
    meta.pop("sha256")
    written = tmp_path / "written.safetensors"
    save_file(load_file(file), written, metadata=meta)
    architecture = "444244" if file.parent.name == "nasbench201" else (
        "3 5 5 3 5 5 5 4 2 5 3 5 4 6 16 16 24 40 72 120 184 224 2 4 5 5 6 6")
    command = ["predict", "--search_space", file.parent.name, "--hardware", "2,3,1,7.46", architecture, "--load_path"]
    assert run_json(*command, written, root=root)["latency_ms"] == run_json(*command, file, root=root)["latency_ms"]


def test_a_header_with_any_bit_flipped_is_refused_or_loads_the_same(root, tmp_path):
    """A sample of what tests/unit/test_safetensors.c does for every bit, through the program."""
    shipped = ROOT / "result" / "nasbench201" / "pretrainmodel-mlp.safetensors"
    whole = shipped.read_bytes()
    (header,) = struct.unpack("<Q", whole[:8])
    command = ["predict", "--search_space", "nasbench201", "--hardware", "2,3,1,7.46", "444244", "--load_path"]
    expected = run_json(*command, shipped, root=root)["latency_ms"]
    for bit in range(0, 8 * (8 + header), 409):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path = tmp_path / "flipped.safetensors"
        path.write_bytes(flipped)
        done = run(*command, path, "--json", root=root)
        assert done.returncode in (0, 1), (bit, done.stderr)
        if done.returncode == 0:
            assert json.loads(done.stdout)["latency_ms"] == expected, bit
        else:
            assert str(path) in done.stderr


def test_mlp_is_served_on_request(service, root):
    body = {"search_space": "nasbench201", "hardware": [2, 3, 1, 7.46], "architectures": ["444244", "111111"]}
    served = requests.post(f"{service.url}/v1/predict", json={**body, "model": "mlp"}).json()
    assert served["model"]["predictor"] == "mlp"
    said = run_json("predict", "--search_space", "nasbench201", "--hardware", "2,3,1,7.46", "444244", "111111",
                    "--model", "mlp", root=root)
    assert served["model"] == said["model"]
    assert served["latency_ms"] == pytest.approx(said["latency_ms"], rel=1e-6)
    default = requests.post(f"{service.url}/v1/predict", json=body).json()
    assert default["model"]["predictor"] == "cost"
    for name in ("default", default["model"]["version"]):
        assert requests.post(f"{service.url}/v1/predict", json={**body, "model": name}).json() == default


@pytest.mark.parametrize("name", ["nope", "../pretrainmodel", "", ".hidden", "a/b", "UPPER", "x" * 65, 3, None])
def test_a_model_that_is_none_is_answered_by_pointer(service, name):
    body = {"search_space": "nasbench201", "hardware": [2, 3, 1, 7.46], "architectures": ["444244"], "model": name}
    answer = requests.post(f"{service.url}/v1/predict", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/model"


def test_a_named_model_that_changes_is_loaded_anew(root, data, start):
    daemon = start(root)
    body = {"search_space": "nasbench201", "hardware": [2, 3, 1, 7.46], "architectures": ["444244"], "model": "own"}
    versions = []
    for epochs in (20, 40):
        version = train(root, data, "--epoch", epochs, "--name", "own")["version"]
        answer = requests.post(f"{daemon.url}/v1/predict", json=body).json()
        assert answer["model"]["version"] == version
        versions.append(version)
    assert versions[0] != versions[1]
    kept = requests.post(f"{daemon.url}/v1/predict", json={**body, "model": versions[0]}).json()
    assert kept["model"]["version"] == versions[0]


def test_a_broken_named_model_is_not_the_clients_fault(root, start):
    (root / "result" / "nasbench201" / "pretrainmodel-own.safetensors").write_bytes(b"junk")
    daemon = start(root)
    body = {"search_space": "nasbench201", "hardware": [2, 3, 1, 7.46], "architectures": ["444244"], "model": "own"}
    assert requests.post(f"{daemon.url}/v1/predict", json=body).status_code == 503
    del body["model"]
    assert requests.post(f"{daemon.url}/v1/predict", json=body).status_code == 200


def test_a_diverged_training_replaces_nothing(root, data):
    before = (root / FILE).read_bytes()
    done = run(*TRAIN, "--data_path", data, "--lr", "1e9", "--epoch", 5, root=root)
    assert done.returncode == 1 and "learning rate" in done.stderr
    assert (root / FILE).read_bytes() == before


def test_a_call_that_would_keep_a_thread_for_long_is_refused(service):
    body = {"search_space": "nasbench201", "hardware": [2, 3, 1, 7.46], "architectures": ["444244"] * 4097}
    answer = requests.post(f"{service.url}/v1/predict", json={**body, "model": "mlp"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/architectures" and "4096" in answer.json()["errors"][0]["detail"]
    assert requests.post(f"{service.url}/v1/predict", json=body).status_code == 200


def test_a_test_that_trains_nothing_takes_no_other_predictor(root, data):
    command = ["test", "--search_space", "fbnetv3", "--data_path", data]
    done = run(*command, "--predictor", "mlp", root=root)
    assert done.returncode == 2 and "--holdout" in done.stderr
    done = run(*command, "--epoch", 5, root=root)
    assert done.returncode == 0 and "no effect" in done.stderr


def kept(root):
    return {file.name: file.read_bytes() for file in (root / "result" / "nasbench201" / "models").glob("*")}


def test_whatever_a_training_replaces_is_kept(root, data):
    served = root / FILE
    cost = ["train", "--search_space", "nasbench201", "--data_path", data]
    run_json(*cost, root=root)
    trained = served.read_bytes()
    shutil.rmtree(root / "result" / "nasbench201" / "models", ignore_errors=True)
    served.write_bytes(b"not a model")
    train(root, data, "--epoch", 20)
    assert list(kept(root).values()) == [b"not a model"]
    assert next(iter(kept(root))).startswith("unreadable-")
    first = served.read_bytes()
    train(root, data, "--epoch", 20)
    assert len(kept(root)) == 1, "the same bytes replace nothing"
    served.write_bytes(trained)
    run_json(*cost, "--train_devices", "Galaxy A9", root=root)
    run_json(*cost, root=root)
    assert served.read_bytes() == trained
    assert trained in kept(root).values() and len(kept(root)) == 3, "equal weights with other papers are kept too"
    assert first not in kept(root).values()


def test_a_name_never_overwrites_a_kept_version(root, data):
    version = run_json("train", "--search_space", "nasbench201", "--data_path", data, "--predictor", "cost",
                       root=root)["version"]
    train(root, data, "--epoch", 20)
    before = kept(root)
    report = train(root, data, "--epoch", 30, "--name", version)
    assert kept(root) == before and report["file"].endswith(f"pretrainmodel-{version}.safetensors")


def test_temporary_files_of_the_killed_are_swept(root, data):
    folder = root / "result" / "nasbench201"
    left, held = folder / ".x.1.0.tmp", folder / ".y.1.0.tmp"
    left.write_text("half")
    with open(held, "w") as file:  # whoever writes a file holds a lock on it
        fcntl.lockf(file, fcntl.LOCK_EX, 1)
        train(root, data, "--epoch", 2)
        assert held.exists() and not left.exists()
    train(root, data, "--epoch", 2)
    assert not held.exists()
