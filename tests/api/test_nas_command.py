"""dgld nas: the reference's documented searches, what is found, the files, and what is refused."""

import json
import random
import shlex
import shutil
import signal
import subprocess
import time
import zipfile

import numpy
import onnx
import pytest
import requests
from conftest import BINARY, DATA, ROOT, SHARED, link_data, make_user_tree, refused, run, run_json, write_rows
from test_torchscript import TOLERANCE, run_onnx, run_torchscript

A10S = "Samsung Galaxy A10s"
NASBENCH = f"--search_space 'nasbench201' --mode 'nas' --nas_target_device '{A10S}' --latency_constraint 40"
FBNETV3 = (
    "--search_space fbnetv3 --mode nas --nas_target_device 'Asus R0G Ph0ne 3' --latency_constraint 90 "
    "--POPULATION_SIZE 100 --EPOCH 100 --CROSSOVER_RATE 2 --GENE_LENGTH 28 --MUTATION_RATE 0.05"
)
ENDINGS = [".json", ".onnx", ".pt"]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A tree as a user has it after `make data FROM=...`."""
    path = make_user_tree(tmp_path_factory.mktemp("tree"))
    add_accuracies(path)
    link_data(path)
    return path


@pytest.fixture
def shipped(root):
    """A root with what ships and no data at all."""
    return add_accuracies(root)


def add_accuracies(root):
    for space in ("nasbench201", "fbnetv3"):
        shutil.copy(ROOT / "result" / space / "accuracymodel.safetensors", root / "result" / space)
    return root


def run_words(tree, words):
    return subprocess.run(shlex.split(words), cwd=tree, capture_output=True, text=True, timeout=300)


def files_of(root, space):
    return sorted((root / "result" / space / "nas").glob("*"))


def report_of(root, space, stem):
    return json.loads((root / "result" / space / "nas" / f"{stem}.json").read_text())


def nas(root, *arguments, space="nasbench201", code=0):
    """Searches without files of the network; returns the answer."""
    done = run("nas", "--search_space", space, "--export", "none", *arguments, "--json", root=root)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def limited(name, *others, ms=4000):
    return ["--nas_target_device", name, "--latency_constraint_ms", ms, *others]


# ---- the documented commands -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def documented(tree, tmp_path_factory):
    """Both of them, and what PyTorch makes of their networks: {space: (answer, stem, of PyTorch, of ONNX)}."""
    found, copies = {}, tmp_path_factory.mktemp("networks")
    for space, words in (("nasbench201", NASBENCH), ("fbnetv3", FBNETV3)):
        done = run_words(tree, f"build/dgld {words}")
        assert done.returncode == 0, done.stderr
        files = files_of(tree, space)
        assert [file.suffix for file in files] == ENDINGS and len({file.stem for file in files}) == 1
        shutil.copy(files[2], copies / f"{space}.pt")
        onnx.checker.check_model(onnx.load(files[1]), full_check=True)
        found[space] = [done.stdout, files[0].stem, run_onnx(files[1])]
    for space, seen in zip(found, run_torchscript(copies, [copies / f"{space}.pt" for space in found]), strict=True):
        found[space].append(seen)
    return found


def check_network(report, of_onnx, of_pytorch):
    """The files are the network of the report, and agree."""
    assert of_onnx.std() > 0.001
    assert abs(numpy.array(of_pytorch["logits"]) - of_onnx).max() < TOLERANCE
    assert of_pytorch["extra"]["notation"] == report["notation"]
    assert of_pytorch["n_trained"] == report["params"]


def test_the_documented_search_of_nasbench201(tree, documented):
    text, stem, of_onnx, of_pytorch = documented["nasbench201"]
    assert stem == f"{A10S}_40_model"
    report = report_of(tree, "nasbench201", stem)
    assert report["feasible"] and report["method"] == "exhaustive"
    assert report["accuracy"] >= 73.26 and report["latency_ms"] <= 4000 == report["latency_constraint_ms"]
    assert report["accuracy_source"] == {"source": "table", "n_rows": 4000} and report["n_evaluated"] == 4000
    genes = " ".join(map(str, report["architecture"]))
    rows = (DATA / "nasbench201" / "NAS" / "net.txt").read_text().splitlines()
    accuracies = (DATA / "nasbench201" / "NAS" / "acc.txt").read_text().splitlines()
    assert float(accuracies[rows.index(genes)]) == pytest.approx(report["accuracy"], abs=1e-4)
    assert report["notation"] in text and "limit 4000 ms" in text
    check_network(report, of_onnx, of_pytorch)


def test_the_documented_search_of_fbnetv3(tree, documented):
    text, stem, of_onnx, of_pytorch = documented["fbnetv3"]
    report = report_of(tree, "fbnetv3", stem)
    assert stem == f"{report['device']}_90_model" and report["device"] in ("Asus ROG Phone 3", "Asus R0G Ph0ne 3")
    assert report["feasible"] and report["method"] == "genetic" and report["latency_ms"] <= 90
    assert (report["population_size"], report["generations"]) == (100, 100)
    assert (report["crossover_rate"], report["mutation_rate"]) == (2, 0.05)
    assert sum(generation["n_evaluated"] for generation in report["history"]) == report["n_evaluated"] <= 10_000
    assert report["accuracy_source"]["predictor"] == "macs" and report["accuracy"] > 80
    assert report["notation"] in text
    check_network(report, of_onnx, of_pytorch)


def test_a_prediction_of_what_was_found_is_its_latency(tree, documented):
    report = report_of(tree, "nasbench201", documented["nasbench201"][1])
    genes = "".join(map(str, report["architecture"]))
    answer = run_json("predict", "--search_space", "nasbench201", "--device", A10S, genes, root=tree)
    assert answer["latency_ms"] == [pytest.approx(report["latency_ms"], rel=1e-6)]


# ---- names and targets -------------------------------------------------------------------------------


def test_a_limit_in_ms_names_the_files(tree):
    answer = run_json("nas", "--search_space", "nasbench201", *limited(A10S), root=tree)
    names = [f"{A10S}_4000ms_model{ending}" for ending in ENDINGS]
    assert answer["files"] == [f"{tree}/result/nasbench201/nas/{name}" for name in names]
    assert all((tree / "result" / "nasbench201" / "nas" / name).is_file() for name in names)


def test_a_network_for_several_devices_holds_on_all(shipped):
    one = nas(shipped, *limited("Samsung Galaxy A10s"))
    answer = nas(shipped, *limited("Samsung Galaxy A10s,huawei mate 20", ms="4000,300"))
    assert (answer["device"], answer["latency_constraint_ms"], answer["latency_ms"]) == (None, None, None)
    assert [target["device"] for target in answer["targets"]] == [A10S, "Huawei Mate 20"]
    assert [target["latency_constraint_ms"] for target in answer["targets"]] == [4000, 300]
    assert all(target["latency_ms"] <= target["latency_constraint_ms"] for target in answer["targets"])
    assert answer["architecture"] != one["architecture"] and answer["accuracy"] < one["accuracy"]
    assert [file.name for file in files_of(shipped, "nasbench201")] == [
        f"{A10S}+Huawei Mate 20_4000+300ms_model.json",
        f"{A10S}_4000ms_model.json",
    ]
    same = nas(shipped, *limited("Samsung Galaxy A10s,Huawei Mate 20"))  # one limit for all
    assert [target["latency_constraint_ms"] for target in same["targets"]] == [4000, 4000]
    assert same["architecture"] == one["architecture"]


def test_hardware_stands_for_a_device(shipped):
    by_name = nas(shipped, *limited(A10S))
    answer = nas(shipped, "--hardware", "2,3,1,7.46", "--latency_constraint", "40")
    assert answer["device"] is None and answer["architecture"] == by_name["architecture"]
    assert answer["latency_ms"] == by_name["latency_ms"] <= 4000
    assert (shipped / "result" / "nasbench201" / "nas" / "2,3,1,7.46_40_model.json").is_file()


def test_names_too_long_for_a_file_are_cut(shipped):
    sheet = (shipped / "data" / "devices" / f"{A10S}.json").read_text()
    names = ["Ä" * 45 + str(i) for i in range(6)]
    for name in names:
        (shipped / "data" / "devices" / f"{name}.json").write_text(sheet)
    answer = nas(shipped, *limited(",".join(names)))
    (file,) = files_of(shipped, "nasbench201")
    assert file.name.endswith("Ä_4000ms_model.json") and len(file.name.encode()) <= 255
    assert len(answer["targets"]) == 6


# ---- objectives --------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["exhaustive", "genetic"])
def test_a_front_is_of_ever_better_and_slower_networks(shipped, method):
    whole = nas(shipped, "--nas_target_device", A10S, "--objective", "pareto", "--method", method)
    limit = nas(shipped, *limited(A10S, "--objective", "pareto", "--method", method))
    assert [file.stem for file in files_of(shipped, "nasbench201")] == [f"{A10S}_4000ms_model", f"{A10S}_pareto_model"]
    for answer in (whole, limit):
        front = answer["front"]
        assert len(front) == answer["n_front"] > 10 and answer["hypervolume"] > 0
        for name in ("latency_ms", "accuracy"):
            values = [point[name] for point in front]
            assert values == sorted(set(values))
        last = front[-1]
        assert {name: answer[name] for name in last} == last
    assert whole["front"][-1]["latency_ms"] > 4000 >= limit["front"][-1]["latency_ms"]
    assert whole["latency_constraint_ms"] is None and limit["reference_latency_ms"] == 4000


def test_with_a_confidence_the_upper_bound_keeps_the_limit(shipped):
    median = nas(shipped, *limited(A10S))
    sure = nas(shipped, *limited(A10S, "--confidence", 0.95))
    assert median["interval_ms"][1] > 4000 >= sure["interval_ms"][1]
    assert (sure["interval"], sure["confidence"]) == (0.95, 0.95)
    assert sure["accuracy"] < median["accuracy"]


def test_sizes_are_limits_too(shipped):
    free = nas(shipped, *limited(A10S))
    answer = nas(shipped, *limited(A10S, "--macs_max", free["macs"] - 1, "--params_max", free["params"]))
    assert answer["macs"] < free["macs"] and answer["params"] <= free["params"]
    assert nas(shipped, *limited(A10S, "--macs_max", free["macs"]))["architecture"] == free["architecture"]


# ---- files and answers -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        limited(A10S),
        limited(A10S, "--method", "genetic", "--population_size", 20, "--generations", 20),
        limited(A10S, "--objective", "pareto"),
        limited(f"{A10S},Huawei Mate 20"),
    ],
)
def test_the_answer_is_the_file_without_its_history(shipped, arguments):
    answer = nas(shipped, *arguments)
    (file,) = files_of(shipped, "nasbench201")
    report = json.loads(file.read_text())
    assert report.pop("history") == [] or answer["method"] == "genetic"
    assert report == answer and answer["files"] == [str(file)]


def test_where_nothing_keeps_the_limits_the_old_network_goes(tree):
    first = run_json("nas", "--search_space", "nasbench201", *limited(A10S, ms=3999), root=tree)
    assert first["feasible"] and len(first["files"]) == 3
    words = limited(A10S, "--macs_max", 1, ms=3999)
    done = run("nas", "--search_space", "nasbench201", *words, "--json", root=tree)
    assert done.returncode == 3 and "no architecture" in done.stderr
    answer = json.loads(done.stdout)
    assert answer["feasible"] is False and answer["architecture"] is None and answer["latency_ms"] is None
    assert answer["fastest"]["latency_ms"] > 0 and answer["lowest_latency_ms"] > 0
    assert answer["files"] == first["files"][:1]
    names = [file.name for file in files_of(tree, "nasbench201") if "3999" in file.name]
    assert names == [f"{A10S}_3999ms_model.json"]
    assert report_of(tree, "nasbench201", f"{A10S}_3999ms_model")["feasible"] is False
    done = run("nas", "--search_space", "nasbench201", *words, root=tree)  # in words
    assert done.returncode == 3 and "fastest" in done.stdout and answer["fastest"]["notation"] in done.stdout


def test_the_fastest_is_told_in_ms(shipped):
    answer = nas(shipped, *limited(A10S, ms=1), code=3)
    assert answer["fastest"]["latency_ms"] == answer["lowest_latency_ms"] == answer["targets"][0]["latency_ms"] > 1


def test_the_same_seed_gives_the_same_bytes_and_another_one_other_weights(shipped):
    seen = []
    for seed in (3, 3, 4):
        run_json("nas", "--search_space", "nasbench201", *limited(A10S, "--seed", seed), root=shipped)
        seen.append({file.name: file.read_bytes() for file in files_of(shipped, "nasbench201")})
    assert seen[0] == seen[1] and len(seen[0]) == 3
    for name in seen[0]:
        assert seen[0][name] != seen[2][name], name
    searches = [nas(shipped, *limited("Oppo A5", "--seed", seed, ms=300), space="fbnetv3") for seed in (3, 3, 4)]
    assert searches[0] == searches[1] and searches[0]["seed"] != searches[2]["seed"]


@pytest.mark.parametrize("formats", ["onnx", "torchscript", "torchscript,onnx", "none"])
def test_only_the_formats_that_are_asked_for_are_made(shipped, formats):
    run_json("nas", "--search_space", "nasbench201", *limited(A10S), root=shipped)
    answer = run_json("nas", "--search_space", "nasbench201", *limited(A10S, "--export", formats), root=shipped)
    endings = [".json"] + [e for e, name in ((".onnx", "onnx"), (".pt", "torchscript")) if name in formats]
    assert [file.suffix for file in files_of(shipped, "nasbench201")] == endings  # what was there before goes
    assert answer["files"] == list(map(str, files_of(shipped, "nasbench201")))


# ---- accuracies --------------------------------------------------------------------------------------


def test_without_an_oracle_the_shipped_accuracies_are_used(shipped):
    answer = nas(shipped, *limited(A10S))
    assert answer["accuracy_source"]["predictor"] == "cells" and answer["n_evaluated"] == 15625
    full = SHARED / "data" / "nasbench201_full"
    if not full.is_dir():
        pytest.skip("the benchmark is not at ../shared/data")
    row = (full / "net.txt").read_text().splitlines().index(" ".join(map(str, answer["architecture"])))
    truth = float((full / "acc_cifar100.txt").read_text().splitlines()[row])
    assert abs(answer["accuracy"] - truth) < 1 and truth > 72.5


def test_without_any_accuracies_it_is_told_what_to_do(root):
    message = refused(1, "nas", "--search_space", "nasbench201", *limited(A10S), root=root)
    assert "dgld train --target accuracy" in message and not files_of(root, "nasbench201")


@pytest.fixture(scope="module")
def genes(service):
    """The values of each gene of fbnetv3."""
    space = requests.get(service.url + "/v1/spaces/fbnetv3", timeout=30).json()
    return [gene["values"] for gene in space["genes"]]


def macs_of(networks, tmp_path):
    write_rows(tmp_path / "networks.txt", networks)
    done = run("costs", "--search_space", "fbnetv3", "--architectures", tmp_path / "networks.txt", "--json")
    assert done.returncode == 0, done.stderr
    return numpy.array([json.loads(line)["macs"] for line in done.stdout.splitlines()])


def far_from(optimum, genes):
    """How far networks are from one, in accuracy."""
    n = numpy.array([len(values) for values in genes])
    at = numpy.array([values.index(gene) for values, gene in zip(genes, optimum, strict=True)])

    def accuracies(networks, _):
        codes = numpy.array([[v.index(g) for v, g in zip(genes, row, strict=True)] for row in networks])
        return 82 - (((codes - at) / n) ** 2).sum(axis=1) * 3

    return accuracies


def middle_sized(networks, tmp_path):
    """Best at 500 million MACs, and worse beyond."""
    return 82 - 60 * numpy.log(macs_of(networks, tmp_path) / 500e6) ** 2


@pytest.mark.parametrize("kind", ["genes", "macs"])
def test_networks_of_ones_own_are_followed_to_their_optimum(root, genes, tmp_path, kind):
    generator = random.Random(5)
    optimum = [values[len(values) // 3] for values in genes]
    accuracies = far_from(optimum, genes) if kind == "genes" else middle_sized
    networks = [[generator.choice(values) for values in genes] for _ in range(300)]
    top1 = accuracies(networks, tmp_path)
    (root / "data" / "fbnetv3" / "NAS").mkdir(parents=True)
    rows = [[*row, f"{t:.3f}", f"{t + 10:.3f}"] for row, t in zip(networks, top1, strict=True)]
    write_rows(root / "data" / "fbnetv3" / "NAS" / "dataxy.txt", numpy.array(rows))
    answer = nas(root, *limited("Oppo A5", ms=100_000), space="fbnetv3")
    assert answer["accuracy_source"]["learned_from"] == "dataxy"
    (found,) = accuracies([answer["architecture"]], tmp_path)
    assert found > 81 > numpy.percentile(top1, 75), answer  # near 82
    if kind == "genes":
        assert found > top1.max()  # no network that it learned from is as good
    else:
        assert 0.85 < answer["macs"] / 500e6 < 1.15
        assert macs_of([[values[-1] for values in genes]], tmp_path)[0] > 1000e6  # where more was to be had


# ---- predictors --------------------------------------------------------------------------------------


def test_the_predictor_of_latencies_may_be_chosen(shipped):
    done = run("nas", "--search_space", "nasbench201", *limited(A10S, "--export", "none", "--json"),
               "--load_path", shipped / "result" / "nasbench201" / "pretrainmodel.pt", root=shipped)  # fmt: skip
    assert done.returncode == 0 and "using" in done.stderr and len(done.stderr.splitlines()) == 1
    assert json.loads(done.stdout) == nas(shipped, *limited(A10S))
    words = limited(A10S, "--model", "mlp", "--population_size", 10, "--generations", 4)
    answer = nas(shipped, *words)
    assert answer["predictor"] == "mlp" and answer["n_evaluated"] == 40
    genes = "".join(map(str, answer["architecture"]))
    predict = ["predict", "--search_space", "nasbench201", "--hardware", "2,3,1,7.46", "--model", "mlp", genes]
    assert run_json(*predict, root=shipped)["latency_ms"] == [pytest.approx(answer["latency_ms"], rel=1e-6)]


# ---- what is refused ---------------------------------------------------------------------------------

WITH = ["--nas_target_device", A10S, "--latency_constraint", "40"]


@pytest.mark.parametrize(
    ("arguments", "flag"),
    [
        (["--latency_constraint", "40"], "--nas_target_device"),
        ([*WITH, "--hardware", "1,1,1,1"], "--hardware"),
        (["--hardware", "1,1,1", "--latency_constraint", "40"], "--hardware"),
        (["--hardware", "0,1,1,1", "--latency_constraint", "40"], "--hardware"),
        (["--nas_target_device", A10S], "--latency_constraint"),
        ([*WITH, "--latency_constraint_ms", "4000"], "--latency_constraint_ms"),
        (["--nas_target_device", A10S, "--latency_constraint", "x"], "--latency_constraint "),
        (["--nas_target_device", A10S, "--latency_constraint", "0x28"], "--latency_constraint "),
        (["--nas_target_device", A10S, "--latency_constraint", "40 "], "--latency_constraint "),
        (["--nas_target_device", A10S, "--latency_constraint", ""], "--latency_constraint "),
        (["--nas_target_device", A10S, "--latency_constraint", "-40"], "--latency_constraint "),
        (["--nas_target_device", A10S, "--latency_constraint", "nan"], "--latency_constraint "),
        (["--nas_target_device", A10S, "--latency_constraint", "1e308"], "--latency_constraint "),
        (["--nas_target_device", A10S, "--latency_constraint", "40,"], "--latency_constraint "),
        (["--nas_target_device", A10S, "--latency_constraint_ms", "40,50"], "--latency_constraint_ms"),
        (["--nas_target_device", "A,B,C", "--latency_constraint_ms", "40,50"], "--latency_constraint_ms"),
        (["--nas_target_device", "../x", "--latency_constraint", "40"], "--nas_target_device"),
        (["--nas_target_device", "", "--latency_constraint", "40"], "--nas_target_device"),
        (["--nas_target_device", "x" * 300, "--latency_constraint", "40"], "--nas_target_device"),
        (["--nas_target_device", f"{A10S},{'x' * 300}", "--latency_constraint", "40"], "--nas_target_device"),
        (["--nas_target_device", ",".join(["A"] * 17), "--latency_constraint", "40"], "--nas_target_device"),
        (["--nas_target_device", f"{A10S},B", "--latency_constraint", "40", "--objective", "pareto"], "--nas_target_device"),
        ([*WITH, "--objective", "speed"], "--objective"),
        ([*WITH, "--method", "random"], "--method"),
        ([*WITH, "--confidence", "1"], "--confidence"),
        ([*WITH, "--confidence", "0"], "--confidence"),
        ([*WITH, "--confidence", "x"], "--confidence"),
        ([*WITH, "--macs_max", "0"], "--macs_max"),
        ([*WITH, "--params_max", "1.5"], "--params_max"),
        ([*WITH, "--POPULATION_SIZE", "0"], "--population_size"),
        ([*WITH, "--population_size", "10001"], "--population_size"),
        ([*WITH, "--EPOCH", "0"], "EPOCH"),
        ([*WITH, "--generations", "1.5"], "--generations"),
        ([*WITH, "--EPOCH", "x"], "EPOCH"),
        ([*WITH, "--POPULATION_SIZE", "10000", "--EPOCH", "101"], "EPOCH"),
        ([*WITH, "--CROSSOVER_RATE", "-0.1"], "--crossover_rate"),
        ([*WITH, "--MUTATION_RATE", "1.1"], "--mutation_rate"),
        ([*WITH, "--GENE_LENGTH", "28"], "--GENE_LENGTH"),
        ([*WITH, "--export", "pdf"], "--export"),
        ([*WITH, "--export", "onnx,onnx"], "--export"),
        ([*WITH, "--seed", "-1"], "--seed"),
        ([*WITH, "--method", "exhaustive", "--population_size", "10", "--seed", "5"], "--population_size"),
        ([*WITH, "--load_path", "a", "--model", "b"], "--load_path"),
        ([*WITH, "--lr", "1"], "--lr"),
    ],
)  # fmt: skip
def test_a_wrong_flag_is_named(root, arguments, flag):
    assert flag in refused(2, "nas", "--search_space", "nasbench201", *arguments, root=root)
    assert not files_of(root, "nasbench201")


def test_a_space_of_too_many_is_not_looked_at_whole(shipped):
    message = refused(2, "nas", "--search_space", "fbnetv3", *limited("Oppo A5", "--method", "exhaustive"), root=shipped)
    assert "--method" in message and "genetic" in message


@pytest.mark.parametrize("names", ["Nobody's Phone", f"{A10S},Nobody's Phone"])
def test_an_unknown_device_is_named(shipped, names):
    assert 'no device "Nobody\'s Phone"' in refused(
        1, "nas", "--search_space", "nasbench201", *limited(names), root=shipped
    )


# ---- being killed ------------------------------------------------------------------------------------


def check_whole(file):
    """A file that has a result's name is one."""
    if file.suffix == ".json":
        json.loads(file.read_text())
    elif file.suffix == ".onnx":
        onnx.checker.check_model(file)
    else:
        with zipfile.ZipFile(file) as archive:
            assert file.suffix == ".pt" and archive.testzip() is None


def test_a_kill_leaves_no_half_written_file(shipped):
    words = ["--search_space", "fbnetv3", *limited("Oppo A5", ms=300), "--root", shipped]
    n_killed = 0
    started = time.monotonic()
    run_json("nas", *words)
    takes_s = time.monotonic() - started
    undisturbed = {file.name: file.read_bytes() for file in files_of(shipped, "fbnetv3")}
    for i in range(12):
        for file in files_of(shipped, "fbnetv3"):
            file.unlink()
        process = subprocess.Popen([BINARY, "nas", *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(takes_s * (i + 1) / 13)
        process.send_signal(signal.SIGKILL)
        n_killed += process.wait() == -signal.SIGKILL
        seen = [file for file in files_of(shipped, "fbnetv3") if not file.name.startswith(".")]
        for file in seen:
            check_whole(file)
    assert n_killed > 3
    run_json("nas", *words)
    after = {file.name: file.read_bytes() for file in files_of(shipped, "fbnetv3") if not file.name.startswith(".")}
    assert after == undisturbed


def test_a_long_search_is_killed_without_a_trace_and_found_again(shipped):
    words = ["--search_space", "fbnetv3", *limited("Oppo A5", "--population_size", 10_000, ms=300), "--root", shipped]
    process = subprocess.Popen([BINARY, "nas", *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not files_of(shipped, "fbnetv3")
    assert nas(shipped, *limited("Oppo A5", ms=300), space="fbnetv3")["feasible"]
