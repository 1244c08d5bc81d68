"""deploy/prometheus and deploy/grafana: rules by promtool, names of metrics by what a daemon tells, and every rule and
panel by a Prometheus that scrapes one."""

import contextlib
import json
import math
import re
import subprocess
import threading
import time

import pytest
import requests
import yaml
from conftest import ROOT, make_certificate, run
from job_tools import order
from postgres import free_port
from prometheus_client.parser import text_string_to_metric_families

FOLDER = ROOT / "deploy" / "prometheus"
TOOLS = ROOT / "build" / "tools" / "usr" / "bin"
DASHBOARD = ROOT / "deploy" / "grafana" / "dgld.json"
GOOD = {"search_space": "nasbench201", "hardware": [2.0, 3, 1, 7.46], "architectures": ["444244"]}
# what PromQL's own words are that are used here; a name that is neither one of them nor a metric is a mistake
WORDS = set(
    "sum max min count rate increase changes absent round time vector histogram_quantile by on and or bool unless".split()
)
OF_PROMETHEUS = {"up", "ALERTS"}
OF_SCRAPES = {"job", "instance", "alertname", "alertstate"}


def promtool(*arguments, **keywords):
    return subprocess.run([TOOLS / "promtool", *arguments], capture_output=True, text=True, **keywords)


def rules():
    """[(recorded name or None, alert or None, expression)]"""
    groups = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    return [(rule.get("record"), rule if "alert" in rule else None, rule["expr"]) for group in groups for rule in group["rules"]]


def alerts():
    return [alert for _, alert, _ in rules() if alert]


def dashboard():
    return json.loads(DASHBOARD.read_text())


def panels():
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def expressions():
    """{where it stands: expression}, with Grafana's variables filled in."""
    found = {f"alerts.yml, {record or alert['alert']}": text for record, alert, text in rules()}
    for panel in panels():
        for target in panel["targets"]:
            found[f"dgld.json, {panel['title']} {target['refId']}"] = filled(target["expr"])
    for annotation in dashboard()["annotations"]["list"]:
        found[f"dgld.json, annotation {annotation['name']}"] = filled(annotation["expr"])
    return found


def filled(text):
    for variable, value in (("$job", "dgld"), ("$instance", ".*"), ("$route", ".*"), ("$__rate_interval", "5s")):
        text = text.replace(variable, value)
    assert "$" not in text, text
    return text


# ---- a daemon that tells of all there is -----------------------------------------------------------------


class Watched:
    """A daemon with TLS, tokens and jobs, and load on it until it is stopped."""

    def __init__(self, daemon, folder, token):
        self.daemon, self.folder, self.token = daemon, folder, token
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = str(folder / "tls.crt")
        self.session.headers["Authorization"] = f"Bearer {token}"
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.load)

    def metrics(self):
        return self.session.get(self.daemon.url + "/metrics", timeout=30).text

    def load(self):
        with requests.Session() as session:
            session.trust_env, session.verify, session.headers = False, self.session.verify, self.session.headers
            while not self.is_over.wait(0.02):
                session.post(self.daemon.url + "/v1/predict", json=GOOD, timeout=30)

    def __enter__(self):
        reply = self.session.post(self.daemon.url + "/v1/jobs", json=order("train", predictor="cost"), timeout=30)
        assert reply.status_code == 202, reply.text
        self.session.get(self.daemon.url + "/v1/spaces", headers={"Authorization": "none"}, timeout=30)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        self.thread.join()


@pytest.fixture
def watched(start, small):
    make_certificate(small)
    token = run("token", "--root", small, "--name", "ada", "--role", "operator", "--file", "tokens.json").stdout.strip()
    (small / "token").write_text(token)
    settings = {"tokens_file": "tokens.json", "tls_certificate_file": "tls.crt", "tls_key_file": "tls.key"}
    (small / "own.json").write_text(json.dumps(settings))
    with Watched(start(small, "--config", small / "own.json"), small, token) as made:
        yield made


# ---- what is written -------------------------------------------------------------------------------------


def test_promtool_takes_the_rules_and_configurations():
    for arguments in (("rules", "alerts.yml"), ("config", "--syntax-only", "prometheus.yml"), ("config", "--syntax-only", "prometheus-kubernetes.yml")):
        done = promtool("check", *arguments, cwd=FOLDER)
        assert done.returncode == 0, done.stdout + done.stderr


def test_rules_fire_where_they_should():
    done = promtool("test", "rules", "alerts_test.yml", cwd=FOLDER)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_seen_to_fire_and_told_of_in_the_runbook():
    tests = yaml.safe_load((FOLDER / "alerts_test.yml").read_text())["tests"]
    fired = {case["alertname"] for test in tests for case in test.get("alert_rule_test", []) if case["exp_alerts"]}
    runbook = (ROOT / "deploy" / "RUNBOOK.md").read_text()
    anchors = {re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-") for title in re.findall(r"^#+ (.*)$", runbook, re.M)}
    names = [alert["alert"] for alert in alerts()]
    assert len(names) == len(set(names)) and fired == set(names)
    for alert in alerts():
        assert alert["labels"]["severity"] in ("critical", "warning") and alert["annotations"]["summary"]
        assert alert["annotations"]["runbook_url"] == "deploy/RUNBOOK.md#" + alert["alert"].lower()
        assert alert["alert"].lower() in anchors


def test_scrapes_of_a_cluster_find_its_service():
    (job,) = yaml.safe_load((FOLDER / "prometheus-kubernetes.yml").read_text())["scrape_configs"]
    (found,) = job["dns_sd_configs"]
    services = list(yaml.safe_load_all((ROOT / "deploy" / "kubernetes" / "base" / "service.yaml").read_text()))
    (headless,) = [s for s in services if s["spec"].get("clusterIP") == "None"]
    namespace = yaml.safe_load((ROOT / "deploy" / "kubernetes" / "base" / "kustomization.yaml").read_text())["namespace"]
    assert found["names"] == [f"{headless['metadata']['name']}.{namespace}.svc.cluster.local"]
    assert found["port"] == headless["spec"]["ports"][0]["port"]
    assert headless["spec"]["publishNotReadyAddresses"] is True


def test_dashboard_is_whole():
    told = dashboard()
    ids = [panel["id"] for panel in told["panels"]]
    assert len(ids) == len(set(ids)) and told["uid"] == "dgld"
    variables = {variable["name"] for variable in told["templating"]["list"]}
    assert variables == {"datasource", "job", "instance", "route"}
    taken = set()
    for panel in told["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken and place["x"] + place["w"] <= 24, f"{panel['title']} lies upon another"
        taken |= cells
    for panel in panels():
        assert panel["title"] and panel["fieldConfig"]["defaults"]["unit"] and panel["datasource"]["uid"] == "${datasource}"
        assert panel["type"] in ("stat", "timeseries", "heatmap", "table")
        refs = [target["refId"] for target in panel["targets"]]
        assert refs and len(refs) == len(set(refs)), panel["title"]
    assert all(re.search(r'job="\$job"', target["expr"]) for panel in panels() for target in panel["targets"])


# ---- what there is ---------------------------------------------------------------------------------------


def labels_of(text, recorded):
    """{metric: {label: values}} of what a daemon tells, and of what is recorded of it."""
    found = {name: {} for name in OF_PROMETHEUS | set(recorded)}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = found.setdefault(sample.name, {})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return found


def mistakes(text, metrics, routes):
    """Names, labels and values of an expression that nobody tells."""
    labels = {label for of in metrics.values() for label in of} | OF_SCRAPES
    for name, selector in re.findall(r'([a-zA-Z_:][\w:]*)\{((?:[^"{}]|"[^"]*")*)\}', text):
        for label, operator, value in re.findall(r'(\w+)(=~|!~|!=|=)"([^"]*)"', selector):
            of = metrics.get(name, {})
            if label not in set(of) | OF_SCRAPES and name not in OF_PROMETHEUS and ":" not in name:
                yield f"{name} has no label {label}"
            known = routes if label == "route" else of.get(label, set())
            for one in value.split("|") if label in ("route", "outcome", "setting", "state", "kind", "reason") and value != ".*" else ():
                if one not in known and ":" not in name:
                    yield f"{name} has no {label} {one}"
    bare = re.sub(r"\[[^\]]*\]|\{[^}]*\}", " ", re.sub(r'"[^"]*"', " ", text))
    for name in re.findall(r"(?<![\w.:])[a-zA-Z_:][\w:]*", bare):
        if name not in metrics and name not in labels and name not in WORDS:
            yield f"nobody knows {name}"


def test_expressions_name_what_a_daemon_tells(watched):
    done = subprocess.run([TOOLS / "promtool", "check", "metrics"], input=watched.metrics(), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done
    metrics = labels_of(watched.metrics(), [record for record, _, _ in rules() if record])
    routes = {line.split("\t")[1] for line in run("routes").stdout.splitlines()}
    found = {where: list(mistakes(text, metrics, routes)) for where, text in expressions().items()}
    assert {where: said for where, said in found.items() if said} == {}
    for wrong in (
        "sum(dgld_redy)",
        'dgld_bound{setting="pool_max"}',
        'dgld_jobs{status="queued"}',
        'rate(dgld_http_requests_total{route=~"/healthz|/ready"}[5m])',
        "sum by (space) (dgld_predictions_total)",
        'sum(dgld_job_runs_total{outcome=~"failed|succeded"})',
    ):
        assert list(mistakes(wrong, metrics, routes)), wrong
    told = {name for name in metrics if name.startswith("dgld_")}
    used = set(re.findall(r"dgld_\w+", " ".join(expressions().values())))
    unused = {re.sub(r"_(bucket|sum|count)$", "", name) for name in told} - {re.sub(r"_bucket$", "", name) for name in used}
    assert unused == set(), "metrics that neither a panel nor a rule shows"


class Prometheus:
    """The real one, with the shipped configuration but for addresses, paths and intervals."""

    def __init__(self, watched):
        config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
        config["rule_files"] = [str(FOLDER / "alerts.yml")]
        config["scrape_configs"] = [job for job in config["scrape_configs"] if job["job_name"] == "dgld"]
        (job,) = config["scrape_configs"]
        job["authorization"]["credentials_file"] = str(watched.folder / "token")
        job["static_configs"] = [{"targets": [watched.daemon.url.split("//")[1]]}]
        job |= {"scheme": "https", "tls_config": {"ca_file": str(watched.folder / "tls.crt")}}
        (watched.folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        flags = [f"--web.listen-address=127.0.0.1:{port}", f"--config.file={watched.folder / 'prometheus.yml'}"]
        flags.append(f"--storage.tsdb.path={watched.folder / 'tsdb'}")
        self.log = (watched.folder / "prometheus.log").open("w+")
        self.process = subprocess.Popen([TOOLS / "prometheus", *flags], stdout=self.log, stderr=self.log, cwd=watched.folder)
        self.session = requests.Session()
        self.session.trust_env = False

    def get(self, path, **parameters):
        reply = self.session.get(self.url + "/api/v1/" + path, params=parameters, timeout=30)
        assert reply.status_code == 200, (parameters, reply.text)
        return reply.json()["data"]

    def ask(self, query):
        return self.get("query", query=query)["result"]

    def wait_for_scrapes(self, n):
        deadline = time.monotonic() + 60
        while True:
            assert self.process.poll() is None and time.monotonic() < deadline, self.said()
            with contextlib.suppress(requests.ConnectionError, AssertionError):
                result = self.ask('sum_over_time(up{job="dgld"}[1m])')
                if result and float(result[0]["value"][1]) >= n:
                    return
            time.sleep(0.1)

    def said(self):
        self.log.seek(0)
        return self.log.read()[-4000:]

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=60)
        self.log.close()


def test_prometheus_finds_something_for_every_rule_and_panel(watched):
    prometheus = Prometheus(watched)
    try:
        prometheus.wait_for_scrapes(6)
        for panel in panels():
            for target in panel["targets"]:
                result = prometheus.ask(filled(target["expr"]))
                assert result, f"{panel['title']} is empty: {filled(target['expr'])}"
                keys = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
                assert all(keys <= set(row["metric"]) for row in result), f"{panel['title']}: {target['legendFormat']}"
                if panel["type"] == "stat":
                    (row,) = result
                    assert math.isfinite(float(row["value"][1])), panel["title"]
        assert float(prometheus.ask(filled(panels()[0]["targets"][0]["expr"]))[0]["value"][1]) == 1
        groups = prometheus.get("rules")["groups"]
        judged = {rule["name"]: rule for group in groups for rule in group["rules"]}
        assert all(rule["health"] == "ok" for rule in judged.values()), judged
        states = {name: rule["state"] for name, rule in judged.items() if rule["type"] == "alerting"}
        assert set(states) == {alert["alert"] for alert in alerts()} and set(states.values()) == {"inactive"}, states
        assert {rule["name"] for rule in judged.values() if rule["type"] == "recording"} == {r for r, _, _ in rules() if r}
    finally:
        prometheus.stop()
