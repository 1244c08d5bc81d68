"""The service behind nginx, which keeps its connections to it: what passes comes out as it went in, and the service never
answers more requests than the proxy has sent."""

import json
import re
import shutil
import socket
import subprocess
import time

import pytest
import requests
import test_http_conformance as conformance
from conftest import ROOT, Service, make_root

NGINX = ROOT / "build" / "tools" / "usr" / "sbin" / "nginx"
GOOD = {"search_space": "nasbench201", "hardware": [2.0, 3, 1, 7.46], "architectures": ["444244"]}
# As deploying people write it: HTTP/1.1 to a service whose connections are kept. The second server passes bodies on as
# they come, both ways.
SETTINGS = """
daemon off;
user root;
pid %(root)s/pid;
error_log %(root)s/error.log;
events { worker_connections 512; }
http {
    log_format requests '$request_method|$http_x_request_id|$upstream_status';
    access_log %(root)s/access.log requests;
    client_body_temp_path %(root)s/body;
    proxy_temp_path %(root)s/proxy;
    fastcgi_temp_path %(root)s/fastcgi;
    uwsgi_temp_path %(root)s/uwsgi;
    scgi_temp_path %(root)s/scgi;
    client_max_body_size 0;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $http_host;
    proxy_next_upstream off;
    upstream dgld { server 127.0.0.1:%(service)d; keepalive 4; }
    server { listen 127.0.0.1:%(buffered)d; location / { proxy_pass http://dgld; } }
    server {
        listen 127.0.0.1:%(direct)d;
        location / { proxy_pass http://dgld; proxy_buffering off; proxy_request_buffering off; }
    }
}
"""


def free_ports(n):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Proxy:
    """nginx in front of a service; `ports` are those of its servers."""

    def __init__(self, root, service):
        self.root, self.ports = root, dict(zip(("buffered", "direct"), free_ports(2), strict=True))
        (root / "nginx.conf").write_text(SETTINGS % (self.ports | {"root": root, "service": service.port}))
        program = NGINX if NGINX.exists() else shutil.which("nginx", path="/usr/sbin:/usr/bin")
        assert program, "deploy/install-deps.sh tools brings nginx"
        self.process = subprocess.Popen([program, "-p", root, "-e", root / "error.log", "-c", root / "nginx.conf"])
        deadline = time.monotonic() + 20
        for port in self.ports.values():
            while socket.socket().connect_ex(("127.0.0.1", port)) != 0:
                assert time.monotonic() < deadline and self.process.poll() is None, "nginx did not start"
                time.sleep(0.01)

    def n_sent(self):
        """Requests that were passed on and answered, by what nginx has logged."""
        lines = (self.root / "access.log").read_text().splitlines()
        return sum(line.rsplit("|", 1)[1] not in ("-", "502") for line in lines)

    def stop(self):
        self.process.terminate()
        assert self.process.wait(20) == 0


@pytest.fixture(scope="module")
def behind(tmp_path_factory):
    """A service with a proxy; its `port` is replaced by the proxy's in what a test makes of it."""
    root = tmp_path_factory.mktemp("behind")
    make_root(root)
    shutil.copy(ROOT / "result" / "nasbench201" / "accuracymodel.safetensors", root / "result" / "nasbench201")
    service = Service(root)
    service.proxy = Proxy(tmp_path_factory.mktemp("nginx"), service)
    yield service
    service.proxy.stop()
    assert service.stop()[0] == 0


@pytest.fixture(params=["buffered", "direct"])
def front(request, behind):
    """The address of one of the proxy's servers."""
    return f"http://127.0.0.1:{behind.proxy.ports[request.param]}"


def n_answered(service):
    """Requests that the service has answered, without those that ask for this."""
    text = requests.get(service.url + "/metrics", timeout=30).text
    return sum(float(value) for value in re.findall(r'^dgld_http_requests_total\{(?!.*"/metrics").*\} (\S+)$', text, re.M))


def in_chunks(body):
    yield from (body[i : i + 1000] for i in range(0, len(body), 1000))


BODY = json.dumps(GOOD).encode()
LARGE = json.dumps(GOOD | {"architectures": ["444244"] * 300_000}).encode()
JSON = {"Content-Type": "application/json"}
PASSED = {
    "GET": ("GET", "/healthz", {}, None),
    "GET that is not there": ("GET", "/nothing", {}, None),
    "GET with a place": ("GET", "/v1/devices/VIVO%20NEX", {}, None),
    "HEAD": ("HEAD", "/v1/devices", {}, None),
    "HEAD that is not there": ("HEAD", "/nothing", {}, None),
    "HEAD of a file": ("HEAD", "/v1/results/nasbench201/pretrainmodel.safetensors", {}, None),
    "OPTIONS": ("OPTIONS", "/v1/devices", {}, None),
    "a method that it does not take": ("PATCH", "/v1/devices", JSON, b"{}"),
    "a body": ("POST", "/v1/predict", JSON, BODY),
    "a body in chunks": ("POST", "/v1/predict", JSON, "chunks"),
    "a body of megabytes": ("POST", "/v1/predict", JSON, LARGE),
    "a wrong body": ("POST", "/v1/predict", JSON, b"no"),
    "a body of another type": ("POST", "/v1/predict", {"Content-Type": "text/plain"}, b"no"),
    "a body that is expected": ("POST", "/v1/predict", JSON | {"Expect": "100-continue"}, BODY),
    "DELETE": ("DELETE", "/v1/devices/nobody", {}, None),
    "DELETE with a body": ("DELETE", "/v1/devices/nobody", JSON, b"{}"),
    "a file": ("GET", "/v1/results/nasbench201/pretrainmodel.safetensors", {}, None),
    "a part of it": ("GET", "/v1/results/nasbench201/pretrainmodel.safetensors", {"Range": "bytes=100-199"}, None),
    "what is known": ("GET", "/docs", {"If-None-Match": "*"}, None),
    "what is compressed": ("GET", "/metrics", {"Accept-Encoding": "gzip"}, None),
}
# the proxy's own, and what differs from request to request
OWN = {"Date", "X-Request-Id", "Connection", "Server", "Keep-Alive", "Transfer-Encoding"}


@pytest.mark.parametrize("name", PASSED)
def test_what_passes_through_comes_out_the_same(name, front, behind):
    method, path, headers, body = PASSED[name]
    found = []
    for url in (behind.url, front, front):
        sent = in_chunks(BODY) if body == "chunks" else body
        reply = requests.request(method, url + path, headers={"Accept-Encoding": "identity"} | headers, data=sent, timeout=60)
        is_counting = path == "/metrics"
        kept = {n: v for n, v in reply.headers.items() if n not in OWN and not (is_counting and n == "Content-Length")}
        found.append((reply.status_code, kept, None if is_counting else reply.content))
    assert found[1] == found[0] and found[2] == found[0]


def test_connections_are_kept_through_all_kinds_of_requests(front, behind):
    with requests.Session() as session:
        for _ in range(3):
            for method, path, headers, body in PASSED.values():
                sent = in_chunks(BODY) if body == "chunks" else body
                reply = session.request(method, front + path, headers=headers, data=sent, timeout=60)
                assert reply.status_code < 500
    text = requests.get(behind.url + "/metrics", timeout=30).text
    assert float(re.search(r"^dgld_http_connections (\S+)$", text, re.M)[1]) > 1, "one is that of this question"


def test_a_body_that_is_too_large_is_refused_through_the_proxy(front):
    reply = requests.post(front + "/v1/predict", data=b" " * (33 << 20), headers=JSON, timeout=60)
    assert reply.status_code in (413, 502), "the proxy may find the connection closed before it has sent all"
    assert requests.post(front + "/v1/predict", json=GOOD, timeout=30).status_code == 200


def test_events_come_through_and_their_head_leaves_the_connection_well(behind):
    url = f"http://127.0.0.1:{behind.proxy.ports['direct']}"
    job = {"kind": "nas", "search_space": "nasbench201", "params": {"device": "VIVO NEX", "latency_constraint_ms": 4000}}
    id = requests.post(url + "/v1/jobs", json=job, timeout=30).json()["id"]
    with requests.get(f"{url}/v1/jobs/{id}/events", stream=True, timeout=60) as stream:
        text = "".join(line + "\n" for line in stream.iter_lines(decode_unicode=True))
    assert '"state":"succeeded"' in text.replace(" ", "")
    for _ in range(5):
        head = requests.head(f"{url}/v1/jobs/{id}/events", timeout=30)
        assert (head.status_code, head.headers["Content-Type"]) == (200, "text/event-stream")
        assert requests.get(url + "/healthz", timeout=30).json() == {"status": "alive"}


@pytest.mark.parametrize("server", ["buffered", "direct"])
def test_no_shape_makes_more_requests_than_the_proxy_has_sent(server, behind):
    """Nor does one request get another's answer."""

    class Front:
        port = behind.proxy.ports[server]

    answered, sent = n_answered(behind), behind.proxy.n_sent()
    shapes = list(conformance.REFUSED.values()) + [raw for raw, _, _ in conformance.TAKEN.values()]
    for raw in shapes:
        received, _ = conformance.exchange(Front, raw + conformance.NEXT)
        for head in re.findall(rb"HTTP/1\.1 \d+ .*?\r\n\r\n", received, re.S):
            assert head.count(b"X-Request-Id: ") <= 1
    deadline = time.monotonic() + 10  # lines of the log come after the replies
    while n_answered(behind) - answered > behind.proxy.n_sent() - sent:
        assert time.monotonic() < deadline, "the service has answered what the proxy did not send"
        time.sleep(0.05)
    assert behind.proxy.n_sent() - sent > 100, "many did go through"
    assert requests.get(f"http://127.0.0.1:{Front.port}/healthz", timeout=30).json() == {"status": "alive"}
