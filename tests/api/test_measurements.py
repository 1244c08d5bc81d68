"""/v1/devices/{device}/measurements/{space}: JSON and CSV in, one CSV file stored, both out."""

import concurrent.futures
import csv
import io
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time

import numpy
import pytest
import requests
from conftest import CELL, ROOT
from test_devices import VECTOR, address, call, problem, sheet

GENES = "[4,4,4,2,4,4]"
TWO = {"architectures": ["444244", "111111"], "latency_ms": [4512.5, 631]}
TWO_CSV = "architecture,latency_ms\n444244,4512.5\n111111,631\n"


def place(device, space="nasbench201"):
    return f"{address(device)}/measurements/{space}"


def get(service, device, space="nasbench201", query="", **headers):
    return call(service, "GET", place(device, space) + query, **headers)


def put_csv(service, device, text, space="nasbench201", **headers):
    headers = {"Content-Type": "text/csv"} | {name.replace("_", "-"): value for name, value in headers.items()}
    data = text if isinstance(text, bytes) else text.encode()
    return requests.put(service.url + place(device, space), data=data, headers=headers, timeout=60)


def stored(root, device, space="nasbench201"):
    return root / "data" / space / "measurements" / f"{device}.csv"


# ---- what is stored, and how it comes back ----------------------------------------------------------


def test_json_is_stored_as_csv_and_comes_back_in_both_forms(shared):
    made = call(shared, "PUT", place("oppo a5"), TWO)
    assert made.status_code == 201 and made.headers["Location"] == place("Oppo A5")
    assert made.json() == {"device": "Oppo A5", "search_space": "nasbench201", "n_measurements": 2}
    assert stored(shared.root, "Oppo A5").read_text() == TWO_CSV
    as_json = get(shared, "Oppo A5")
    assert as_json.headers["Content-Type"] == "application/json" and as_json.headers["Vary"] == "Accept"
    assert as_json.json() == {"device": "Oppo A5", "search_space": "nasbench201", "source": "measurements"} | TWO
    as_csv = get(shared, "Oppo A5", Accept="text/csv")
    assert as_csv.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert as_csv.text == TWO_CSV.replace("\n", "\r\n")
    assert as_csv.headers["ETag"] != as_json.headers["ETag"]
    device = call(shared, "GET", address("Oppo A5")).json()
    assert device["search_spaces"]["nasbench201"]["n_measurements"] == 2
    assert device["search_spaces"]["fbnetv3"]["n_measurements"] == 0


def test_csv_goes_round_and_stays_the_same(shared):
    """What was read can be sent back, and numbers keep every digit."""
    generator = numpy.random.default_rng(3)
    rows = [("".join(map(str, generator.integers(1, 6, 6))), repr(value)) for value in generator.lognormal(3, 3, 500).tolist()]
    text = "architecture,latency_ms\n" + "".join(f"{a},{v}\n" for a, v in rows)
    assert put_csv(shared, "Round", text).status_code == 201
    once = get(shared, "Round", Accept="text/csv")
    read = list(csv.DictReader(io.StringIO(once.text)))
    assert [(row["architecture"], float(row["latency_ms"])) for row in read] == [(a, float(v)) for a, v in rows]
    again = put_csv(shared, "Round", once.content)
    assert again.status_code == 200 and again.json()["n_measurements"] == 500
    assert get(shared, "Round", Accept="text/csv").content == once.content
    assert get(shared, "Round").json()["latency_ms"] == [float(v) for _, v in rows]


@pytest.mark.parametrize(
    "text",
    [
        TWO_CSV,
        TWO_CSV.replace("\n", "\r\n"),
        "\ufeff" + TWO_CSV,
        "444244,4512.5\n111111,631",
        f'architecture,latency_ms\r\n"{GENES}",4512.5\r\n"1,1,1,1,1,1","631"\r\n\r\n',
        f"Architecture , Latency_ms\n{CELL},4.5125e3\n1 1 1 1 1 1,631.0\n",
    ],
)
def test_csv_of_every_usual_kind_is_stored_the_same(shared, text):
    assert put_csv(shared, "Kinds", text).ok
    assert stored(shared.root, "Kinds").read_text() == TWO_CSV


def test_every_notation_of_json_is_stored_the_same(shared):
    body = {"architectures": [[4, 4, 4, 2, 4, 4], "444244", CELL, GENES], "latency_ms": [1, 2, 3, 4.25]}
    assert call(shared, "PUT", place("Notations"), body).status_code == 201
    assert stored(shared.root, "Notations").read_text().split()[1:] == ["444244,1", "444244,2", "444244,3", "444244,4.25"]


def test_genes_of_fbnetv3_are_stored_with_blanks(shared):
    genes = requests.get(shared.url + "/v1/spaces/fbnetv3", timeout=30).json()["example"]["genes"]
    body = {"architectures": [genes], "latency_ms": [12.5]}
    assert call(shared, "PUT", place("Wide", "fbnetv3"), body).status_code == 201
    line = " ".join(map(str, genes)) + ",12.5"
    assert stored(shared.root, "Wide", "fbnetv3").read_text() == f"architecture,latency_ms\n{line}\n"
    assert get(shared, "Wide", "fbnetv3").json()["architectures"] == [" ".join(map(str, genes))]
    listed = ",".join(map(str, genes))
    assert put_csv(shared, "Wide", f'"[{listed}]",12.5\n', "fbnetv3").status_code == 200
    assert stored(shared.root, "Wide", "fbnetv3").read_text().splitlines()[1] == line


def test_measurements_make_a_device_known_and_are_removed_alone(shared):
    assert put_csv(shared, "Measured Only", TWO_CSV).status_code == 201
    device = call(shared, "GET", address("measured on1y")).json()
    assert device["name"] == "Measured Only" and device["hardware"] is None
    problem(call(shared, "DELETE", address("Measured Only")), 409)
    gone = call(shared, "DELETE", place("MEASURED ONLY"))
    assert (gone.status_code, gone.content) == (204, b"")
    assert not stored(shared.root, "Measured Only").exists()
    problem(call(shared, "GET", address("Measured Only")), 404)
    problem(get(shared, "Measured Only"), 404)
    problem(call(shared, "DELETE", place("Measured Only")), 404)


def test_a_file_put_there_by_hand_is_read_and_replaced_under_its_name(root, start):
    service = start(root)
    stored(root, "x").parent.mkdir(parents=True)
    stored(root, "oppo  A5").write_text(f'"{GENES}",1\n')
    assert get(service, "Oppo A5").json()["architectures"] == ["444244"]
    assert call(service, "GET", address("Oppo A5")).json()["search_spaces"]["nasbench201"]["n_measurements"] == 1
    assert put_csv(service, "Oppo A5", TWO_CSV).status_code == 200
    assert [path.name for path in stored(root, "x").parent.iterdir()] == ["oppo  A5.csv"]
    (stored(root, "oppo  A5")).unlink()
    problem(get(service, "Oppo A5"), 404)


def test_a_malformed_file_is_named_with_its_line_and_can_be_replaced(root, start):
    service = start(root)
    stored(root, "x").parent.mkdir(parents=True)
    stored(root, "Oppo A5").write_text(TWO_CSV + "444244,fast\n")
    sentence = 'data/nasbench201/measurements/Oppo A5.csv: line 4: latency_ms "fast" is not a number'
    assert problem(get(service, "Oppo A5"), 409)["detail"] == sentence
    device = call(service, "GET", address("Oppo A5")).json()
    assert device["search_spaces"]["nasbench201"]["error"] == sentence
    assert len(call(service, "GET", "/v1/devices").json()["devices"]) == 21
    assert put_csv(service, "Oppo A5", TWO_CSV).status_code == 200
    assert get(service, "Oppo A5").json()["latency_ms"] == TWO["latency_ms"]


def test_measurements_below_the_data_path_are_seen_and_not_written(root, start, tmp_path):
    folder = tmp_path / "given" / "nasbench201" / "measurements"
    folder.mkdir(parents=True)
    (folder / "Oppo A5.csv").write_text("444244,1\n")
    service = start(root, "--data_path", tmp_path / "given")
    given = get(service, "Oppo A5")
    assert given.json()["latency_ms"] == [1]
    problem(call(service, "DELETE", place("Oppo A5")), 409)
    problem(put_csv(service, "Oppo A5", TWO_CSV, If_None_Match="*"), 412)
    assert put_csv(service, "Oppo A5", TWO_CSV, If_Match=given.headers["ETag"]).status_code == 200
    assert stored(root, "Oppo A5").read_text() == TWO_CSV
    assert (folder / "Oppo A5.csv").read_text() == "444244,1\n"
    assert get(service, "Oppo A5").json()["latency_ms"] == TWO["latency_ms"]
    assert call(service, "DELETE", place("Oppo A5")).status_code == 204
    assert get(service, "Oppo A5").json()["latency_ms"] == [1]


# ---- the reference's latencies ----------------------------------------------------------------------


def test_the_references_latencies_are_given_row_for_row(root, start, data):
    service = start(root)
    problem(get(service, "Huawei Mate 20"), 404)
    shutil.copytree(data / "nasbench201", root / "data" / "nasbench201")
    net = ["".join(line.split()) for line in (data / "nasbench201" / "net.txt").read_text().splitlines()]
    ms = [float(x) for x in (data / "nasbench201" / "latency" / "Huawei Mate 20.txt").read_text().split()]
    reply = get(service, "huawei mate 20")
    assert reply.json() == {
        "device": "Huawei Mate 20",
        "search_space": "nasbench201",
        "source": "latency",
        "architectures": net,
        "latency_ms": ms,
    }
    tag = reply.headers["ETag"]
    assert get(service, "Huawei Mate 20", If_None_Match=tag).status_code == 304
    assert len(get(service, "Huawei Mate 20", Accept="text/csv").text.splitlines()) == len(net) + 1
    problem(get(service, "Huawei Mate 20", query="?source=measurements"), 404)
    problem(call(service, "DELETE", place("Huawei Mate 20")), 409)
    assert put_csv(service, "Huawei Mate 20", TWO_CSV, If_None_Match="*").status_code == 201
    assert get(service, "Huawei Mate 20").json()["source"] == "measurements"
    assert get(service, "Huawei Mate 20", query="?source=latency").json()["latency_ms"] == ms
    problem(get(service, "Oppo A5", query="?source=latency"), 404)


def test_latencies_that_do_not_fit_net_txt_are_told_of(small, start):
    service = start(small)
    assert len(get(service, "Near").json()["latency_ms"]) == 80
    with open(small / "data" / "nasbench201" / "latency" / "Near.txt", "a") as file:
        file.write("12\n")
    detail = problem(get(service, "Near"), 409)["detail"]
    assert detail.startswith("data/nasbench201/latency/Near.txt:81: the file has 81 rows where net.txt has 80")
    (small / "data" / "nasbench201" / "net.txt").unlink()
    detail = problem(get(service, "Near"), 404)["detail"]
    assert detail.startswith("there is no data/nasbench201/net.txt; get the data with: make data")


# ---- conditions and forms ---------------------------------------------------------------------------


def test_conditions_guard_a_write_by_the_tag_of_any_form(shared):
    device = "Guarded"
    problem(put_csv(shared, device, TWO_CSV, If_Match="*"), 412)
    made = put_csv(shared, device, TWO_CSV, If_None_Match="*")
    assert made.status_code == 201
    problem(put_csv(shared, device, "444244,1\n", If_None_Match="*"), 412)
    tags = [made.headers["ETag"], get(shared, device).headers["ETag"], get(shared, device, Accept="text/csv").headers["ETag"]]
    assert len(set(tags)) == 3
    for tag in tags:
        problem(put_csv(shared, device, "444244,1\n", If_Match=f"W/{tag}"), 412)
        assert put_csv(shared, device, TWO_CSV, If_Match=tag).status_code == 200
    problem(put_csv(shared, device, "444244,1\n", If_Match='"x"'), 412)
    assert stored(shared.root, device).read_text() == TWO_CSV
    assert put_csv(shared, device, "444244,1\n", If_Match=tags[1]).status_code == 200
    problem(call(shared, "DELETE", place(device), If_Match=tags[1]), 412)
    now = get(shared, device).headers["ETag"]
    assert call(shared, "DELETE", place(device), If_Match=now).status_code == 204


def test_an_etag_saves_the_second_transfer_of_the_same_form(shared):
    put_csv(shared, "Tagged", TWO_CSV)
    tag = get(shared, "Tagged").headers["ETag"]
    again = get(shared, "Tagged", If_None_Match=tag)
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    assert again.headers["Vary"] == "Accept"
    assert get(shared, "Tagged", If_None_Match=tag, Accept="text/csv").status_code == 200
    assert call(shared, "HEAD", place("Tagged"), Accept="text/csv").headers["Content-Type"].startswith("text/csv")


@pytest.mark.parametrize(
    "accept, kind",
    [
        ("*/*", "application/json"),
        ("text/*", "text/csv; charset=utf-8"),
        ("text/csv;q=0.4, application/json;q=0.5", "application/json"),
        ("text/csv, application/json;q=0.5", "text/csv; charset=utf-8"),
    ],
)
def test_the_form_is_what_the_client_accepts(shared, accept, kind):
    put_csv(shared, "Accepted", TWO_CSV)
    assert get(shared, "Accepted", Accept=accept).headers["Content-Type"] == kind


def test_another_form_is_not_there(shared):
    put_csv(shared, "Accepted", TWO_CSV)
    assert "text/csv" in problem(get(shared, "Accepted", Accept="text/html"), 406)["detail"]


# ---- what is refused --------------------------------------------------------------------------------

BAD_JSON = {
    "nothing": (b"", 400, None, ""),
    "no JSON": (b"{", 400, None, ""),
    "no rows": (b'{"architectures":[],"latency_ms":[]}', 422, "/architectures", "at least one"),
    "too few": (b'{"architectures":["444244","111111"],"latency_ms":[1]}', 422, "/latency_ms", "not 1"),
    "zero": (b'{"architectures":["444244"],"latency_ms":[0]}', 422, "/latency_ms/0", "not 0"),
    "negative": (b'{"architectures":["444244","111111"],"latency_ms":[1,-2]}', 422, "/latency_ms/1", "not -2"),
    "too large": (b'{"architectures":["444244"],"latency_ms":[1e8]}', 422, "/latency_ms/0", "at most 1e7"),
    "infinite": (b'{"architectures":["444244"],"latency_ms":[1e999]}', 422, "/latency_ms/0", "not inf"),
    "a text": (b'{"architectures":["444244"],"latency_ms":["1"]}', 422, "/latency_ms/0", "not a string"),
    "a bad gene": (b'{"architectures":[[1,1,9,1,1,1]],"latency_ms":[1]}', 422, "/architectures/0/2", "gene 3"),
    "a bad text": (b'{"architectures":["1","444244"],"latency_ms":[1,2]}', 422, "/architectures/0", "6 genes"),
    "an unknown field": (b'{"architectures":["444244"],"latency_ms":[1],"x":1}', 422, "/x", "not a field"),
}


@pytest.mark.parametrize("body, status, pointer, detail", BAD_JSON.values(), ids=BAD_JSON.keys())
def test_wrong_json_is_pointed_at_and_writes_nothing(shared, body, status, pointer, detail):
    headers = {"Content-Type": "application/json"}
    found = problem(requests.put(shared.url + place("Never"), data=body, headers=headers, timeout=30), status)
    if pointer is not None:
        assert found["errors"][0]["pointer"] == pointer and detail in found["errors"][0]["detail"]
    assert not stored(shared.root, "Never").exists()


BAD_CSV = {
    "nothing": ("", 422, "line 1: there is no row"),
    "a header alone": ("architecture,latency_ms\n", 422, "line 1: there is no row"),
    "a bad gene": (TWO_CSV + "444294,1\n", 422, "line 4: gene 5 of nasbench201 must be 1 to 5, not 9"),
    "no quotes": (TWO_CSV + GENES + ",1\n", 422, "line 4: 7 fields where 2 are expected"),
    "one field": (TWO_CSV + "\n\n444244\n", 422, "line 6: 1 field"),
    "a word": (TWO_CSV + "444244,fast\n", 422, 'line 4: latency_ms "fast" is not a number'),
    "a decimal comma": ("architecture;latency_ms\n444244;1,5\n", 422, "line 1: "),
    "NaN": ("444244,nan\n", 422, 'line 1: latency_ms "nan" is not a number'),
    "zero": ("444244,0\n", 422, "line 1: latency_ms must be a positive number"),
    "an open quote": (TWO_CSV + '"444244,1\n', 400, "line 4: a double quote is opened and not closed"),
    "text behind a quote": (TWO_CSV + '"444244"x,1\n', 400, "line 4: a comma or the end of the line"),
    "JSON": (json.dumps(TWO), 400, "line 1: a double quote stands inside of a field"),
    "binary": (bytes(range(1, 34)) + b"\xff\x00", 422, "line 1: "),
}


@pytest.mark.parametrize("text, status, sentence", BAD_CSV.values(), ids=BAD_CSV.keys())
def test_wrong_csv_is_told_by_line_and_writes_nothing(shared, text, status, sentence):
    found = problem(put_csv(shared, "Never", text), status)
    assert found["detail"].startswith(sentence)
    if status == 422:
        assert found["errors"][0]["pointer"] == "" and found["errors"][0]["detail"] == found["detail"]
    assert not stored(shared.root, "Never").exists()


def test_more_rows_than_the_bound_are_refused_with_it(shared):
    found = problem(put_csv(shared, "Never", "444244,1\n" * (2**20 + 1)), 413)
    assert found["detail"] == "a device has at most 1048576 measurements of a search space"
    assert put_csv(shared, "Full", "444244,1\n" * 2**20).json()["n_measurements"] == 2**20
    assert get(shared, "Full", Accept="text/csv").content.count(b"\r\n") == 2**20 + 1
    assert call(shared, "DELETE", place("Full")).status_code == 204
    assert not stored(shared.root, "Never").exists()


def test_addresses_and_queries_that_are_wrong_are_refused(shared):
    for method, body in (("GET", None), ("PUT", TWO), ("DELETE", None)):
        assert "darts" in problem(call(shared, method, place("Oppo A5", "darts"), body), 404)["detail"]
    problem(get(shared, "Nobody"), 404)
    problem(get(shared, "Oppo A5", query="?source=guess"), 422)
    problem(call(shared, "GET", address("Oppo A5") + "/measurements"), 404)
    problem(call(shared, "GET", place("Oppo A5") + "/x"), 404)
    reply = call(shared, "POST", place("Oppo A5"))
    assert reply.status_code == 405 and {"GET", "PUT", "DELETE"} <= set(reply.headers["Allow"].split(", "))
    headers = {"Content-Type": "text/plain"}
    problem(requests.put(shared.url + place("Never"), data=b"444244,1\n", headers=headers, timeout=30), 415)


# ---- together, and to the end -----------------------------------------------------------------------


def test_readers_never_see_half_of_what_writers_write(shared):
    """Files of 1 and of 2,000 rows take turns; every reply is one or the other, whole."""
    bodies = ["444244,1\n", "111111,2\n" * 2000]
    put_csv(shared, "Turns", bodies[0])
    is_over = threading.Event()

    def write():
        for body in itertools.cycle(bodies):
            assert put_csv(shared, "Turns", body).status_code == 200
            if is_over.is_set():
                return

    def read(_):
        seen = set()
        for _ in range(60):
            body = get(shared, "Turns").json()
            assert (set(body["architectures"]), set(body["latency_ms"])) in (({"444244"}, {1}), ({"111111"}, {2}))
            seen.add(len(body["latency_ms"]))
        return seen

    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        writer = pool.submit(write)
        seen = set().union(*pool.map(read, range(3)))
        is_over.set()
        writer.result()
    assert seen == {1, 2000}


class Stream:
    """A client that stores ever larger numbers in one file, and remembers what was acknowledged."""

    def __init__(self, service, device, is_sheet):
        self.service, self.device, self.is_sheet = service, device, is_sheet
        self.sent = self.acknowledged = 0
        self.thread = threading.Thread(target=self.run)

    def put(self, number):
        if self.is_sheet:
            return call(self.service, "PUT", address(self.device), {"hardware": [number, *VECTOR[1:]]})
        return put_csv(self.service, self.device, f"444244,{number}\n" * (1 + number % 300))

    def run(self):
        try:
            for number in itertools.count(self.acknowledged + 1):
                number = 1 + number % 999
                self.sent = number
                if self.put(number).ok:
                    self.acknowledged = number
        except requests.RequestException:
            pass  # the daemon is gone

    def held(self, root):
        """The number that the file holds; the file is whole, or this fails."""
        if self.is_sheet:
            return json.loads(sheet(root, self.device).read_text())["hardware"]["frequency_ghz"]
        rows = stored(root, self.device).read_text().splitlines()[1:]
        number = int(rows[0].split(",")[1])
        assert rows == [f"444244,{number}"] * (1 + number % 300)
        return number

    def told(self, service):
        if self.is_sheet:
            return call(service, "GET", address(self.device)).json()["hardware"]["frequency_ghz"]
        return get(service, self.device).json()["latency_ms"][0]


def test_what_was_acknowledged_survives_kill_9_and_nothing_is_half_written(root, start):
    streams = [("Sheet A", True), ("Sheet B", True), ("Rows A", False), ("Rows B", False)]
    for pause_s in (0.15, 0.3, 0.2, 0.25):
        service = start(root)
        clients = [Stream(service, *stream) for stream in streams]
        for client in clients:
            client.thread.start()
        deadline = time.monotonic() + 20
        while not all(client.acknowledged for client in clients) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(pause_s)
        os.kill(service.process.pid, signal.SIGKILL)
        service.process.wait()
        for client in clients:
            client.thread.join()
            assert client.acknowledged > 0
            assert client.held(root) in (client.acknowledged, client.sent)

        (root / "data" / "devices" / ".Left.json.1.1.tmp").write_text("{")
        again = start(root)
        devices = {device["name"]: device for device in call(again, "GET", "/v1/devices").json()["devices"]}
        assert len(devices) == 21 + 4 and not any("tmp" in name for name in devices)
        assert not any("error" in device for device in devices.values())
        for client in clients:
            assert client.told(again) == client.held(root)
        problem(call(again, "GET", "/v1/devices/.Left.json.1.1.tmp"), 404)
        assert again.stop()[0] == 0


def test_the_commands_of_the_readme_do_what_it_says(shared):
    readme = (ROOT / "README.md").read_text()
    block = next(b for b in re.findall(r"```sh\n(.*?)```", readme, re.S) if "/measurements/" in b and "curl" in b and "/suggest" not in b)
    script = block.replace("http://127.0.0.1:8080", shared.url).replace("curl ", "curl -sS --fail-with-body ")
    done = subprocess.run(["sh", "-e", "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done
    assert "architecture,latency_ms\n444244,640\n111111,95.5\n" in done.stdout
    device = json.loads(done.stdout.splitlines()[-1])
    assert device["name"] == "My Phone" and device["search_spaces"]["nasbench201"]["n_measurements"] == 2
