"""/v1/models: versions, what is served, and the activation of another one."""

import json
import os
import re
import shlex
import struct
import subprocess

import pytest
import requests
from conftest import BUILT_IN, ROOT, run_json, wait_until

ARCHITECTURES = ["444244", "111111", "555555", "123451"]
MEMBERS = {
    "version", "predictor", "names", "is_served", "source", "n_rows", "devices", "data_sha256", "seed",
    "validation", "r_held_out", "size_bytes", "modified_at",
}  # fmt: skip


def get(daemon, path="/v1/models/nasbench201"):
    reply = requests.get(daemon.url + path, timeout=30)
    assert reply.status_code == 200, reply.text
    return reply.json()


def activate(daemon, version, space="nasbench201"):
    return daemon.post({"version": version}, path=f"/v1/models/{space}/activate")


def predict(daemon, **fields):
    return daemon.predict(search_space="nasbench201", hardware=[2, 3, 1, 7.46], architectures=ARCHITECTURES, **fields)


def by_name(models):
    return {name: model for model in models["versions"] for name in model["names"]}


def served_file(root):
    return root / "result" / "nasbench201" / "pretrainmodel.safetensors"


@pytest.fixture
def two(small):
    """A root with the shipped model and one that was trained here, by the name "other"."""
    run_json("train", "--search_space", "nasbench201", "--name", "other", root=small)
    return small


def test_models_lists_every_space_with_versions_and_what_is_served(service):
    models = get(service, "/v1/models")["models"]
    assert [space["search_space"] for space in models] == BUILT_IN
    for space in models:
        assert space == get(service, f"/v1/models/{space['search_space']}")
        assert set(space) == {"search_space", "served", "versions"}
        assert [model["version"].split("-")[0] for model in space["versions"]] == ["cost", "mlp"]
        assert [(model["names"], model["is_served"]) for model in space["versions"]] == [
            (["default"], True),
            (["mlp"], False),
        ]
        assert space["served"] == space["versions"][0]
        for model in space["versions"]:
            assert set(model) == MEMBERS
            assert model["version"].split("-")[0] == model["predictor"]
            assert re.fullmatch(r"[0-9a-f]{64}", model["data_sha256"])
            assert 0.5 < model["r_held_out"] <= 1 and len(model["devices"]) == 12 and model["n_rows"] > 100
            assert model["size_bytes"] > 10000 and re.fullmatch(r"20[-0-9]+T[:0-9]+\.\d{3}Z", model["modified_at"])


def test_the_served_version_is_the_one_that_predicts(service):
    assert predict(service)["model"]["version"] == get(service)["served"]["version"]


@pytest.mark.parametrize("path", ["/v1/models/nasbench202", "/v1/models/", "/v1/models/../models", "/v1/models/%00"])
def test_unknown_space_is_not_found(service, path):
    for method in ("GET", "POST"):
        head = f"{method} {path}{'/activate' if method == 'POST' else ''} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        reply = service.exchange(head.encode() + b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
        assert reply.startswith(b"HTTP/1.1 404"), reply
        assert b"application/problem+json" in reply


def test_activated_version_is_served_and_the_one_before_is_kept(start, two):
    daemon = start(two)
    before = predict(daemon)
    shipped = served_file(two).read_bytes()
    other = by_name(get(daemon))["other"]
    reply = activate(daemon, "other")
    assert reply.status_code == 200, reply.text
    assert reply.json() == get(daemon)["served"]
    assert reply.json() | {"modified_at": 0} == other | {
        "names": ["default", "other"],
        "is_served": True,
        "modified_at": 0,
    }
    after = predict(daemon)
    assert after["model"]["version"] == other["version"] != before["model"]["version"]
    assert after["latency_ms"] != before["latency_ms"]
    kept = two / "result" / "nasbench201" / "models" / f"{before['model']['version']}.safetensors"
    assert kept.read_bytes() == shipped
    assert served_file(two).read_bytes() == (two / "result/nasbench201/pretrainmodel-other.safetensors").read_bytes()
    told = run_json("predict", "--search_space", "nasbench201", "--hardware", "2,3,1,7.46", *ARCHITECTURES, root=two)
    assert told["model"]["version"] == other["version"]  # the command line sees it too
    assert activate(daemon, before["model"]["version"]).status_code == 200  # by version, from models/
    assert predict(daemon) == before
    assert served_file(two).read_bytes() == shipped
    assert get(daemon, "/v1/models/fbnetv3")["served"]["names"] == ["default"]


def test_activation_of_what_is_served_changes_nothing(start, two):
    daemon = start(two)
    version = get(daemon)["served"]["version"]

    def look():  # at all but the file of locks
        return {f: f.stat().st_mtime_ns for f in (two / "result").rglob("*") if f.name != ".tree-locks"}

    state = look()
    for name in ("default", version):
        assert activate(daemon, name).json()["version"] == version
    assert look() == state


def test_activated_version_outlives_the_service(start, two):
    daemon = start(two)
    version = activate(daemon, "other").json()["version"]
    daemon.stop()
    assert predict(start(two))["model"]["version"] == version


def test_a_space_without_a_model_is_served_once_one_is_activated(start, root):
    served_file(root).unlink()
    daemon = start(root)
    assert get(daemon)["served"] is None
    assert daemon.post({"search_space": "nasbench201", "hardware": [2, 3, 1, 7], "architectures": ["444244"]}).status_code == 503
    assert activate(daemon, "mlp").json()["predictor"] == "mlp"
    assert predict(daemon)["model"]["predictor"] == "mlp"
    assert get(daemon)["served"]["names"] == ["default", "mlp"]


@pytest.mark.parametrize(
    "body, status, pointer",
    [
        ({"version": "cost-000000000000"}, 422, "/version"),
        ({"version": "absent"}, 422, "/version"),
        ({"version": "../nasbench201/pretrainmodel"}, 422, "/version"),
        ({"version": "/etc/passwd"}, 422, "/version"),
        ({"version": ""}, 422, "/version"),
        ({"version": "a" * 65}, 422, "/version"),
        ({"version": "mlp\0"}, 422, "/version"),
        ({"version": 3}, 422, "/version"),
        ({"version": None}, 422, "/version"),
        ({}, 422, "/version"),
        ({"version": "mlp", "force": True}, 422, "/force"),
        ([], 422, ""),
        (b"", 400, None),
        (b"{", 400, None),
    ],
)
def test_activation_of_what_is_not_there_is_refused_by_pointer(service, body, status, pointer):
    before = get(service, "/v1/models")
    reply = service.post(body, path="/v1/models/nasbench201/activate")
    assert reply.status_code == status, reply.text
    assert reply.headers["Content-Type"] == "application/problem+json"
    if pointer is not None:
        assert reply.json()["errors"][0]["pointer"] == pointer
    assert get(service, "/v1/models") == before


def corrupt(data):
    return data[:-1] + bytes([data[-1] ^ 1])


def lie(data):
    """The same file with another version in its metadata."""
    (length,) = struct.unpack("<Q", data[:8])
    head = re.sub(rb'"version":"cost-[0-9a-f]{12}"', b'"version":"cost-0123456789ab"', data[8 : 8 + length])
    assert len(head) == length and head != data[8 : 8 + length]
    return data[:8] + head + data[8 + length :]


@pytest.mark.parametrize(
    "spoil, reason",
    [
        (lambda data: data[:-1], "lies outside of the file"),
        (lambda data: b"", "too few"),
        (corrupt, "damaged"),
        (lie, "that of the weights is"),
    ],
)
def test_a_file_that_cannot_be_served_is_refused_and_the_service_goes_on(start, two, spoil, reason):
    file = two / "result" / "nasbench201" / "pretrainmodel-other.safetensors"
    file.write_bytes(spoil(file.read_bytes()))
    daemon = start(two)
    before = predict(daemon)
    served = served_file(two).read_bytes()
    reply = activate(daemon, "other")
    assert reply.status_code == 409 and reason in reply.json()["detail"], reply.text
    assert predict(daemon) == before
    assert served_file(two).read_bytes() == served
    assert not (two / "result" / "nasbench201" / "models").exists()


def test_malformed_files_are_listed_with_the_reason_beside_the_rest(start, two):
    place = two / "result" / "nasbench201"
    (place / "pretrainmodel-bad.safetensors").write_bytes(b"PK\x03\x04 no model")
    (place / "models").mkdir()
    (place / "models" / "dir.safetensors").mkdir()
    os.mkfifo(place / "models" / "fifo.safetensors")
    (place / "models" / ".hidden.safetensors").write_bytes(b"x")
    (place / "models" / "x.tmp").write_bytes(b"x")
    daemon = start(two)
    models = get(daemon)
    assert [set(model) == MEMBERS for model in models["versions"]] == [True] * 3 + [False] * 3
    broken = {name: model["error"] for name, model in by_name(models).items() if "error" in model}
    assert set(broken) == {"bad", "dir", "fifo"}
    assert "header" in broken["bad"] and "not a regular file" in broken["dir"] and "not a regular file" in broken["fifo"]
    for model in models["versions"][3:]:
        assert (model["version"], model["predictor"], model["is_served"]) == (None, None, False)
    assert predict(daemon)["model"]["version"] == models["served"]["version"]


def test_files_that_are_dropped_in_appear_without_restart(start, two):
    daemon = start(two)
    file = two / "result" / "nasbench201" / "pretrainmodel-other.safetensors"
    (file.parent / "models").mkdir()
    file.rename(file.parent / "models" / "night-7.safetensors")
    assert set(by_name(get(daemon))) == {"default", "mlp", "night-7"}
    version = by_name(get(daemon))["night-7"]["version"]
    assert activate(daemon, version).json()["names"] == ["default", "night-7"]


def test_a_listed_version_predicts_by_its_version(start, two):
    daemon = start(two)
    for model in get(daemon)["versions"]:
        assert predict(daemon, model=model["version"])["model"]["version"] == model["version"]
    (two / "result" / "nasbench201" / "pretrainmodel-other.safetensors").unlink()
    body = {"search_space": "nasbench201", "hardware": [2, 3, 1, 7], "architectures": ["444244"], "model": "cost-000000000000"}
    assert daemon.post(body).status_code == 422


def test_activation_is_logged_with_who_and_what(start, two):
    daemon = start(two)
    before = get(daemon)["served"]["version"]
    after = activate(daemon, "other").json()["version"]
    activate(daemon, "absent")
    _, log = daemon.stop()
    told = [entry["message"] for entry in log if "activated" in entry["message"]]
    assert told == [f"a client without a token activated {after} of nasbench201 in place of {before}"]


def test_a_file_that_is_replaced_is_served_without_restart_and_a_malformed_one_is_not(start, two):
    (two / "own.json").write_text('{"model_poll_ms": 20}')
    daemon = start(two, "--config", two / "own.json")
    other = by_name(get(daemon))["other"]["version"]
    run_json("train", "--search_space", "nasbench201", root=two)  # the same data give the same version
    wait_until(lambda: predict(daemon)["model"]["version"] == other)
    assert get(daemon)["served"]["names"] == ["default", "other"]
    served_file(two).write_bytes(b"no model")
    wait_until(lambda: "default" in by_name(get(daemon)) and "error" in by_name(get(daemon))["default"])
    models = get(daemon)
    assert (models["served"]["version"], models["served"]["is_served"]) == (other, True)
    assert predict(daemon)["model"]["version"] == other
    assert activate(daemon, "other").status_code == 200  # puts it right
    assert get(daemon)["served"]["names"] == ["default", "other"]
    kept = list((two / "result/nasbench201/models").glob("unreadable-*.safetensors"))
    assert [file.read_bytes() for file in kept] == [b"no model"]
    _, log = daemon.stop()
    assert len([entry for entry in log if "stays as it is" in entry["message"]]) <= 1


def test_the_served_model_is_told_even_where_its_file_is_gone(start, two):
    daemon = start(two)
    before = get(daemon)["served"]
    served_file(two).unlink()
    after = get(daemon)
    assert after["served"] == before | {"names": [], "size_bytes": None, "modified_at": None}
    assert set(by_name(after)) == {"mlp", "other"}
    assert predict(daemon)["model"]["version"] == before["version"]
    assert activate(daemon, before["version"]).status_code == 422  # no file holds it any more
    assert activate(daemon, "other").status_code == 200


def test_the_activation_of_the_readme_works(start, root):
    daemon = start(root)
    readme = (ROOT / "README.md").read_text()
    command = re.search(r"^curl .*/activate$", readme, re.M)[0].replace("http://127.0.0.1:8080", daemon.url)
    done = subprocess.run([*shlex.split(command), "--silent"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["predictor"] == predict(daemon)["model"]["predictor"] == "mlp"


def test_other_methods_are_told_what_is_allowed(service):
    for path, allow in (("/v1/models", "GET"), ("/v1/models/fbnetv3", "GET"), ("/v1/models/fbnetv3/activate", "POST")):
        reply = requests.delete(service.url + path, timeout=30)
        assert reply.status_code == 405 and allow in reply.headers["Allow"]
    assert requests.head(service.url + "/v1/models", timeout=30).status_code == 200
