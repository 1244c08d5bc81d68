"""Libraries that are loaded when they are first needed (core/late_library.h): where they cannot be, all goes on but
the one operation, which says what to install."""

import os
import re

import pytest
import requests
from conftest import ROOT, Service, refused
from job_tools import add_search_table, nas

SONAMES = re.findall(r'^#define \w+_SONAME "(\S+)"$', (ROOT / "build/generated/late_sonames.h").read_text(), re.M)


@pytest.fixture
def without(tmp_path, monkeypatch):
    """All that is started finds files in their places that are no libraries."""
    assert len(SONAMES) == 3
    (tmp_path / "broken").mkdir()
    for soname in SONAMES:
        (tmp_path / "broken" / soname).write_text("no library")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path / "broken"))


def soname_of(name):
    return next(soname for soname in SONAMES if soname.startswith(name))


def test_a_daemon_without_them_serves_all_but_the_export_that_needs_one(small, without):
    add_search_table(small)
    daemon = Service(small)
    try:
        for _ in range(2):  # it is tried again
            job = daemon.post(nas(export=["torchscript"]), path="/v1/jobs", Prefer="wait=30").json()
            assert job["state"] == "failed" and f"{soname_of('libzip')} cannot be used" in job["error"], job
            assert "install the package libzip4" in job["error"]
        job = daemon.post(nas(export=["onnx"]), path="/v1/jobs", Prefer="wait=30").json()
        assert job["state"] == "succeeded", job
        assert requests.get(daemon.url + "/readyz", timeout=30).json() == {"status": "ready"}
    finally:
        assert daemon.stop()[0] == 0


@pytest.mark.parametrize("name, package, arguments", [
    ("libcurl", "libcurl3-gnutls", ["jobs", "list"]),
    ("libcurl", "libcurl3-gnutls", ["health", "--url", "http://127.0.0.1:1"]),
    ("libpq", "libpq5", ["serve", "--port", 0, "--job-store", "postgresql://role:secret@127.0.0.1:1/db"]),
    ("libzip", "libzip4", ["export", "444244", "--search_space", "nasbench201", "--file", "{}/out.pt"]),
])
def test_a_command_without_one_says_what_to_install(name, package, arguments, without, tmp_path):
    said = refused(1, *[str(argument).format(tmp_path) for argument in arguments])
    assert f"{soname_of(name)} cannot be used" in said and f"install the package {package}," in said, said
    assert "secret" not in said and not list(tmp_path.glob("out*"))
