"""Measurements of a device correct what is predicted for it, stored or in the call; intervals; what to measure."""

import concurrent.futures
import csv
import io
import shutil

import numpy
import pytest
import requests
from conftest import A53, UNSEEN_DEVICES, run, run_json
from test_devices import address, call, problem
from test_measurements import place, put_csv, stored

PHONES = [(space, name, hardware) for space, phones in UNSEEN_DEVICES.items() for name, hardware in phones.items()]
N_HELD = 120


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


def test_a_device_without_data_sheet_is_predicted_from_ten_measurements(shared, phones):
    spread, without = [], []
    for (space, _), (rows, latency, hardware) in phones.items():
        ask = {"search_space": space, "architectures": rows[:N_HELD]}
        reply = shared.predict(**ask, measurements=measured(rows, latency, 10))
        spread.append(relative_error(reply, latency))
        without.append(relative_error(shared.predict(**ask, hardware=hardware), latency))
        assert reply["calibration"] == {"n_measurements": 10, "n_distrusted": 0}
    assert numpy.mean(spread) < 0.9 * numpy.mean(without)


def test_a_wild_measurement_is_left_out_and_does_little_harm(shared, phones):
    clean, wild, n_distrusted = [], [], 0
    for (space, _), (rows, latency, hardware) in phones.items():
        ask = {"search_space": space, "hardware": hardware, "architectures": rows[:N_HELD]}
        ten = measured(rows, latency, 10)
        clean.append(relative_error(shared.predict(**ask, measurements=ten), latency))
        ten["latency_ms"][3] *= 20
        reply = shared.predict(**ask, measurements=ten)
        wild.append(relative_error(reply, latency))
        n_distrusted += reply["calibration"]["n_distrusted"]
    assert numpy.mean(wild) < 1.15 * numpy.mean(clean) and n_distrusted >= len(phones) - 2


def test_stored_measurements_give_the_numbers_of_those_in_the_call(shared, phones):
    for i, ((space, name), (rows, latency, hardware)) in enumerate(phones.items()):
        device, ten = f"Same {i}", measured(rows, latency, 10)
        assert call(shared, "PUT", address(device), {"hardware": hardware}).status_code == 201
        plain = shared.predict(search_space=space, device=device, architectures=rows[:20])
        assert "calibration" not in plain
        assert put_csv(shared, device, to_csv(ten), space).status_code == 201
        ask = {"search_space": space, "architectures": rows[:20], "interval": 0.8}
        in_call = shared.predict(**ask, hardware=hardware, measurements=ten)
        assert shared.predict(**ask, device=device) == in_call
        assert shared.predict(**ask, device=device.upper()) == in_call
        assert in_call["latency_ms"] != plain["latency_ms"]
        listed = shared.predict(**ask, devices=[device, hardware])
        assert listed["calibration"] == [in_call["calibration"], None]
        assert listed["latency_ms"] == [in_call["latency_ms"], plain["latency_ms"]]
        assert listed["interval_ms"][0] == in_call["interval_ms"]
        assert shared.predict(search_space=space, device=device, architectures=rows[:20], calibrate=False) == plain
        assert shared.predict(search_space=space, device=device, architectures=rows[:20], measurements=ten)["latency_ms"] == in_call["latency_ms"]


def test_without_measurements_nothing_changes(shared):
    plain = shared.post(ASK)
    assert shared.post(ASK | {"calibrate": True}).content == plain.content
    assert shared.post(ASK | {"calibrate": False}).content == plain.content
    assert set(plain.json()) == {"search_space", "model", "conditions", "latency_ms"}
    bounded = shared.predict(**ASK, interval=0.9)
    assert bounded.pop("interval_ms") and bounded == plain.json()


def test_latency_files_are_no_measurements(small, start):
    service = start(small)
    near = service.predict(**{k: v for k, v in ASK.items() if k != "hardware"}, device="Near")
    assert near == service.predict(**ASK)


def test_what_is_put_replaced_and_removed_is_followed_at_once(shared):
    device, ask = "Followed", {k: v for k, v in ASK.items() if k != "hardware"} | {"device": "Followed"}
    assert refusals(shared.post(ask)) == ["/device"]
    for scale in (1, 2, 1, 3):
        rows = {"architectures": SOME["architectures"], "latency_ms": [scale * ms for ms in SOME["latency_ms"]]}
        assert put_csv(shared, device, to_csv(rows)).status_code in (200, 201)
        got = shared.predict(**ask)
        without = {k: v for k, v in ask.items() if k != "device"}
        assert got == shared.predict(**without, measurements=rows)
    stored(shared.root, device).write_text("architecture,latency_ms\n444244,1000\n")
    assert shared.predict(**ask)["calibration"]["n_measurements"] == 1
    stored(shared.root, device).write_text("architecture,latency_ms\n444244,fast\n")
    assert refusals(shared.post(ask)) == ["/device"]
    assert "line 2" in shared.post(ask).json()["detail"]
    assert put_csv(shared, device, to_csv(SOME)).status_code == 200
    assert refusals(shared.post(ask | {"calibrate": False})) == ["/device"]
    assert call(shared, "DELETE", place(device)).status_code == 204
    assert refusals(shared.post(ask)) == ["/device"]


def test_measurements_are_put_while_others_predict(shared):
    ask = {k: v for k, v in ASK.items() if k != "hardware"} | {"device": "Busy"}
    assert call(shared, "PUT", address("Busy"), {"hardware": list(A53)}).status_code == 201
    plain = shared.predict(**ask)
    versions = [{"architectures": SOME["architectures"], "latency_ms": [s * ms for ms in SOME["latency_ms"]]} for s in (0.5, 1, 2)]
    known = [plain] + [shared.predict(**ASK, measurements=rows) for rows in versions]

    def write(i):
        return put_csv(shared, "Busy", to_csv(versions[i % 3])).status_code

    def read(_):
        return shared.predict(**ask)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        written = [pool.submit(write, i) for i in range(30)]
        got = list(pool.map(read, range(120)))
    assert {one.result() for one in written} <= {200, 201}
    assert all(one in known for one in got)
    assert shared.predict(**ask) in known[1:]


def test_the_papers_predictor_is_calibrated_too(shared):
    reply = shared.predict(**ASK, model="mlp", measurements=SOME, interval=0.9)
    plain = shared.predict(**ASK, model="mlp")
    assert reply["model"]["predictor"] == "mlp" and reply["latency_ms"] != plain["latency_ms"]
    assert all(low < ms < high for (low, high), ms in zip(reply["interval_ms"], reply["latency_ms"]))


# ---- intervals -------------------------------------------------------------------------------------


def test_bounds_widen_with_the_level_and_a_bad_architecture_has_none(shared):
    widths = []
    for level in (1e-9, 0.5, 0.9, 0.999, 0.9999999999999999):
        body = ASK | {"interval": level, "architectures": ["444244", "9"], "on_error": "null"}
        for more in ({}, {"measurements": SOME}):
            (low, high), nothing = shared.predict(**body, **more)["interval_ms"]
            assert nothing is None and 0 <= low <= high
        widths.append(high / low if low else float("inf"))
    assert widths == sorted(widths)
    rows = shared.predict(**{k: v for k, v in ASK.items() if k != "hardware"}, devices=[list(A53), list(A53)], interval=0.5)
    assert rows["interval_ms"][0] == rows["interval_ms"][1] and len(rows["interval_ms"][0]) == 3


# ---- refusals --------------------------------------------------------------------------------------

REFUSED = [
    ({"interval": 0}, ["/interval"]),
    ({"interval": 1}, ["/interval"]),
    ({"interval": -0.5}, ["/interval"]),
    ({"interval": "0.9"}, ["/interval"]),
    ({"interval": None}, ["/interval"]),
    ({"calibrate": 0}, ["/calibrate"]),
    ({"calibrate": None}, ["/calibrate"]),
    ({"calibrate": False, "measurements": SOME}, ["/calibrate"]),
    ({"measurements": None}, ["/measurements"]),
    ({"measurements": []}, ["/measurements"]),
    ({"measurements": {}}, ["/measurements/architectures", "/measurements/latency_ms"]),
    ({"measurements": {"architectures": [], "latency_ms": []}}, ["/measurements/architectures"]),
    ({"measurements": {"architectures": ["444244"], "latency_ms": [1, 2]}}, ["/measurements/latency_ms"]),
    ({"measurements": {"architectures": ["444244"], "latency_ms": 1}}, ["/measurements/latency_ms"]),
    ({"measurements": {"architectures": ["444244", "111111"], "latency_ms": [1, 0]}}, ["/measurements/latency_ms/1"]),
    ({"measurements": {"architectures": ["444244"], "latency_ms": [1e8]}}, ["/measurements/latency_ms/0"]),
    ({"measurements": {"architectures": ["444244"], "latency_ms": ["1"]}}, ["/measurements/latency_ms/0"]),
    ({"measurements": {"architectures": [[4, 4, 9, 2, 4, 4]], "latency_ms": [1]}}, ["/measurements/architectures/0/2"]),
    ({"measurements": {"architectures": ["?"], "latency_ms": [1]}}, ["/measurements/architectures/0"]),
    ({"measurements": SOME | {"unit": "ms"}}, ["/measurements/unit"]),
    ({"measurements": {"architectures": ["444244"] * 1001, "latency_ms": [1] * 1001}}, ["/measurements/architectures"]),
]


@pytest.mark.parametrize("fields, pointers", REFUSED, ids=[str(f)[:60] for f, _ in REFUSED])
def test_what_is_wrong_is_told_by_pointer(fields, pointers, shared):
    assert refusals(shared.post(ASK | fields)) == pointers


def test_a_number_just_beyond_its_bound_is_told_as_it_is(shared):
    wrong = {"measurements": {"architectures": ["444244"], "latency_ms": [10_000_000.01]}, "interval": 1.00000001}
    said = [error["detail"] for error in shared.post(ASK | wrong).json()["errors"]]
    assert [text.split(", not ")[-1] for text in said] == ["10000000.01", "1.00000001"], said
    said = shared.post(ASK | {"hardware": [1000.0001, 3, 1, 7.46]}).json()["detail"]
    assert said.endswith("to 1000, not 1000.0001"), said


def test_measurements_are_of_one_device_that_is_known(shared):
    ask = {k: v for k, v in ASK.items() if k != "hardware"}
    assert refusals(shared.post(ask | {"devices": [list(A53)], "measurements": SOME})) == ["/measurements"]
    assert refusals(shared.post(ask | {"device": "Nobody's", "measurements": SOME})) == ["/device"]
    assert refusals(shared.post(ask)) == [""]
    most = {"architectures": ["444244", "111111"] * 500, "latency_ms": [4000, 600] * 500}
    assert shared.predict(**ASK, measurements=most)["calibration"]["n_measurements"] == 1000


# ---- what to measure -------------------------------------------------------------------------------


def suggest(service, device, body, **headers):
    return requests.post(service.url + address(device) + "/suggest", json=body, headers=headers, timeout=60)


@pytest.mark.parametrize("space", ["nasbench201", "fbnetv3"])
def test_suggestions_are_filled_in_put_and_not_suggested_again(space, shared):
    device = f"Suggested {space}"
    first = suggest(shared, device, {"search_space": space}).json()
    assert (first["device"], first["has_hardware"], first["n_measurements"]) == (device, False, 0)
    assert len(set(first["architectures"])) == len(first["notations"]) == 10
    reply = suggest(shared, device, {"search_space": space}, Accept="text/csv")
    assert reply.headers["Content-Type"] == "text/csv; charset=utf-8" and "Accept" in reply.headers["Vary"]
    rows = list(csv.reader(io.StringIO(reply.text)))
    assert rows == [["architecture", "latency_ms"]] + [[one, ""] for one in first["architectures"]]
    assert put_csv(shared, device, reply.text, space).status_code == 422
    ms = shared.predict(search_space=space, hardware=list(A53), architectures=first["architectures"])["latency_ms"]
    assert put_csv(shared, device, to_csv({"architectures": first["architectures"], "latency_ms": ms}), space).status_code == 201
    second = suggest(shared, device, {"search_space": space, "n": 100}).json()
    assert second["n_measurements"] == 10 and not set(second["architectures"]) & set(first["architectures"])
    got = shared.predict(search_space=space, device=device, architectures=first["architectures"], interval=0.9)
    assert got["calibration"] == {"n_measurements": 10, "n_distrusted": 0}
    assert got["latency_ms"] == pytest.approx(ms, rel=0.1)


def test_suggestions_are_of_what_can_be_measured_and_repeatable(shared):
    given = ["444244", "111111", "123451", "444244"]
    got = suggest(shared, "Some", {"search_space": "nasbench201", "n": 3, "architectures": given}).json()
    assert sorted(got["architectures"]) == sorted(set(given))
    assert refusals(suggest(shared, "Some", {"search_space": "nasbench201", "n": 4, "architectures": given})) == ["/n"]
    seeds = [suggest(shared, "Some", {"search_space": "nasbench201", "seed": s}).text for s in (0, 0, 1)]
    assert seeds[0] == seeds[1] != seeds[2]
    assert suggest(shared, "Samsung Galaxy A10s", {"search_space": "nasbench201"}).json()["has_hardware"] is True


def test_what_is_measured_tells_what_helps_next(phones, shared):
    """What measurements say already, others need not say again."""
    rows, latency, _ = next(phone for key, phone in phones.items() if key[0] == "nasbench201")
    device, ask = "Next", {"search_space": "nasbench201", "n": 20}
    pool = rows[:200]
    known = {"architectures": pool[:20], "latency_ms": latency[:20]}
    assert put_csv(shared, device, to_csv(known)).status_code == 201
    next_ones = [suggest(shared, device, ask | {"architectures": pool[20:]}).json()["architectures"] for _ in range(2)]
    other = suggest(shared, "Other", ask | {"architectures": pool[20:]}).json()["architectures"]
    assert len(set(next_ones[0])) == 20 and next_ones[0] == next_ones[1]
    assert set(next_ones[0]) != set(other), "the choice does not look at what is measured"


@pytest.mark.parametrize(
    "fields, pointers",
    [
        ({"n": 0}, ["/n"]), ({"n": 101}, ["/n"]), ({"n": 2.5}, ["/n"]), ({"n": "3"}, ["/n"]), ({"seed": -1}, ["/seed"]),
        ({"seed": 1e30}, ["/seed"]), ({"architectures": []}, ["/architectures"]), ({"architectures": "444244"}, ["/architectures"]),
        ({"architectures": ["444244", "9"]}, ["/architectures/1"]), ({"architectures": [[1, 2, 3, 4, 5, 6]]}, ["/architectures/0/5"]),
        ({"architectures": ["444244"] * 4097}, ["/architectures"]), ({"search_space": "darts"}, ["/search_space"]),
        ({"device": "x"}, ["/device"]), ({"search_space": None}, ["/search_space"]),
    ],
)  # fmt: skip
def test_what_cannot_be_suggested_is_told_by_pointer(fields, pointers, shared):
    assert refusals(suggest(shared, "Some", {"search_space": "nasbench201"} | fields)) == pointers


def test_other_refusals_of_suggestions(shared):
    problem(suggest(shared, "a/b", {"search_space": "nasbench201"}), 404)
    problem(suggest(shared, "Some", {"search_space": "nasbench201"}, Accept="image/png"), 406)
    problem(requests.post(shared.url + address("Some") + "/suggest", data="{", headers={"Content-Type": "application/json"}), 400)
    stored(shared.root, "Broken").parent.mkdir(parents=True, exist_ok=True)
    stored(shared.root, "Broken").write_text("444244,none\n")
    problem(suggest(shared, "Broken", {"search_space": "nasbench201"}), 409)
    stored(shared.root, "Broken").unlink()


# ---- the command line ------------------------------------------------------------------------------


def test_the_command_line_suggests_calibrates_and_bounds(root, tmp_path):
    suggested = run("suggest", "--search_space", "nasbench201", "--device", "My Phone", "--n", 3, root=root)
    assert suggested.returncode == 0 and suggested.stdout.startswith("architecture,latency_ms\n")
    rows = [line.rstrip(",") for line in suggested.stdout.splitlines()[1:]]
    assert len(rows) == 3
    file = tmp_path / "measured.csv"
    file.write_text(to_csv({"architectures": rows, "latency_ms": [3000, 1800, 2500]}))
    ask = ("predict", "--search_space", "nasbench201", "444244", "--interval", 0.9)
    given = run_json(*ask, "--measurements", file, root=root)
    assert given["calibration"]["n_measurements"] == 3
    refused = run(*ask, "--device", "My Phone", root=root)
    assert refused.returncode == 1 and "My Phone" in refused.stderr
    place_of = root / "data" / "nasbench201" / "measurements"
    place_of.mkdir(parents=True)
    shutil.copy(file, place_of / "My Phone.csv")
    assert run_json(*ask, "--device", "my phone", root=root) == given
    told = run(*ask, "--device", "My Phone", root=root)
    assert told.stderr == "dgld: corrected by 3 measurements\n"
    assert [float(x) for x in told.stdout.split("\t")[:3]] == [*given["latency_ms"], *given["interval_ms"][0]]
    alone = run(*ask, "--device", "My Phone", "--no-calibration", root=root)
    assert alone.returncode == 1 and "there is no device" in alone.stderr
    again = run_json("suggest", "--search_space", "nasbench201", "--device", "My Phone", root=root)
    assert again["n_measurements"] == 3 and not set(again["architectures"]) & set(rows)
    sheet = ("--hardware", "2,3,1,7.46")
    assert run_json(*ask[:-1], ".9", *sheet, root=root) == run_json(*ask, *sheet, root=root)
    for wrong in (["--interval", "1"], ["--interval", "0x0.8"], ["--interval", " .9"], ["--measurements", file, "--no-calibration"]):
        done = run("predict", "--search_space", "nasbench201", "--hardware", "2,3,1,7.46", "444244", *wrong, root=root)
        assert done.returncode == 2, done
