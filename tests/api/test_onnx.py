"""dgld export: the files are valid ONNX, run, and hold exactly the operators that are counted."""

import math
import random

import numpy
import onnx
import onnxruntime
import pytest
import requests
from conftest import CELL, refused, run, run_json

INPUT = numpy.random.default_rng(0).standard_normal((2, 1, 3, 224, 224), dtype=numpy.float32)
FBNETV3 = "5 5 3 5 3 3 5 4 4 6 3 5 5 6 22 20 28 28 80 144 184 224 1 4 4 8 10 9"
N_CLASSES = {"nasbench201": 100, "fbnetv3": 1000}

# cells with operators that contribute nothing, or whose output nobody reads
ODD_CELLS = ["111111", "222222", "555555", "311111", "141111", "111141", "114111", "411211", "511151", "123451"]


@pytest.fixture(scope="module")
def domains(service):
    spaces = requests.get(service.url + "/v1/spaces", timeout=30).json()["spaces"]
    return {space["name"]: [gene["values"] for gene in space["genes"]] for space in spaces}


def draw(domains, space, seed):
    generator = random.Random(seed)
    return " ".join(str(generator.choice(values)) for values in domains[space])


def export(tmp_path, space, architecture, seed=0):
    file = tmp_path / "network.onnx"
    done = run_json("export", "--search_space", space, architecture, "--file", file, "--seed", seed)
    assert done["bytes"] == file.stat().st_size
    return file


def shapes_of(model):
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    values = [*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output]
    return {value.name: [d.dim_value for d in value.type.tensor_type.shape.dim] for value in values}


def count(model):
    """Multiply-accumulates of convolutions and linear layers, and parameters, of a checked model."""
    weights = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    shapes = shapes_of(model)
    macs = params = 0
    for node in model.graph.node:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        trained = [name for name in node.input if name in weights]
        if node.op_type == "Conv":
            c_out, c_in, *kernel = weights[node.input[1]]
            assert c_in * attributes["group"] == shapes[node.input[0]][1]
            macs += math.prod(shapes[node.output[0]]) * c_in * math.prod(kernel)
        elif node.op_type == "Gemm":
            macs += math.prod(weights[node.input[1]])
        elif node.op_type == "BatchNormalization":
            trained = trained[:2]  # scale and bias; mean and variance are statistics
        else:
            assert not trained, node
        params += sum(math.prod(weights[name]) for name in trained)
    assert {name for node in model.graph.node for name in node.input} >= weights.keys()
    return macs, params


def logits_of(file):
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    assert [(i.name, i.shape) for i in session.get_inputs()] == [("input", [1, 3, 224, 224])]
    assert [o.name for o in session.get_outputs()] == ["logits"]
    return [session.run(None, {"input": image})[0] for image in INPUT]


def check(tmp_path, space, architecture, seed):
    """All that must hold of any exported network. Returns how far apart the logits of two images are."""
    file = export(tmp_path, space, architecture, seed)
    model = onnx.load(file)
    onnx.checker.check_model(model, full_check=True)
    assert model.opset_import[0].version >= 17
    costs = run_json("costs", "--search_space", space, architecture)
    assert count(model) == (costs["macs"], costs["params"])
    logits = logits_of(file)
    for values in logits:
        assert values.shape == (1, N_CLASSES[space])
        assert numpy.isfinite(values).all() and 0.001 < values.std() and abs(values).max() < 100
    return abs(logits[0] - logits[1]).max()


@pytest.mark.parametrize("space", ["nasbench201", "fbnetv3"])
def test_random_networks_are_valid_run_and_have_the_counted_costs(domains, tmp_path, space):
    apart = [check(tmp_path, space, draw(domains, space, seed), seed) for seed in range(12)]
    assert numpy.median(apart) > 1e-3  # they look at what they are given


@pytest.mark.long
@pytest.mark.parametrize("space", ["nasbench201", "fbnetv3"])
def test_a_hundred_networks_are_valid_run_and_have_the_counted_costs_at_length(domains, tmp_path, space):
    for seed in range(100, 200):
        check(tmp_path, space, draw(domains, space, seed), seed)


@pytest.mark.parametrize("cell", ODD_CELLS)
def test_cells_with_nothing_on_their_edges_are_networks_too(tmp_path, cell):
    check(tmp_path, "nasbench201", cell, 1)


def test_a_published_network_outside_of_the_space_is_exported(tmp_path):
    outside = FBNETV3.split()
    outside[0], outside[14] = "7", "26"
    check(tmp_path, "fbnetv3", " ".join(outside), 0)


def test_a_file_says_what_it_is(tmp_path):
    model = onnx.load(export(tmp_path, "nasbench201", CELL, 42))
    assert {entry.key: entry.value for entry in model.metadata_props} == {
        "producer": "dgld",
        "version": run("--version").stdout.split()[1],
        "space": "nasbench201",
        "genes": "444244",
        "notation": CELL,
        "seed": "42",
    }
    names = {tensor.name for tensor in model.graph.initializer}
    assert {"stem.conv.weight", "stages.3.cell.5.edge2_3.conv.weight", "head.linear.bias"} <= names


def test_names_of_an_inverted_bottleneck_are_those_of_its_parts(tmp_path):
    model = onnx.load(export(tmp_path, "fbnetv3", FBNETV3))
    names = [node.name for node in model.graph.node if node.name.startswith("stages.3.block.2.")]
    assert [name.removeprefix("stages.3.block.2.") for name in names] == [
        "expand.conv",
        "expand.norm",
        "expand.act",
        "depthwise.conv",
        "depthwise.norm",
        "squeeze.pool",
        "squeeze.flatten",
        "squeeze.reduce",
        "squeeze.relu",
        "squeeze.restore",
        "squeeze.gate",
        "squeeze.unflatten",
        "squeeze.scale",
        "depthwise.act",
        "project.conv",
        "project.norm",
        "add",
    ]


def test_weights_are_initialised_as_is_usual_for_their_layers(tmp_path):
    model = onnx.load(export(tmp_path, "fbnetv3", FBNETV3, 3))
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        layer, role = tensor.name.rsplit(".", 1)
        if layer.endswith("norm"):
            expected = {"weight": 1, "bias": 0, "running_mean": 0}.get(role)
            assert (values == expected).all() if expected is not None else (values > 0).all(), tensor.name
            continue
        if layer.endswith("conv") and role == "bias":
            assert (values == 0).all()
            continue
        # He's bound by what goes out, for ReLU; PyTorch's default for linear layers
        outgoing = math.prod(values.shape) / values.shape[1] if values.ndim > 1 else 0
        incoming = values.shape[1] if role == "weight" else 1984
        bound = math.sqrt(6 / outgoing) if layer.endswith("conv") else 1 / math.sqrt(incoming)
        assert abs(values).max() <= bound * 1.000001, tensor.name
        if values.size > 1000:
            assert values.std() == pytest.approx(bound / math.sqrt(3), rel=0.1), tensor.name
            assert abs(values.mean()) < 0.15 * bound, tensor.name


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_weights(tmp_path):
    first, again, other = (export(tmp_path, "nasbench201", CELL, seed).read_bytes() for seed in (5, 5, 6))
    assert first == again
    assert len(first) == len(other) and first != other


def test_a_file_replaces_the_one_before_and_leaves_nothing_else(tmp_path):
    (tmp_path / "network.onnx").write_text("of before")
    export(tmp_path, "nasbench201", CELL)
    assert [file.name for file in tmp_path.iterdir()] == ["network.onnx"]
    onnx.checker.check_model(tmp_path / "network.onnx")


def test_an_answer_for_people_names_the_file_and_its_size(tmp_path):
    file = tmp_path / "a.onnx"
    done = run("export", "--search_space", "nasbench201", CELL, "--file", file)
    assert done.returncode == 0 and done.stderr == ""
    assert CELL in done.stdout and f"{file}, {file.stat().st_size} bytes" in done.stdout
    assert "9051756800" in done.stdout and "1294356" in done.stdout


@pytest.mark.parametrize(
    "arguments, code, phrase",
    [
        (["--file", "a.onnx"], 2, "export needs architectures"),
        ([CELL], 2, "export needs --file"),
        ([CELL, "--file", "a.h5"], 2, "has none"),
        ([CELL, "--file", ".onnx"], 2, "has none"),
        ([CELL, CELL, "--file", "a.onnx"], 2, "one architecture at a time, not 2"),
        (["999999", "--file", "a.onnx"], 1, "gene 1 of nasbench201 must be 1 to 5, not 9"),
        ([CELL, "--file", "a.onnx", "--seed", "-1"], 2, "--seed must be"),
        ([CELL, "--file", "/proc/none/a.onnx"], 1, "/proc/none"),
    ],
)
def test_what_cannot_be_exported_is_refused_with_the_reason(arguments, code, phrase):
    assert phrase in refused(code, "export", "--search_space", "nasbench201", *arguments)


def test_a_network_beyond_the_format_is_refused_before_anything_is_written(tmp_path):
    genes = FBNETV3.split()
    genes[19:22] = ["4096"] * 3
    message = refused(1, "export", "--search_space", "fbnetv3", " ".join(genes), "--file", tmp_path / "a.onnx")
    assert "an ONNX file has at most 2147483647" in message
    assert not list(tmp_path.iterdir())
