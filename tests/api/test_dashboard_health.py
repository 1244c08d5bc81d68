"""The dashboard's view of the service's health, in a browser, and the pure functions that its figures come from."""

import json
import re
import subprocess
import threading

import numpy
import pytest
import requests
from browser import browser, check_axe, fits_width, open_page  # noqa: F401
from conftest import ROOT, make_root
from prometheus_client.parser import text_string_to_metric_families
from test_auth import BOTH, READER, configure, write_tokens

SOURCES = ROOT / "server" / "web" / "dashboard" / "src" / "health"
ASK = {"search_space": "nasbench201", "hardware": [2, 3, 1, 7.46], "architectures": ["444244"]}


def node(script, given):
    """What a script, a module that has `given`, prints as JSON."""
    head = "".join(f'import * as {name} from "file://{SOURCES}/{name}.js";' for name in ("prometheus", "figures"))
    text = f"{head} const given = {json.dumps(given)}; console.log(JSON.stringify({script}));"
    done = subprocess.run(["node", "--input-type=module", "-e", text], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_metrics_are_read_as_another_parser_reads_them(service):
    service.predict(**ASK)
    text = requests.get(f"{service.url}/metrics", timeout=30).text
    text += '# HELP odd Some\n# TYPE odd gauge\nodd{a="x\\"y\\\\z\\nw, {}=",b=""} 1e-3\nodd{a="",b=" 7"} 2\n'
    ours = node("[...prometheus.parseMetrics(given)].flatMap(([name, all]) => all.map((one) => [name, one.labels, one.value]))", text)
    theirs = [[sample.name, sample.labels, sample.value]
              for family in text_string_to_metric_families(text) for sample in family.samples]

    def ordered(samples):
        return sorted(samples, key=lambda sample: (sample[0], sorted(sample[1].items())))

    assert ordered(ours) == ordered(theirs) and len(ours) > 100


def test_quantiles_are_those_of_the_histogram():
    bounds = [0.001, 0.01, 0.1, 1]
    times = numpy.random.default_rng(1).lognormal(-4, 1.2, 5000)
    buckets = [[bound, int((times <= bound).sum())] for bound in bounds]
    shares = [0.5, 0.9, 0.99]
    found = node("given.shares.map((q) => figures.quantileOf([...given.buckets, [Infinity, 5000]], q))",
                 {"buckets": buckets, "shares": shares})
    edges, counts = [0, *bounds], [0, *(n for _, n in buckets)]
    assert found == pytest.approx([numpy.interp(q * 5000, counts, edges) for q in shares])
    none = "figures.quantileOf([], .5), figures.quantileOf([[1, 0], [Infinity, 0]], .5)"
    assert node(f"[{none}, figures.quantileOf([[1, 0], [Infinity, 3]], .5)]", None) == [None, None, 1]  # 1: all are beyond it


def test_rates_are_those_of_the_time_between_two_polls():
    def poll(at_ms, n, n_failed, start=5):
        return {"at_ms": at_ms, "text": "".join((
            f"process_start_time_seconds {start}\n",
            f'dgld_http_requests_total{{route="/v1/predict",method="POST",code="200"}} {n}\n',
            f'dgld_http_requests_total{{route="/v1/predict",method="POST",code="503"}} {n_failed}\n',
            f'dgld_http_requests_total{{route="/metrics",method="GET",code="200"}} {at_ms}\n',
        ))}

    read = "figures.ratesBetween(...given.map((one) => ({at_ms: one.at_ms, metrics: prometheus.parseMetrics(one.text)})))"
    rates = node(read, [poll(1000, 10, 0), poll(3000, 30, 4)])
    assert rates == {"at_ms": 3000, "requests_per_s": 12, "errors_per_s": 2, "p50_ms": None, "p90_ms": None, "p99_ms": None}
    assert node(read, [poll(1000, 10, 0), poll(3000, 30, 4, start=6)]) is None  # another process


def tile(page, name):
    return page.locator(".tiles div", has_text=name).locator("dd").inner_text()


def test_a_rate_is_shown_while_there_are_requests(open_page, shared):  # noqa: F811
    page = open_page(f"{shared.url}/#/health")
    over = threading.Event()

    def ask():
        with requests.Session() as session:
            while not over.wait(0.02):
                assert session.post(f"{shared.url}/v1/predict", json=ASK, timeout=30).status_code == 200

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        rate = page.get_by_role("img", name=re.compile(r"^Requests a second: [1-9]"))
        rate.wait_for()
        assert float(tile(page, "Requests a second").replace(",", "")) > 1
        assert re.fullmatch(r"[\d.,]+ ms", tile(page, "Latency, median"))
        assert "none" not in page.get_by_role("img", name=re.compile("^Latency of requests")).get_attribute("aria-label")
    finally:
        over.set()
        thread.join()
    assert page.get_by_role("status").inner_text() == "ready"
    page.get_by_role("img", name="Queue of jobs: 0 wait and 0 run now.").wait_for()
    served = page.get_by_role("region", name="Versions that are served").inner_text()
    for space in ("nasbench201", "fbnetv3"):
        version = requests.get(f"{shared.url}/v1/models/{space}", timeout=30).json()["served"]["version"]
        assert f"{space}\t{version}" in served
    page.get_by_role("img", name=re.compile(r"^Requests a second: 0 a second now")).wait_for()


def test_nothing_is_asked_while_nobody_looks(open_page, shared):  # noqa: F811
    page = open_page(f"{shared.url}/#/health")
    page.get_by_text("Request rate").wait_for()
    hide = """(isHidden) => {
      Object.defineProperty(document, 'hidden', {value: isHidden, configurable: true});
      document.dispatchEvent(new Event('visibilitychange'));
    }"""
    page.evaluate(hide, True)
    page.get_by_text("Paused while nobody looks").wait_for()
    page.wait_for_timeout(300)  # what was asked before is answered
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(2500)
    assert asked == []
    with page.expect_request("**/metrics"):
        page.evaluate(hide, False)


@pytest.mark.parametrize("dark, width", [(False, 1280), (True, 390)], ids=["light", "dark on a phone"])
def test_the_view_is_accessible_and_fits(open_page, shared, dark, width):  # noqa: F811
    page = open_page(f"{shared.url}/#/health", dark=dark, width=width)
    page.get_by_text("Request rate").wait_for()
    assert fits_width(page)
    check_axe(page)


def test_readiness_says_what_is_missing(browser, tmp_path, start):  # noqa: F811
    """In pages whose faults are not looked for: the refusals of /readyz and of jobs are faults to a browser."""
    (tmp_path / "empty").mkdir()
    make_root(tmp_path / "root")
    for root, options, told in (
        ("empty", [], "not ready: no predictor is loaded"),
        ("root", ["--job-store", "nowhere/jobs.sqlite"], "degraded: jobs: "),
    ):
        with browser.new_context() as context:
            page = context.new_page()
            page.goto(f"{start(tmp_path / root, *options).url}/#/health")
            page.get_by_role("status").get_by_text(told).wait_for()
            assert tile(page, "Jobs that wait") == ("no jobs here" if options else "0 of 10,000")


def test_who_gives_no_token_is_not_asked_by_every_look(root, start, open_page):  # noqa: F811
    write_tokens(root, BOTH)
    daemon = start(root, *configure(root, tokens_file="tokens.json"))
    page = open_page(f"{daemon.url}/#/health", refusals=True)
    sent = []
    page.on("request", lambda request: sent.append(request))
    question = page.get_by_role("dialog")
    question.get_by_role("button", name="Cancel").click()
    page.get_by_role("alert").get_by_text("The service could not be asked").wait_for()
    for _ in range(2):  # it looks on, and leaves one in peace
        with page.expect_response("**/metrics") as refused:
            pass
        assert refused.value.status == 401 and question.count() == 0
    page.get_by_role("link", name="Health").click()
    page.get_by_role("textbox", name="Token").fill(READER)
    page.keyboard.press("Enter")
    page.get_by_text("Requests a second", exact=True).first.wait_for()
    page.reload()
    page.get_by_text("Requests a second", exact=True).first.wait_for()
    assert question.count() == 0 and page.get_by_role("alert").count() == 0
    assert not any(READER in request.url for request in sent)
