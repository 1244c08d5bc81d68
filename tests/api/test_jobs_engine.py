"""How jobs are run: whose turn it is, what stops them and how soon, and how long they are kept."""

import os
import subprocess
import sys
import time

import pytest
import requests
from job_tools import ENDED, SPACE, Daemon, add_search_table, add_unseen_device, check_whole, files_of, mlp, nas, order, tree

LONG = 100_000_000  # epochs that no test lives to see


@pytest.fixture
def daemon(small):
    """Not started yet, so that a test may say with which settings."""
    add_search_table(small)
    add_unseen_device(small)
    made = Daemon(small)
    yield made
    if made.process is not None and made.process.poll() is None:
        assert made.stop() == 0


def started(daemon, *arguments):
    daemon.arguments += list(map(str, arguments))
    return daemon.start()


def cancel(daemon, id):
    """Cancels, and returns the job; where the machine has no time for what is to stop, in the end."""
    reply = daemon.request("POST", f"/v1/jobs/{id}/cancel")
    assert reply.status_code in (200, 202), reply.text
    return reply.json() if reply.status_code == 200 else daemon.wait(id)


def occupy(daemon, n=8):
    """Trainings that do not end, so that every worker that may run one is busy; returns those that run."""
    ids = [daemon.submit(mlp(LONG, seed=i))["id"] for i in range(n)]
    deadline = time.monotonic() + 20
    n_running, since = 0, time.monotonic()
    while time.monotonic() < deadline and (n_running == 0 or time.monotonic() - since < 0.5):
        now = sum(daemon.job(id)["state"] == "running" for id in ids)
        n_running, since = now, (since if now == n_running else time.monotonic())
    running = [id for id in ids if daemon.job(id)["state"] == "running"]
    assert 0 < len(running) < n, "the queue has to be longer than the workers are many"
    return running


# ---- whose turn it is --------------------------------------------------------------------------------


def test_a_hundred_trainings_keep_no_search_and_no_test_waiting(daemon):
    started(daemon, "--job-workers", 3)
    trainings = [daemon.submit(mlp(LONG, seed=i))["id"] for i in range(100)]
    others = [daemon.submit(nas())["id"], daemon.submit(order("test", test_devices=["Other"]))["id"]]
    for id in others:
        assert daemon.wait(id, limit_s=30)["state"] == "succeeded"
    states = [daemon.job(id)["state"] for id in trainings]
    assert states.count("queued") >= 90 and not set(states) & set(ENDED)


def test_more_trainings_than_one_run_where_nothing_else_may_come_short(daemon):
    started(daemon, "--job-workers", 6)
    assert len(occupy(daemon)) == 4, "one worker is left to each other kind"


def test_priority_comes_first_and_then_age(daemon):
    started(daemon, "--job-workers", 3)
    (blocker, *_) = occupy(daemon, 2)
    for job in daemon.jobs(state="queued"):
        cancel(daemon, job["id"])
    given = [0, -100, 5, 100, 5, 0]
    ids = [daemon.submit(order("train", predictor="cost", priority=priority))["id"] for priority in given]
    cancel(daemon, blocker)
    jobs = [daemon.wait(id) for id in ids]
    begun = sorted(range(len(given)), key=lambda i: jobs[i]["started_at"])
    assert {job["state"] for job in jobs} == {"succeeded"}
    assert [given[i] for i in begun] == sorted(given, reverse=True)
    assert begun.index(2) < begun.index(4) and begun.index(0) < begun.index(5)


def test_a_full_queue_is_said(daemon):
    started(daemon, "--job-workers", 3, "--job-queue-max", 2)
    daemon.wait(daemon.submit(mlp(LONG))["id"], "running")
    for i in range(2):
        daemon.submit(mlp(LONG, seed=i))
    reply = daemon.request("POST", "/v1/jobs", json=mlp(LONG))
    assert reply.status_code == 503 and int(reply.headers["Retry-After"]) > 0
    assert "job_queue_max" in reply.json()["detail"]
    assert len(daemon.jobs()) == 3


# ---- deadlines ---------------------------------------------------------------------------------------


def test_a_deadline_ends_a_job_that_runs_and_one_that_waits(daemon):
    started(daemon, "--job-workers", 3)
    runs = daemon.submit(mlp(LONG, deadline_s=1))
    daemon.wait(runs["id"], limit_s=10)
    daemon.wait(daemon.submit(mlp(LONG))["id"], "running")
    waits = daemon.submit(mlp(LONG, deadline_s=1))
    for job, phrase in ((runs, "while it ran"), (waits, "while it waited")):
        ended = daemon.wait(job["id"], limit_s=10)
        assert ended["state"] == "failed" and "deadline" in ended["error"], ended
        assert phrase in ended["error"] and ended["deadline_at"] is not None
        assert files_of(daemon.root, job["id"]) == []


# ---- cancelling --------------------------------------------------------------------------------------


def test_what_waits_is_cancelled_at_once(daemon):
    started(daemon, "--job-workers", 3)
    occupy(daemon, 2)
    ids = [daemon.submit(mlp(LONG, seed=100 + i))["id"] for i in range(11)]
    told = [cancel(daemon, id) for id in ids]
    assert {job["state"] for job in told} == {"cancelled"}
    assert {job["attempt"] for job in told} == {0}


def cancel_running(daemon, submission, stage):
    """Cancels jobs that are at that stage, some a little later."""
    for i in range(7):
        submission["params"]["seed"] = i
        id = daemon.submit(submission)["id"]
        daemon.wait_for_stage(id, stage)
        time.sleep(0.03 * i)
        job = cancel(daemon, id)
        assert job["state"] == "cancelled" and job["result"] is None, job
        assert daemon.job(id) == job
        assert files_of(daemon.root, id) == []
    # the worker is free for the next one
    assert daemon.wait(daemon.submit(order("train", predictor="cost"))["id"])["state"] == "succeeded"


STAGES = {  # submission, stage in which it is cancelled
    "mlp in its epochs": (mlp(LONG), "training"),
    "mlp held out": (order("test", holdout=True, predictor="mlp", test_devices=["Other"]), "validating"),
}


@pytest.mark.parametrize("name", STAGES)
def test_what_runs_is_cancelled_frees_its_worker_and_leaves_no_file(name, daemon):
    started(daemon, "--job-workers", 3)
    before = tree(daemon.root)
    cancel_running(daemon, *STAGES[name])
    left = tree(daemon.root) - before
    assert all("-job-" in file for file in left), left


@pytest.fixture
def no_time_for_workers():
    """Leaves those at idle priority hardly any processor time, so that a job is claimed long before it begins."""
    spin = "import time\nend = time.monotonic() + 60\nwhile time.monotonic() < end: pass"  # and not for ever, if this is killed
    busy = [subprocess.Popen([sys.executable, "-c", spin]) for _ in range(2 * os.cpu_count())]
    yield
    for process in busy:
        process.kill()
        process.wait()


def test_a_job_that_was_claimed_just_now_is_cancelled(daemon, no_time_for_workers):
    """Not by the lease, whose renewal would notice it too, in twenty minutes here."""
    started(daemon, "--job-lease-ms", 3_600_000)
    for seed in range(3):
        id = daemon.submit(mlp(LONG, seed=seed))["id"]
        daemon.wait(id, "running")
        assert cancel(daemon, id)["state"] == "cancelled"


def test_mlp_is_cancelled_among_its_features_too(root, data):
    daemon = Daemon(root, "--data-path", data, "--job-workers", 3).start()
    before = tree(root)
    for i in range(7):
        id = daemon.submit(mlp(LONG, seed=i))["id"]
        daemon.wait(id, "running")
        time.sleep(0.02 + 0.05 * i)
        job = cancel(daemon, id)
        assert job["state"] == "cancelled" and job["attempt"] == 1, job
    assert tree(root) == before
    assert daemon.stop() == 0


def test_cancelling_twice_is_cancelling_once_and_an_ended_job_stays(daemon):
    started(daemon)
    done = daemon.wait(daemon.submit(nas())["id"])
    reply = daemon.request("POST", f"/v1/jobs/{done['id']}/cancel")
    assert reply.status_code == 409 and daemon.job(done["id"]) == done
    id = daemon.submit(mlp(LONG))["id"]
    first = cancel(daemon, id)
    second = cancel(daemon, id)
    assert first == second and first["state"] == "cancelled"


# ---- attempts ----------------------------------------------------------------------------------------


def test_attempts_are_counted_and_at_an_end(daemon):
    started(daemon, "--job-attempts-max", 3)
    id = daemon.submit(mlp(LONG))["id"]
    for attempt in (1, 2, 3):
        assert daemon.wait(id, "running")["attempt"] == attempt
        daemon.wait_for_stage(id, "training")
        daemon.kill()
        daemon.start()
    job = daemon.wait(id)
    assert (job["state"], job["attempt"]) == ("failed", 3) and "begun 3 times" in job["error"]
    assert files_of(daemon.root, id) == []
    assert daemon.wait(daemon.submit(nas())["id"])["state"] == "succeeded"


def test_an_orderly_stop_puts_a_job_back_and_it_goes_on_where_it_was(daemon):
    started(daemon, "--job-workers", 3)
    id = daemon.submit(mlp(LONG))["id"]
    daemon.wait_for_stage(id, "training")
    while (before := daemon.job(id)["progress"]["epoch"]) < 20_000:
        time.sleep(0.02)
    begun = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - begun < 10
    daemon.start()
    assert daemon.wait(id, "running")["attempt"] == 2
    first = daemon.wait_for_stage(id, "training")["progress"]["epoch"]
    assert first > before / 2, f"from {before} it went back to {first}"
    cancel(daemon, id)


# ---- keeping -----------------------------------------------------------------------------------------


def gone(daemon, id, limit_s=15):
    deadline = time.monotonic() + limit_s
    while daemon.request("GET", f"/v1/jobs/{id}").status_code == 200:
        assert time.monotonic() < deadline, "it is kept"
        time.sleep(0.05)
    assert daemon.request("GET", f"/v1/jobs/{id}").status_code == 404
    while files_of(daemon.root, id):  # the row goes first, and the files after it
        assert time.monotonic() < deadline, "its files are kept"
        time.sleep(0.01)


def test_ended_jobs_expire_with_their_files_and_keys(daemon):
    started(daemon, "--job-retention-s", 2)
    key = {"Idempotency-Key": "a"}
    training = daemon.submit(order("train", predictor="cost"), **key)
    assert daemon.submit(order("train", predictor="cost"), **key)["id"] == training["id"]
    check_whole(daemon.root, daemon.wait(training["id"]))
    search = daemon.wait(daemon.submit(nas())["id"])["id"]
    for id in (training["id"], search):
        gone(daemon, id)
    assert daemon.submit(order("train", predictor="cost"), **key)["id"] != training["id"]


def test_what_is_served_outlives_its_job(daemon):
    started(daemon, "--job-retention-s", 2)
    submission = order("train", predictor="cost", activate=True, force=True)
    job = daemon.wait(daemon.submit(submission)["id"])
    assert job["result"]["activated"] is True
    version = job["result"]["version"]
    gone(daemon, job["id"])
    asked = {"search_space": SPACE, "hardware": [2, 3, 1, 7.46], "architectures": ["444244"]}
    for _ in range(2):
        reply = daemon.request("POST", "/v1/predict", json=asked)
        assert reply.status_code == 200 and reply.json()["model"]["version"] == version
        assert daemon.stop() == 0
        daemon.start()


def test_beyond_their_bound_the_oldest_ended_jobs_go(daemon):
    started(daemon, "--job-ended-max", 3)
    ids = [daemon.wait(daemon.submit(nas())["id"])["id"] for _ in range(6)]
    for id in ids[:3]:
        gone(daemon, id)
    assert [job["id"] for job in daemon.jobs()] == ids[:2:-1]
    for id in ids[3:]:
        check_whole(daemon.root, daemon.job(id))


def test_a_job_that_is_deleted_takes_its_files_and_key_along(daemon):
    started(daemon)
    job = daemon.wait(daemon.submit(order("train", predictor="cost"), **{"Idempotency-Key": "a"})["id"])
    assert files_of(daemon.root, job["id"]) != []
    assert daemon.request("DELETE", f"/v1/jobs/{job['id']}").status_code == 204
    gone(daemon, job["id"], 0)
    assert daemon.submit(order("train", predictor="cost"), **{"Idempotency-Key": "a"})["id"] != job["id"]


def test_a_job_that_runs_is_not_deleted(daemon):
    started(daemon)
    id = daemon.submit(mlp(LONG))["id"]
    assert daemon.request("DELETE", f"/v1/jobs/{id}").status_code == 409
    assert daemon.job(id)["state"] in ("queued", "running")


# ---- beside serving ----------------------------------------------------------------------------------


def idle_threads(daemon):
    policies = [os.sched_getscheduler(int(task)) for task in os.listdir(f"/proc/{daemon.process.pid}/task")]
    assert os.SCHED_OTHER in policies, "others are not"
    return policies.count(os.SCHED_IDLE)


def test_runs_have_idle_priority_and_nothing_else_has(daemon):
    """Who claims, stores and activates holds what requests wait for: on a machine without time for idle threads, for long."""
    started(daemon, "--job-workers", 4)
    assert idle_threads(daemon) == 0
    ids = [daemon.submit(mlp(LONG, seed=seed))["id"] for seed in range(2)]
    for id in ids:
        daemon.wait_for_stage(id, "training")
    assert idle_threads(daemon) == 2
    for id in ids:
        cancel(daemon, id)
    assert idle_threads(daemon) == 0


def test_predictions_are_answered_while_every_worker_trains(daemon):
    started(daemon, "--job-workers", 4)
    occupy(daemon)
    asked = {"search_space": SPACE, "hardware": [2, 3, 1, 7.46], "architectures": ["444244"]}
    with requests.Session() as session:
        for _ in range(200):
            assert session.post(daemon.url + "/v1/predict", json=asked, timeout=10).status_code == 200
