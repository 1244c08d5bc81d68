"""Wrong usage: exit code 2, a sentence, and nothing written."""

import pytest
from conftest import refused, run, snapshot

WRONG = [
    ([], "say what to do: serve, train, test, nas, predict, suggest, costs, export, config, token, jobs, backup or health"),
    (["fly"], 'there is no command "fly"'),
    (["train"], "train needs --search_space: nasbench201, fbnetv3"),
    (["test", "--search_space", "darts"], 'there is no search space "darts"; there are nasbench201, fbnetv3'),
    (["train", "--search_space", "NASBENCH201"], 'there is no search space "NASBENCH201"'),
    (["train", "--search_space"], "--search-space needs a value"),
    (["train", "--fast"], "there is no flag --fast"),
    (["train", "--"], "train needs --search_space"),
    (["train", "--mode", "test", "--search_space", "nasbench201"], "train and test cannot be done in one call"),
    (["--mode", "dance"], 'there is no command "dance"'),
    (["train", "--search_space", "nasbench201", "--holdout"], "--holdout is not a flag of train"),
    (["train", "--search_space", "nasbench201", "--port", "1"], "--port is not a flag of train"),
    (["test", "--search_space", "nasbench201", "444244"], 'test does not take "444244"'),
    (["test", "--search_space", "nasbench201", "--json=yes"], "--json takes no value"),
    (["train", "--search_space", "nasbench201", "--predictor", "magic"], 'there is no predictor "magic"'),
    (["test", "--search_space", "nasbench201", "--holdout", "--predictor", "magic"], 'there is no predictor "magic"'),
    (["train", "--search_space", "nasbench201", "--train_devices", "Near,,Far"], "--train_devices"),
    (["train", "--search_space", "nasbench201", "--train_devices", ""], "--train_devices"),
    (["train", "--search_space", "nasbench201", "--train_devices", "../x"], "--train_devices"),
    (["test", "--search_space", "nasbench201", "--test_devices", "Near,Near"], "Near is named twice"),
    (["train", "--search_space", "nasbench201", "--train_devices", "Near,Near"], "Near is named twice"),
    (["predict", "--search_space", "nasbench201", "444244"], "predict needs one of --hardware F,D,C,M and --device"),
    (
        ["predict", "--search_space", "nasbench201", "444244", "--device", "Near", "--hardware", "2,3,1,7"],
        "predict needs one of --hardware F,D,C,M and --device",
    ),
    (["predict", "--search_space", "nasbench201", "--hardware", "2,3,1,7"], "predict needs architectures"),
    (["costs", "--search_space", "fbnetv3"], "costs needs architectures"),
    (["serve", "--shipped", "nowhere"], "--shipped: there is no directory nowhere"),
    (["serve", "--port", "65536"], "--port must be a whole number from 0 to 65535"),
    (["serve", "--port", "-1"], "--port must be a whole number from 0 to 65535"),
    (["serve", "--port", "http"], "--port must be a whole number from 0 to 65535"),
]


@pytest.mark.parametrize("arguments, reason", WRONG, ids=[" ".join(a) or "nothing" for a, _ in WRONG])
def test_wrong_usage_is_said_and_nothing_is_written(arguments, reason, small):
    before = snapshot(small)
    said = refused(2, "--root", small, *arguments)
    assert reason in said
    assert snapshot(small) == before


@pytest.mark.parametrize("seed", ["-1", "x", "1.5", "", "1e3", "0x10", "9223372036854775808", "1 2"])
@pytest.mark.parametrize("command", ["train", "test"])
def test_seed_that_is_no_whole_number_is_refused(command, seed, small):
    before = snapshot(small)
    said = refused(2, command, "--search_space", "nasbench201", "--seed", seed, root=small)
    assert f'--seed must be a whole number from 0 to 9223372036854775807, not "{seed}"' in said
    assert snapshot(small) == before


def test_largest_seed_is_taken(small):
    arguments = ("train", "--search_space", "nasbench201", "--seed", "9223372036854775807")
    assert run(*arguments, root=small).returncode == 0


@pytest.mark.parametrize("command", ["train", "test"])
def test_unknown_device_is_refused_by_name(command, small):
    before = snapshot(small)
    said = refused(1, command, "--search_space", "nasbench201", f"--{command}_devices", "Nokia 3310", root=small)
    assert '"Nokia 3310"' in said
    assert snapshot(small) == before


@pytest.mark.parametrize("command", ["train", "test"])
def test_device_named_twice_in_two_spellings_is_refused(command, small):
    before = snapshot(small)
    said = refused(1, command, "--search_space", "nasbench201", f"--{command}_devices", "Near,nEAR", root=small)
    assert "Near is named twice" in said
    assert snapshot(small) == before


@pytest.mark.parametrize("command", ["", "serve", "train", "test", "predict", "costs", "config", "jobs", "health"])
def test_help_names_command_and_flags(command):
    done = run(*filter(None, [command]), "--help")
    assert done.returncode == 0 and done.stderr == ""
    assert f"dgld {command}" in done.stdout
    assert ("--help" in done.stdout.replace("COMMAND --help", "")) == bool(command)
    assert ("--root" in done.stdout) == (command not in ("", "jobs"))


def test_exit_codes_are_in_the_help():
    assert "0 done, 1 failed, 2 wrong usage, 3 no architecture meets the limit" in run("--help").stdout


def test_version_is_printed():
    done = run("--version")
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith("dgld ")


@pytest.mark.parametrize("flag", ["--root", "--data_path", "--shipped"])
def test_an_empty_path_is_not_the_file_systems_root(flag):
    done = run("train", "--search_space", "nasbench201", flag, "")
    assert done.returncode == 2 and "needs a value" in done.stderr
