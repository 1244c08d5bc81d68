"""Half an hour of mixed load: the service does not grow."""

import sys

import pytest
from conftest import ROOT

sys.path.append(str(ROOT / "tests" / "bench"))

from soak import FLAT, run_soak  # noqa: E402

SECONDS = 1800


@pytest.mark.long
def test_memory_and_descriptors_are_flat_under_mixed_load_at_length(tmp_path):
    memory, descriptors, wrong, n, code = run_soak(tmp_path / "root", SECONDS)
    assert wrong == [] and code == 0
    assert memory <= FLAT and descriptors <= FLAT, (memory, descriptors)
    assert min(n.values()) > 10, n
