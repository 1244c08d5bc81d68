"""The dashboard's view of jobs, in a browser: a form that is made from the contract, live progress, cancel, results."""

import re
import shutil
import time

import pytest
import requests
from browser import browser, check_axe, fits_width, open_page  # noqa: F401
from conftest import ROOT, Service, make_root, make_small
from job_tools import ENDED, SPACE, add_search_table
from test_auth import ADMIN, BOTH, READER, configure, write_tokens


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    path = tmp_path_factory.mktemp("jobs")
    make_root(path)
    make_small(path)
    add_search_table(path)
    shutil.copy(ROOT / "result" / "fbnetv3" / "accuracymodel.safetensors", path / "result" / "fbnetv3")
    service = Service(path)
    yield service
    code, log = service.stop()
    assert code == 0, log


def submit(daemon, kind, **params):
    reply = requests.post(f"{daemon.url}/v1/jobs", json={"kind": kind, "search_space": SPACE, "params": params}, timeout=30)
    assert reply.status_code == 202, reply.text
    return reply.json()["id"]


def job(daemon, id):
    return requests.get(f"{daemon.url}/v1/jobs/{id}", timeout=30).json()


def open_form(page, kind, **fields):
    """Chooses the kind and enters text into fields, or a choice where the field is a list of them."""
    page.get_by_role("radio", name=kind, exact=True).check()
    form = page.get_by_role("form", name=f"Job {kind}")
    form.get_by_label(re.compile("^search_space")).fill(SPACE)
    for name, text in fields.items():
        field = form.get_by_label(name, exact=True)
        if field.evaluate("element => element.tagName") == "SELECT":
            field.select_option(text)
        else:
            field.fill(text)
    return form


def send(page, form):
    """Submits what has to be taken; returns the id of the job."""
    form.get_by_role("button", name="Submit").click()
    page.wait_for_url(re.compile(r"#/jobs/[0-9a-f-]{36}$"))
    return page.url.rsplit("/", 1)[1]


def drawn(page, title):
    """Waits for a picture; returns its sentence and whether its canvas has anything on it."""
    picture = page.get_by_role("img", name=re.compile(f"^{title}"))
    picture.wait_for()
    page.wait_for_function("canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(Boolean)",
                           arg=picture.locator("canvas").element_handle())
    return picture.get_attribute("aria-label")


def test_the_form_has_the_fields_of_the_contract(open_page, daemon):  # noqa: F811
    schemas = requests.get(f"{daemon.url}/openapi.json", timeout=30).json()["components"]["schemas"]
    page = open_page(f"{daemon.url}/#/jobs/new")
    for kind, params in (("train", "TrainParams"), ("test", "TestParams"), ("nas", "NasParams")):
        form = open_form(page, kind)
        names = form.get_by_role("group", name=f"Of {kind}").locator("label[for], fieldset > legend").all_inner_texts()
        assert [name for name in names if not name.startswith("Of ")] == list(schemas[params]["properties"])
    described = page.locator("#" + form.get_by_label("mutation_rate").get_attribute("aria-describedby")).inner_text()
    assert schemas["NasParams"]["properties"]["mutation_rate"]["description"] in described
    assert "at least 0, at most 1" in described
    assert form.get_by_label("objective").locator("option").all_inner_texts() == ["accuracy (default)", "accuracy", "pareto"]


def test_a_training_from_the_form_shows_its_loss_and_its_model(open_page, daemon):  # noqa: F811
    page = open_page(f"{daemon.url}/#/jobs")
    page.get_by_role("link", name="New job").click()
    id = send(page, open_form(page, "train", predictor="mlp", epoch="200", seed="3", train_devices="Near"))
    page.get_by_role("status").get_by_text("succeeded").wait_for()
    done = job(daemon, id)
    assert done["params"]["epoch"] == 200 and done["params"]["seed"] == 3 and done["params"]["train_devices"] == ["Near"]
    assert re.search(r"[\d.,]+ in epoch 200$", drawn(page, "Loss by epoch"))
    assert done["result"]["version"] in page.get_by_role("region", name="Result").inner_text()


def test_a_front_from_the_form_is_drawn_and_its_files_are_downloaded(open_page, daemon):  # noqa: F811
    page = open_page(f"{daemon.url}/#/jobs/new")
    form = open_form(page, "nas", hardware="[2, 3, 1, 7.46]", objective="pareto", population_size="20", generations="10")
    form.get_by_role("checkbox", name="torchscript").uncheck()
    id = send(page, form)
    page.get_by_role("status").get_by_text("succeeded").wait_for()
    result = job(daemon, id)["result"]
    assert f"{result['n_front']} networks" in drawn(page, "Front of accuracy and latency")
    drawn(page, "Best network by generation")
    assert result["notation"] in page.get_by_role("region", name="Result").inner_text()
    picture = page.get_by_role("img", name="Latency against accuracy, by target")
    picture.wait_for()
    assert picture.evaluate("(img) => img.complete && img.naturalWidth > 300 && img.src.startsWith('data:image/svg+xml')")
    assert not any(name.endswith(".pt") for name in result["files"]) and result["files"]
    for name in result["files"]:
        with page.expect_download() as download:
            page.get_by_role("button", name=f"Download {name}").click()
        with open(download.value.path(), "rb") as file:
            assert file.read() == requests.get(f"{daemon.url}/v1/results/{name}", timeout=30).content


def test_what_nobody_watched_is_drawn_all_the_same(open_page, daemon):  # noqa: F811
    id = submit(daemon, "train", predictor="mlp", epoch=3000)
    while job(daemon, id)["state"] not in ENDED:
        time.sleep(0.02)
    page = open_page(f"{daemon.url}/#/jobs/{id}")
    whole = drawn(page, "Loss by epoch")
    assert re.search(r": [\d.,]+ in epoch 1, [\d.,]+ in epoch 3,000$", whole)
    page.reload()
    assert drawn(page, "Loss by epoch") == whole


def test_the_front_is_drawn_as_it_grows_and_outlives_a_cancellation(open_page, daemon):  # noqa: F811
    order = {"kind": "nas", "search_space": "fbnetv3",
             "params": {"hardware": [2, 3, 1, 7.46], "objective": "pareto", "population_size": 5000, "generations": 200}}
    id = requests.post(f"{daemon.url}/v1/jobs", json=order, timeout=30).json()["id"]
    page = open_page(f"{daemon.url}/#/jobs/{id}")
    seen = [drawn(page, "Front of accuracy and latency")]
    for _ in range(2):
        changed = "before => document.querySelector('.chart [role=img][aria-label^=Front]').ariaLabel !== before"
        page.wait_for_function(changed, arg=seen[-1], timeout=120_000)  # it runs at idle priority, others before it
        seen.append(drawn(page, "Front of accuracy and latency"))
    assert len(set(seen)) == 3 and all("so far" in sentence for sentence in seen)
    assert requests.post(f"{daemon.url}/v1/jobs/{id}/cancel", timeout=30).ok
    page.get_by_role("status").get_by_text("cancelled").wait_for()
    page.reload()
    n = len(requests.get(f"{daemon.url}/v1/jobs/{id}/history", timeout=30).json()["front"])
    assert n > 0 and re.search(rf": {n} (of its )?networks from [\d.,]+ to [\d.,]+ ms\.$", drawn(page, "Front of accuracy and latency"))


def test_what_is_wrong_is_told_at_its_field(open_page, daemon):  # noqa: F811
    page = open_page(f"{daemon.url}/#/jobs/new", refusals=True)
    sent = []
    page.on("request", lambda request: request.method == "POST" and sent.append(request))
    form = open_form(page, "train", epoch="many")
    form.get_by_role("button", name="Submit").click()
    assert '"many" is not a whole number' in told_at(page, form.get_by_label("epoch", exact=True)) and not sent
    form = open_form(page, "train", epoch="0", train_devices="Near\nNokia 3310")
    for _ in range(2):
        with page.expect_response("**/v1/jobs") as refused:
            form.get_by_role("button", name="Submit").click()
    wrong = {error["pointer"]: error["detail"] for error in refused.value.json()["errors"]}
    assert refused.value.status == 422 and "/params/epoch" in wrong
    for pointer, detail in wrong.items():
        assert detail in told_at(page, form.get_by_label(pointer.split("/")[2], exact=True))
    assert form.get_by_label("lr", exact=True).get_attribute("aria-invalid") is None
    first, again = (request.headers["idempotency-key"] for request in sent)
    assert first == again and len(first) >= 32
    check_axe(page)


def told_at(page, field):
    assert field.get_attribute("aria-invalid") == "true"
    return " ".join(page.locator(f"#{id}").inner_text() for id in field.get_attribute("aria-describedby").split())


def test_a_job_is_cancelled_once_that_is_confirmed(open_page, daemon):  # noqa: F811
    id = submit(daemon, "train", predictor="mlp", epoch=1_000_000_000)
    page = open_page(f"{daemon.url}/#/jobs/{id}")
    before = drawn(page, "Loss by epoch")
    page.wait_for_function("before => document.querySelector('.chart [role=img]').ariaLabel !== before", arg=before)  # it grows
    page.get_by_role("button", name="Cancel the job").click()
    page.get_by_role("dialog").get_by_role("button", name="Let it run").click()
    assert job(daemon, id)["state"] == "running" and not job(daemon, id)["cancel_requested"]
    page.get_by_role("button", name="Cancel the job").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel the job").click()
    page.get_by_role("status").get_by_text("cancelled").wait_for()
    assert job(daemon, id)["state"] == "cancelled"


def test_a_token_is_asked_for_once_and_for_what_it_may_not_do_another(root, start, open_page):  # noqa: F811
    write_tokens(root, BOTH)
    make_small(root)
    daemon = start(root, *configure(root, tokens_file="tokens.json"))
    page = open_page(f"{daemon.url}/#/jobs", refusals=True)
    sent = []
    page.on("request", lambda request: sent.append(request))
    question = page.get_by_role("dialog")
    enter_token(page, READER)
    page.get_by_text("No such jobs").wait_for()
    page.get_by_role("link", name="New job").click()
    page.get_by_role("radio", name="train", exact=True).check()
    open_form(page, "train", predictor="mlp", epoch="200000", train_devices="Near").get_by_role("button", name="Submit").click()
    assert "operator" in question.inner_text()
    enter_token(page, ADMIN)
    page.wait_for_url(re.compile(r"#/jobs/[0-9a-f-]{36}$"))
    drawn(page, "Loss by epoch")  # its course and its events come by the token, too
    page.reload()
    drawn(page, "Loss by epoch")
    page.get_by_role("button", name="Cancel the job").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel the job").click()
    page.get_by_role("status").get_by_text("cancelled").wait_for()
    assert question.count() == 0
    assert any(request.url.endswith("/events") and request.headers.get("authorization") == f"Bearer {ADMIN}" for request in sent)
    assert not any(secret in request.url or secret in (request.post_data or "") for secret in (READER, ADMIN) for request in sent)
    assert READER not in page.url and ADMIN not in page.url
    page.evaluate("location.hash = '#/health'")
    page.get_by_text("Requests a second", exact=True).first.wait_for()
    assert question.count() == 0


def enter_token(page, token):
    page.get_by_role("textbox", name="Token").fill(token)
    page.keyboard.press("Enter")
    page.get_by_role("textbox", name="Token").wait_for(state="detached")


def test_the_list_is_filtered_and_has_pages(open_page, daemon):  # noqa: F811
    for _ in range(21):
        submit(daemon, "test", calibrate=10, test_devices=["Near"])
    page = open_page(f"{daemon.url}/#/jobs")
    rows = page.get_by_role("row")
    kinds = [one["kind"] for one in requests.get(f"{daemon.url}/v1/jobs", timeout=30).json()["jobs"]]
    page.get_by_role("link", name="test, submitted").first.wait_for()
    assert rows.count() == 21 and page.get_by_role("button", name="Newer").is_disabled()
    page.get_by_role("button", name="Older").click()
    page.wait_for_function("n => document.querySelectorAll('tbody tr').length === n", arg=min(20, len(kinds) - 20))
    page.get_by_label("kind").select_option("test")
    page.wait_for_function("() => document.querySelectorAll('tbody tr').length === 20")
    page.get_by_role("button", name="Older").click()
    page.wait_for_function("n => document.querySelectorAll('tbody tr').length === n", arg=kinds.count("test") - 20)
    page.get_by_label("state").select_option("failed")
    page.get_by_text("No such jobs").wait_for()
    assert rows.count() == 0


@pytest.mark.parametrize("dark, width", [(False, 1280), (True, 390)], ids=["light", "dark on a phone"])
def test_the_view_is_accessible_and_fits(open_page, daemon, dark, width):  # noqa: F811
    id = submit(daemon, "nas", hardware=[2, 3, 1, 7.46], latency_constraint_ms=4000, method="genetic",
                population_size=10, generations=5, export=[])
    page = open_page(f"{daemon.url}/#/jobs", dark=dark, width=width)
    for part, ready in (("", "table"), ("/new", "form"), (f"/{id}", "section.panel .chosen")):
        page.evaluate("hash => { location.hash = hash; }", f"#/jobs{part}")
        page.locator(ready).wait_for()
        assert fits_width(page), part
        check_axe(page)
    drawn(page, "Best network by generation")
    pixels = "() => document.querySelector('canvas').toDataURL()"
    before = page.evaluate(pixels)
    page.emulate_media(color_scheme="light" if dark else "dark")
    page.wait_for_function(f"before => ({pixels})() !== before", arg=before)  # it is drawn anew in the other colours
