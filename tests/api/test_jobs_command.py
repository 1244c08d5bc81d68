"""dgld jobs: against a service of the test's own making, which says what it likes, and against the real one."""

import contextlib
import http.server
import json
import os
import pty
import socket
import subprocess
import threading

import pytest
from conftest import BINARY, ROOT, refused, run
from test_tls import make_certificate

ID = "0193a1b2-0000-7000-8000-000000000001"
JOB = {
    "id": ID, "kind": "train", "search_space": "nasbench201", "state": "running", "attempt": 2, "priority": 0,
    "progress": {"percent": 42.4, "stage": "training", "epoch": 12, "n_epochs": 200, "loss": 0.5, "seconds_left": 9.6},
    "submitted_at": "2026-01-31T12:00:00.000Z", "started_at": "2026-01-31T12:00:01.000Z", "ended_at": None,
    "deadline_at": None, "params": {"predictor": "mlp"}, "result": None, "error": None,
}


class Fake(http.server.ThreadingHTTPServer):
    """Answers what `answer(asked)` returns: (status, body), an object or bytes, or None to hang up."""

    daemon_threads = True

    def __init__(self, answer):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer, self.asked = answer, []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = {"method": self.command, "path": self.path, "headers": self.headers, "body": body}
        self.server.asked.append(asked)
        reply = self.server.answer(asked)
        if reply is None:
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        status, body = reply
        body = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/v1/jobs")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):  # the client need not take it all
            self.wfile.write(body)

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass


@pytest.fixture
def fake():
    """Starts services that answer a function, or always the same."""
    servers = []

    def start(answer):
        servers.append(Fake(answer if callable(answer) else lambda _: answer))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def jobs(*arguments, stdin=None, **environment):
    """Runs the command; `environment` is set besides what is there."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("DGLD_")}
    return subprocess.run([BINARY, "jobs", *map(str, arguments)], input=stdin, capture_output=True, text=True,
                          timeout=60, cwd=ROOT, env=clean | environment)


def done(*arguments, **keywords):
    """Runs what has to succeed without a word on standard error; returns its output."""
    ran = jobs(*arguments, **keywords)
    assert (ran.returncode, ran.stderr) == (0, ""), ran
    return ran.stdout


def failed(*arguments, **keywords):
    """Runs what has to fail; returns the one sentence."""
    ran = jobs(*arguments, **keywords)
    assert (ran.returncode, ran.stdout) == (1, ""), ran
    assert ran.stderr.startswith("dgld: ") and ran.stderr.count("\n") == 1, ran.stderr
    return ran.stderr


# ---- usage -------------------------------------------------------------------------------------------

WRONG = [
    ([], "jobs needs one of list, show, wait, cancel and submit"),
    (["fly"], "jobs needs one of"),
    (["show"], "jobs show takes one ID"),
    (["show", ""], "jobs show takes one ID"),
    (["wait", ID, ID], "jobs wait takes one ID"),
    (["list", ID], "jobs list takes nothing else"),
    (["submit"], "jobs submit takes one FILE or -"),
    (["show", ID, "--state", "queued"], "--state, --kind and --limit are flags of jobs list"),
    (["list", "--limit", "0"], "--limit must be a whole number from 1"),
    (["list", "--root", "."], "--root is not a flag of jobs"),
    (["list", "--url", "127.0.0.1:8080"], "must be like http://127.0.0.1:8080"),
    (["list", "--url", "file:///etc/passwd"], "must be like http://127.0.0.1:8080"),
    (["list", "--url", "http://x/?a=b"], "must be like http://127.0.0.1:8080"),
    (["list", "--token", "x"], "there is no flag --token"),
]


@pytest.mark.parametrize("arguments, reason", WRONG, ids=[" ".join(a) or "nothing" for a, _ in WRONG])
def test_wrong_usage_is_said(arguments, reason):
    assert reason in refused(2, "jobs", *arguments)


def test_a_service_that_cannot_be_reached_is_named_with_what_to_do():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        for action in (["list"], ["wait", ID], ["cancel", ID]):
            said = failed(*action, "--url", url)
            assert f"no service can be reached at {url}" in said and "dgld serve" in said and "--url" in said


def test_the_service_is_that_of_the_flag_or_of_the_environment(fake):
    named, other = fake((200, {"jobs": [], "next": None})), fake((200, {"jobs": [], "next": None}))
    for arguments, environment in (
        (["--url", named.url], {"DGLD_URL": other.url}),
        (["--url", named.url + "//"], {}),
        ([], {"DGLD_URL": named.url}),
    ):
        ran = jobs("list", *arguments, **environment)
        assert (ran.returncode, ran.stdout) == (0, "") and "no such jobs" in ran.stderr
    assert [asked["path"] for asked in named.asked] == ["/v1/jobs?limit=100"] * 3 and other.asked == []
    done("list", "--json", "--url", named.url + "/behind/a/proxy")
    assert named.asked[-1]["path"] == "/behind/a/proxy/v1/jobs?limit=100"


def test_variables_of_the_command_do_not_stop_the_service(root, monkeypatch, start):
    monkeypatch.setenv("DGLD_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("DGLD_TOKEN", "dgld_x")
    code, _ = start(root).stop()
    assert code == 0


# ---- against the real one ----------------------------------------------------------------------------


def test_a_job_is_submitted_awaited_shown_and_listed(small, start):
    url = start(small).url
    body = '{"kind": "train", "search_space": "nasbench201", "params": {"predictor": "cost"}}'
    id = done("submit", "-", "--url", url, stdin=body).strip()
    assert done("wait", id, "--url", url) == "succeeded\n"
    shown = json.loads(done("show", id, "--json", "--url", url))
    assert (shown["id"], shown["state"]) == (id, "succeeded")
    assert shown["result"]["version"] in done("show", id, "--url", url)
    assert done("list", "--url", url, "--kind", "train", "--state", "succeeded").split()[0] == id
    assert json.loads(done("list", "--json", "--url", url)) == {"jobs": [shown]}
    assert "succeeded" in failed("cancel", id, "--url", url)


def test_a_running_job_is_cancelled_and_its_wait_ends(small, start):
    url = start(small).url
    body = '{"kind": "train", "search_space": "nasbench201", "params": {"predictor": "mlp", "epoch": 100000000}}'
    id = done("submit", "-", "--url", url, stdin=body).strip()
    with subprocess.Popen([BINARY, "jobs", "wait", id, "--url", url], stderr=subprocess.PIPE, text=True) as waiting:
        told = done("cancel", id, "--url", url)
        assert told in ("cancelled\n", "being cancelled\n")  # the machine may have no time for what is to stop
        assert (waiting.communicate(timeout=30)[1], waiting.returncode) == ("dgld: the job was cancelled\n", 1)


def test_refusals_of_the_service_are_told_by_pointer(small, start):
    url = start(small).url
    body = '{"kind": "train", "search_space": "nasbench201", "params": {"epochs": 3}}'
    assert "/params/epochs" in failed("submit", "-", "--url", url, stdin=body)
    assert "422" in failed("list", "--state", "asleep", "--url", url)
    assert "404" in failed("show", ID, "--url", url)


def test_tls_and_tokens_of_the_service_are_honoured(small, start, tmp_path_factory):
    path = tmp_path_factory.mktemp("certificates")
    make_certificate(path, "one")
    drawn = [run("token", "--name", role, "--role", role, "--file", path / "tokens.json") for role in ("predict", "operator")]
    flags = ("--tls-certificate-file", path / "one.pem", "--tls-key-file", path / "one.key", "--tokens-file", path / "tokens.json")
    url = start(small, *flags).url
    reader, operator = (token.stdout.strip() for token in drawn)
    trusted = ("--url", url, "--cacert", path / "one.pem")
    assert "cannot be believed" in failed("list", "--url", url, DGLD_TOKEN=reader)
    assert "no such jobs" in jobs("list", *trusted, DGLD_TOKEN=reader).stderr
    assert "--token-file" in failed("list", *trusted)
    body = '{"kind": "train", "search_space": "nasbench201"}'
    assert "403" in failed("submit", "-", *trusted, stdin=body, DGLD_TOKEN=reader)
    assert len(done("submit", "-", *trusted, stdin=body, DGLD_TOKEN=operator)) == 37
    assert "cannot be believed" in failed("list", "--url", url, "--cacert", path / "none.pem", DGLD_TOKEN=reader)


# ---- tokens ------------------------------------------------------------------------------------------


def test_a_token_comes_from_a_file_or_the_environment(fake, tmp_path):
    server = fake((200, JOB))
    file = tmp_path / "token"
    file.write_text("dgld_of_the_file\n")
    file.chmod(0o600)
    done("show", ID, "--url", server.url)
    done("show", ID, "--url", server.url, DGLD_TOKEN="dgld_of_the_environment")
    done("show", ID, "--url", server.url, "--token-file", file, DGLD_TOKEN="dgld_of_the_environment")
    sent = [asked["headers"].get("Authorization") for asked in server.asked]
    assert sent == [None, "Bearer dgld_of_the_environment", "Bearer dgld_of_the_file"]


@pytest.mark.parametrize("token", ["\n", "", "dgld_\x01", "dgld_ü"])
def test_a_file_without_a_token_is_refused(token, fake, tmp_path):
    server = fake((200, JOB))
    file = tmp_path / "token"
    file.write_text(token)
    file.chmod(0o600)
    assert "holds no token" in failed("show", ID, "--url", server.url, "--token-file", file)
    assert server.asked == []


def test_a_token_file_for_all_to_read_is_remarked_on(fake, tmp_path):
    file = tmp_path / "token"
    file.write_text("dgld_x\n")
    file.chmod(0o644)
    ran = jobs("show", ID, "--url", fake((200, JOB)).url, "--token-file", file)
    assert ran.returncode == 0 and "may be read by every user" in ran.stderr


def test_a_missing_token_file_is_named(tmp_path):
    assert str(tmp_path / "none") in failed("list", "--token-file", tmp_path / "none")


# ---- what the service says ---------------------------------------------------------------------------


def test_a_refusal_is_told_in_its_own_sentence(fake):
    problem = {"type": "urn:dgld:problem:not-found", "title": "Not found", "status": 404, "detail": "no such job"}
    assert failed("show", ID, "--url", fake((404, problem)).url) == "dgld: 404: no such job\n"
    said = failed("list", "--url", fake((401, {"title": "Unauthorized"})).url)
    assert "401: Unauthorized" in said and "--token-file" in said and "DGLD_TOKEN" in said


@pytest.mark.parametrize("reply", [(502, b"<html>"), (500, b""), (302, b"{}"), (404, {"detail": 3.5, "title": None})])
def test_an_answer_that_is_no_problem_is_told_as_such(reply, fake):
    server = fake(reply)
    said = failed("show", ID, "--url", server.url)
    assert str(reply[0]) in said
    assert len(server.asked) == 1, "nothing is followed"


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"state": "run', b"\xff", b'{"a":1}\0', b"[" * 1000, b"null"])
def test_an_answer_that_is_no_object_is_refused(body, fake):
    said = failed("show", ID, "--url", fake((200, body)).url)
    assert "something else than a JSON object" in said


def test_a_list_that_is_none_is_refused(fake):
    assert "something else than a list" in failed("list", "--url", fake((200, {"jobs": {"a": 1}})).url)


def test_an_answer_without_end_is_refused(fake):
    said = failed("show", ID, "--url", fake((200, b'{"a": "' + b"x" * (17 << 20) + b'"}')).url)
    assert "more than 16 MiB" in said


HOSTILE = "a\x1b[2J\x07\x7f\x9b31m\u202eb\u2066c\nd\re\0f\x08"


@pytest.mark.parametrize("action", [["list"], ["show", ID], ["wait", ID], ["cancel", ID], ["submit", "-"]])
@pytest.mark.parametrize("mode", [[], ["--json"]], ids=["page", "json"])
def test_no_control_character_of_the_service_reaches_the_terminal(action, mode, fake):
    fields = ("id", "kind", "search_space", "submitted_at", "error", "result", "params", HOSTILE)
    job = dict.fromkeys(fields, HOSTILE) | {"state": "succeeded" if action[0] == "wait" else "cancelled"}
    job["progress"] = {"percent": 1e308, "stage": HOSTILE, "epoch": -1, "loss": -1e308, "n_epochs": HOSTILE}
    reply = {"jobs": [job, 7, HOSTILE], "next": None} if action[0] == "list" else job
    ran = jobs(*action, *mode, "--url", fake((200, reply)).url, stdin="{}")
    assert ran.returncode == 0, ran
    for text in (ran.stdout, ran.stderr):
        assert not [c for c in text if (ord(c) < 32 and c != "\n") or 127 <= ord(c) < 160 or ord(c) in (0x202e, 0x2066)]
    if mode:
        told = json.loads(ran.stdout)
        assert told == (json.loads(json.dumps({"jobs": reply["jobs"]})) if action[0] == "list" else job)
    elif action[0] != "cancel":
        assert ran.stdout.count("\n") <= 13


def test_the_refusal_of_a_hostile_service_is_clean_too(fake):
    said = failed("show", ID, "--url", fake((422, {"detail": HOSTILE})).url)
    assert said == "dgld: 422: a?[2J???31m?b?c?d?e\n"  # what is behind a NUL is not read


# ---- list, show --------------------------------------------------------------------------------------


def paged(asked):
    """250 jobs, a hundred at most at a time."""
    query = dict(pair.split("=") for pair in asked["path"].partition("?")[2].split("&"))
    first, count = int(query.get("cursor", 0)), min(int(query["limit"]), 100)
    part = [JOB | {"id": f"{i:036}"} for i in range(first, min(first + count, 250))]
    return 200, {"jobs": part, "next": str(first + count) if first + count < 250 else None}


@pytest.mark.parametrize("limit, n, n_asked", [(1, 1, 1), (None, 100, 1), (101, 101, 2), (1000, 250, 3)])
def test_a_list_is_gathered_from_its_parts(limit, n, n_asked, fake):
    server = fake(paged)
    flags = ["--url", server.url] + (["--limit", limit] if limit else [])
    rows = done("list", *flags).splitlines()
    assert [row.split()[0] for row in rows] == [f"{i:036}" for i in range(n)]
    assert rows[0].split()[1:] == ["train", "nasbench201", "running", "42", "%", "2026-01-31T12:00:00.000Z"]
    assert len(server.asked) == n_asked
    assert [job["id"] for job in json.loads(done("list", "--json", *flags))["jobs"]] == [f"{i:036}" for i in range(n)]


def test_a_service_whose_list_never_ends_is_bounded_by_the_limit(fake):
    server = fake((200, {"jobs": [JOB] * 100, "next": "again"}))
    assert len(done("list", "--limit", 250, "--url", server.url).splitlines()) == 250
    assert len(server.asked) == 3


def test_filters_are_sent_as_they_are_meant(fake):
    server = fake((200, {"jobs": [], "next": None}))
    done("list", "--json", "--state", "a&b=c/../%", "--kind", "nas", "--url", server.url)
    assert server.asked[0]["path"] == "/v1/jobs?limit=100&state=a%26b%3Dc%2F%2E%2E%2F%25&kind=nas"


def test_show_is_a_page(fake):
    page = done("show", ID, "--url", fake((200, JOB)).url)
    told = {line.split(None, 1)[0]: line.split(None, 1)[1] for line in page.splitlines()}
    assert told == {
        "id": ID, "kind": "train", "space": "nasbench201", "state": "running", "attempt": "2", "priority": "0",
        "progress": "42 % training, epoch 12 of 200, loss 0.5, 10 s left", "submitted": "2026-01-31T12:00:00.000Z",
        "started": "2026-01-31T12:00:01.000Z", "params": '{"predictor": "mlp"}',
    }
    assert json.loads(done("show", ID, "--json", "--url", fake((200, JOB)).url)) == JOB


def test_an_id_is_one_segment_of_the_path(fake):
    server = fake((200, JOB))
    for word in ("../devices", "a/cancel", "..", "x?wait=1", "a b", "%2e"):
        done("show", word, "--url", server.url)
    assert [asked["path"] for asked in server.asked] == [
        "/v1/jobs/%2E%2E%2Fdevices", "/v1/jobs/a%2Fcancel", "/v1/jobs/%2E%2E", "/v1/jobs/x%3Fwait%3D1",
        "/v1/jobs/a%20b", "/v1/jobs/%252e",
    ]


# ---- wait --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state, code, said", [
    ("succeeded", 0, ""),
    ("failed", 1, "dgld: the job failed: the disk is full\n"),
    ("cancelled", 1, "dgld: the job was cancelled\n"),
])
def test_wait_ends_as_the_job_does(state, code, said, fake):
    ended = JOB | {"state": state, "error": "the disk is full" if state == "failed" else None}
    replies = [(200, JOB | {"state": "queued"}), (200, JOB), (200, ended)]
    server = fake(lambda _: replies[min(len(server.asked), 3) - 1])
    ran = jobs("wait", ID, "--url", server.url)
    assert (ran.returncode, ran.stdout, ran.stderr) == (code, "succeeded\n" if code == 0 else "", said)
    assert [asked["path"] for asked in server.asked] == [f"/v1/jobs/{ID}?wait=20"] * 3
    ran = jobs("wait", ID, "--json", "--url", server.url)
    assert (ran.returncode, json.loads(ran.stdout), ran.stderr) == (code, ended, said)


def test_wait_outlives_a_service_that_is_started_anew(fake):
    replies = [(200, JOB), None, (503, {"detail": "stopping"}), (200, JOB | {"state": "succeeded"})]
    server = fake(lambda _: replies[len(server.asked) - 1])
    assert done("wait", ID, "--url", server.url) == "succeeded\n"


def test_wait_does_not_wait_for_what_is_not_there(fake):
    server = fake((404, {"detail": "there is no such job"}))
    assert "there is no such job" in failed("wait", ID, "--url", server.url)
    assert len(server.asked) == 1


def test_wait_draws_a_bar_on_a_terminal(fake):
    replies = [(200, JOB), (200, JOB | {"state": "succeeded"})]
    server = fake(lambda _: replies[min(len(server.asked), 2) - 1])
    leader, follower = pty.openpty()
    ran = subprocess.run([BINARY, "jobs", "wait", ID, "--url", server.url], stdout=subprocess.PIPE, stderr=follower,
                         timeout=60)
    os.close(follower)
    drawn = os.read(leader, 65536).decode()
    os.close(leader)
    assert (ran.returncode, ran.stdout) == (0, b"succeeded\n")
    assert "[############..................] running 42 % training, epoch 12 of 200" in drawn


# ---- cancel, submit ----------------------------------------------------------------------------------


@pytest.mark.parametrize("state, code, out, said", [
    ("cancelled", 0, "cancelled\n", ""),
    ("running", 0, "being cancelled\n", ""),
    ("succeeded", 1, "", "dgld: the job had ended before: succeeded\n"),
])
def test_cancel_tells_what_became_of_it(state, code, out, said, fake):
    server = fake((200, JOB | {"state": state}))
    ran = jobs("cancel", ID, "--url", server.url)
    assert (ran.returncode, ran.stdout, ran.stderr) == (code, out, said)
    assert (server.asked[0]["method"], server.asked[0]["path"]) == ("POST", f"/v1/jobs/{ID}/cancel")
    assert server.asked[0]["body"] == b"" and server.asked[0]["headers"].get("Content-Type") is None


def test_submit_posts_a_file_or_standard_input_as_it_is(fake, tmp_path):
    server = fake((202, JOB | {"state": "queued"}))
    (tmp_path / "job.json").write_text('{"kind":\n "train"}')
    assert done("submit", tmp_path / "job.json", "--url", server.url) == ID + "\n"
    assert done("submit", "-", "--url", server.url, stdin='{"kind":\n "train"}') == ID + "\n"
    for asked in server.asked:
        assert (asked["method"], asked["path"], asked["body"]) == ("POST", "/v1/jobs", b'{"kind":\n "train"}')
        assert asked["headers"]["Content-Type"] == "application/json" and asked["headers"].get("Expect") is None
    keys = [asked["headers"]["Idempotency-Key"] for asked in server.asked]
    assert len(set(keys)) == 2 and all(len(key) == 32 for key in keys)


def test_submit_asks_again_with_the_same_key_where_there_was_no_answer(fake):
    replies = [None, (503, {"detail": "later"}), (409, {"detail": "in flight"}), (200, JOB)]
    server = fake(lambda _: replies[len(server.asked) - 1])
    assert done("submit", "-", "--url", server.url, stdin="{}") == ID + "\n"
    assert len({asked["headers"]["Idempotency-Key"] for asked in server.asked}) == 1 and len(server.asked) == 4


def test_submit_gives_up_and_says_what_is_not_known(fake):
    server = fake(lambda _: None)
    said = failed("submit", "-", "--url", server.url, stdin="{}")
    assert "it may have been submitted" in said and server.url in said
    assert len(server.asked) == 5


def test_a_submission_that_is_refused_is_not_repeated(fake):
    server = fake((422, {"detail": "/params/epoch: too many"}))
    assert failed("submit", "-", "--url", server.url, stdin="{}") == "dgld: 422: /params/epoch: too many\n"
    assert len(server.asked) == 1


def test_submit_of_no_file_asks_nobody(fake, tmp_path):
    server = fake((200, JOB))
    assert str(tmp_path) in failed("submit", tmp_path / "none", "--url", server.url)
    assert server.asked == []
