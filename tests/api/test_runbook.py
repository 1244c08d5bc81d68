"""deploy/RUNBOOK.md: its commands do what it says, its links lead somewhere, and it knows every alert."""

import json
import os
import pathlib
import re
import shutil
import signal
import ssl
import subprocess
import time

import pytest
import requests
from conftest import BINARY, ROOT, make_root, make_small, snapshot
from job_tools import SPACE, Daemon, add_search_table, nas
from load_tools import Load, connector, prediction, question
from test_tls import make_certificate

RUNBOOK = ROOT / "deploy" / "RUNBOOK.md"
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"


def chapters():
    parts = re.split(r"^## (.+)$", RUNBOOK.read_text(), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def blocks(chapter):
    found = re.findall(r"^```sh\n(.*?)^```$", chapters()[chapter], re.M | re.S)
    assert found, chapter
    return found


def do(script, folder, **variables):
    """Runs a block as a person would who has `dgld` on the path; returns what it printed."""
    environment = os.environ | {"PATH": f"{BINARY.parent}:{os.environ['PATH']}"} | {k: str(v) for k, v in variables.items()}
    command = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, (script, done.stdout, done.stderr)
    return done.stdout


@pytest.fixture
def live(tmp_path):
    """A daemon with jobs, and what the commands speak of."""
    root = tmp_path / "root"
    root.mkdir()
    make_root(root)
    make_small(root)
    add_search_table(root)
    daemon = Daemon(root).start()
    yield daemon, {"ROOT": root, "URL": daemon.url, "PID": daemon.process.pid}
    if daemon.process.poll() is None:
        daemon.process.kill()
    daemon.process.wait()


def test_start_and_metrics_are_as_told(live, tmp_path):
    _, variables = live
    told = "".join(do(block, tmp_path, **variables) for block in blocks("Start"))
    assert '"status":"ready"' in told and "nasbench201" in told
    metrics = requests.get(variables["URL"] + "/metrics", timeout=30).text
    told = do(blocks("Read the metrics")[0], tmp_path, **variables).splitlines()
    assert [line.split()[0] for line in told] == ["dgld_pool_queue_length", "dgld_pool_busy_threads"]
    named = set(re.findall(r"`((?:dgld|process)_[a-z_]+)[`{]", chapters()["Read the metrics"]))
    there = set(re.findall(r"^# TYPE ([a-z_]+) ", metrics, re.M))
    assert len(named) > 12 and named <= there, named - there


def test_upgrade_is_as_told(live, tmp_path):
    daemon, variables = live
    with Load(connector(int(daemon.url.rsplit(":", 1)[1]))) as load:
        load.add("kept", load.kept, 2, question(prediction(1)))
        while not load.n_answered:
            time.sleep(0.01)
        do(blocks("Upgrade")[0], tmp_path, **variables)
        assert daemon.process.wait(timeout=30) == 0
        load.wait_for_more(5)
    assert load.failures == []
    successor = int(re.search(r"process (\d+) serves from now on; stopping", daemon.logs[-1].read_text())[1])
    os.kill(successor, signal.SIGTERM)
    deadline = time.monotonic() + 30
    while daemon.logs[-1].read_text().count('"stopped"') < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_backup_and_restore_are_as_told(live, tmp_path):
    daemon, variables = live
    job = daemon.submit(nas(), Prefer="wait=20")
    variables |= {"BACKUP": tmp_path / "backup", "RESTORED": tmp_path / "restored"}
    for block in blocks("Back up and restore"):
        do(block, tmp_path, **variables)
    daemon.kill()
    assert '"level":"error"' not in (tmp_path / "restored.log").read_text()
    again = Daemon(tmp_path / "restored").start()
    try:
        assert again.job(job["id"]) == job and job["state"] == "succeeded"
        for file in job["result"]["files"]:
            assert (tmp_path / "restored" / "result" / file).read_bytes() == (variables["ROOT"] / "result" / file).read_bytes()
    finally:
        assert again.stop() == 0


@pytest.fixture
def guarded(tmp_path):
    """A daemon with a certificate and a token, and a load of its clients."""
    root = tmp_path / "root"
    root.mkdir()
    make_root(root)
    for name in ("old", "new"):
        make_certificate(tmp_path, name)
    shutil.copy(tmp_path / "old.pem", root / "cert.pem")
    shutil.copy(tmp_path / "old.key", root / "key.pem")
    (root / "key.pem").chmod(0o600)
    variables = {"ROOT": root}
    token = do('dgld token --root "$ROOT" --file tokens.json --name ci --role predict', tmp_path, **variables).strip()
    (root / "own.json").write_text('{"tokens_file": "tokens.json"}')
    daemons = []

    def start(**settings):
        (root / "own.json").write_text(json.dumps({"tokens_file": "tokens.json"} | settings))
        daemons.append(subprocess.Popen([BINARY, "serve", "--root", root, "--port", "0", "--config", root / "own.json"],
                                        stderr=(root / "log").open("wb")))  # fmt: skip
        deadline = time.monotonic() + 30
        while not (found := re.search(r"listening on (https?)://127.0.0.1:(\d+)", (root / "log").read_text())):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return variables | {"URL": f"{found[1]}://localhost:{found[2]}", "PID": daemons[-1].pid}, int(found[2])

    yield start, token, root
    for daemon in daemons:
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(timeout=30) == 0


def bearer(token):
    return question(prediction(1), Authorization=f"Bearer {token}")


def test_tokens_are_rotated_as_told_and_no_request_fails(guarded, tmp_path):
    start, old, root = guarded
    variables, port = start()
    add, remove = blocks("Rotate tokens")
    current = [old]
    with Load(connector(port)) as load:
        load.add("kept", load.kept, 3, lambda: bearer(current[0]))
        load.add("fresh", load.fresh, 2, lambda: bearer(current[0]))
        while len(load.n_answered) < 2:
            time.sleep(0.01)
        do(add, tmp_path, **variables)
        load.wait_for_more(20)  # the old one is still good
        current[0] = (tmp_path / "ci-2.token").read_text().strip()
        load.wait_for_more(20)
        do(remove, tmp_path, **variables)
        deadline = time.monotonic() + 20
        while (gone := requests.get(variables["URL"] + "/v1/spaces", headers={"Authorization": f"Bearer {old}"}, timeout=30)).status_code != 401:
            assert gone.status_code == 200 and time.monotonic() < deadline
        load.wait_for_more(20)
    assert load.failures == []


def test_certificates_are_rotated_as_told_and_no_request_fails(guarded, tmp_path):
    start, token, root = guarded
    variables, port = start(tls_certificate_file="cert.pem", tls_key_file="key.pem")
    trusted = ssl.create_default_context()
    for name in ("old.pem", "new.pem"):
        trusted.load_verify_locations(tmp_path / name)
    plain = connector(port)
    with Load(lambda: trusted.wrap_socket(plain(), server_hostname="localhost")) as load:
        load.add("kept", load.kept, 2, bearer(token))
        load.add("fresh", load.fresh, 2, bearer(token))
        while len(load.n_answered) < 2:
            time.sleep(0.01)
        do(blocks("Rotate certificates")[0], tmp_path, **variables)
        only_new = ssl.create_default_context(cafile=str(tmp_path / "new.pem"))
        deadline = time.monotonic() + 20
        while True:
            try:
                only_new.wrap_socket(plain(), server_hostname="localhost").close()
                break
            except ssl.SSLCertVerificationError:
                assert time.monotonic() < deadline
                time.sleep(0.02)
        load.wait_for_more(10)
    assert load.failures == []


# ---- roll back: what an older program finds


def refused_start(root, *arguments):
    command = [BINARY, "serve", "--root", root, "--port", "0", *arguments]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=30)
    assert done.returncode == 1, done
    return done.stderr.splitlines()[-1]


def test_what_a_newer_program_wrote_is_refused_and_mended_as_told(tmp_path, live):
    daemon, variables = live
    root = variables["ROOT"]
    backup = tmp_path / "before"
    job = daemon.submit(nas(), Prefer="wait=20")
    do(f'dgld backup "{backup}" --root "$ROOT"', tmp_path, **variables)
    assert daemon.stop() == 0
    # the job store of a later schema: refused and untouched; another path works, and so does the backup's
    import sqlite3

    store = root / "result" / ".jobs.sqlite"
    with sqlite3.connect(store) as connection:
        connection.execute("PRAGMA user_version = 1000")
    connection.close()
    before = store.read_bytes()
    assert "was written by a newer dgld (schema 1000" in refused_start(root) and store.read_bytes() == before
    other = Daemon(root, "--job-store", "result/.other.sqlite").start()
    assert other.request("POST", "/v1/predict", json=json.loads(prediction(1))).status_code == 200 and other.stop() == 0
    for path in store.parent.glob(".jobs.sqlite*"):
        path.unlink()
    shutil.copy(backup / "result" / ".jobs.sqlite", store)
    again = Daemon(root).start()
    assert again.job(job["id"]) == job and again.stop() == 0
    # a model of a later format: refused by its name; the one that is kept is put back as told
    model = root / "result" / SPACE / "pretrainmodel.safetensors"
    right = model.read_bytes()
    assert b"dgld-predictor-1" in right
    model.write_bytes(right.replace(b"dgld-predictor-1", b"dgld-predictor-9"))
    said = refused_start(root)
    assert "pretrainmodel.safetensors" in said and "the metadata's format must be dgld-predictor-1, not dgld-predictor-9" in said
    model.write_bytes(right)
    last = Daemon(root).start()
    files = snapshot(root / "result" / SPACE)
    for block in blocks("Roll back"):
        do(block, tmp_path, **variables | {"URL": last.url})
    assert snapshot(root / "result" / SPACE) == files
    assert last.request("POST", "/v1/predict", json=json.loads(prediction(1))).status_code == 200 and last.stop() == 0
    (root / "own.json").write_text('{"setting_of_tomorrow": 1}')
    assert "setting_of_tomorrow" in refused_start(root, "--config", root / "own.json")


# ---- the page itself


def anchor(heading):
    return re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")


def test_every_alert_has_its_chapter_and_every_chapter_its_alert():
    alerts = re.findall(r"^ +- alert: (\w+)$", ALERTS.read_text(), re.M)
    links = re.findall(r"^ +runbook_url: deploy/RUNBOOK\.md#(\w+)$", ALERTS.read_text(), re.M)
    told = re.findall(r"^### (\w+)$", RUNBOOK.read_text(), re.M)
    assert len(alerts) > 10 and told == alerts and links == [anchor(name) for name in alerts]
    for name in alerts:
        assert len(re.search(rf"^### {name}\n\n(.+?)(?=^#|\Z)", RUNBOOK.read_text(), re.M | re.S)[1]) > 100, name


def test_links_lead_somewhere():
    text = RUNBOOK.read_text()
    anchors = {anchor(heading) for heading in re.findall(r"^#+ (.+)$", text, re.M)}
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) > 20
    for link in links:
        path, _, place = link.partition("#")
        target = (RUNBOOK.parent / path).resolve() if path else RUNBOOK
        assert target.exists(), link
        assert path or place in anchors, link
