"""dgld export --file OUT.pt: PyTorch loads and runs it, and it is the network of the ONNX."""

import json
import pickle
import random
import re
import resource
import shlex
import subprocess
import zipfile

import numpy
import onnx
import onnxruntime
import pytest
import requests
from conftest import BINARY, CELL, ROOT, refused, run_json

PYTHON = "/usr/bin/python3"  # Debian's, that python3-torch is for
INPUT = numpy.random.default_rng(0).standard_normal((2, 3, 224, 224), dtype=numpy.float32)
SPACES = ["nasbench201", "fbnetv3"]
FBNETV3 = "5 5 3 5 3 3 5 4 4 6 3 5 5 6 22 20 28 28 80 144 184 224 1 4 4 8 10 9"
ODD_CELLS = ["111111", "222222", "555555", "311111", "141111", "411211", "511151"]  # edges without anything
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def domains(service):
    spaces = requests.get(service.url + "/v1/spaces", timeout=30).json()["spaces"]
    return {space["name"]: [gene["values"] for gene in space["genes"]] for space in spaces}


def draw(domains, space, seed):
    generator = random.Random(seed)
    return " ".join(str(generator.choice(values)) for values in domains[space])


def export(file, space, architecture, seed=0):
    done = run_json("export", "--search_space", space, architecture, "--file", file, "--seed", seed)
    assert done["bytes"] == file.stat().st_size
    assert done["format"] == {".onnx": "onnx", ".pt": "torchscript"}[file.suffix]
    return file


def run_torchscript(tmp_path, files):
    """What PyTorch sees of each of the files; one process, since PyTorch takes a while to start."""
    INPUT.tofile(tmp_path / "input")
    command = [PYTHON, ROOT / "tests" / "support" / "run_torchscript.py", tmp_path / "input", *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def run_onnx(file):
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return numpy.concatenate([session.run(None, {"input": image[None]})[0] for image in INPUT])


def check(tmp_path, space, architectures):
    files = [
        export(tmp_path / f"{seed}.pt", space, architecture, seed) for seed, architecture in enumerate(architectures)
    ]
    for file, architecture, seen in zip(files, architectures, run_torchscript(tmp_path, files), strict=True):
        model_file = export(file.with_suffix(".onnx"), space, architecture, int(file.stem))
        expected = run_onnx(model_file)
        logits = numpy.array(seen["logits"])
        assert logits.shape == expected.shape and expected.std() > 0.001
        assert abs(logits - expected).max() < TOLERANCE, architecture
        assert seen["singly"] < TOLERANCE  # a batch is so many images
        assert seen["on_phone"] < TOLERANCE and file.with_suffix(".ptl").stat().st_size > 0
        assert seen["training"] is False
        model = onnx.load(model_file)
        assert seen["shapes"] == {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
        assert seen["n_trained"] == run_json("costs", "--search_space", space, architecture)["params"]
        assert not [name for name in seen["parameters"] if "running" in name]
        assert seen["extra"] == {entry.key: entry.value for entry in model.metadata_props}
        for made in tmp_path.iterdir():
            if made.stem == file.stem:
                made.unlink()


@pytest.mark.parametrize("space", SPACES)
def test_random_networks_run_as_their_onnx_does(domains, tmp_path, space):
    check(tmp_path, space, [draw(domains, space, seed) for seed in range(4)])


@pytest.mark.long
@pytest.mark.parametrize("space", SPACES)
def test_twenty_networks_run_as_their_onnx_does_at_length(domains, tmp_path, space):
    check(tmp_path, space, [draw(domains, space, seed) for seed in range(100, 120)])


def test_cells_with_nothing_on_their_edges_run_too(tmp_path):
    check(tmp_path, "nasbench201", ODD_CELLS)


def test_the_line_of_the_readme_makes_a_file_for_phones(tmp_path):
    export(tmp_path / "444244.pt", "nasbench201", "444244")
    line = re.search(r"^python3 (-c .*_save_for_lite_interpreter.*)$", (ROOT / "README.md").read_text(), re.M)[1]
    done = subprocess.run(
        [PYTHON, *shlex.split(line)], capture_output=True, text=True, timeout=120, cwd=tmp_path, check=True
    )
    assert done.stderr == ""
    names = zipfile.ZipFile(tmp_path / "444244.ptl").namelist()
    assert "444244/bytecode.pkl" in names  # what the interpreter of phones runs


class AnyClass:
    """Stands for any class of PyTorch or of the network."""

    def __init__(self, *arguments):
        self.arguments = arguments


class Unpickler(pickle.Unpickler):
    """Python's own, without PyTorch: tensors are (storage, offset, shape, strides, ...)."""

    def find_class(self, module, name):
        return type(name, (AnyClass,), {"module": module})

    def persistent_load(self, identity):
        return identity


def weights_of(value, archive, prefix=""):
    for name, part in vars(value).items():
        if type(part).__name__ == "_rebuild_tensor_v2":
            (kind, of, key, device, n), offset, shape, strides, *_ = part.arguments
            assert (kind, of.__name__, device, offset) == ("storage", "FloatStorage", "cpu", 0)
            values = numpy.frombuffer(archive.read(f"network/data/{key}"), "<f4")
            assert values.size == n
            yield prefix + name, numpy.lib.stride_tricks.as_strided(values, shape, [4 * s for s in strides])
        elif isinstance(part, AnyClass):
            yield from weights_of(part, archive, f"{prefix}{name}.")
        else:
            assert (name, part) == ("training", False)


@pytest.mark.parametrize("space, architecture", [("nasbench201", CELL), ("fbnetv3", FBNETV3)])
def test_weights_are_bit_by_bit_those_of_the_onnx(tmp_path, space, architecture):
    model = onnx.load(export(tmp_path / "a.onnx", space, architecture, 9))
    with zipfile.ZipFile(export(tmp_path / "a.pt", space, architecture, 9)) as archive:
        assert archive.testzip() is None
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        weights = dict(weights_of(Unpickler(archive.open("network/data.pkl")).load(), archive))
    assert weights.keys() == {tensor.name for tensor in model.graph.initializer}
    for tensor in model.graph.initializer:
        numpy.testing.assert_array_equal(weights[tensor.name], onnx.numpy_helper.to_array(tensor))


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_weights(tmp_path):
    first, again, other = (
        export(tmp_path / f"{name}.pt", "nasbench201", CELL, seed).read_bytes()
        for name, seed in (("a", 5), ("b", 5), ("c", 6))
    )
    assert first == again  # whatever the file is called
    assert len(first) == len(other) and first != other


def test_a_network_beyond_the_format_is_refused_and_nothing_is_left(tmp_path):
    genes = FBNETV3.split()
    genes[19:22] = ["4096"] * 3
    genes[26:28] = ["10"] * 2
    message = refused(1, "export", "--search_space", "fbnetv3", " ".join(genes), "--file", tmp_path / "a.pt")
    assert "less than 4 GiB" in message
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_told_and_leaves_what_was_there(tmp_path):
    file = tmp_path / "a.pt"
    file.write_text("of before")
    command = [BINARY, "export", "--search_space", "nasbench201", CELL, "--file", file]

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT, preexec_fn=limit)
    assert done.returncode == 1 and "cannot write" in done.stderr and "File too large" in done.stderr, done
    assert file.read_text() == "of before" and list(tmp_path.iterdir()) == [file]
