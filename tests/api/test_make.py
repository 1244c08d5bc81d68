"""What the Makefile says where something is missing."""

import os
import subprocess

import pytest
from conftest import ROOT


@pytest.mark.parametrize("library, package", [("libmicrohttpd", "libmicrohttpd-dev"), ("jansson", "libjansson-dev")])
def test_a_missing_library_is_named_with_its_package(library, package, tmp_path):
    """pkg-config sees all the others, by copies of what describes them."""
    search = subprocess.run(["pkg-config", "--variable", "pc_path", "pkg-config"], capture_output=True, text=True, check=True)
    for folder in search.stdout.strip().split(":"):
        if os.path.isdir(folder):
            for file in os.listdir(folder):
                if file != f"{library}.pc" and not (tmp_path / file).exists():
                    (tmp_path / file).symlink_to(os.path.join(folder, file))
    environment = dict(os.environ, PKG_CONFIG_LIBDIR=str(tmp_path))
    done = subprocess.run(["make", "check-libraries"], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode != 0
    assert f"{library} is missing: apt-get install {package}" in done.stderr


def test_data_without_a_place_says_how():
    done = subprocess.run(["make", "data"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0 and "make data FROM=" in done.stderr


def test_an_unknown_fuzz_target_is_named_with_those_there_are():
    done = subprocess.run(["make", "fuzz", "F=nope"], cwd=ROOT, capture_output=True, text=True)
    names = {path.stem.removeprefix("fuzz_") for path in (ROOT / "tests" / "fuzz").glob("fuzz_*.c")}
    assert done.returncode != 0 and names
    assert "there is no fuzz target nope; there are" in done.stderr
    assert names <= set(done.stderr.replace(".", " ").split())
