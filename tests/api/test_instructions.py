"""The paths that most requests take need no more instructions than are kept in tests/bench/instructions.json."""

import json
import sys

import pytest
from conftest import ROOT

sys.path.append(str(ROOT / "tests" / "bench"))

import instructions  # noqa: E402

SAMPLE = ["json_single", "http_single"]
KEPT = json.loads(instructions.KEPT.read_text())


def test_every_path_is_kept():
    assert list(KEPT) == [*instructions.PATHS, "http_single"]


def check(name):
    """Where it shrank by as much, what is kept allows more than it should: then keep the new count too."""
    count = instructions.count_all([name])[name]
    ratio = count / KEPT[name]
    assert 1 / instructions.MARGIN < ratio < instructions.MARGIN, (
        f"{name} takes {count:.1f} instructions, {ratio:.2f} of what is kept; if that is meant: make instructions INSTRUCTIONS_FLAGS=--write"
    )


@pytest.mark.parametrize("name", SAMPLE)
def test_a_path_does_not_grow_unseen(name):
    check(name)


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in KEPT if name not in SAMPLE])
def test_a_path_does_not_grow_unseen_at_length(name):
    check(name)
