"""The dashboard's view of devices, in a browser: sheets, measurements, predicted against measured, what to measure."""

import numpy
import pytest
import requests
from browser import browser, check_axe, fits_width, open_page  # noqa: F401
from test_devices import address, call
from test_measurements import TWO_CSV, get, place, put_csv

SPACE = "nasbench201"
DEVICE = "Oppo A5"
N_PARTS = 5
ALONE, CALIBRATED, HELD_OUT = "From the data sheet alone", "Calibrated", "Calibrated, held out"


def rows_of(n, seed=5):
    """Architectures that differ, and latencies that a sheet does not explain alone."""
    generator = numpy.random.default_rng(seed)
    rows = ["".join(str(1 + at // 5**i % 5) for i in range(6)) for at in generator.choice(5**6, n, replace=False)]
    weights = numpy.array([1.0, 2.5, 5.0, 12.0, 3.0])
    costs = [sum(weights[int(gene) - 1] for gene in row) for row in rows]
    return rows, [round(60 * cost * noise, 3) for cost, noise in zip(costs, generator.lognormal(0, 0.1, n))]


def to_csv(rows, latency):
    return "architecture,latency_ms\n" + "".join(f"{row},{ms}\n" for row, ms in zip(rows, latency))


def open_device(open_page, service, device, **options):  # noqa: F811
    page = open_page(f"{service.url}/#/devices/{requests.utils.quote(device)}", **options)
    page.get_by_role("heading", name=device).wait_for()
    page.get_by_role("heading", name="Measurements").wait_for()
    return page


def box(page):
    return page.get_by_role("textbox", name="CSV")


def store(page, text, n, button="Store"):
    box(page).fill(text)
    page.get_by_role("button", name=button).click()
    page.get_by_text(f"{n} measurements are stored").wait_for()


def told(page):
    """The figures of the page: {column: {figure: text}}."""
    table = page.get_by_role("table", name="How far predictions agree")
    table.wait_for()
    head, *lines = [line.split("\t") for line in table.locator("tr").evaluate_all("rows => rows.map((row) => [...row.cells].map((cell) => cell.innerText).join('\\t'))")]
    return {name: {line[0]: line[i] for line in lines} for i, name in enumerate(head) if i > 0}


def figures(latency, reply):
    """The same, by numpy, of a reply that came to measured latencies."""
    measured, predicted = numpy.array(latency), numpy.array(reply["latency_ms"])
    low, high = numpy.array(reply["interval_ms"]).T
    return {
        "Points": str(len(measured)),
        "R": f"{numpy.corrcoef(measured, predicted)[0, 1]:.4f}",
        "RMSE, ms": f"{numpy.sqrt(numpy.mean((predicted - measured) ** 2)):.1f}",
        "MAE, ms": f"{numpy.mean(abs(predicted - measured)):.1f}",
        "Mean relative error": f"{100 * numpy.mean(abs(predicted / measured - 1)):.1f}\u00a0%",
        "Inside the interval of 0.9": f"{100 * numpy.mean((low <= measured) & (measured <= high)):.1f}\u00a0%",
    }


def held_out(service, rows, latency):
    """What each part of the measurements is predicted to be by the other parts."""
    reply = {"latency_ms": [0] * len(rows), "interval_ms": [0] * len(rows)}
    for part in range(N_PARTS):
        others = [i for k in range(N_PARTS) if k != part for i in range(k, len(rows), N_PARTS)]
        measurements = {"architectures": [rows[i] for i in others], "latency_ms": [latency[i] for i in others]}
        answer = service.predict(search_space=SPACE, device=DEVICE, architectures=rows[part::N_PARTS],
                                 measurements=measurements, interval=0.9)
        for field, values in reply.items():
            values[part::N_PARTS] = answer[field]
    return reply


def inked(page, title):
    """How many pixels of a scatter have the strongest colour of its points, so that an empty chart has none."""
    return page.get_by_role("img", name=f"{title}:").locator("canvas").evaluate("""(canvas) => {
        const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        let n = 0;
        for (let i = 0; i < data.length; i += 4) {
            n += data[i + 3] === 255 && Math.max(data[i], data[i + 1], data[i + 2]) - Math.min(data[i], data[i + 1], data[i + 2]) > 60;
        }
        return n; }""")


def test_an_uploaded_file_shows_its_points_and_their_agreement(open_page, shared, tmp_path):  # noqa: F811
    rows, latency = rows_of(24)
    (tmp_path / "measured.csv").write_text(to_csv(rows, latency))
    page = open_device(open_page, shared, DEVICE)
    assert page.get_by_text("There are points as soon as something is measured").is_visible()
    page.get_by_label("or a file").set_input_files(tmp_path / "measured.csv")
    page.get_by_text("measured.csv is in the box").wait_for()
    page.get_by_role("button", name="Store").click()
    page.get_by_text("24 measurements are stored").wait_for()
    ask = {"search_space": SPACE, "device": DEVICE, "architectures": rows, "interval": 0.9}
    shown = told(page)
    assert shown == {
        ALONE: figures(latency, shared.predict(**ask, calibrate=False)),
        CALIBRATED: figures(latency, shared.predict(**ask)),
        HELD_OUT: figures(latency, held_out(shared, rows, latency)),
    }
    assert shown[ALONE]["R"] != shown[CALIBRATED]["R"] and shown[HELD_OUT]["R"] != shown[CALIBRATED]["R"]
    for title in shown:
        assert inked(page, title) > 24
        assert page.get_by_role("img", name=f"{title}: 24 points, R {shown[title]['R']}").is_visible()
    assert page.get_by_text("have learned from the very points").is_visible()
    page.get_by_text(f"What is furthest off: {ALONE.lower()}").click()
    worst = max(zip(rows, latency, shared.predict(**ask, calibrate=False)["latency_ms"]), key=lambda row: abs(numpy.log(row[1] / row[2])))
    assert page.get_by_role("region", name=f"Furthest off: {ALONE}").locator("tbody tr").first.inner_text().split()[0] == worst[0]


@pytest.mark.parametrize("dark, width", [(False, 1280), (True, 390)], ids=["light", "dark on a phone"])
def test_the_view_is_accessible_and_fits(open_page, shared, dark, width):  # noqa: F811
    device = f"Looked at {width}"
    assert call(shared, "PUT", address(device), {"hardware": [2, 3, 1, 7.46]}).status_code == 201
    assert put_csv(shared, device, to_csv(*rows_of(12))).status_code == 201
    page = open_page(f"{shared.url}/#/devices", dark=dark, width=width)
    page.get_by_role("searchbox", name="Find a device").fill(device.upper())
    page.get_by_text("1 of ").wait_for()
    page.get_by_text("New device").press("Enter")
    assert fits_width(page)
    check_axe(page)
    page.get_by_role("link", name=device).press("Enter")
    page.get_by_role("button", name="Suggest").press("Enter")
    page.get_by_text("10 architectures, the one that teaches most first").wait_for()
    assert told(page)[ALONE]["Points"] == "12" and inked(page, ALONE) > 12
    assert fits_width(page)
    assert page.locator(".agreement").evaluate("(table) => table.getBoundingClientRect().right < table.closest('.panel').getBoundingClientRect().right")
    check_axe(page)
    page.emulate_media(color_scheme="light" if dark else "dark")
    page.set_viewport_size({"width": 700, "height": 800})
    page.wait_for_function("() => [...document.querySelectorAll('.plot')].every((plot) => plot.querySelector('.uplot').offsetWidth === plot.clientWidth)")
    assert inked(page, ALONE) > 12


def test_wrong_lines_are_told_and_nothing_is_stored(open_page, shared):  # noqa: F811
    page = open_device(open_page, shared, "Galaxy A9", refusals=True)
    box(page).fill(TWO_CSV + "444244,fast\n123451,7\n1191,3\n")
    page.get_by_role("button", name="Store").click()
    alert = page.get_by_role("alert").filter(has_text="Nothing was stored")
    alert.wait_for()
    found = alert.get_by_role("listitem").all_inner_texts()
    assert [text.split(" ", 2)[:2] for text in found] == [["Line", "4"], ["Line", "6"]]
    assert 'latency_ms "fast" is not a number' in found[0] and "has 6 genes" in found[1]
    alert.get_by_role("button", name="Line 4").press("Enter")
    assert page.evaluate("(() => { const box = document.activeElement; return box.value.slice(box.selectionStart, box.selectionEnd); })()") == "444244,fast"
    assert call(shared, "GET", address("Galaxy A9")).json()["search_spaces"][SPACE]["n_measurements"] == 0


def test_measurements_are_added_replaced_and_removed_and_others_changes_are_not_lost(open_page, shared):  # noqa: F811
    device = "VIVO NEX"
    page = open_device(open_page, shared, device, refusals=True)
    store(page, TWO_CSV, 2)
    page.get_by_label("Keep what is stored").check()
    store(page, "123451,7.5", 3)
    assert get(shared, device).json()["architectures"] == ["123451", "444244", "111111"]
    page.get_by_label("Keep what is stored").uncheck()
    page.get_by_text("Measured and stored: 3.").wait_for()
    assert told(page)[ALONE]["Points"] == "3" and HELD_OUT not in told(page)
    put_csv(shared, device, "555555,5\n")  # somebody else's
    box(page).fill(TWO_CSV)
    page.get_by_role("button", name="Store instead").click()
    page.get_by_role("alert").get_by_text("was changed meanwhile").wait_for()
    assert get(shared, device).json()["architectures"] == ["555555"]
    page.get_by_text("Measured and stored: 1.").wait_for()
    page.get_by_role("button", name="Remove all").click()
    page.get_by_role("button", name="Remove them").click()
    page.get_by_text("The measurements are removed").wait_for()
    assert call(shared, "GET", address(device)).json()["search_spaces"][SPACE]["n_measurements"] == 0


def test_a_device_is_made_changed_and_removed(open_page, shared):  # noqa: F811
    page = open_page(f"{shared.url}/#/devices", refusals=True)
    page.get_by_text("New device").click()
    for label, value in [("Name", "Phone of mine"), ("Clock", "2840"), ("Dispatch", "10"), ("Last-level", "2"), ("Memory", "34.1")]:
        page.get_by_label(label).fill(value)
    page.get_by_role("button", name="Save").click()
    page.locator("[aria-invalid]").wait_for()
    assert page.locator("[aria-invalid]").get_attribute("name") == "frequency_ghz"
    page.get_by_label("Clock").fill("2.84")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("heading", name="Phone of mine").wait_for()
    page.get_by_label("System on a chip").fill("Snapdragon 855")
    page.get_by_label("A number is estimated").check()
    page.get_by_role("button", name="Save").click()
    page.get_by_text("The sheet is saved").wait_for()
    sheet = call(shared, "GET", address("Phone of mine")).json()
    assert list(sheet["hardware"].values()) == [2.84, 10, 2, 34.1]
    assert (sheet["chip"], sheet["source"], sheet["estimated"]) == ("Snapdragon 855", None, True)
    page.get_by_role("button", name="Remove the sheet").click()
    page.get_by_role("button", name="Remove it").click()
    page.get_by_role("heading", name="Devices").wait_for()
    assert call(shared, "GET", address("Phone of mine")).status_code == 404


def test_what_to_measure_next_is_told_downloaded_and_filled_in(open_page, shared, tmp_path):  # noqa: F811
    device = "Honor 9C"
    page = open_device(open_page, shared, device)
    page.get_by_label("How many architectures").fill("3")
    page.get_by_role("button", name="Suggest").click()
    page.get_by_text("3 architectures, the one").wait_for()
    ask = {"search_space": SPACE, "n": 3}
    wanted = call(shared, "POST", f"{address(device)}/suggest", ask)
    assert page.locator(".suggested li > code").all_inner_texts() == wanted.json()["architectures"]
    with page.expect_download() as started:
        page.get_by_role("button", name="Download as CSV").click()
    assert started.value.suggested_filename == f"measure-Honor_9C-{SPACE}.csv"
    lines = open(started.value.path()).read().split()
    assert lines == ["architecture,latency_ms"] + [f"{row}," for row in wanted.json()["architectures"]]
    page.get_by_role("button", name="Write into the box").click()
    assert box(page).input_value().split() == lines


def test_a_file_that_is_dropped_is_taken(open_page, shared):  # noqa: F811
    page = open_device(open_page, shared, "Honor V30 Pro")
    files = page.evaluate_handle("(text) => { const t = new DataTransfer(); t.items.add(new File([text], 'dropped.csv')); return t; }", TWO_CSV)
    page.get_by_role("region", name="Measurements").dispatch_event("drop", {"dataTransfer": files})
    page.get_by_text("dropped.csv is in the box").wait_for()
    assert box(page).input_value() == TWO_CSV
    assert requests.get(shared.url + place("Honor V30 Pro"), timeout=30).status_code == 404  # not before it is stored
