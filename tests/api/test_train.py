"""dgld train."""

import json
import shutil

import numpy
import pytest
import safetensors
from conftest import DATA, TRAIN_DEVICES, UNSEEN_DEVICES, factor, refused, run, run_json, snapshot, write_rows

SPACES = ("nasbench201", "fbnetv3")
CORRUPT_ROWS = [120, 375]  # rows 121 and 376 of nasbench201's a.txt


def copy_space(space, root, a=None):
    """The reference's architectures and A, and one unseen phone, in the root's own data tree."""
    target = root / "data" / space
    device = list(UNSEEN_DEVICES[space])[0]
    for name in ("net.txt", "a.txt", f"hardware/{device}.txt", f"latency/{device}.txt"):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(DATA / space / name, target / name)
    if a is not None:
        write_rows(target / "a.txt", a)
    return target


def held_out_parameter(space, root):
    """A of every row, by models that never saw it."""
    device, hardware = list(UNSEEN_DEVICES[space].items())[0]
    run_json("test", "--search_space", space, "--holdout", root=root)
    return numpy.loadtxt(root / "result" / space / f"{device}_timepre.txt") / factor(hardware)


def r_against(clean, predicted, space):
    scored = numpy.ones(len(clean), bool)
    scored[CORRUPT_ROWS if space == "nasbench201" else []] = False
    return numpy.corrcoef(clean[scored], predicted[scored])[0, 1]


def write_latencies(target, a, seed, devices=TRAIN_DEVICES):
    """Measurements of training phones: A * k, noise, one row in fifty wrong by ten; the first phone is all noise,
    the fifth slow throughout."""
    generator = numpy.random.default_rng(seed)
    (target / "latency").mkdir(exist_ok=True)
    for i, device in enumerate(devices):
        noise = generator.lognormal(0, 0.05 if i > 0 else 1, len(a))
        ms = a * factor(TRAIN_DEVICES[device]) * noise * (3 if i == 4 else 1)
        ms[generator.choice(len(a), len(a) // 50, replace=False)] *= 10
        write_rows(target / "latency" / f"{device}.txt", ms)


def test_json_report_has_these_fields(small):
    report = run_json("train", "--search_space", "nasbench201", root=small)
    assert set(report) == {
        "search_space", "predictor", "version", "source", "reason", "train_devices", "n_rows", "distrusted_rows",
        "noise_scale", "loss", "held_out", "fit_seconds", "file",
    }  # fmt: skip
    assert (report["search_space"], report["predictor"], report["n_rows"]) == ("nasbench201", "cost", 80)
    assert report["train_devices"] == list(TRAIN_DEVICES)
    assert report["held_out"]["validation"] == "10-fold"
    assert 0.95 < report["held_out"]["r"] <= 1
    assert report["fit_seconds"] > 0
    assert report["file"] == f"{small}/result/nasbench201/pretrainmodel.safetensors"


def test_trained_predictor_takes_the_served_ones_place_and_the_old_one_is_kept(small):
    served = small / "result" / "nasbench201" / "pretrainmodel.safetensors"
    old = served.read_bytes()
    before = snapshot(small)
    report = run_json("train", "--search_space", "nasbench201", root=small)
    with safetensors.safe_open(served, "numpy") as file:
        assert file.metadata()["version"] == report["version"]
    changed = {name: data for name, data in snapshot(small).items() if before.get(name) != data}
    kept = [name for name, data in changed.items() if data == old]
    assert len(kept) == 1 and kept[0].startswith("result/nasbench201/models/")
    assert set(changed) == {*kept, "result/nasbench201/models", "result/nasbench201/pretrainmodel.safetensors"}


def test_text_report_says_the_source_and_why(small):
    done = run("train", "--search_space", "nasbench201", root=small)
    assert done.returncode == 0 and done.stderr == ""
    assert "a.txt, 80 rows (there is no latency file of the training device Galaxy A9)" in done.stdout
    assert "distrusted rows" in done.stdout and "held-out R(A)" in done.stdout


@pytest.mark.parametrize("space, bound", [("nasbench201", 0.982), ("fbnetv3", 0.976)])
def test_held_out_parameter_correlates_as_the_figures_demand(space, bound, data, root):
    copy_space(space, root)
    clean = numpy.loadtxt(data / space / "a.txt")
    assert r_against(clean, held_out_parameter(space, root), space) >= bound


def test_corrupt_rows_121_and_376_are_distrusted_and_few_others(data, root):
    report = run_json("train", "--search_space", "nasbench201", "--data_path", data, root=root)
    assert {121, 376} <= set(report["distrusted_rows"])
    assert len(report["distrusted_rows"]) - 2 <= 0.02 * 498


def test_few_rows_of_fbnetv3_are_distrusted(data, root):
    report = run_json("train", "--search_space", "fbnetv3", "--data_path", data, root=root)
    assert len(report["distrusted_rows"]) <= 0.02 * 200


@pytest.mark.parametrize("space", SPACES)
def test_two_percent_of_rows_wrong_by_ten_cost_less_than_a_hundredth_of_r(space, data, root):
    clean = numpy.loadtxt(data / space / "a.txt")
    copy_space(space, root)
    r_clean = r_against(clean, held_out_parameter(space, root), space)
    r_corrupted = []
    for seed in range(20):
        generator = numpy.random.default_rng(seed)
        corrupted = clean.copy()
        rows = generator.choice(len(clean), len(clean) // 50, replace=False)
        corrupted[rows] *= generator.choice([0.1, 10], len(rows))
        write_rows(root / "data" / space / "a.txt", corrupted)
        r_corrupted.append(r_against(clean, held_out_parameter(space, root), space))
    assert r_clean - numpy.mean(r_corrupted) < 0.01


def test_rows_made_wrong_by_ten_are_distrusted(data, root):
    corrupted = numpy.loadtxt(data / "fbnetv3" / "a.txt")
    corrupted[[10, 50]] *= [10, 0.1]
    copy_space("fbnetv3", root, corrupted)
    report = run_json("train", "--search_space", "fbnetv3", root=root)
    assert {11, 51} <= set(report["distrusted_rows"])


@pytest.mark.parametrize("space", SPACES)
def test_latencies_of_all_twelve_give_a_through_the_device_formula(space, data, root):
    clean = numpy.loadtxt(data / space / "a.txt")
    target = copy_space(space, root)
    write_latencies(target, clean, 1)
    report = run_json("train", "--search_space", space, root=root)
    assert report["source"] == "latency"
    assert report["reason"] == "all 12 training devices have latency files"
    predicted = held_out_parameter(space, root)
    assert r_against(clean, predicted, space) >= {"nasbench201": 0.98, "fbnetv3": 0.974}[space]
    assert abs(numpy.median(predicted / clean) - 1) < 0.03


def test_latencies_win_over_a_txt(data, root):
    clean = numpy.loadtxt(data / "fbnetv3" / "a.txt")
    target = copy_space("fbnetv3", root, clean[::-1])
    write_latencies(target, clean, 2)
    assert r_against(clean, held_out_parameter("fbnetv3", root), "fbnetv3") >= 0.97


@pytest.mark.parametrize("missing", ["Galaxy A9", "Honor V30 Pro", "VIVO NEX"])
def test_one_missing_latency_file_means_a_txt_for_all(missing, data, root):
    target = copy_space("fbnetv3", root)
    plain = run_json("train", "--search_space", "fbnetv3", root=root)
    write_latencies(target, numpy.loadtxt(target / "a.txt")[::-1], 3, [d for d in TRAIN_DEVICES if d != missing])
    report = run_json("train", "--search_space", "fbnetv3", root=root)
    assert report["source"] == "a.txt"
    assert report["reason"] == f"there is no latency file of the training device {missing}"
    assert report["version"] == plain["version"]


def test_named_training_devices_with_latencies_are_learned_from(small):
    report = run_json("train", "--search_space", "nasbench201", "--train_devices", "Near", root=small)
    assert (report["source"], report["train_devices"]) == ("latency", ["Near"])
    report = run_json("train", "--search_space", "nasbench201", "--train_devices", "Near, Far", root=small)
    assert (report["source"], report["train_devices"]) == ("a.txt", ["Near", "Far"])
    assert "Far" in report["reason"]


def test_training_never_opens_the_latencies_of_an_unseen_device(small):
    latency = small / "data" / "nasbench201" / "latency" / "Near.txt"
    arguments = ("train", "--search_space", "nasbench201")
    with_it = run_json(*arguments, root=small)
    latency.write_text("no number\n")
    assert run_json(*arguments, root=small)["version"] == with_it["version"]
    latency.unlink()
    assert run_json(*arguments, root=small)["version"] == with_it["version"]


@pytest.mark.parametrize("command", ["train", "test"])
@pytest.mark.parametrize("spelling", ["Near", "near", "NEAR", " Near "])
def test_device_in_both_lists_is_refused(command, spelling, small):
    before = snapshot(small)
    lists = ("--train_devices", "Near", "--test_devices", f"Far,{spelling}")
    said = refused(2, command, "--search_space", "nasbench201", *lists, root=small)
    assert "is both a training device and a test device" in said
    assert snapshot(small) == before


@pytest.mark.parametrize("spelling", ["iQOO 5 Pro", "iq00 5 pr0", "IQOO  5  PRO"])
def test_default_training_device_is_no_test_device_however_it_is_spelled(spelling, small):
    for command in ("train", "test"):
        said = refused(2, command, "--search_space", "nasbench201", "--test_devices", spelling, root=small)
        assert "is both a training device and a test device" in said


def test_seed_is_kept_in_the_file_and_a_repeated_run_gives_the_same_bytes(small):
    file = small / "result" / "nasbench201" / "pretrainmodel.safetensors"
    written = []
    for _ in range(2):
        run_json("train", "--search_space", "nasbench201", "--seed", 5, root=small)
        written.append(file.read_bytes())
    assert written[0] == written[1]
    with safetensors.safe_open(file, "numpy") as opened:
        assert opened.metadata()["seed"] == "5"
        assert json.loads(opened.metadata()["train_devices"]) == list(TRAIN_DEVICES)


def test_reference_style_command_line_is_taken(small):
    written = run_json("--mode", "train", "--search-space=nasbench201", "--train-devices", "Near", root=small)
    assert written["train_devices"] == ["Near"]


def test_flags_without_effect_are_said_in_one_line(small):
    done = run("train", "--search_space", "nasbench201", "--gpu", "0", "--save_path", "x", "--json", root=small)
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1 and "--gpu" in done.stderr and "no effect" in done.stderr
