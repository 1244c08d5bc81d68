"""Runs the fuzz targets (tests/fuzz/README.md):

    fuzz.py run [NAME] --seconds N   looks for inputs that break something
    fuzz.py minimise [NAME]          takes what was found into the corpora, which stay small

What a run finds on its way is kept in build/fuzz/found/<name>/; an input that breaks something is put into
tests/fuzz/regress/<name>/ at once. Executions are added up in build/fuzz/executions.csv."""

import argparse
import csv
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
FUZZ = ROOT / "tests" / "fuzz"
PROGRAMS = ROOT / "build" / "fuzz" / "tests" / "fuzz"
FOUND = ROOT / "build" / "fuzz" / "found"
LEDGER = ROOT / "build" / "fuzz" / "executions.csv"

# A corpus is replayed by every `make test`, and read by people: no more than this of it, nor larger.
KEPT_FILES = 500
KEPT_BYTES = 4096
# The whole service takes longer for an input, and its threads leak what they hold when they are looked at.
SERVICE = {"flags": ["-detect_leaks=0", "-rss_limit_mb=4096"]}

# name: group, dictionary, largest input, and what is different of it
TARGETS = {
    "json": ("messages", "json", 4096, {}),
    "predict": ("messages", "json", 4096, {}),
    "infer": ("messages", "json", 4096, {}),
    "job": ("messages", "json", 4096, {}),
    "message": ("messages", "json", 4096, {}),
    "notation": ("notations", "json", 1024, {}),
    "space": ("notations", "json", 8192, {}),
    "contract": ("notations", "text", 4096, {}),
    "table": ("files", "text", 4096, {}),
    "measurements": ("files", "json", 4096, {}),
    "accuracy_data": ("files", "text", 8192, {}),
    "safetensors": ("files", "weights", 4096, {}),
    "model": ("files", "weights", 8192, {"bytes": 8192}),
    "config": ("settings", "config", 4096, {}),
    "tokens": ("settings", "json", 4096, {}),
    "options": ("settings", "options", 2048, {}),
    "header": ("headers", "text", 512, {}),
    "path": ("headers", "http", 512, {}),
    "http": ("service", "http", 8192, SERVICE),
    "api": ("service", "http", 8192, SERVICE),
}


def command(name, *flags):
    _, dictionary, max_bytes, different = TARGETS[name]
    given = [f"-dict={FUZZ / 'dictionary' / dictionary}.dict", f"-max_len={max_bytes}", "-timeout=60"]
    return [str(PROGRAMS / f"fuzz_{name}"), *given, *different.get("flags", []), *flags]


def follow(arguments):
    """Runs a program and yields its lines, without those of the service's log."""
    environment = dict(os.environ, OPENBLAS_NUM_THREADS="1", ASAN_OPTIONS="allocator_may_return_null=1")
    process = subprocess.Popen(
        arguments, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace"
    )
    for line in process.stdout:
        if not line.startswith('{"time":'):
            yield line.rstrip("\n")
    process.wait()
    yield f"ended with {process.returncode}"


def run(name, seconds):
    """Returns whether nothing broke."""
    group = TARGETS[name][0]
    regress, found = FUZZ / "regress" / name, FOUND / name
    made = not regress.exists()
    regress.mkdir(parents=True, exist_ok=True)
    found.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    flags = [f"-max_total_time={seconds}", "-print_final_stats=1", "-report_slow_units=600", "-reload=0"]
    flags += [f"-artifact_prefix={regress}/", str(found), str(FUZZ / "corpus" / name)]
    executions, edges, code, last = 0, 0, "", []
    for line in follow(command(name, *flags)):
        last = (last + [line])[-60:]
        edges = int(re.search(r"cov: (\d+)", line)[1]) if re.search(r"cov: (\d+)", line) else edges
        # where it broke there is no final line, but that of the last report
        counted = re.search(r"^#(\d+)|number_of_executed_units: (\d+)", line)
        executions = max(executions, int(counted[1] or counted[2])) if counted else executions
        code = line.removeprefix("ended with ") if line.startswith("ended with") else code
    if made and not any(regress.iterdir()):
        regress.rmdir()
    ledger(group, name, time.monotonic() - began, executions, edges, code)
    print(f"{name}: {executions} executions, {edges} edges" + ("" if code == "0" else ", BROKE"), flush=True)
    if code != "0":
        print("\n".join(last), flush=True)
    return code == "0"


def ledger(*row):
    new = not LEDGER.exists()
    with open(LEDGER, "a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(["group", "target", "seconds", "executions", "edges", "exit"])
        writer.writerow([row[0], row[1], f"{row[2]:.0f}", *row[3:]])


def minimise(name):
    """The fewest inputs, of the smallest, that reach what all reach."""
    different = TARGETS[name][3]
    corpus, found = FUZZ / "corpus" / name, FOUND / name
    with tempfile.TemporaryDirectory() as scratch:
        merged, small = pathlib.Path(scratch) / "merged", pathlib.Path(scratch) / "small"
        merged.mkdir()
        small.mkdir()
        for path in [*corpus.glob("*"), *found.glob("*")]:
            if path.stat().st_size <= different.get("bytes", KEPT_BYTES):
                shutil.copy(path, small / path.name)
        for line in follow(command(name, "-set_cover_merge=1", "-use_value_profile=0", str(merged), str(small))):
            end = line
        kept = sorted(merged.iterdir(), key=lambda path: path.stat().st_size)
        if end != "ended with 0" or not kept:
            print(f"{name}: the corpus stays as it is: {end}")
            return False
        shutil.rmtree(corpus, ignore_errors=True)
        corpus.mkdir(parents=True)
        for path in kept[: different.get("files", KEPT_FILES)]:
            content = path.read_bytes()
            (corpus / hashlib.sha1(content).hexdigest()[:16]).write_bytes(content)
    files = list(corpus.iterdir())
    print(f"{name}: {len(files)} inputs of {sum(path.stat().st_size for path in files)} bytes", flush=True)
    return True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=["run", "minimise"])
    parser.add_argument("name", nargs="?", default="")
    parser.add_argument("--seconds", type=int, default=60)
    arguments = parser.parse_args()
    sources = {path.stem.removeprefix("fuzz_") for path in FUZZ.glob("fuzz_*.c")}
    if sources != set(TARGETS):
        sys.exit(f"fuzz.py and tests/fuzz/ do not agree on {', '.join(sorted(sources ^ set(TARGETS)))}")
    if arguments.name and arguments.name not in TARGETS:
        sys.exit(f"there is no fuzz target {arguments.name}; there are {', '.join(TARGETS)}")
    names = [arguments.name] if arguments.name else list(TARGETS)
    done = [run(name, arguments.seconds) if arguments.verb == "run" else minimise(name) for name in names]
    return 0 if all(done) else 1


if __name__ == "__main__":
    sys.exit(main())
