"""Facts that stand in a second place, which cannot ask the first: both say the same."""

import json
import re

import pytest
from conftest import BUILT_IN, ROOT
from test_contract import CONTRACT


def text_of(path):
    return (ROOT / path).read_text()


def words_of(dictionary):
    return re.findall(r'^"(.*)"$', text_of(f"tests/fuzz/dictionary/{dictionary}.dict"), re.M)


@pytest.mark.parametrize("name, schema", [("KINDS", "JobKind"), ("STATES", "JobState")])
def test_the_dashboard_filters_jobs_by_what_the_contract_lists(name, schema):
    (listed,) = re.findall(rf"const {name} = (\[.*\]);", text_of("server/web/dashboard/src/jobs/job_list.jsx"))
    assert json.loads(listed) == CONTRACT["components"]["schemas"][schema]["enum"]


@pytest.mark.parametrize(
    "path, pattern, separator",
    [
        ("server/options.c", r'"search-space".*\s*"(.*), or one that', ", "),
        ("Makefile", r"for s in (.*); do", " "),
        ("deploy/link-data.sh", r"for space in (.*); do", " "),
    ],
)
def test_the_built_in_spaces_are_named_wherever_all_are(path, pattern, separator):
    (named,) = re.findall(pattern, text_of(path))
    assert named.split(separator) == BUILT_IN


@pytest.mark.parametrize(
    "path, phrase",
    [
        ("README.md", "a header beyond {}"),
        ("proto/openapi.yaml", "whose header exceeds {}"),
        ("deploy/systemd/README.md", "{} and the system's\n  buffers a connection"),
    ],
)
def test_the_memory_of_a_connection_is_told_as_it_is(path, phrase):
    (kib,) = re.findall(r"#define CONNECTION_BYTES \(\(size_t\)(\d+) << 10\)", text_of("server/http.c"))
    assert phrase.format(f"{kib} KiB") in text_of(path)


def test_the_fuzzers_know_every_setting():
    settings = json.loads(text_of("config/dgld.json"))
    assert [word for key in settings for word in (key, f"DGLD_{key.upper()}") if word not in words_of("config")] == []


def test_the_fuzzers_know_every_flag():
    flags = re.findall(r'^    \{"([a-z-]+)",\s+FLAG_', text_of("server/options.c"), re.M)
    assert len(flags) > 50
    flags += [key.replace("_", "-") for key in json.loads(text_of("config/dgld.json"))]
    assert [flag for flag in flags if f"--{flag}" not in words_of("options")] == []


def test_the_fuzzers_know_every_path():
    words = words_of("http")
    shapes = {path: re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)) for path in CONTRACT["paths"]}
    assert [path for path, shape in shapes.items() if not any(re.fullmatch(shape, word) for word in words)] == []
