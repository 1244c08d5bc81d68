"""Measurements of a device correct what is predicted for it, stored or in the call; intervals; what to measure."""

import concurrent.futures
import csv
import io
import shutil

import numpy
import pytest
import requests
from conftest import A53, UNSEEN_DEVICES, Service, factor, make_root, run, run_json, write_rows
from test_devices import address, call, problem
from test_measurements import place, put_csv, stored

PHONES = [(space, name, hardware) for space, phones in UNSEEN_DEVICES.items() for name, hardware in phones.items()]
N_HELD = 120


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One daemon for the tests that need not see what others do; each uses a device of its own."""
    path = tmp_path_factory.mktemp("calibration")
    make_root(path)
    daemon = Service(path)
    daemon.root = path
    yield daemon
    code, log = daemon.stop()
    assert code == 0, log


def as_text(rows):
    return [" ".join(map(str, row)) for row in rows]


@pytest.fixture(scope="module")
def phones(data):
    """Of each phone of the reference: architectures and latencies, shuffled; the first ones are held out."""
    made = {}
    for space, name, hardware in PHONES:
        genes = numpy.loadtxt(data / space / "net.txt", dtype=int)
        latency = numpy.loadtxt(data / space / "latency" / f"{name}.txt")
        order = numpy.random.default_rng(11).permutation(len(genes))
        made[space, name] = (as_text(genes[order]), latency[order].tolist(), list(hardware))
    return made


def measured(rows, latency, n, draw=0):
    """n measurements of what is not held out."""
    at = numpy.random.default_rng(draw).choice(numpy.arange(N_HELD, len(rows)), n, replace=False)
    return {"architectures": [rows[i] for i in at], "latency_ms": [latency[i] for i in at]}


def to_csv(measurements):
    return "architecture,latency_ms\n" + "".join(
        f"{row},{ms!r}\n" for row, ms in zip(measurements["architectures"], measurements["latency_ms"])
    )


def relative_error(reply, latency):
    return float(numpy.mean(numpy.abs(numpy.array(reply["latency_ms"]) / latency[:N_HELD] - 1)))


def refusals(reply):
    return [error["pointer"] for error in problem(reply, 422)["errors"]]


ASK = {"search_space": "nasbench201", "hardware": list(A53), "architectures": ["444244", "111111", "135421"]}
SOME = {"architectures": ["444244", "555555", "123451"], "latency_ms": [9000, 2500, 3000.5]}


# ---- what measurements do --------------------------------------------------------------------------


def test_measurements_of_unseen_phones_improve_what_is_predicted_and_intervals_hold(shared, phones):
    errors, covered, widths = {}, {}, {}
    for (space, _), (rows, latency, hardware) in phones.items():
        truth = numpy.array(latency[:N_HELD])
        for n in (0, 1, 10, 50):
            ask = {"search_space": space, "hardware": hardware, "architectures": rows[:N_HELD], "interval": 0.9}
            for draw in range(3):
                body = ask | ({"measurements": measured(rows, latency, n, draw)} if n else {})
                reply = shared.predict(**body)
                low, high = numpy.array(reply["interval_ms"]).T
                assert ("calibration" in reply) == (n > 0)
                assert (low < reply["latency_ms"]).all() and (high > reply["latency_ms"]).all()
                errors.setdefault(n, []).append(relative_error(reply, latency))
                covered.setdefault(n, []).append(float(((low <= truth) & (truth <= high)).mean()))
                widths.setdefault(n, []).append(float(numpy.log(high / low).mean()))
                if n:
                    assert reply["calibration"]["n_measurements"] == n
    errors, covered, widths = ({n: float(numpy.mean(v)) for n, v in d.items()} for d in (errors, covered, widths))
    print(errors, covered, widths)
    assert errors[10] < 0.85 * errors[0] and errors[50] < errors[10] and errors[1] < 1.05 * errors[0]
    assert all(0.80 <= share <= 0.97 for share in covered.values())
    assert widths[0] > widths[1] > widths[10] > widths[50]
