"""What the tests of jobs share: a daemon that may be killed and started anew, and what its tree holds."""

import itertools
import json
import re
import signal
import subprocess
import time
import xml.etree.ElementTree as ElementTree
import zipfile

import numpy
import onnx
import requests
from conftest import BINARY, ROOT, factor, write_rows
from safetensors import safe_open

ENDED = ("succeeded", "failed", "cancelled")
SPACE = "nasbench201"


def add_search_table(root):
    """Accuracies for `nas` jobs, of the cells that the root has."""
    folder = root / "data" / SPACE / "NAS"
    folder.mkdir()
    genes = [line.split() for line in (root / "data" / SPACE / "net.txt").read_text().splitlines()]
    write_rows(folder / "net.txt", [list(map(int, row)) for row in genes])
    write_rows(folder / "acc.txt", numpy.linspace(50, 73, len(genes)))


def add_unseen_device(root):
    """A measured phone, "Other", that nothing was trained on."""
    space = root / "data" / SPACE
    hardware = (2.8, 5, 2, 29.8)
    (space / "hardware" / "Other.txt").write_text(" ".join(map(str, hardware)) + "\n")
    a = numpy.loadtxt(space / "a.txt")
    write_rows(space / "latency" / "Other.txt", a * factor(hardware))


def order(kind, /, priority=0, deadline_s=None, **params):
    made = {"kind": kind, "search_space": SPACE, "params": params, "priority": priority}
    return made | ({"deadline_s": deadline_s} if deadline_s else {})


def mlp(epoch, **others):
    return order("train", predictor="mlp", epoch=epoch, **others)


def nas(**params):
    return order("nas", hardware=[2, 3, 1, 7.46], latency_constraint_ms=4000, **params)


class Daemon:
    """A daemon whose log is a file, so that none of it is lost when it is killed. Several may share a root."""

    numbers = itertools.count()

    def __init__(self, root, *arguments, environment=None):
        self.root, self.arguments, self.environment = root, list(map(str, arguments)), environment
        self.logs, self.process, self.url = [], None, None
        self.headers = {}  # of every request

    def start(self, limit_s=30):
        path = self.root.parent / f"{self.root.name}-log-{next(self.numbers)}"
        self.logs.append(path)
        command = [str(BINARY), "serve", "--root", str(self.root), "--port", "0", *self.arguments]
        with path.open("wb") as log:
            self.process = subprocess.Popen(command, stderr=log, cwd=ROOT, env=self.environment)
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := re.search(r"listening on (http://[^\"]+)\"", path.read_text()):
                self.url = found[1]
                return self
            time.sleep(0.005)
        raise AssertionError(f"the service did not start: {path.read_text()}")

    def kill(self):
        self.url = None
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Ends it in order; returns its exit code."""
        self.url = None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)

    def lines(self, life=None):
        """The entries of the log, of one life or of all."""
        paths = self.logs if life is None else [self.logs[life]]
        return [json.loads(line) for path in paths for line in path.read_text().splitlines() if line.startswith("{")]

    # what a client does; `url` may be None while it is down, which requests refuses as it does a lost one

    def request(self, method, path, timeout=30, headers=None, **keywords):
        if self.url is None:
            raise requests.ConnectionError("it is down")
        return requests.request(method, self.url + path, timeout=timeout, headers=self.headers | (headers or {}), **keywords)

    def submit(self, order, **headers):
        """Submits what has to be taken; returns the job."""
        reply = self.request("POST", "/v1/jobs", json=order, headers=headers)
        assert reply.status_code in (200, 202), reply.text
        return reply.json()

    def job(self, id):
        reply = self.request("GET", f"/v1/jobs/{id}")
        assert reply.status_code == 200, reply.text
        return reply.json()

    def jobs(self, **filters):
        """All jobs, the newest first."""
        found, query = [], filters | {"limit": 1000}
        while True:
            reply = self.request("GET", "/v1/jobs", params=query)
            assert reply.status_code == 200, reply.text
            found += reply.json()["jobs"]
            if reply.json()["next"] is None:
                return found
            query["cursor"] = reply.json()["next"]

    def wait(self, id, *states, limit_s=60):
        """Waits until the job is in one of the states, or has ended; returns it."""
        deadline = time.monotonic() + limit_s
        while (job := self.job(id))["state"] not in (states or ENDED):
            assert job["state"] not in ENDED, job
            assert time.monotonic() < deadline, f"it is {job['state']} still: {job}"
            time.sleep(0.01)
        return job

    def wait_for_stage(self, id, stage, limit_s=60):
        deadline = time.monotonic() + limit_s
        while ((job := self.job(id))["progress"] or {}).get("stage") != stage:
            assert job["state"] not in ENDED and time.monotonic() < deadline, job
            time.sleep(0.005)
        return job


def events_of(lines):
    """Parses server-sent events; comments come as ("comment", None, text)."""
    event = {}
    for line in lines:
        line = line.decode() if isinstance(line, bytes) else line
        if line == "" and "data" in event:
            yield event["event"], int(event["id"]), json.loads(event["data"])
            event = {}
        elif line.startswith(":"):
            yield "comment", None, line[1:].strip()
        elif ":" in line:
            name, value = line.split(":", 1)
            event[name] = value.removeprefix(" ")


def follow(daemon, id, **keywords):
    reply = daemon.request("GET", f"/v1/jobs/{id}/events", stream=True, **keywords)
    assert reply.status_code == 200 and reply.headers["Content-Type"] == "text/event-stream"
    assert reply.headers["Cache-Control"] == "no-store" and "Content-Encoding" not in reply.headers
    return events_of(reply.iter_lines(chunk_size=1))


def files_of(root, id):
    """Every file below the root that is named after a job."""
    return sorted(str(path.relative_to(root)) for path in root.rglob(f"*{id}*"))


def tree(root):
    """Every file of the result tree but the store and the locks."""
    found = {path for path in (root / "result").rglob("*") if path.is_file()}
    return {str(path.relative_to(root)) for path in found if not path.name.startswith((".jobs.sqlite", ".tree-locks"))}


def check_whole(root, job):
    """The files that a succeeded job names are there, whole, and no others of it."""
    named = {f"result/{file}" for file in job["result"].get("files", [])}
    there = {str(p.relative_to(root)) for p in map(root.joinpath, files_of(root, job["id"])) if p.is_file()}
    there |= {str(p.relative_to(root)) for p in (root / "result" / SPACE / "jobs" / job["id"]).rglob("*") if p.is_file()}
    assert named == there, job
    for file in named:
        path = root / file
        if path.suffix == ".safetensors":
            with safe_open(path, "numpy") as model:
                assert all(numpy.isfinite(model.get_tensor(key)).all() for key in model.keys()), file
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".svg":
            assert ElementTree.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg", file
        elif path.suffix == ".onnx":
            onnx.checker.check_model(path)
        elif path.suffix == ".pt":
            with zipfile.ZipFile(path) as archive:
                assert archive.testzip() is None, file
        else:
            rows = path.read_text().splitlines()
            assert len(rows) == len((root / "data" / SPACE / "net.txt").read_text().splitlines()), file
            assert all(float(row) > 0 for row in rows), file
