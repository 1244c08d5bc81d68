"""The container image: what its Containerfile says, and the daemon in the very file tree that it holds, as the user and
with the environment of the image, on a read-only root with one volume."""

import fnmatch
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import time
import urllib.parse

import pytest
import requests
from conftest import BUILT_IN, ROOT, Service, make_small
from postgres import DATABASE, PASSWORD, ROLE, Postgres

MAX_BYTES = 80_000_000
UID = 10001
CONTAINERFILE = ROOT / "deploy" / "Containerfile"
VOLUME = "var/lib/dgld"
OPERATOR = "dgld_of_a_test"
SHIPPED = [
    f"result/{space}/{name}.safetensors"
    for space in BUILT_IN
    for name in ("pretrainmodel", "pretrainmodel-mlp", "accuracymodel")
]
GOOD = {"search_space": "nasbench201", "device": "Samsung Galaxy A10s", "architectures": ["444244"]}


# ---- what the Containerfile says -------------------------------------------------------------------------------------


def read_instructions():
    """(instruction, rest) in order; comments are dropped, continued lines joined."""
    lines = [line for line in CONTAINERFILE.read_text().splitlines() if not line.lstrip().startswith("#")]
    whole = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [tuple(line.split(None, 1)) for line in whole.splitlines() if line.strip()]


INSTRUCTIONS = read_instructions()
LAST_FROM = max(i for i, (name, _) in enumerate(INSTRUCTIONS) if name == "FROM")
FINAL = INSTRUCTIONS[LAST_FROM + 1 :]


def only(name, instructions=FINAL):
    found = [rest for instruction, rest in instructions if instruction == name]
    assert len(found) == 1, f"{name} stands {len(found)} times"
    return found[0]


ENVIRONMENT = dict(entry.split("=", 1) for entry in shlex.split(only("ENV")))


def meets(path, pattern):
    """Whether a pattern is that of the path, part by part from its beginning; **/ stands for any folders."""
    parts, pattern_parts = path.split("/"), pattern.removeprefix("**/").split("/")
    if pattern.startswith("**/"):
        parts = parts[-len(pattern_parts) :]
    return len(parts) == len(pattern_parts) and all(map(fnmatch.fnmatchcase, parts, pattern_parts))


def ignored(path):
    """Whether the build never sees the path: the last rule that meets it or a folder that it is in decides."""
    folders = ["/".join(path.split("/")[:n]) for n in range(1, path.count("/") + 2)]
    verdict = False
    for rule in (ROOT / "deploy" / "Containerfile.dockerignore").read_text().splitlines():
        if rule and not rule.startswith("#") and any(meets(folder, rule.removeprefix("!")) for folder in folders):
            verdict = not rule.startswith("!")
    return verdict


def test_the_base_is_pinned_and_the_final_image_has_none():
    stages = [rest.split()[0] for name, rest in INSTRUCTIONS if name == "FROM"]
    assert stages == ["${BASE}", "scratch"]
    bases = [rest.removeprefix("BASE=") for name, rest in INSTRUCTIONS if name == "ARG" and rest.startswith("BASE=")]
    assert len(bases) == 1 and re.fullmatch(r"docker\.io/library/debian:12\.\d+-slim(@sha256:[0-9a-f]{64})?", bases[0])


def test_the_image_runs_as_nobody_in_particular_and_listens_behind_the_locks_of_the_service():
    assert only("USER") == f"{UID}:{UID}"
    assert ENVIRONMENT == {"DGLD_BIND": "0.0.0.0", "DGLD_PORT": "8080"}  # neither insecure nor any token
    assert only("EXPOSE") == ENVIRONMENT["DGLD_PORT"]
    assert json.loads(only("VOLUME")) == [only("WORKDIR")] == [f"/{VOLUME}"]


def test_nothing_of_the_image_needs_a_shell():
    check = only("HEALTHCHECK")
    assert json.loads(check[check.index("CMD ") + 4 :]) == ["/usr/bin/dgld", "health"]
    assert json.loads(only("ENTRYPOINT")) == ["/usr/bin/dgld"] and json.loads(only("CMD")) == ["serve"]
    assert only("STOPSIGNAL") == "SIGTERM"
    assert {name for name, _ in FINAL} <= {"ARG", "LABEL", "COPY", "ENV", "USER", "WORKDIR", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
    assert all("--from=build " in rest for name, rest in FINAL if name == "COPY")


def test_the_build_has_all_that_it_copies_and_nothing_of_the_user():
    wanted = ["core/version.h", "proto/openapi.yaml", "server/web/docs.html", "config/dgld.json", "deploy/rootfs.sh"]
    wanted += [str(file.relative_to(ROOT)) for file in (ROOT / "data" / "devices").iterdir()]
    wanted += SHIPPED
    for copied in (rest.split() for name, rest in INSTRUCTIONS[:LAST_FROM] if name == "COPY"):
        assert all((ROOT / source).exists() for source in copied[:-1]) and not any(word.startswith("--") for word in copied)
        wanted += copied[:-1]
    assert not [path for path in wanted if ignored(path)]
    unwanted = [".git/config", "build/dgld", "tests/api/conftest.py", "data/nasbench201/net.txt", "result/.jobs.sqlite", "config/spaces/own.json"]
    unwanted += ["result/nasbench201/models/old.safetensors", "result/nasbench201/jobs/1/a.json", "result/nasbench201/pretrainmodel-own.safetensors"]
    assert not [path for path in unwanted if not ignored(path)]
    assert "deploy/rootfs.sh /rootfs" in [rest for name, rest in INSTRUCTIONS[:LAST_FROM] if name == "RUN"][-1]


def test_settings_that_the_readme_names_for_containers_are_some():
    section = (ROOT / "README.md").read_text().split("\n## In a container\n")[1].split("\n## ")[0]
    named = {name.lower() for name in re.findall(r"DGLD_(\w+)", section)}
    assert {"bind", "port", "tokens_file", "insecure"} <= named <= set(json.loads((ROOT / "config" / "dgld.json").read_text()))
    assert f"{UID}" in section and f"/{VOLUME}" in section and "--read-only" in section


# ---- make image ------------------------------------------------------------------------------------------------------


def make_image(tmp_path, engine, script):
    """`make image` with an engine of our own; what it was called with."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / engine).write_text(f'#!/bin/sh\n{script}\nprintf "%s\\n" "$@" >{tmp_path}/called\n')
    (tmp_path / "bin" / engine).chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
    command = ["make", "image", f"ENGINE={engine}", "IMAGE=registry.example/dgld", "BASE=a@sha256:b"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    return done, (tmp_path / "called").read_text().splitlines() if (tmp_path / "called").exists() else None


@pytest.mark.parametrize("engine", ["podman", "buildah", "docker"])
def test_each_engine_is_told_file_name_and_what_to_leave_out(engine, tmp_path):
    done, called = make_image(tmp_path, engine, 'test "$1" = build || exit 0')
    assert done.returncode == 0, done.stderr
    version = re.search(r'DGLD_VERSION "(.+)"', (ROOT / "core" / "version.h").read_text())[1]
    pairs = list(zip(called, called[1:]))
    for pair in [("-f", "deploy/Containerfile"), ("-t", f"registry.example/dgld:{version}"), ("--build-arg", f"VERSION={version}"), ("--build-arg", "BASE=a@sha256:b")]:
        assert pair in pairs
    # docker finds the rules beside the Containerfile, the others are told; health checks need docker's format
    for pair in [("--ignorefile", "deploy/Containerfile.dockerignore"), ("--format", "docker")]:
        assert (pair in pairs) == (engine != "docker")
    assert (called[0], called[-1]) == ("build", ".")


def test_without_an_engine_it_says_what_to_install(tmp_path):
    done, called = make_image(tmp_path, "docker", "exit 1")
    assert done.returncode != 0 and called is None
    assert "daemon does not answer" in done.stderr and "apt-get install podman" in done.stderr and "make image-rootfs" in done.stderr


# ---- the tree --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """What `make image-rootfs` and the build stage of the image make."""
    path = tmp_path_factory.mktemp("image") / "rootfs"
    done = subprocess.run([ROOT / "deploy" / "rootfs.sh", path], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return path


def files_of(tree):
    return [path for path in tree.rglob("*") if path.is_file() and not path.is_symlink()]


def test_the_tree_is_small_and_holds_one_program(tree):
    files = files_of(tree)
    assert sum(file.stat().st_size for file in files) < MAX_BYTES
    assert not [path for path in tree.rglob("*") if path.lstat().st_mode & (stat.S_ISUID | stat.S_ISGID)]
    programs = {str(file.relative_to(tree)) for file in files if file.stat().st_mode & 0o111}
    loaders = {name for name in programs if re.fullmatch(r"usr/lib(64)?/(\S+/)?ld-linux\S*", name)}
    assert programs - loaders == {"usr/bin/dgld"} and len(loaders) == 1
    # what is no program by its mode is none by its place or its name either
    assert [path.name for path in (tree / "usr" / "bin").iterdir()] == ["dgld"] and not (tree / "usr" / "sbin").exists()
    assert not [file for file in files if re.fullmatch(r"(ba|da|k|z|a)?sh|busybox|cc1?|gcc.*|tcc|clang.*|as|ld|perl.*|python.*", file.name)]
    assert not [path for path in tree.rglob("*") if path.is_symlink() and not path.exists()]


def test_the_tree_is_readable_by_all_and_writable_by_none(tree):
    loose = {str(path.relative_to(tree)) for path in tree.rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o022}
    assert loose == {"tmp"} and (tree / "tmp").stat().st_mode & stat.S_ISVTX
    assert not [file for file in files_of(tree) if file.stat().st_mode & 0o444 != 0o444]
    assert f"dgld:x:{UID}:{UID}:" in (tree / "etc" / "passwd").read_text()
    assert os.geteuid() != 0 or (tree / VOLUME).stat().st_uid == UID
    assert (tree / VOLUME).stat().st_mode & 0o777 == 0o750 and not any((tree / VOLUME).iterdir())


def test_the_tree_has_what_ships_and_the_licences_of_its_libraries(tree):
    share = tree / "usr" / "share" / "dgld"
    for file in files_of(share):
        assert file.read_bytes() == (ROOT / file.relative_to(share)).read_bytes()
    held = {str(file.relative_to(share)) for file in files_of(share)}
    assert {name for name in held if name.startswith("result/")} == set(SHIPPED)
    assert {name for name in held if not name.startswith("result/")} == {f"data/devices/{file.name}" for file in (ROOT / "data" / "devices").iterdir()}
    packages = {file.name for file in (tree / "var" / "lib" / "dpkg" / "status.d").iterdir()}
    assert {"libc6", "libopenblas0-pthread", "libmicrohttpd12"} | {"libcurl3-gnutls", "libpq5", "libzip4"} <= packages
    assert packages == {file.name for file in (tree / "usr" / "share" / "doc").iterdir()}
    assert all((tree / "usr" / "share" / "doc" / name / "copyright").stat().st_size > 0 for name in packages)


def test_a_tree_is_not_assembled_over_another_one(tmp_path):
    (tmp_path / "mine").write_text("kept")
    done = subprocess.run([ROOT / "deploy" / "rootfs.sh", tmp_path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "is not empty" in done.stderr and [file.name for file in tmp_path.iterdir()] == ["mine"]


# ---- the daemon in it ------------------------------------------------------------------------------------------------


def can_mount():
    command = ["unshare", "--mount", "mount", "--bind", "/tmp", "/tmp"]
    return shutil.which("unshare") is not None and subprocess.run(command, capture_output=True).returncode == 0


class Container:
    """The image with a volume: a command that runs the program in it, with the image's settings and some of one's own."""

    def __init__(self, tree, volume, path):
        self.tree, self.volume, self.path = tree, volume, path
        self.is_read_only = can_mount()
        if not self.is_read_only:  # then the volume is the tree's own folder; the user may not write elsewhere either
            self.volume = tree / VOLUME
        self.daemons = []

    def command(self, **settings):
        """A program that runs the image's entry point with the arguments that it is given."""
        inside = [sys.executable, ROOT / "tests" / "support" / "run_in_image.py", self.tree, self.volume if self.is_read_only else "-", UID]
        inside += [f"{name}={value}" for name, value in (ENVIRONMENT | settings).items()] + ["--", *json.loads(only("ENTRYPOINT"))]
        outside = ["unshare", "--mount", "--propagation", "private"] if self.is_read_only else []
        self.path.write_text(f'#!/bin/sh\nexec {shlex.join(map(str, outside + inside))} "$@"\n')
        self.path.chmod(0o755)
        return self.path

    def run(self, *arguments, **settings):
        return subprocess.run([self.command(**settings), *map(str, arguments)], capture_output=True, text=True, timeout=60)

    def start(self, **settings):
        self.daemons.append(Service(f"/{VOLUME}", binary=self.command(**settings)))
        return self.daemons[-1]

    def own(self):
        """What a test put into the volume belongs to the image's user."""
        for path in [self.volume, *self.volume.rglob("*")]:
            os.chown(path, UID, UID)


def state_of(tree):
    """All that is outside of the volume, by what a write would change."""
    looked = (path for path in tree.rglob("*") if path != tree / VOLUME and tree / VOLUME not in path.parents)
    return {path: (stamp.st_mode, stamp.st_uid, stamp.st_size, stamp.st_mtime_ns, stamp.st_ctime_ns, stamp.st_ino) for path in looked for stamp in [path.lstat()]}


@pytest.fixture
def container(tree, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root may change the root directory and its user")
    (tmp_path / "volume").mkdir()
    made = Container(tree, tmp_path / "volume", tmp_path / "dgld")
    made.own()
    before = state_of(tree)
    yield made
    for daemon in made.daemons:
        daemon.stop()
    assert state_of(tree) == before, "something was written outside of the volume"
    for path in (tree / VOLUME).iterdir():  # of machines that may not mount
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def call(daemon, method, path, **keywords):
    return requests.request(method, daemon.url + path, headers={"Authorization": f"Bearer {keywords.pop('token', OPERATOR)}"}, timeout=30, **keywords)


def test_without_tokens_the_image_does_not_start_and_says_what_it_needs(container):
    done = container.run("serve")
    assert done.returncode == 1 and "tokens_file" in done.stderr and "insecure" in done.stderr
    daemon = container.start(DGLD_INSECURE="true")
    assert daemon.predict(**GOOD)["model"]["predictor"] == "cost"
    assert daemon.stop()[0] == 0


def test_an_empty_volume_serves_what_ships_to_an_unprivileged_user_on_a_read_only_root(container):
    daemon = container.start(DGLD_INSECURE="true")
    status = pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text()
    assert re.search(rf"^Uid:\t{UID}\t{UID}\t{UID}\t{UID}$", status, re.M) and re.search(r"^CapEff:\t0+$", status, re.M)
    if container.is_read_only:
        mounts = [line.split() for line in pathlib.Path(f"/proc/{daemon.process.pid}/mountinfo").read_text().splitlines()]
        assert [mount[5].split(",")[0] for mount in mounts if mount[4] == "/"] == ["ro"]
    assert daemon.predict(**GOOD, model="mlp")["model"]["predictor"] == "mlp"
    assert len(requests.get(daemon.url + "/v1/devices", timeout=30).json()["devices"]) == len(list((ROOT / "data" / "devices").iterdir()))
    assert requests.get(daemon.url + "/readyz", timeout=30).json() == {"status": "ready"}
    order = {"kind": "nas", "search_space": "fbnetv3", "params": {"device": "Oppo A5", "latency_constraint_ms": 400, "generations": 5}}
    job = daemon.post(order, path="/v1/jobs", Prefer="wait=30").json()
    assert job["state"] == "succeeded" and {name.split(".")[-1] for name in job["result"]["files"]} == {"json", "onnx", "pt", "svg"}


def test_it_trains_and_keeps_on_its_volume_what_was_made(container):
    make_small(container.volume)
    container.own()
    made = container.run("token", "--name", "t", "--role", "operator", "--file", "tokens.json")
    assert made.returncode == 0, made.stderr
    token = made.stdout.split()[-1]
    settings = {"DGLD_TOKENS_FILE": "tokens.json"}
    daemon = container.start(**settings)
    assert call(daemon, "POST", "/v1/predict", json=GOOD, token="dgld_wrong").status_code == 401
    order = {"kind": "train", "search_space": "nasbench201", "params": {"train_devices": ["Near"], "activate": True, "force": True}}
    job = daemon.post(order, path="/v1/jobs", Prefer="wait=30", Authorization=f"Bearer {token}").json()
    assert job["state"] == "succeeded", job
    put = call(daemon, "PUT", "/v1/devices/My%20Phone", json={"hardware": [2, 3, 1, 7.46]}, token=token)
    assert put.status_code == 201, put.text
    predicted = call(daemon, "POST", "/v1/predict", json=GOOD | {"device": "My Phone"}, token=token).json()
    assert predicted["model"]["version"] == job["result"]["version"]
    assert daemon.stop()[0] == 0
    daemon = container.start(**settings)
    assert call(daemon, "POST", "/v1/predict", json=GOOD | {"device": "My Phone"}, token=token).json() == predicted
    assert call(daemon, "GET", f"/v1/jobs/{job['id']}", token=token).json() == job
    assert {path.stat().st_uid for path in container.volume.rglob("*")} == {UID}


def test_its_jobs_may_be_in_a_database_on_the_network(container):
    """What libpq and its cryptography need besides the libraries that the loader names would show here."""
    database = Postgres(has_port=True)
    try:
        secret = urllib.parse.quote(PASSWORD, safe="")
        uri = f"postgresql://{ROLE}:{secret}@127.0.0.1:{database.port}/{DATABASE}"
        daemon = container.start(DGLD_INSECURE="true", DGLD_JOB_STORE=uri)
        job = daemon.post({"kind": "nas", "search_space": "nasbench201", "params": {"device": "Oppo A5", "latency_constraint_ms": 4000, "export": []}}, path="/v1/jobs", Prefer="wait=30").json()
        assert job["state"] == "succeeded", job
        assert requests.get(daemon.url + "/readyz", timeout=30).json() == {"status": "ready"}
        assert not list(container.volume.rglob("*.sqlite"))
        assert daemon.stop()[0] == 0
    finally:
        database.close()


def test_the_health_check_of_the_image_tells_and_sigterm_drains(container):
    check = only("HEALTHCHECK")
    health = json.loads(check[check.index("CMD ") + 4 :])[1:]
    daemon = container.start(DGLD_INSECURE="true", DGLD_DRAIN_DELAY_MS="3000")
    here = {"DGLD_INSECURE": "true", "DGLD_PORT": str(daemon.port)}
    done = container.run(*health, **here)
    assert (done.returncode, done.stdout) == (0, '{"status":"ready"}\n')
    daemon.process.send_signal(getattr(signal, only("STOPSIGNAL")))
    deadline = time.monotonic() + 10
    while (done := container.run(*health, **here)).returncode == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert done.returncode == 1 and "stopping" in done.stderr
    assert daemon.predict(**GOOD)["latency_ms"]  # draining: who was not told yet is still answered
    assert daemon.process.wait(timeout=20) == 0
    assert container.run(*health, **here).returncode == 1
