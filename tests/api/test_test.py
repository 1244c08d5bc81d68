"""dgld test."""

import json
import shutil

import numpy
import pytest
import safetensors.numpy
from conftest import A53, UNSEEN_DEVICES, factor, refused, run, run_json, snapshot, write_rows

BOUNDS = {
    "nasbench201": {
        "Huawei Mate 20": (0.963, 53),
        "Samsung Galaxy A10s": (0.971, 296),
        "Xiaomi Redmi 5 Plus": (0.984, 382),
        "Sony Xperia XZ2": (0.962, 186),
        "Motorola Moto E6s": (0.975, 235),
    },
    "fbnetv3": {
        "Asus ROG Phone 3": (0.860, 11.5),
        "Oppo A5": (0.902, 75),
        "Xiaomi Mi 8 Lite": (0.965, 28),
        "Samsung Galaxy S8+": (0.926, 23),
    },
}
FIELDS = [
    "device", "n", "r", "rmse_ms", "mae_ms", "mape", "within_10_percent", "spearman", "kendall",
    "rmse_reference_unit", "mae_reference_unit",
]  # fmt: skip


def ranks(values):
    """Ranks from 1, the mean of the places where values are equal."""
    _, place, count = numpy.unique(values, return_inverse=True, return_counts=True)
    return (numpy.cumsum(count) - (count - 1) / 2)[place]


def kendall_tau_b(x, y):
    sign_x, sign_y = (numpy.sign(v[:, None] - v[None, :]) for v in (x, y))
    return (sign_x * sign_y).sum() / numpy.sqrt((sign_x**2).sum() * (sign_y**2).sum())


def metrics(predicted, measured):
    error = predicted - measured
    return {
        "r": numpy.corrcoef(predicted, measured)[0, 1],
        "rmse_ms": numpy.sqrt((error**2).mean()),
        "mae_ms": abs(error).mean(),
        "mape": (abs(error) / measured).mean(),
        "within_10_percent": (abs(error) <= 0.1 * measured).mean(),
        "spearman": numpy.corrcoef(ranks(predicted), ranks(measured))[0, 1],
        "kendall": kendall_tau_b(predicted, measured),
        "rmse_reference_unit": numpy.sqrt((error**2).mean()) / 100,
        "mae_reference_unit": abs(error).mean() / 100,
    }


@pytest.mark.parametrize("space", BOUNDS)
def test_held_out_figures_of_every_unseen_phone_meet_their_bounds(space, data, root):
    report = run_json("test", "--search_space", space, "--data_path", data, "--holdout", root=root)
    assert report["holdout"] is True
    assert {d["device"] for d in report["devices"]} == set(BOUNDS[space])
    for device in report["devices"]:
        r, rmse_ms = BOUNDS[space][device["device"]]
        assert device["r"] >= r and device["rmse_ms"] <= rmse_ms, device


@pytest.mark.parametrize("mode", [[], ["--holdout"]])
@pytest.mark.parametrize("space", BOUNDS)
def test_reported_metrics_are_those_of_the_files(space, mode, data, root):
    report = run_json("test", "--search_space", space, "--data_path", data, *mode, root=root)
    for device in report["devices"]:
        measured = numpy.loadtxt(data / space / "latency" / f"{device['device']}.txt")
        predicted = numpy.loadtxt(root / "result" / space / f"{device['device']}_timepre.txt")
        assert device["n"] == len(measured) == len(predicted)
        for name, value in metrics(predicted, measured).items():
            assert device[name] == pytest.approx(value, rel=1e-7), name


@pytest.mark.parametrize("mode", [[], ["--holdout"]])
@pytest.mark.parametrize("space", BOUNDS)
def test_json_has_exactly_these_fields(space, mode, data, root):
    report = run_json("test", "--search_space", space, "--data_path", data, *mode, root=root)
    assert list(report) == ["search_space", "predictor", "holdout", "devices"]
    assert (report["search_space"], report["predictor"]) == (space, "cost")
    assert report["holdout"] is (mode == ["--holdout"])
    assert [d["device"] for d in report["devices"]] == sorted(UNSEEN_DEVICES[space])
    assert all(list(device) == FIELDS for device in report["devices"])


def test_table_has_one_line_a_device_with_the_numbers_of_the_json(data, root):
    arguments = ("test", "--search_space", "nasbench201", "--data_path", data)
    report = run_json(*arguments, root=root)
    done = run(*arguments, root=root)
    assert done.returncode == 0 and done.stderr == ""
    lines = done.stdout.splitlines()
    for device in report["devices"]:
        (line,) = [line for line in lines if line.startswith(device["device"])]
        assert f" 500  {device['r']:.4f}" in line and f" {device['rmse_ms']:.2f}" in line
    assert "held out" not in done.stdout and "held-out" not in done.stdout


def test_holdout_says_so(data, root):
    done = run("test", "--search_space", "fbnetv3", "--data_path", data, "--holdout", root=root)
    assert "each architecture is predicted by a model that never saw it (10-fold)" in done.stdout


def test_holdout_differs_from_the_model_that_saw_all(data, root):
    arguments = ("test", "--search_space", "fbnetv3", "--data_path", data)
    seen = run_json(*arguments, root=root)["devices"]
    held_out = run_json(*arguments, "--holdout", root=root)["devices"]
    assert all(s["rmse_ms"] != h["rmse_ms"] for s, h in zip(seen, held_out, strict=True))


def test_holdout_never_predicts_an_architecture_from_its_twin(small):
    """Every cell stands twice; folds by row would put the two into different folds, with different models."""
    space = small / "data" / "nasbench201"
    genes = numpy.loadtxt(space / "net.txt", int)
    a = numpy.loadtxt(space / "a.txt")
    write_rows(space / "net.txt", numpy.vstack([genes, genes]))
    write_rows(space / "a.txt", numpy.concatenate([a, a]))
    write_rows(space / "latency" / "Near.txt", numpy.concatenate([a, a]) * factor(A53))
    run_json("test", "--search_space", "nasbench201", "--holdout", root=small)
    predicted = numpy.loadtxt(small / "result" / "nasbench201" / "Near_timepre.txt")
    assert numpy.array_equal(predicted[:80], predicted[80:])


def test_prediction_file_has_full_precision_and_goes_row_for_row(small):
    run_json("test", "--search_space", "nasbench201", root=small)
    written = (small / "result" / "nasbench201" / "Near_timepre.txt").read_text()
    assert written.endswith("\n") and written.count("\n") == 80
    rows = (small / "data" / "nasbench201" / "net.txt").read_text().splitlines()
    hardware = ",".join(map(str, A53))
    reply = run_json("predict", "--search_space", "nasbench201", "--hardware", hardware, *rows, root=small)
    assert [float(w) for w in written.split()] == pytest.approx(reply["latency_ms"], rel=1e-8)
    assert max(len(w.replace(".", "").lstrip("0")) for w in written.split()) >= 16


def test_nothing_but_the_prediction_files_is_written(small):
    before = snapshot(small)
    run_json("test", "--search_space", "nasbench201", root=small)
    assert set(snapshot(small)) - set(before) == {"result/nasbench201/Near_timepre.txt"}


@pytest.mark.parametrize("path", ["elsewhere/nasbench201", "elsewhere"])
def test_data_path_is_the_spaces_folder_or_its_parent(path, small):
    (small / "data").rename(small / "elsewhere")
    report = run_json(
        "test", "--search_space", "nasbench201", "--data_path", small / path, "--test_devices", "Near", "--holdout",
        "--train_devices", "Far", root=small,
    )  # fmt: skip
    assert [d["device"] for d in report["devices"]] == ["Near"]


def test_folder_of_any_name_serves_as_the_spaces(small):
    (small / "data" / "nasbench201").rename(small / "my data")
    report = run_json("test", "--search_space", "nasbench201", "--data_path", small / "my data", root=small)
    assert [d["device"] for d in report["devices"]] == ["Near"]


def test_named_test_devices_keep_their_order(data, root):
    names = "Samsung Galaxy A10s,Huawei Mate 20"
    report = run_json("test", "--search_space", "nasbench201", "--data_path", data, "--test_devices", names, root=root)
    assert [d["device"] for d in report["devices"]] == names.split(",")


def test_test_device_with_a_folded_name_is_found(small):
    report = run_json("test", "--search_space", "nasbench201", "--test_devices", "nEAR", root=small)
    assert [d["device"] for d in report["devices"]] == ["Near"]


def test_training_devices_of_the_model_are_not_tested_by_default(small):
    run_json("train", "--search_space", "nasbench201", "--train_devices", "Near", root=small)
    latency = small / "data" / "nasbench201" / "latency"
    shutil.copy(latency / "Near.txt", latency / "Far.txt")
    report = run_json("test", "--search_space", "nasbench201", root=small)
    assert [d["device"] for d in report["devices"]] == ["Far"]
    said = refused(2, "test", "--search_space", "nasbench201", "--test_devices", "Near", root=small)
    assert "a device that was trained on is not unseen" in said


def test_users_own_device_works_in_test_and_predict(small):
    space = small / "data" / "nasbench201"
    (space / "hardware" / "Telefon Ä.txt").write_text("2.4\n8\n4\n25.6")
    latency = numpy.loadtxt(space / "latency" / "Near.txt") * factor((2.4, 8, 4, 25.6)) / factor(A53)
    write_rows(space / "latency" / "Telefon Ä.txt", latency)
    report = run_json("test", "--search_space", "nasbench201", root=small)
    assert [d["device"] for d in report["devices"]] == ["Near", "Telefon Ä"]
    assert report["devices"][0]["r"] == pytest.approx(report["devices"][1]["r"], rel=1e-6)
    assert (small / "result" / "nasbench201" / "Telefon Ä_timepre.txt").is_file()
    by_name = run_json("predict", "--search_space", "nasbench201", "--device", "Telefon Ä", "444244", root=small)
    by_numbers = run_json(
        "predict", "--search_space", "nasbench201", "--hardware", "2.4,8,4,25.6", "444244", root=small
    )
    assert by_name["latency_ms"] == by_numbers["latency_ms"]


def test_device_without_measurements_is_refused(small):
    said = refused(1, "test", "--search_space", "nasbench201", "--test_devices", "Far", root=small)
    assert 'no measured latencies of "Far"' in said


def test_missing_net_txt_tells_how_to_get_the_data(root):
    for command in (["train"], ["test", "--test_devices", "Oppo A5"], ["test", "--holdout"], ["test"]):
        said = refused(1, *command, "--search_space", "nasbench201", "--data_path", root / "none", root=root)
        assert "make data FROM=<a copy of the reference's data>" in said


def test_pt_path_stands_for_its_safetensors_sibling(small):
    path = small / "result" / "nasbench201" / "pretrainmodel"
    arguments = ("test", "--search_space", "nasbench201", "--json")
    plain = run(*arguments, root=small)
    for ending in (".pt", ".pth"):
        done = run(*arguments, "--load_path", f"{path}{ending}", root=small)
        assert (done.returncode, done.stdout) == (0, plain.stdout)
        assert done.stderr == f"dgld: {path}{ending} does not exist; using {path}.safetensors\n"


def test_pt_path_without_sibling_is_refused(small):
    said = refused(1, "test", "--search_space", "nasbench201", "--load_path", small / "none.pt", root=small)
    assert "none.safetensors" in said and "dgld train" in said


def test_absent_predictor_says_what_to_do(small):
    (small / "result" / "nasbench201" / "pretrainmodel.safetensors").unlink()
    assert "dgld train" in refused(1, "test", "--search_space", "nasbench201", root=small)


def test_holdout_needs_no_trained_predictor(small):
    (small / "result" / "nasbench201" / "pretrainmodel.safetensors").unlink()
    assert run_json("test", "--search_space", "nasbench201", "--holdout", root=small)["holdout"] is True


def meta(content):
    """The model's metadata, without the checksum that would tell first."""
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return {key: value for key, value in header["__metadata__"].items() if key != "sha256"}


def rebuilt(content, tensors=None, **changed):
    """The model with other tensors or metadata."""
    return safetensors.numpy.save(safetensors.numpy.load(content) | (tensors or {}), meta(content) | changed)


def flipped(content):
    return content[:-20] + bytes([content[-20] ^ 1]) + content[-19:]


BAD_MODELS = {
    "empty": (lambda c: b"", "0 bytes are too few"),
    "cut in the header": (lambda c: c[:100], "header's length"),
    "cut in the tensors": (lambda c: c[:-1], "lies outside of the file"),
    "too long": (lambda c: c + b"\0", "1 bytes follow the last tensor"),
    "a flipped bit": (flipped, "damaged"),
    "text": (lambda c: b"these are not the tensors you look for", "header's length"),
    "a header that is no JSON": (lambda c: (4).to_bytes(8, "little") + b"oops", "not a JSON object"),
    "a huge header": (lambda c: b"\xff" * 8 + c[8:], "header's length"),
    "another format": (lambda c: rebuilt(c, format="other"), "format must be dgld-predictor-1, not other"),
    "no metadata": (lambda c: safetensors.numpy.save({"x": numpy.zeros(3)}), "metadata"),
    "another kind": (lambda c: rebuilt(c, kind="magic"), 'no predictor of kind "magic"'),
    "another space": (lambda c: rebuilt(c, search_space="fbnetv3"), "not nasbench201"),
    "a bad version": (lambda c: rebuilt(c, version="../x"), "version"),
    "a bad seed": (lambda c: rebuilt(c, seed="-1"), "seed"),
    "bad devices": (lambda c: rebuilt(c, train_devices="[1]"), "train_devices"),
    "another shape": (lambda c: rebuilt(c, {"coefficients": numpy.zeros(3)}), "coefficients"),
    "NaN": (lambda c: rebuilt(c, {"noise_scale": numpy.array([numpy.nan])}), "noise_scale"),
    "infinity": (lambda c: rebuilt(c, {"noise_scale": numpy.array([numpy.inf])}), "noise_scale"),
    "a missing tensor": (lambda c: safetensors.numpy.save({"noise_scale": numpy.ones(1)}, meta(c)), "coefficients"),
    "another type": (lambda c: rebuilt(c, {"noise_scale": numpy.array([1], numpy.int64)}), "noise_scale"),
}


@pytest.mark.parametrize("name", BAD_MODELS)
def test_malformed_model_is_refused_with_the_reason(name, small):
    change, reason = BAD_MODELS[name]
    file = small / "result" / "nasbench201" / "pretrainmodel.safetensors"
    file.write_bytes(change(file.read_bytes()))
    before = snapshot(small)
    said = refused(1, "test", "--search_space", "nasbench201", root=small)
    assert said.startswith(f"dgld: {file}: ") and reason in said
    hardware = ("--hardware", "2,3,1,7.46")
    assert reason in refused(1, "predict", "--search_space", "nasbench201", *hardware, "444244", root=small)
    assert snapshot(small) == before


def test_model_that_was_only_rewritten_is_taken(small):
    file = small / "result" / "nasbench201" / "pretrainmodel.safetensors"
    plain = run_json("test", "--search_space", "nasbench201", root=small)
    file.write_bytes(rebuilt(file.read_bytes()))
    assert run_json("test", "--search_space", "nasbench201", root=small) == plain


def test_malformed_predictor_is_replaced_by_training(small):
    file = small / "result" / "nasbench201" / "pretrainmodel.safetensors"
    file.write_bytes(b"broken")
    trained = run_json("train", "--search_space", "nasbench201", root=small)
    assert trained["version"].encode() in file.read_bytes()
    run_json("test", "--search_space", "nasbench201", root=small)


def test_naming_other_training_devices_does_not_make_a_trained_one_unseen(small):
    run_json("train", "--search_space", "nasbench201", "--train_devices", "Near", root=small)
    command = ["test", "--search_space", "nasbench201", "--train_devices", "Far", "--test_devices", "Near"]
    assert "Near is both a training device and a test device" in refused(2, *command, root=small)
    assert run_json(*command, "--holdout", root=small)["holdout"] is True, "its own models learn from Far"
