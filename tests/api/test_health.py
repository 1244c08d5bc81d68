"""dgld health: whether a service is ready, told by an exit code, for checks where there is no shell."""

import http.server
import json
import os
import signal
import subprocess
import threading
import time

import pytest
from conftest import BINARY, make_root, refused, run


def health(*arguments, **variables):
    command = [BINARY, "health", *map(str, arguments)]
    done = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, timeout=30)
    assert (done.stderr == "") == (done.returncode == 0) and done.stderr.count("\n") <= 1
    return done.returncode, done.stdout or done.stderr


def configure(root, **settings):
    (root / "config").mkdir(exist_ok=True)
    (root / "config" / "dgld.json").write_text(json.dumps(settings))


READY = (0, '{"status":"ready"}\n')


def test_the_service_of_the_settings_is_asked_wherever_they_stand(service, tmp_path):
    assert health("--port", service.port) == READY
    assert health(DGLD_PORT=str(service.port)) == READY
    configure(tmp_path, port=service.port)
    assert health("--root", tmp_path) == READY
    assert health("--live", "--root", tmp_path) == (0, '{"status":"alive"}\n')
    assert health("--url", service.url, "--root", tmp_path) == READY
    # where another command would ask is another matter, and no proxy stands before one's own machine
    nowhere = "http://127.0.0.1:1"
    assert health("--root", tmp_path, DGLD_URL=nowhere, http_proxy=nowhere, ALL_PROXY=nowhere, NO_PROXY="") == READY


@pytest.mark.parametrize("arguments", [["--port", "1"], ["--url", "http://127.0.0.1:1"]])
def test_nothing_that_listens_is_no_health(arguments):
    code, said = health(*arguments)
    assert code == 1 and said.startswith("dgld: no service can be reached at http://127.0.0.1:1 ")


def test_a_service_that_stops_lives_and_is_not_ready(root, start):
    daemon = start(root, "--drain-delay-ms", 600_000)
    daemon.process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + 10
    while (answer := health("--port", daemon.port)) == READY and time.monotonic() < deadline:
        time.sleep(0.02)
    code, said = answer
    assert code == 1 and said.startswith(f"dgld: {daemon.url}/readyz answers 503: ") and "the service is stopping" in said
    assert health("--port", daemon.port, "--live")[0] == 0
    assert daemon.stop()[0] == 0


def test_without_a_predictor_it_is_not_ready_and_without_jobs_it_is(tmp_path, start):
    (tmp_path / "empty").mkdir()
    code, said = health("--port", start(tmp_path / "empty").port)
    assert code == 1 and "no predictor is loaded" in said
    make_root(tmp_path / "root")
    code, said = health("--port", start(tmp_path / "root", "--job-store", "nowhere/jobs.sqlite").port)
    assert code == 0 and json.loads(said)["status"] == "degraded"


def test_off_loopback_it_asks_without_a_token_and_under_any_certificate(root, start):
    run("token", "--name", "a", "--role", "predict", "--file", "tokens.json", root=root)
    making = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key.pem"]
    making += ["-out", "cert.pem", "-subj", "/CN=elsewhere.example", "-addext", "subjectAltName=DNS:elsewhere.example"]
    subprocess.run(making, cwd=root, check=True, capture_output=True)
    settings = {"bind": "0.0.0.0", "tokens_file": "tokens.json", "tls_certificate_file": "cert.pem", "tls_key_file": "key.pem"}
    configure(root, **settings)
    daemon = start(root)
    assert health("--root", root, "--port", daemon.port) == READY
    # a place that is named has to be the one that it says
    code, said = health("--url", daemon.url, "--cacert", root / "cert.pem")
    assert code == 1 and "cannot be believed" in said


def test_what_cannot_be_known_or_would_not_start_is_said():
    assert health("--port", "0")[0] == 2 and "--url" in health("--port", "0")[1]
    code, said = health("--bind", "0.0.0.0")
    assert code == 1 and "tokens_file" in said
    assert "--data-path is not a flag of health" in refused(2, "health", "--data_path", "x")


def test_what_another_program_answers_does_not_reach_the_terminal_as_it_is():
    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(500)
            self.end_headers()
            self.wfile.write(b"\x1b[2J\xff\n" + b"x" * 100_000)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        code, said = health("--port", server.server_port)
        server.shutdown()
    assert code == 1 and "answers 500: " in said and "\x1b" not in said and len(said) < 1000
