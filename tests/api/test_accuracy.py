"""POST /v1/spaces/{space}/accuracy: the accuracies that searches go by, from each source, and what is refused."""

import json
import shutil

import pytest
import requests
from conftest import ROOT, Service, make_root, make_small, run_json
from job_tools import add_search_table

A = "3 5 5 3 5 5 5 4 2 5 3 5 3 6 16 16 24 40 72 120 184 224 2 4 5 5 6 6"
B = A.replace("3", "5", 1)


def ask(daemon, *architectures, space="nasbench201"):
    return daemon.post({"architectures": list(architectures)}, f"/v1/spaces/{space}/accuracy")


def told(daemon, *architectures, space="nasbench201"):
    reply = ask(daemon, *architectures, space=space)
    assert reply.status_code == 200, reply.text
    assert reply.json()["search_space"] == space
    return reply.json()


def refused(reply, status, *phrases):
    assert (reply.status_code, reply.headers["Content-Type"]) == (status, "application/problem+json"), reply.text
    assert all(phrase in reply.text for phrase in phrases), reply.text
    return [error["pointer"] for error in reply.json().get("errors", [])]


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """What ships; one call asks for at most 20,000 values."""
    path = tmp_path_factory.mktemp("shipped")
    make_root(path)
    for space in ("nasbench201", "fbnetv3"):
        shutil.copy(ROOT / "result" / space / "accuracymodel.safetensors", path / "result" / space)
    (path / "own.json").write_text(json.dumps({"batch_max": 20_000}))
    daemon = Service(path, "--config", path / "own.json")
    daemon.root = path
    yield daemon
    assert daemon.stop()[0] == 0


@pytest.mark.parametrize("space, limit_ms", [("nasbench201", 2000), ("fbnetv3", 300)])
def test_a_search_goes_by_the_accuracies_that_are_told(space, limit_ms, shipped):
    command = ("nas", "--search_space", space, "--hardware", "2,3,1,7.46", "--latency_constraint_ms", limit_ms)
    found = run_json(*command, "--export", "none", root=shipped.root)
    reply = told(shipped, found["architecture"], found["notation"], space=space)
    assert reply["accuracy"] == pytest.approx([found["accuracy"]] * 2)
    assert reply["source"] == found["accuracy_source"] and reply["source"]["source"] == "model"


def test_a_whole_space_is_told_in_one_call(shipped):
    cells = [[n // 5**g % 5 + 1 for g in range(6)] for n in range(15_625)]
    accuracy = told(shipped, *cells)["accuracy"]
    assert len(accuracy) == 15_625 and all(0 < one < 100 for one in accuracy)
    assert accuracy[777] == told(shipped, "".join(map(str, cells[777])))["accuracy"][0]


def test_rows_of_a_table_are_told_and_others_are_null(small, start):
    add_search_table(small)
    folder = small / "data" / "fbnetv3" / "NAS"
    folder.mkdir(parents=True)
    (folder / "net.txt").write_text(f"{A}\n{B}\n")
    (folder / "acc.txt").write_text("70\n75.5\n")
    daemon = start(small)
    cells = [line.split() for line in (small / "data" / "nasbench201" / "net.txt").read_text().splitlines()]
    rows = {"".join(row) for row in cells}
    other = next(str(n) for n in range(111111, 555556) if str(n) not in rows and not set(str(n)) - set("12345"))
    first = "".join(cells[0])
    reply = told(daemon, other, first)
    alike = [a for a, row in zip(map(float, (small / "data" / "nasbench201" / "NAS" / "acc.txt").read_text().split()), cells) if row == cells[0]]
    assert reply["source"] == {"source": "table", "n_rows": 80}
    assert reply["accuracy"] == [None, pytest.approx(sum(alike) / len(alike))]
    assert told(daemon, B, A, A.replace("6 6", "6 9"), space="fbnetv3")["accuracy"] == [75.5, 70, None]
    (folder / "acc.txt").write_text("70\n")
    refused(ask(daemon, A, space="fbnetv3"), 409, "acc.txt")


def test_without_any_source_it_is_told_what_to_do(service):
    refused(ask(service, "444244"), 404, "nothing to tell the accuracy of nasbench201", "dgld train --target accuracy")
    refused(ask(service, "444244", space="darts"), 404, "no search space")


@pytest.mark.parametrize(
    "body, pointers",
    [
        ({}, ["/architectures"]), ({"architectures": []}, ["/architectures"]), ({"architectures": "444244"}, ["/architectures"]),
        ({"architectures": ["444244", "9"]}, ["/architectures/1"]), ({"architectures": [[1, 2, 3, 4, 5, 6]]}, ["/architectures/0/5"]),
        ({"architectures": ["444244"], "device": "x"}, ["/device"]), ({"architectures": [None]}, ["/architectures/0"]),
    ],
)  # fmt: skip
def test_what_is_no_question_is_told_by_pointer(body, pointers, shipped):
    assert refused(shipped.post(body, "/v1/spaces/nasbench201/accuracy"), 422) == pointers


def test_other_refusals(shipped):
    refused(shipped.post(b"{", "/v1/spaces/nasbench201/accuracy"), 400)
    assert refused(ask(shipped, *["444244"] * 20_001), 413, "batch_max") == ["/architectures"]
    reply = requests.get(shipped.url + "/v1/spaces/nasbench201/accuracy", timeout=30)
    assert (reply.status_code, reply.headers["Allow"]) == (405, "POST, OPTIONS")
