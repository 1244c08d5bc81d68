"""POST /v1/predict: what is asked rightly."""

import itertools
import json
import random
import re
import threading

import numpy
import pytest
import requests
from conftest import A53, CELL, TRAIN_DEVICES, UNSEEN_DEVICES, factor, run_json

FBNET = [5, 5, 3, 5, 3, 3, 5, 4, 4, 6, 3, 5, 5, 6, 22, 20, 28, 28, 80, 144, 184, 224, 1, 4, 4, 8, 10, 9]
VECTOR = [2.0, 3, 1, 7.46]
OBJECT = {"frequency_ghz": 2.0, "dispatch_width": 3, "cache_mb": 1, "memory_bandwidth_gbs": 7.46}
CELLS = ["".join(genes) for genes in itertools.product("12345", repeat=6)]


def latencies(service, architectures, space="nasbench201", **fields):
    fields = fields or {"hardware": VECTOR}
    return service.predict(search_space=space, architectures=architectures, **fields)["latency_ms"]


@pytest.fixture(scope="session")
def all_cells(service):
    """Latency of all 15,625 cells, in the order of CELLS."""
    return dict(zip(CELLS, latencies(service, CELLS), strict=True))


def test_request_of_the_design_is_answered_field_by_field(service):
    reply = service.post(
        {
            "search_space": "nasbench201",
            "hardware": [2.0, 3, 1, 7.46],
            "architectures": [[4, 4, 4, 2, 4, 4], "444244", CELL],
        }
    )
    assert reply.status_code == 200
    assert reply.headers["Content-Type"] == "application/json"
    body = reply.json()
    assert list(body) == ["search_space", "model", "conditions", "latency_ms"]
    assert body["search_space"] == "nasbench201"
    assert list(body["model"]) == ["version", "predictor"]
    assert re.fullmatch(r"cost-[0-9a-f]{12}", body["model"]["version"]) and body["model"]["predictor"] == "cost"
    assert body["conditions"] == {"input": "1x3x224x224", "batch": 1}
    assert len(body["latency_ms"]) == 3 and len(set(body["latency_ms"])) == 1
    assert 3000 < body["latency_ms"][0] < 5500


@pytest.mark.parametrize("genes", [FBNET, " ".join(map(str, FBNET)), ",".join(map(str, FBNET)), str(FBNET)])
def test_every_notation_of_fbnetv3_gives_the_same(genes, service):
    assert latencies(service, [genes], "fbnetv3") == latencies(service, [FBNET], "fbnetv3")


@pytest.mark.parametrize("form", ["4 4 4 2 4 4", "4,4,4,2,4,4", "[4, 4, 4, 2, 4, 4]", [4.0, 4, 4, 2, 4, 4], CELL])
def test_every_notation_of_nasbench201_gives_the_same(form, service, all_cells):
    assert latencies(service, [form]) == [all_cells["444244"]]


def test_hardware_as_vector_and_as_object_is_the_same(service):
    assert latencies(service, ["444244"], hardware=VECTOR) == latencies(service, ["444244"], hardware=OBJECT)


@pytest.mark.parametrize("space, cell", [("nasbench201", "444244"), ("fbnetv3", FBNET)])
def test_named_devices_have_the_hardware_of_their_sheets(space, cell, service):
    for name, hardware in (TRAIN_DEVICES | UNSEEN_DEVICES[space]).items():
        assert latencies(service, [cell], space, device=name) == latencies(service, [cell], space, hardware=hardware)


def test_device_names_are_folded(service):
    latency = latencies(service, [FBNET], "fbnetv3", device="asus r0g ph0ne 3")
    assert latency == latencies(service, [FBNET], "fbnetv3", device="Asus ROG Phone 3")


def test_devices_of_all_forms_give_one_row_each_in_their_order(service):
    cells = ["444244", "111111", "123451"]
    rows = latencies(service, cells, devices=["VIVO NEX", VECTOR, OBJECT, "galaxy a9"])
    vivo, near = (latencies(service, cells, device=name) for name in ("VIVO NEX", "Galaxy A9"))
    assert rows == [vivo, latencies(service, cells), latencies(service, cells), near]


def test_one_device_in_a_list_still_gives_a_row(service, all_cells):
    assert latencies(service, ["444244"], devices=[VECTOR]) == [[all_cells["444244"]]]


def test_one_hundred_devices_at_once(service):
    devices = [[1 + i / 100, 3, 1, 7.46] for i in range(100)]
    rows = numpy.array(latencies(service, ["444244", "111111"], devices=devices))
    assert rows.shape == (100, 2)
    assert numpy.allclose(rows * [[d[0]] for d in devices], rows[0], rtol=1e-7)


def test_latency_is_a_times_k(service):
    a = numpy.array(latencies(service, ["444244", "111111"], hardware=[1, 2, 4, 1]))  # k = 1
    for hardware in (A53, (3.1, 10, 4, 44), (0.5, 1, 0.25, 3)):
        assert numpy.allclose(
            latencies(service, ["444244", "111111"], hardware=hardware), a * factor(hardware), rtol=1e-8
        )


def test_empty_list_of_architectures_gives_an_empty_list(service):
    assert latencies(service, []) == []
    assert latencies(service, [], devices=[VECTOR, "VIVO NEX"]) == [[], []]


def test_shuffled_batch_of_all_cells_keeps_its_order(service, all_cells):
    shuffled = random.Random(3).sample(CELLS, len(CELLS))
    assert latencies(service, shuffled) == [all_cells[cell] for cell in shuffled]
    assert len(set(all_cells.values())) > 1000


def test_lists_and_notations_mixed_keep_their_order(service, all_cells):
    cells = random.Random(4).sample(CELLS, 500)
    forms = [list(map(int, c)) if i % 3 == 0 else c if i % 3 == 1 else ",".join(c) for i, c in enumerate(cells)]
    assert latencies(service, forms) == [all_cells[cell] for cell in cells]


def test_command_line_and_service_agree_on_every_cell(all_cells):
    arguments = ("predict", "--search_space", "nasbench201", "--hardware", "2,3,1,7.46", "--architectures", "-")
    assert run_json(*arguments, stdin="\n".join(CELLS))["latency_ms"] == list(all_cells.values())


def test_command_line_and_service_give_the_same_reply(service):
    arguments = ("predict", "--search_space", "fbnetv3", "--device", "Oppo A5", " ".join(map(str, FBNET)))
    assert run_json(*arguments) == service.predict(search_space="fbnetv3", device="Oppo A5", architectures=[FBNET])


def test_more_work_takes_longer(all_cells):
    assert all_cells["111111"] < all_cells["333333"] < all_cells["444444"]


@pytest.mark.parametrize("clock", [0.001, 0.37, 2.0, 41.3, 999.0])
def test_numbers_have_six_to_nine_significant_digits(clock, service):
    text = service.post(
        {"search_space": "nasbench201", "hardware": [clock, 3, 1, 7.46], "architectures": CELLS[:3000]}
    ).text
    numbers = re.search(r'"latency_ms":\[(.*?)\]', text)[1].split(",")
    assert len(numbers) == 3000
    digits = [len(re.sub(r"[eE].*|\.", "", n).lstrip("0")) for n in numbers]
    assert max(digits) == 9 and min(digits) >= 5  # a trailing zero carries no digit
    assert sum(d >= 8 for d in digits) > 2900


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON", None])
def test_json_content_types_are_taken(content_type, service):
    body = json.dumps({"search_space": "nasbench201", "hardware": VECTOR, "architectures": ["444244"]})
    reply = requests.post(service.url + "/v1/predict", data=body.encode(), headers={"Content-Type": content_type})
    assert reply.status_code == 200


def test_field_order_does_not_matter(service, all_cells):
    body = (
        b'{"architectures":["444244","944244"],"hardware":[2,3,1,7.46],"on_error":"null","search_space":"nasbench201"}'
    )
    reply = service.post(body)
    assert reply.status_code == 200 and reply.json()["latency_ms"] == [all_cells["444244"], None]


def test_on_error_null_answers_null_and_says_which_and_why(service, all_cells):
    reply = service.predict(
        search_space="nasbench201", hardware=VECTOR, on_error="null",
        architectures=["444244", [1, 2, 3, 9, 5, 1], "12345", 7, "111111", [1, 2, 3, 4, 5, "6"], "|x~0|"],
    )  # fmt: skip
    assert list(reply) == ["search_space", "model", "conditions", "latency_ms", "errors"]
    assert reply["latency_ms"] == [all_cells["444244"], None, None, None, all_cells["111111"], None, None]
    assert [list(e) for e in reply["errors"]] == [["index", "pointer", "detail"]] * 5
    assert [(e["index"], e["pointer"]) for e in reply["errors"]] == [
        (1, "/architectures/1/3"),
        (2, "/architectures/2"),
        (3, "/architectures/3"),
        (5, "/architectures/5/5"),
        (6, "/architectures/6"),
    ]
    assert "gene 4 of nasbench201 must be 1 to 5, not 9" in reply["errors"][0]["detail"]


def test_on_error_null_with_devices_gives_null_in_every_row(service, all_cells):
    rows = latencies(service, ["944244", "444244"], devices=[VECTOR, VECTOR], on_error="null")
    assert rows == [[None, all_cells["444244"]]] * 2


def test_on_error_null_without_errors_gives_an_empty_list(service):
    reply = service.predict(search_space="nasbench201", hardware=VECTOR, architectures=["444244"], on_error="null")
    assert reply["errors"] == []


def test_on_error_refuse_is_the_default(service):
    body = {"search_space": "nasbench201", "hardware": VECTOR, "architectures": ["444244", "944244"]}
    for fields in ({}, {"on_error": "refuse"}):
        reply = service.post(body | fields)
        assert reply.status_code == 422
        assert [e["pointer"] for e in reply.json()["errors"]] == ["/architectures/1"]
    body["architectures"].pop()
    assert service.post(body | {"on_error": "refuse"}).json() == service.post(body).json()


def test_concurrent_clients_get_the_answers_to_their_own_questions(service, all_cells):
    wrong = []

    def ask(seed):
        generator = random.Random(seed)
        with requests.Session() as session:
            for _ in range(40):
                cells = generator.sample(CELLS, generator.randint(1, 60))
                body = {"search_space": "nasbench201", "hardware": VECTOR, "architectures": cells}
                reply = session.post(service.url + "/v1/predict", json=body, timeout=30)
                if reply.status_code != 200 or reply.json()["latency_ms"] != [all_cells[c] for c in cells]:
                    wrong.append(reply.text)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_device_file_dropped_into_the_tree_is_seen_without_restart(start, root):
    daemon = start(root)
    body = {"search_space": "nasbench201", "device": "Telefon Ä", "architectures": ["444244"]}
    assert daemon.post(body).status_code == 422
    hardware = root / "data" / "nasbench201" / "hardware"
    hardware.mkdir(parents=True)
    (hardware / "Telefon Ä.txt").write_text("2\n3\n1\n7.46\n")
    expected = latencies(daemon, ["444244"])
    assert daemon.predict(**body)["latency_ms"] == expected
    (hardware / "Telefon Ä.txt").write_text("4 3 1 7.46\n")
    assert daemon.predict(**body)["latency_ms"] == pytest.approx([expected[0] / 2], rel=1e-8)
    (root / "data" / "devices" / "New.json").write_text(json.dumps({"hardware": OBJECT}))
    assert daemon.predict(**body | {"device": "new"})["latency_ms"] == expected


def test_malformed_device_file_is_answered_by_name_and_the_daemon_goes_on(start, root):
    daemon = start(root)
    hardware = root / "data" / "nasbench201" / "hardware"
    hardware.mkdir(parents=True)
    (hardware / "Bad.txt").write_text("2 3 one 7.46\n")
    reply = daemon.post({"search_space": "nasbench201", "devices": ["VIVO NEX", "Bad"], "architectures": ["444244"]})
    assert reply.status_code == 422
    assert reply.json()["errors"][0]["pointer"] == "/devices/1"
    assert 'Bad.txt:1: "one" is not a number' in reply.json()["errors"][0]["detail"]
    assert daemon.predict(search_space="nasbench201", device="VIVO NEX", architectures=["444244"])
