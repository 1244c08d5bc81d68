"""/v1/devices: sheets are stored as files, and files of any hand are devices at once."""

import concurrent.futures
import json
import os
import shutil
import urllib.parse

import pytest
import requests
from conftest import ROOT, run, run_json

VECTOR = [2.5, 10, 2, 34.1]
OBJECT = {"frequency_ghz": 2.5, "dispatch_width": 10, "cache_mb": 2, "memory_bandwidth_gbs": 34.1}


def address(name):
    return "/v1/devices/" + urllib.parse.quote(name, safe="")


def call(service, method, path, json_body=None, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.request(method, service.url + path, json=json_body, headers=headers, timeout=30)


def put(service, name, body, **headers):
    return call(service, "PUT", address(name), body, **headers)


def problem(reply, status):
    assert reply.status_code == status, reply.text
    assert reply.headers["Content-Type"] == "application/problem+json"
    body = reply.json()
    assert body["status"] == status and body["type"].startswith("urn:dgld:problem:")
    return body


def sheet(root, name):
    return root / "data" / "devices" / f"{name}.json"


# ---- reading ----------------------------------------------------------------------------------------


def test_all_devices_are_listed_by_name(service):
    reply = call(service, "GET", "/v1/devices")
    assert reply.status_code == 200
    devices = reply.json()["devices"]
    names = [device["name"] for device in devices]
    assert names == sorted(path.stem for path in (ROOT / "data" / "devices").glob("*.json"))
    for device in devices:
        assert call(service, "GET", address(device["name"])).json() == device


def test_a_device_is_its_sheet_and_what_each_space_has(service):
    device = call(service, "GET", address("Galaxy A9")).json()
    hardware = {"frequency_ghz": 2.2, "dispatch_width": 4, "cache_mb": 2, "memory_bandwidth_gbs": 14.9}
    in_space = {"hardware": hardware, "n_measurements": 0, "has_latency": False}
    assert device == {
        "name": "Galaxy A9",
        "hardware": hardware,
        "chip": "Snapdragon 660",
        "estimated": False,
        "source": "the chip's public data sheet",
        "search_spaces": {"nasbench201": in_space, "fbnetv3": in_space},
    }


@pytest.mark.parametrize("name", ["Asus R0G Ph0ne 3", "asus rog phone 3", "ASUS  ROG PHONE 3"])
def test_a_name_may_differ_in_case_and_mistaken_digits(service, name):
    assert call(service, "GET", address(name)).json()["name"] == "Asus ROG Phone 3"


def test_an_etag_saves_the_second_transfer(service):
    first = call(service, "GET", address("Galaxy A9"))
    tag = first.headers["ETag"]
    for match in (tag, f'"x", W/{tag}', "*"):
        again = call(service, "GET", address("Galaxy A9"), If_None_Match=match)
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    assert call(service, "GET", address("Galaxy A9"), If_None_Match='"x"').content == first.content
    problem(call(service, "GET", address("Galaxy A9"), If_Match='"x"'), 412)
    head = call(service, "HEAD", address("Galaxy A9"))
    assert (head.status_code, head.headers["ETag"], head.content) == (200, tag, b"")


def test_files_of_the_reference_are_devices_without_restart(root, start, data):
    service = start(root)
    before = call(service, "GET", address("Asus ROG Phone 3")).json()
    assert not before["search_spaces"]["fbnetv3"]["has_latency"]
    for part in ("hardware", "NAS", "latency"):
        shutil.copytree(data / "fbnetv3" / part, root / "data" / "fbnetv3" / part)
    after = call(service, "GET", address("Asus R0G Ph0ne 3")).json()
    assert after["name"] == "Asus ROG Phone 3" and after["search_spaces"]["fbnetv3"]["has_latency"]
    names = [device["name"] for device in call(service, "GET", "/v1/devices").json()["devices"]]
    assert len(names) == 21 and not {"net", "acc", "dataxy", "Asus R0G Ph0ne 3"} & set(names)


def test_the_references_file_wins_over_the_sheet_in_its_space(root, start):
    service = start(root)
    folder = root / "data" / "nasbench201" / "hardware"
    folder.mkdir(parents=True)
    (folder / "galaxy a9.txt").write_text("3 3 1 7.46\n")
    device = call(service, "GET", address("Galaxy A9")).json()
    assert device["name"] == "Galaxy A9" and device["hardware"]["frequency_ghz"] == 2.2
    assert device["search_spaces"]["nasbench201"]["hardware"]["frequency_ghz"] == 3
    assert device["search_spaces"]["fbnetv3"]["hardware"]["frequency_ghz"] == 2.2
    by_name = service.predict(search_space="nasbench201", device="Galaxy A9", architectures=["444244"])
    by_hand = service.predict(search_space="nasbench201", hardware=[3, 3, 1, 7.46], architectures=["444244"])
    assert by_name == by_hand


def test_the_list_of_a_space_has_what_can_be_predicted_there(root, start):
    service = start(root)
    folder = root / "data" / "nasbench201" / "hardware"
    folder.mkdir(parents=True)
    (folder / "Only Here.txt").write_text("3 3 1 7.46\n")

    def names(space):
        devices = call(service, "GET", f"/v1/devices?search_space={space}").json()["devices"]
        return {device["name"] for device in devices}

    assert "Only Here" in names("nasbench201") and "Only Here" not in names("fbnetv3")
    assert len(names("fbnetv3")) == 21
    measured = {"architectures": ["444244"], "latency_ms": [640]}
    assert call(service, "PUT", "/v1/devices/No Sheet/measurements/nasbench201", measured).status_code == 201
    assert service.predict(search_space="nasbench201", device="No Sheet", architectures=["444244"])["latency_ms"] == [640]
    assert "No Sheet" in names("nasbench201") and "No Sheet" not in names("fbnetv3")
    assert "darts" in problem(call(service, "GET", "/v1/devices?search_space=darts"), 422)["detail"]


def test_files_below_the_data_path_are_seen_and_writes_go_to_the_root(root, start, tmp_path):
    given = tmp_path / "given"
    (given / "nasbench201" / "hardware").mkdir(parents=True)
    (given / "nasbench201" / "hardware" / "Given.txt").write_text("3 3 1 7.46\n")
    service = start(root, "--data_path", given)
    assert call(service, "GET", address("given")).json()["hardware"] is None
    problem(call(service, "DELETE", address("given")), 409)
    reply = put(service, "given", {"hardware": VECTOR})
    assert (reply.status_code, reply.json()["name"]) == (200, "Given")
    assert sheet(root, "Given").is_file()
    (given / "nasbench201" / "hardware" / "Given.txt").write_text("x\n")
    broken = problem(call(service, "GET", address("given")), 409)
    assert broken["detail"].startswith("nasbench201/hardware/Given.txt:1: ")


@pytest.mark.parametrize(
    "file, text, sentence",
    [
        ("devices/Bad.json", "{", "data/devices/Bad.json: line 1"),
        ("devices/Bad.json", '{"hardware": [1, 2, 3]}', "data/devices/Bad.json: /hardware: hardware must be 4 numbers"),
        ("devices/Bad.json", "x" * 70000, "data/devices/Bad.json has 70000 bytes; at most 65536 are accepted"),
        ("fbnetv3/hardware/Bad.txt", "1 2\n3 x\n", 'data/fbnetv3/hardware/Bad.txt:2: "x" is not a number'),
        ("fbnetv3/NAS/Bad.txt", "1 2 3 0\n", "data/fbnetv3/NAS/Bad.txt:1: memory_bandwidth_gbs"),
    ],
)
def test_a_malformed_file_is_named_and_hides_no_other(root, start, file, text, sentence):
    service = start(root)
    (root / "data" / file).parent.mkdir(parents=True, exist_ok=True)
    (root / "data" / file).write_text(text)
    found = problem(call(service, "GET", address("Bad")), 409)
    assert found["detail"].startswith(sentence) and str(root) not in json.dumps(found)
    devices = {device["name"]: device for device in call(service, "GET", "/v1/devices").json()["devices"]}
    assert len(devices) == 22 and devices["Bad"]["error"] == found["detail"]
    assert "error" not in devices["Galaxy A9"]
    refused = service.post({"search_space": "fbnetv3", "device": "Bad", "architectures": ["1"]})
    assert str(root) not in refused.text


def test_a_malformed_device_is_told_to_predictions_without_the_servers_paths(root, start):
    service = start(root)
    sheet(root, "Bad").write_text("{")
    refused = service.post({"search_space": "nasbench201", "device": "Bad", "architectures": ["444244"]})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "/device"
    assert refused.json()["errors"][0]["detail"].startswith("data/devices/Bad.json: line 1")


def test_a_name_that_could_mean_several_is_refused_with_the_reason(root, start):
    service = start(root)
    shutil.copy(sheet(root, "Oppo A5"), sheet(root, "0ppo A5"))
    for method, body in (("GET", None), ("PUT", {"hardware": VECTOR}), ("DELETE", None)):
        assert "could mean several" in problem(call(service, method, address("oppo a5"), body), 409)["detail"]
    for name in ("Oppo A5", "0ppo A5"):
        assert call(service, "GET", address(name)).json()["name"] == name
    assert call(service, "DELETE", address("0ppo A5")).status_code == 204
    assert call(service, "GET", address("oppo a5")).json()["name"] == "Oppo A5"


def test_a_name_with_measurements_alone_is_not_lent_one_of_several_sheets(root, start):
    """Its own spelling is exact, those of the sheets are not: none of them may be overwritten or removed by chance."""
    service = start(root)
    sheets = {name: sheet(root, name) for name in ("Twin", "TWIN")}
    for path in sheets.values():
        shutil.copy(sheet(root, "Oppo A5"), path)
    before = {name: path.read_bytes() for name, path in sheets.items()}
    folder = root / "data" / "nasbench201" / "measurements"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "twin.csv").write_text("architecture,latency_ms\n444244,10\n")
    assert call(service, "GET", address("twin")).json()["hardware"] is None
    assert "no sheet" in problem(call(service, "DELETE", address("twin")), 409)["detail"]
    assert call(service, "PUT", address("twin"), {"hardware": VECTOR}).json()["name"] == "twin"
    assert {name: path.read_bytes() for name, path in sheets.items()} == before


# ---- writing ----------------------------------------------------------------------------------------


def test_a_sheet_is_made_replaced_and_removed(shared):
    name = "Käfer Phone 1"
    body = {"hardware": VECTOR, "chip": "Chip", "estimated": True, "source": "us"}
    made = put(shared, name, body)
    assert made.status_code == 201 and made.headers["Location"] == address(name)
    assert made.json()["hardware"] == OBJECT and made.json()["chip"] == "Chip" and made.json()["estimated"]
    assert json.loads(sheet(shared.root, name).read_text()) == {**body, "hardware": OBJECT}
    got = call(shared, "GET", made.headers["Location"])
    assert got.content == made.content and got.headers["ETag"] == made.headers["ETag"]
    replaced = put(shared, "KÄFER PHONE 1".replace("Ä", "ä"), {"hardware": OBJECT})
    assert replaced.status_code == 200 and "Location" not in replaced.headers
    assert replaced.json()["name"] == name and replaced.json()["chip"] is None
    assert replaced.headers["ETag"] != made.headers["ETag"]
    gone = call(shared, "DELETE", address(name))
    assert (gone.status_code, gone.content) == (204, b"")
    problem(call(shared, "GET", address(name)), 404)
    problem(call(shared, "DELETE", address(name)), 404)
    assert not sheet(shared.root, name).exists()


def test_the_command_line_sees_what_was_stored(shared):
    assert put(shared, "Seen", {"hardware": VECTOR}).status_code == 201
    answer = run_json("predict", "--search_space", "nasbench201", "444244", "--device", "seen", root=shared.root)
    asked = shared.predict(search_space="nasbench201", device="seen", architectures=["444244"])
    assert answer["latency_ms"] == pytest.approx(asked["latency_ms"], rel=1e-8)


def test_a_reply_can_be_sent_back(shared):
    device = call(shared, "GET", address("Honor 9C")).json()
    body = {field: device[field] for field in ("hardware", "chip", "estimated", "source")}
    assert put(shared, "Honor 9C", body).json() == device


def test_predictions_use_a_sheet_at_once(shared):
    for clock in (1, 2, 4, 3, 2.5):
        assert put(shared, "Quick", {"hardware": [clock, *VECTOR[1:]]}).ok
        by_name = shared.predict(search_space="nasbench201", device="quick", architectures=["444244"])
        by_hand = shared.predict(
            search_space="nasbench201", hardware=[clock, *VECTOR[1:]], architectures=["444244"]
        )
        assert by_name == by_hand
    assert call(shared, "DELETE", address("Quick")).status_code == 204
    assert shared.post({"search_space": "nasbench201", "device": "quick", "architectures": []}).status_code == 422


def test_conditions_guard_a_write(shared):
    name = "Guarded"
    problem(put(shared, name, {"hardware": VECTOR}, If_Match="*"), 412)
    problem(put(shared, name, {"hardware": VECTOR}, If_Match='"x"'), 412)
    problem(call(shared, "DELETE", address(name), If_Match='"x"'), 404)  # it is not there anyway
    assert not sheet(shared.root, name).exists()
    made = put(shared, name, {"hardware": VECTOR}, If_None_Match="*")
    tag = made.headers["ETag"]
    assert made.status_code == 201
    refused = put(shared, name, {"hardware": [1, 1, 1, 1]}, If_None_Match="*")
    assert problem(refused, 412) and refused.headers["ETag"] == tag
    for match in ('"x"', f"W/{tag}", tag.strip('"'), "", '"x", "y"'):
        problem(put(shared, name, {"hardware": [1, 1, 1, 1]}, If_Match=match), 412)
        problem(call(shared, "DELETE", address(name), If_Match=match), 412)
    assert call(shared, "GET", address(name)).headers["ETag"] == tag
    replaced = put(shared, name, {"hardware": [3, *VECTOR[1:]]}, If_Match=f'"x", {tag}')
    assert replaced.status_code == 200
    problem(call(shared, "DELETE", address(name), If_Match=tag), 412)
    assert call(shared, "DELETE", address(name), If_Match=replaced.headers["ETag"]).status_code == 204


def test_no_update_is_lost_between_writers_that_look_first(shared):
    """Each adds one to the clock eight times; whoever is told 412 looks again."""
    name, n_writers, n_times = "Counter", 8, 8
    assert put(shared, name, {"hardware": [1, 1, 1, 1]}).status_code == 201

    def add(_):
        n_refused = 0
        for _ in range(n_times):
            while True:
                seen = call(shared, "GET", address(name))
                clock = seen.json()["hardware"]["frequency_ghz"]
                reply = put(shared, name, {"hardware": [clock + 1, 1, 1, 1]}, If_Match=seen.headers["ETag"])
                if reply.status_code == 200:
                    break
                assert reply.status_code == 412
                n_refused += 1
        return n_refused

    with concurrent.futures.ThreadPoolExecutor(n_writers) as pool:
        n_refused = sum(pool.map(add, range(n_writers)))
    clock = call(shared, "GET", address(name)).json()["hardware"]["frequency_ghz"]
    assert clock == 1 + n_writers * n_times and n_refused > 0


def test_one_of_many_that_want_to_make_a_device_makes_it(shared):
    def make(clock):
        return put(shared, "First", {"hardware": [clock, 1, 1, 1]}, If_None_Match="*").status_code

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        codes = sorted(pool.map(make, range(1, 17)))
    assert codes == [201] + [412] * 15


BODIES = {
    "nothing": (b"", 400, None),
    "no JSON": (b"{", 400, None),
    "a list": (b"[]", 422, ""),
    "no hardware": (b"{}", 422, "/hardware"),
    "null hardware": (b'{"hardware":null}', 422, "/hardware"),
    "three numbers": (b'{"hardware":[1,2,3]}', 422, "/hardware"),
    "a word": (b'{"hardware":[1,2,"x",4]}', 422, "/hardware/2"),
    "zero": (b'{"hardware":[1,0,3,4]}', 422, "/hardware/1"),
    "negative": (b'{"hardware":[-1,2,3,4]}', 422, "/hardware/0"),
    "infinite": (b'{"hardware":[1,2,3,1e999]}', 422, "/hardware/3"),
    "NaN": (b'{"hardware":[NaN,2,3,4]}', 400, None),
    "an unknown field": (b'{"hardware":[1,2,3,4],"name":"x"}', 422, "/name"),
    "a number as chip": (b'{"hardware":[1,2,3,4],"chip":7}', 422, "/chip"),
    "a long chip": (b'{"hardware":[1,2,3,4],"chip":"' + b"x" * 200 + b'"}', 422, "/chip"),
    "a NUL in the source": (b'{"hardware":[1,2,3,4],"source":"a\\u0000b"}', 422, "/source"),
    "no boolean": (b'{"hardware":[1,2,3,4],"estimated":"yes"}', 422, "/estimated"),
    "a field twice": (b'{"hardware":[1,2,3,4],"hardware":[1,2,3,4]}', 422, "/hardware"),
    "not UTF-8": (b'{"hardware":[1,2,3,4],"chip":"\xff"}', 400, None),
}


@pytest.mark.parametrize("body, status, pointer", BODIES.values(), ids=BODIES.keys())
def test_a_wrong_body_is_pointed_at_and_writes_nothing(shared, body, status, pointer):
    headers = {"Content-Type": "application/json"}
    reply = requests.put(shared.url + address("Never"), data=body, headers=headers, timeout=30)
    found = problem(reply, status)
    if pointer is not None:
        assert found["errors"][0]["pointer"] == pointer
    problem(call(shared, "GET", address("Never")), 404)
    assert not sheet(shared.root, "Never").exists()


def test_a_body_of_another_type_is_refused(shared):
    headers = {"Content-Type": "text/csv"}
    problem(requests.put(shared.url + address("Never"), data=b"x", headers=headers, timeout=30), 415)


def test_other_methods_are_told_what_there_is(shared):
    reply = call(shared, "POST", address("Galaxy A9"))
    assert reply.status_code == 405
    assert {"GET", "HEAD", "PUT", "DELETE"} <= set(reply.headers["Allow"].split(", "))


NAMES = {
    "a dot": "%2E",
    "two dots": "%2E%2E",
    "hidden": ".hidden",
    "a temporary": ".x.json.1.1.tmp",
    "up and away": "..%2F..%2Fx",
    "a slash": "a%2Fb",
    "a backslash": "a%5Cb",
    "a NUL": "a%00b",
    "a NUL at the end": "a%00",
    "a line end": "a%0Ab",
    "a carriage return": "a%0D%0AX-Evil:%20b",
    "a delete": "a%7Fb",
    "a C1 control": "a%C2%85b",
    "a quote": "a%22b",
    "a colon": "a:b",
    "a star": "a*b",
    "a comma": "a,b",
    "a pipe": "a%7Cb",
    "101 bytes": "x" * 101,
    "a long name": "x" * 5000,
    "a trailing blank": "a%20",
    "a leading blank": "%20a",
    "a blank": "%20",
    "no UTF-8": "a%FFb",
    "an overlong slash": "a%C0%AFb",
    "a surrogate": "a%ED%A0%80b",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
def test_a_hostile_name_leaves_the_tree_as_it_was(shared, name):
    before = {str(path) for path in shared.root.rglob("*")}
    outside = set(os.listdir(shared.root.parent))
    body = json.dumps({"hardware": VECTOR}).encode()
    csv = b"444244,1\n"
    for method, path, data, kind in (
        ("GET", f"/v1/devices/{name}", b"", ""),
        ("PUT", f"/v1/devices/{name}", body, "application/json"),
        ("DELETE", f"/v1/devices/{name}", b"", ""),
        ("GET", f"/v1/devices/{name}/measurements/nasbench201", b"", ""),
        ("PUT", f"/v1/devices/{name}/measurements/nasbench201", csv, "text/csv"),
        ("DELETE", f"/v1/devices/{name}/measurements/nasbench201", b"", ""),
    ):
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {kind}\r\n"
        answer = shared.exchange(head.encode() + b"Content-Length: %d\r\n\r\n" % len(data) + data)
        status = int(answer.split()[1])
        assert 400 <= status < 500, answer
        assert b"X-Evil" not in answer.split(b"\r\n\r\n")[0]
        assert str(shared.root).encode() not in answer
    assert {str(path) for path in shared.root.rglob("*")} == before
    assert set(os.listdir(shared.root.parent)) == outside


@pytest.mark.parametrize("name", ["x" * 100, "手机 1", "a%b", "100% phone", "A+B", "tab-less~name", "é"])
def test_an_unusual_name_is_fine(shared, name):
    made = put(shared, name, {"hardware": VECTOR})
    assert made.status_code == 201 and made.json()["name"] == name
    assert call(shared, "GET", made.headers["Location"]).json()["name"] == name
    assert call(shared, "DELETE", made.headers["Location"]).status_code == 204


def test_a_disk_that_takes_nothing_is_told_and_leaves_nothing(root, start):
    """The directory is a file: nothing can be made in it."""
    service = start(root)
    shutil.rmtree(root / "data" / "devices")
    (root / "data" / "devices").write_text("")
    reply = put(service, "X", {"hardware": VECTOR})
    assert str(root) not in reply.text
    problem(reply, 503)
    assert run("predict", "--search_space", "nasbench201", "444244", "--device", "X", root=root).returncode == 1
