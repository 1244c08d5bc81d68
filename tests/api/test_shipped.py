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


@pytest.mark.parametrize("space", SPACES)
def test_training_reproduces_the_shipped_bytes_each_time(space, data, root):
    file = root / "result" / space / "pretrainmodel.safetensors"
    for _ in range(2):
        file.unlink()
        run_json("train", "--search_space", space, "--data_path", data, root=root)
        assert file.read_bytes() == shipped(space).read_bytes()


def test_device_sheets_are_those_of_the_twelve_and_the_nine():
    assert {f.stem for f in (ROOT / "data" / "devices").iterdir()} == set(SHEETS)


@pytest.mark.parametrize("device", SHEETS)
def test_device_sheet_holds_the_four_numbers_and_marks_what_is_estimated(device):
    sheet = json.loads((ROOT / "data" / "devices" / f"{device}.json").read_text())
    names = ("frequency_ghz", "dispatch_width", "cache_mb", "memory_bandwidth_gbs")
    assert sheet["hardware"] == dict(zip(names, SHEETS[device], strict=True))
    assert sheet["estimated"] is (device in ESTIMATED)
