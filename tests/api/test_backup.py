"""dgld backup: what it copies of a service that works meanwhile, and what a start from the copy brings back."""

import contextlib
import itertools
import json
import resource
import shutil
import sqlite3
import subprocess
import threading
import time

import pytest
import requests
from conftest import BINARY, ROOT, make_root, make_small, refused, run, run_json, snapshot
from job_tools import SPACE, Daemon, add_search_table, check_whole, mlp, nas, order

PREDICTION = {"search_space": SPACE, "hardware": [2.0, 3, 1, 7.46], "architectures": ["444244", "111111", "535353"]}
DECLARED = {"genes": [{"name": "layer", "first": 1, "n_values": 9, "repeat": 4}]}
STORE = "result/.jobs.sqlite"


def check_sums(folder):
    done = subprocess.run(["sha256sum", "--check", "--quiet", "--strict", "SHA256SUMS"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    listed = {line.split("  ", 1)[1] for line in (folder / "SHA256SUMS").read_text().splitlines()}
    there = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and not p.is_symlink()}
    assert listed == there - {"SHA256SUMS"}


class Client(threading.Thread):
    """Does one thing after the other, as long as it may, and keeps what was acknowledged."""

    def __init__(self, daemon, step):
        super().__init__()
        self.daemon_process, self.step, self.done, self.error, self.is_over = daemon, step, [], None, False

    def run(self):
        try:
            for i in itertools.count():
                if self.is_over:
                    return
                self.done.append(self.step(self.daemon_process, i))
        except Exception as error:  # told by the test's own thread
            self.error = error


def submit(daemon, i):
    time.sleep(0.1)
    orders = [nas(seed=i), order("train", predictor="cost", seed=i, activate=i % 8 == 1), nas(seed=i), mlp(300, seed=i)]
    return daemon.submit(orders[i % 4], **{"Idempotency-Key": f"key-{i}"})["id"]


def measure(daemon, i):
    """Another device each time, and a sheet of it."""
    name = f"Phone {i}"
    table = {"architectures": ["444244", "111111"], "latency_ms": [900.5 + i, 100.25 + i]}
    sheet = {"hardware": {"frequency_ghz": 2 + i / 1000, "dispatch_width": 3, "cache_mb": 1, "memory_bandwidth_gbs": 7.46}}
    for path, body in ((f"/v1/devices/{name}", sheet), (f"/v1/devices/{name}/measurements/{SPACE}", table)):
        reply = daemon.request("PUT", path, json=body)
        assert reply.status_code in (200, 201), reply.text
    return name, {path: daemon.request("GET", path).json() for path in (f"/v1/devices/{name}", f"/v1/devices/{name}/measurements/{SPACE}")}


def test_backup_of_a_working_service_brings_back_all_that_was_acknowledged(tmp_path):
    root = tmp_path / "root"
    make_small_with_searches(root)
    daemon = Daemon(root).start()
    clients = [Client(daemon, step) for step in (submit, measure)]
    try:
        assert daemon.request("PUT", "/v1/spaces/own", json=DECLARED).status_code in (200, 201)
        for client in clients:
            client.start()
        deadline = time.monotonic() + 30
        while sum(job["state"] == "succeeded" for job in daemon.jobs()) < 8 or len(clients[1].done) < 8:
            assert time.monotonic() < deadline and all(client.error is None for client in clients), clients
        ids, measured = list(clients[0].done), list(clients[1].done)
        before = {job["id"]: job for job in daemon.jobs()}
        told = run_json("backup", tmp_path / "copy", root=root)
        after = len(clients[0].done)
        time.sleep(0.1)
    finally:
        for client in clients:
            client.is_over = True
            client.join()
        daemon.kill()
    assert all(client.error is None for client in clients) and set(ids) <= set(before)
    assert len(ids) <= told["jobs"] <= after + 1 and told["directory"] == str(tmp_path / "copy")
    check_sums(tmp_path / "copy")
    again = shutil.copytree(tmp_path / "copy", tmp_path / "again")
    shutil.rmtree(root)  # nothing is taken from there
    restored = Daemon(again).start()
    try:
        for id in ids:  # those that had ended are as they were; the others go on to their end
            job = restored.wait(id, limit_s=120)
            assert job["state"] == "succeeded", job
            if before[id]["state"] == "succeeded":
                assert job == before[id]
            check_whole(again, job)
        for _, replies in measured:
            for path, reply in replies.items():
                assert restored.request("GET", path).json() == reply
        assert restored.request("GET", "/v1/spaces/own").status_code == 200
        repeated = restored.request("POST", "/v1/jobs", json=nas(seed=0), headers={"Idempotency-Key": "key-0"})
        assert repeated.status_code == 200 and repeated.json()["id"] == ids[0]
        reply = restored.request("POST", "/v1/predict", json=PREDICTION)
        known = {version["version"] for version in restored.request("GET", f"/v1/models/{SPACE}").json()["versions"]}
        assert reply.status_code == 200 and reply.json()["model"]["version"] in known
    finally:
        assert restored.stop() == 0


def make_small_with_searches(root):
    root.mkdir()
    make_root(root)
    make_small(root)
    add_search_table(root)


def test_backup_holds_the_tree_as_it_is(root, tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("backup")
    (root / "tls").mkdir()
    (root / "config" / "spaces").mkdir(parents=True)
    (root / "config" / "spaces" / "own.json").write_text(json.dumps(DECLARED))
    (root / "config" / "key.pem").write_text("secret")
    (root / "config" / "odd \\ name\n.txt").write_text("x")
    (root / "config" / "dgld.json").write_text('{"tls_key_file": "config/key.pem", "tls_certificate_file": "c.pem"}')
    (root / "result" / SPACE / ".model.1.2.tmp").write_text("half of it")
    (root / "result" / "elsewhere").symlink_to("/nowhere")
    (root / "other.txt").write_text("not the service's")
    (root / "data" / "devices" / "Huawei Mate 20.json").chmod(0o640)
    told = run("backup", tmp_path / "copy", root=root)
    assert told.returncode == 0 and "1 symbolic links" in told.stderr, told
    copied = snapshot(tmp_path / "copy")
    expected = snapshot(root)
    for left_out in ("tls", "config/key.pem", f"result/{SPACE}/.model.1.2.tmp", "other.txt"):
        del expected[left_out]
    sums = copied.pop("SHA256SUMS")
    assert copied == expected
    assert rb"config/odd \\ name\n.txt" in sums
    check = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=tmp_path / "copy", capture_output=True)
    assert check.returncode == 0, check
    assert (tmp_path / "copy" / "result" / "elsewhere").is_symlink()
    for path in ("data/devices/Huawei Mate 20.json", f"result/{SPACE}/pretrainmodel.safetensors"):
        ours, theirs = (tmp_path / "copy" / path).stat(), (root / path).stat()
        assert (ours.st_mode, ours.st_mtime_ns) == (theirs.st_mode, theirs.st_mtime_ns)


def test_no_private_key_is_copied_whoever_knows_of_it(root, tmp_path):
    """Keys that the settings below the root do not name: the service has them by flags, or will have them next."""
    line = b"-----BEGIN %sPRIVATE KEY-----\n"
    keys = {
        "config/key.pem.next": line % b"",
        "config/tls/ec": b"Bag Attributes\n\tfriendlyName: x\n" + line % b"EC ",
        "config/tls/both.pem": b"-----BEGIN CERTIFICATE-----\r\n" + b"A" * 65500 + b"\r\n  " + line % b"RSA ",
        "data/late": b"x\n" * 131040 + line % b"ENCRYPTED ",
        "result/short": line[:-1] % b"",
    }
    others = {
        "config/cert.pem": b"-----BEGIN CERTIFICATE-----\n-----BEGIN PUBLIC KEY-----\n",
        "config/about.json": b'{"about":\n"-----BEGIN PRIVATE KEY-----"}',
        "config/empty": b"",
        "data/end": b"-----END PRIVATE KEY-----\n",
        "data/large": line % b"" + b"x" * (1 << 20),
    }
    for path, content in (keys | others).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    told = run("backup", tmp_path / "copy", root=root)
    assert told.returncode == 0 and f"{len(keys)} files with a private key are not in the backup" in told.stderr, told
    copied = snapshot(tmp_path / "copy")
    assert not keys.keys() & copied.keys() and others.items() <= copied.items()
    assert not any(path.encode() in copied["SHA256SUMS"] for path in keys)


@pytest.mark.parametrize("setting", ["result/.jobs.sqlite", "result/deep/er/jobs", "absolute", "../jobs"])
def test_the_store_is_copied_wherever_it_is(setting, tmp_path, start):
    root = tmp_path / "root"
    make_small_with_searches(root)
    (root / "result" / "deep" / "er").mkdir(parents=True)
    setting = str(tmp_path / "abs") if setting == "absolute" else setting
    daemon = start(root, "--job-store", setting)
    reply = requests.post(daemon.url + "/v1/jobs", json=nas(), headers={"Prefer": "wait=10"}, timeout=30)
    assert reply.status_code == 200, reply.text
    told = run_json("backup", tmp_path / "copy", "--job-store", setting, root=root)
    assert told["jobs"] == 1
    kept = setting if setting.startswith("result/") else STORE
    with contextlib.closing(sqlite3.connect(tmp_path / "copy" / kept)) as store:
        assert store.execute("SELECT id, state FROM jobs").fetchall() == [(reply.json()["id"], "succeeded")]
    assert [p.name for p in (tmp_path / "copy" / kept).parent.glob(f"{(tmp_path / kept).name}*")] == [(tmp_path / kept).name]
    assert (tmp_path / "copy" / kept).stat().st_mode & 0o777 == 0o600
    check_sums(tmp_path / "copy")


def test_backup_that_fails_leaves_nothing(root, tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("backup")
    there = tmp_path / "there"
    there.mkdir()
    assert "is there already" in refused(1, "backup", there, root=root)
    before = snapshot(tmp_path)
    assert "cannot create the directory" in refused(1, "backup", tmp_path / "no" / "such", root=root)
    assert "backup needs the directory to make" in refused(2, "backup", root=root)

    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    command = [str(BINARY), "backup", str(tmp_path / "copy"), "--root", str(root)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, preexec_fn=small_files)
    assert done.returncode == 1 and "File too large" in done.stderr and done.stdout == ""
    assert snapshot(tmp_path) == before


def test_backup_of_a_damaged_or_foreign_store_is_refused(root, tmp_path):
    with contextlib.closing(sqlite3.connect(root / STORE)) as store:
        store.execute("CREATE TABLE mine (x)")
        store.commit()
    assert "a database of another program's" in refused(1, "backup", tmp_path / "copy", root=root)
    (root / STORE).write_bytes(b"no database" * 1000)
    assert "is damaged" in refused(1, "backup", tmp_path / "copy", root=root)
    assert not list(tmp_path.glob("copy*"))
