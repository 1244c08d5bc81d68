"""--plot of dgld test and dgld nas, and plot.svg of their jobs: what the pictures show, by their own axes."""

import re
import shutil
import xml.etree.ElementTree as ElementTree

import numpy
import pytest
from conftest import A53, ROOT, UNSEEN_DEVICES, refused, run, run_json, snapshot
from job_tools import Daemon, add_search_table

LIMIT_MS = 1800
SVG = "{http://www.w3.org/2000/svg}"
WITHIN_PX = 0.75  # points of one pixel are drawn as one of them
CALLS = {
    "test": ["test", "--search_space", "nasbench201"],
    "nas": ["nas", "--search_space", "nasbench201", "--hardware", "2,3,1,7.46", "--export", "none", "--latency_constraint_ms", str(LIMIT_MS)],
}


def dots_of(path):
    """The points of a path of dots: absolute, then relative ones."""
    moves = re.findall(r"[Mm](-?[\d.]+)[ ]?(-?[\d.]+)h0", path)
    assert "".join(re.findall(r"[Mmh]", path)) == "Mh" + "mh" * (len(moves) - 1)
    return numpy.cumsum(numpy.array(moves, float), axis=0)


class Panel:
    """A panel of a picture, read by its ticks."""

    def __init__(self, group):
        self.group = group
        self.name = group.find(f"{SVG}text[@class='name']").text
        self.notes = [one.text or "" for one in group.findall(f"{SVG}text[@class='note']")]
        self.x, self.y = self.axis("tick-x", "x"), self.axis("tick-y", "y")

    def axis(self, kind, place):
        """Slope and offset from values to pixels."""
        ticks = self.group.findall(f"{SVG}text[@class='{kind}']")
        assert len(ticks) >= 3
        values = [float(tick.text) for tick in ticks]
        places = numpy.array([float(tick.get(place)) for tick in ticks]) - (4 if place == "y" else 0)
        slope, offset = numpy.polyfit(values, places, 1)
        assert abs(slope * numpy.array(values) + offset - places).max() < 0.11, "ticks are where their labels say"
        return slope, offset

    def place(self, x, y):
        return numpy.stack([self.x[0] * numpy.asarray(x) + self.x[1], self.y[0] * numpy.asarray(y) + self.y[1]], axis=-1)

    def paths(self, kind):
        return [one.get("d") for one in self.group.findall(f"{SVG}path") if one.get("class").split()[: len(kind.split())] == kind.split()]

    def dots(self, series):
        (path,) = self.paths(f"points {series}")
        return dots_of(path)

    def check_dots(self, series, x, y):
        """Each pair has a dot, and each dot a pair."""
        dots, places = self.dots(series), self.place(x, y)
        assert len(dots) <= len(places)
        far = abs(dots[:, None] - places[None]).max(axis=2)
        assert far.min(axis=0).max() < 1 and far.min(axis=1).max() < WITHIN_PX

    def mark(self):
        (circle,) = self.group.findall(f"{SVG}circle")
        return float(circle.get("cx")), float(circle.get("cy")), circle.get("class").split()


class Picture:
    def __init__(self, text):
        self.svg = ElementTree.fromstring(text)
        assert self.svg.tag == f"{SVG}svg" and self.svg.get("role") == "img"
        self.title, self.description = (self.svg.find(f"{SVG}{name}").text for name in ("title", "desc"))
        self.texts = [one.text for one in self.svg.iter(f"{SVG}text")]
        self.panels = [Panel(one) for one in self.svg.iter(f"{SVG}g") if one.get("class") == "panel"]
        tags = {one.tag.removeprefix(SVG) for one in self.svg.iter()}
        assert tags <= {"svg", "title", "desc", "style", "rect", "text", "g", "path", "circle"}, "nothing that runs or loads"


def picture_of(path):
    return Picture(path.read_bytes())


# ---- tests -------------------------------------------------------------------------------------------


def test_every_pair_of_a_test_is_where_its_axes_say(data, root, tmp_path):
    file = tmp_path / "pictures" / "test.svg"  # a folder that is made for it
    done = run(*CALLS["test"], "--data_path", data, "--plot", file, root=root)
    assert done.returncode == 0 and f"the picture is {file}\n" in done.stdout, done
    picture = picture_of(file)
    assert picture.title == "nasbench201: predicted against measured"
    assert [panel.name for panel in picture.panels] == sorted(UNSEEN_DEVICES["nasbench201"])
    assert file.stat().st_size < 200_000
    for panel in picture.panels:
        measured = numpy.loadtxt(data / "nasbench201" / "latency" / f"{panel.name}.txt")
        predicted = numpy.loadtxt(root / "result" / "nasbench201" / f"{panel.name}_timepre.txt")
        panel.check_dots("s1", measured, predicted)
        r = numpy.corrcoef(measured, predicted)[0, 1]
        rmse, mae = numpy.sqrt(((measured - predicted) ** 2).mean()), abs(measured - predicted).mean()
        assert panel.notes[0] == f"R {r:.4f}, RMSE {rmse:.4g} ms, MAE {mae:.4g} ms"
        assert panel.notes[0] in picture.description
        (ideal,) = panel.paths("ideal")
        x0, y0, x1, y1 = map(float, re.fullmatch(r"M(\S+) (\S+)L(\S+) (\S+)", ideal).groups())
        assert [x0, y0] == pytest.approx(panel.place(0, 0), abs=0.11)
        value = (x1 - panel.x[1]) / panel.x[0]
        assert [x1, y1] == pytest.approx(panel.place(value, value), abs=0.11)


def test_bars_and_coverage_are_those_of_the_intervals_that_are_predicted(small, tmp_path):
    run_json(*CALLS["test"], "--plot", tmp_path / "p.svg", root=small)
    (panel,) = picture_of(tmp_path / "p.svg").panels
    space = small / "data" / "nasbench201"
    measured = numpy.loadtxt(space / "latency" / "Near.txt")
    rows = (space / "net.txt").read_text().splitlines()
    bounds = run_json("predict", "--search_space", "nasbench201", "--hardware", "2,3,1,7.46", "--interval", 0.9, *rows, root=small)
    low, high = numpy.array(bounds["interval_ms"]).T
    assert panel.notes[1] == f"80 rows, {100 * ((low <= measured) & (measured <= high)).mean():.1f} % in their 90 % interval"
    (bars,) = panel.paths("bars s1")
    drawn = numpy.array(re.findall(r"M(-?[\d.]+) (-?[\d.]+)v(-?[\d.]+)", bars), float)
    assert len(drawn) == 80
    assert drawn[:, :2] == pytest.approx(panel.place(measured, low), abs=0.15)
    top = float(re.match(r"M\S+ (\S+)v", panel.paths("frame")[0])[1])
    assert drawn[:, 1] + drawn[:, 2] == pytest.approx(numpy.maximum(panel.place(measured, high)[:, 1], top), abs=0.2)


@pytest.mark.parametrize("more", [[], ["--holdout"]])
def test_rows_that_calibrate_are_drawn_as_such(more, small, tmp_path):
    (device,) = run_json(*CALLS["test"], "--calibrate", 20, *more, "--plot", tmp_path / "p.svg", root=small)["devices"]
    picture = picture_of(tmp_path / "p.svg")
    (panel,) = picture.panels
    assert len(panel.dots("s2")) >= 15 and len(panel.dots("s1")) >= 40
    assert "calibrates, not scored" in picture.texts and panel.notes[1].startswith(f"{device['n']} rows")


def test_names_are_text_whatever_they_are(small, tmp_path):
    name = "A&amp;B 'x' 日本 Ä"
    space = small / "data" / "nasbench201"
    for folder in ("hardware", "latency"):
        (space / folder / "Near.txt").rename(space / folder / f"{name}.txt")
    done = run(*CALLS["test"], "--plot", tmp_path / "p.svg", root=small)
    assert done.returncode == 0, done
    assert [panel.name for panel in picture_of(tmp_path / "p.svg").panels] == [name]


# ---- searches ----------------------------------------------------------------------------------------


@pytest.fixture
def searched(small):
    """With accuracies of its cells, each of them once, so that a search looks at these."""
    add_search_table(small)
    folder = small / "data" / "nasbench201" / "NAS"
    lines = {name: (folder / name).read_text().splitlines() for name in ("net.txt", "acc.txt")}
    once = dict(zip(lines["net.txt"], lines["acc.txt"], strict=True))
    (folder / "net.txt").write_text("\n".join(once) + "\n")
    (folder / "acc.txt").write_text("\n".join(once.values()) + "\n")
    return small


def looked_at(root, hardware):
    """Latency and accuracy of what such a search looks at."""
    folder = root / "data" / "nasbench201" / "NAS"
    genes = (folder / "net.txt").read_text().splitlines()
    words = ["--search_space", "nasbench201", "--hardware", ",".join(map(str, hardware)), *genes]
    return run_json("predict", *words, root=root)["latency_ms"], numpy.loadtxt(folder / "acc.txt")


def test_a_search_shows_what_it_looked_at_and_what_it_found(searched, tmp_path):
    file = tmp_path / "p.svg"
    answer = run_json(*CALLS["nas"], "--plot", file, root=searched)
    assert answer["feasible"] and answer["files"][-1] == str(file)
    picture = picture_of(file)
    (panel,) = picture.panels
    latency_ms, accuracy = looked_at(searched, A53)
    panel.check_dots("s1", latency_ms, accuracy)
    cx, cy, classes = panel.mark()
    assert (cx, cy) == pytest.approx(panel.place(answer["latency_ms"], answer["accuracy"]), abs=0.11)
    assert "hollow" not in classes
    (limit,) = panel.paths("limit")
    assert float(re.match(r"M(\S+) ", limit)[1]) == pytest.approx(panel.place(LIMIT_MS, 0)[0], abs=0.11)
    low, high = answer["interval_ms"]
    assert panel.notes == [
        f"found: {answer['latency_ms']:.4g} ms, 90 % interval {low:.4g} to {high:.4g}", f"limit: {LIMIT_MS} ms",
    ]  # fmt: skip
    assert f"found {answer['accuracy']:.4g} %: {answer['notation']}" in picture.texts
    assert f"limit {LIMIT_MS} ms" in picture.description


@pytest.mark.parametrize("method", ["exhaustive", "genetic"])
def test_a_front_is_drawn_in_steps(method, searched, tmp_path):
    words = ["--hardware", "2,3,1,7.46", "--objective", "pareto", "--method", method, "--export", "none", "--plot", tmp_path / "p.svg"]
    answer = run_json("nas", "--search_space", "nasbench201", *words, root=searched)
    (panel,) = picture_of(tmp_path / "p.svg").panels
    (line,) = panel.paths("line s3")
    corners = numpy.array(re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", line), float)
    front = panel.place(*zip(*((one["latency_ms"], one["accuracy"]) for one in answer["front"]), strict=True))
    assert len(corners) == 2 * len(front) and corners[::2] == pytest.approx(front, abs=0.11)
    assert corners[1::2, 1] == pytest.approx(front[:, 1], abs=0.11)
    assert corners[1:-1:2, 0] == pytest.approx(front[1:, 0], abs=0.11)


def test_targets_have_a_panel_each_with_their_own_axis_and_limit(searched, tmp_path):
    limits = {"Near": 5000, "Far": 900}
    words = ["--nas_target_device", "Near,Far", "--latency_constraint_ms", "5000,900", "--export", "none", "--plot", tmp_path / "p.svg"]
    answer = run_json("nas", "--search_space", "nasbench201", *words, root=searched)
    panels = picture_of(tmp_path / "p.svg").panels
    assert [panel.name for panel in panels] == list(limits)
    for panel, target, hardware in zip(panels, answer["targets"], (A53, (2.2, 10, 4, 34.1)), strict=True):
        panel.check_dots("s1", *looked_at(searched, hardware))
        assert panel.mark()[:2] == pytest.approx(panel.place(target["latency_ms"], answer["accuracy"]), abs=0.11)
        (limit,) = panel.paths("limit")
        assert float(re.match(r"M(\S+) ", limit)[1]) == pytest.approx(panel.place(limits[panel.name], 0)[0], abs=0.11)


def test_what_comes_nearest_is_marked_where_nothing_keeps_the_limit(searched, tmp_path):
    done = run(*CALLS["nas"][:-1], 1, "--plot", tmp_path / "p.svg", root=searched)
    assert done.returncode == 3, done
    picture = picture_of(tmp_path / "p.svg")
    assert "hollow" in picture.panels[0].mark()[2]
    assert any(text.startswith("nothing keeps the limits; nearest ") for text in picture.texts)


def test_all_networks_of_a_space_on_four_phones_are_a_small_file(root, tmp_path):
    shutil.copy(ROOT / "result" / "nasbench201" / "accuracymodel.safetensors", root / "result" / "nasbench201")
    phones = ",".join(list(UNSEEN_DEVICES["nasbench201"])[:4])
    words = ["--nas_target_device", phones, "--latency_constraint_ms", "2500", "--export", "none", "--plot", tmp_path / "p.svg"]
    answer = run_json("nas", "--search_space", "nasbench201", *words, root=root)
    assert answer["n_evaluated"] == 15_625 and (tmp_path / "p.svg").stat().st_size < 500_000
    picture = picture_of(tmp_path / "p.svg")
    assert len(picture.panels) == 4
    assert all(5_000 < len(panel.dots("s1")) <= 15_625 for panel in picture.panels)


# ---- what goes wrong ---------------------------------------------------------------------------------


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", ["p.png", "svg", "p.svg.gz", "p.svg/"])
def test_a_file_of_another_kind_is_refused(name, call, searched):
    before = snapshot(searched)
    assert "--plot draws SVG into a file that ends in .svg, not " in refused(2, *CALLS[call], "--plot", f"{searched}/{name}", root=searched)
    assert snapshot(searched) == before


@pytest.mark.parametrize("call", CALLS)
def test_where_no_file_can_be_nothing_is_written_and_nothing_was_tried(call, searched):
    (searched / "full.svg" / "x").mkdir(parents=True)
    (searched / "file").write_text("")
    before = snapshot(searched)
    for name in ("full.svg", "file/p.svg"):
        assert f"dgld: --plot {searched / name}: " in refused(1, *CALLS[call], "--plot", searched / name, root=searched)
    assert snapshot(searched) == before


def test_devices_of_a_library_have_no_picture(small):
    words = ["--search_space", "nasbench201", "--holdout", "devices", "--plot", small / "p.svg"]
    assert "--plot has no part in --holdout devices" in refused(2, "test", *words, root=small)
    assert not (small / "p.svg").exists()


# ---- jobs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", CALLS)
def test_a_job_leaves_the_picture_of_the_command_and_it_is_served_locked_up(call, searched, tmp_path):
    params = {"test": {}, "nas": {"hardware": list(A53), "latency_constraint_ms": LIMIT_MS, "export": []}}[call]
    assert run(*CALLS[call], "--plot", tmp_path / "p.svg", root=searched).returncode == 0
    daemon = Daemon(searched).start()
    job = daemon.wait(daemon.submit({"kind": call, "search_space": "nasbench201", "params": params})["id"])
    assert job["state"] == "succeeded", job
    assert job["result"]["files"][-1] == f"nasbench201/jobs/{job['id']}/plot.svg"
    reply = daemon.request("GET", f"/v1/results/{job['result']['files'][-1]}")
    assert reply.status_code == 200 and reply.content == (tmp_path / "p.svg").read_bytes()
    assert reply.headers["Content-Type"] == "image/svg+xml"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["Content-Security-Policy"] == "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'"
    assert daemon.stop() == 0
