"""Prints the comparison of the README: both predictors on devices that no training saw, on architectures
that were trained on and on held-out ones, beside the figures that the reference published.

Trains and tests in a folder of its own; nothing in the tree is touched. Needs Python alone."""

import argparse
import json
import pathlib
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = ROOT / "build" / "dgld"

# R, RMSE ms, MAE ms from the reference's published prediction files (in whole hundreds of ms, so 50 ms were
# added to each), on architectures that it had mostly trained on.
REFERENCE = {
    "nasbench201": {
        "Huawei Mate 20": (0.920, 75, 52),
        "Samsung Galaxy A10s": (0.904, 390, 260),
        "Xiaomi Redmi 5 Plus": (0.918, 442, 333),
        "Sony Xperia XZ2": (0.877, 206, 165),
        "Motorola Moto E6s": (0.901, 395, 308),
    },
    "fbnetv3": {
        "Asus ROG Phone 3": (0.639, 40, 38),
        "Oppo A5": (0.838, 90, 68),
        "Xiaomi Mi 8 Lite": (0.826, 42, 34),
        "Samsung Galaxy S8+": (0.760, 42, 33),
    },
}


def figures(root, data, space, *arguments):
    """{device: "R / RMSE / MAE"} of one test."""
    command = [BINARY, "test", "--root", root, "--data_path", data, "--search_space", space, "--json", *arguments]
    command += ["--test_devices", ",".join(REFERENCE[space])]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return {d["device"]: cell(d["r"], d["rmse_ms"], d["mae_ms"]) for d in report["devices"]}


def cell(r, rmse, mae):
    return f"{r:.3f} / {rmse:.3g} / {mae:.3g}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default=ROOT.parent / "shared" / "data" / "dgl")
    parser.add_argument("--epoch", default="50000", help="epochs of mlp")
    arguments = parser.parse_args()
    mlp = ["--predictor", "mlp", "--epoch", arguments.epoch]

    with tempfile.TemporaryDirectory() as root:
        (pathlib.Path(root) / "data").mkdir()
        (pathlib.Path(root) / "data" / "devices").symlink_to(ROOT / "data" / "devices")
        print("| space | device | reference, seen | mlp, seen | mlp, held out | cost, seen | cost, held out |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        for space, published in REFERENCE.items():
            train = [BINARY, "train", "--root", root, "--data_path", arguments.data, "--search_space", space]
            subprocess.run(train, check=True, capture_output=True)
            subprocess.run([*train, *mlp, "--name", "mlp"], check=True, capture_output=True)
            columns = [
                figures(root, arguments.data, space, "--model", "mlp"),
                figures(root, arguments.data, space, "--holdout", *mlp),
                figures(root, arguments.data, space),
                figures(root, arguments.data, space, "--holdout"),
            ]
            for device, row in published.items():
                print("|", " | ".join([space, device, cell(*row), *(c[device] for c in columns)]), "|", flush=True)


if __name__ == "__main__":
    main()
