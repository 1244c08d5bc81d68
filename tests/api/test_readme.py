"""What the README shows is what happens."""

import json
import os
import re
import shlex
import subprocess

import pytest
import requests
from conftest import DATA, ROOT, SHARED, make_user_tree

README = (ROOT / "README.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.S)


def test_the_two_commands_come_first():
    first = blocks("sh")[0].splitlines()
    assert [line.split("#")[0].strip() for line in first] == ["make run", "make test"]


def test_the_curl_gives_the_answer_shown(service):
    command = next(block for block in blocks("sh") if block.startswith("curl")).replace("\\\n", " ")
    words = shlex.split(command.replace("http://127.0.0.1:8080", service.url))
    done = subprocess.run([*words, "--silent", "--show-error"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == json.loads(blocks("json")[0])


def test_the_problem_shown_is_the_problem_answered(service):
    shown = json.loads(next(block for block in blocks("json") if "urn:dgld:problem" in block))
    body = {"search_space": "nasbench201", "hardware": [2, 3, 1, 7.46], "architectures": [[4, 4, 9, 2, 4, 4]]}
    assert requests.post(f"{service.url}/v1/predict", json=body).json() == shown


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    path = make_user_tree(tmp_path_factory.mktemp("readme"))
    for space in ("nasbench201", "fbnetv3"):
        (path / "data" / space).symlink_to(DATA / space)
        shipped = ROOT / "result" / space / "accuracymodel.safetensors"
        (path / "result" / space / shipped.name).write_bytes(shipped.read_bytes())
    return path


# those of jobs need a service, those of a space of one's own what declares it, and those of a library its files: they are
# run below
COMMANDS = [c for c in re.findall(r"^build/dgld (?!jobs)[^#\n]*", README, re.M) if "--search_space fbnet " not in c and "$MEASURED" not in c and "--model small" not in c]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme_runs(tree, command):
    done = subprocess.run(shlex.split(command), cwd=tree, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_commands_of_jobs_run_against_a_service(tree, start):
    block = next(block for block in blocks("sh") if "dgld jobs submit" in block)
    done = subprocess.run(
        ["sh", "-ec", block], cwd=tree, env=os.environ | {"DGLD_URL": start(tree).url}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"^[0-9a-f-]{36} .*succeeded", done.stdout, re.M), done.stdout


def test_ten_measurements_are_suggested_stored_and_used_as_told(tmp_path, start):
    root = make_user_tree(tmp_path)
    block = next(block for block in blocks("sh") if "/suggest" in block)
    measure = r"sed -i 's/,\r*$/,3000/; 1s/.*/architecture,latency_ms/' ten.csv"
    block = re.sub(r"^# measure them.*$", lambda _: measure, block, flags=re.M).replace("http://127.0.0.1:8080", start(root).url)
    done = subprocess.run(["sh", "-ec", block], cwd=root, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    put, predicted = map(json.loads, done.stdout.splitlines())
    assert put == {"device": "My Phone", "search_space": "nasbench201", "n_measurements": 10}
    assert predicted["calibration"] == {"n_measurements": 10, "n_distrusted": 0} and len(predicted["interval_ms"]) == 1


def test_a_search_space_of_ones_own_works_as_told(tmp_path, start):
    measured = SHARED / "data" / "library" / "fbnet"
    if not (measured / "net.txt").is_file():
        pytest.skip("the library of measured devices is not at ../shared/data/library")
    root = make_user_tree(tmp_path)
    first, second = (block for block in blocks("sh") if "fbnet.json" in block)
    done = subprocess.run(
        ["sh", "-ec", first], cwd=root, env=os.environ | {"MEASURED": str(measured)}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "held-out R(A)     0.988" in done.stdout and "distrusted rows   485" in done.stdout
    tested = re.search(r"^essential_ph_1 +5000 .* 9\.5% .* 0\.729\d ", done.stdout, re.M)
    assert tested and done.stdout.endswith("\t8929599985258438435356\n"), done.stdout
    service = start(root)
    done = subprocess.run(
        ["sh", "-ec", second.replace("http://127.0.0.1:8080", service.url)], cwd=root, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0 and '"state":"succeeded"' in done.stdout, done.stdout


def test_a_library_is_learned_from_as_told(tmp_path):
    measured = SHARED / "data" / "library" / "nasbench201"
    if not (measured / "pixel3.csv").is_file():
        pytest.skip("the library of measured devices is not at ../shared/data/library")
    root = make_user_tree(tmp_path)
    (root / "data" / "nasbench201").symlink_to(DATA / "nasbench201")
    (block,) = (block for block in blocks("sh") if "--library" in block)
    done = subprocess.run(
        ["sh", "-ec", block], cwd=root, env=os.environ | {"MEASURED": str(measured)}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    for n, shown in ((0, ".897"), (10, ".951"), (20, ".959"), (50, ".965")):
        (mean,) = re.findall(rf"^mean +8100 +{n} +0(\.\d+)", done.stdout, re.M)
        assert f"{float(mean):.3f}" == f"0{shown}" and shown in README
    assert re.search(r"^measurements      10$", done.stdout, re.M)


def test_there_are_commands_to_run():
    assert len(COMMANDS) >= 5


def test_every_target_that_is_named_exists():
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in set(re.findall(r"`make ([a-z-]+)", README + CONTRIBUTING)) | {"run", "test", "data"}:
        assert re.search(rf"^{target}\s", listed, re.M), target


def test_every_folder_of_the_top_level_is_told():
    for folder in ("core", "proto", "server", "tests", "config", "deploy", "data", "result"):
        assert f"`{folder}/`" in CONTRIBUTING


def anchors(text):
    """Of the headings, as GitHub makes them."""
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.*)$", text, re.M)}


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_every_link_leads_somewhere(name):
    for file, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", (ROOT / name).read_text()):
        assert (ROOT / (file or name)).exists(), file
        assert not anchor or anchor in anchors((ROOT / (file or name)).read_text()), f"{file}#{anchor}"


def test_what_contributing_names_is_there():
    for path in re.findall(r"`((?:core|proto|server|tests|config|deploy)/[\w./]+\.\w+)`", CONTRIBUTING):
        assert (ROOT / path).is_file(), path
    tests = "".join(path.read_text() for path in (ROOT / "tests" / "api").glob("*.py"))
    for test in re.findall(r"`(test_\w+)`", CONTRIBUTING):
        files = [ROOT / "tests" / "unit" / f"{test}.c", ROOT / "tests" / "api" / f"{test}.py"]
        assert f"def {test}(" in tests or any(file.is_file() for file in files), test
