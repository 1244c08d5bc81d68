"""dgld predict."""

import itertools
import json
import subprocess

import pytest
from conftest import A53, BINARY, CELL, TRAIN_DEVICES, UNSEEN_DEVICES, factor, refused, run, run_json

FBNET = "5 5 3 5 3 3 5 4 4 6 3 5 5 6 22 20 28 28 80 144 184 224 1 4 4 8 10 9"
NOTATIONS = {
    "nasbench201": ["444244", "4 4 4 2 4 4", "4,4,4,2,4,4", "[4,4,4,2,4,4]", "[4, 4, 4, 2, 4, 4]", CELL],
    "fbnetv3": [FBNET, FBNET.replace(" ", ","), "[" + FBNET.replace(" ", ", ") + "]"],
}


def predict(*arguments, space="nasbench201", **keywords):
    return run_json("predict", "--search_space", space, *arguments, **keywords)["latency_ms"]


@pytest.mark.parametrize("space", NOTATIONS)
def test_all_notations_of_an_architecture_give_one_latency(space):
    latencies = predict("--hardware", "2,3,1,7.46", *NOTATIONS[space], space=space)
    assert len(latencies) == len(NOTATIONS[space])
    assert len(set(latencies)) == 1 and latencies[0] > 0


def test_inputs_of_a_node_may_come_in_any_order():
    turned = "|nor_conv_3x3~0|+|nor_conv_3x3~1|none~0|+|avg_pool_3x3~2|skip_connect~0|nor_conv_1x1~1|"
    genes = "4 1 4 2 3 5"
    first, second = predict("--hardware", "2,3,1,7.46", turned, genes)
    assert first == second


def test_check_value_of_the_method():
    """A = 7748.038618 on (2, 3, 1, 7.46) is 1810.645 ms: k = 0.23369079535299375."""
    assert factor(A53) == pytest.approx(0.23369079535299375, rel=1e-15)
    assert 7748.038618 * factor(A53) == pytest.approx(1810.6453070661305, rel=1e-12)
    a = predict("--hardware", "1,2,4,1", "444244")[0]  # k = 1/2 + 1/2 = 1
    assert predict("--hardware", "2,3,1,7.46", "444244")[0] == pytest.approx(a * 0.23369079535299375, rel=1e-8)


@pytest.mark.parametrize("space", NOTATIONS)
def test_latencies_of_two_devices_differ_by_the_ratio_of_their_factors(space):
    devices = TRAIN_DEVICES | UNSEEN_DEVICES[space]
    latency = {name: predict("--device", name, NOTATIONS[space][0], space=space)[0] for name in devices}
    for one, other in itertools.pairwise(devices):
        expected = factor(devices[one]) / factor(devices[other])
        assert latency[one] / latency[other] == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("form", ["2,3,1,7.46", "2 3 1 7.46", "2, 3, 1, 7.46", "2.0,3e0,1,746e-2", " 2,3,1,7.46 "])
def test_hardware_is_four_numbers_with_commas_or_blanks(form):
    assert predict("--hardware", form, "444244") == predict("--hardware", "2,3,1,7.46", "444244")


@pytest.mark.parametrize(
    "form", ["", "2,3,1", "2,3,1,7.46,5", "a,b,c,d", "2;3;1;7.46", "2.5.3,1,7", "0x2,3,1,7.46", "2,,3,1,7.46", "2,3,1,"]
)
def test_hardware_that_is_not_four_numbers_is_wrong_usage(form):
    assert "--hardware takes four numbers" in refused(
        2, "predict", "--search_space", "nasbench201", "--hardware", form, "444244"
    )


@pytest.mark.parametrize(
    "place, name", enumerate(["frequency_ghz", "dispatch_width", "cache_mb", "memory_bandwidth_gbs"])
)
@pytest.mark.parametrize("value", ["0", "-1", "1e300"])
def test_hardware_out_of_range_is_refused_by_name(place, name, value):
    vector = ["2", "3", "1", "7.46"]
    vector[place] = value
    said = refused(2, "predict", "--search_space", "nasbench201", "--hardware", ",".join(vector), "444244")
    assert f"{name} " in said and "must be a positive number" in said


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "NAN", "infinity", "1e999"])
def test_hardware_that_is_not_finite_is_refused(value):
    refused(2, "predict", "--search_space", "nasbench201", "--hardware", f"2,3,{value},7.46", "444244")


@pytest.mark.parametrize("name", ["asus r0g ph0ne 3", "Asus R0G Ph0ne 3", "Asus ROG Phone 3", "ASUS  ROG PHONE 3"])
def test_device_names_are_folded(name):
    latency = predict("--device", name, FBNET, space="fbnetv3")
    assert latency == predict("--hardware", "3.1,10,4,44", FBNET, space="fbnetv3")


def test_reference_spelling_in_nas_folder_resolves(data, root):
    for name in ("asus rog phone 3", "Asus R0G Ph0ne 3"):
        latency = predict("--device", name, "--data_path", data, FBNET, space="fbnetv3", root=root)
        assert latency == predict("--hardware", "3.1,10,4,44", FBNET, space="fbnetv3")


def test_hardware_file_wins_over_the_device_sheet(small):
    sheet = predict("--device", "VIVO NEX", "444244", root=small)
    (small / "data" / "nasbench201" / "hardware" / "VIVO NEX.txt").write_text("1 1 1 1\n")
    assert predict("--device", "VIVO NEX", "444244", root=small) != sheet


def test_name_that_fits_two_devices_is_refused(small):
    hardware = small / "data" / "nasbench201" / "hardware"
    (hardware / "neaR.txt").write_text("2 3 1 7.46\n")
    said = refused(1, "predict", "--search_space", "nasbench201", "--device", "NEAR", "444244", root=small)
    assert '"NEAR" could mean several devices' in said
    assert predict("--device", "Near", "444244", root=small) == predict("--device", "neaR", "444244", root=small)


@pytest.mark.parametrize("name", ["../../etc/passwd", "..", ".hidden", "a/b", "", "x\ny", "x" * 300])
def test_strange_device_names_are_refused(name):
    refused(1, "predict", "--search_space", "nasbench201", "--device", name, "444244")


def test_unknown_device_is_refused_by_name():
    said = refused(1, "predict", "--search_space", "nasbench201", "--device", "Nokia 3310", "444244")
    assert 'there is no device "Nokia 3310"' in said


def test_standard_input_holds_one_architecture_a_line():
    lines = f"444244\r\n\n{CELL}\n[1,2,3,4,5,1]   \n1 2 3 4 5 1"
    reply = run_json(
        "predict", "--search_space", "nasbench201", "--hardware", "2,3,1,7.46", "--architectures", "-", stdin=lines
    )
    first, second, third, fourth = reply["latency_ms"]
    assert first == second != third == fourth


def test_architecture_file_and_arguments_go_together(tmp_path):
    (tmp_path / "list.txt").write_text("111111\n222222\n")
    arguments = ("--hardware", "2,3,1,7.46")
    both = predict(*arguments, "--architectures", tmp_path / "list.txt", "333333")
    assert both == predict(*arguments, "333333", "111111", "222222")


def test_bad_line_of_an_architecture_file_is_named(tmp_path):
    file = tmp_path / "list.txt"
    file.write_text("111111\n\n222922\n")
    arguments = ("predict", "--search_space", "nasbench201", "--hardware", "2,3,1,7.46", "--architectures")
    said = refused(1, *arguments, file)
    assert said.startswith(f"dgld: {file}:3: gene 4 of nasbench201 must be 1 to 5, not 9")
    assert "standard input:3: " in refused(1, *arguments, "-", stdin=file.read_text())


def test_text_output_is_latency_tab_notation():
    done = run("predict", "--search_space", "nasbench201", "--hardware", "2,3,1,7.46", "444244", "111111")
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert lines[0][1] == CELL and len(lines) == 2
    assert [float(line[0]) for line in lines] == predict("--hardware", "2,3,1,7.46", "444244", "111111")


def test_json_reply_has_these_fields():
    reply = run_json("predict", "--search_space", "fbnetv3", "--hardware", "2,3,1,7.46", FBNET)
    assert list(reply) == ["search_space", "model", "conditions", "latency_ms"]
    assert reply["search_space"] == "fbnetv3"
    assert reply["conditions"] == {"input": "1x3x224x224", "batch": 1}
    assert reply["model"]["predictor"] == "cost" and reply["model"]["version"].startswith("cost-")


@pytest.mark.parametrize(
    "architecture, reason",
    [
        ("444249", "gene 6 of nasbench201 must be 1 to 5, not 9 (it is the operator of edge node3<-2)"),
        ("4 4 4 0 4 4", "gene 4 of nasbench201 must be 1 to 5, not 0"),
        ("44424", "an architecture of nasbench201 has 6 genes, not 1"),
        ("4 4 4 2 4", "an architecture of nasbench201 has 6 genes, not 5"),
        ("4 4 4 2 4 4 4", "an architecture of nasbench201 has 6 genes, not 7"),
        ("4 4 4 x 4 4", "is no architecture of nasbench201"),
        ("4.0 4 4 2 4 4", "is no architecture of nasbench201"),
        ("0x4 4 4 2 4 4", "is no architecture of nasbench201"),
        ("", "has 6 genes, not 0"),
        (CELL[:-1], "the nasbench201 notation breaks off"),
        (CELL + "x", "the nasbench201 notation breaks off"),
        (CELL.replace("~1", "~0", 1), "the nasbench201 notation breaks off"),
        (CELL.replace("skip_connect", "conv_7x7"), "the nasbench201 notation breaks off"),
    ],
)
def test_bad_architecture_is_refused_with_the_reason(architecture, reason):
    assert reason in refused(1, "predict", "--search_space", "nasbench201", "--hardware", "2,3,1,7.46", architecture)


def test_bad_gene_of_fbnetv3_is_named_with_its_value_and_what_is_allowed():
    genes = FBNET.split()
    genes[16] = "29"
    said = refused(1, "predict", "--search_space", "fbnetv3", "--hardware", "2,3,1,7.46", " ".join(genes))
    assert "gene 17 of fbnetv3 must be 20 to 32 in steps of 4, not 29 (it is the channels of stage 2)" in said


def test_pt_path_stands_for_its_sibling_and_says_so(root):
    path = root / "result" / "nasbench201" / "pretrainmodel"
    arguments = ("predict", "--search_space", "nasbench201", "--hardware", "2,3,1,7.46", "444244", "--json")
    done = run(*arguments, "--load_path", f"{path}.pt", root=root)
    assert done.stderr == f"dgld: {path}.pt does not exist; using {path}.safetensors\n"
    assert json.loads(done.stdout)["latency_ms"] == predict("--hardware", "2,3,1,7.46", "444244")


def test_absent_predictor_says_what_to_do(root):
    (root / "result" / "nasbench201" / "pretrainmodel.safetensors").unlink()
    arguments = ("--hardware", "2,3,1,7.46", "444244")
    assert "dgld train" in refused(1, "predict", "--search_space", "nasbench201", *arguments, root=root)


def test_output_that_cannot_be_written_is_a_failure():
    command = [BINARY, "predict", "--search_space", "nasbench201", "--hardware", "2,3,1,7.46", "444244"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and "cannot write standard output" in done.stderr
