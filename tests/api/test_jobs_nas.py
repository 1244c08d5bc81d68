"""Searches as jobs: what they find, tell and leave, in both spaces; refusals, cancelling, a restart."""

import io
import json
import re
import shutil
import time
import zipfile

import onnx
import pytest
from conftest import ROOT, make_root, run_json
from job_tools import ENDED, Daemon, follow

A10S = "Samsung Galaxy A10s"
GENES = {"nasbench201": 6, "fbnetv3": 28}
SMALL = {"population_size": 20, "generations": 20}
LONG = {"population_size": 10_000, "generations": 100}  # some seconds of searching
MEMBERS = {"feasible", "architecture", "notation", "accuracy", "latency_ms", "interval_ms", "files"}


def make_tree(path):
    """What ships, accuracies included."""
    make_root(path)
    for space in GENES:
        shutil.copy(ROOT / "result" / space / "accuracymodel.safetensors", path / "result" / space)
    return path


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    made = Daemon(make_tree(tmp_path_factory.mktemp("searches")), "--job-workers", 3).start()
    yield made
    assert made.stop() == 0


def order(space="nasbench201", **params):
    params = {"device": A10S, "latency_constraint_ms": 4000, "export": []} | params
    return {"kind": "nas", "search_space": space, "params": {k: v for k, v in params.items() if v is not None}}


def found(daemon, space="nasbench201", **params):
    """The result of a search that has to succeed."""
    job = daemon.wait(daemon.submit(order(space, **params))["id"])
    assert job["state"] == "succeeded" and job["error"] is None, job
    assert MEMBERS <= job["result"].keys()
    return job["result"]


def files_of(root, id):
    """The results of a job, what is only begun left out."""
    files = (root / "result").glob(f"*/jobs/{id}/**/*")
    return sorted(path for path in files if path.is_file() and not path.name.startswith("."))


def wait_for_writing(daemon, id):
    """Until the first file of the network is begun, or the job has ended."""
    deadline = time.monotonic() + 30
    while not list((daemon.root / "result").glob(f"*/jobs/{id}/.model.onnx.*")):
        if daemon.job(id)["state"] in ENDED:
            break
        assert time.monotonic() < deadline


# ---- results -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("space", "params"),
    [
        ("nasbench201", {}),
        ("nasbench201", {"method": "genetic", **SMALL}),
        ("fbnetv3", {"latency_constraint_ms": 300, "generations": 30}),
    ],
)
def test_a_search_leaves_its_network_as_files(daemon, space, params):
    job = daemon.wait(daemon.submit(order(space, export=None, **params))["id"])
    assert job["state"] == "succeeded", job
    result = job["result"]
    assert MEMBERS <= result.keys() and result["feasible"] is True
    assert len(result["architecture"]) == GENES[space] and 50 < result["accuracy"] < 100
    low, high = result["interval_ms"]
    assert low < result["latency_ms"] < high and result["latency_ms"] <= result["latency_constraint_ms"]
    names = [f"{space}/jobs/{job['id']}/{name}" for name in ("result.json", "model.onnx", "model.pt", "plot.svg")]
    assert result["files"] == names
    assert [str(file.relative_to(daemon.root / "result")) for file in files_of(daemon.root, job["id"])] == sorted(names)
    replies = [daemon.request("GET", f"/v1/results/{name}") for name in names]
    assert {reply.status_code for reply in replies} == {200}
    report = replies[0].json()
    history = report.pop("history")
    assert report == {name: value for name, value in result.items() if name != "files"}
    assert sum(g["n_evaluated"] for g in history) == (result["n_evaluated"] if result["method"] == "genetic" else 0)
    model = onnx.load_from_string(replies[1].content)
    onnx.checker.check_model(model, full_check=True)
    assert {entry.key: entry.value for entry in model.metadata_props}["notation"] == result["notation"]
    with zipfile.ZipFile(io.BytesIO(replies[2].content)) as archive:
        assert archive.testzip() is None
    assert daemon.request("DELETE", f"/v1/jobs/{job['id']}").status_code == 204
    assert files_of(daemon.root, job["id"]) == []


@pytest.mark.parametrize("formats", [[], ["onnx"], ["torchscript"]])
def test_only_the_formats_that_are_asked_for_are_made(daemon, formats):
    files = found(daemon, export=formats)["files"]
    endings = {"onnx": "model.onnx", "torchscript": "model.pt"}
    assert [name.split("/")[-1] for name in files] == ["result.json"] + [endings[name] for name in formats] + ["plot.svg"]


def test_a_network_for_several_targets_holds_on_all(daemon):
    one = found(daemon)
    targets = [
        {"device": "samsung galaxy a10s", "latency_constraint_ms": 4000},
        {"hardware": [2.2, 10, 4, 34.1], "latency_constraint_ms": 300},
    ]
    result = found(daemon, device=None, latency_constraint_ms=None, targets=targets)
    assert (result["device"], result["latency_ms"], result["interval_ms"]) == (None, None, None)
    assert [target["device"] for target in result["targets"]] == [A10S, None]
    assert all(target["latency_ms"] <= target["latency_constraint_ms"] for target in result["targets"])
    assert result["accuracy"] < one["accuracy"]


def test_a_front_is_of_ever_better_and_slower_networks(daemon):
    for params in ({"latency_constraint_ms": None}, {"method": "genetic", "generations": 30}):
        result = found(daemon, objective="pareto", **params)
        assert result["n_front"] == len(result["front"]) > 10 and result["hypervolume"] > 0
        for name in ("latency_ms", "accuracy"):
            values = [point[name] for point in result["front"]]
            assert values == sorted(set(values))
        assert result["front"][-1]["architecture"] == result["architecture"]


def test_with_a_confidence_the_upper_bound_keeps_the_limit(daemon):
    median, sure = found(daemon), found(daemon, confidence=0.95)
    assert median["interval_ms"][1] > 4000 >= sure["interval_ms"][1] and sure["interval"] == 0.95


def test_a_version_predicts(daemon):
    result = found(daemon, version="mlp", population_size=10, generations=4)
    assert result["predictor"] == "mlp" and result["n_evaluated"] == 40


@pytest.mark.parametrize("params", [{"latency_constraint_ms": 1}, {"macs_max": 1}, {"latency_constraint_ms": 1, **SMALL}])
def test_what_nothing_keeps_succeeds_with_the_fastest(daemon, params):
    result = found(daemon, export=None, **params)
    assert result["feasible"] is False and result["architecture"] is None
    assert {result[name] for name in ("notation", "accuracy", "latency_ms")} == {None}
    assert result["interval_ms"] is None
    assert result["fastest"]["latency_ms"] == result["lowest_latency_ms"] > 1
    assert [name.split("/")[-1] for name in result["files"]] == ["result.json", "plot.svg"]


def test_the_command_finds_the_same(daemon):
    """One search, in the foreground and as a job."""
    words = ["--nas_target_device", A10S, "--latency_constraint_ms", 4000, "--export", "none", "--seed", 7]
    answer = run_json("nas", "--search_space", "nasbench201", *words, root=daemon.root)
    result = found(daemon, seed=7)
    assert answer.pop("files") and result.pop("files")
    assert answer == result


# ---- progress ----------------------------------------------------------------------------------------


GENERATIONS = 400  # of 2,000: some seconds, since progress is told ten times a second at most


def check_progress(seen, n_generations):
    told = [progress for progress in seen if "generation" in progress]
    assert len(told) > 2 and {progress["n_generations"] for progress in told} == {n_generations}
    for name in ("percent", "generation", "accuracy"):
        values = [progress[name] for progress in told if name in progress]
        assert len(values) > 2 and values == sorted(values), (name, values)
    assert all(50 < progress["accuracy"] < 100 for progress in told if "accuracy" in progress)
    assert all(progress["stage"] in ("searching", "writing") for progress in told)


@pytest.mark.parametrize("objective", ["accuracy", "pareto"])
def test_events_tell_generations_and_the_best_so_far(daemon, objective):
    params = {"latency_constraint_ms": 300, "objective": objective, "population_size": 2000, "generations": GENERATIONS}
    id = daemon.submit(order("fbnetv3", **params))["id"]
    events = list(follow(daemon, id))
    check_progress([data for kind, _, data in events if kind == "progress"], GENERATIONS)
    assert events[-1][2]["state"] == "succeeded"


def test_long_polls_tell_generations_and_the_best_so_far(daemon):
    id = daemon.submit(order("fbnetv3", latency_constraint_ms=300, population_size=2000, generations=GENERATIONS))["id"]
    seen = []
    while (job := daemon.request("GET", f"/v1/jobs/{id}?wait=20").json())["state"] not in ENDED:
        seen.append(job["progress"] or {})
    assert job["state"] == "succeeded"
    check_progress(seen, GENERATIONS)


# ---- cancelling --------------------------------------------------------------------------------------


def cancel(daemon, id):
    reply = daemon.request("POST", f"/v1/jobs/{id}/cancel")
    assert reply.status_code in (200, 202, 409), reply.text
    return daemon.wait(id)


@pytest.mark.parametrize("objective", ["accuracy", "pareto"])
@pytest.mark.parametrize("space", GENES)
def test_a_search_is_cancelled_and_leaves_no_file(daemon, space, objective):
    limit = {"nasbench201": 4000, "fbnetv3": 300}[space]
    params = LONG if space == "fbnetv3" else {"population_size": 150, "generations": 100}
    for i in range(3):
        id = daemon.submit(order(space, export=None, objective=objective, latency_constraint_ms=limit, **params))["id"]
        daemon.wait(id, "running", *ENDED)
        time.sleep(0.02 * i)
        job = cancel(daemon, id)
        assert job["state"] == "cancelled" or space == "nasbench201", job
        assert files_of(daemon.root, id) == [] or job["state"] == "succeeded"
    assert found(daemon)["feasible"], "the worker is free for the next one"


def test_an_export_is_cancelled_and_leaves_no_file(daemon):
    n_cancelled = 0
    for i in range(6):
        params = {"latency_constraint_ms": 2000, "population_size": 50, "generations": 4, "export": None, "seed": i}
        id = daemon.submit(order("fbnetv3", **params))["id"]
        wait_for_writing(daemon, id)
        time.sleep(0.02 * i)
        job = cancel(daemon, id)
        n_cancelled += job["state"] == "cancelled"
        assert len(files_of(daemon.root, id)) == (0 if job["state"] == "cancelled" else 4), job
        assert job["state"] == "succeeded" or not list((daemon.root / "result").glob(f"*/jobs/{id}/.*"))
    assert n_cancelled > 0


# ---- refusals ----------------------------------------------------------------------------------------

TARGET = {"device": A10S, "latency_constraint_ms": 4000}


@pytest.mark.parametrize(
    ("params", "pointer"),
    [
        ({"device": None}, "/params"),
        ({"hardware": [1, 1, 1, 1]}, "/params"),
        ({"device": "Nobody's"}, "/params/device"),
        ({"device": ""}, "/params/device"),
        ({"device": None, "hardware": [0, 1, 1, 1]}, "/params/hardware/0"),
        ({"latency_constraint_ms": None}, "/params/latency_constraint_ms"),
        ({"latency_constraint_ms": 0}, "/params/latency_constraint_ms"),
        ({"latency_constraint_ms": "4"}, "/params/latency_constraint_ms"),
        ({"objective": "speed"}, "/params/objective"),
        ({"method": "random"}, "/params/method"),
        ({"confidence": 1}, "/params/confidence"),
        ({"population_size": 0}, "/params/population_size"),
        ({"population_size": 10_001}, "/params/population_size"),
        ({"generations": 1.5}, "/params/generations"),
        ({"population_size": 10_000, "generations": 101}, "/params/generations"),
        ({"crossover_rate": -1}, "/params/crossover_rate"),
        ({"mutation_rate": 1.1}, "/params/mutation_rate"),
        ({"macs_max": 0}, "/params/macs_max"),
        ({"params_max": "many"}, "/params/params_max"),
        ({"seed": -1}, "/params/seed"),
        ({"version": "none-such"}, "/params/version"),
        ({"version": "../x"}, "/params/version"),
        ({"export": ["pdf"]}, "/params/export/0"),
        ({"export": ["onnx", "onnx"]}, "/params/export/1"),
        ({"export": "onnx"}, "/params/export"),
        ({"colour": "red"}, "/params/colour"),
        ({"method": "exhaustive", "mutation_rate": 0.5, "seed": 3, "version": "mlp"}, "/params/mutation_rate"),
        ({"targets": [TARGET]}, "/params/targets"),
        ({"device": None, "latency_constraint_ms": None, "targets": []}, "/params/targets"),
        ({"device": None, "latency_constraint_ms": None, "targets": [TARGET] * 17}, "/params/targets"),
        ({"device": None, "latency_constraint_ms": None, "targets": [TARGET, {"device": A10S}]},
         "/params/targets/1/latency_constraint_ms"),
        ({"device": None, "latency_constraint_ms": None, "targets": [TARGET, TARGET | {"device": "Nobody's"}]},
         "/params/targets/1/device"),
        ({"device": None, "latency_constraint_ms": None, "targets": [TARGET] * 2, "objective": "pareto"}, "/params/targets"),
    ],
)  # fmt: skip
def test_what_cannot_be_searched_is_refused_by_its_pointer(daemon, params, pointer):
    reply = daemon.request("POST", "/v1/jobs", json=order(**params))
    assert reply.status_code == 422, reply.text
    assert [error["pointer"] for error in reply.json()["errors"]] == [pointer], reply.text


def test_a_space_of_too_many_is_not_looked_at_whole(daemon):
    reply = daemon.request("POST", "/v1/jobs", json=order("fbnetv3", method="exhaustive"))
    assert reply.status_code == 422 and reply.json()["errors"][0]["pointer"] == "/params/method"
    assert "genetic" in reply.json()["detail"]


def test_accuracies_that_are_missing_are_told_at_once(tmp_path):
    made = Daemon(make_tree(tmp_path / "root"))
    (made.root / "result" / "fbnetv3" / "accuracymodel.safetensors").unlink()
    made.start()
    reply = made.request("POST", "/v1/jobs", json=order("fbnetv3"))
    assert reply.status_code == 422 and reply.json()["errors"][0]["pointer"] == "/search_space"
    assert "dgld train --target accuracy" in reply.json()["detail"]
    assert found(made)["feasible"], "the other space is searched"
    assert made.stop() == 0


# ---- a restart ---------------------------------------------------------------------------------------


def test_a_search_that_was_killed_ends_as_an_undisturbed_one_does(tmp_path):
    made = Daemon(make_tree(tmp_path / "root"), "--job-workers", 3).start()
    submission = order("fbnetv3", latency_constraint_ms=300, population_size=2000, generations=50, seed=5, export=None)
    undisturbed = made.wait(made.submit(submission)["id"])
    id = made.submit(submission)["id"]
    made.wait_for_stage(id, "searching")
    made.kill()
    assert files_of(made.root, id) == []
    made.start()
    wait_for_writing(made, id)
    made.kill()
    made.start()
    job = made.wait(id)
    assert job["state"] == undisturbed["state"] == "succeeded", job
    assert job["attempt"] >= 2 and undisturbed["attempt"] == 1  # it may have been faster than the second kill
    told = re.sub(r"/attempt-\d+/", "/", json.dumps(job["result"]))  # each attempt has files of its own
    assert told.replace(id, undisturbed["id"]) == json.dumps(undisturbed["result"])
    files = [{path.name: path.read_bytes() for path in files_of(made.root, each["id"])} for each in (job, undisturbed)]
    assert len(files[0]) == 4 and files[0] == files[1]
    assert made.stop() == 0


def test_a_search_that_waits_to_be_begun_again_is_cancelled_and_leaves_no_file(tmp_path):
    made = Daemon(make_tree(tmp_path / "root"), "--job-workers", 3).start()
    short = order("fbnetv3", latency_constraint_ms=2000, population_size=50, generations=4, export=None)
    ids = [made.submit(short)["id"]]
    wait_for_writing(made, ids[0])
    ids += [made.submit(order("fbnetv3", latency_constraint_ms=300, **LONG) | {"priority": 100})["id"] for _ in range(4)]
    made.kill()
    assert list((made.root / "result").glob(f"*/jobs/{ids[0]}/*")), "it had begun to write"
    made.start()
    job = cancel(made, ids[0])
    assert (job["state"], job["attempt"]) == ("cancelled", 1), job  # the others went first
    assert not (made.root / "result" / "fbnetv3" / "jobs" / ids[0]).exists()
    for id in ids[1:]:
        cancel(made, id)
    assert made.stop() == 0
