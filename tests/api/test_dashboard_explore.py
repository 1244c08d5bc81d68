"""The dashboard's view Explore in a real browser: what it shows is what the service says."""

import gzip
import json
import re
import shlex
import shutil
import subprocess

import onnx
import pytest
import requests
from browser import browser, check_axe, fits_width, open_page  # noqa: F401
from conftest import ROOT, Service, make_root, run_json
from test_auth import BOTH, READER, configure, write_tokens

A10S, ROG = "Samsung Galaxy A10s", "Asus ROG Phone 3"
SETTLED = "section.bests[aria-busy=false]"
PAGE_MAX_BYTES = 250_000

# pixels of the chart that are neither empty nor grey, as axes and grid are
PAINTED = """() => {
  const canvas = document.querySelector(".explore-chart canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let n = 0;
  for (let i = 0; i < data.length; i += 4) n += data[i + 3] > 0 && data[i + 2] > data[i] + 60;
  return n;
}"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    """What ships, accuracies included."""
    path = tmp_path_factory.mktemp("explore")
    make_root(path)
    for space in ("nasbench201", "fbnetv3"):
        shutil.copy(ROOT / "result" / space / "accuracymodel.safetensors", path / "result" / space)
    made = Service(path)
    made.root = path
    yield made
    assert made.stop()[0] == 0


def settled(page):
    page.wait_for_selector(SETTLED)


def devices(page):
    return page.locator("fieldset.device select")


def best_of(page, place=0):
    """(architecture, accuracy, latency) that the page names for a device, as it writes them."""
    settled(page)
    text = page.locator("section.bests li").nth(place).inner_text()
    found = re.search(r": (\S.*\S) with ([\d.]+) % in ([\d.,]+) ms", text)
    assert found, text
    return found[1], float(found[2]), float(found[3].replace(",", ""))


def limit_of(page):
    return float(page.get_by_label("Latency limit, ms").input_value())


def check_best(daemon, page, device, place=0):
    """The page's best network is the one that a search names at the same limit."""
    best = best_of(page, place)
    target = ("--nas_target_device", device) if isinstance(device, str) else ("--hardware", ",".join(map(str, device)))
    command = ("nas", "--search_space", "nasbench201", *target, "--latency_constraint_ms", limit_of(page), "--export", "none")
    found = run_json(*command, root=daemon.root)
    assert found["method"] == "exhaustive"
    assert best[0] == "".join(map(str, found["architecture"]))
    assert best[1:] == (pytest.approx(found["accuracy"], abs=0.005), pytest.approx(found["latency_ms"], rel=1e-4))
    return best[0]


def test_the_first_view_is_small_and_usable(daemon, open_page):
    page = open_page(daemon.url + "/")
    usable = page.wait_for_function(f"() => document.querySelector('{SETTLED}') && performance.now()").json_value()
    print(f"usable after {usable:.0f} ms")
    page.wait_for_selector(".architecture dl")
    assert page.evaluate(PAINTED) > 10_000
    top = page.locator(".mark.best").evaluate("(mark) => mark.offsetTop")
    page.get_by_label("Only the more accurate half").check()
    page.wait_for_function("(top) => document.querySelector('.mark.best').offsetTop > top + 20", arg=top)
    assert "15,625 networks" in page.locator("figcaption").inner_text()
    assert page.title() == "Explore · dgld"
    check_axe(page)
    files = page.evaluate("performance.getEntriesByType('resource').map((entry) => entry.name)")
    loaded = {daemon.url + "/"} | {file for file in files if "/assets/" in file}
    assert len(loaded) == 4
    assert sum(len(gzip.compress(requests.get(file, timeout=30).content)) for file in loaded) <= PAGE_MAX_BYTES


def test_the_limit_changes_the_network_to_the_one_that_a_search_finds(daemon, open_page):
    page = open_page(daemon.url + "/#/explore")
    devices(page).select_option(f"={A10S}")
    page.get_by_label("Latency limit, ms").fill("1500")
    found = [check_best(daemon, page, A10S)]
    page.get_by_label("Latency limit, slider").press("PageUp")
    assert limit_of(page) > 1500
    found.append(check_best(daemon, page, A10S))
    line = page.get_by_role("slider", name="Latency limit, on the chart")
    line.press("Home")
    assert "no network keeps" in page.locator("section.bests li").inner_text()
    line.press("End")
    found.append(check_best(daemon, page, A10S))
    box = line.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] - 200, box["y"] + 120, steps=4)
    dragged = limit_of(page)
    page.mouse.move(box["x"] - 400, box["y"] + 120, steps=4)
    page.mouse.up()
    page.mouse.move(box["x"] - 100, box["y"] + 120)
    assert 1500 < limit_of(page) < dragged
    found.append(check_best(daemon, page, A10S))
    assert len(set(found)) == 4


def shown(page, text):
    """Waits until the panel shows this architecture's costs, and gives the panel."""
    panel = page.locator(".architecture")
    panel.locator("> p code", has_text=re.compile(f"^{text}$")).wait_for()
    panel.locator("div:not(.stale) > dl").wait_for()
    return panel


def test_pointer_and_focus_show_the_cell_and_what_it_costs(daemon, open_page):
    page = open_page(daemon.url + "/", permissions=["clipboard-read", "clipboard-write"])
    text = best_of(page)[0]
    box = page.locator(".mark.best").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2 - 20, box["y"] + 60)
    page.mouse.move(box["x"] + box["width"] / 2 - 22, box["y"] + 62)
    page.get_by_role("heading", name="Network pointed at").wait_for()
    assert page.locator(".architecture > p code").inner_text() != text
    page.mouse.move(0, 0)
    page.get_by_role("heading", name="Best network").wait_for()
    page.get_by_text("The front on").click()
    row = page.locator(".front tbody button").nth(1)
    row.focus()
    text = row.inner_text()
    panel = shown(page, text)
    costs = requests.get(f"{daemon.url}/v1/spaces/nasbench201/architectures/{text}", timeout=30).json()
    edges = [
        f"{part.split('~')[1]} to {to + 1} {part.split('~')[0]}"
        for to, node in enumerate(costs["architecture"].split("+")) for part in node.strip("|").split("|")
    ]
    assert panel.locator("svg").get_attribute("aria-label") == f"A cell of 4 nodes; edges: {', '.join(edges)}"
    assert panel.locator("svg .edge").count() == 6
    assert f"{costs['params']:,}" in panel.locator("dl").inner_html() and f"{costs['macs']:,}" in panel.locator("dl").inner_html()
    row.press("Enter")
    page.get_by_role("heading", name="Network kept").wait_for()
    copies = {}
    for what in ("notation", "genes", "curl command"):
        page.get_by_role("button", name=f"Copy {what}").click()
        page.get_by_text(f"The {what} is copied.").wait_for()
        copies[what] = page.evaluate("navigator.clipboard.readText()")
    assert copies["notation"] == costs["architecture"] and json.loads(copies["genes"]) == costs["genes"]
    done = subprocess.run(shlex.split(copies["curl command"]), capture_output=True, text=True, timeout=30)
    told = page.locator(".front tbody tr").nth(1).locator("td").nth(2).inner_text()
    assert float(told.replace(",", "").removesuffix(" ms")) == pytest.approx(json.loads(done.stdout)["latency_ms"][0], rel=1e-4)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download ONNX").click()
    assert download.value.suggested_filename == f"nasbench201-{text}.onnx"
    network = onnx.load(download.value.path())
    assert {entry.key: entry.value for entry in network.metadata_props}["notation"] == costs["architecture"]


def check_side_by_side(page):
    """A chart each, with the same axes: a limit stands at the same place, and what is pointed at on one is marked on both."""
    page.wait_for_function("document.querySelectorAll('.side-by-side .limit-line').length === 2")
    charts = [page.get_by_role("region", name=name) for name in (A10S, ROG)]
    places = []
    for i, chart in enumerate(charts):
        assert re.search(rf"networks .* on {(A10S, ROG)[i]} from [\d.,]+ ms to", chart.get_by_role("img").get_attribute("aria-label"))
        assert chart.locator(f".mark.best.series-{i + 1}").count() == 1
        places.append(chart.locator(".limit-line").evaluate("(line) => line.offsetLeft / line.parentElement.offsetWidth"))
    assert places[0] == pytest.approx(places[1], abs=0.005)
    ground = charts[0].locator(".plot-over")
    box = ground.bounding_box()
    ground.hover(position={"x": box["width"] / 2, "y": box["height"] / 8})  # in the midst of the slower one's networks
    page.locator(".mark.pointed").nth(1).wait_for()
    heights = [mark.evaluate("(mark) => mark.offsetTop") for mark in page.locator(".mark.pointed").all()]
    assert len(heights) == 2 and heights[0] == pytest.approx(heights[1], abs=1), "it is as accurate on either"
    charts[1].get_by_role("slider").press("ArrowRight")
    charts[1].get_by_role("slider").press("ArrowLeft")
    assert limit_of(page) == 1000


def test_devices_are_compared_and_own_numbers_settle_on_the_service(daemon, open_page):
    page = open_page(daemon.url + "/", refusals=True)
    devices(page).select_option(f"={A10S}")
    page.get_by_role("button", name="Compare with another device").click()
    devices(page).nth(1).select_option(f"={ROG}")
    page.get_by_label("Latency limit, ms").fill("1000")
    assert check_best(daemon, page, A10S, 0) != check_best(daemon, page, ROG, 1)
    assert page.locator(".mark.best").count() == 2 and page.locator("details.front").count() == 2
    check_side_by_side(page)
    page.get_by_label("All devices in one chart").check()
    page.get_by_role("slider", name="Latency limit, on the chart", exact=True).wait_for()
    assert page.locator(".explore-chart canvas").count() == 1 and page.locator(".mark.best").count() == 2
    devices(page).nth(1).select_option("own numbers")
    page.get_by_label("Frequency, GHz", exact=True).fill("1.5")
    slider = page.get_by_label("Dispatch width, slider")
    for _ in range(3):
        slider.press("ArrowLeft")
    check_best(daemon, page, (1.5, 7, 4, 44), 1)
    page.get_by_label("Frequency, GHz", exact=True).fill("1e300")
    refused = requests.post(daemon.url + "/v1/predict", json={"search_space": "nasbench201", "hardware": [1e300, 7, 4, 44], "architectures": []}, timeout=30)
    page.locator("fieldset [role=alert]", has_text=refused.json()["errors"][0]["detail"]).wait_for()
    page.get_by_role("button", name="Remove device 2").click()
    check_best(daemon, page, A10S)
    assert page.get_by_role("button", name="Remove").count() == 0


def test_a_sample_of_fbnetv3_on_a_dark_phone(daemon, open_page):
    page = open_page(daemon.url + "/", dark=True, width=390, height=844)
    settled(page)
    assert fits_width(page)
    page.get_by_label("Search space").select_option("fbnetv3")
    page.get_by_text("5,000 networks with").wait_for()
    text, _, latency_ms = best_of(page)
    panel = shown(page, text)
    assert panel.locator("svg .stage").count() == 8
    stage = re.search(r"stage 6, (\d+) channels, kernel (\d), expansion (\d), (\d) blocks", panel.locator("svg").get_attribute("aria-label"))
    genes = text.split()
    assert list(stage.groups()) == [genes[20], genes[5], genes[13], genes[27]]
    device = devices(page).input_value().removeprefix("=")
    assert daemon.predict(search_space="fbnetv3", device=device, architectures=[text])["latency_ms"] == [pytest.approx(latency_ms, rel=1e-4)]
    page.get_by_label("Seed of the sample").fill("2")
    page.keyboard.press("Enter")
    page.wait_for_function("(old) => !document.querySelector('.bests code')?.textContent.includes(old)", arg=text)
    settled(page)
    page.get_by_label("Seed of the sample").fill("1")
    page.keyboard.press("Enter")
    page.locator(".bests code", has_text=re.compile(f"^{text}$")).wait_for()
    assert fits_width(page)
    check_axe(page)


def test_where_nothing_tells_accuracies_it_is_said(service, open_page):
    page = open_page(service.url + "/", refusals=True)
    alert = page.locator("[role=alert]", has_text="Nothing tells the accuracy of networks of nasbench201")
    alert.wait_for()
    assert "dgld train --target accuracy" in alert.inner_text()


def test_a_token_is_asked_for_once_and_stays_out_of_addresses(root, start, open_page):
    write_tokens(root, BOTH)
    shutil.copy(ROOT / "result" / "nasbench201" / "accuracymodel.safetensors", root / "result" / "nasbench201")
    daemon = start(root, *configure(root, tokens_file="tokens.json"))
    page = open_page(daemon.url + "/", refusals=True)
    addresses = []
    page.on("request", lambda request: addresses.append(request.url))
    page.get_by_role("textbox", name="Token").fill(READER)
    page.keyboard.press("Enter")
    best_of(page)
    page.reload()
    best_of(page)
    assert page.get_by_role("dialog").count() == 0
    assert page.evaluate("location.href") == daemon.url + "/"
    assert len(addresses) > 8 and not any(READER in address for address in addresses)
    with page.expect_download():
        page.get_by_role("button", name="Download ONNX").click()
