"""Leases that a process loses, or seems to lose, while it lives: on a machine that is too busy to prolong them in time."""

import contextlib
import sqlite3
import time

import pytest
from conftest import wait_until
from job_tools import Daemon, mlp

LONG = 100_000_000  # epochs that no test lives to see


@pytest.fixture
def start(small):
    """A daemon whose leases last so long, and a training that it has begun."""
    with contextlib.ExitStack() as stack:

        def started(lease_ms):
            daemon = Daemon(small, "--job-lease-ms", lease_ms, "--job-workers", 4).start()
            stack.callback(daemon.stop)
            id = daemon.submit(mlp(LONG))["id"]
            daemon.wait_for_stage(id, "training")
            return daemon, id

        yield started


def store(daemon):
    return contextlib.closing(sqlite3.connect(daemon.root / "result" / ".jobs.sqlite", isolation_level=None, timeout=30))


def said(daemon, words):
    return any(words in line["message"] for line in daemon.lines())


def test_a_run_that_lost_its_lease_stops_and_its_successor_beside_it_goes_on(start):
    daemon, id = start(4000)
    with store(daemon) as jobs:  # as another replica puts it back, that took this one for dead
        jobs.execute("UPDATE jobs SET state = 'queued', lease_owner = NULL, lease_until_ms = 0 WHERE id = ?", [id])
    daemon.submit(mlp(LONG))  # wakes a worker, which takes the older one, before a renewal tells that it is lost
    wait_until(lambda: daemon.job(id)["attempt"] > 1)
    wait_until(lambda: said(daemon, f"job {id}: attempt 1 had lost its lease"))
    time.sleep(1.5)  # every lease is looked after meanwhile
    job = daemon.job(id)
    assert (job["state"], job["attempt"]) == ("running", 2), "an attempt was spent on a run that nothing was wrong with"


def test_a_lease_that_ran_out_while_its_run_lives_here_is_prolonged(start):
    daemon, id = start(3_600_000)  # so that it is the search for orphans that finds it, not the renewal
    with store(daemon) as jobs:
        jobs.execute("UPDATE jobs SET lease_until_ms = 1 WHERE id = ?", [id])
        wait_until(lambda: jobs.execute("SELECT lease_until_ms FROM jobs WHERE id = ?", [id]).fetchone()[0] != 1)
    time.sleep(0.2)
    job = daemon.job(id)
    assert (job["state"], job["attempt"]) == ("running", 1) and not said(daemon, "was interrupted")
