"""Tokens and roles: who may call what, how a token is made, and how one is taken away."""

import hashlib
import json
import re
import signal
import stat
import subprocess
import time

import pytest
import requests
from conftest import BINARY, ROOT, refused, run, run_json

GOOD = {"search_space": "nasbench201", "hardware": [2.0, 3, 1, 7.46], "architectures": ["444244"]}
READER, ADMIN = "reader-secret", "admin-secret"


def entry(name, role, token):
    return {"name": name, "role": role, "sha256": hashlib.sha256(token.encode()).hexdigest()}


BOTH = [entry("reader", "predict", READER), entry("admin", "operator", ADMIN)]


def write_tokens(root, entries, name="tokens.json", mode=0o600):
    path = root / name
    path.write_text(json.dumps({"tokens": entries}))
    path.chmod(mode)
    return path


def configure(root, **settings):
    (root / "own.json").write_text(json.dumps(settings))
    return ("--config", root / "own.json")


@pytest.fixture
def guarded(root, start):
    """A daemon that knows a reader and an admin."""
    write_tokens(root, BOTH)
    return start(root, *configure(root, tokens_file="tokens.json"))


def call(daemon, authorization, method="POST", path="/v1/predict", **keywords):
    headers = {"Authorization": authorization} if authorization is not None else {}
    keywords.setdefault("json", GOOD if method == "POST" else None)
    return requests.request(method, daemon.url + path, headers=headers, timeout=30, **keywords)


def messages(daemon):
    return [line["message"] for line in daemon.stop()[1]]


def reload(daemon, settled):
    """Sends SIGHUP and waits until settled() holds."""
    daemon.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 20
    while not settled():
        assert time.monotonic() < deadline, "the reload did not take effect"
        time.sleep(0.01)


# ---- calls -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [READER, ADMIN])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_any_valid_token_predicts(scheme, token, guarded):
    assert call(guarded, f"{scheme} {token}").status_code == 200


def test_without_a_token_the_answer_is_401_and_says_how(guarded):
    reply = call(guarded, None)
    assert reply.status_code == 401
    assert reply.headers["WWW-Authenticate"] == 'Bearer realm="dgld"'
    assert reply.headers["Content-Type"] == "application/problem+json"
    body = reply.json()
    assert body["type"] == "urn:dgld:problem:unauthorized" and body["status"] == 401
    assert "Authorization: Bearer" in body["detail"]


WRONG = {
    "another token": "Bearer nothing",
    "a token cut short": f"Bearer {READER[:-1]}",
    "a token and more": f"Bearer {READER}x",
    "its digest": f"Bearer {BOTH[1]['sha256']}",
    "its name": "Bearer admin",
    "an empty token": "Bearer",
    "another scheme": f"Basic {READER}",
    "no scheme": READER,
    "a very long token": "Bearer " + "a" * 8000,
    "two tokens": f"Bearer {READER}, Bearer {ADMIN}",
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_token_is_401_invalid_token(name, guarded):
    reply = call(guarded, WRONG[name])
    assert reply.status_code == 401
    assert 'error="invalid_token"' in reply.headers["WWW-Authenticate"]
    assert READER not in reply.text and ADMIN not in reply.text


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.parametrize("authorization", [None, "Bearer nonsense"])
def test_health_is_open_to_all(authorization, path, guarded):
    assert call(guarded, authorization, "GET", path).status_code == 200


def test_what_does_not_exist_is_404_and_405_with_no_token(guarded):
    assert call(guarded, None, "GET", "/nothing").status_code == 404
    assert call(guarded, None, "GET", "/v1/predict").status_code == 405


def test_refused_request_is_not_read_on(guarded):
    """A body of 30 MB that is announced and refused is not waited for."""
    head = f"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: {30 << 20}\r\n\r\n".encode()
    received = guarded.exchange(head)
    assert received.startswith(b"HTTP/1.1 401") and b"connection: close" in received.lower()


def test_connection_is_kept_after_401(guarded):
    with requests.Session() as session:
        for _ in range(3):
            assert session.post(guarded.url + "/v1/predict", json=GOOD).status_code == 401
            good = {"Authorization": f"Bearer {READER}"}
            assert session.post(guarded.url + "/v1/predict", json=GOOD, headers=good).status_code == 200


def test_without_a_tokens_file_nobody_is_asked(service):
    assert call(service, None).status_code == 200
    assert call(service, "Bearer nonsense").status_code == 200


# ---- what only operators may do --------------------------------------------------------------------------------

ACTIVATE = "/v1/models/nasbench201/activate"
DONE = {200, 422}  # it got as far as the handler, which has never heard of this version


def activate(daemon, authorization=None, **headers):
    headers |= {"Authorization": authorization} if authorization else {}
    if requests.options(daemon.url + ACTIVATE).status_code == 404:
        pytest.skip(f"there is no {ACTIVATE}")
    return requests.post(daemon.url + ACTIVATE, json={"version": "cost-000000000000"}, headers=headers, timeout=30)


def test_operators_may_and_readers_may_not(guarded):
    assert activate(guarded, f"Bearer {ADMIN}").status_code in DONE
    reply = activate(guarded, f"Bearer {READER}")
    assert reply.status_code == 403 and "operator" in reply.json()["detail"]
    assert 'error="insufficient_scope"' in reply.headers["WWW-Authenticate"]
    assert activate(guarded).status_code == 401
    assert activate(guarded, "Bearer nonsense").status_code == 401


def test_role_changes_with_the_file(root, guarded):
    assert activate(guarded, f"Bearer {READER}").status_code == 403
    write_tokens(root, [entry("reader", "operator", READER)])
    reload(guarded, lambda: activate(guarded, f"Bearer {READER}").status_code in DONE)


def test_pages_of_other_sites_change_nothing(service):
    """Without tokens everyone of this machine is an operator, but a page that its browser shows is not."""
    host = f"localhost:{service.port}"
    assert activate(service).status_code in DONE
    for origin in ("https://evil.example", "null", "http://127.0.0.1", "http://localhost", f"http://{host}.evil.example"):
        reply = activate(service, Origin=origin)
        assert reply.status_code == 403 and "cors_origins" in reply.json()["detail"]
    for own in (host, f"127.0.0.1:{service.port}", f"[::1]:{service.port}"):
        assert activate(service, Origin=f"http://{own}", Host=own).status_code in DONE
    rebound = activate(service, Origin="http://evil.example", Host="evil.example")
    assert rebound.status_code == 403, "a name of another site that points here is not ours"


def test_pages_of_listed_sites_may_change_things(root, start):
    daemon = start(root, *configure(root, cors_origins="https://page.example"))
    assert activate(daemon, Origin="https://page.example").status_code in DONE
    assert activate(daemon, Origin="https://other.example").status_code == 403


def test_with_tokens_a_page_of_the_service_itself_may_change_things(guarded):
    headers = {"Origin": "https://dgld.example", "Host": "dgld.example"}
    assert activate(guarded, f"Bearer {ADMIN}", **headers).status_code in DONE
    assert activate(guarded, f"Bearer {ADMIN}", Origin="https://evil.example").status_code == 403


# ---- reload ----------------------------------------------------------------------------------------------------


def test_tokens_are_read_again_on_sighup(root, guarded):
    write_tokens(root, [entry("new", "predict", "fresh")])
    reload(guarded, lambda: call(guarded, "Bearer fresh").status_code == 200)
    assert call(guarded, f"Bearer {READER}").status_code == 401
    assert any(re.search(r"1 tokens from .*tokens\.json$", m) for m in messages(guarded))


def test_removing_the_last_token_lets_nobody_in(root, guarded):
    write_tokens(root, [])
    reload(guarded, lambda: call(guarded, f"Bearer {READER}").status_code == 401)
    assert call(guarded, f"Bearer {ADMIN}").status_code == 401
    assert any("nobody can call" in m for m in messages(guarded))


@pytest.mark.parametrize("spoil", [
    lambda path: path.write_text("{"),
    lambda path: path.write_text('{"tokens": [{"name": "x"}]}'),
    lambda path: path.unlink(),
    lambda path: (path.unlink(), path.mkdir()),
    lambda path: path.write_text(" " * (2 << 20)),
], ids=["half", "a field missing", "gone", "a directory", "too large"])  # fmt: skip
def test_malformed_tokens_leave_the_old_and_are_told(spoil, root, guarded):
    spoil(root / "tokens.json")
    guarded.process.send_signal(signal.SIGHUP)
    for _ in range(20):
        assert call(guarded, f"Bearer {READER}").status_code == 200
        time.sleep(0.01)
    told = [m for m in messages(guarded) if m.startswith("the tokens stay as they were: ")]
    assert len(told) == 1 and "tokens.json" in told[0]


def test_no_request_fails_while_tokens_are_swapped(root, guarded):
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {READER}"
        for i in range(200):
            if i % 4 == 0:
                write_tokens(root, BOTH[:1] if i % 8 else BOTH, "next.json").replace(root / "tokens.json")
                guarded.process.send_signal(signal.SIGHUP)
            assert session.post(guarded.url + "/v1/predict", json=GOOD).status_code == 200


# ---- start -----------------------------------------------------------------------------------------------------


def refuses_to_start(root, **settings):
    return refused_start(root, *configure(root, **settings))


def refused_start(root, *arguments):
    command = [str(BINARY), "serve", "--root", str(root), "--port", "0", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=ROOT)
    assert done.returncode == 1, done
    return done.stderr.splitlines()[-1]


def test_start_is_refused_without_the_tokens_file(root):
    assert "tokens.json" in refuses_to_start(root, tokens_file="tokens.json")


def test_start_is_refused_with_a_malformed_tokens_file(root):
    write_tokens(root, [BOTH[0] | {"role": "king"}])
    said = refuses_to_start(root, tokens_file="tokens.json")
    assert 'tokens.json: /tokens/0/role: role must be "predict" or "operator"' in said


def test_off_loopback_needs_tokens_or_insecure(root, start):
    assert "0.0.0.0, where anyone could call" in refuses_to_start(root, bind="0.0.0.0")
    write_tokens(root, BOTH)
    daemon = start(root, *configure(root, bind="0.0.0.0", tokens_file="tokens.json"))
    assert call(daemon, None).status_code == 401
    assert any("tokens travel unencrypted" in m for m in messages(daemon))
    daemon = start(root, *configure(root, bind="0.0.0.0", insecure=True))
    assert call(daemon, None).status_code == 200
    assert any("anyone who reaches 0.0.0.0" in m for m in messages(daemon))


def test_tokens_file_may_be_absolute(root, start, tmp_path_factory):
    path = write_tokens(tmp_path_factory.mktemp("elsewhere"), BOTH)
    daemon = start(root, *configure(root, tokens_file=str(path)))
    assert call(daemon, f"Bearer {READER}").status_code == 200


@pytest.mark.parametrize("mode, is_told", [(0o600, False), (0o640, False), (0o644, True)])
def test_tokens_that_everybody_can_read_are_warned_of(mode, is_told, root, start):
    write_tokens(root, BOTH, mode=mode)
    daemon = start(root, *configure(root, tokens_file="tokens.json"))
    assert any("can be read by every user" in m for m in messages(daemon)) == is_told


def test_no_token_is_ever_logged(root, guarded):
    for authorization in (f"Bearer {READER}", f"Bearer {ADMIN}", "Bearer guessed-secret"):
        call(guarded, authorization)
    assert not any("secret" in json.dumps(line) for line in guarded.stop()[1])


# ---- dgld token ------------------------------------------------------------------------------------------------


def test_token_is_printed_and_its_entry_told():
    done = run("token", "--name", "ci", "--role", "predict")
    token = done.stdout.strip()
    assert done.returncode == 0 and re.fullmatch(r"dgld_[A-Za-z0-9_-]{43}\n", done.stdout)
    assert json.loads(done.stderr.split(" is ", 1)[1]) == entry("ci", "predict", token)
    assert run("token", "--name", "ci", "--role", "predict").stdout.strip() != token


def test_token_in_json():
    made = run_json("token", "--name", "ci", "--role", "operator")
    assert made["entry"] == entry("ci", "operator", made["token"])


def test_token_is_added_to_the_file_and_opens_the_service(root, start):
    path = root / "secrets" / "tokens.json"
    tokens = {}
    for name, role in (("one", "predict"), ("two", "operator"), ("three", "predict")):
        done = run("token", "--name", name, "--role", role, "--file", "secrets/tokens.json", root=root)
        assert done.returncode == 0 and done.stderr == ""
        tokens[name] = done.stdout.strip()
    assert [e["name"] for e in json.loads(path.read_text())["tokens"]] == ["one", "two", "three"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    daemon = start(root, *configure(root, tokens_file="secrets/tokens.json"))
    for token in tokens.values():
        assert token not in path.read_text()
        assert call(daemon, f"Bearer {token}").status_code == 200


def test_rights_of_the_file_stay_as_they_are(root):
    path = write_tokens(root, BOTH, mode=0o640)
    assert run("token", "--name", "x", "--role", "predict", "--file", "tokens.json", root=root).returncode == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert len(json.loads(path.read_text())["tokens"]) == 3


@pytest.mark.parametrize("content", ["{", '{"tokens": 5}', '{"tokens": [{}]}', '{"tokens": [], "more": 1}'])
def test_malformed_file_is_left_alone(content, root):
    (root / "tokens.json").write_text(content)
    said = refused(1, "token", "--name", "x", "--role", "predict", "--file", "tokens.json", root=root)
    assert "tokens.json" in said
    assert (root / "tokens.json").read_text() == content and sorted(root.glob("*.json")) == [root / "tokens.json"]


def test_name_that_is_taken_is_refused(root):
    path = write_tokens(root, BOTH)
    before = path.read_text()
    said = refused(1, "token", "--name", "admin", "--role", "predict", "--file", "tokens.json", root=root)
    assert "there is a token of that name already" in said and path.read_text() == before


def test_token_that_is_removed_opens_nothing_and_others_stay(root, start):
    names = ("one", "two", "three")
    tokens = {n: run("token", "--name", n, "--role", "predict", "--file", "t.json", root=root).stdout.strip() for n in names}
    daemon = start(root, *configure(root, tokens_file="t.json"))
    (root / "t.json").chmod(0o640)
    done = run("token", "--remove", "--name", "two", "--file", "t.json", root=root)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [e["name"] for e in json.loads((root / "t.json").read_text())["tokens"]] == ["one", "three"]
    assert stat.S_IMODE((root / "t.json").stat().st_mode) == 0o640
    reload(daemon, lambda: call(daemon, f"Bearer {tokens['two']}").status_code == 401)
    assert all(call(daemon, f"Bearer {tokens[name]}").status_code == 200 for name in ("one", "three"))
    said = refused(1, "token", "--remove", "--name", "two", "--file", "t.json", root=root)
    assert "there is no token of the name two" in said


@pytest.mark.parametrize("arguments, said", [
    (("--remove", "--name", "x"), "--remove goes with --name and --file"),
    (("--remove", "--name", "x", "--role", "predict", "--file", "y"), "and without --role"),
    ((), "token needs --name"),
    (("--name", "x"), "token needs --role"),
    (("--role", "predict"), "token needs --name"),
    (("--name", "x", "--role", "king"), '--role must be predict or operator, not "king"'),
    (("--name", "x" * 64, "--role", "predict"), "--name has at most 63 characters"),
    (("--name", "x", "--role", "predict", "--port", "1"), "--port is not a flag of token"),
    (("--name", "x", "--role", "predict", "--file", ""), "--file needs a value"),
])  # fmt: skip
def test_wrong_usage_is_named(arguments, said):
    assert said in refused(2, "token", *arguments)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "é", '"', "a\nb"])
def test_what_is_no_name_is_refused(name):
    assert "a token's name has 1 to 63 characters" in refused(1, "token", "--name", name, "--role", "predict")
