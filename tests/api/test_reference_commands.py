"""The reference's documented commands, word for word but for the program's name, in a root of their own."""

import shlex
import subprocess

import pytest
from conftest import DATA, link_data, make_user_tree

TRAIN_DEVICES = (
    "Galaxy A9,Honor 9C,iQOO 5 Pro,Samsung Galaxy A80,Samsung Galaxy A90 5G,Samsung Galaxy M30s,"
    "Samsung Galaxy S20+ 5G,Samsung Galaxy Note10,Xiaomi Redmi 10X Pro 5G,Xiaomi Redmi K20 Pro,Honor V30 Pro,VIVO NEX"
)
TEST_DEVICES = {
    "nasbench201": "Huawei Mate 20,Samsung Galaxy A10s,Xiaomi Redmi 5 Plus,Sony Xperia XZ2,Motorola Moto E6s",
    "fbnetv3": "Asus ROG Phone 3,Oppo A5,Xiaomi Mi 8 Lite,Samsung Galaxy S8+",
}
SPACES = sorted(TEST_DEVICES)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A tree as a user has it after `make data FROM=...`."""
    path = make_user_tree(tmp_path_factory.mktemp("tree"))
    link_data(path)
    return path


def run_words(tree, words):
    return subprocess.run(shlex.split(words), cwd=tree, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("space", SPACES)
def test_train_then_test(tree, space):
    served = tree / "result" / space / "pretrainmodel.safetensors"
    replaced = served.read_bytes()
    done = run_words(
        tree,
        f"build/dgld --search_space '{space}' --mode 'train' --train_devices '{TRAIN_DEVICES}' "
        "--epoch 50000 --lr 1e-1",
    )
    assert done.returncode == 0, done.stderr
    assert "predictor         mlp" in done.stdout
    assert "epoch 50000 of 50000, loss" in done.stderr
    assert served.read_bytes() != replaced
    kept = list((tree / "result" / space / "models").glob("cost-*.safetensors"))
    assert [file.read_bytes() for file in kept] == [replaced]
    assert not list((tree / "result" / space).glob("*.checkpoint")), "a finished training leaves no checkpoint"

    done = run_words(
        tree,
        f"build/dgld --search_space '{space}' --mode 'test' --load_path './result/{space}/pretrainmodel.pt' "
        f"--data_path './data/{space}/' --test_devices '{TEST_DEVICES[space]}'",
    )
    assert done.returncode == 0, done.stderr
    assert "pretrainmodel.safetensors" in done.stderr and len(done.stderr.splitlines()) == 1
    for device in TEST_DEVICES[space].split(","):
        rows = (tree / "result" / space / f"{device}_timepre.txt").read_text().splitlines()
        assert len(rows) == len((DATA / space / "net.txt").read_text().splitlines())
        assert device in done.stdout


@pytest.mark.parametrize("flag", ["--gpu 0", "--main_path .", "--save_path ./result"])
def test_flags_without_effect_are_said_in_one_line(tree, flag):
    done = run_words(tree, f"build/dgld --search_space nasbench201 --mode test --model mlp {flag}")
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 1 and "no effect" in done.stderr


def test_a_device_of_the_users_own_is_tested(tree):
    own = tree / "data" / "nasbench201"
    (own / "hardware" / "My Phone.txt").write_text("2.0 4 2 14.9\n")
    (own / "latency" / "My Phone.txt").write_text((DATA / "nasbench201" / "latency" / "Huawei Mate 20.txt").read_text())
    done = run_words(tree, "build/dgld --search_space nasbench201 --mode test --test_devices 'My Phone'")
    assert done.returncode == 0, done.stderr
    assert "My Phone" in done.stdout
