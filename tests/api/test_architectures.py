"""GET /v1/spaces/{space}/architectures/{notation}: costs, and networks that are made while they are sent."""

import pathlib
import re
import socket
import time

import onnx
import pytest
import requests
from conftest import CELL, run_json

FBNETV3 = "5 5 3 5 3 3 5 4 4 6 3 5 5 6 22 20 28 28 80 144 184 224 1 4 4 8 10 9"
ONNX = {"Accept": "application/onnx"}


def address(service, space, notation):
    return f"{service.url}/v1/spaces/{space}/architectures/{requests.utils.quote(notation, safe='')}"


def get(service, space="nasbench201", notation="444244", **keywords):
    return requests.get(address(service, space, notation), timeout=60, **keywords)


# ---- costs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("space, notation", [("nasbench201", CELL), ("fbnetv3", FBNETV3)])
def test_costs_are_those_of_the_command(service, space, notation):
    reply = get(service, space, notation)
    assert (reply.status_code, reply.headers["Content-Type"]) == (200, "application/json")
    costs = reply.json()
    assert costs == run_json("costs", "--search_space", space, notation)
    assert sum(map(sum, costs["macs_by_kind"].values())) == costs["macs"]
    assert sum(map(sum, costs["traffic_bytes_by_kind"].values())) == costs["traffic_bytes"]
    assert {len(counts) for counts in costs["macs_by_kind"].values()} == {len(costs["stages"])}


@pytest.mark.parametrize("notation", ["444244", "4,4,4,2,4,4", "4 4 4 2 4 4", "[4, 4, 4, 2, 4, 4]", CELL])
def test_every_notation_may_stand_in_the_path(service, notation):
    costs = get(service, notation=notation).json()
    assert (costs["architecture"], costs["genes"], costs["macs"]) == (CELL, [4, 4, 4, 2, 4, 4], 9_051_756_800)


@pytest.mark.parametrize(
    "space, notation, status, phrase",
    [
        ("darts", "444244", 404, "no search space"),
        ("nasbench201", "444249", 422, "gene 6 of nasbench201 must be 1 to 5, not 9"),
        ("nasbench201", "4442", 422, "6 genes, not 1"),
        ("nasbench201", "|nor_conv_3x3~0|", 422, 'expected "+"'),
        ("nasbench201", "<script>", 422, "is no architecture of nasbench201"),
        ("fbnetv3", "444244", 422, "28 genes, not 1"),
        ("fbnetv3", FBNETV3.replace("5", "7", 1), 422, "gene 1 of fbnetv3 must be 3 or 5"),
        ("nasbench201", "4/4", 404, "nothing at this path"),
    ],
)
def test_what_is_no_architecture_is_refused_with_the_reason(service, space, notation, status, phrase):
    for headers in ({}, ONNX):
        reply = get(service, space, notation, headers=headers)
        assert (reply.status_code, reply.headers["Content-Type"]) == (status, "application/problem+json")
        assert phrase in reply.json()["detail"]


@pytest.mark.parametrize(
    "query, headers, status",
    [
        ({"format": "h5"}, {}, 422),
        ({"format": ""}, {}, 422),
        ({"seed": "-1"}, {}, 422),
        ({"seed": "x", "format": "onnx"}, {}, 422),
        ({"seed": str(2**63), "format": "onnx"}, {}, 422),
        ({}, {"Accept": "text/html"}, 406),
        ({"format": "json"}, {"Accept": "text/html"}, 200),
        ({}, {"Accept": "application/onnx;q=0.5, application/json;q=0.1"}, 200),
    ],
)
def test_the_form_and_the_seed_are_checked(service, query, headers, status):
    assert get(service, params=query, headers=headers).status_code == status


# ---- networks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("space, notation", [("nasbench201", CELL), ("fbnetv3", FBNETV3)])
def test_a_network_is_the_file_that_the_command_writes(service, tmp_path, space, notation):
    run_json("export", "--search_space", space, notation, "--seed", 9, "--file", tmp_path / "a.onnx")
    expected = (tmp_path / "a.onnx").read_bytes()
    asked = get(service, space, notation, params={"seed": 9}, headers=ONNX)
    named = get(service, space, notation, params={"seed": 9, "format": "onnx"})
    for reply in (asked, named):
        assert (reply.status_code, reply.headers["Content-Type"]) == (200, "application/onnx")
        assert int(reply.headers["Content-Length"]) == len(expected)
        assert reply.content == expected
    assert get(service, space, notation, headers=ONNX).content != expected


def test_a_network_is_named_for_saving_and_is_another_form_of_one_resource(service):
    network, costs = get(service, headers=ONNX), get(service)
    assert network.headers["Content-Disposition"] == 'attachment; filename="nasbench201-444244.onnx"'
    assert network.headers["Vary"] == costs.headers["Vary"] == "Accept"
    assert network.headers["ETag"] != costs.headers["ETag"]
    onnx.checker.check_model(onnx.load_from_string(network.content), full_check=True)


@pytest.mark.parametrize("headers", [{}, ONNX])
def test_what_the_client_has_is_not_sent_again(service, headers):
    first = get(service, headers=headers)
    again = get(service, headers=headers | {"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    # the same architecture by another name is the same, another seed is not
    by_name = get(service, notation=CELL, headers=headers)
    assert by_name.headers["ETag"] == first.headers["ETag"]
    other = get(service, params={"seed": 1}, headers=headers)
    assert (other.headers["ETag"] == first.headers["ETag"]) == (headers == {})


def test_head_tells_the_size_and_sends_nothing(service):
    reply = requests.head(address(service, "fbnetv3", FBNETV3), headers=ONNX, timeout=30)
    assert reply.status_code == 200 and reply.content == b""
    assert int(reply.headers["Content-Length"]) == 80_987_845
    assert reply.headers["Content-Type"] == "application/onnx"


@pytest.mark.parametrize("space, ends", [("nasbench201", ([1] * 6, [4] * 6)), ("fbnetv3", None)])
def test_sizes_are_within_what_the_contract_says(service, space, ends):
    operation = requests.get(service.url + "/openapi.json", timeout=30).json()["paths"]["/v1/spaces/{space}/architectures/{notation}"]["get"]
    least, most = map(float, re.search(rf"([\d.]+) to\s+([\d.]+) MB \({space}\)", operation["description"]).groups())
    if ends is None:
        genes = requests.get(f"{service.url}/v1/spaces/{space}", timeout=30).json()["genes"]
        ends = [[gene["values"][at] for gene in genes] for at in (0, -1)]
    replies = [requests.head(address(service, space, ",".join(map(str, end))), headers=ONNX, timeout=30) for end in ends]
    smallest, largest = (int(reply.headers["Content-Length"]) / 1e6 for reply in replies)
    assert least <= smallest < 1.2 * least and 0.9 * most < largest <= most


# ---- clients that do not read ---------------------------------------------------------------------


def begin(daemon):
    """A connection that asked for a network and has read its headers."""
    connection = socket.create_connection(("127.0.0.1", daemon.port), timeout=30)
    path = address(daemon, "fbnetv3", FBNETV3).removeprefix(daemon.url)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nAccept: application/onnx\r\n\r\n".encode())
    assert connection.recv(4096).startswith(b"HTTP/1.1 200")
    return connection


def resident_bytes(daemon):
    status = pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))


def test_clients_that_do_not_read_cost_little_and_hold_up_nobody(root, start):
    daemon = start(root)
    assert get(daemon, "fbnetv3", FBNETV3, headers=ONNX).ok
    before = resident_bytes(daemon)
    stalled = [begin(daemon) for _ in range(30)]
    assert resident_bytes(daemon) - before < 60e6  # one file has 81 MB
    assert get(daemon).json()["macs"] == 9_051_756_800
    assert len(get(daemon, "fbnetv3", FBNETV3, headers=ONNX).content) == 80_987_845
    for connection in stalled:
        connection.close()  # in the middle
    assert get(daemon).ok
    assert daemon.stop()[0] == 0


def test_who_takes_too_long_is_dropped(root, start):
    daemon = start(root, "--reply_timeout_s", 1)
    connection = begin(daemon)
    time.sleep(4)
    received = 0
    try:
        while piece := connection.recv(1 << 20):
            received += len(piece)
    except ConnectionResetError:
        pass
    assert received < 40_000_000  # what the kernel had taken by then


def test_descriptions_that_are_held_count_to_the_bound_of_transfers(root, start):
    daemon = start(root, "--transfer_max_bytes", 100_000)
    reply = get(daemon, "fbnetv3", FBNETV3, headers=ONNX)
    assert reply.status_code == 503 and "transfer_max_bytes" in reply.json()["detail"]
    assert get(daemon).ok


def test_a_service_that_stops_ends_its_transfers(root, start):
    daemon = start(root, "--drain_timeout_ms", 1000)
    connection = begin(daemon)
    assert daemon.stop()[0] == 0
    connection.close()
