"""Checks that no compiler makes: include arrows, what only some files may include, documented settings
and flags, the bounds that SECURITY.md tells, and that no file of a measured data set stands in the tree. Prints what is wrong."""

import hashlib
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
ARROWS = {"core": {"core"}, "proto": {"core", "proto"}, "server": {"core", "proto", "server"}}
ONLY_IN = {
    "microhttpd.h": {"server/http", "server/respond"},
    "uv.h": {"server/loop.c", "server/worker.c"},
    "jansson.h": {"proto/", "server/command_serve.c"},
    "dlfcn.h": {"core/late_library.c"},
    "curl/curl.h": {"server/libcurl.h"},
    "libpq-fe.h": {"server/libpq.h", "server/postgres.h"},
    "pthread.h": {"core/late_library.c", "server/"},
    "onnx.pb-c.h": {"proto/onnx.c"},
    "zip.h": {"proto/libzip.h"},
    "gnutls/abstract.h": {"server/tls."},
    "gnutls/gnutls.h": {"server/tls."},
    "gnutls/x509.h": {"server/tls."},
}


def tracked():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for path in listed.split("\0") if path and (ROOT / path).is_file()]


def check_includes(path, text):
    layer = path.split("/")[0]
    for line, include in enumerate(text.splitlines(), 1):
        own = re.match(r'#include "([^"]+)"', include)
        system = re.match(r"#include <([^>]+)>", include)
        if own and own[1].split("/")[0] not in ARROWS[layer]:
            yield f"{path}:{line}: {layer} must not include {own[1]}"
        allowed = ONLY_IN.get(system[1]) if system else None
        if allowed and not any(path.startswith(place) for place in allowed):
            yield f"{path}:{line}: only {', '.join(sorted(allowed))} may include {system[1]}"


def check_suppressions(path, text):
    """What keeps a tool quiet says why: in the same comment, or in one on the line before."""
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        found = re.search(r"(?:/\*|//)(.*(?:NOLINT|cppcheck-suppress).*)|#pragma GCC diagnostic ignored", line)
        if found:
            comments = (found[1] or "") + (lines[number - 2] if re.search(r"/\*|//|\*/", lines[number - 2]) else "")
            words = re.sub(r"NOLINT\w*(\([^)]*\))?|cppcheck-suppress \S+|[/*;]", "", comments)
            words += re.search(r"/\*(.*?)\*/", line)[1] if "NOLINT" in line and line.count("/*") + line.count("//") > 1 else ""
            if not re.search(r"[A-Za-z_]{2,}", words):
                yield f"{path}:{number}: say why the tool is wrong here"


def check_settings():
    """The keys alone; tests/api/test_config.py compares the files with what the program prints, word for word."""
    table = (ROOT / "server" / "config.c").read_text()
    named = re.findall(r"^    (?:TEXT|WHOLE|CHOICE|BOOLEAN)\((\w+),", table, re.M)
    shipped = list(json.loads((ROOT / "config" / "dgld.json").read_text()))
    documented = re.findall(r"^\| `(\w+)` \|", (ROOT / "config" / "README.md").read_text().split("\n## Keys\n")[1], re.M)
    if not named:
        yield "server/config.c: no row of the table of settings was found"
    for file, keys in (("config/dgld.json", shipped), ("config/README.md", documented)):
        for key in sorted(set(named) ^ set(keys)):
            yield f"{file} and server/config.c do not agree on the setting {key}"
        if set(named) == set(keys) and named != keys:
            yield f"{file} has the settings in another order than server/config.c"


def check_style(path, text):
    """A view of the dashboard styles itself alone: all of its file stands within its class."""
    view = re.fullmatch(r"server/web/dashboard/src/(\w+)/\w+\.css", path)
    for line, rule in enumerate(text.splitlines(), 1):
        if view and re.match(r"[^\s}/]", rule) and rule != f".{view[1]} {{":
            yield f"{path}:{line}: {rule.split('{')[0].strip()} is not within .{view[1]}; what views share is in style.css"


def value_of(text):
    """A number as documents write it ("1 MiB", "8,388,608"), or as C does ("(size_t)1 << 20", "16 << 10")."""
    text = re.sub(r"\((?:size_t|int64_t)\)", "", text.replace(",", "")).strip()
    unit = re.fullmatch(r"([0-9]+) ([KMG])iB", text)
    if unit:
        return int(unit[1]) << {"K": 10, "M": 20, "G": 30}[unit[2]]
    number = re.fullmatch(r"\(*([0-9]+)\)*(?: *<< *([0-9]+))?\)*", text)
    return int(number[1]) << int(number[2] or 0) if number else None


def check_bound(name, file, value):
    """A row of SECURITY.md against the setting, or the constant of that file."""
    if file is None:
        settings = json.loads((ROOT / "config" / "dgld.json").read_text())
        if settings.get(name) != value_of(value):
            yield f"SECURITY.md: the setting {name} is {settings.get(name)}, not {value}"
        return
    source = (ROOT / file).read_text() if (ROOT / file).is_file() else ""
    found = re.search(rf"(?:#define {name} +|\b{name} = )([^,}}\n/]+)", source)
    if not found or value_of(found[1]) != value_of(value) or value_of(value) is None:
        yield f"SECURITY.md: {name} in {file} is {found[1].strip() if found else 'not there'}, not {value}"


def check_security():
    """Each bound has the value that is told, and each test that is named is there."""
    text = (ROOT / "SECURITY.md").read_text()
    rows = re.findall(r"^\| `(\w+)`(?: in `([^`]+)`)? \| ([^|]+) \| [^|]+ \| `([^`]+)` `(\w+)` \|$", text, re.M)
    table = text.split("\n## What each bound is for\n")[1].split("\n## ")[0]
    if len(rows) != table.count("\n| `") or not rows:
        yield "SECURITY.md: a row of the table of bounds is not of the form: | `name` in `file` | value | against | `file` `test` |"
    for name, file, value, test_file, test in rows:
        yield from check_bound(name, file or None, value)
        path = ROOT / test_file
        if not path.is_file() or not re.search(rf"^(?:def|static void) {test}\(", path.read_text(), re.M):
            yield f"SECURITY.md: there is no test {test} in {test_file}"
    for file in re.findall(r"`((?:server|tests|config|deploy)/[\w./]+\.\w+)`", text):
        if not (ROOT / file).is_file():
            yield f"SECURITY.md: there is no file {file}"


def check_data(paths):
    shared = ROOT.parent / "shared" / "data"
    if not shared.is_dir():
        return
    sums = {hashlib.sha256(p.read_bytes()).digest() for p in shared.rglob("*") if p.is_file() and p.stat().st_size > 400}
    for path in paths:
        if hashlib.sha256((ROOT / path).read_bytes()).digest() in sums:
            yield f"{path} is a file of the measured data, which must not be committed"


def main():
    paths = tracked()
    complaints = []
    for path in paths:
        if path.split("/")[0] in ARROWS and path.endswith((".c", ".h")):
            complaints += check_includes(path, (ROOT / path).read_text())
            complaints += check_suppressions(path, (ROOT / path).read_text())
        if path.endswith(".css"):
            complaints += check_style(path, (ROOT / path).read_text())
    complaints += check_settings()
    complaints += check_security()
    complaints += check_data(paths)
    print("\n".join(complaints), end="\n" if complaints else "")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
