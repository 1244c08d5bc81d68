"""Keeps a daemon busy with all that it does at the same time, and looks whether it grows: resident memory and open
descriptors every second.

    soak.py --time 1800 [--log FILE]      half an hour; a line every ten seconds, and the verdict

What is flat: the last third of the samples is at most 2 % above the second third, in memory and in descriptors, both
in what is held between jobs (the 10th percentile) and in what is held while several run (the 90th); the median is
either of them by chance. The first third is the warm-up: caches fill, and the allocator's arenas reach their size.
"""

import argparse
import collections
import itertools
import json
import pathlib
import shutil
import statistics
import struct
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "api"), str(ROOT / "tests" / "support")]

import requests  # noqa: E402
from conftest import make_root, make_small  # noqa: E402
from faults import n_descriptors, resident_bytes  # noqa: E402
from job_tools import SPACE, Daemon, add_search_table, add_unseen_device, follow, mlp, nas, order  # noqa: E402

SAMPLE_S, TOLD_EACH = 1, 10  # seconds, samples
FLAT = 1.02
PERCENTILES = (10, 90)
PAUSE_S = 0.01  # between requests of a client: the load is mixed, not full
ORDERS = [
    order("train", predictor="cost", activate=True, force=True),
    mlp(3),
    order("test", test_devices=["Other"]),
    nas(),
    nas(objective="pareto", export=[]),
]
DECLARED = {"about": "a space that comes and goes", "genes": [{"name": "layer", "first": 1, "n_values": 4, "repeat": 6}]}
SHEET = {"hardware": {"frequency_ghz": 2.0, "dispatch_width": 3, "cache_mb": 1, "memory_bandwidth_gbs": 7.46}}
MEASURED = {"architectures": ["444244", "111111", "535353"], "latency_ms": [4600.0, 1900.0, 3100.0]}


class Soak:
    """Clients, each a thread that asks until it is told to end; what goes wrong is kept."""

    def __init__(self, daemon):
        self.daemon, self.is_over = daemon, threading.Event()
        self.n, self.wrong = collections.Counter(), []
        self.versions = []

    def ask(self, session, method, path, wanted=(200, 201, 202, 204), **keywords):
        reply = session.request(method, self.daemon.url + path, timeout=120, **keywords)
        if reply.status_code not in wanted:
            self.wrong.append(f"{method} {path}: {reply.status_code} {reply.text[:200]}")
        self.n[f"{method} {path.split('?')[0].split('/')[2] if path.count('/') > 1 else path}"] += 1
        return reply

    def predict(self, session):
        body = {"search_space": SPACE, "hardware": [2, 3, 1, 7.46]}
        for n in (1, 1, 1, 16, 2000):
            self.ask(session, "POST", "/v1/predict", json=body | {"architectures": ["444244"] * n, "interval": 0.9})

    def predict_mlp(self, session):
        body = {"search_space": SPACE, "device": "Other", "model": "mlp", "architectures": ["444244"] * 8}
        self.ask(session, "POST", "/v1/predict", json=body)

    def infer(self, session):
        """Binary tensors, in and out."""
        n = 4096
        genes, hardware = bytes([4, 4, 4, 2, 4, 4]) * n, struct.pack("<4f", 2, 3, 1, 7.46)
        head = json.dumps({
            "inputs": [
                {"name": "architecture", "datatype": "UINT8", "shape": [n, 6], "parameters": {"binary_data_size": len(genes)}},
                {"name": "hardware", "datatype": "FP32", "shape": [4], "parameters": {"binary_data_size": len(hardware)}},
            ],
            "outputs": [{"name": "latency_ms", "parameters": {"binary_data": True}}],
        }).encode()  # fmt: skip
        headers = {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}
        self.ask(session, "POST", f"/v2/models/{SPACE}/infer", data=head + genes + hardware, headers=headers)

    def look(self, session):
        for path in ("/metrics", "/readyz", "/v1/spaces", "/v1/devices", "/v1/models", "/v1/jobs", "/v1/results/" + SPACE,
                     "/openapi.json", "/", "/docs", f"/v1/spaces/{SPACE}/architectures/444244", "/v2/models/stats"):  # fmt: skip
            self.ask(session, "GET", path, stream=False)

    def write(self, session):
        self.ask(session, "PUT", "/v1/spaces/passing", json=DECLARED)
        self.ask(session, "PUT", "/v1/devices/Passing", json=SHEET)
        self.ask(session, "PUT", f"/v1/devices/Passing/measurements/{SPACE}", json=MEASURED)
        self.ask(session, "POST", "/v1/predict", json={"search_space": SPACE, "device": "Passing", "architectures": ["444244"]})
        self.ask(session, "DELETE", f"/v1/devices/Passing/measurements/{SPACE}")
        self.ask(session, "DELETE", "/v1/devices/Passing")
        self.ask(session, "DELETE", "/v1/spaces/passing")

    def swap(self, session):
        for version in self.versions:
            self.ask(session, "POST", f"/v1/models/{SPACE}/activate", json={"version": version})
            time.sleep(0.2)

    def work(self, session, numbers=itertools.count()):
        """A job, followed by its events to its end, and removed: every other one by the service itself."""
        number = next(numbers)
        made = self.ask(session, "POST", "/v1/jobs", json=ORDERS[number % len(ORDERS)])
        if made.status_code != 202:
            return
        id = made.json()["id"]
        last = None
        for kind, _, data in follow(self.daemon, id, timeout=120):
            last = data if kind == "job" else last
        if not last or last["state"] != "succeeded":
            self.wrong.append(f"job {ORDERS[number % len(ORDERS)]}: {last}")
        if number % 2:
            self.ask(session, "DELETE", f"/v1/jobs/{id}")

    def cancel(self, session):
        made = self.ask(session, "POST", "/v1/jobs", json=mlp(10**8)).json()
        time.sleep(0.5)
        self.ask(session, "POST", f"/v1/jobs/{made['id']}/cancel")
        self.daemon.wait(made["id"])

    def refused(self, session):
        self.ask(session, "POST", "/v1/predict", wanted=(400,), data=b"{", headers={"Content-Type": "application/json"})
        self.ask(session, "GET", "/v1/nothing", wanted=(404,))
        self.ask(session, "POST", "/v1/jobs", wanted=(422,), json={"kind": "train", "search_space": "nothing", "params": {}})

    def run(self, client):
        """Connections are kept for a while, and then begun anew."""
        while not self.is_over.is_set():
            with requests.Session() as session:
                for _ in range(50):
                    if self.is_over.is_set():
                        return
                    try:
                        client(session)
                    except Exception as failure:  # tells the verdict
                        self.wrong.append(repr(failure))
                        time.sleep(1)
                    if len(self.wrong) > 100:
                        return
                    time.sleep(PAUSE_S)

    def clients(self):
        return [self.predict, self.predict, self.predict_mlp, self.infer, self.look, self.write, self.swap, self.work, self.work,
                self.cancel, self.refused]  # fmt: skip


def make_soak(root):
    """A daemon with two models to swap; ended jobs are few, so that the store does not grow."""
    root.mkdir()
    make_root(root)
    make_small(root)
    add_search_table(root)
    add_unseen_device(root)
    shutil.copy(ROOT / "result" / SPACE / "accuracymodel.safetensors", root / "result" / SPACE)
    daemon = Daemon(root, "--job-workers", 3, "--job-ended-max", 50).start()
    soak = Soak(daemon)
    first = daemon.request("GET", f"/v1/spaces/{SPACE}").json()["model"]["version"]
    job = daemon.wait(daemon.submit(order("train", predictor="cost"))["id"])
    soak.versions = [first, job["result"]["version"]]
    return soak


def sample(soak, seconds, log):
    """Pairs of resident bytes and descriptors."""
    samples, n_told, began = [], 0, time.monotonic()
    pid = soak.daemon.process.pid
    while time.monotonic() < began + seconds and soak.daemon.process.poll() is None and len(soak.wrong) <= 100:
        time.sleep(min(SAMPLE_S, seconds / 300))
        samples.append((resident_bytes(pid), n_descriptors(pid)))
        if len(samples) % TOLD_EACH != 0:
            continue
        print(f"{time.monotonic() - began:7.1f} s  {samples[-1][0] / 2**20:8.2f} MiB  {samples[-1][1]:4} descriptors  "
              f"{sum(soak.n.values()):8} requests  {len(soak.wrong)} wrong", *soak.wrong[n_told:], sep="\n    ", file=log, flush=True)  # fmt: skip
        n_told = len(soak.wrong)
    return samples


def growth(values):
    """By how much the last third is above the second: 1 where it is as high."""
    third = len(values) // 3
    before, after = (statistics.quantiles(part, n=100) for part in (values[third : 2 * third], values[2 * third :]))
    return max(after[percentile - 1] / before[percentile - 1] for percentile in PERCENTILES)


def run_soak(root, seconds, log=sys.stdout):
    """Returns (growth of memory, growth of descriptors, what went wrong, requests by kind, exit code)."""
    soak = make_soak(root)
    threads = [threading.Thread(target=soak.run, args=(client,)) for client in soak.clients()]
    for thread in threads:
        thread.start()
    samples = sample(soak, seconds, log)
    soak.is_over.set()
    for thread in threads:
        thread.join()
    code = soak.daemon.stop()
    memory, descriptors = (growth([s[i] for s in samples]) for i in (0, 1))
    return memory, descriptors, soak.wrong, soak.n, code


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--time", type=float, default=1800, help="seconds")
    parser.add_argument("--log", type=argparse.FileType("w"), default=sys.stdout)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        memory, descriptors, wrong, n, code = run_soak(pathlib.Path(directory) / "root", arguments.time, arguments.log)
    for name, count in sorted(n.items()):
        print(f"{count:9} {name}", file=arguments.log)
    print(f"memory {100 * (memory - 1):+.2f} %, descriptors {100 * (descriptors - 1):+.2f} %, {len(wrong)} wrong, exit code {code}", file=arguments.log)
    for sentence in wrong[:10]:
        print(sentence, file=arguments.log)
    return 0 if memory <= FLAT and descriptors <= FLAT and not wrong and code == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
