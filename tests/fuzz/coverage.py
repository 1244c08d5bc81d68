"""Prints how much of core/, proto/ and server/ was run, by lines and by branches, and the files of which most
was not: coverage.py PART ..., where parts are `fuzz` (the fuzz targets on the inputs that are kept), `unit` (the C
tests) and `api` (the tests in Python, which takes minutes). Each part is told alone, then all together. `make coverage`
builds what this runs. A process that is killed leaves no record."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "coverage"
RECORDS = BUILD / "records"
DIRECTORIES = ("core", "proto", "server")
N_WORST = 25


def tool(name):
    return shutil.which(f"{name}-14") or name


def run_program(path, environment):
    done = subprocess.run([path], cwd=ROOT, env=environment, capture_output=True, text=True, errors="replace")
    if done.returncode != 0:
        print(f"{path.name} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def run_part(part):
    """Runs the part's tests; their records are merged into one file."""
    records = RECORDS / part
    shutil.rmtree(records, ignore_errors=True)
    records.mkdir(parents=True)
    environment = dict(os.environ, OPENBLAS_NUM_THREADS="1", LLVM_PROFILE_FILE=f"{records}/%8m.profraw")
    if part == "api":
        environment["DGLD_TEST_BINARY"] = str(BUILD / "dgld")
        command = [ROOT / "build/venv/bin/python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/api"]
        subprocess.run([*command, "-n", "2", "--dist", "loadfile"], cwd=ROOT, env=environment)
    else:
        kind, pattern = {"fuzz": ("fuzz", "fuzz_*"), "unit": ("unit", "test_*")}[part]
        for path in sorted((BUILD / "tests" / kind).glob(pattern)):
            if not path.suffix:
                run_program(path, environment)
    merged = RECORDS / f"{part}.profdata"
    merge(sorted(records.glob("*.profraw")), merged)
    return merged


def merge(records, out):
    listing = out.with_suffix(".list")
    listing.write_text("".join(f"{record}\n" for record in records))
    arguments = ["merge", "-sparse", "-failure-mode=all", f"-input-files={listing}", "-o", out]
    subprocess.run([tool("llvm-profdata"), *arguments], check=True)


def files_of(profile):
    """By file below the root: lines and branches, each (number, run)."""
    # the program holds all objects; records of the test programs are of the same ones
    arguments = ["export", "-summary-only", f"-instr-profile={profile}", BUILD / "dgld"]
    told = subprocess.run([tool("llvm-cov"), *arguments], check=True, capture_output=True, text=True)
    files = {}
    for file in json.loads(told.stdout)["data"][0]["files"]:
        path = os.path.relpath(file["filename"], ROOT)
        if path.split("/")[0] in DIRECTORIES:
            files[path] = {kind: (file["summary"][kind]["count"], file["summary"][kind]["covered"])
                           for kind in ("lines", "branches")}  # fmt: skip
    return files


def percent(rows, kind):
    count, covered = (sum(row[kind][i] for row in rows) for i in (0, 1))
    return f"{100 * covered / count if count else 100:6.1f} %"


def report(title, files):
    print(f"\n{title:32} lines    branches")
    for directory in DIRECTORIES:
        rows = [row for path, row in files.items() if path.startswith(directory + "/")]
        print(f"{directory:30} {percent(rows, 'lines')}  {percent(rows, 'branches')}")
    print(f"{'all':30} {percent(files.values(), 'lines')}  {percent(files.values(), 'branches')}")


def report_worst(files):
    def missed(path):
        return sum(files[path][kind][0] - files[path][kind][1] for kind in ("lines", "branches"))

    print(f"\nmost is not run of               lines    branches   not run: lines, branches")
    for path in sorted(files, key=missed, reverse=True)[:N_WORST]:
        row = files[path]
        left = [row[kind][0] - row[kind][1] for kind in ("lines", "branches")]
        print(f"{path:30} {percent([row], 'lines')}  {percent([row], 'branches')}  {left[0]:6} {left[1]:6}")


def main():
    parts = sys.argv[1:] or ["fuzz", "unit", "api"]
    unknown = [part for part in parts if part not in ("fuzz", "unit", "api")]
    if unknown:
        sys.exit(f"coverage.py: there is no part {unknown[0]}; there are fuzz, unit and api")
    profiles = [run_part(part) for part in parts]
    for part, profile in zip(parts, profiles):
        report(part, files_of(profile))
    whole = RECORDS / "all.profdata"
    merge(profiles, whole)
    files = files_of(whole)
    report("together", files)
    report_worst(files)


if __name__ == "__main__":
    main()
