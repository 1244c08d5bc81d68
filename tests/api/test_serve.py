"""The life of the service: start, settings, stop."""

import json
import os
import signal
import socket
import subprocess
import threading
import time

import pytest
import requests
from conftest import BINARY, ROOT, Service, refused, run

GOOD = {"search_space": "nasbench201", "hardware": [2.0, 3, 1, 7.46], "architectures": ["444244"]}
LARGE = GOOD | {"architectures": ["444244"] * 400_000}


def messages(log):
    return [entry["message"] for entry in log]


def is_listening(daemon):
    try:
        socket.create_connection(("127.0.0.1", daemon.port), timeout=5).close()
        return True
    except OSError:
        return False


def wait_until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.005)


def half_sent(daemon, body):
    """A connection that has sent all of a request but its last byte, which the service waits for."""
    connection = socket.create_connection(("127.0.0.1", daemon.port), timeout=60)
    head = b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
    connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body))
    assert connection.recv(100).startswith(b"HTTP/1.1 100")
    connection.sendall(body[:-1])
    return connection


def read_reply(connection):
    received = b""
    while piece := connection.recv(1 << 20):
        received += piece
    head, body = received.split(b"\r\n\r\n", 1)
    return int(head.split()[1]), head, body


def test_service_logs_json_lines_and_says_what_it_serves(start, root):
    daemon = start(root)
    code, log = daemon.stop()
    assert code == 0
    assert all(set(entry) == {"time", "level", "message"} for entry in log)
    assert [m.split(" with ")[0] for m in messages(log)[:2]] == ["serving nasbench201", "serving fbnetv3"]
    assert messages(log)[2] == f"listening on http://127.0.0.1:{daemon.port}"
    assert messages(log)[-2:] == ["SIGTERM: stopping", "stopped"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_service_well(number, start, root):
    daemon = start(root)
    assert daemon.post(GOOD).status_code == 200
    code, log = daemon.stop(number)
    assert code == 0
    assert messages(log)[-2:] == [f"{number.name}: stopping", "stopped"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_request_in_flight_is_answered_after_the_signal(number, start, root):
    daemon = start(root)
    body = json.dumps(GOOD).encode()
    with half_sent(daemon, body) as connection:
        daemon.process.send_signal(number)
        wait_until(lambda: not is_listening(daemon))
        connection.sendall(body[-1:])
        status, head, reply = read_reply(connection)
    assert (status, len(json.loads(reply)["latency_ms"])) == (200, 1)
    assert b"connection: close" in head.lower()
    assert daemon.process.wait(timeout=30) == 0


def test_large_batch_in_flight_is_answered_whole(start, root):
    daemon = start(root)
    body = json.dumps(LARGE).encode()
    with half_sent(daemon, body) as connection:
        connection.sendall(body[-1:])
        daemon.process.send_signal(signal.SIGTERM)
        status, _, reply = read_reply(connection)
    assert (status, len(json.loads(reply)["latency_ms"])) == (200, 400_000)
    assert daemon.process.wait(timeout=30) == 0


def test_idle_connections_do_not_hold_up_the_stop(start, root):
    daemon = start(root)
    idle = [socket.create_connection(("127.0.0.1", daemon.port)) for _ in range(20)]
    with requests.Session() as session:
        session.get(daemon.url + "/healthz")
        code, log = daemon.stop()
    assert code == 0 and not any("in flight" in m for m in messages(log))
    for connection in idle:
        connection.close()


def test_service_is_not_ready_while_it_stops(start, root):
    daemon = start(root)
    body = json.dumps(GOOD).encode()
    health = socket.create_connection(("127.0.0.1", daemon.port), timeout=30)
    health.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert health.recv(1000).startswith(b"HTTP/1.1 200")
    with half_sent(daemon, body) as connection:
        daemon.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not is_listening(daemon))
        health.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
        status, _, reply = read_reply(health)
        connection.sendall(body[-1:])
        read_reply(connection)
    health.close()
    assert status == 503 and json.loads(reply)["detail"] == "the service is stopping"
    assert daemon.process.wait(timeout=30) == 0


def test_many_signals_end_the_service_well(start, root):
    (root / "own.json").write_text('{"drain_timeout_ms": 200}')
    daemon = start(root, "--config", root / "own.json")
    with half_sent(daemon, json.dumps(LARGE).encode()):
        for _ in range(10):
            daemon.process.send_signal(signal.SIGTERM)
    assert daemon.process.wait(timeout=30) == 0


def test_second_signal_stops_without_waiting(start, root):
    daemon = start(root)
    with half_sent(daemon, json.dumps(GOOD).encode()):
        daemon.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not is_listening(daemon))
        assert daemon.process.poll() is None
        code, log = daemon.stop(signal.SIGTERM)
    assert code == 0
    assert "a second signal: stopping now" in messages(log)


def test_request_that_never_arrives_is_given_up_after_drain_timeout(start, root):
    (root / "own.json").write_text('{"drain_timeout_ms": 100}')
    daemon = start(root, "--config", root / "own.json")
    with half_sent(daemon, json.dumps(GOOD).encode()):
        code, log = daemon.stop()
    assert code == 0
    assert "1 requests are still in flight after drain_timeout_ms; stopping" in messages(log)


def test_killed_service_starts_again_on_its_port(start, root):
    daemon = start(root)
    before = daemon.post(GOOD).json()
    with half_sent(daemon, json.dumps(GOOD).encode()):
        daemon.process.kill()
        assert daemon.process.wait(timeout=30) == -signal.SIGKILL
    again = start(root, "--port", daemon.port)
    assert again.port == daemon.port
    assert again.post(GOOD).json() == before


def test_signals_under_load_lose_no_accepted_request(start, root):
    daemon = start(root)
    replies, refusals = [], []

    def ask():
        with requests.Session() as session:
            while True:
                try:
                    replies.append(session.post(daemon.url + "/v1/predict", json=GOOD, timeout=30).status_code)
                except requests.ConnectionError as error:
                    refusals.append(str(error))
                    return

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(replies) > 100)
    code, _ = daemon.stop()
    for thread in threads:
        thread.join()
    assert code == 0 and set(replies) == {200} and len(refusals) == 6


def test_port_in_use_is_said_and_fails(service, root):
    done = run("serve", "--port", service.port, root=root, timeout=20)
    assert done.returncode == 1
    reason = f"cannot listen on 127.0.0.1 port {service.port}: Address already in use"
    assert done.stderr.splitlines()[-1] == f"dgld: {reason}"


def test_flags_win_over_the_settings_file(start, root):
    (root / "config").mkdir()
    (root / "config" / "dgld.json").write_text('{"port": 1, "bind": "127.0.0.1"}')
    daemon = start(root, "--bind", "127.0.0.2")
    assert messages(daemon.log)[-1].startswith("listening on http://127.0.0.2:")
    assert daemon.port > 1


def test_settings_of_the_root_are_read_without_a_flag(root):
    (root / "config").mkdir()
    (root / "config" / "dgld.json").write_text('{"port": "x"}')
    assert "port must be a whole number" in refused(1, "serve", root=root, timeout=20)


def test_shipped_settings_are_the_defaults_and_are_accepted(start, root):
    shipped = json.loads((ROOT / "config" / "dgld.json").read_text())
    assert (shipped["bind"], shipped["port"], shipped["insecure"]) == ("127.0.0.1", 8080, False)
    start(root, "--config", ROOT / "config" / "dgld.json")


@pytest.mark.parametrize(
    "settings, reason",
    [
        ('{"colour": "red"}', 'there is no setting "colour"'),
        ('{"Port": 80}', 'there is no setting "Port"'),
        ('{"port": "80"}', "port must be a whole number from 0 to 65535"),
        ('{"port": 80.5}', "port must be a whole number from 0 to 65535"),
        ('{"port": 65536}', "port must be a whole number from 0 to 65535"),
        ('{"port": -1}', "port must be a whole number from 0 to 65535"),
        ('{"port": null}', "port must be a whole number from 0 to 65535"),
        ('{"http_threads": 257}', "http_threads must be a whole number from 0 to 256"),
        ('{"body_max_bytes": 10}', "body_max_bytes must be a whole number from 1024 to 1073741824"),
        ('{"body_max_bytes": 1e300}', "body_max_bytes must be a whole number from 1024 to 1073741824"),
        ('{"connections_max": 0}', "connections_max must be a whole number from 1 to"),
        ('{"idle_timeout_s": true}', "idle_timeout_s must be a whole number from 1 to 3600"),
        ('{"drain_timeout_ms": 600001}', "drain_timeout_ms must be a whole number from 0 to 600000"),
        ('{"insecure": "yes"}', "insecure must be true or false"),
        ('{"insecure": 1}', "insecure must be true or false"),
        ('{"bind": 127}', "bind must be a string"),
        ('{"port": 80, "port": 81}', "given twice"),
        ("[]", "the settings must be an object, not an array"),
        ('{"port": 80', "line 1, column "),
        ("", "empty"),
        ("\x00\x01", "line 1, column "),
    ],
)
def test_wrong_settings_are_refused_with_file_key_and_reason(settings, reason, root):
    file = root / "own.json"
    file.write_text(settings)
    said = refused(1, "serve", "--config", file, root=root, timeout=20)
    assert said.startswith(f"dgld: {file}: ") and reason in said


def test_named_settings_that_are_absent_are_refused(root):
    assert "none.json: No such file" in refused(1, "serve", "--config", root / "none.json", root=root, timeout=20)


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1", "128.0.0.1"])
def test_address_off_loopback_is_refused_without_insecure(address, root):
    said = refused(1, "serve", "--port", 0, "--bind", address, root=root, timeout=20)
    assert f"bind is {address}" in said and '"insecure": true' in said
    (root / "own.json").write_text(json.dumps({"bind": address}))
    assert '"insecure": true' in refused(1, "serve", "--port", 0, "--config", root / "own.json", root=root, timeout=20)


def test_insecure_allows_any_address(start, root):
    (root / "own.json").write_text('{"insecure": true, "bind": "0.0.0.0"}')
    assert start(root, "--config", root / "own.json").post(GOOD).status_code == 200


@pytest.mark.parametrize("address", ["localhost", "", "127.0.0.1.1", "example.org", "127.0.0.1:80"])
def test_bind_that_is_no_address_is_refused(address, root):
    said = refused(1, "serve", "--port", 0, "--bind", address, root=root, timeout=20)
    assert f'bind must be an IPv4 or IPv6 address, not "{address}"' in said


@pytest.mark.parametrize("content", [b"", b"broken", b"\xff" * 100])
@pytest.mark.parametrize("space", ["nasbench201", "fbnetv3"])
def test_malformed_predictor_stops_the_start_with_the_reason(space, content, root):
    file = root / "result" / space / "pretrainmodel.safetensors"
    file.write_bytes(content)
    done = run("serve", "--port", 0, root=root, timeout=20)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"dgld: {file}: ")


def test_predictor_of_another_space_stops_the_start(root):
    places = [root / "result" / space / "pretrainmodel.safetensors" for space in ("nasbench201", "fbnetv3")]
    places[1].write_bytes(places[0].read_bytes())
    done = run("serve", "--port", 0, root=root, timeout=20)
    assert done.returncode == 1 and 'is for the search space "nasbench201", not fbnetv3' in done.stderr


def test_without_predictors_the_service_is_alive_but_not_ready(start, root):
    for file in root.glob("result/*/*.safetensors"):
        file.unlink()
    daemon = start(root)
    assert requests.get(daemon.url + "/healthz").status_code == 200
    for reply in (requests.get(daemon.url + "/readyz"), daemon.post(GOOD)):
        assert reply.status_code == 503
        assert reply.headers["Content-Type"] == "application/problem+json"
        assert int(reply.headers["Retry-After"]) > 0
        assert reply.json()["type"] == "urn:dgld:problem:unavailable"
        assert "dgld train" in reply.json()["detail"]
    assert daemon.post(GOOD | {"x": 1}).status_code == 422


def test_one_absent_predictor_leaves_the_other_space_served(start, root):
    (root / "result" / "fbnetv3" / "pretrainmodel.safetensors").unlink()
    daemon = start(root)
    assert any(m.startswith("fbnetv3 is not served") for m in messages(daemon.log))
    assert requests.get(daemon.url + "/readyz").status_code == 200
    assert daemon.post(GOOD).status_code == 200
    genes = "5 5 3 5 3 3 5 4 4 6 3 5 5 6 22 20 28 28 80 144 184 224 1 4 4 8 10 9"
    assert daemon.post(GOOD | {"search_space": "fbnetv3", "architectures": [genes]}).status_code == 503


def test_trained_predictor_is_served_after_a_restart(start, small):
    before = start(small).predict(**GOOD)["model"]["version"]
    done = run("train", "--search_space", "nasbench201", "--json", root=small)
    version = json.loads(done.stdout)["version"]
    assert version != before
    assert start(small).predict(**GOOD)["model"]["version"] == version


def test_connection_bound_turns_more_away_and_recovers(start, root):
    (root / "own.json").write_text('{"connections_per_address_max": 4, "http_threads": 1}')
    daemon = start(root, "--config", root / "own.json")
    held = [socket.create_connection(("127.0.0.1", daemon.port), timeout=30) for _ in range(4)]
    for connection in held:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    with pytest.raises(requests.ConnectionError):
        requests.get(daemon.url + "/healthz", timeout=30)
    for connection in held:
        connection.close()

    def is_answered():
        try:
            return requests.get(daemon.url + "/healthz", timeout=30).status_code == 200
        except requests.ConnectionError:
            return False

    wait_until(is_answered)


def test_service_writes_nothing_into_its_root_but_its_job_store(start, root):
    before = sorted(root.rglob("*"))
    for arguments, made in ((("--job-store", ""), set()), ((), {".jobs.sqlite", ".jobs.sqlite-owners"})):
        daemon = start(root, *arguments)
        daemon.post(GOOD)
        daemon.stop()
        assert {path.relative_to(root / "result").as_posix() for path in set(root.rglob("*")) - set(before)} == made


def test_service_survives_a_closed_log(root):
    """Nobody reads stderr any more: writing the log must not end the service."""
    daemon = Service(root)
    daemon.process.stderr.close()
    assert daemon.post(GOOD).status_code == 200
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.process.wait(timeout=30) == 0


def test_ipv6_loopback_is_served(root):
    if not os.path.exists("/proc/net/if_inet6") or not open("/proc/net/if_inet6").read():
        command = [BINARY, "serve", "--root", root, "--port", "0", "--bind", "::1"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
        assert done.returncode == 1 and "cannot" in done.stderr
        return
    daemon = Service(root, "--bind", "::1")
    assert requests.get(f"http://[::1]:{daemon.port}/readyz").status_code == 200
    assert daemon.stop()[0] == 0
