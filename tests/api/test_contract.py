"""The contract: it is sound, the service carries it, and what it says is what happens."""

import base64
import hashlib
import html.parser
import json
import re
import shutil
import subprocess
import sys
import time

import jsonschema
import pytest
import requests
import yaml
from conftest import BUILT_IN, ROOT, Service, make_root, make_small
from job_tools import add_search_table
from openapi_spec_validator import OpenAPIV31SpecValidator

METHODS = ("get", "put", "post", "delete", "patch")


class OnceLoader(yaml.CSafeLoader):
    """YAML whose mappings hold a key once, and whose plain scalars are those of YAML 1.2."""


def construct_mapping(loader, node):
    pairs = [(loader.construct_object(key, deep=True), loader.construct_object(value, deep=True)) for key, value in node.value]
    names = [str(key) for key, _ in pairs]
    assert len(names) == len(set(names)), f"line {node.start_mark.line + 1}: a key stands twice"
    return dict(zip(names, (value for _, value in pairs)))


OnceLoader.add_constructor("tag:yaml.org,2002:map", construct_mapping)
OnceLoader.yaml_implicit_resolvers = {}
for kind, pattern, first in [
    ("null", r"^(~|null|Null|NULL|)$", list("~nN") + [""]),
    ("bool", r"^(true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^[-+]?[0-9]+$", list("-+0123456789")),
    ("float", r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$", list("-+.0123456789")),
]:
    OnceLoader.add_implicit_resolver(f"tag:yaml.org,2002:{kind}", re.compile(pattern), first)

CONTRACT = yaml.load((ROOT / "proto" / "openapi.yaml").read_text(), OnceLoader)


def resolve(value):
    while isinstance(value, dict) and "$ref" in value:
        at = CONTRACT
        for key in value["$ref"].removeprefix("#/").split("/"):
            at = at[key.replace("~1", "/").replace("~0", "~")]
        value = at
    return value


class Operation:
    """An operation with the parameters of its path."""

    def __init__(self, path, method):
        item = CONTRACT["paths"][path]
        self.path, self.method, self.body = path, method, item[method]
        self.parameters = [resolve(p) for p in item.get("parameters", []) + self.body.get("parameters", [])]
        self.request_body = resolve(self.body.get("requestBody", {}))
        self.responses = {status: resolve(response) for status, response in self.body["responses"].items()}
        self.name = self.body.get("operationId", f"{method} {path}")

    def role(self):
        roles = [role for way in self.body["security"] for role in way["bearer"]]
        assert len(roles) <= 1
        return roles[0] if roles else "none"


OPERATIONS = [Operation(path, m) for path, item in CONTRACT["paths"].items() for m in METHODS if m in item]
BY_NAME = {operation.name: operation for operation in OPERATIONS}


def examples_of(part):
    """Examples of a parameter or a body by name, those that are refused for their form among them."""
    return part.get("examples", {}) | part.get("x-refused-examples", {})


def walk(value, place=""):
    """Every mapping of the contract with its place, references not followed."""
    if isinstance(value, dict):
        yield place, value
        for key, inner in value.items():
            yield from walk(inner, f"{place}/{key}")
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from walk(inner, f"{place}/{i}")


# ---- the contract is sound ------------------------------------------------------------------------


def test_the_contract_is_valid_openapi():
    assert [error.message for error in OpenAPIV31SpecValidator(CONTRACT).iter_errors()] == []


def properties():
    for place, value in walk(CONTRACT):
        if re.search(r"/properties/[^/]+$", place) and "/example" not in place:
            yield place, value


SCHEMAS = [
    (place, value)
    for place, value in walk(CONTRACT)
    if isinstance(value.get("type"), (str, list)) and "/example" not in place and "securitySchemes" not in place
]


def test_every_property_and_schema_says_what_it_is():
    assert [place for place, value in properties() if not resolve(value).get("description") and "/anyOf/" not in place] == []
    assert [name for name, schema in CONTRACT["components"]["schemas"].items() if not schema.get("description")] == []


def test_every_number_that_is_sent_has_bounds():
    """Of a reply, the lower one is enough."""

    def is_bounded(schema, keys):
        return any(key in schema for key in keys) or "enum" in schema or "const" in schema

    # of a list of which every place is described, what follows: maxItems lets nothing follow
    whole = {f"{place}/items" for place, value in walk(CONTRACT) if "prefixItems" in value and len(value["prefixItems"]) == value["maxItems"]}
    unbounded = []
    for place, schema in SCHEMAS:
        types = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
        is_request = re.search(r"Request|Sheet|Upload|Hardware|Architecture/|parameters", place)
        if not {"number", "integer"} & set(types) or re.search(r"/(values|genes|data)/items$|Gene/properties/first$", place):
            continue
        if place in whole:
            continue
        if not is_bounded(schema, ("minimum", "exclusiveMinimum")):
            unbounded.append(place)
        elif is_request and not is_bounded(schema, ("maximum",)) and "V2" not in place and "Length" not in place:
            unbounded.append(place)
    assert unbounded == []


def test_a_quantity_says_its_unit():
    units = {"_ms": "millisecond", "_ghz": "GHz", "_mb": "MB", "_gbs": "GB/s", "ns": "nanosecond"}
    for place, value in properties():
        name = place.rsplit("/", 1)[1]
        for end, unit in units.items():
            if name.endswith(end if end != "ns" else "/ns"):
                assert unit in resolve(value)["description"], place


def test_unknown_fields_of_v1_requests_are_errors():
    for operation in OPERATIONS:
        for kind, media in operation.request_body.get("content", {}).items():
            schema = resolve(media["schema"])
            if operation.path.startswith("/v1") and kind == "application/json":
                assert schema["additionalProperties"] is False, operation.name


@pytest.mark.parametrize("name", BY_NAME)
def test_an_operation_is_described_whole(name):
    operation = BY_NAME[name]
    assert re.fullmatch(r"[a-z][A-Za-z0-9]+", name)
    assert len([o for o in OPERATIONS if o.name == name]) == 1
    assert operation.body["summary"] and not operation.body["summary"].endswith(".")
    assert len(operation.body["tags"]) == 1 and operation.body["tags"][0] in [tag["name"] for tag in CONTRACT["tags"]]
    assert "security" in operation.body
    statuses = set(operation.responses)
    assert list(operation.responses) == sorted(operation.responses, key=lambda s: s)
    assert {"400", "405", "500", "503"} <= statuses and any(s.startswith("2") for s in statuses)
    assert statuses & {"401", "403", "429"} == (set() if operation.role() == "none" else {"401", "403", "429"})
    if operation.request_body:
        assert {"408", "413", "415"} <= statuses
        assert all(m.get("examples") for kind, m in operation.request_body["content"].items() if "json" in kind)
    if {"If-Match", "If-None-Match"} & {p["name"] for p in operation.parameters}:
        assert "304" in statuses if operation.method == "get" else "412" in statuses
    places = re.findall(r"\{(\w+)\}", operation.path)
    assert places == [p["name"] for p in operation.parameters if p["in"] == "path"]
    assert not places or operation.path == "/v1/results/{path}" or "404" in statuses or operation.method == "put"


def test_errors_carry_the_headers_that_go_with_them():
    wanted = {"401": "WWW-Authenticate", "405": "Allow", "429": "Retry-After", "503": "Retry-After", "201": "Location"}
    for operation in OPERATIONS:
        for status, response in operation.responses.items():
            names = set(response.get("headers", {}))
            assert "X-Request-Id" in names, (operation.name, status)
            assert wanted.get(status, "X-Request-Id") in names, (operation.name, status)
            kinds = set(response.get("content", {}))
            if status >= "400":
                assert kinds == {"application/json" if operation.path.startswith("/v2") else "application/problem+json"}


def absolute(schema):
    """A schema that can be looked at alone."""
    return {"components": CONTRACT["components"], **schema}


EXAMPLE_PLACES = [(place, value) for place, value in walk(CONTRACT) if "schema" in value and ("/content/" in place or "/parameters/" in place)]


def is_valid(value, schema):
    return jsonschema.Draft202012Validator(absolute(schema)).is_valid(value)


def test_examples_are_of_the_form_that_is_described_and_refused_ones_are_not():
    n = 0
    for place, part in EXAMPLE_PLACES:
        if "csv" in place or "html" in place:
            continue
        shown = {name: resolve(one)["value"] for name, one in part.get("examples", {}).items()}
        shown |= {"example": part["example"]} if "example" in part else {}
        for name, value in shown.items():
            assert is_valid(value, part["schema"]), (place, name)
        for name, one in part.get("x-refused-examples", {}).items():
            assert not is_valid(one["value"], part["schema"]), (place, name)
        n += len(shown)
    assert n > 60


def test_problems_shown_are_those_of_the_program():
    source = (ROOT / "proto" / "msg_problem.h").read_text()
    table = {int(s): (f"urn:dgld:problem:{n}", t) for s, n, t in re.findall(r'X\((\d+), +"([^"]+)", +"([^"]+)"\)', source)}
    shown = {}
    for _, value in walk(CONTRACT):
        if str(value.get("type", "")).startswith("urn:dgld:problem:"):
            shown[value["status"]] = (value["type"], value["title"])
            assert shown[value["status"]] == table[value["status"]]
    assert set(shown) == set(table)


def test_every_shared_part_is_used():
    text = json.dumps(CONTRACT)
    for kind, parts in CONTRACT["components"].items():
        if kind != "securitySchemes":
            for name in parts:
                assert f'"#/components/{kind}/{name}' in text, (kind, name)


def test_settings_that_are_named_exist():
    keys = set(json.loads((ROOT / "config" / "dgld.json").read_text()))
    named = set(re.findall(r"\b[a-z_]+_(?:max|max_bytes|timeout_s|timeout_ms)\b", json.dumps(CONTRACT)))
    named -= {place.rsplit("/", 1)[1] for place, _ in properties()}
    assert len(named) >= 4 and named <= keys


def test_the_routes_are_those_of_the_contract_with_their_roles():
    done = subprocess.run([ROOT / "build" / "dgld", "routes"], capture_output=True, text=True, check=True)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    routes = {(method.lower(), path.replace("*}", "}")): role for method, path, role in rows}
    assert len(routes) == len(rows)
    routes = {key: role for key, role in routes.items() if not (key[1].endswith("/") and (key[0], key[1][:-1]) in routes)}
    assert routes == {(o.method, o.path): o.role() for o in OPERATIONS}


# ---- the service carries it -----------------------------------------------------------------------


def test_the_kinds_of_job_are_those_of_the_contract():
    (names,) = re.findall(r'#define JOB_KIND_NAMES "([^"]+)"', (ROOT / "proto" / "job.h").read_text())
    schemas = CONTRACT["components"]["schemas"]
    assert names.split(", ") == schemas["JobKind"]["enum"]
    cases = [one["properties"] for one in schemas["JobRequest"]["anyOf"]]
    assert names.split(", ") == [case["kind"]["const"] for case in cases]
    told = schemas["Job"]["properties"]
    assert told["params"]["anyOf"] == [case["params"] for case in cases]
    assert len(told["result"]["anyOf"]) == len(cases) + 1  # null, until it has succeeded


def test_the_service_gives_the_contract_of_the_repository(service):
    reply = requests.get(f"{service.url}/openapi.json")
    assert (reply.status_code, reply.headers["Content-Type"]) == (200, "application/json")
    version = subprocess.run([ROOT / "build" / "dgld", "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    served = reply.json()
    assert served["info"]["version"] == version
    served["info"]["version"] = CONTRACT["info"]["version"]
    assert served == CONTRACT
    assert json.dumps(served) == json.dumps(CONTRACT), "order is kept"


@pytest.mark.parametrize("path", ["/openapi.json", "/docs"])
def test_a_document_that_the_client_has_is_not_sent_again(path, service):
    first = requests.get(service.url + path)
    again = requests.get(service.url + path, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    other = requests.get(service.url + path, headers={"If-None-Match": '"x"'})
    assert other.status_code == 200 and other.content == first.content


class Page(html.parser.HTMLParser):
    """What a page loads, and what it holds of script and style."""

    def __init__(self, text):
        super().__init__()
        self.loaded, self.inline, self.open = [], {}, None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.open = tag if tag in ("script", "style") else self.open
        if tag in ("script", "img", "link", "iframe", "object", "embed", "source", "video", "audio"):
            self.loaded += [v for k, v in attrs if k in ("src", "href", "data", "srcset")]
        assert not [k for k in attributes if k.startswith("on") or k == "style"], "the policy would forbid it"

    def handle_data(self, text):
        if self.open:
            assert self.open not in self.inline
            self.inline[self.open] = text

    def handle_endtag(self, tag):
        self.open = None if tag == self.open else self.open


def test_the_page_needs_no_other_host_and_its_policy_allows_no_more(service):
    reply = requests.get(f"{service.url}/docs")
    assert (reply.status_code, reply.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert reply.text == (ROOT / "server" / "web" / "docs.html").read_text()
    page = Page(reply.text)
    assert page.loaded == ["data:,"]
    assert not re.search(r"https?://(?!127\.0\.0\.1)|@import|url\(", reply.text)
    policy = dict(part.strip().split(" ", 1) for part in reply.headers["Content-Security-Policy"].split(";"))
    digests = {tag: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for tag, text in page.inline.items()}
    assert policy == {
        "default-src": "'none'", "script-src": f"'sha256-{digests['script']}'", "style-src": f"'sha256-{digests['style']}'",
        "connect-src": "'self'", "img-src": "data:", "base-uri": "'none'", "form-action": "'none'", "frame-ancestors": "'none'",
    }  # fmt: skip


def test_the_page_says_something_without_a_script():
    text = re.sub(r"<(script|style)>.*?</\1>", "", (ROOT / "server" / "web" / "docs.html").read_text(), flags=re.S)
    for phrase in ("openapi.json", "/v1/predict", "curl", "<noscript>"):
        assert phrase in text


# ---- what it says is what happens -----------------------------------------------------------------


def check_reply(operation, reply):
    """The reply has a documented status, headers, type and form."""
    response = operation.responses.get(str(reply.status_code))
    assert response, f"{operation.name}: {reply.status_code} is not documented: {reply.text[:300]}"
    for name, header in response.get("headers", {}).items():
        header = resolve(header)
        assert name in reply.headers or not header.get("required"), f"{operation.name}: {name} is missing"
        if name in reply.headers and resolve(header["schema"])["type"] == "string":
            jsonschema.validate(reply.headers[name], absolute(header["schema"]), jsonschema.Draft202012Validator)
    if "content" not in response:
        assert reply.content == b""
        return
    kind = reply.headers["Content-Type"]
    media = response["content"].get(kind) or response["content"].get("*/*")
    assert media, f"{operation.name}: {kind} is not documented for {reply.status_code}"
    if kind.endswith("json") and "*/*" not in response["content"]:
        jsonschema.validate(reply.json(), absolute(media["schema"]), jsonschema.Draft202012Validator)
        assert kind != "application/problem+json" or reply.json()["status"] == reply.status_code


VARYING = {place.rsplit("/", 1)[1] for place, value in properties() if resolve(value).get("x-varies")}


def check_like(shown, actual, place=""):
    """What is shown is what was answered, but for rounding and what varies."""
    if isinstance(shown, dict):
        assert isinstance(actual, dict), place
        assert set(shown) == set(actual), place
        for key in set(shown) - VARYING:
            check_like(shown[key], actual[key], f"{place}/{key}")
    elif isinstance(shown, list):
        assert len(shown) == len(actual), place
        for i, (one, other) in enumerate(zip(shown, actual)):
            check_like(one, other, f"{place}/{i}")
    elif isinstance(shown, float) or (isinstance(actual, float) and not isinstance(shown, bool)):
        assert actual == pytest.approx(shown, rel=1e-5), place
    else:
        assert shown == actual, place


# Examples of shared parameters that mean something else here: what is not known yet may be measured.
EXCEPT = {"putMeasurements": {"unknownDevice"}, "suggestMeasurements": {"unknownDevice"}, "deleteSpace": {"existsAlready"}}


def documented_examples():
    """(operation, name of the example, status) of all that can be sent."""
    for operation in OPERATIONS:
        bodies = {name for media in operation.request_body.get("content", {}).values() for name in examples_of(media)}
        named = {name for parameter in operation.parameters for name in examples_of(parameter)}
        found = {}
        for status, response in operation.responses.items():
            shown = {name for media in response.get("content", {}).values() for name in media.get("examples", {})}
            is_shared = "$ref" in operation.body["responses"][status]
            listed = {name for name in response.get("x-examples", []) if not is_shared or name in bodies | named}
            for name in shown | listed - EXCEPT.get(operation.name, set()):
                assert name not in found, f"{operation.name}: the example {name} is answered twice"
                found[name] = status
        assert bodies <= set(found), f"{operation.name}: no reply to {bodies - set(found)}"
        yield from ((operation, name, status) for name, status in sorted(found.items()))


EXAMPLES = list(documented_examples())


def test_every_operation_has_an_example():
    assert set(BY_NAME) == {operation.name for operation, _, status in EXAMPLES if status < "400"}


def send(url, operation, name, headers=None, places=None):
    """Sends the example of that name; what has none is left out, or where required the first. `places` are
    values of the path that only the service could give."""
    path, query, sent = operation.path, {}, dict(headers or {})
    for parameter in operation.parameters:
        examples = examples_of(parameter)
        if name in examples or parameter.get("required"):
            value = examples.get(name) or next(iter(examples.values()))
            if parameter["in"] == "path" and parameter["name"] in (places or {}):
                path = path.replace("{%s}" % parameter["name"], places[parameter["name"]])
            elif parameter["in"] == "path":
                path = path.replace("{%s}" % parameter["name"], requests.utils.quote(value["value"], safe="/"))
            else:
                (query if parameter["in"] == "query" else sent)[parameter["name"]] = value["value"]
    body = None
    for kind, media in operation.request_body.get("content", {}).items():
        examples = examples_of(media)
        if name in examples or (body is None and examples):
            value = (examples.get(name) or next(iter(examples.values())))["value"]
            body, sent["Content-Type"] = (value if isinstance(value, str) else json.dumps(value)), kind
    shown = next((k for r in operation.responses.values() for k, m in r.get("content", {}).items() if name in m.get("examples", {})), None)
    if shown:
        sent["Accept"] = shown
    request = requests.Request(operation.method.upper(), url, params=query, data=body, headers=sent).prepare()
    request.url = url + path + (f"?{requests.models.RequestEncodingMixin._encode_params(query)}" if query else "")
    return requests.Session().send(request, timeout=60)


# What has to be there before an example holds: (operation, example) sent before.
BEFORE = {
    ("putDevice", "replaced"): [("putDevice", "newPhone")],
    ("deleteDevice", "removed"): [("putDevice", "newPhone")],
    ("putSpace", "replacedSpace"): [("putSpace", "newSpace")],
    ("putSpace", "existsAlready"): [("putSpace", "newSpace")],
    ("deleteSpace", "droppedSpace"): [("putSpace", "newSpace")],
    ("deleteSpace", "changedMeanwhile"): [("putSpace", "newSpace")],
    ("getMeasurements", "measured"): [("putMeasurements", "measured")],
    ("getMeasurements", "measuredCsv"): [("putMeasurements", "measured")],
    ("getMeasurements", "notModified"): [("putMeasurements", "measured")],
    ("putMeasurements", "existsAlready"): [("putMeasurements", "measured")],
    ("deleteMeasurements", "measured"): [("putMeasurements", "measured")],
    ("deleteMeasurements", "changedMeanwhile"): [("putMeasurements", "measured")],
    ("submitJob", "trainLibrary"): [("putMeasurements", "measured")],
    ("submitJob", "testDevices"): [("putMeasurements", "measured")],
    ("listJobs", "queued"): [("submitJob", "trainMlp")],
    ("getJob", "submitted"): [("submitJob", "trainMlp")],
    ("getJob", "notModified"): [("submitJob", "waited")],
    ("getJob", "changedMeanwhile"): [("submitJob", "waited")],
    ("getJob", "waitTooLong"): [("submitJob", "waited")],
    ("deleteJob", "removed"): [("submitJob", "waited")],
    ("deleteJob", "changedMeanwhile"): [("submitJob", "waited")],
    ("cancelJob", "cancelled"): [("submitJob", "trainMlp")],
    ("getJobHistory", "trained"): [("submitJob", "waited")],
    ("getJobHistory", "notModified"): [("submitJob", "waited")],
    ("getJobHistory", "changedMeanwhile"): [("submitJob", "waited")],
    ("followJob", "ended"): [("submitJob", "waited")],
}


@pytest.fixture(scope="module")
def reading(tmp_path_factory):
    """A daemon that is only read from."""
    path = tmp_path_factory.mktemp("reading")
    make_root(path)
    shutil.copy(ROOT / "result" / "nasbench201" / "accuracymodel.safetensors", path / "result" / "nasbench201")
    daemon = Service(path)
    yield daemon
    assert daemon.stop()[0] == 0


@pytest.mark.parametrize(
    "operation, name, status", EXAMPLES, ids=[f"{operation.name}-{name}-{status}" for operation, name, status in EXAMPLES]
)
def test_an_example_is_answered_as_shown(operation, name, status, reading, root, start):
    is_read = operation.role() != "operator" and (operation.name, name) not in BEFORE
    places = {}
    if "jobs" in operation.body["tags"]:
        make_small(root)
        add_search_table(root)
    daemon = reading if is_read else start(root)
    for other, example in BEFORE.get((operation.name, name), []):
        made = send(daemon.url, BY_NAME[other], example)
        assert made.ok, made.text
        if other == "submitJob":
            places["id"] = made.json()["id"]
    reply = send(daemon.url, operation, name, places=places)
    deadline = time.monotonic() + 30
    while operation.name == "cancelJob" and reply.status_code == 202 and time.monotonic() < deadline:
        reply = send(daemon.url, operation, name, places=places)  # the machine had no time for what is to stop
    assert str(reply.status_code) == status, reply.text
    check_reply(operation, reply)
    for media in operation.responses[status].get("content", {}).values():
        if name in media.get("examples", {}):
            shown = resolve(media["examples"][name])["value"]
            if isinstance(shown, str):
                assert reply.text == shown
            else:
                check_like(shown, reply.json())


@pytest.mark.parametrize("path", CONTRACT["paths"])
def test_another_method_is_405_and_told_which_there_are(path, reading):
    operation = next(o for o in OPERATIONS if o.path == path)
    plain = re.sub(r"\{\w+\}", "nasbench201", path)
    taken = {m.upper() for m in METHODS if m in CONTRACT["paths"][path]}
    taken |= {"HEAD"} if "GET" in taken else set()
    for method in {"GET", "PUT", "POST", "DELETE", "PATCH"} - taken:
        reply = requests.request(method, reading.url + plain)
        assert reply.status_code == 405, method
        check_reply(operation, reply)
        assert set(reply.headers["Allow"].split(", ")) - {"OPTIONS"} == taken
    reply = requests.options(reading.url + plain)
    assert (reply.status_code, reply.content) == (204, b"")
    assert set(reply.headers["Allow"].split(", ")) - {"OPTIONS"} == taken


EXPECTED_TOKENS = {"predict": "a-token-that-may-predict-0123456789", "operator": "a-token-that-may-all-0123456789abcd"}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A daemon with a token of each role, to be read from."""
    path = tmp_path_factory.mktemp("guarded")
    daemon, tokens = start_guarded(path)
    daemon.tokens = tokens
    yield daemon
    assert daemon.stop()[0] == 0


def start_guarded(path):
    """A daemon whose callers need a token, and the tokens by role."""
    make_root(path)
    tokens = {}
    for role in ("predict", "operator"):
        done = subprocess.run(
            [ROOT / "build" / "dgld", "token", "--root", path, "--name", role, "--role", role, "--file", "tokens.json"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        tokens[role] = done.stdout.split()[-1]
    (path / "own.json").write_text('{"tokens_file": "tokens.json"}')
    return Service(path, "--config", path / "own.json"), tokens


@pytest.mark.parametrize("name", BY_NAME)
def test_what_an_operation_demands_is_demanded(name, guarded):
    operation = BY_NAME[name]
    example = next((n for o, n, _ in EXAMPLES if o.name == name), "")
    reply = send(guarded.url, operation, example)
    assert (reply.status_code == 401) == (operation.role() != "none")
    check_reply(operation, reply)
    if operation.role() != "none":
        assert reply.headers["WWW-Authenticate"].startswith("Bearer")
        wrong = send(guarded.url, operation, example, {"Authorization": "Bearer " + guarded.tokens["predict"][::-1]})
        assert wrong.status_code == 401
    if operation.role() == "operator":
        reply = send(guarded.url, operation, example, {"Authorization": f"Bearer {guarded.tokens['predict']}"})
        assert reply.status_code == 403
        check_reply(operation, reply)
    if operation.role() == "predict":
        reply = send(guarded.url, operation, example, {"Authorization": f"Bearer {guarded.tokens['predict']}"})
        assert reply.status_code not in (401, 403)


def genes_of(schema):
    """What each gene of an architecture that is a list may be."""
    as_list = next(option for option in schema["anyOf"] if option["type"] == "array")
    items = as_list.get("prefixItems") or [as_list["items"]] * as_list["maxItems"]
    return [g.get("enum") or list(range(g["minimum"], g["maximum"] + 1, g.get("multipleOf", 1))) for g in items]


@pytest.mark.parametrize("space, schema", [(name, f"{name.capitalize()}Architecture") for name in BUILT_IN])
def test_genes_are_those_of_the_search_space(space, schema, reading):
    told = requests.get(f"{reading.url}/v1/spaces/{space}").json()["genes"]
    assert genes_of(CONTRACT["components"]["schemas"][schema]) == [gene["values"] for gene in told]


# ---- whatever the contract allows, and what it does not ---------------------------------------------


def run_schemathesis(daemon, token, directory, *arguments):
    """Lets schemathesis make requests of the contract; what it finds fails the test with its words."""
    shutil.copy(ROOT / "tests" / "support" / "schemathesis.toml", directory / "schemathesis.toml")
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", directory / "schemathesis.toml", "run"]
    command += [f"{daemon.url}/openapi.json", "-H", f"Authorization: Bearer {token}", *arguments]
    done = subprocess.run([str(c) for c in command], cwd=directory, capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, (done.stdout + done.stderr)[-20000:]
    found = re.search(r"(\d+) generated", done.stdout)
    assert found and int(found[1]) > 0, done.stdout
    return int(found[1])


@pytest.fixture
def fuzzed(tmp_path):
    (tmp_path / "root").mkdir()
    make_small(tmp_path / "root")  # so that jobs run, too
    add_search_table(tmp_path / "root")
    daemon, tokens = start_guarded(tmp_path / "root")
    yield daemon, tokens["operator"]
    code, log = daemon.stop()
    assert code == 0, log


def test_no_request_of_the_contract_is_answered_as_it_does_not_say(fuzzed, tmp_path):
    assert run_schemathesis(*fuzzed, tmp_path, "--max-examples", "15") > 1000


@pytest.mark.long
def test_many_requests_of_the_contract_are_answered_at_length(fuzzed, tmp_path):
    assert run_schemathesis(*fuzzed, tmp_path, "--max-examples", "400") > 10000
