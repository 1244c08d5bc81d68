"""Pages of other sites: off unless origins are configured."""

import json

import pytest
import requests

GOOD = {"search_space": "nasbench201", "hardware": [2.0, 3, 1, 7.46], "architectures": ["444244"]}
PAGE = "https://page.example"


def configure(root, **settings):
    (root / "own.json").write_text(json.dumps(settings))
    return ("--config", root / "own.json")


def ask(daemon, method="POST", path="/v1/predict", **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    body = json.dumps(GOOD) if method == "POST" else None
    return requests.request(method, daemon.url + path, data=body, headers=headers, timeout=30)


def cors_headers(reply):
    return {name for name in reply.headers if name.lower().startswith("access-control-")}


def preflight(daemon, origin=PAGE, path="/v1/predict"):
    return ask(daemon, "OPTIONS", path, Origin=origin, Access_Control_Request_Method="POST",
               Access_Control_Request_Headers="content-type, authorization")  # fmt: skip


@pytest.fixture
def open_to_page(root, start):
    return start(root, *configure(root, cors_origins=f"{PAGE},http://localhost:3000"))


def test_without_origins_no_page_may_read(service):
    for reply in (ask(service, Origin=PAGE), preflight(service), ask(service, "GET", "/healthz", Origin="null")):
        assert cors_headers(reply) == set() and "Origin" not in reply.headers.get("Vary", "")


@pytest.mark.parametrize("origin", [PAGE, "http://localhost:3000"])
def test_listed_origin_may_read(origin, open_to_page):
    reply = ask(open_to_page, Origin=origin)
    assert reply.status_code == 200
    assert reply.headers["Access-Control-Allow-Origin"] == origin
    assert "Origin" in reply.headers["Vary"]
    assert "ETag" in reply.headers["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Credentials" not in reply.headers


@pytest.mark.parametrize("origin", [None, "null", "http://page.example", "https://page.example.evil.example",
                                    "https://page.example:8443", "https://page.example\tx", "", "*"])  # fmt: skip
def test_other_origins_may_not_read(origin, open_to_page):
    for reply in (ask(open_to_page, **({"Origin": origin} if origin is not None else {})),
                  ask(open_to_page, "OPTIONS", Origin=origin or "", Access_Control_Request_Method="POST")):  # fmt: skip
        assert cors_headers(reply) == set()
        assert "Origin" in reply.headers["Vary"], "a cache must keep replies apart"


def test_errors_can_be_read_too(open_to_page):
    reply = ask(open_to_page, "GET", "/nothing", Origin=PAGE)
    assert reply.status_code == 404 and reply.headers["Access-Control-Allow-Origin"] == PAGE


def test_preflight_is_answered_204_with_what_is_allowed(open_to_page):
    reply = preflight(open_to_page)
    assert (reply.status_code, reply.content) == (204, b"")
    assert reply.headers["Access-Control-Allow-Origin"] == PAGE
    assert "POST" in reply.headers["Access-Control-Allow-Methods"].split(", ")
    allowed = reply.headers["Access-Control-Allow-Headers"].lower().split(", ")
    assert {"content-type", "authorization", "if-match"} <= set(allowed)
    assert int(reply.headers["Access-Control-Max-Age"]) > 0


def test_preflight_needs_no_token(root, start):
    (root / "tokens.json").write_text('{"tokens": []}')
    daemon = start(root, *configure(root, cors_origins=PAGE, tokens_file="tokens.json"))
    assert preflight(daemon).status_code == 204
    reply = ask(daemon, Origin=PAGE)
    assert reply.status_code == 401 and reply.headers["Access-Control-Allow-Origin"] == PAGE


def test_star_is_every_origin(root, start):
    daemon = start(root, *configure(root, cors_origins="*"))
    for reply in (ask(daemon, Origin=PAGE), ask(daemon), preflight(daemon, "http://other.example")):
        assert reply.headers["Access-Control-Allow-Origin"] == "*"
        assert "Origin" not in reply.headers.get("Vary", "")


@pytest.mark.parametrize("origins", ["page.example", "https://page.example/", "https://a.example,,https://b.example",
                                     "*,https://a.example", "null"])  # fmt: skip
def test_start_is_refused_with_what_is_no_origin(origins, root, start):
    with pytest.raises(AssertionError, match="cors_origins"):
        start(root, *configure(root, cors_origins=origins))
