"""Disks that are full, files that are not what they should be: what becomes of jobs, and of everything else."""

import contextlib
import pathlib
import resource
import shutil
import sqlite3
import subprocess
import time

import pytest
from conftest import make_root, run
from job_tools import SPACE, Daemon, add_search_table, add_unseen_device, check_whole, files_of, mlp, nas, order

STORE = "result/.jobs.sqlite"
ASKED = {"search_space": SPACE, "hardware": [2, 3, 1, 7.46], "architectures": ["444244"]}


def can_mount():
    """Whether a test may have a small disk of its own, which takes a privilege that not every machine gives."""
    folder = pathlib.Path("/tmp/dgld-test-mount")
    folder.mkdir(exist_ok=True)
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], capture_output=True).returncode != 0:
        return False
    return subprocess.run(["umount", folder], capture_output=True).returncode == 0


@contextlib.contextmanager
def file_limit(daemon):
    """No file may be written: what a full disk is to a process, wherever its files are."""
    hard = resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (hard, hard))


@contextlib.contextmanager
def full_disk(daemon):
    """The disk that the root is on is full to the last byte."""
    filler = daemon.root / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"\0" * size)
    try:
        yield
    finally:
        filler.unlink()


FAULTS = {"limit": file_limit} | ({"disk": full_disk} if can_mount() else {})


@pytest.fixture
def small_root(small):
    add_search_table(small)
    add_unseen_device(small)
    return small


@pytest.fixture(params=FAULTS)
def faulty(request, small_root, tmp_path_factory):
    """A daemon, and what makes its disk fail."""
    root = small_root
    if request.param == "disk":
        root = tmp_path_factory.mktemp("disk")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", root], check=True)
        # what is shipped, and networks as files, have no place on so small a disk
        shutil.copytree(small_root, root, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*mlp*", "fbnetv3"))
    daemon = Daemon(root, "--job-workers", 3).start()
    yield daemon, FAULTS[request.param]
    try:
        assert daemon.stop() == 0
    finally:
        if request.param == "disk":
            subprocess.run(["umount", root], check=True)


def ready(daemon):
    reply = daemon.request("GET", "/readyz")
    assert reply.status_code == 200, "it predicts, whatever becomes of jobs"
    return reply.json()


def wait_for_status(daemon, status, limit_s=15):
    deadline = time.monotonic() + limit_s
    while (told := ready(daemon))["status"] != status:
        assert time.monotonic() < deadline, told
        time.sleep(0.05)
    return told


def predicts(daemon):
    return daemon.request("POST", "/v1/predict", json=ASKED).status_code == 200


@pytest.mark.cost
def test_a_full_disk_holds_jobs_up_and_nothing_else(faulty):
    """The job's end can be neither written nor stored; both are made up for."""
    daemon, fault = faulty
    early = daemon.wait(daemon.submit(nas(export=[]))["id"])
    id = daemon.submit(mlp(100_000))["id"]
    daemon.wait_for_stage(id, "training")
    with fault(daemon):
        told = wait_for_status(daemon, "degraded")
        assert "job" in told["detail"] and str(daemon.root) not in told["detail"]
        deadline = time.monotonic() + 4
        while time.monotonic() < deadline:  # it ends, or tries to
            assert predicts(daemon)
            time.sleep(0.1)
        refused = daemon.request("POST", "/v1/jobs", json=nas())
        assert refused.status_code == 503, refused.text
        assert str(daemon.root) not in refused.text
        assert "\ndgld_job_store_up 0\n" in daemon.request("GET", "/metrics").text
        assert daemon.job(early["id"]) == early and len(daemon.jobs()) == 2, "what was stored can be read"
    assert wait_for_status(daemon, "ready") == {"status": "ready"}
    assert "\ndgld_job_store_up 1\n" in daemon.request("GET", "/metrics").text
    job = daemon.wait(id)
    assert job["state"] == "succeeded" or "space" in job["error"] or "large" in job["error"], job
    if job["state"] == "succeeded":
        check_whole(daemon.root, job)
    else:
        assert files_of(daemon.root, id) == []
    late = daemon.wait(daemon.submit(nas(export=[]))["id"])
    assert late["state"] == "succeeded"
    check_whole(daemon.root, late)
    assert not list(daemon.root.rglob("*.tmp"))


def test_a_disk_that_is_full_at_the_start_lets_it_serve(faulty):
    daemon, fault = faulty
    if fault is file_limit:  # it could not say where it listens
        return
    id = daemon.submit(mlp(10**8))["id"]
    daemon.wait(id, "running")
    daemon.kill()
    with fault(daemon):
        daemon.start()
        assert predicts(daemon)
        wait_for_status(daemon, "degraded")
    deadline = time.monotonic() + 15
    while not (reply := daemon.request("GET", f"/v1/jobs/{id}")).ok and time.monotonic() < deadline:
        assert reply.status_code == 503
        time.sleep(0.1)
    if not reply.ok:  # without a store it has no jobs until it is started again, and said so
        assert daemon.stop() == 0
        daemon.start()
    assert daemon.wait(id, "running")["attempt"] >= 1
    assert daemon.request("POST", f"/v1/jobs/{id}/cancel").status_code == 200


def test_a_job_whose_files_cannot_be_written_fails_and_says_so(small_root):
    """A store on a sound disk, results on one that is not."""
    daemon = Daemon(small_root, "--job-workers", 3).start()
    models = small_root / "result" / SPACE / "models"
    models.write_text("a file where the directory of models should be")
    job = daemon.wait(daemon.submit(order("train", predictor="cost"))["id"], limit_s=60)
    assert job["state"] == "failed" and job["result"] is None
    assert "models" in job["error"] and str(small_root) not in job["error"], job
    assert files_of(small_root, job["id"]) == []
    assert ready(daemon) == {"status": "ready"} and predicts(daemon)
    models.unlink()
    assert daemon.wait(daemon.submit(order("train", predictor="cost"))["id"])["state"] == "succeeded"
    assert daemon.stop() == 0


# ---- stores that are not as they should be --------------------------------------------------------------


@pytest.fixture
def stored(small_root):
    """A root with a store that holds one ended job; returns (root, the job)."""
    daemon = Daemon(small_root).start()
    job = daemon.wait(daemon.submit(nas())["id"])
    assert daemon.stop() == 0
    return small_root, job


def refused(root, *phrases):
    """It does not start, says why and what to do, and leaves the store as it is."""
    before = (root / STORE).read_bytes()
    done = run("serve", "--port", 0, root=root, timeout=30)
    assert done.returncode == 1, done
    last = done.stderr.splitlines()[-1]
    assert last.startswith("dgld: "), done.stderr
    for phrase in (".jobs.sqlite", *phrases):
        assert phrase in last, last
    assert (root / STORE).read_bytes() == before


def test_a_file_that_is_no_store_is_refused(stored):
    root, _ = stored
    for content in (b"not a database at all, but as long as a header is" * 100, b"SQLite format 3\0" + b"\xff" * 4096):
        (root / STORE).write_bytes(content)
        refused(root, "move")


def test_a_damaged_store_is_refused(stored):
    root, _ = stored
    whole = (root / STORE).read_bytes()
    assert len(whole) > 8192
    (root / STORE).write_bytes(whole[:4096] + b"\xa5" * (len(whole) - 4096))
    refused(root, "move")


def test_a_store_of_somebody_else_is_refused(stored):
    root, _ = stored
    (root / STORE).unlink()
    with contextlib.closing(sqlite3.connect(root / STORE)) as other:
        other.execute("CREATE TABLE photographs (name TEXT)")
        other.commit()
    refused(root)


def test_a_store_of_a_newer_version_is_refused(stored):
    root, _ = stored
    with contextlib.closing(sqlite3.connect(root / STORE)) as store:
        store.execute("PRAGMA user_version = 99")
        store.commit()
    refused(root, "99", "newer")


def serves_without(root, *arguments):
    """It serves, warns, and says what it lacks wherever jobs are asked for."""
    daemon = Daemon(root, *arguments).start()
    assert predicts(daemon)
    told = ready(daemon)
    assert told["status"] == "degraded" and "job" in told["detail"], told
    for method, path in (("GET", "/v1/jobs"), ("GET", "/v1/jobs/0193a1b2-0000-7000-8000-000000000001"), ("POST", "/v1/jobs")):
        reply = daemon.request(method, path, json=nas() if method == "POST" else None)
        assert reply.status_code == 503 and "job" in reply.json()["detail"], reply.text
    assert [entry for entry in daemon.lines() if entry["level"] == "warning" and "job" in entry["message"]]
    assert daemon.stop() == 0


def test_a_place_that_cannot_be_written_lets_it_serve_without_jobs(small_root):
    serves_without(small_root, "--job-store", "nowhere/jobs.sqlite")


def test_a_directory_in_its_place_lets_it_serve_without_jobs(small_root):
    (small_root / STORE).mkdir()
    serves_without(small_root)
    assert list((small_root / STORE).iterdir()) == []


def test_a_read_only_root_lets_it_serve_without_jobs(tmp_path_factory):
    if "disk" not in FAULTS:
        return  # nor can anything else keep root from writing
    root = tmp_path_factory.mktemp("read-only")
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", root], check=True)
    try:
        make_root(root)
        subprocess.run(["mount", "-o", "remount,ro", root], check=True)
        serves_without(root)
    finally:
        subprocess.run(["umount", root], check=True)


def test_no_store_is_a_choice(small_root):
    daemon = Daemon(small_root, "--job-store", "").start()
    assert ready(daemon) == {"status": "ready"} and predicts(daemon)
    reply = daemon.request("GET", "/v1/jobs")
    assert reply.status_code == 503 and "job_store" in reply.json()["detail"]
    assert not (small_root / STORE).exists()
    assert daemon.stop() == 0


def test_a_store_that_is_damaged_under_a_running_service_hurts_jobs_alone(stored):
    root, job = stored
    daemon = Daemon(root).start()
    size = (root / STORE).stat().st_size
    with (root / STORE).open("r+b") as store:
        store.seek(4096)
        store.write(b"\xa5" * (size - 4096))
    for _ in range(20):
        for method, path in (("GET", "/v1/jobs"), ("GET", f"/v1/jobs/{job['id']}"), ("POST", "/v1/jobs")):
            reply = daemon.request(method, path, json=nas() if method == "POST" else None)
            assert reply.status_code in (200, 202, 404, 500, 503), reply.text
        assert predicts(daemon)
        ready(daemon)
    assert daemon.stop() == 0
    daemon.process = None
    refused(root, "move")
