"""Clocks that are set while the service runs: libfaketime stands between it and the machine's wall clock, which jumps
by a day or a year, forward and back. Waiting goes by the monotonic clock, which nobody sets."""

import contextlib
import os
import pathlib
import shutil
import time

import pytest
from conftest import ROOT
from job_tools import ENDED, Daemon, add_search_table, check_whole, mlp, nas

DAY, YEAR = 86400, 365 * 86400
STEPS = {"a day on": DAY, "a day back": -DAY, "a year on": YEAR, "a year back": -YEAR}
ASKED = {"search_space": "nasbench201", "hardware": [2, 3, 1, 7.46], "architectures": ["444244"]}
LONG = 100_000_000
QUICK = nas(export=[])
POLL_S = 3  # in which the keeper of jobs has looked around

PLAIN_MALLOC = ROOT / "build" / "release" / "tests" / "fault" / "plain_malloc.so"


def library():
    found = sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    assert found, "libfaketime is missing: deploy/install-deps.sh test installs it"
    return found[0]


class Clock:
    """What the daemon takes for the wall clock: the machine's, and an offset."""

    def __init__(self, path):
        self.path = path
        self.step(0)
        self.environment = dict(
            os.environ, LD_PRELOAD=f"{PLAIN_MALLOC} {library()}", FAKETIME_TIMESTAMP_FILE=str(path), FAKETIME_NO_CACHE="1",
            FAKETIME_DONT_FAKE_MONOTONIC="1", DONT_FAKE_MONOTONIC="1", FAKE_STAT="0", NO_FAKE_STAT="1",
        )  # fmt: skip

    def step(self, seconds):
        """By so much from the machine's; whoever reads the file meanwhile sees one or the other."""
        beside = self.path.with_suffix(".new")
        beside.write_text(f"{seconds:+d}\n")
        beside.replace(self.path)


@pytest.fixture
def stepped(small, tmp_path_factory):
    """A daemon and its clock."""
    add_search_table(small)
    clock = Clock(tmp_path_factory.mktemp("clock") / "offset")
    daemon = Daemon(small, "--job-workers", 3, environment=clock.environment).start()
    yield daemon, clock
    assert daemon.stop() == 0


@contextlib.contextmanager
def within(seconds):
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


def year_told(daemon):
    return int(daemon.request("GET", "/healthz").headers["Date"].split()[3])


@pytest.mark.parametrize("name", STEPS)
def test_what_runs_and_waits_goes_on_when_the_clock_is_set(name, stepped):
    daemon, clock = stepped
    seconds = STEPS[name]
    ended = daemon.wait(daemon.submit(QUICK)["id"])
    running = daemon.submit(mlp(LONG))["id"]
    daemon.wait_for_stage(running, "training")
    waiting = daemon.submit(mlp(LONG, seed=1), **{"Idempotency-Key": "k"})["id"]
    clock.step(seconds)
    if abs(seconds) == YEAR:
        assert abs(year_told(daemon) - time.gmtime().tm_year) in (1,), "the clock is not stepped at all"
    time.sleep(POLL_S)
    with within(15):
        assert daemon.request("POST", "/v1/predict", json=ASKED).status_code == 200
        assert daemon.request("GET", "/readyz").json() == {"status": "ready"}
        # a job that is submitted by the new clock is begun and ends; who waits for one is answered
        quick = daemon.request("POST", "/v1/jobs", json=QUICK, headers={"Prefer": "wait=10"})
        assert quick.status_code == 200 and quick.json()["state"] == "succeeded", quick.text
        check_whole(daemon.root, quick.json())
        # long polls last as long as they were asked to, not as long as the step
        with within(5):
            assert daemon.request("GET", f"/v1/jobs/{running}?wait=1").json()["state"] == "running"
        # writing into data/ takes a lock that is waited for
        sheet = {"hardware": {"frequency_ghz": 2.0, "dispatch_width": 3, "cache_mb": 1, "memory_bandwidth_gbs": 7.46}}
        assert daemon.request("PUT", "/v1/devices/New", json=sheet).status_code == 201
    # nobody lost what it runs, by a lease that seems to have run out
    job = daemon.job(running)
    assert (job["state"], job["attempt"]) == ("running", 1), job
    again = daemon.request("POST", "/v1/jobs", json=mlp(LONG, seed=1), headers={"Idempotency-Key": "k"})
    assert again.json()["id"] == waiting
    # what ended is kept for job_retention_s of the wall clock, a week: a step back or by a day takes nothing away
    kept = daemon.request("GET", f"/v1/jobs/{ended['id']}").status_code
    assert kept == (404 if seconds > 7 * DAY else 200)
    for id in (waiting, running):
        daemon.request("POST", f"/v1/jobs/{id}/cancel")
        assert daemon.wait(id, limit_s=20)["state"] == "cancelled"


def test_a_job_that_is_to_be_tried_again_is_when_the_clock_was_set_back(stepped):
    """The time from which on it may be tried is of the clock before."""
    daemon, clock = stepped
    models = daemon.root / "result" / "nasbench201" / "models"
    shutil.rmtree(models, ignore_errors=True)
    models.write_text("a file where the directory of models should be")
    id = daemon.submit(mlp(2))["id"]
    deadline = time.monotonic() + 20
    while not (job := daemon.job(id))["error"] and job["state"] not in ENDED:
        assert time.monotonic() < deadline
    models.unlink()
    clock.step(-YEAR)
    assert daemon.wait(id, limit_s=20)["state"] == "succeeded"


@pytest.mark.parametrize("seconds", [YEAR, -YEAR])
def test_a_rate_is_that_of_the_monotonic_clock(seconds, small, tmp_path_factory):
    clock = Clock(tmp_path_factory.mktemp("clock") / "offset")
    daemon = Daemon(small, "--request-rate-max", 5, "--request-burst-max", 5, environment=clock.environment).start()
    statuses = [daemon.request("GET", "/v1/spaces").status_code for _ in range(12)]
    assert 429 in statuses
    clock.step(seconds)
    time.sleep(1.1)  # five more by now, and no more for a year
    statuses = [daemon.request("GET", "/v1/spaces").status_code for _ in range(30)]
    assert statuses[0] == 200 and 429 in statuses
    assert daemon.stop() == 0
