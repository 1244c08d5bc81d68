"""A small disk that is full: a file system in memory, in a namespace of a user's own, so that it takes no privilege
where such namespaces are allowed. What is written into the root is refused cleanly, the rest goes on, and when there
is room again all of it works and nothing is torn. (test_jobs_faults.py has the same of jobs that run.)"""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest
from job_tools import SPACE, Daemon, add_search_table, check_whole, files_of, nas, order, tree
from safetensors import safe_open
from test_jobs_faults import full_disk

ASKED = {"search_space": SPACE, "hardware": [2, 3, 1, 7.46], "architectures": ["444244"]}
SHEET = {"hardware": {"frequency_ghz": 2.0, "dispatch_width": 3, "cache_mb": 1, "memory_bandwidth_gbs": 7.46}}
ROWS = {"architectures": ["444244", "111111"] * 300, "latency_ms": [4600.0, 1900.0] * 300}
DECLARED = {"about": "a space " * 20, "genes": [{"name": "layer", "first": 1, "n_values": 4, "repeat": 6}]}
WRITES = [
    ("PUT", "/v1/devices/Own", SHEET, (201, 200)),
    ("PUT", f"/v1/devices/Own/measurements/{SPACE}", ROWS, (201, 200)),
    ("PUT", "/v1/spaces/own", DECLARED, (201, 200)),
    ("POST", "/v1/jobs", nas(), (202,)),
    ("POST", "/v1/jobs", order("train", predictor="cost"), (202,)),
]
# In the namespace: the disk at the place, and this very test as a program of its own.
INSIDE = 'mount -t tmpfs -o size=8m tmpfs "$1" && exec "$2" -m pytest -p no:cacheprovider -q "$3"'


def enter(place, test):
    """Runs a test of this file where its disk is; the same as the test itself, to who is privileged and to who is not."""
    environment = dict(os.environ, FAULTS_DISK=str(place))
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec", INSIDE, "sh", place, sys.executable, f"{__file__}::{test}"]
    return subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, timeout=300)


def test_a_full_disk_refuses_what_writes_and_nothing_else(request, small, tmp_path_factory):
    if "FAULTS_DISK" not in os.environ:
        place = tmp_path_factory.mktemp("disk")
        if subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "true"], capture_output=True).returncode != 0:
            pytest.skip("this machine has no namespaces for users")
        done = enter(place, request.node.name)
        assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout + done.stderr
        return
    root = pathlib.Path(os.environ["FAULTS_DISK"])
    add_search_table(small)
    shutil.copytree(small, root, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*mlp*", "fbnetv3"))
    daemon = Daemon(root, "--job-workers", 3).start()
    kept = daemon.wait(daemon.submit(nas(export=[]))["id"])
    for method, path, body, wanted in WRITES[:3]:
        assert daemon.request(method, path, json=body).status_code in wanted
    before = {path: daemon.request("GET", path).json() for _, path, _, _ in WRITES[:3]}
    with full_disk(daemon):
        for method, path, body, _ in WRITES * 2:
            reply = daemon.request(method, path, json=body)
            # what fits into a page that is there may be written still, and is whole then
            assert reply.status_code in (503, 200, 202), reply.text
            assert reply.ok or reply.headers["Content-Type"] == "application/problem+json" and str(root) not in reply.text
            assert daemon.request("POST", "/v1/predict", json=ASKED).status_code == 200
        assert {path: daemon.request("GET", path).json() for path in before} == before
        assert daemon.job(kept["id"]) == kept
    for job in daemon.jobs():
        job = daemon.wait(job["id"])
        if job["state"] == "succeeded":
            check_whole(root, job)
        else:
            assert job["error"] and files_of(root, job["id"]) == [], job
    for method, path, body, wanted in WRITES:
        assert daemon.request(method, path, json=body).status_code in wanted
    for job in daemon.jobs():
        assert daemon.wait(job["id"])["state"] in ("succeeded", "failed")
    assert daemon.stop() == 0
    check_files(root)
    daemon.start()
    assert daemon.job(kept["id"]) == kept
    assert daemon.stop() == 0


def check_files(root):
    """None is torn, and none is left that was in the making."""
    assert [name for name in tree(root) if name.endswith(".tmp")] == []
    for path in [*root.rglob("*.json"), *root.rglob("*.safetensors")]:
        if path.suffix == ".json":
            json.loads(path.read_text())
        else:
            with safe_open(path, "numpy") as model:
                assert list(model.keys())
