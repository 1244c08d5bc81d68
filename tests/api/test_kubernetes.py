"""deploy/kubernetes: rendered, held against Kubernetes' schemas, the rules of support/kubernetes_rules.py, and the
program that it starts."""

import copy
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import kubernetes_validate
import pytest
import requests
import yaml
from conftest import BINARY, ROOT, make_certificate, run
from kubernetes_rules import RULES, complaints, of_kind, only

MANIFESTS = ROOT / "deploy" / "kubernetes"
KUBECTL = ROOT / "build" / "tools" / "usr" / "bin" / "kubectl"
OVERLAYS = sorted(path.name for path in (MANIFESTS / "overlays").iterdir())
# the oldest that has all that is used, and the newest there are schemas of
VERSIONS = ["1.29", "1.37"]


def minor_of(kubectl):
    done = subprocess.run([kubectl, "version", "--client", "-o", "json"], capture_output=True, text=True, check=True)
    return int(re.match(r"v1\.(\d+)\.", json.loads(done.stdout)["clientVersion"]["gitVersion"])[1])


def speak_to_the_old(folder):
    """Debian's kubectl knows kustomize as of before `resources` could be folders and `patches` files."""
    for file in folder.rglob("kustomization.yaml"):
        said = yaml.safe_load(file.read_text())
        assert all(set(patch) == {"path"} for patch in said.get("patches", []))
        said["bases"] = [name for name in said["resources"] if (file.parent / name).is_dir()]
        said["resources"] = [name for name in said["resources"] if name not in said["bases"]]
        said["patchesStrategicMerge"] = [patch["path"] for patch in said.pop("patches", [])]
        file.write_text(yaml.safe_dump(said))


@functools.cache
def rendered(overlay, kubectl, folder):
    shutil.copytree(MANIFESTS, folder)
    if minor_of(kubectl) < 21:
        speak_to_the_old(folder)
    done = subprocess.run([kubectl, "kustomize", folder / "overlays" / overlay], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return sorted(yaml.safe_load_all(done.stdout), key=lambda o: (o["kind"], o["metadata"]["name"]))


@pytest.fixture(scope="session", params=OVERLAYS)
def overlay(request):
    return request.param


@pytest.fixture(scope="session")
def shared(overlay, tmp_path_factory):
    return rendered(overlay, KUBECTL, tmp_path_factory.getbasetemp() / f"kubernetes-{overlay}")


@pytest.fixture
def objects(shared):
    """What is applied to a cluster, for a test to spoil."""
    return copy.deepcopy(shared)


def test_yaml_of_deployments_is_clean():
    command = [sys.executable, "-m", "yamllint", "--strict", "-c", ROOT / "tests" / "support" / "yamllint.yml", ROOT / "deploy"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# ---- by itself -------------------------------------------------------------------------------------------


def test_there_are_overlays_and_each_has_what_it_takes(objects, overlay):
    kinds = {o["kind"] for o in objects}
    wanted = {"Namespace", "Deployment", "Service", "ServiceAccount", "ConfigMap", "PersistentVolumeClaim"}
    assert kinds >= wanted | {"PodDisruptionBudget", "NetworkPolicy"}
    assert ("HorizontalPodAutoscaler" in kinds) == overlay.startswith("replicas")


def test_newer_kubectl_renders_the_same(objects, overlay, tmp_path):
    """But for the hash in the name of the ConfigMap, which is made in another way."""
    newer = shutil.which("kubectl")
    if newer is None or minor_of(newer) < 21:
        pytest.skip("there is no newer kubectl")

    def nameless(objects):
        return re.sub(r"dgld-config-[a-z0-9]{10}\b", "dgld-config", json.dumps(objects, sort_keys=True))

    assert nameless(rendered(overlay, newer, tmp_path / "new")) == nameless(objects)


@pytest.mark.parametrize("version", VERSIONS)
def test_schemas_of_kubernetes_accept_all(version, objects):
    for one in objects:
        kubernetes_validate.validate(one, version, strict=True)


def test_schemas_refuse_what_is_wrong(objects):
    for spoil in (
        lambda d: d["spec"].update(minReadySeconds="5"),
        lambda d: d["spec"]["template"]["spec"].update(enableServiceLink=False),
        lambda d: d["spec"]["template"]["spec"]["containers"][0].pop("name"),
        lambda d: d["spec"].pop("selector"),
    ):
        deployment = copy.deepcopy(only(objects, "Deployment"))
        spoil(deployment)
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(deployment, VERSIONS[-1], strict=True)


def test_rules_are_kept(objects):
    assert complaints(objects) == []


def pod(objects):
    return only(objects, "Deployment")["spec"]["template"]["spec"]


def container(objects):
    return pod(objects)["containers"][0]


def drop(objects, kind):
    objects[:] = [o for o in objects if o["kind"] != kind]


# what breaks each rule, in this order or more than one way
SPOILS = {
    "pods_share_nothing_with_their_node": [
        lambda o: pod(o).update(hostNetwork=True),
        lambda o: pod(o)["volumes"].append({"name": "root", "hostPath": {"path": "/"}}),
        lambda o: container(o)["ports"][0].update(hostPort=8080),
    ],
    "containers_have_no_privileges": [
        lambda o: container(o)["securityContext"].pop("allowPrivilegeEscalation"),
        lambda o: container(o)["securityContext"].pop("capabilities"),
        lambda o: container(o)["securityContext"]["capabilities"].update(add=["SYS_ADMIN"]),
    ],
    "containers_are_not_root": [
        lambda o: pod(o)["securityContext"].pop("runAsNonRoot"),
        lambda o: container(o)["securityContext"].update(runAsUser=0),
        lambda o: pod(o)["securityContext"].pop("runAsGroup"),
    ],
    "system_calls_are_filtered": [lambda o: pod(o)["securityContext"].pop("seccompProfile")],
    "root_filesystem_is_read_only": [lambda o: container(o)["securityContext"].pop("readOnlyRootFilesystem")],
    "no_token_of_the_cluster_is_there": [
        lambda o: pod(o).pop("automountServiceAccountToken"),
        lambda o: only(o, "ServiceAccount").pop("automountServiceAccountToken"),
    ],
    "services_put_no_variables_into_pods": [lambda o: pod(o).pop("enableServiceLinks")],
    "images_have_a_version": [lambda o: container(o).update(image="dgld"), lambda o: container(o).update(image="dgld:latest")],
    "every_container_is_probed": [lambda o: container(o).pop("readinessProbe"), lambda o: container(o).pop("startupProbe")],
    "resources_are_asked_for": [
        lambda o: container(o)["resources"].pop("limits"),
        lambda o: container(o)["resources"]["requests"].pop("cpu"),
    ],
    "no_shell_is_called": [
        lambda o: container(o).update(command=["/bin/sh"]),
        lambda o: container(o).update(lifecycle={"preStop": {"exec": {"command": ["sleep", "5"]}}}),
    ],
    "secrets_are_referred_to": [
        lambda o: container(o).setdefault("env", []).append({"name": "DGLD_JOB_STORE", "value": "postgresql://dgld:secret@db/dgld"}),
        lambda o: o.append({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "dgld-tokens", "namespace": "dgld"}}),
    ],
    "settings_and_secrets_are_mounted_read_only": [
        lambda o: next(m for m in container(o)["volumeMounts"] if m["name"] == "tokens").pop("readOnly"),
        lambda o: next(v for v in pod(o)["volumes"] if v["name"] == "tokens")["secret"].update(defaultMode=0o444),
    ],
    "services_stay_inside": [lambda o: of_kind(o, "Service")[0]["spec"].update(type="NodePort")],
    "everything_is_in_the_namespace": [
        lambda o: only(o, "NetworkPolicy")["metadata"].pop("namespace"),
        lambda o: only(o, "Namespace")["metadata"]["labels"].update({"pod-security.kubernetes.io/enforce": "baseline"}),
    ],
    "names_are_unique": [lambda o: o.append(copy.deepcopy(only(o, "ConfigMap")))],
    "selectors_meet_the_pods": [
        lambda o: of_kind(o, "Service")[1]["spec"]["selector"].update(tier="x"),
        lambda o: only(o, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"].update(tier="x"),
        lambda o: only(o, "Deployment")["spec"]["selector"]["matchLabels"].update(tier="x"),
        lambda o: drop(o, "PodDisruptionBudget"),
    ],
    "replicas_are_spread": [lambda o: pod(o)["topologySpreadConstraints"].pop()],
    "budget_lets_nodes_be_drained": [lambda o: only(o, "PodDisruptionBudget")["spec"].update(maxUnavailable=0)],
    "traffic_is_denied_unless_named": [
        lambda o: drop(o, "NetworkPolicy"),
        lambda o: only(o, "NetworkPolicy")["spec"]["policyTypes"].remove("Egress"),
        lambda o: only(o, "NetworkPolicy")["spec"]["ingress"][0].pop("from"),
        lambda o: only(o, "NetworkPolicy")["spec"]["egress"].append({"to": [{}], "ports": [{"port": 5432}]}),
    ],
    "ports_are_the_containers": [
        lambda o: of_kind(o, "Service")[0]["spec"]["ports"][0].update(targetPort="https"),
        lambda o: of_kind(o, "Service")[1]["spec"]["ports"][0].update(port=80),
        lambda o: container(o)["livenessProbe"]["httpGet"].update(port=8081),
    ],
    "probes_speak_as_the_service_does": [
        lambda o: container(o)["livenessProbe"]["httpGet"].update(
            scheme="HTTP" if container(o)["livenessProbe"]["httpGet"].get("scheme") == "HTTPS" else "HTTPS"
        )
    ],
    "volumes_are_mounted_and_claims_are_there": [
        lambda o: container(o)["volumeMounts"].pop(),
        lambda o: drop(o, "PersistentVolumeClaim"),
        lambda o: drop(o, "ConfigMap"),
        lambda o: pod(o).update(serviceAccountName="another"),
    ],
    "several_replicas_share_one_volume_and_one_database": [
        lambda o: only(o, "PersistentVolumeClaim")["spec"].update(accessModes=["ReadOnlyMany"]),
        lambda o: only(o, "Deployment")["spec"]["strategy"].update(type="OnDelete"),
    ],
    "scaler_knows_what_it_scales": [
        lambda o: only(o, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"].update(name="another"),
        lambda o: only(o, "HorizontalPodAutoscaler")["spec"].update(minReplicas=1),
        lambda o: only(o, "Deployment")["spec"].update(replicas=3),
    ],
}


def test_rules_find_what_breaks_them(shared, overlay):
    assert set(SPOILS) == set(RULES)
    for name, spoils in SPOILS.items():
        if name == "scaler_knows_what_it_scales" and overlay == "single":
            continue
        for i, spoil in enumerate(spoils):
            objects = copy.deepcopy(shared)
            spoil(objects)
            assert name in {broken for broken, _ in complaints_of(objects)}, f"spoil {i} of {name} was not found"


def complaints_of(objects):
    """As complaints(), of a set that may lack what other rules take for granted."""
    found = []
    for name, check in RULES.items():
        try:
            found += [(name, said) for said in check(objects)]
        except (KeyError, ValueError):
            continue
    return found


# ---- beside the program ----------------------------------------------------------------------------------


def settings_of(objects):
    return json.loads(only(objects, "ConfigMap")["data"]["dgld.json"])


def variables_of(objects, uri="postgresql://dgld:secret@postgresql/dgld"):
    """The container's environment, with texts of our own for what is in Secrets."""
    secret = {("dgld-database", "uri"): uri}
    return {
        v["name"]: v["value"] if "value" in v else secret[v["valueFrom"]["secretKeyRef"]["name"], v["valueFrom"]["secretKeyRef"]["key"]]
        for v in container(objects).get("env", [])
    }


def test_the_program_takes_every_setting(objects, tmp_path):
    (tmp_path / "dgld.json").write_text(only(objects, "ConfigMap")["data"]["dgld.json"])
    command = [BINARY, "config", "--root", tmp_path, "--config", tmp_path / "dgld.json", "--json"]
    done = subprocess.run(command, env=os.environ | variables_of(objects), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["settings"]
    settings, variables = settings_of(objects), variables_of(objects)
    assert {key: told[key]["value"] for key in settings} == settings
    of_environment = {"DGLD_" + key.upper(): told[key]["value"] for key in told if told[key]["origin"] == "environment"}
    assert set(of_environment) == set(variables)
    for name, text in variables.items():
        assert of_environment[name] == text or name == "DGLD_JOB_STORE" and "host=postgresql" in of_environment[name]
    assert "secret@" not in done.stdout + done.stderr


def test_paths_are_where_the_volumes_are(objects):
    arguments, mounts = container(objects)["args"], {m["name"]: m["mountPath"] for m in container(objects)["volumeMounts"]}
    assert container(objects)["command"] == ["/usr/bin/dgld"]
    assert arguments == ["serve", "--root", mounts["root"], "--config", mounts["config"] + "/dgld.json"]
    assert settings_of(objects)["tokens_file"] == mounts["tokens"] + "/tokens.json"
    for name, text in variables_of(objects).items():
        assert not name.startswith("DGLD_TLS") or text in (mounts["tls"] + "/tls.crt", mounts["tls"] + "/tls.key")


def test_ports_and_probes_are_the_programs(objects):
    (port,) = container(objects)["ports"]
    assert port["containerPort"] == settings_of(objects)["port"]
    paths = {probe: container(objects)[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert paths == {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
    assert {f"GET {path} none" for path in paths.values()} <= {" ".join(line.split()) for line in run("routes").stdout.splitlines()}


def test_a_stop_has_the_time_that_it_takes(objects):
    settings, defaults = settings_of(objects), json.loads((ROOT / "config" / "dgld.json").read_text())
    drain_s = (settings["drain_delay_ms"] + settings["drain_timeout_ms"]) / 1000
    assert drain_s < pod(objects)["terminationGracePeriodSeconds"]
    ready = container(objects)["readinessProbe"]
    assert ready["failureThreshold"] * ready["periodSeconds"] + ready["timeoutSeconds"] < settings["drain_delay_ms"] / 1000
    assert settings["drain_timeout_ms"] > settings.get("batch_timeout_ms", defaults["batch_timeout_ms"])


def bytes_of(quantity):
    number, unit = re.fullmatch(r"(\d+)([MG]i)", quantity).groups()
    return int(number) << {"Mi": 20, "Gi": 30}[unit]


def test_memory_is_enough_for_what_was_measured_and_what_may_come(objects):
    """README.md's table: the row of two trainings fits into what is asked for, bodies and replies into the rest."""
    table = re.findall(r"^\| ([^|]+) \| (\d+) \| (\d+) \|", (MANIFESTS / "README.md").read_text(), re.M)
    peaks = {what.strip(): int(peak) << 20 for what, _, peak in table}
    resources = container(objects)["resources"]
    asked, limit = bytes_of(resources["requests"]["memory"]), bytes_of(resources["limits"]["memory"])
    assert peaks["two trainings of `mlp` at once (`job_workers` 4)"] < asked
    assert asked + 2 * settings_of(objects)["transfer_max_bytes"] <= limit
    alerts = (ROOT / "deploy" / "prometheus" / "alerts.yml").read_text()
    assert int(re.search(r"0\.9 \* (\d+) \^ 3", alerts)[1]) ** 3 == limit


def test_image_is_this_version(objects):
    assert container(objects)["image"] == "dgld:" + run("--version").stdout.split()[1]


def test_secrets_that_have_to_be_made_are_told(objects):
    named = {v["secret"]["secretName"] for v in pod(objects)["volumes"] if "secret" in v}
    named |= {v["valueFrom"]["secretKeyRef"]["name"] for v in container(objects).get("env", []) if "valueFrom" in v}
    told = set(re.findall(r"create secret \w+ (\S+)", (MANIFESTS / "README.md").read_text()))
    assert named <= told, named


def test_what_it_starts_answers_its_probes_and_drains(objects, overlay, root, tmp_path_factory, start, monkeypatch, request):
    """The container's own command line, settings and environment; paths are below a folder of the test's, and the
    port is a free one."""
    place = tmp_path_factory.mktemp("pod")
    for mount in container(objects)["volumeMounts"]:
        (place / mount["mountPath"][1:]).parent.mkdir(parents=True, exist_ok=True)
    settings = settings_of(objects)
    os.symlink(root, place / "var/lib/dgld")
    (place / "etc/dgld").mkdir(parents=True)
    (place / settings["tokens_file"][1:]).parent.mkdir(parents=True)
    token = run("token", "--name", "ada", "--role", "predict", "--file", place / settings["tokens_file"][1:]).stdout.strip()
    if any("DGLD_TLS" in name for name in variables_of(objects)):
        make_certificate(place / "run/secrets/dgld-tls")
    (place / "etc/dgld/dgld.json").write_text(json.dumps(settings | {"bind": "127.0.0.1", "tokens_file": str(place) + settings["tokens_file"]}))
    is_many = overlay.startswith("replicas")
    variables = variables_of(objects, request.getfixturevalue("postgres").uri if is_many else None)
    for name, text in variables.items():
        monkeypatch.setenv(name, str(place) + text if text.startswith("/") else text)
    arguments = [str(place) + text if text.startswith("/") else text for text in container(objects)["args"]]
    assert arguments[:2] == ["serve", "--root"]
    daemon = start(arguments[2], *arguments[3:])
    session = requests.Session()
    session.trust_env = False  # it may name certificates, which would go before these
    session.verify = str(place / "run/secrets/dgld-tls/tls.crt") if daemon.url.startswith("https") else True

    def status(path, **keywords):
        return session.get(daemon.url + path, timeout=30, **keywords).status_code

    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        asked = container(objects)[probe]["httpGet"]
        assert daemon.url.startswith(asked.get("scheme", "HTTP").lower() + "://")
        assert status(asked["path"]) == 200
    assert status("/metrics") == 401
    session.headers["Authorization"] = f"Bearer {token}"
    assert "\ndgld_job_store_up 1\n" in session.get(daemon.url + "/metrics", timeout=30).text
    assert (root / "result" / ".jobs.sqlite").exists() != is_many
    daemon.process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + settings["drain_delay_ms"] / 1000 - 1
    while status("/readyz") != 503:
        assert time.monotonic() < deadline
    assert status("/healthz") == 200 and status("/v1/spaces") == 200
    assert daemon.stop()[0] == 0
