"""A library of devices: what is learned of many, for one that is measured a little; named models with conditions."""

import json
import os

import numpy
import pytest
import requests
from conftest import SHARED, Service, make_root, refused, run, run_json, snapshot
from safetensors import safe_open
from safetensors.numpy import load_file

LIBRARY = SHARED / "data" / "library" / "nasbench201"
NEEDED = {0: 0.85, 10: 0.93, 20: 0.945, 50: 0.955}  # mean Spearman over the nine
SPACE = ("--search_space", "nasbench201")
CONDITIONS = ("--input", "1x3x32x32", "--batch", "1", "--runtime", "TFLite")


@pytest.fixture(scope="session")
def files():
    found = sorted(LIBRARY.glob("*.csv"))
    if len(found) != 9:
        pytest.skip("the public measurements are not at ../shared/data/library")
    return found


def link(files, root):
    """The library in place, by links: nothing of it is copied."""
    folder = root / "data" / "nasbench201" / "measurements"
    folder.mkdir(parents=True)
    for file in files:
        (folder / file.name).symlink_to(file)


@pytest.fixture
def library(files, root):
    link(files, root)
    return root


@pytest.fixture(scope="module")
def trained(files, tmp_path_factory):
    """A root with the library, and the model "mine" that was trained from it; what was told of that."""
    path = tmp_path_factory.mktemp("library")
    make_root(path)
    link(files, path)
    served = path / "result" / "nasbench201" / "pretrainmodel.safetensors"
    before = served.read_bytes()
    report = run_json("train", *SPACE, "--library", "--name", "mine", *CONDITIONS, root=path)
    assert served.read_bytes() == before
    return path, report


def spearman(figures):
    return {one["measurements"]: one["spearman"] for one in figures}


def check_figures(report):
    mean = spearman(report["mean"])
    assert list(mean) == list(NEEDED)
    assert all(mean[n] >= least for n, least in NEEDED.items()), mean
    for n in NEEDED:
        of_devices = [spearman(device["figures"])[n] for device in report["devices"]]
        assert mean[n] == pytest.approx(sum(of_devices) / 9, rel=1e-6)


# ---- training -------------------------------------------------------------------------------------


def test_each_of_the_nine_is_predicted_by_the_others(trained, files):
    _, report = trained
    library = report["library"]
    assert [d["device"] for d in library["devices"]] == [f.stem for f in files]
    assert library["n_rows"] == 8100 and all(d["n_rows"] == 900 for d in library["devices"])
    assert "taken over" in report["reason"] and report["conditions"] == {"input": "1x3x32x32", "batch": 1, "runtime": "TFLite"}
    check_figures(library)


def test_the_file_tells_what_it_learned_from(trained, files):
    path, report = trained
    with safe_open(path / "result" / "nasbench201" / "pretrainmodel-mine.safetensors", "numpy") as file:
        meta = file.metadata()
        assert {"library_functions", "library_level", "library_hardware"} <= set(file.keys())
        assert file.get_tensor("library_level").shape == (9,)
    assert json.loads(meta["library_devices"]) == [f.stem for f in files]
    assert (meta["library_rows"], meta["version"]) == ("8100", report["version"])
    assert (meta["input"], meta["batch"], meta["runtime"]) == ("1x3x32x32", "1", "TFLite")
    shown = [float(word) for word in meta["library_spearman"].split()]
    assert shown == pytest.approx(list(spearman(report["library"]["mean"]).values()), abs=1e-6)


def test_a_directory_and_devices_may_be_named(files, root, tmp_path_factory):
    report = run_json("train", *SPACE, "--library", LIBRARY, "--library_devices", "Pixel3, samsung_a50", "--name", "two", root=root)
    assert [d["device"] for d in report["library"]["devices"]] == ["pixel3", "samsung_a50"]
    assert "conditions" not in report
    assert "no measurements of" in refused(2, "train", *SPACE, "--library_devices", "pixel3", root=root)
    empty = tmp_path_factory.mktemp("empty")
    assert "to learn from" in refused(1, "train", *SPACE, "--library", empty, root=root)
    refused(1, "train", *SPACE, "--library", empty / "none", root=root)


def test_with_data_the_predictor_is_trained_as_ever(library, data):
    plain = run_json("train", *SPACE, "--data_path", data, "--name", "plain", root=library)
    report = run_json("train", *SPACE, "--data_path", data, "--library", "--name", "both", root=library)
    assert report["held_out"] == plain["held_out"] and report["version"] != plain["version"]
    assert "library" not in plain
    folder = library / "result" / "nasbench201"
    one, other = (load_file(folder / f"pretrainmodel-{name}.safetensors") for name in ("plain", "both"))
    assert {name for name in other if name not in one} == {"library_functions", "library_level", "library_hardware"}
    assert all(numpy.array_equal(tensor, other[name]) for name, tensor in one.items())


@pytest.mark.parametrize(
    "text, reason",
    [
        ("architecture,latency_ms\n444249,3\n", "line 2: gene 6"),
        ("444244,-1\n", "line 1: latency_ms must be"),
        ("444244,nan\n", "line 1: latency_ms"),
        ("444244\n", "line 1: 1 fields"),
        ("", "no row"),
        ("\x00\xff\n", "line 1"),
    ],
)
def test_a_file_that_is_wrong_is_named_and_nothing_is_written(text, reason, library):
    folder = library / "data" / "nasbench201" / "measurements"
    (folder / "wrong.csv").write_bytes(text.encode("latin-1"))
    before = snapshot(library)
    told = refused(1, "train", *SPACE, "--library", "--name", "mine", root=library)
    assert "wrong.csv" in told and reason in told
    assert snapshot(library) == before


@pytest.mark.parametrize("kind", ["fifo", "directory", "loop"])
def test_what_is_no_file_is_refused_and_does_not_block(kind, library):
    path = library / "data" / "nasbench201" / "measurements" / "odd.csv"
    {"fifo": os.mkfifo, "directory": os.mkdir, "loop": lambda p: os.symlink(p, p)}[kind](path)
    assert "odd.csv" in refused(1, "train", *SPACE, "--library", root=library)


@pytest.mark.parametrize(
    "arguments, reason",
    [
        (("--input", ""), "--input"),
        (("--input", "x" * 64), "--input"),
        (("--runtime", "a\nb"), "--runtime"),
        (("--batch", "0"), "--batch"),
        (("--library_devices", "a,a"), "--library_devices"),
    ],
)
def test_flags_of_a_library_are_checked(arguments, reason, library):
    done = run("train", *SPACE, *arguments, root=library)
    assert done.returncode == 2 and reason in done.stderr and done.stdout == ""


# ---- testing --------------------------------------------------------------------------------------


def test_devices_are_held_out(library):
    report = run_json("test", *SPACE, "--holdout", "devices", root=library)
    assert (report["holdout"], report["predictor"], report["n_draws"]) == ("devices", "cost", 10)
    check_figures(report)
    table = run("test", *SPACE, "--holdout", "devices", root=library).stdout
    line = next(one for one in table.splitlines() if one.startswith("mean") and one.split()[2] == "10")
    assert float(line.split()[3]) == pytest.approx(spearman(report["mean"])[10], abs=1e-4)


@pytest.mark.parametrize(
    "arguments", [("--holdout", "all"), ("--library",), ("--holdout", "devices", "--test_devices", "pixel3"),
                  ("--holdout", "devices", "--calibrate", "3"), ("--calibrate", "0"), ("--calibrate",), ("--calibrate", "x")]
)  # fmt: skip
def test_flags_of_a_test_that_mean_nothing_are_refused(arguments, library):
    refused(2, "test", *SPACE, *arguments, root=library)


def test_measurements_improve_a_test_and_are_not_scored(data, root):
    arguments = ("test", *SPACE, "--data_path", data)
    plain = run_json(*arguments, root=root)
    reports = {n: run_json(*arguments, "--calibrate", n, "--seed", 1, root=root) for n in (10, 50)}
    rmse = {0: plain} | reports
    rmse = {n: sum(d["rmse_ms"] for d in report["devices"]) / 5 for n, report in rmse.items()}
    assert "calibrate" not in plain and rmse[10] < 0.8 * rmse[0] and rmse[50] < 0.7 * rmse[0]
    for n, report in reports.items():
        assert report["calibrate"] == n
        assert all(400 < d["n"] <= 500 - n for d in report["devices"])
    assert run_json(*arguments, "--calibrate", 10, "--seed", 1, root=root) == reports[10]
    assert run_json(*arguments, "--calibrate", 10, "--seed", 2, root=root) != reports[10]
    assert run_json(*arguments, root=root) == plain
    assert "too few" in refused(1, *arguments, "--calibrate", 495, root=root)


# ---- a named model --------------------------------------------------------------------------------


def test_a_named_model_answers_with_its_conditions(trained):
    path, report = trained
    daemon = Service(path)
    body = {"search_space": "nasbench201", "hardware": [2, 3, 1, 7.46], "architectures": ["444244"]}
    own = requests.post(f"{daemon.url}/v1/predict", json=body | {"model": "mine"}).json()
    assert own["conditions"] == {"input": "1x3x32x32", "batch": 1, "runtime": "TFLite"}
    assert own["model"]["version"] == report["version"]
    assert requests.post(f"{daemon.url}/v1/predict", json=body).json()["conditions"] == {"input": "1x3x224x224", "batch": 1}
    listed = {m["version"]: m for m in requests.get(f"{daemon.url}/v1/models/nasbench201").json()["versions"]}
    mine = listed.pop(report["version"])
    assert mine["conditions"]["runtime"] == "TFLite" and len(mine["library"]["devices"]) == 9
    assert mine["library"]["spearman"]["10"] >= NEEDED[10]
    assert all("library" not in m and "conditions" not in m for m in listed.values())
    assert daemon.stop()[0] == 0


def test_jobs_learn_from_what_was_put(library, start):
    daemon = start(library)
    params = {"library": ["pixel3", "samsung_a50", "samsung_s7"], "input": "1x3x32x32"}
    job = submit(daemon, "train", params)
    assert job["state"] == "succeeded", job
    assert [d["device"] for d in job["result"]["library"]["devices"]] == params["library"]
    assert job["params"]["library"] == params["library"]
    job = submit(daemon, "test", {"holdout": "devices", "version": job["result"]["version"]})
    assert job["state"] == "succeeded" and len(job["result"]["devices"]) == 9
    check_figures(job["result"])


def submit(daemon, kind, params):
    order = {"kind": kind, "search_space": "nasbench201", "params": params}
    reply = requests.post(f"{daemon.url}/v1/jobs", json=order, headers={"Prefer": "wait=60"})
    assert reply.status_code in (200, 202), reply.text
    return reply.json()


# ---- searches -------------------------------------------------------------------------------------


def test_a_search_is_held_to_what_was_measured(library, data, files):
    arguments = ("nas", *SPACE, "--data_path", data, "--export", "none", "--latency_constraint_ms", 10)
    stored = run_json(*arguments, "--nas_target_device", "pixel3", "--calibrate", root=library)
    assert (stored["device"], stored["hardware"], stored["targets"][0]["measurements"]) == ("pixel3", None, 900)
    rows = (LIBRARY / "pixel3.csv").read_text().splitlines()
    few = library / "few.csv"
    few.write_text("\n".join(rows[:41]) + "\n")
    given = run_json(*arguments, "--measurements", few, root=library)
    assert (given["device"], given["targets"][0]["measurements"]) == (None, 40)
    measured = {tuple(map(int, a)): float(ms) for a, ms in (row.split(",") for row in rows[1:])}
    for report in (stored, given):
        assert report["feasible"] and report["latency_ms"] <= 10
        low, high = report["interval_ms"]
        assert low < report["latency_ms"] < high
        true = measured.get(tuple(report["architecture"]))
        assert true is None or low <= true <= high
    bound = run_json(*arguments, "--nas_target_device", "pixel3", "--calibrate", "--confidence", 0.9, root=library)
    assert bound["interval_ms"][1] <= 10 and bound["accuracy"] <= stored["accuracy"]


def test_without_being_asked_a_search_takes_no_measurement(library, data):
    arguments = ("nas", *SPACE, "--data_path", data, "--export", "none", "--json", "--root", library)
    arguments += ("--nas_target_device", "Samsung Galaxy A10s", "--latency_constraint_ms", 4000)
    before = run(*arguments).stdout
    source = library / "data" / "nasbench201" / "measurements" / "pixel3.csv"
    source.with_name("Samsung Galaxy A10s.csv").symlink_to(LIBRARY / "pixel3.csv")
    assert run(*arguments).stdout == before and "measurements" not in json.loads(before)["targets"][0]
    assert run_json(*arguments[:-4], *arguments[-4:], "--calibrate", root=library)["targets"][0]["measurements"] == 900


def test_a_search_of_which_nothing_is_measured_is_refused(library, data):
    arguments = ("nas", *SPACE, "--data_path", data, "--latency_constraint_ms", 10)
    phone = ("--nas_target_device", "Samsung Galaxy A10s")
    assert "no measurements of Samsung Galaxy A10s" in refused(1, *arguments, *phone, "--calibrate", root=library)
    refused(2, *arguments, "--nas_target_device", "pixel3,samsung_a50", "--measurements", LIBRARY / "pixel3.csv", root=library)
    refused(2, *arguments, *phone, "--calibrate", "7", root=library)
    many = library / "many.csv"
    many.write_text("444244,1\n" * 1001)
    assert "at most 1000" in refused(1, *arguments, "--measurements", many, root=library)
