"""Search spaces of one's own: declared by files or over HTTP, trained, tested, predicted, searched and dropped."""

import json
import signal
import time

import numpy
import pytest
import requests
from conftest import BUILT_IN, SHARED, factor, make_root, refused, run, run_json, write_rows

LIBRARY = SHARED / "data" / "library" / "fbnet"
SHEETS = {"samsung_a50": (2.3, 4, 1, 14.9), "essential_ph_1": (2.45, 4, 2, 29.8)}
# Held-out Spearman of each device's own latencies, and R. Measured, 10-fold: essential_ph_1 .728 / .725 (its
# latencies are noisy), samsung_a50 .993 / .988 on the 4,515 of 5,000 rows that are trusted, 1080ti_1 .947 / .950,
# silver_4114 .953 / .953, gold_6240 .972 / .970, eyeriss .9999 / .998.
BOUNDS = {
    "essential_ph_1": (0.71, 0.71),
    "samsung_a50": (0.98, 0.98),
    "1080ti_1": (0.93, 0.94),
    "silver_4114": (0.94, 0.94),
    "gold_6240": (0.96, 0.96),
    "eyeriss": (0.999, 0.995),
}
FBNET = {"about": "FBNet: 22 layers of nine choices", "genes": [{"name": "layer", "first": 1, "n_values": 9, "repeat": 22}]}
OWN = {"genes": [{"name": "kernel", "values": [3, 5, 7]}, {"name": "depth", "first": 1, "n_values": 40, "macs": list(range(40))}]} | {
    "fixed": {"macs": 100}
}


def put(daemon, name, declaration, **headers):
    data = declaration if isinstance(declaration, bytes) else json.dumps(declaration)
    headers = {"Content-Type": "application/json"} | headers
    return requests.put(f"{daemon.url}/v1/spaces/{name}", data=data, headers=headers, timeout=30)


def get(daemon, path):
    return requests.get(f"{daemon.url}{path}", timeout=30)


def delete(daemon, name, **headers):
    return requests.delete(f"{daemon.url}/v1/spaces/{name}", headers=headers, timeout=30)


def names(daemon):
    return [space["name"] for space in get(daemon, "/v1/spaces").json()["spaces"]]


def write_space(root, name, declaration):
    (root / "config" / "spaces").mkdir(parents=True, exist_ok=True)
    text = declaration if isinstance(declaration, str) else json.dumps(declaration)
    (root / "config" / "spaces" / f"{name}.json").write_text(text)


def wait_until(holds, seconds=20):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def make_own_data(root, name="own", n=200):
    """Latencies of a space as OWN that follow a law of our own, on the devices "Mine" and "Other"."""
    generator = numpy.random.default_rng(5)
    genes = numpy.column_stack([generator.choice([3, 5, 7], n), generator.integers(1, 41, n)])
    a = 500 + 40 * genes[:, 1] * (1 + 0.2 * genes[:, 0]) * generator.lognormal(0, 0.01, n)
    space = root / "data" / name
    (space / "latency").mkdir(parents=True)
    (space / "hardware").mkdir()
    write_rows(space / "net.txt", genes)
    for device, hardware in {"Mine": (2, 3, 1, 7.46), "Other": (2.2, 10, 4, 34.1)}.items():
        (space / "hardware" / f"{device}.txt").write_text(" ".join(map(str, hardware)))
        write_rows(space / "latency" / f"{device}.txt", a * factor(hardware))


@pytest.fixture
def own(root):
    write_space(root, "own", OWN)
    make_own_data(root)
    return root


@pytest.fixture(scope="session")
def fbnet(tmp_path_factory):
    """A root with the measured library in place, and the two sheets that exist."""
    if not (LIBRARY / "net.txt").is_file():
        pytest.skip("the library of measured devices is not at ../shared/data/library")
    root = tmp_path_factory.mktemp("fbnet")
    make_root(root)
    write_space(root, "fbnet", FBNET)
    space = root / "data" / "fbnet"
    (space / "hardware").mkdir(parents=True)
    (space / "net.txt").symlink_to(LIBRARY / "net.txt")
    (space / "latency").symlink_to(LIBRARY / "latency")
    for device, hardware in SHEETS.items():
        (space / "hardware" / f"{device}.txt").write_text(" ".join(map(str, hardware)) + "\n")
    return root


# ---- declaring and dropping -----------------------------------------------------------------------


def test_a_space_is_put_found_replaced_and_dropped(root, start):
    daemon = start(root)
    made = put(daemon, "own", OWN)
    assert (made.status_code, made.headers["Location"]) == (201, "/v1/spaces/own")
    shown = get(daemon, "/v1/spaces/own")
    assert shown.json() == made.json() and shown.headers["ETag"] == made.headers["ETag"]
    assert shown.json()["declared"] is True and shown.json()["model"] is None
    assert [gene["step"] for gene in shown.json()["genes"]] == [2, 1]
    again = put(daemon, "own", shown.json()["declaration"])
    assert again.status_code == 200 and again.json() == shown.json(), "what is told can be put again"
    assert names(daemon) == [*BUILT_IN, "own"]
    assert "declaration" not in get(daemon, "/v1/spaces").json()["spaces"][2]
    assert delete(daemon, "own").status_code == 204
    assert get(daemon, "/v1/spaces/own").status_code == 404 and delete(daemon, "own").status_code == 404
    assert names(daemon) == BUILT_IN
    assert list((root / "config" / "spaces").iterdir()) == []


def test_conditions_guard_a_declaration(root, start):
    daemon = start(root)
    assert put(daemon, "own", OWN, **{"If-Match": "*"}).status_code == 412
    assert put(daemon, "own", OWN, **{"If-None-Match": "*"}).status_code == 201
    assert put(daemon, "own", OWN, **{"If-None-Match": "*"}).status_code == 412
    tag = get(daemon, "/v1/spaces/own").headers["ETag"]
    changed = put(daemon, "own", FBNET, **{"If-Match": tag})
    assert changed.status_code == 200 and changed.headers["ETag"] != tag
    assert put(daemon, "own", OWN, **{"If-Match": tag}).status_code == 412
    assert delete(daemon, "own", **{"If-Match": tag}).status_code == 412
    unchanged = requests.get(f"{daemon.url}/v1/spaces/own", headers={"If-None-Match": changed.headers["ETag"]}, timeout=30)
    assert unchanged.status_code == 304
    assert delete(daemon, "own", **{"If-Match": changed.headers["ETag"]}).status_code == 204


def test_a_declaration_survives_a_restart_and_serves_the_command_line(root, start):
    daemon = start(root)
    assert put(daemon, "own", OWN).status_code == 201
    shown = get(daemon, "/v1/spaces/own").json()
    assert daemon.stop()[0] == 0
    assert get(start(root), "/v1/spaces/own").json() == shown
    assert run_json("costs", "--search_space", "own", "3 40", root=root)["macs"] == 139


def test_built_in_spaces_can_be_neither_declared_nor_dropped(root, start):
    daemon = start(root)
    for name in BUILT_IN:
        for reply in (put(daemon, name, OWN), delete(daemon, name)):
            assert reply.status_code == 409 and "built in" in reply.json()["detail"]
    assert not (root / "config").exists()


@pytest.mark.parametrize(
    "name", ["Own", "..%2fown", "%2e%2e", "own%00", "-own", "_own", "own.json", "own%2Fx", "%C3%B6wn", "a" * 33, "devices", "stats", "own%0a"]
)
def test_a_name_that_is_no_safe_file_name_is_refused(name, root, start):
    daemon = start(root)
    assert put(daemon, name, OWN).status_code in (404, 422)
    assert delete(daemon, name).status_code == 404
    assert get(daemon, f"/v1/spaces/{name}").status_code == 404
    assert names(daemon) == BUILT_IN and not (root / "config").exists()


@pytest.mark.parametrize(
    "body, status, pointer",
    [
        (b"", 400, None),
        (b"{" * 5000, 400, None),
        (b'{"genes":' + b"[" * 100 + b"]" * 100 + b"}", 400, None),
        (b'{"genes":[' + b"{}," * 500000 + b"{}]}", 413, None),
        (b'{"genes":[' + b"{}," * 5000 + b"{}]}", 422, "/genes"),
        (b'{"genes":[{"name":"a\\u0000","values":[1]}]}', 422, "/genes/0/name"),
        (b'{"genes":[{"name":"a","values":[1]}],"a/b~c":1}', 422, "/a~1b~0c"),
        (b'{"genes":[{"name":"a","values":[1,1]}]}', 422, "/genes/0/values/1"),
        (b'{"genes":[{"name":"a","values":[1,2],"macs":[1]}]}', 422, "/genes/0/macs"),
        (b'{"genes":[{"name":"a","values":[1]}],"name":"other"}', 422, "/name"),
    ],
    ids=["empty", "cut", "deep", "huge", "long", "nul", "unknown", "order", "table", "name"],
)
def test_a_wrong_declaration_is_refused_with_pointer_and_reason(body, status, pointer, root, start):
    daemon = start(root)
    reply = put(daemon, "own", body)
    assert reply.status_code == status, reply.text
    if pointer:
        assert pointer in [error["pointer"] for error in reply.json()["errors"]]
        assert len(reply.json()["errors"]) <= 32
    assert names(daemon) == BUILT_IN and not (root / "config").exists()


def test_too_many_spaces_are_refused(root, start):
    daemon = start(root)
    for i in range(16 - len(BUILT_IN)):
        assert put(daemon, f"own-{i}", OWN).status_code == 201
    reply = put(daemon, "one-more", OWN)
    assert reply.status_code == 409 and "16 search spaces" in reply.json()["detail"]
    assert not (root / "config" / "spaces" / "one-more.json").exists()
    assert delete(daemon, "own-3").status_code == 204 and put(daemon, "one-more", OWN).status_code == 201
    assert len(get(daemon, "/v1/devices/Galaxy A9").json()["search_spaces"]) == 16


# ---- files ----------------------------------------------------------------------------------------


def test_a_file_that_is_dropped_in_changed_or_removed_is_followed(root, start):
    daemon = start(root)
    write_space(root, "own", OWN)
    wait_until(lambda: "own" in names(daemon))
    write_space(root, "own", FBNET)
    wait_until(lambda: get(daemon, "/v1/spaces/own").json()["n_genes"] == 22)
    (root / "config" / "spaces" / "own.json").unlink()
    wait_until(lambda: "own" not in names(daemon))


def test_a_hangup_reads_them_where_nothing_else_does(root, start):
    daemon = start(root, "--model-poll-ms", "0")
    write_space(root, "own", OWN)
    assert names(daemon) == BUILT_IN
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "own" in names(daemon))


def test_a_malformed_file_is_told_of_and_harms_nothing_else(root, start):
    write_space(root, "good", OWN)
    write_space(root, "bad", '{"genes": [{"name": "a", "values": [2, 1]}]}')
    write_space(root, "nasbench201", OWN)
    daemon = start(root)
    assert names(daemon) == [*BUILT_IN, "good"]
    malformed = {entry["file"]: entry["error"] for entry in get(daemon, "/v1/spaces").json()["malformed"]}
    assert malformed["config/spaces/bad.json"] == "config/spaces/bad.json: /genes/0/values/1: values must ascend; 1 follows 2"
    assert "built in" in malformed["config/spaces/nasbench201.json"]
    told = get(daemon, "/v1/spaces/bad")
    assert told.status_code == 409 and told.json()["detail"] == malformed["config/spaces/bad.json"]
    assert daemon.predict(search_space="nasbench201", hardware=[2, 3, 1, 7.46], architectures=["444244"])
    assert "values must ascend" in refused(1, "costs", "--search_space", "bad", "1", root=root)
    assert put(daemon, "bad", OWN, **{"If-None-Match": "*"}).status_code == 412, "it is there, if malformed"
    assert put(daemon, "bad", OWN).status_code == 200 and names(daemon)[2:] == ["bad", "good"]
    write_space(root, "bad", "{")
    wait_until(lambda: "bad.json" in get(daemon, "/v1/spaces").text)
    assert get(daemon, "/v1/spaces/bad").json()["n_genes"] == 2, "what was declared stays"
    assert delete(daemon, "bad").status_code == 204 and names(daemon)[2:] == ["good"]
    assert any("bad.json" in entry["message"] and entry["level"] == "error" for entry in daemon.stop()[1])


# ---- predictors -----------------------------------------------------------------------------------


def test_a_space_is_trained_tested_and_predicted(own, start):
    done = run_json("train", "--search_space", "own", "--train_devices", "Mine", root=own)
    assert done["held_out"]["r"] > 0.99 and done["n_rows"] == 200
    report = run_json("test", "--search_space", "own", root=own)
    assert [device["device"] for device in report["devices"]] == ["Other"]
    assert report["devices"][0]["r"] > 0.99 and report["devices"][0]["mape"] < 0.05
    daemon = start(own)
    fields = {"search_space": "own", "device": "Mine"}
    reply = daemon.predict(**fields, architectures=[[3, 1], "5 20", "[7,40]"])
    assert reply["model"]["version"] == done["version"] and reply["conditions"] == {"input": "unspecified", "batch": 1}
    assert reply["latency_ms"] == sorted(reply["latency_ms"])
    wrong = daemon.post(fields | {"architectures": [[3, 41]]})
    assert wrong.status_code == 422 and "gene 2 of own must be 1 to 40, not 41" in wrong.json()["detail"]


def test_a_predictor_is_of_the_declaration_that_it_was_trained_for(own, start):
    run_json("train", "--search_space", "own", root=own)
    daemon = start(own)
    fields = {"search_space": "own", "device": "Mine", "architectures": [[3, 1]]}
    before = daemon.predict(**fields)
    other = {"genes": [{"name": "kernel", "values": [3, 5, 9]}, {"name": "depth", "first": 1, "n_values": 40}]}
    assert put(daemon, "own", OWN | {"about": "in other words"}).json()["model"]["version"] == before["model"]["version"]
    assert daemon.predict(**fields) == before
    assert put(daemon, "own", other).json()["model"] is None
    assert daemon.post(fields).status_code == 503
    assert "declared with other genes" in get(daemon, "/v1/models/own").text
    activated = daemon.post({"version": before["model"]["version"]}, "/v1/models/own/activate")
    assert activated.status_code in (404, 409, 422), activated.text
    assert daemon.stop()[0] == 0
    daemon = start(own)  # and a start with such a file is a start
    assert daemon.post(fields).status_code == 503
    assert put(daemon, "own", OWN).json()["model"]["version"] == before["model"]["version"]
    assert daemon.predict(**fields) == before
    assert "declared with other genes" in refused(1, "predict", "--search_space", "own", "--device", "Mine", "3 1", root=swap(own, other))


def swap(root, declaration):
    write_space(root, "own", declaration)
    return root


def test_jobs_train_and_test_a_space_and_hold_it_as_it_is(own, start):
    daemon = start(own)
    order = {"kind": "train", "search_space": "own", "params": {"train_devices": ["Mine"], "activate": True}}
    done = daemon.post(order, "/v1/jobs", Prefer="wait=60")
    assert done.status_code == 200 and done.json()["state"] == "succeeded", done.text
    assert done.json()["result"]["activated"] and done.json()["result"]["held_out"]["r"] > 0.99
    tested = daemon.post({"kind": "test", "search_space": "own"}, "/v1/jobs", Prefer="wait=60").json()
    assert tested["state"] == "succeeded" and tested["result"]["devices"][0]["device"] == "Other"
    unknown = daemon.post(order | {"params": {"train_devices": ["Nobody"]}}, "/v1/jobs")
    assert unknown.status_code == 422 and unknown.json()["errors"][0]["pointer"] == "/params/train_devices/0"

    long = daemon.post({"kind": "train", "search_space": "own", "params": {"predictor": "mlp", "epoch": 5000000}}, "/v1/jobs")
    assert long.status_code == 202
    for reply in (put(daemon, "own", FBNET), delete(daemon, "own")):
        assert reply.status_code == 409 and "queued or running" in reply.json()["detail"]
    assert put(daemon, "own", OWN | {"about": "other words are no other space"}).status_code == 200
    requests.post(f"{daemon.url}/v1/jobs/{long.json()['id']}/cancel", timeout=30)
    wait_until(lambda: get(daemon, f"/v1/jobs/{long.json()['id']}").json()["state"] == "cancelled")
    assert delete(daemon, "own").status_code == 204
    gone = daemon.post(order, "/v1/jobs")
    assert gone.status_code == 422 and gone.json()["errors"][0]["pointer"] == "/search_space"
    kept = get(daemon, f"/v1/jobs/{done.json()['id']}").json()
    assert kept["search_space"] == "own" and kept["state"] == "succeeded"
    removed = requests.delete(f"{daemon.url}/v1/jobs/{done.json()['id']}", timeout=30)
    assert removed.status_code == 204, "a job outlives its space, and can be removed"


def test_measurements_of_a_space_are_kept(own, start):
    daemon = start(own)
    path = f"{daemon.url}/v1/devices/Mine/measurements/own"
    body = {"architectures": [[3, 1], "7 40"], "latency_ms": [12.5, 99]}
    assert requests.put(path, json=body, timeout=30).status_code == 201
    assert requests.get(path, timeout=30).json()["architectures"] == ["3 1", "7 40"]
    assert (own / "data" / "own" / "measurements" / "Mine.csv").is_file()
    assert requests.put(path, json={"architectures": [[4, 1]], "latency_ms": [1]}, timeout=30).status_code == 422


def test_what_is_not_known_of_a_space_is_refused_in_words(own, start):
    daemon = start(own)
    address = f"{daemon.url}/v1/spaces/own/architectures/7%2040"
    costs = requests.get(address, timeout=30).json()
    assert (costs["macs"], costs["params"], costs["traffic_bytes"], costs["stages"]) == (139, None, None, [])
    network = requests.get(address, params={"format": "onnx"}, timeout=30)
    assert network.status_code == 422 and "there is none to export" in network.json()["detail"]
    write_space(own, "bare", FBNET)
    assert "declared without costs" in refused(1, "costs", "--search_space", "bare", "1" * 22, root=own)
    assert "no device of bare has both" in refused(1, "train", "--search_space", "bare", root=own)
    assert 'no search space "nope"; there are nasbench201, fbnetv3, bare, own' in refused(2, "costs", "--search_space", "nope", "1", root=own)
    for file in (own / "data" / "own" / "hardware").iterdir():
        file.unlink()
    assert "latencies in latency/ and a data sheet" in refused(1, "train", "--search_space", "own", root=own)
    searched = daemon.post({"kind": "nas", "search_space": "own", "params": {"hardware": [2, 3, 1, 7.46], "latency_constraint_ms": 9}}, "/v1/jobs")
    assert searched.status_code == 422, searched.text
    named = ("train", "--search_space", "own", "--train_devices", "Mine")
    assert "none of the training devices has a data sheet" in refused(1, *named, root=own)
    (own / "data" / "own" / "net.txt").unlink()
    assert "a declared space is its user's to write" in refused(1, *named, root=own)


def test_the_inference_protocol_has_a_declared_space_for_a_model(own, start):
    run_json("train", "--search_space", "own", root=own)
    daemon = start(own)
    assert get(daemon, "/v2/models/own").json()["inputs"][0] == {"name": "architecture", "datatype": "INT64", "shape": [-1, 2]}
    body = {
        "inputs": [
            {"name": "architecture", "datatype": "UINT8", "shape": [2, 2], "data": [[3, 1], [7, 40]]},
            {"name": "hardware", "datatype": "FP64", "shape": [4], "data": [2, 3, 1, 7.46]},
        ]
    }
    answered = daemon.post(body, "/v2/models/own/infer").json()["outputs"][0]["data"]
    asked = daemon.predict(search_space="own", hardware=[2, 3, 1, 7.46], architectures=[[3, 1], [7, 40]])["latency_ms"]
    assert answered == pytest.approx(asked, rel=1e-6)
    index = requests.post(f"{daemon.url}/v2/repository/index", json={}, timeout=30).json()
    assert [entry["name"] for entry in index] == [*BUILT_IN, "own"]
    assert [e["name"] for e in get(daemon, "/v2/models/stats").json()["model_stats"]] == [*BUILT_IN, "own"]
    assert 'dgld_model_info{search_space="own"' in get(daemon, "/metrics").text
    assert delete(daemon, "own").status_code == 204
    assert get(daemon, "/v2/models/own").status_code == 404 and "own" not in get(daemon, "/metrics").text


def add_accuracies(root, name="own"):
    """A table for searches: deeper is better, by a law of our own."""
    folder = root / "data" / name / "NAS"
    folder.mkdir()
    genes = numpy.loadtxt(root / "data" / name / "net.txt", dtype=int)
    write_rows(folder / "net.txt", genes)
    write_rows(folder / "acc.txt", 50 + genes[:, 1] + 0.1 * genes[:, 0])


def test_without_accuracies_it_is_told_what_to_put_where(own):
    """No command trains an accuracy predictor of a declared space, so none is recommended."""
    run_json("train", "--search_space", "own", root=own)
    search = ("nas", "--search_space", "own", "--nas_target_device", "Mine", "--latency_constraint_ms", "5")
    said = run(*search, root=own).stderr
    assert "NAS/net.txt" in said and "NAS/acc.txt" in said
    assert "dgld train" not in said and "dataxy.txt" not in said
    said = run("train", "--search_space", "own", "--target", "accuracy", root=own).stderr
    assert "no accuracy predictor for own" in said and "NAS/acc.txt" in said


def test_a_search_finds_the_best_that_keeps_the_limit(own, start):
    run_json("train", "--search_space", "own", root=own)
    add_accuracies(own)
    daemon = start(own)
    limit_ms = daemon.predict(search_space="own", device="Mine", architectures=[[5, 20]])["latency_ms"][0]
    order = {"kind": "nas", "search_space": "own", "params": {"device": "Mine", "latency_constraint_ms": limit_ms}}
    done = daemon.post(order, "/v1/jobs", Prefer="wait=60").json()
    assert done["state"] == "succeeded" and done["params"]["export"] == [], done
    found = done["result"]
    genes = [list(map(int, line.split())) for line in (own / "data" / "own" / "net.txt").read_text().splitlines()]
    latency_ms = daemon.predict(search_space="own", device="Mine", architectures=genes)["latency_ms"]
    best = max((50 + g[1] + 0.1 * g[0], g) for g, ms in zip(genes, latency_ms) if ms <= limit_ms)
    assert (found["accuracy"], found["architecture"]) == (pytest.approx(best[0]), best[1])
    assert (found["macs"], found["params"]) == (100 + best[1][1] - 1, None)
    told = run_json("nas", "--search_space", "own", "--nas_target_device", "Mine", "--latency_constraint_ms", limit_ms, root=own)
    assert told["architecture"] == found["architecture"]
    small = order["params"] | {"macs_max": 105}
    assert daemon.post(order | {"params": small}, "/v1/jobs", Prefer="wait=60").json()["result"]["macs"] <= 105
    for params, pointer in [({"export": ["onnx"]}, "/params/export"), ({"params_max": 1e6}, "/params/params_max")]:
        reply = daemon.post(order | {"params": order["params"] | params}, "/v1/jobs")
        assert reply.status_code == 422 and reply.json()["errors"][0]["pointer"] == pointer


def test_latencies_that_are_all_alike_have_no_correlation_and_that_is_said(own):
    for device in ("Mine", "Other"):
        write_rows(own / "data" / "own" / "latency" / f"{device}.txt", numpy.full(200, 7.0))
    told = run("train", "--search_space", "own", "--train_devices", "Mine", root=own)
    assert told.returncode == 0 and "nan" not in told.stdout, told
    assert "held-out R(A)     unknown: A" in told.stdout
    assert run_json("train", "--search_space", "own", "--train_devices", "Mine", root=own)["held_out"]["r"] is None


# ---- nothing but measurements of some devices -------------------------------------------------------

SERVER = "Server"  # it has no sheet
NEXT = (2.84, 10, 2, 34.1)


def own_law(genes):
    return 500 + 40 * genes[:, 1] * (1 + 0.2 * genes[:, 0])


def draw_own(n, seed):
    generator = numpy.random.default_rng(seed)
    return numpy.column_stack([generator.choice([3, 5, 7], n), generator.integers(1, 41, n)])


def measured_csv(device, n=250):
    """What was measured of a device, on architectures of its own."""
    seed = sum(device.encode())
    genes = draw_own(n, seed)
    level = {"Mine": factor((2, 3, 1, 7.46)), "Other": factor((2.2, 10, 4, 34.1)), SERVER: 0.001}[device]
    ms = own_law(genes) * level * numpy.random.default_rng(seed).lognormal(0, 0.01, n)
    return "architecture,latency_ms\n" + "".join(f"{a} {b},{t!r}\n" for (a, b), t in zip(genes, ms.tolist()))


@pytest.fixture
def library(root):
    """A declared space of which nothing is there but measurements of three devices, and two sheets."""
    write_space(root, "own", OWN)
    space = root / "data" / "own"
    for folder in ("measurements", "hardware"):
        (space / folder).mkdir(parents=True)
    for device, hardware in {"Mine": (2, 3, 1, 7.46), "Other": (2.2, 10, 4, 34.1)}.items():
        (space / "hardware" / f"{device}.txt").write_text(" ".join(map(str, hardware)))
    for device in ("Mine", "Other", SERVER):
        (space / "measurements" / f"{device}.csv").write_text(measured_csv(device))
    return root


def check_next_device(latency_ms, genes):
    truth = own_law(genes) * factor(NEXT)
    assert numpy.abs(numpy.array(latency_ms) / truth - 1).mean() < 0.06
    assert numpy.corrcoef(latency_ms, truth)[0, 1] > 0.99


def test_a_library_alone_trains_predicts_tests_and_calibrates(library):
    assert "latency/ and a data sheet" in refused(1, "train", "--search_space", "own", root=library)
    done = run_json("train", "--search_space", "own", "--library", root=library)
    assert (done["source"], done["n_rows"], done["train_devices"]) == ("library", 750, ["Mine", "Other", SERVER])
    assert done["held_out"]["r"] > 0.97 and "nothing to train on but the library" in done["reason"]
    assert len(done["library"]["devices"]) == 3
    genes = draw_own(50, 1)
    rows = [f"{a} {b}" for a, b in genes]
    predict = ("predict", "--search_space", "own", "--hardware", ",".join(map(str, NEXT)))
    check_next_device(run_json(*predict, *rows, root=library)["latency_ms"], genes)
    twice = library / "twice.csv"  # of a device that is half as fast as its sheet says
    twice.write_text("".join(f"{row},{2 * t}\n" for row, t in zip(rows[:10], own_law(genes) * factor(NEXT))))
    slow = run_json(*predict, "--measurements", twice, *rows, root=library)
    assert slow["calibration"]["n_measurements"] == 10
    check_next_device(numpy.array(slow["latency_ms"]) / 2, genes)
    figures = run_json("test", "--search_space", "own", "--holdout", "devices", root=library)["mean"]
    assert all(figure["spearman"] > 0.95 for figure in figures)
    (library / "data" / "own" / "measurements" / f"{SERVER}.csv").unlink()
    again = run_json("train", "--search_space", "own", "--library", root=library)  # from what is there now
    assert (again["source"], again["n_rows"]) == ("library", 500)
    assert "library alone" in run("train", "--search_space", "own", "--library", root=library).stdout


def test_a_library_without_any_sheet_orders_architectures(library):
    for sheet in (library / "data" / "own" / "hardware").iterdir():
        sheet.unlink()
    run_json("train", "--search_space", "own", "--library", "--name", "bare", root=library)
    genes = draw_own(50, 1)
    rows = [f"{a} {b}" for a, b in genes]
    predict = ("predict", "--search_space", "own", "--model", "bare")
    said = run_json(*predict, "--hardware", ",".join(map(str, NEXT)), *rows, root=library)["latency_ms"]
    assert numpy.corrcoef(said, own_law(genes))[0, 1] > 0.99
    middle = own_law(genes) * factor((2.2, 10, 4, 34.1))  # the middle one of the three
    assert numpy.abs(said / middle - 1).mean() < 0.06
    few = library / "few.csv"
    few.write_text("".join(f"{row},{7 * t}\n" for row, t in zip(rows[:10], own_law(genes))))
    known = run_json(*predict, "--measurements", few, *rows, root=library)["latency_ms"]
    assert numpy.abs(known / (7 * own_law(genes)) - 1).mean() < 0.03


def test_a_job_learns_from_measurements_that_were_put(root, start):
    daemon = start(root)
    assert put(daemon, "own", OWN).status_code == 201
    order = {"kind": "train", "search_space": "own", "params": {"library": True, "activate": True}}
    refusal = daemon.post(order, "/v1/jobs")
    assert refusal.status_code == 422 and refusal.json()["errors"][0]["pointer"] == "/params/library"
    for device, hardware in {"Mine": [2, 3, 1, 7.46], "Other": [2.2, 10, 4, 34.1]}.items():
        url = f"{daemon.url}/v1/devices/{device}"
        assert requests.put(url, json={"hardware": hardware}, timeout=30).status_code == 201
        sent = {"data": measured_csv(device), "headers": {"Content-Type": "text/csv"}}
        assert requests.put(f"{url}/measurements/own", **sent, timeout=30).status_code == 201
    assert daemon.post(order | {"params": {}}, "/v1/jobs").status_code == 422
    job = daemon.post(order, "/v1/jobs", Prefer="wait=60").json()
    assert job["state"] == "succeeded" and job["result"]["activated"], job
    assert job["result"]["source"] == "library" and job["result"]["held_out"]["r"] > 0.97
    genes = draw_own(50, 2)
    check_next_device(daemon.predict(search_space="own", hardware=NEXT, architectures=genes.tolist())["latency_ms"], genes)
    (model,) = get(daemon, "/v1/models/own").json()["versions"]
    assert (model["source"], model["devices"]) == ("library", ["Mine", "Other"])


# ---- 22 layers of nine choices, 5,000 measured architectures --------------------------------------


@pytest.mark.parametrize("device", BOUNDS)
def test_each_device_of_the_library_is_learned(device, fbnet, tmp_path):
    """A device whose sheet is unknown takes any: A times k is its latency again."""
    (tmp_path / "config").symlink_to(fbnet / "config")
    space = tmp_path / "data" / "fbnet"
    (space / "hardware").mkdir(parents=True)
    (space / "net.txt").symlink_to(LIBRARY / "net.txt")
    (space / "latency").symlink_to(LIBRARY / "latency")
    (space / "hardware" / f"{device}.txt").write_text("2 4 2 20\n")
    done = run_json("train", "--search_space", "fbnet", root=tmp_path)
    assert done["train_devices"] == [device] and done["source"] == "latency" and done["n_rows"] == 5000
    spearman, r = BOUNDS[device]
    assert done["held_out"]["spearman"] > spearman and done["held_out"]["r"] > r
    genes = (LIBRARY / "net.txt").read_text().splitlines()[:200]
    measured = numpy.loadtxt(LIBRARY / "latency" / f"{device}.txt")[:200]
    predicted = run("predict", "--search_space", "fbnet", "--device", device, *genes, root=tmp_path).stdout.splitlines()
    ratio = numpy.array([float(line.split("\t")[0]) for line in predicted]) / measured
    assert 0.95 < numpy.median(ratio) < 1.05


def check_searches_of_a_table(fbnet):
    """Of 9^22 architectures it tells 5,000: whatever is bred elsewhere, nobody knows how accurate it is."""
    folder = fbnet / "data" / "fbnet" / "NAS"
    folder.mkdir()
    (folder / "net.txt").symlink_to(LIBRARY / "net.txt")
    genes = numpy.loadtxt(LIBRARY / "net.txt", dtype=int)
    accuracy = 70 + 10 * numpy.sin(genes).mean(axis=1) - genes.mean(axis=1)
    write_rows(folder / "acc.txt", accuracy)
    search = ("nas", "--search_space", "fbnet", "--nas_target_device", "samsung_a50", "--latency_constraint_ms", "41")
    best = run_json(*search, root=fbnet)
    assert (best["feasible"], best["method"], best["n_evaluated"]) == (True, "exhaustive", 5000)
    assert best["architecture"] in genes.tolist()
    bred = run_json(*search, "--method", "genetic", root=fbnet)
    assert bred["method"] == "genetic" and bred["architecture"] == best["architecture"]
    few = run_json(*search, "--POPULATION_SIZE", "20", "--EPOCH", "30", root=fbnet)
    assert few["method"] == "genetic" and few["n_evaluated"] == 600
    assert few["feasible"] and few["architecture"] in genes.tolist()
    assert numpy.quantile(accuracy, 0.99) < few["accuracy"] <= best["accuracy"]
    front = run_json(*search, "--objective", "pareto", "--POPULATION_SIZE", "20", "--EPOCH", "30", root=fbnet)
    assert front["n_front"] > 3 and all(point["architecture"] in genes.tolist() for point in front["front"])
    assert front["front"][-1]["accuracy"] <= best["accuracy"]


@pytest.mark.cost
def test_the_library_works_end_to_end(fbnet, start):
    done = run_json("train", "--search_space", "fbnet", "--train_devices", "samsung_a50,1080ti_1,gold_6240", root=fbnet)
    assert done["train_devices"] == ["samsung_a50", "1080ti_1", "gold_6240"] and done["held_out"]["r"] > 0.92  # 0.936
    report = run_json("test", "--search_space", "fbnet", root=fbnet)
    (tested,) = report["devices"]  # the other devices have no sheet
    assert tested["device"] == "essential_ph_1" and tested["spearman"] > 0.66 and tested["mape"] < 0.13  # 0.68, 11 %
    check_searches_of_a_table(fbnet)
    daemon = start(fbnet)
    genes = (LIBRARY / "net.txt").read_text().splitlines()[2000:2500]
    reply = daemon.predict(search_space="fbnet", device="samsung_a50", architectures=genes)
    assert reply["model"]["version"] == done["version"]
    latency = numpy.loadtxt(LIBRARY / "latency" / "samsung_a50.txt")[2000:2500]
    assert numpy.corrcoef(reply["latency_ms"], latency)[0, 1] > 0.8  # 0.843
    order = {"kind": "train", "search_space": "fbnet", "params": {"train_devices": ["eyeriss", "samsung_a50"], "activate": True, "force": True}}
    job = daemon.post(order, "/v1/jobs", Prefer="wait=60").json()
    assert job["state"] == "succeeded" and job["result"]["activated"], job
    assert daemon.predict(search_space="fbnet", device="samsung_a50", architectures=["1" * 22])["model"]["version"] == job["result"]["version"]
