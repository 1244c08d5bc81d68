"""What a job's course was: the curve that nobody watched, and the front of a search as it grows."""

import shutil
import time

import pytest
from conftest import ROOT, make_root, make_small
from job_tools import Daemon, follow, mlp, order

LONG = 10**8  # epochs, beyond any test's end
NOBODY = "01890a5d-ac96-774b-bcce-b302099a8057"  # an id of no job
MOST_POINTS, MOST_OF_FRONT = 200, 64


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    """Few cells to train on, and all of fbnetv3 to search; leases that are renewed often."""
    root = tmp_path_factory.mktemp("history")
    make_root(root)
    make_small(root)
    shutil.copy(ROOT / "result" / "fbnetv3" / "accuracymodel.safetensors", root / "result" / "fbnetv3")
    made = Daemon(root, "--job-workers", 3, "--job-lease-ms", 1000).start()
    yield made
    assert made.stop() == 0


def search(**params):
    made = order("nas", device="Samsung Galaxy A10s", export=[], **params)
    return made | {"search_space": "fbnetv3"}


def history(daemon, id):
    reply = daemon.request("GET", f"/v1/jobs/{id}/history")
    assert reply.status_code == 200, reply.text
    told = reply.json()
    assert set(told) == {"stride", "points", "front"} and len(told["points"]) <= MOST_POINTS
    check_front(told["front"])
    return told


def check_front(front):
    assert len(front) <= MOST_OF_FRONT
    for faster, slower in zip(front, front[1:]):
        assert faster["latency_ms"] < slower["latency_ms"] and faster["accuracy"] < slower["accuracy"]


def check_curve(told, name="epoch"):
    """Evenly from the first step on, and then where it is."""
    steps = [point[name] for point in told["points"]]
    assert steps == sorted(set(steps)) and steps[0] == 1
    assert {b - a for a, b in zip(steps, steps[1:-1])} <= {told["stride"]}
    return steps


def wait_for_epoch(daemon, id, epoch, limit_s=60):
    deadline = time.monotonic() + limit_s
    while (reached := (daemon.job(id)["progress"] or {}).get("epoch", 0)) < epoch:
        assert time.monotonic() < deadline, f"it is in epoch {reached} still"
        time.sleep(0.02)
    return reached


def as_front(points):
    return [(point["latency_ms"], point["accuracy"]) for point in points]


def test_a_training_that_nobody_watched_has_its_curve(daemon):
    id = daemon.submit(mlp(2000))["id"]
    assert daemon.wait(id)["state"] == "succeeded"
    told = history(daemon, id)
    steps = check_curve(told)
    assert steps[-1] == 2000 and len(steps) > MOST_POINTS / 2 - 1
    assert all(point["loss"] >= 0 for point in told["points"]) and told["front"] == []
    assert told["points"][-1]["loss"] < told["points"][0]["loss"] / 5
    tag = daemon.request("GET", f"/v1/jobs/{id}/history").headers["ETag"]
    known = daemon.request("GET", f"/v1/jobs/{id}/history", headers={"If-None-Match": tag})
    assert known.status_code == 304 and known.content == b""
    assert daemon.request("HEAD", f"/v1/jobs/{id}/history").status_code == 200
    assert daemon.request("DELETE", f"/v1/jobs/{id}").status_code == 204
    assert daemon.request("GET", f"/v1/jobs/{id}/history").status_code == 404


def test_what_has_no_curve_has_an_empty_one(daemon):
    id = daemon.submit(order("train", predictor="cost"))["id"]
    daemon.wait(id)
    assert history(daemon, id) == {"stride": 1, "points": [], "front": []}
    for missing in (NOBODY, "none"):
        assert daemon.request("GET", f"/v1/jobs/{missing}/history").status_code == 404


def test_a_curve_goes_on_over_a_stop_and_a_kill_and_outlives_a_cancellation(daemon):
    id = daemon.submit(mlp(LONG))["id"]
    reached = wait_for_epoch(daemon, id, 5000)
    steps = check_curve(history(daemon, id))
    assert steps[-1] >= reached, "it is told while the job runs"
    assert daemon.stop() == 0
    daemon.start()
    assert daemon.wait(id, "running")["attempt"] == 2
    wait_for_epoch(daemon, id, reached + 2000)
    resumed = check_curve(history(daemon, id))
    assert any(step < reached / 2 for step in resumed[1:]), "the curve of the first attempt is there"
    deadline = time.monotonic() + 30
    before = resumed[-1]
    while (stored := history(daemon, id)["points"][-1]["epoch"]) < 2 * before:  # leases are renewed meanwhile
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.7)
    daemon.kill()
    daemon.start()
    kept = check_curve(history(daemon, id))  # as of the last renewal, or as it goes on already
    assert kept[-1] > before and any(step < before / 2 for step in kept[1:]), (before, stored, kept[-1])
    daemon.wait(id, "running")
    daemon.request("POST", f"/v1/jobs/{id}/cancel")
    assert daemon.wait(id)["state"] == "cancelled"
    ended = history(daemon, id)
    check_curve(ended)
    assert daemon.stop() == 0
    daemon.start()
    assert history(daemon, id) == ended


@pytest.mark.parametrize("objective", ["pareto", "accuracy"])
def test_a_front_grows_while_a_search_runs(daemon, objective):
    id = daemon.submit(search(objective=objective, latency_constraint_ms=300, population_size=2000, generations=60))["id"]
    fronts, shown = [], []
    for kind, _, data in follow(daemon, id):
        if kind == "progress" and "front" in data:
            check_front(data["front"])
            fronts.append(data["front"])
            if data["front"] and len(shown) < 3:
                shown.append(daemon.job(id)["progress"])
    job = daemon.job(id)
    assert job["state"] == "succeeded" and len(fronts) >= 3
    assert all(a != b for a, b in zip(fronts, fronts[1:])), "it is told where it has grown"
    assert all(point["latency_ms"] <= 300 for front in fronts for point in front)
    assert any("front" in (progress or {}) for progress in shown), "it is told to whoever asks, too"
    assert "front" not in job["progress"]
    told = history(daemon, id)
    best = as_front([job["result"]])
    assert as_front(told["front"])[-1] == best[0]
    steps = [point["generation"] for point in told["points"]]
    accuracies = [point["accuracy"] for point in told["points"]]
    assert steps == sorted(set(steps)) and accuracies == sorted(accuracies)
    for earlier, later in zip(fronts, [*fronts[1:], told["front"]]):  # what is found is not given up
        assert later[-1]["accuracy"] >= earlier[-1]["accuracy"]
    if objective == "pareto":
        whole = as_front(job["result"]["front"])
        ends = as_front(told["front"])
        assert set(ends) <= set(whole) and (ends[0], ends[-1]) == (whole[0], whole[-1])
        assert len(ends) == min(len(whole), MOST_OF_FRONT)


def test_a_search_that_is_cancelled_leaves_the_front_that_it_had(daemon):
    id = daemon.submit(search(objective="pareto", population_size=5000, generations=200))["id"]
    while not (daemon.job(id)["progress"] or {}).get("front"):
        time.sleep(0.01)
    daemon.request("POST", f"/v1/jobs/{id}/cancel")
    job = daemon.wait(id)
    assert job["state"] == "cancelled" and job["result"] is None
    assert len(history(daemon, id)["front"]) > 0
