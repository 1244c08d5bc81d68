"""Settings: default < file < environment < flag; `dgld config` shows them, SIGHUP reloads what is live."""

import json
import re
import shutil
import signal

import pytest
from conftest import ROOT, refused, run, run_json

PRESETS = json.loads((ROOT / "config" / "dgld.json").read_text())


@pytest.fixture
def write(root):
    """Writes settings to the file that is read without a flag, and returns its path."""
    path = root / "config" / "dgld.json"
    path.parent.mkdir()

    def write_settings(text):
        path.write_text(text if isinstance(text, str) else json.dumps(text))
        return path

    return write_settings


def settings(root, *arguments):
    return run_json("config", *arguments, root=root)["settings"]


# ---- what is written down is what the program has ------------------------------------------------


def test_the_documentation_is_the_table():
    documented = (ROOT / "config" / "README.md").read_text()
    printed = run("config", "--markdown")
    assert printed.returncode == 0 and printed.stdout.count("\n") == len(PRESETS) + 2
    assert documented.endswith("\n\n" + printed.stdout)


def test_the_shipped_file_is_what_the_program_prints():
    assert run("config", "--defaults").stdout == (ROOT / "config" / "dgld.json").read_text()


def test_every_setting_is_in_the_help_of_serve_and_config():
    for command in ("serve", "config"):
        said = run(command, "--help").stdout
        for key in PRESETS:
            assert re.search(rf"^  --{key.replace('_', '-')} ", said, re.M), key
    assert "--insecure [true|false]" in said and "--port N" in said
    assert "--body-max-bytes" not in run("train", "--help").stdout


# ---- where settings come from --------------------------------------------------------------------


def test_without_a_file_all_is_default(root):
    answer = run_json("config", root=root)
    assert answer["file"] is None
    assert {key: entry["value"] for key, entry in answer["settings"].items()} == PRESETS
    for entry in answer["settings"].values():
        assert (entry["origin"], entry["place"], entry["default"]) == ("default", None, entry["value"])


def test_each_place_wins_over_those_before_it(root, write, monkeypatch):
    path = write({"port": 1, "idle_timeout_s": 1, "log_level": "debug"})
    monkeypatch.setenv("DGLD_PORT", "2")
    monkeypatch.setenv("DGLD_IDLE_TIMEOUT_S", "2")
    found = settings(root, "--port", 3)
    origins = {key: (found[key]["value"], found[key]["origin"], found[key]["place"]) for key in found}
    assert origins.pop("port") == (3, "flag", "--port")
    assert origins.pop("idle_timeout_s") == (2, "environment", "DGLD_IDLE_TIMEOUT_S")
    assert origins.pop("log_level") == ("debug", "file", str(path))
    assert {origin for _, origin, _ in origins.values()} == {"default"}


def test_people_read_the_same(root, write, monkeypatch):
    path = write({"log_level": "debug"})
    monkeypatch.setenv("DGLD_TLS_KEY_FILE", "")
    lines = run("config", "--insecure", root=root).stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(PRESETS)
    said = dict(line.split(maxsplit=1) for line in lines)
    assert re.fullmatch(r"8080 +default", said["port"])
    assert re.fullmatch(rf"debug +file {re.escape(str(path))}", said["log_level"])
    assert re.fullmatch(r'"" +environment DGLD_TLS_KEY_FILE', said["tls_key_file"])
    assert re.fullmatch(r"true +flag --insecure", said["insecure"])


@pytest.mark.parametrize(
    "flags, expected",
    [
        (["--insecure"], True),
        (["--insecure", "true"], True),
        (["--insecure=false"], False),
        (["--insecure", "false"], False),
        (["--insecure", "--insecure", "false"], False),
    ],
)
def test_a_boolean_flag_takes_a_value_or_none(flags, expected, root):
    assert settings(root, *flags)["insecure"]["value"] is expected


@pytest.mark.parametrize("flag", ["--body-max-bytes", "--body_max_bytes", "--body-max_bytes"])
def test_dashes_and_underscores_are_alike(flag, root):
    assert settings(root, flag, "2048")["body_max_bytes"]["value"] == 2048
    assert settings(root, f"{flag}=2048")["body_max_bytes"]["value"] == 2048


def test_settings_of_another_file(root, write):
    write({"port": 1})
    other = root / "other.json"
    other.write_text('{"batch_max": 5}')
    answer = run_json("config", "--config", other, root=root)
    assert answer["file"] == str(other)
    assert (answer["settings"]["batch_max"]["value"], answer["settings"]["port"]["value"]) == (5, 8080)


def test_texts_of_any_script_are_kept(root, write):
    path = 'dir "ä"/\U0001f512.pem'
    write({"tls_key_file": path, "tls_certificate_file": path})
    assert settings(root)["tls_key_file"]["value"] == path


def test_variables_reach_the_service(root, start, monkeypatch):
    monkeypatch.setenv("DGLD_BIND", "127.0.0.3")
    monkeypatch.setenv("DGLD_BODY_MAX_BYTES", "1024")
    daemon = start(root, "--body_max_bytes", 2048)
    assert daemon.log[-1]["message"].startswith("listening on http://127.0.0.3:")
    daemon.url = f"http://127.0.0.3:{daemon.port}"
    assert daemon.post(b" " * 2048).status_code == 400
    reply = daemon.post(b" " * 2049)
    assert reply.status_code == 413 and "2048" in reply.json()["detail"]


# ---- what is wrong is refused --------------------------------------------------------------------

WRONG_FLAGS = [
    (["--port", "http"], '--port must be a whole number from 0 to 65535, not "http"'),
    (["--batch_max", "0"], '--batch-max must be a whole number from 1 to 268435456, not "0"'),
    (["--log-level", "loud"], '--log-level must be one of error, warning, info, debug, not "loud"'),
    (["--insecure=1"], '--insecure must be true or false, not "1"'),
    (["--prot", "1"], "there is no flag --prot; did you mean --port?"),
    (["--tokens-file", "a\nb"], "--tokens-file must be a string of at most 1023 bytes"),
    (["--json", "--markdown"], "exclude each other"),
]


@pytest.mark.parametrize("flags, reason", WRONG_FLAGS, ids=[" ".join(flags) for flags, _ in WRONG_FLAGS])
def test_a_wrong_flag_is_wrong_usage(flags, reason, root):
    assert reason in refused(2, "config", *flags, root=root)
    if "--json" not in flags:
        assert reason in refused(2, "serve", *flags, root=root, timeout=20)


WRONG_VARIABLES = [
    ("DGLD_PORT", "http", 'environment: DGLD_PORT must be a whole number from 0 to 65535, not "http"'),
    ("DGLD_PORT", "", 'environment: DGLD_PORT must be a whole number from 0 to 65535, not ""'),
    ("DGLD_INSECURE", "yes", 'environment: DGLD_INSECURE must be true or false, not "yes"'),
    ("DGLD_PROT", "1", "environment: there is no setting for the variable DGLD_PROT; did you mean DGLD_PORT?"),
    ("DGLD_COLOUR", "1", "environment: there is no setting for the variable DGLD_COLOUR"),
    ("DGLD_BIND", "0.0.0.0", "DGLD_BIND: bind is 0.0.0.0, where anyone could call"),
    ("DGLD_SERVICE_HOST", "10.0.0.1", "enableServiceLinks: false"),
]


@pytest.mark.parametrize("command", ["serve", "config"])
@pytest.mark.parametrize("name, value, reason", WRONG_VARIABLES, ids=[f"{n}={v}" for n, v, _ in WRONG_VARIABLES])
def test_a_wrong_variable_is_refused_by_name(command, name, value, reason, root, monkeypatch):
    monkeypatch.setenv(name, value)
    assert reason in refused(1, command, root=root, timeout=20)


def test_other_commands_do_not_look_at_variables(root, monkeypatch):
    monkeypatch.setenv("DGLD_PROT", "1")
    assert run("costs", "--search_space", "nasbench201", "444244", root=root).returncode == 0


WRONG_FILES = [
    ('{"prot": 1}', 'there is no setting "prot"; did you mean "port"?'),
    ('{"log_level": "loud"}', "log_level must be one of error, warning, info, debug"),
    ('{"log_level": 2}', "log_level must be one of error, warning, info, debug"),
    ('{"bind": "192.0.2.1"}', "bind is 192.0.2.1, where anyone could call; name a tokens_file, or set"),
    ('{"tls_key_file": "key.pem"}', "tls_key_file is set and tls_certificate_file is not"),
    ('{"tls_certificate_file": "c.pem"}', "tls_certificate_file is set and tls_key_file is not"),
    ('{"cors_origins": "https://a.example/"}', '"https://a.example/" is none'),
    ('{"cors_origins": "https://a.example:443"}', "so it would never match"),
]


@pytest.mark.parametrize("command", ["serve", "config"])
@pytest.mark.parametrize("text, reason", WRONG_FILES, ids=[text for text, _ in WRONG_FILES])
def test_a_wrong_file_is_refused_with_key_and_reason(command, text, reason, root, write):
    path = write(text)
    said = refused(1, command, root=root, timeout=20)
    assert said.startswith(f"dgld: {path}: ") and reason in said


def test_config_says_nothing_where_the_settings_are_wrong(root):
    assert "bind is 0.0.0.0, where anyone could call" in refused(1, "config", "--bind", "0.0.0.0", root=root)
    assert run("config", "--bind", "0.0.0.0", "--insecure", root=root).returncode == 0


# ---- reload --------------------------------------------------------------------------------------


def hang_up(daemon, last):
    """Sends SIGHUP and returns the messages that are logged up to one that holds `last`."""
    daemon.process.send_signal(signal.SIGHUP)
    said = []
    while not said or last not in said[-1]:
        line = daemon.process.stderr.readline()
        assert line, f"the service ended: {said}"
        said.append(json.loads(line)["message"])
    return said


def limit_of(daemon):
    """The bound that a body beyond it is told."""
    reply = daemon.post(b" " * 40000)
    return int(re.search(r"\d+", reply.json()["detail"])[0]) if reply.status_code == 413 else None


def test_hangup_reloads_what_is_live_and_tells_the_rest(root, write, start):
    write({"body_max_bytes": 2000})
    daemon = start(root)
    assert limit_of(daemon) == 2000
    write({"body_max_bytes": 3000, "connections_max": 7, "port": 1})
    said = hang_up(daemon, "connections_max")
    assert "reloaded: body_max_bytes 2000 -> 3000" in said
    assert 'connections_max "10000" -> "7" takes effect at the next start' in said
    assert not [message for message in said if "port" in message]  # a flag of the start wins over it
    assert limit_of(daemon) == 3000
    write({})
    assert "reloaded: body_max_bytes 3000 -> 33554432" in hang_up(daemon, "body_max_bytes")
    assert limit_of(daemon) is None
    assert "reloaded: the settings are as they were" in hang_up(daemon, "as they were")
    assert daemon.stop()[0] == 0


@pytest.mark.parametrize(
    "text, reason",
    [
        ('{"body_max_bytes": 3000, "prot": 1}', 'there is no setting "prot"; did you mean "port"?'),
        ('{"body_max_bytes": 3000', "line 1, column "),
        ('{"body_max_bytes": 3000, "bind": "0.0.0.0"}', "bind is 0.0.0.0, where anyone could call"),
        ('{"body_max_bytes": 3000, "batch_max": 0}', "batch_max must be a whole number from 1"),
        ("", "empty"),
    ],
)
def test_hangup_with_a_wrong_file_changes_nothing(text, reason, root, write, start):
    path = write({"body_max_bytes": 2000})
    daemon = start(root)
    write(text)
    said = hang_up(daemon, "the settings stay as they are")[-1]
    assert str(path) in said and reason in said
    assert limit_of(daemon) == 2000
    write({"body_max_bytes": 3000})
    hang_up(daemon, "reloaded: body_max_bytes 2000 -> 3000")
    assert limit_of(daemon) == 3000


def test_a_named_file_that_is_gone_changes_nothing(root, start):
    path = root / "own.json"
    path.write_text('{"body_max_bytes": 2000}')
    daemon = start(root, "--config", path)
    path.unlink()
    assert "own.json" in hang_up(daemon, "the settings stay as they are")[-1]
    assert limit_of(daemon) == 2000


def test_flags_and_variables_win_after_a_reload_too(root, write, start, monkeypatch):
    monkeypatch.setenv("DGLD_BODY_MAX_BYTES", "2000")
    daemon = start(root, "--batch-max", 9)
    write({"body_max_bytes": 3000, "batch_max": 8, "drain_delay_ms": 1})
    said = hang_up(daemon, "drain_delay_ms")
    assert not [message for message in said if "body_max" in message or "batch_max" in message]
    assert limit_of(daemon) == 2000


def test_reloads_under_load_fail_no_request(root, write, start):
    write({})
    daemon = start(root)
    for turn in range(50):
        write({"body_max_bytes": 20000 + turn, "transfer_max_bytes": 100000 + turn})
        daemon.process.send_signal(signal.SIGHUP)
        body = {"search_space": "nasbench201", "hardware": [2, 3, 1, 7.46], "architectures": ["444244"]}
        assert daemon.post(body).status_code == 200
    assert daemon.stop()[0] == 0


def test_a_reloaded_poll_period_is_kept_from_then_on(root, write, start):
    served = root / "result" / "fbnetv3" / "pretrainmodel.safetensors"
    other = root / "other.safetensors"
    write({"model_poll_ms": 0})
    daemon = start(root)
    shutil.copy(served, other)
    other.replace(served)
    write({"model_poll_ms": 20})
    said = hang_up(daemon, "serving fbnetv3")  # SIGHUP looks at models, whatever the period is
    assert "reloaded: model_poll_ms 0 -> 20" in said
    shutil.copy(served, other)
    other.replace(served)
    line = json.loads(daemon.process.stderr.readline())  # without a signal now
    assert "serving fbnetv3" in line["message"]
