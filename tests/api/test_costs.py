"""dgld costs."""

import json
import re

import pytest
from conftest import CELL, SHARED, refused, run, run_json

GOLDEN = [
    ("nasbench201", "444244", 9_051_756_800, 1_294_356),
    ("nasbench201", "1 1 1 1 1 1", 381_344_000, 79_156),
    ("nasbench201", "[5,3,2,3,2,2]", 766_695_680, 135_156),
    (
        "fbnetv3",
        "5 5 3 5 3 3 5 4 4 6 3 5 5 6 22 20 28 28 80 144 184 224 1 4 4 8 10 9",
        936_715_864,
        20_116_624,
    ),
    (
        "fbnetv3",
        "3 5 5 3 5 5 5 4 2 5 3 5 3 6 16 16 24 40 72 120 184 224 2 4 5 5 6 6",
        457_828_592,
        13_072_632,
    ),
]


@pytest.fixture(scope="module")
def published():
    file = SHARED / "data" / "fbnetv3_published.txt"
    if not file.is_file():
        pytest.skip("the published FBNetV3 networks are not at ../shared/data")
    lines = [line.split("|") for line in file.read_text().splitlines() if not line.startswith("#")]
    return {name.strip(): genes.split() for name, genes, _ in lines}


@pytest.mark.parametrize("space, architecture, macs, params", GOLDEN)
def test_golden_counts_to_the_last_unit(space, architecture, macs, params):
    costs = run_json("costs", "--search_space", space, architecture)
    assert (costs["macs"], costs["params"]) == (macs, params)


def test_macs_by_kind_and_stage_add_up():
    for space, architecture, macs, _ in GOLDEN:
        costs = run_json("costs", "--search_space", space, architecture)
        assert sum(map(sum, costs["macs_by_kind"].values())) == macs
        assert costs["traffic_bytes"] > 0


def test_first_row_of_the_reference_data_has_the_golden_count(data):
    row = (data / "fbnetv3" / "net.txt").read_text().splitlines()[0]
    assert run_json("costs", "--search_space", "fbnetv3", row)["macs"] == 936_715_864


def test_published_networks_outside_of_the_space_can_be_counted(published):
    assert len(published) == 7
    for name, genes in published.items():
        costs = run_json("costs", "--search_space", "fbnetv3", " ".join(genes))
        assert costs["macs"] > 450_000_000 and costs["params"] >= 13_072_632, name
        predicted = run("predict", "--search_space", "fbnetv3", "--hardware", "2,3,1,7.46", " ".join(genes))
        assert predicted.returncode == (0 if name[-1] in "AB" else 1), name


def test_several_architectures_give_one_json_line_each():
    done = run("costs", "--search_space", "nasbench201", "--json", "444244", CELL, "111111")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["macs"] for line in lines] == [9_051_756_800, 9_051_756_800, 381_344_000]
    assert [line["architecture"] for line in lines[:2]] == [CELL, CELL]


def test_table_shows_the_same_counts():
    done = run("costs", "--search_space", "nasbench201", "444244")
    assert done.returncode == 0
    assert re.search(r"^  MACs +9051756800$", done.stdout, re.M)
    assert re.search(r"^  parameters +1294356$", done.stdout, re.M)


@pytest.mark.parametrize("genes", ["0" * 28, "-1 " * 28, "99999999999 " * 28])
def test_what_describes_no_network_is_refused_by_gene(genes):
    architecture = genes if " " in genes else " ".join(genes)
    assert "gene 1 of fbnetv3 must be" in refused(1, "costs", "--search_space", "fbnetv3", "--", architecture)
