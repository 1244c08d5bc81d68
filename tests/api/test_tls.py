"""HTTPS: what is offered and refused, certificates that are reloaded, and clients that are slow at it."""

import http.client
import json
import os
import random
import re
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest
from conftest import BINARY, ROOT

GOOD = {"search_space": "nasbench201", "hardware": [2.0, 3, 1, 7.46], "architectures": ["444244"]}


# ---- certificates ----------------------------------------------------------------------------------------------


def openssl(*arguments, cwd):
    subprocess.run(["openssl", *map(str, arguments)], cwd=cwd, check=True, capture_output=True, timeout=60)


def make_certificate(path, name, kind="ec", days=30):
    """<name>.pem, signed by itself for localhost, and its key <name>.key."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if kind == "ec" else ["-newkey", "rsa:2048"]
    openssl("req", "-x509", *key, "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", days,
            "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", cwd=path)  # fmt: skip
    (path / f"{name}.key").chmod(0o600)


def make_chain(path):
    """ca.pem signs middle.pem signs leaf.pem."""
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", 30,
            "-subj", "/CN=ca", cwd=path)  # fmt: skip
    for name, issuer, extension in (("middle", "ca", "basicConstraints=critical,CA:TRUE"),
                                    ("leaf", "middle", "subjectAltName=DNS:localhost,IP:127.0.0.1")):  # fmt: skip
        (path / "extension").write_text(extension + "\n")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr",
                "-subj", f"/CN={name}", cwd=path)  # fmt: skip
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{issuer}.pem", "-CAkey", f"{issuer}.key",
                "-CAcreateserial", "-days", 30, "-extfile", "extension", "-out", f"{name}.pem", cwd=path)  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("certificates")
    make_certificate(path, "first")
    make_certificate(path, "second", "rsa")
    make_certificate(path, "near", days=3)
    openssl("req", "-new", "-key", "near.key", "-subj", "/CN=old", "-out", "old.csr", cwd=path)
    openssl("x509", "-req", "-in", "old.csr", "-signkey", "near.key", "-days", "-1", "-out", "old.pem", cwd=path)
    make_chain(path)
    return path


def install(root, store, certificate, key):
    for source, target in ((certificate, "cert.pem"), (key, "key.pem")):
        (root / target).write_bytes((store / source).read_bytes())
    (root / "key.pem").chmod(0o600)


def configure(root, **settings):
    settings = {"tls_certificate_file": "cert.pem", "tls_key_file": "key.pem"} | settings
    (root / "own.json").write_text(json.dumps(settings))
    return ("--config", root / "own.json")


@pytest.fixture
def secure(root, store, start):
    install(root, store, "first.pem", "first.key")
    return start(root, *configure(root))


def trusting(store, name="first.pem"):
    return ssl.create_default_context(cafile=str(store / name))


def connect(daemon, context):
    return http.client.HTTPSConnection("localhost", daemon.port, context=context, timeout=30)


def predict(daemon, context, body=GOOD):
    connection = connect(daemon, context)
    try:
        connection.request("POST", "/v1/predict", json.dumps(body), {"Content-Type": "application/json"})
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())
    finally:
        connection.close()


def presented(daemon):
    """The common name of the certificate that a new connection sees."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=30) as raw:
        with context.wrap_socket(raw) as connection:
            der = connection.getpeercert(binary_form=True)
    done = subprocess.run(["openssl", "x509", "-inform", "DER", "-noout", "-subject"], input=der, capture_output=True)
    return done.stdout.decode().split("=")[-1].strip()


def hang_up(daemon, settled):
    daemon.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 20
    while not settled():
        assert time.monotonic() < deadline, "the reload did not take effect"


def valid_until(certificate):
    done = subprocess.run(["openssl", "x509", "-in", certificate, "-noout", "-enddate"], capture_output=True, text=True)
    return ssl.cert_time_to_seconds(done.stdout.strip().split("=")[1])


def expiry(daemon, connection):
    """What /metrics says of the certificate."""
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    return float(re.search(r"^dgld_tls_certificate_expiry_timestamp_seconds (\S+)$", text, re.M)[1])


def messages(daemon):
    return [line["message"] for line in daemon.stop()[1]]


def test_service_speaks_https_and_says_so(secure, store):
    assert secure.url.startswith("https://")
    status, reply = predict(secure, trusting(store))
    assert status == 200 and len(reply["latency_ms"]) == 1
    log = messages(secure)
    assert any(re.search(r"the certificate in .*cert\.pem is valid until 20\d\d-", m) for m in log)
    assert f"listening on https://127.0.0.1:{secure.port}" in log


def test_large_bodies_and_replies_pass_whole(secure, store):
    body = GOOD | {"architectures": ["444244"] * 300_000}
    for _ in range(3):
        status, reply = predict(secure, trusting(store), body)
        assert status == 200 and len(reply["latency_ms"]) == 300_000


def test_connection_is_kept_for_many_requests(secure, store):
    connection = connect(secure, trusting(store))
    for i in range(100):
        connection.request("POST", "/v1/predict", json.dumps(GOOD), {"Content-Type": "application/json"})
        reply = connection.getresponse()
        assert reply.status == 200 and len(reply.read()) > 100
    connection.close()


def test_curl_talks_to_it(secure, store):
    done = subprocess.run(
        ["curl", "--silent", "--show-error", "--cacert", store / "first.pem", "--json", json.dumps(GOOD),
         f"https://localhost:{secure.port}/v1/predict"], capture_output=True, text=True, timeout=60)  # fmt: skip
    assert done.returncode == 0 and len(json.loads(done.stdout)["latency_ms"]) == 1


def test_curl_does_not_without_the_certificate(secure):
    done = subprocess.run(["curl", "--silent", f"https://localhost:{secure.port}/healthz"], capture_output=True, timeout=60)
    assert done.returncode == 60  # the peer's certificate cannot be authenticated


def s_client(daemon, *arguments):
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{daemon.port}", *arguments]
    done = subprocess.run(command, input=b"Q\n", capture_output=True, timeout=60)
    return done.returncode, (done.stdout + done.stderr).decode(errors="replace")


@pytest.mark.parametrize("flag, name", [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")])
def test_current_versions_are_offered(flag, name, secure):
    code, said = s_client(secure, flag)
    assert code == 0 and re.search(rf"New, {name}, Cipher is \S*(GCM|CHACHA20|CCM)", said)


@pytest.mark.parametrize("arguments", [
    ("-tls1", "-cipher", "ALL:@SECLEVEL=0"),
    ("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"),
    ("-tls1_2", "-cipher", "AES128-GCM-SHA256"),  # no forward secrecy
    ("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"),  # CBC
    ("-tls1_2", "-cipher", "aNULL:@SECLEVEL=0"),
])  # fmt: skip
def test_old_versions_and_weak_ciphers_are_refused(arguments, secure, store):
    code, said = s_client(secure, *arguments)
    assert code != 0 and "Cipher is (NONE)" in said
    assert predict(secure, trusting(store))[0] == 200


@pytest.mark.parametrize("others", [("middle",), ("middle", "ca"), ("ca", "middle")], ids="-".join)
def test_chain_is_presented_whole(others, root, store, start):
    """Clients that trust the root alone are content, in whatever order the file has the leaf's issuers."""
    install(root, store, "leaf.pem", "leaf.key")
    (root / "cert.pem").write_text("".join((store / f"{name}.pem").read_text() for name in ("leaf", *others)))
    daemon = start(root, *configure(root))
    assert predict(daemon, trusting(store, "ca.pem"))[0] == 200


# ---- reload ----------------------------------------------------------------------------------------------------


def test_certificate_is_read_again_on_sighup_and_open_connections_stay(root, store, secure):
    kept = connect(secure, trusting(store))
    kept.request("GET", "/healthz")
    assert kept.getresponse().read() and presented(secure) == "first"
    install(root, store, "second.pem", "second.key")
    assert expiry(secure, kept) == valid_until(store / "first.pem")
    hang_up(secure, lambda: presented(secure) == "second")
    assert expiry(secure, kept) == valid_until(store / "second.pem")
    kept.sock.settimeout(30)
    assert kept.sock is not None
    kept.request("GET", "/healthz")
    assert kept.getresponse().status == 200
    kept.close()
    assert predict(secure, trusting(store, "second.pem"))[0] == 200


@pytest.mark.parametrize("certificate, key, reason", [
    ("second.pem", "first.key", "is not the private key of the certificate in"),
    ("first.key", "first.key", "this is no chain of certificates in PEM"),
    ("first.pem", "first.pem", "this is no private key in PEM"),
])  # fmt: skip
def test_wrong_files_leave_the_old_certificate_and_are_told(certificate, key, reason, root, store, secure):
    install(root, store, certificate, key)
    secure.process.send_signal(signal.SIGHUP)
    for _ in range(5):
        assert presented(secure) == "first" and predict(secure, trusting(store))[0] == 200
    told = [m for m in messages(secure) if m.startswith("the certificate stays as it was: ")]
    assert len(told) == 1 and reason in told[0]


def test_no_connection_fails_while_certificates_are_swapped(root, store, secure):
    both = ssl.create_default_context(cadata=(store / "first.pem").read_text() + (store / "second.pem").read_text())
    is_done = threading.Event()
    statuses, failures = [], []

    def ask():
        while not is_done.is_set():
            try:
                statuses.append(predict(secure, both)[0])
            except OSError as failure:
                failures.append(failure)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for i in range(40):  # each file is replaced whole, but for moments they do not belong together
        install(root, store, *(("second.pem", "second.key") if i % 2 else ("first.pem", "first.key")))
        secure.process.send_signal(signal.SIGHUP)
        n = len(statuses)
        while len(statuses) < n + 2 and not failures:
            time.sleep(0.001)
    is_done.set()
    for thread in threads:
        thread.join()
    assert failures == [] and set(statuses) == {200}


# ---- what is told, and what sessions may do --------------------------------------------------------------------


def headers_of(daemon, context, path="/healthz", **headers):
    connection = connect(daemon, context)
    try:
        connection.request("GET", path, headers=headers)
        reply = connection.getresponse()
        reply.read()
        return {name.lower(): value for name, value in reply.getheaders()}
    finally:
        connection.close()


def test_browsers_are_told_to_stay_with_https_for_as_long_as_is_set(root, store, secure, start):
    assert headers_of(secure, trusting(store))["strict-transport-security"] == "max-age=86400"
    assert headers_of(secure, trusting(store), "/nothing")["strict-transport-security"] == "max-age=86400"
    assert "strict-transport-security" not in headers_of(start(root, *configure(root, hsts_max_age_s=0)), trusting(store))


def test_what_is_read_with_a_token_is_kept_by_nobody_else(root, store, start):
    install(root, store, "first.pem", "first.key")
    made = subprocess.run([BINARY, "token", "--name", "a", "--role", "predict", "--json"], capture_output=True, text=True)
    token = json.loads(made.stdout)
    (root / "tokens.json").write_text(json.dumps({"tokens": [token["entry"]]}))
    daemon = start(root, *configure(root, tokens_file="tokens.json"))
    bearer = {"Authorization": f"Bearer {token['token']}"}
    for path, headers, said in (("/v1/devices", bearer, "private, no-cache"), ("/v1/devices", {}, "private, no-cache"),
                                ("/nothing", {}, "private, no-cache"), ("/healthz", {}, "no-cache")):  # fmt: skip
        assert headers_of(daemon, trusting(store), path, **headers)["cache-control"] == said


def test_client_that_asks_for_another_handshake_is_left(secure, store):
    """Renegotiation is costly and was the way of several attacks; TLS 1.3 has none."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{secure.port}", "-tls1_2"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as client:
        client.stdin.write(b"R\n")
        client.stdin.flush()
        said = client.stdout.read()  # until the service has closed
        client.stdin.close()
    assert b"RENEGOTIATING" in said and b"eof while reading" in said
    assert predict(secure, trusting(store))[0] == 200


def test_no_session_is_resumed(secure, tmp_path):
    """Without tickets and a cache there is no key that opens what was said in earlier sessions."""
    for version in ("-tls1_2", "-tls1_3"):
        kept = tmp_path / f"session{version}"
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{secure.port}", version, "-ign_eof"]
        request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        first = subprocess.run([*command, "-sess_out", str(kept)], input=request, capture_output=True, timeout=60)
        assert b"HTTP/1.1 200 OK" in first.stdout and b"TLS session ticket:" not in first.stdout
        assert kept.exists() == (version == "-tls1_2")
        if kept.exists():
            again = subprocess.run([*command, "-sess_in", str(kept)], input=request, capture_output=True, timeout=60)
            assert b"HTTP/1.1 200 OK" in again.stdout and b"\nReused, " not in again.stdout


def test_client_that_offers_http_2_gets_http_1(secure, store):
    context = trusting(store)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with socket.create_connection(("127.0.0.1", secure.port), timeout=30) as raw:
        with context.wrap_socket(raw, server_hostname="localhost") as connection:
            assert connection.selected_alpn_protocol() in (None, "http/1.1")
            assert connection.compression() is None
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("group, is_offered", [
    ("X25519", True), ("P-256", True), ("P-384", True), ("ffdhe2048", False), ("ffdhe8192", False),
])  # fmt: skip
def test_key_exchange_is_by_curves_of_today(group, is_offered, secure):
    code, said = s_client(secure, "-tls1_3", "-groups", group)
    assert (code == 0) == is_offered and ("no peer certificate available" in said) != is_offered, said


# ---- start -----------------------------------------------------------------------------------------------------


def refused_start(root, *arguments):
    command = [str(BINARY), "serve", "--root", str(root), "--port", "0", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=ROOT)
    assert done.returncode == 1, done
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize("certificate, key, reason", [
    ("first.pem", "second.key", "key.pem is not the private key of the certificate in"),
    ("first.key", "first.key", "cert.pem: this is no chain of certificates in PEM"),
    ("first.pem", "first.pem", "key.pem: this is no private key in PEM"),
])  # fmt: skip
def test_start_is_refused_with_wrong_files(certificate, key, reason, root, store):
    install(root, store, certificate, key)
    assert reason in refused_start(root, *configure(root))


def test_start_is_refused_without_the_files(root, store):
    assert "cert.pem" in refused_start(root, *configure(root))
    install(root, store, "first.pem", "first.key")
    (root / "key.pem").unlink()
    assert "key.pem" in refused_start(root, *configure(root))


def test_start_is_refused_with_an_encrypted_key(root, store):
    install(root, store, "second.pem", "second.key")
    openssl("pkcs8", "-topk8", "-in", store / "second.key", "-out", root / "key.pem", "-passout", "pass:x", cwd=root)
    assert "the private key is encrypted" in refused_start(root, *configure(root))


@pytest.mark.parametrize("name, level, said", [
    ("old", "warning", "has expired: it was valid until 20"),
    ("near", "warning", "is valid until 20"),
    ("first", "info", "is valid until 20"),
])  # fmt: skip
def test_expiry_is_told_and_warned_of(name, level, said, root, store, start):
    install(root, store, f"{name}.pem", "first.key" if name == "first" else "near.key")
    log = start(root, *configure(root)).stop()[1]
    assert [line["level"] for line in log if said in line["message"]] == [level]


def test_key_that_everybody_can_read_is_warned_of(root, store, start):
    install(root, store, "first.pem", "first.key")
    (root / "key.pem").chmod(0o644)
    assert any("key.pem can be read by every user" in m for m in messages(start(root, *configure(root))))


def test_settings_of_the_readme_start_the_service(root, store, start):
    shown = re.findall(r"```json\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    settings = json.loads(next(block for block in shown if "tls_key_file" in block))
    tokens = next(block for block in shown if '"sha256"' in block)
    (root / "tls").mkdir()
    (root / settings["tokens_file"]).write_text(tokens)
    (root / settings["tls_certificate_file"]).write_bytes((store / "first.pem").read_bytes())
    (root / settings["tls_key_file"]).write_bytes((store / "first.key").read_bytes())
    daemon = start(root, *configure(root, **settings))
    assert predict(daemon, trusting(store))[0] == 401


# ---- hostile ---------------------------------------------------------------------------------------------------


NO_HANDSHAKE = {
    "plain HTTP": b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "a record too long": b"\x16\x03\x01\xff\xff" + b"\0" * 70_000,
    "a hello too short": b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
    "SSL 2": b"\x80\x2e\x01\x00\x02" + b"\0" * 100,
    "NULs": b"\0" * 10_000,
    "noise": random.Random(3).randbytes(5000),
}


@pytest.mark.parametrize("name", NO_HANDSHAKE)
def test_what_is_no_handshake_ends_its_connection(name, secure, store):
    raw = NO_HANDSHAKE[name]
    for is_half_closed in (False, True):
        with socket.create_connection(("127.0.0.1", secure.port), timeout=30) as connection:
            try:
                connection.sendall(raw)
                if is_half_closed:
                    connection.shutdown(socket.SHUT_WR)
                received = b"".join(iter(lambda: connection.recv(65536), b""))
            except OSError:
                received = b""
        assert b"HTTP/1" not in received
    assert predict(secure, trusting(store))[0] == 200


def test_slow_handshakes_do_not_keep_others_out(root, store, start):
    """1,000 clients that send half a handshake; they are closed when the time for headers is over."""
    install(root, store, "first.pem", "first.key")
    daemon = start(root, *configure(root, header_timeout_s=3, idle_timeout_s=600))
    hello = client_hello()
    slow = []
    for i in range(1000):
        connection = socket.create_connection(("127.0.0.1", daemon.port), timeout=60, source_address=("127.0.0.2", 0))
        connection.sendall(hello[: 1 + i % (len(hello) - 1)])
        slow.append(connection)
    for _ in range(10):
        assert predict(daemon, trusting(store))[0] == 200
    for connection in slow:
        try:
            while connection.recv(65536):  # until it is closed
                pass
        except ConnectionError:
            pass
        connection.close()
    assert predict(daemon, trusting(store))[0] == 200


def client_hello():
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


@pytest.mark.cost
def test_handshakes_that_break_off_leave_nothing(secure, store):
    """Descriptors and memory are as before after some thousands of broken handshakes."""

    def resident():
        status = open(f"/proc/{secure.process.pid}/status").read()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1])

    hello = client_hello()

    def break_off(n):
        for i in range(n):
            source = (f"127.0.0.{2 + i // 1000}", 0)  # those before may be open still, and have a bound
            with socket.create_connection(("127.0.0.1", secure.port), timeout=30, source_address=source) as connection:
                connection.sendall(hello[: (100, 1000)[i % 2]])

    break_off(3000)
    before = resident()
    for _ in range(6):  # a leak of a session's 10 KB adds 30 MB each time; what the allocator keeps goes up and down
        break_off(3000)
        assert predict(secure, trusting(store))[0] == 200
        time.sleep(1)
        if resident() < before + 16384:
            break
    assert resident() < before + 16384, (before, resident())
    deadline = time.monotonic() + 20
    while len(os.listdir(f"/proc/{secure.process.pid}/fd")) > 60:
        assert time.monotonic() < deadline, "connections are left open"
        time.sleep(0.05)
