"""The service and requests that are wrong."""

import json
import random
import socket
import time

import pytest
import requests
from conftest import CELL, Service, make_root

GOOD = {"search_space": "nasbench201", "hardware": [2.0, 3, 1, 7.46], "architectures": ["444244"]}
NAMES = {
    400: "malformed-request", 404: "not-found", 405: "method-not-allowed", 413: "content-too-large",
    415: "unsupported-media-type", 422: "invalid-request", 503: "unavailable",
}  # fmt: skip
HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


def problem(reply, status, instance="/v1/predict"):
    """Checks a problem+json and returns it."""
    assert reply.status_code == status, reply.text
    assert reply.headers["Content-Type"] == "application/problem+json"
    body = reply.json()
    assert set(body) - {"errors"} == {"type", "title", "status", "detail", "instance"}
    assert body["type"] == f"urn:dgld:problem:{NAMES[status]}"
    assert (body["status"], body["instance"]) == (status, instance)
    assert body["title"] and body["detail"]
    assert all(set(e) == {"pointer", "detail"} and e["detail"] for e in body.get("errors", []))
    return body


def errors(reply):
    """Pointers and details of a request that is understood but wrong."""
    return {e["pointer"]: e["detail"] for e in problem(reply, 422)["errors"]}


def post_request(body, *headers):
    lines = [HEAD, *(h + b"\r\n" for h in headers), b"Content-Length: %d\r\n\r\n" % len(body), body]
    return b"".join(lines)


def statuses(received):
    return [int(part[:3]) for part in received.split(b"HTTP/1.1 ")[1:]]


def is_serving(service):
    return service.post(GOOD).status_code == 200


WITHOUT = {key: {k: v for k, v in GOOD.items() if k != key} for key in GOOD}
WRONG = {
    "no space": (WITHOUT["search_space"], "/search_space", "search_space is missing"),
    "no architectures": (WITHOUT["architectures"], "/architectures", "architectures is missing"),
    "no device": (WITHOUT["hardware"], "", "say for which device: hardware"),
    "unknown space": (
        GOOD | {"search_space": "darts"},
        "/search_space",
        'no search space "darts"; there are nasbench201',
    ),
    "a number as space": (GOOD | {"search_space": 5}, "/search_space", "must be a string, not a number"),
    "null as space": (GOOD | {"search_space": None}, "/search_space", "must be a string, not null"),
    "unknown field": (GOOD | {"colour": "red"}, "/colour", '"colour" is not a field here'),
    "field with slash": (GOOD | {"a/b~c": 1}, "/a~1b~0c", '"a/b~c" is not a field here'),
    "wrong case": (GOOD | {"Hardware": [2, 3, 1, 7.46]}, "/Hardware", '"Hardware" is not a field here'),
    "a string as architectures": (
        GOOD | {"architectures": "444244"},
        "/architectures",
        "must be a list of architectures",
    ),
    "null as architectures": (GOOD | {"architectures": None}, "/architectures", "must be a list of architectures"),
    "a number in architectures": (
        GOOD | {"architectures": [444244]},
        "/architectures/0",
        "must be a list of genes or a string",
    ),
    "null in architectures": (
        GOOD | {"architectures": ["111111", None]},
        "/architectures/1",
        "must be a list of genes",
    ),
    "an object in architectures": (GOOD | {"architectures": [{}]}, "/architectures/0", "must be a list of genes"),
    "five genes": (GOOD | {"architectures": [[1, 2, 3, 4, 5]]}, "/architectures/0", "has 6 genes, not 5"),
    "no genes": (GOOD | {"architectures": [[]]}, "/architectures/0", "has 6 genes, not 0"),
    "a gene of 9": (
        GOOD | {"architectures": ["111111", "111111", "111111", [1, 1, 9, 1, 1, 1]]},
        "/architectures/3/2",
        "gene 3 of nasbench201 must be 1 to 5, not 9",
    ),
    "a gene of 1.5": (GOOD | {"architectures": [[1.5, 1, 1, 1, 1, 1]]}, "/architectures/0/0", "must be a whole number"),
    "a gene as text": (
        GOOD | {"architectures": [["1", 1, 1, 1, 1, 1]]},
        "/architectures/0/0",
        "whole number, not a string",
    ),
    "a gene of true": (
        GOOD | {"architectures": [[True, 1, 1, 1, 1, 1]]},
        "/architectures/0/0",
        "must be a whole number",
    ),
    "a huge gene": (GOOD | {"architectures": [[2**62, 1, 1, 1, 1, 1]]}, "/architectures/0/0", "must be 1 to 5"),
    "a very negative gene": (
        GOOD | {"architectures": [[-(2**63), 1, 1, 1, 1, 1]]},
        "/architectures/0/0",
        "must be 1 to 5",
    ),
    "a gene of 1e300": (
        GOOD | {"architectures": [[1e300, 1, 1, 1, 1, 1]]},
        "/architectures/0/0",
        "gene 1 of nasbench201 must be 1 to 5",
    ),
    "a bad string": (GOOD | {"architectures": ["hello"]}, "/architectures/0", "is no architecture of nasbench201"),
    "a bad digit": (
        GOOD | {"architectures": ["444294"]},
        "/architectures/0",
        "gene 5 of nasbench201 must be 1 to 5, not 9",
    ),
    "a broken cell": (GOOD | {"architectures": [CELL[:40]]}, "/architectures/0", "the nasbench201 notation breaks off"),
    "cell of another space": (
        GOOD | {"search_space": "fbnetv3"},
        "/architectures/0",
        "an architecture of fbnetv3 has 28",
    ),
    "hardware and device": (GOOD | {"device": "VIVO NEX"}, "/device", "give only one of hardware, device and devices"),
    "hardware and devices": (GOOD | {"devices": ["VIVO NEX"]}, "/devices", "give only one of"),
    "device and devices": (
        WITHOUT["hardware"] | {"device": "VIVO NEX", "devices": ["VIVO NEX"]},
        "/devices",
        "give only one of",
    ),
    "three numbers": (GOOD | {"hardware": [2, 3, 1]}, "/hardware", "hardware must be 4 numbers"),
    "five numbers": (GOOD | {"hardware": [2, 3, 1, 7, 7]}, "/hardware", "not 5"),
    "hardware as text": (GOOD | {"hardware": "2,3,1,7.46"}, "/hardware", "must be a vector of 4 numbers or an object"),
    "hardware null": (GOOD | {"hardware": None}, "/hardware", "must be a vector of 4 numbers or an object, not null"),
    "a word in hardware": (
        GOOD | {"hardware": [2, "3", 1, 7]},
        "/hardware/1",
        "dispatch_width must be a number, not a str",
    ),
    "null in hardware": (GOOD | {"hardware": [2, 3, None, 7]}, "/hardware/2", "cache_mb must be a number, not null"),
    "clock of zero": (
        GOOD | {"hardware": [0, 3, 1, 7.46]},
        "/hardware/0",
        "frequency_ghz (F, in GHz) must be a positive",
    ),
    "negative width": (GOOD | {"hardware": [2, -3, 1, 7.46]}, "/hardware/1", "dispatch_width"),
    "cache of zero": (GOOD | {"hardware": [2, 3, -0.0, 7.46]}, "/hardware/2", "cache_mb"),
    "huge bandwidth": (GOOD | {"hardware": [2, 3, 1, 1e300]}, "/hardware/3", "memory_bandwidth_gbs"),
    "tiny clock": (GOOD | {"hardware": [1e-300, 3, 1, 7.46]}, "/hardware/0", "frequency_ghz"),
    "object lacks a field": (
        GOOD | {"hardware": {"frequency_ghz": 2, "dispatch_width": 3, "cache_mb": 1}},
        "/hardware/memory_bandwidth_gbs",
        "memory_bandwidth_gbs is missing",
    ),
    "object with a zero": (
        GOOD | {"hardware": {"frequency_ghz": 2, "dispatch_width": 3, "cache_mb": 0, "memory_bandwidth_gbs": 7}},
        "/hardware/cache_mb",
        "cache_mb",
    ),
    "object with more": (
        GOOD
        | {"hardware": {"frequency_ghz": 2, "dispatch_width": 3, "cache_mb": 1, "memory_bandwidth_gbs": 7, "x": 1}},
        "/hardware/x",
        '"x" is not a field here',
    ),
    "unknown device": (WITHOUT["hardware"] | {"device": "Nokia 3310"}, "/device", 'there is no device "Nokia 3310"'),
    "device as number": (WITHOUT["hardware"] | {"device": 5}, "/device", "must be a device's name, not a number"),
    "device with a path": (WITHOUT["hardware"] | {"device": "../../x"}, "/device", "device name must not"),
    "empty device": (WITHOUT["hardware"] | {"device": ""}, "/device", "must not be empty"),
    "long device": (WITHOUT["hardware"] | {"device": "x" * 10000}, "/device", "a device name has at most"),
    "no devices": (WITHOUT["hardware"] | {"devices": []}, "/devices", "must be a list of 1 to 1024"),
    "too many devices": (
        WITHOUT["hardware"] | {"devices": ["VIVO NEX"] * 1025},
        "/devices",
        "must be a list of 1 to 1024",
    ),
    "devices as text": (WITHOUT["hardware"] | {"devices": "VIVO NEX"}, "/devices", "must be a list of 1 to 1024"),
    "unknown in devices": (WITHOUT["hardware"] | {"devices": ["VIVO NEX", "No"]}, "/devices/1", 'no device "No"'),
    "bad vector in devices": (WITHOUT["hardware"] | {"devices": [[2, 3, 0, 7]]}, "/devices/0/2", "cache_mb"),
    "number in devices": (WITHOUT["hardware"] | {"devices": [7]}, "/devices/0", "must be a vector of 4 numbers"),
    "on_error as null": (GOOD | {"on_error": None}, "/on_error", 'must be "null"'),
    "on_error ignore": (GOOD | {"on_error": "ignore"}, "/on_error", 'must be "null"'),
    "an array": ([GOOD], "", "must be an object, not an array"),
    "a string": ("predict", "", "must be an object, not a string"),
    "null": (None, "", "must be an object, not null"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_request_is_answered_by_pointer_and_reason(name, service):
    body, pointer, reason = WRONG[name]
    said = errors(service.post(body))
    assert list(said) == [pointer]
    assert reason in said[pointer]
    assert is_serving(service)


def test_all_wrong_fields_are_named_at_once(service):
    said = errors(service.post({"hardware": [2, 3, 1], "architectures": 5, "x": 1}))
    assert set(said) == {"/x", "/search_space", "/hardware", "/architectures"}


def test_detail_is_the_first_error_with_its_pointer(service):
    body = problem(service.post(GOOD | {"hardware": [2, 3, 1, 0]}), 422)
    assert body["detail"].startswith("/hardware/3: memory_bandwidth_gbs")


def test_long_list_of_errors_is_cut(service):
    said = errors(service.post(GOOD | {"architectures": ["999999"] * 10000}))
    assert 10 <= len(said) <= 100


def test_on_error_null_does_not_hide_other_errors(service):
    said = errors(service.post(GOOD | {"on_error": "null", "architectures": ["9"], "hardware": [0, 3, 1, 7]}))
    assert list(said) == ["/hardware/0"]


UNPARSABLE = {
    "nothing": b"",
    "a blank": b" ",
    "text": b"hello",
    "half an object": json.dumps(GOOD).encode()[:-1],
    "two objects": json.dumps(GOOD).encode() * 2,
    "a comma too many": json.dumps(GOOD).encode().replace(b"]}", b"],}"),
    "single quotes": str(GOOD).encode(),
    "NaN": b'{"search_space":"nasbench201","hardware":[NaN,3,1,7],"architectures":[]}',
    "Infinity": b'{"search_space":"nasbench201","hardware":[2,3,1,Infinity],"architectures":[]}',
    "minus Infinity": b'{"search_space":"nasbench201","hardware":[2,3,1,-Infinity],"architectures":[]}',
    "hex": b'{"search_space":"nasbench201","hardware":[0x2,3,1,7],"architectures":[]}',
    "invalid UTF-8": b'{"search_space":"nasbench201\xff","hardware":[2,3,1,7],"architectures":[]}',
    "an overlong form": b'{"search_space":"nasbench201\xc0\x80","hardware":[2,3,1,7],"architectures":[]}',
    "a lone surrogate": b'{"search_space":"\\ud800","hardware":[2,3,1,7],"architectures":[]}',
    "UTF-16": json.dumps(GOOD).encode("utf-16"),
    "NULs": b"\0" * 1000,
    "deep nesting": b"[" * 100_000,
    "deep and closed": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 50_000,
}


@pytest.mark.parametrize("name", UNPARSABLE)
def test_unparsable_body_is_400_and_says_where(name, service):
    body = problem(service.post(UNPARSABLE[name]), 400)
    assert "errors" not in body
    assert "line " in body["detail"] or "empty" in body["detail"]
    assert "-1" not in body["detail"]
    assert is_serving(service)


PARSABLE_BUT_WRONG = {
    "a number beyond doubles": (b'{"search_space":"nasbench201","hardware":[2,3,1,1e999],"architectures":[]}', "/hardware/3"),
    "a field given twice": (b'{"search_space":"fbnetv3","hardware":[2,3,1,7],"search_space":"fbnetv3","architectures":[]}', "/search_space"),
    "a NUL in a name": (b'{"search_space":"nasbench201\\u0000","hardware":[2,3,1,7],"architectures":[]}', "/search_space"),
    "a field given twice, once with escapes": (
        b'{"search_space":"fbnetv3","hardware":[2,3,1,7],"search\\u005fspace":"fbnetv3","architectures":[]}', "/search_space"),
}


@pytest.mark.parametrize("name", PARSABLE_BUT_WRONG)
def test_what_is_json_and_yet_wrong_is_422_by_pointer(name, service):
    sent, pointer = PARSABLE_BUT_WRONG[name]
    body = problem(service.post(sent), 422)
    assert [e["pointer"] for e in body["errors"]] == [pointer]


@pytest.mark.parametrize("path", ["/index.html", "/v1", "/v1/predict/", "/v1/predictx", "/V1/predict", "//v1/predict"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_unknown_path_is_404(method, path, service):
    raw = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
    received = service.exchange(raw)
    assert statuses(received) == [404]
    assert json.loads(received.split(b"\r\n\r\n", 1)[1])["instance"] == path


@pytest.mark.parametrize("path", ["/../etc/passwd", "/%2e%2e/x", "/v1/predict%00", "/\xff", "/" + "a" * 5000, "/%"])
def test_strange_path_is_404(path, service):
    raw = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode("latin-1")
    received = service.exchange(raw)
    assert statuses(received) == [404]
    json.loads(received.split(b"\r\n\r\n", 1)[1])
    assert is_serving(service)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "BREW"])
def test_wrong_method_on_predict_is_405_with_allow(method, service):
    reply = requests.request(method, service.url + "/v1/predict")
    assert reply.headers["Allow"] == "POST, OPTIONS"
    problem(reply, 405)


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_wrong_method_on_health_is_405_with_allow(method, path, service):
    reply = requests.request(method, service.url + path, data=b"x")
    assert reply.headers["Allow"] == "GET, HEAD, OPTIONS"
    problem(reply, 405, path)


@pytest.mark.parametrize("path, status", [("/healthz", 200), ("/readyz", 200), ("/nothing", 404), ("/v1/predict", 405)])
def test_head_has_the_headers_and_no_body(path, status, service):
    received = service.exchange(f"HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    headers, body = received.split(b"\r\n\r\n", 1)
    assert statuses(headers) == [status] and body == b""
    assert b"Content-Length: " in headers and b"Content-Length: 0" not in headers


def test_health_says_alive_and_ready(service):
    for path, status in (("/healthz", "alive"), ("/readyz", "ready")):
        reply = requests.get(service.url + path)
        assert (reply.status_code, reply.json()) == (200, {"status": status})
        assert reply.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "text/json", ""]
)
def test_other_content_types_are_415(kind, service):
    reply = service.post(GOOD, **{"Content-Type": kind})
    assert "application/json" in problem(reply, 415)["detail"]


@pytest.mark.parametrize(
    "method, path",
    [
        ("POST", "/v1/predict"),
        ("PUT", "/v1/devices/Never"),
        ("PUT", "/v1/devices/Never/measurements/nasbench201"),
        ("POST", "/v1/jobs"),
        ("POST", "/v1/jobs/none/cancel"),
        ("POST", "/v2/repository/models/nasbench201/load"),
    ],
)
def test_bodies_of_another_coding_are_415_whatever_they_hold(method, path, service):
    for coding in ("gzip", "br", "gzip, gzip", "deflate", "X" * 60):
        reply = requests.request(
            method, service.url + path, json=GOOD, headers={"Content-Encoding": coding}, timeout=30
        )
        assert reply.status_code == 415 and reply.headers["Accept-Encoding"] == "identity"
        assert f"Content-Encoding {coding[:40]} is not taken" in reply.text


def test_a_coding_in_a_second_header_is_found_and_none_is_none(service):
    body = json.dumps(GOOD).encode()
    for codings, status in ((("identity", "gzip"), 415), (("gzip", "identity"), 415), (("Identity", ""), 200)):
        lines = "".join(f"content-encoding: {coding}\r\n" for coding in codings)
        head = f"POST /v1/predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n{lines}\r\n"
        assert statuses(service.exchange(head.encode() + body)) == [status], codings
    assert requests.get(service.url + "/healthz", headers={"Content-Encoding": "gzip"}, timeout=30).status_code == 200


def serve(root, settings):
    make_root(root)
    (root / "own.json").write_text(settings)
    daemon = Service(root, "--config", root / "own.json")
    yield daemon
    assert daemon.stop()[0] == 0


@pytest.fixture(scope="module")
def narrow(tmp_path_factory):
    """A daemon that takes bodies of at most 2,000 bytes."""
    yield from serve(tmp_path_factory.mktemp("narrow"), '{"body_max_bytes": 2000}')


@pytest.fixture(scope="module")
def impatient(tmp_path_factory):
    """A daemon that soon gives up clients that say nothing more."""
    yield from serve(tmp_path_factory.mktemp("impatient"), '{"idle_timeout_s": 1}')


def sized(n):
    """A good body of n bytes."""
    body = json.dumps(GOOD).encode()
    return body[:-1] + b" " * (n - len(body)) + b"}"


def chunked(body, size=500):
    pieces = [body[i : i + size] for i in range(0, len(body), size)] + [b""]
    return HEAD + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + b"".join(
        b"%x\r\n%s\r\n" % (len(p), p) for p in pieces
    )  # fmt: skip


def test_body_at_the_bound_is_taken(narrow):
    assert narrow.post(sized(2000)).status_code == 200
    assert statuses(narrow.exchange(chunked(sized(2000)))) == [200]


@pytest.mark.parametrize("size", [2001, 5000, 500_000])
def test_larger_body_is_413_and_names_the_bound(size, narrow):
    body = problem(narrow.post(sized(size)), 413)
    assert "body_max_bytes, which is 2000 here" in body["detail"]
    assert is_serving(narrow)


@pytest.mark.parametrize("size", [2001, 5000, 500_000])
def test_larger_chunked_body_is_413_and_names_the_bound(size, narrow):
    received = narrow.exchange(chunked(sized(size)))
    assert statuses(received) == [413]
    assert "body_max_bytes, which is 2000 here" in json.loads(received.split(b"\r\n\r\n", 1)[1])["detail"]
    assert is_serving(narrow)


@pytest.mark.parametrize("length", [2**31, 2**40, 2**63])
def test_announced_length_alone_is_413(length, narrow):
    received = narrow.exchange(HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n{" % length)
    assert statuses(received) == [413]
    assert is_serving(narrow)


def test_endless_chunked_body_is_cut_off(narrow):
    with socket.create_connection(("127.0.0.1", narrow.port), timeout=30) as connection:
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        with pytest.raises(OSError):
            for _ in range(2000):
                connection.sendall(b"10000\r\n" + b" " * 65536 + b"\r\n")
    assert is_serving(narrow)


def test_connection_is_kept_after_an_error(service):
    bad = [b"hello", json.dumps(GOOD | {"x": 1}).encode(), b""]
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        stream = connection.makefile("rb")
        for body, status in [(bad[0], 400), (bad[1], 422), (bad[2], 400), (json.dumps(GOOD).encode(), 200)] * 2:
            connection.sendall(post_request(body))
            assert int(stream.readline().split()[1]) == status
            headers = b"".join(iter(stream.readline, b"\r\n")).lower()
            assert b"connection: close" not in headers
            stream.read(int(headers.split(b"content-length: ")[1].split()[0]))


def test_connection_is_kept_after_413_and_415_with_a_small_body(narrow):
    with requests.Session() as session:
        for _ in range(2):
            url = narrow.url + "/v1/predict"
            assert session.post(url, data=sized(9000), headers={"Content-Type": "application/json"}).status_code == 413
            assert session.post(url, data=b"x", headers={"Content-Type": "text/plain"}).status_code == 415
            assert session.post(url, json=GOOD).status_code == 200


def test_pipelined_requests_are_answered_in_order(service):
    good = json.dumps(GOOD).encode()
    health = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    received = service.exchange(post_request(good) + health + post_request(b"no") + health + post_request(good) + last)
    assert statuses(received) == [200, 200, 400, 200, 200, 404]


def test_request_in_single_bytes_is_answered(service):
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in post_request(json.dumps(GOOD).encode()):
            connection.sendall(bytes([byte]))
        assert connection.recv(20).startswith(b"HTTP/1.1 200")


def test_expect_100_continue_is_answered(service):
    body = json.dumps(GOOD).encode()
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.sendall(post_request(body, b"Expect: 100-continue")[: -len(body)])
        assert connection.recv(100).startswith(b"HTTP/1.1 100")
        connection.sendall(body)
        assert connection.recv(20).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("sent", [1, 40, 150])
def test_client_that_goes_away_in_the_middle_does_no_harm(sent, impatient):
    request = post_request(json.dumps(GOOD).encode())
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", impatient.port), timeout=30) as connection:
            connection.sendall(request[:sent])
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", impatient.port), timeout=30) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # close by reset
            connection.sendall(request[:sent])
    assert is_serving(impatient)


def test_client_that_does_not_read_its_reply_does_no_harm(impatient):
    body = json.dumps(GOOD | {"architectures": ["444244"] * 50_000}).encode()
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", impatient.port), timeout=30) as connection:
            connection.sendall(post_request(body))
    assert is_serving(impatient)


@pytest.mark.parametrize(
    "raw",
    [b"\r\n\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"GET / HTTP/9.9\r\n\r\n", b"\0" * 5000],
)
def test_what_is_not_http_ends_its_connection_and_does_no_harm(raw, impatient):
    with socket.create_connection(("127.0.0.1", impatient.port), timeout=30) as connection:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass
    assert is_serving(impatient)


def test_silent_client_is_given_up_after_the_idle_timeout(impatient):
    with socket.create_connection(("127.0.0.1", impatient.port), timeout=30) as connection:
        connection.sendall(post_request(json.dumps(GOOD).encode())[:-5])
        while connection.recv(65536):
            pass
    assert is_serving(impatient)


@pytest.mark.parametrize(
    "length, status", [(b"-1", 400), (b"abc", 400), (b"5x", 400), (b"99999999999999999999999999", 413), (b"+5", 400)]
)
def test_malformed_content_length_is_refused(length, status, service):
    received = service.exchange(HEAD + b"Connection: close\r\nContent-Length: " + length + b"\r\n\r\n{}")
    assert set(statuses(received)) == {status}  # libmicrohttpd says some of them twice
    assert is_serving(service)


def test_very_long_header_is_refused(service):
    raw = HEAD + b"X-Long: " + b"a" * 100_000 + b"\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
    for _ in range(20):  # a reset of the connection may lose the reply, but not every time
        with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
            try:
                connection.sendall(raw)
                received = connection.recv(100)
            except OSError:
                received = b""
        if received:
            break
    assert statuses(received) == [431]
    assert is_serving(service)


@pytest.mark.parametrize(
    "headers",
    [
        (b"Content-Length: 2", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: chunked", b"Content-Length: 2"),
        (b"Content-Length: 2", b"Content-Length: 3"),
        (b"Content-Length: 2", b"Content-Length: 2"),
    ],
)
def test_request_with_two_lengths_is_refused_and_its_connection_closed(headers, service):
    smuggled = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    raw = HEAD + b"\r\n".join(headers) + b"\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + smuggled
    received = service.exchange(raw)
    assert statuses(received) == [400]
    assert b"Connection: close" in received and b"gives its length once" in received
    assert is_serving(service)


def mutated(generator):
    """A valid body, spoiled at one to four places."""
    body = bytearray(json.dumps(GOOD | {"architectures": ["444244", [1, 2, 3, 4, 5, 1], CELL]}).encode())
    for _ in range(generator.randint(1, 4)):
        at = generator.randrange(len(body))
        kind = generator.randrange(5)
        if kind == 0:
            body[at] = generator.randrange(256)
        elif kind == 1:
            del body[at : at + generator.randint(1, 10)]
        elif kind == 2:
            body[at:at] = generator.choice([b"[", b"{", b"9" * 30, b"-", b"\\u0000", b"null", b'"', b"1e400", b"\0"])
        elif kind == 3:
            body[at:at] = body[at : at + generator.randint(1, 40)]
        else:
            body[at] ^= 1 << generator.randrange(8)
        if not body:
            break
    return bytes(body)


def test_mutated_bodies_never_fail_the_service(service):
    generator = random.Random(11)
    seen = set()
    with requests.Session() as session:
        for _ in range(400):
            body = mutated(generator)
            reply = session.post(
                service.url + "/v1/predict", data=body, headers={"Content-Type": "application/json"}, timeout=30
            )
            assert reply.status_code in (200, 400, 422), body
            seen.add(reply.status_code)
            if reply.status_code != 200:
                problem(reply, reply.status_code)
    assert seen == {200, 400, 422}
    assert is_serving(service)


def test_what_all_connections_hold_together_has_a_bound(root, start, tmp_path):
    """Bodies that are sent and never ended fill the budget; others are told so, and then served again."""
    settings = tmp_path / "own.json"
    settings.write_text(json.dumps({"transfer_max_bytes": 1 << 20, "idle_timeout_s": 4}))
    daemon = start(root, "--config", settings)
    body = json.dumps({"search_space": "nasbench201", "hardware": [2, 3, 1, 7.46], "architectures": ["444244"] * 2000})
    head = f"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: {1 << 20}\r\n\r\n".encode()
    hoarders = []
    for _ in range(8):
        hoarder = socket.create_connection(("127.0.0.1", daemon.port))
        hoarder.sendall(head + b" " * 200_000)
        hoarders.append(hoarder)
    deadline = time.monotonic() + 20
    while requests.post(f"{daemon.url}/v1/predict", data=body).status_code != 503:
        assert time.monotonic() < deadline, "the budget never ran out"
    answer = requests.post(f"{daemon.url}/v1/predict", data=body)
    assert answer.status_code == 503 and "transfer_max_bytes" in answer.json()["detail"]
    assert int(answer.headers["Retry-After"]) >= 1
    assert requests.get(f"{daemon.url}/healthz").status_code == 200
    for hoarder in hoarders:
        hoarder.close()
    deadline = time.monotonic() + 20
    while requests.post(f"{daemon.url}/v1/predict", data=body).status_code != 200:
        assert time.monotonic() < deadline, "the budget was not given back"


@pytest.mark.parametrize(
    "header",
    [
        b"Transfer-Encoding: gzip",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: identity",
        b"Content-Length : 2",
        b"X Y: 1",
    ],
)
def test_framing_that_is_not_understood_is_refused_and_the_connection_closed(header, service):
    received = service.exchange(HEAD + header + b"\r\n\r\n{}")
    assert statuses(received) == [400], "what follows is not taken for a request"
    assert b"connection: close" in received.lower() and b"chunked" in received
    assert is_serving(service)


def test_chunked_is_understood_in_any_case(service):
    body = json.dumps(GOOD).encode()
    chunk = b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"
    received = service.exchange(HEAD + b"Transfer-Encoding: Chunked\r\nConnection: close\r\n\r\n" + chunk)
    assert statuses(received) == [200]
