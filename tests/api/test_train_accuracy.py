"""dgld train --target accuracy: from the benchmark, from published networks, from a user's own."""

import numpy
import pytest
import safetensors
from conftest import DATA, refused, run, run_json, snapshot, write_rows

SHARED = DATA.parent


@pytest.fixture
def networks(root):
    """A root whose fbnetv3 data hold 60 networks, best at middle widths, and one row that cannot be."""
    generator = numpy.random.default_rng(3)
    first = [3] * 7 + [4, 2, 4, 2, 4, 2, 4, 16, 16, 20, 24, 56, 96, 180, 180, 1, 4, 4, 4, 6, 5]
    step = [2] * 7 + [1] * 7 + [2, 2] + [4] * 6 + [1] * 6
    at = generator.integers(0, 2, (60, 28))
    top1 = 78 + at[:, 14:22].sum(axis=1) * 0.2 + generator.normal(0, 0.02, 60)
    top1[30] = 20
    rows = [[*map(int, numpy.add(first, numpy.multiply(step, a))), f"{t:.3f}", f"{t + 10:.3f}"] for a, t in zip(at, top1, strict=True)]
    (root / "data" / "fbnetv3" / "NAS").mkdir(parents=True)
    write_rows(root / "data" / "fbnetv3" / "NAS" / "dataxy.txt", numpy.array(rows))
    return root


def test_networks_of_the_user_are_learned_from(networks):
    report = run_json("train", "--target", "accuracy", "--search_space", "fbnetv3", root=networks)
    assert (report["predictor"], report["learned_from"], report["validation"]) == ("genes", "dataxy", "10-fold")
    assert (report["n_rows"], report["n_distrusted"], report["n_held_out"]) == (59, 1, 59)
    assert report["kendall"] > 0.5
    with safetensors.safe_open(networks / "result" / "fbnetv3" / "accuracymodel.safetensors", "numpy") as file:
        meta = file.metadata()
    assert (meta["version"], meta["kind"]) == (report["version"], "genes")
    assert float(meta["kendall"]) == pytest.approx(report["kendall"], abs=1e-6)


def test_what_was_learned_is_told_in_words(networks):
    done = run("train", "--target", "accuracy", "--search-space", "fbnetv3", root=networks)
    assert done.returncode == 0, done.stderr
    assert "distrusted rows   1: 31\n" in done.stdout
    assert "held out          Kendall tau 0." in done.stdout
    assert "fitted to networks of the user's own" in done.stdout


def test_malformed_networks_leave_the_model_as_it_is(networks):
    run_json("train", "--target", "accuracy", "--search_space", "fbnetv3", root=networks)
    before = snapshot(networks / "result")
    with open(networks / "data" / "fbnetv3" / "NAS" / "dataxy.txt", "a") as file:
        file.write("1 2 3\n")
    message = refused(1, "train", "--target", "accuracy", "--search_space", "fbnetv3", root=networks)
    assert "dataxy.txt:61" in message
    assert snapshot(networks / "result") == before


@pytest.mark.parametrize(
    ("arguments", "phrase"),
    [
        (["--target", "speed"], "--target must be latency or accuracy"),
        (["--accuracy_data", "."], "goes with --target accuracy"),
        (["--target", "accuracy", "--epoch", "3"], "--epoch does not go with --target accuracy"),
        (["--target", "accuracy", "--predictor", "mlp"], "--predictor does not go with"),
        (["--target", "accuracy", "--name", "x"], "--name does not go with"),
    ],
)
def test_flags_of_the_other_target_are_refused(root, arguments, phrase):
    assert phrase in refused(2, "train", "--search_space", "fbnetv3", *arguments, root=root)


def test_a_directory_without_data_is_told_what_belongs_there(root):
    message = refused(1, "train", "--target", "accuracy", "--search_space", "nasbench201", root=root)
    assert "has no acc.txt nor acc_cifar100.txt to learn accuracy from; name a directory with --accuracy_data" in message


@pytest.mark.parametrize(("space", "folder", "kind"), [("nasbench201", "nasbench201_full", "cells"), ("fbnetv3", ".", "macs")])
def test_the_shipped_ones_are_made_of_the_data_named(root, space, folder, kind):
    if not (SHARED / "nasbench201_full").is_dir():
        pytest.skip("the benchmark is not at ../shared/data")
    report = run_json("train", "--target", "accuracy", "--search_space", space, "--accuracy_data", SHARED / folder, root=root)
    assert report["predictor"] == kind
    if kind == "cells":
        assert (report["n_train"], report["n_held_out"], report["n_rows"]) == (4000, 11625, 15625)
        assert report["kendall"] >= 0.915
    else:
        assert (report["n_rows"], report["kendall"]) == (7, None)
    assert (root / "result" / space / "accuracymodel.safetensors").stat().st_size <= 300_000
