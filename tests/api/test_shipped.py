"""What the repository ships: predictors and device sheets."""

import json

import pytest
import safetensors
from conftest import ROOT, TRAIN_DEVICES, UNSEEN_DEVICES, run_json

SPACES = ("nasbench201", "fbnetv3")
ESTIMATED = {"Honor 9C", "Samsung Galaxy M30s", "Xiaomi Redmi 10X Pro 5G"}
SHEETS = TRAIN_DEVICES | UNSEEN_DEVICES["nasbench201"] | UNSEEN_DEVICES["fbnetv3"]


def shipped(space):
    return ROOT / "result" / space / "pretrainmodel.safetensors"


@pytest.mark.parametrize("space", SPACES)
def test_predictor_is_at_most_one_megabyte(space):
    assert 0 < shipped(space).stat().st_size <= 1_000_000


@pytest.mark.parametrize("space", SPACES)
def test_predictor_opens_in_python_and_says_what_it_is(space):
    with safetensors.safe_open(shipped(space), "numpy") as file:
        meta = file.metadata()
        assert len(file.keys()) > 0
    assert (meta["kind"], meta["search_space"], meta["source"]) == ("cost", space, "a.txt")
    assert json.loads(meta["train_devices"]) == list(TRAIN_DEVICES)
    assert int(meta["n_rows"]) == {"nasbench201": 500, "fbnetv3": 200}[space]
    assert len(meta["data_sha256"]) == 64 and int(meta["seed"]) == 0
    assert float(meta["r_held_out"]) >= {"nasbench201": 0.982, "fbnetv3": 0.976}[space]


def trained_bytes(space, data, root):
    file = root / "result" / space / "pretrainmodel.safetensors"
    file.unlink(missing_ok=True)
    run_json("train", "--search_space", space, "--data_path", data, root=root)
    return file.read_bytes()


@pytest.mark.parametrize("space", SPACES)
def test_training_gives_the_same_bytes_each_time(space, data, root):
    assert trained_bytes(space, data, root) == trained_bytes(space, data, root)


@pytest.mark.parametrize("kernels", ["as the processor has them", "Nehalem"])
@pytest.mark.parametrize("space", SPACES)
def test_training_gives_what_is_shipped_but_for_rounding(space, kernels, data, root, monkeypatch):
    """Other processors have other kernels in OpenBLAS, which add in another order."""
    if kernels == "Nehalem":
        monkeypatch.setenv("OPENBLAS_CORETYPE", kernels)
    trained_bytes(space, data, root)
    rows = [" ".join(line.split()) for line in (data / space / "net.txt").read_text().splitlines()]
    command = ["predict", "--search_space", space, "--hardware", "2,3,1,7.46", "--architectures", "-"]
    trained = run_json(*command, root=root, stdin="\n".join(rows))["latency_ms"]
    expected = run_json(*command, "--load_path", shipped(space), root=root, stdin="\n".join(rows))["latency_ms"]
    assert trained == pytest.approx(expected, rel=1e-6)


def test_device_sheets_are_those_of_the_twelve_and_the_nine():
    assert {f.stem for f in (ROOT / "data" / "devices").iterdir()} == set(SHEETS)


@pytest.mark.parametrize("device", SHEETS)
def test_device_sheet_holds_the_four_numbers_and_marks_what_is_estimated(device):
    sheet = json.loads((ROOT / "data" / "devices" / f"{device}.json").read_text())
    names = ("frequency_ghz", "dispatch_width", "cache_mb", "memory_bandwidth_gbs")
    assert sheet["hardware"] == dict(zip(names, SHEETS[device], strict=True))
    assert sheet["estimated"] is (device in ESTIMATED)
