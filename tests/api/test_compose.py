"""deploy/compose: the file by its specification and a linter, its secrets, and the program as it starts it."""

import copy
import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import requests
import yaml
from compose_spec import PyCompose
from conftest import BINARY, ROOT, run
from job_tools import order
from postgres import DATABASE, PASSWORD, ROLE

FOLDER = ROOT / "deploy" / "compose"
SECRETS = {"tokens.json", "metrics_token", "operator_token", "pg_service.conf", "postgres_password", "grafana_password"}


@pytest.fixture
def compose():
    return yaml.safe_load((FOLDER / "compose.yaml").read_text())  # which merges <<


def specified(compose):
    """Refuses what the specification of compose files does not know, and names that are defined nowhere."""
    read = PyCompose.from_yaml(yaml.safe_dump(compose))
    read.validate()
    return read


def test_file_is_as_specified(compose):
    assert set(specified(compose).service_names()) == {"dgld", "postgres", "prometheus", "grafana"}


@pytest.mark.parametrize("spoil", [
    lambda c: c["services"]["dgld"].update(imag="x"),
    lambda c: c["services"]["dgld"]["healthcheck"].update(intervall="5s"),
    lambda c: c["services"]["dgld"].update(ports=["1:2:3:4:5"]),
    lambda c: c["services"]["dgld"]["secrets"].append("another"),
    lambda c: c["services"]["dgld"]["depends_on"].update(postgres={"condition": "healthy"}),
    lambda c: c["networks"].pop("front"),
    lambda c: c.update(service={}),
])  # fmt: skip
def test_specification_refuses_what_is_wrong(spoil, compose):
    spoil(compose)
    with pytest.raises(ValueError):
        specified(compose)


def test_linter_finds_nothing_but_what_is_meant(compose):
    """Digests of images are whoever pulls them to pin; dgld may have all processors for its jobs, at idle priority."""
    command = [sys.executable, "-m", "compose_lint", "--format", "json", FOLDER / "compose.yaml"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = {(f["rule_id"], f["service"]) for f in json.loads(done.stdout)["findings"]}
    assert found == {("CL-0019", service) for service in compose["services"]} | {("CL-0026", "dgld")}


def test_services_are_pinned_watched_and_kept_in(compose):
    for name, service in compose["services"].items():
        assert re.fullmatch(r"[a-z/]+:v?\d+(\.\d+)+(-[a-z]+)?", service["image"]), name
        assert service["healthcheck"]["test"][0] == "CMD" and service["restart"] == "unless-stopped", name
        assert service["read_only"] is True and service["cap_drop"] == ["ALL"] and "cap_add" not in service, name
        assert service["user"].split(":")[0] not in ("0", "root") and "privileged" not in service, name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert service["logging"]["options"]["max-size"] and service["mem_limit"], name
    assert compose["services"]["postgres"]["networks"] == ["database"] and compose["networks"]["database"]["internal"]
    assert compose["services"]["dgld"]["image"] == "dgld:" + run("--version").stdout.split()[1]


def test_files_that_are_mounted_are_there(compose):
    for name, service in compose["services"].items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in compose["volumes"] or source.startswith("..") and (FOLDER / source).exists(), f"{name}: {source}"
    for config in compose["configs"].values():
        assert (FOLDER / config["file"]).is_file()
    used = {secret for service in compose["services"].values() for secret in service["secrets"]}
    assert used == set(compose["secrets"])
    assert {secret["file"] for secret in compose["secrets"].values()} <= {f"secrets/{name}" for name in SECRETS}
    ignored = subprocess.run(["git", "check-ignore", "-q", FOLDER / "secrets" / "tokens.json"], cwd=ROOT)
    assert ignored.returncode == 0


def test_services_know_each_other(compose):
    """By the names and ports that each has here."""
    services = compose["services"]
    scraped = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    (dgld,) = [job for job in scraped["scrape_configs"] if job["job_name"] == "dgld"]
    settings = json.loads((FOLDER / "dgld.json").read_text())
    assert dgld["static_configs"] == [{"targets": [f"dgld:{settings['port']}"]}]
    assert services["dgld"]["ports"] == [f"127.0.0.1:8080:{settings['port']}"]
    assert dgld["authorization"]["credentials_file"] == "/run/secrets/" + services["prometheus"]["secrets"][0]
    mounted = {volume.split(":")[1] for name in ("prometheus", "grafana") for volume in services[name]["volumes"]}
    assert set(scraped["rule_files"]) <= mounted
    assert settings["tokens_file"] == "/run/secrets/tokens" and "tokens" in services["dgld"]["secrets"]
    provisioning = ROOT / "deploy" / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "dgld.yml").read_text())["providers"]
    assert provider["options"]["path"] + "/dgld.json" in mounted
    assert {"/etc/grafana/provisioning"} <= mounted


# ---- secrets ---------------------------------------------------------------------------------------------


@pytest.fixture
def made(tmp_path):
    """A copy of the folder, with secrets."""
    folder = tmp_path / "compose"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("secrets"))
    done = make_secrets(folder)
    assert (done.returncode, done.stderr) == (0, ""), done
    return folder


def make_secrets(folder):
    return subprocess.run([folder / "make-secrets.sh"], env=os.environ | {"DGLD": str(BINARY)}, capture_output=True, text=True)


def contents(folder):
    return {file.name: file.read_text() for file in (folder / "secrets").iterdir()}


def test_secrets_are_made_once_and_told_nowhere(made):
    secrets = contents(made)
    assert set(secrets) == SECRETS
    assert (made / "secrets").stat().st_mode & 0o077 == 0
    assert all(file.stat().st_mode & 0o777 == 0o444 for file in (made / "secrets").iterdir()), "users of containers read them"
    assert f"password={secrets['postgres_password']}\n" in secrets["pg_service.conf"]
    assert len({secrets["postgres_password"], secrets["grafana_password"]}) == 2 and len(secrets["grafana_password"]) == 48
    tokens = {token["name"]: token["role"] for token in json.loads(secrets["tokens.json"])["tokens"]}
    assert tokens == {"prometheus": "predict", "operator": "operator"}
    again = make_secrets(made)
    assert again.returncode == 0 and contents(made) == secrets
    assert not any(text.strip() in again.stdout for text in secrets.values())
    (made / "secrets" / "tokens.json").unlink()
    assert make_secrets(made).returncode == 0
    renewed = contents(made)
    assert {name for name in SECRETS if renewed[name] != secrets[name]} == {"tokens.json", "metrics_token", "operator_token"}


def test_the_program_starts_as_it_says_with_what_is_made(made, compose, small, start, postgres, monkeypatch):
    service = copy.deepcopy(compose["services"]["dgld"])
    file = made / "secrets" / "pg_service.conf"
    file.chmod(0o644)
    told = file.read_text()
    for line, ours in (("host=.*", "host=127.0.0.1"), ("port=.*", f"port={postgres.port}"), ("dbname=.*", f"dbname={DATABASE}"), ("user=.*", f"user={ROLE}"), ("password=.*", f"password={PASSWORD}")):  # fmt: skip
        told, n = re.subn(line, lambda _: ours, told)
        assert n == 1
    file.write_text(told)
    monkeypatch.setenv("DGLD_JOB_STORE", service["environment"]["DGLD_JOB_STORE"])
    monkeypatch.setenv("PGSERVICEFILE", str(made / compose["secrets"]["pg_service"]["file"]))
    settings = json.loads((made / "dgld.json").read_text())
    settings |= {"bind": "127.0.0.1", "tokens_file": str(made / compose["secrets"]["tokens"]["file"])}
    (made / "dgld.json").write_text(json.dumps(settings))
    assert service["entrypoint"] == ["/usr/bin/dgld"]
    assert service["command"] == ["serve", "--root", "/var/lib/dgld", "--config", "/etc/dgld/dgld.json"]
    daemon = start(small, "--config", made / "dgld.json")
    secrets = contents(made)

    def ask(method, path, token, **keywords):
        headers = {"Authorization": "Bearer " + secrets[token].strip()}
        return requests.request(method, daemon.url + path, headers=headers, timeout=30, **keywords)

    metrics = ask("GET", "/metrics", "metrics_token")
    assert metrics.status_code == 200 and "\ndgld_job_store_up 1\n" in metrics.text
    job = order("train", predictor="cost")
    assert ask("POST", "/v1/jobs", "metrics_token", json=job).status_code == 403
    assert ask("POST", "/v1/jobs", "operator_token", json=job).status_code == 202
    assert postgres.sql("SELECT count(*) FROM dgld.jobs") == "1"
    assert service["healthcheck"]["test"] == ["CMD", "/usr/bin/dgld", "health", "--config", "/etc/dgld/dgld.json"]
    health = run("health", "--config", made / "dgld.json", "--port", daemon.port, root=small)
    assert (health.returncode, health.stderr) == (0, ""), health
