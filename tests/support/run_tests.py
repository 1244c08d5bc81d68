"""Runs the C test programs of a build mode (unit tests, and the fuzz targets on the inputs that are kept), in
release mode the Python tests too, and closes with one line `N passed, N failed` (and `, N skipped` where there were any).

A C program speaks TAP; one that dies, or that runs fewer tests than it announced, counts as failed.
"""

import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[2]
C_TIMEOUT_S = 600
TSAN_SUPPRESSIONS = ROOT / "tests" / "support" / "tsan.supp"
# Each waits for disks and children half of its time; more than four at once starve what they start.
N_AT_ONCE = max(1, min(len(os.sched_getaffinity(0)), 4))


def run_c_program(path, environment):
    """Returns (passed, failed, skipped) of one TAP program."""
    began = time.monotonic()
    try:
        done = subprocess.run(
            [path], cwd=ROOT, env=environment, capture_output=True, text=True, errors="replace", timeout=C_TIMEOUT_S
        )
        output, trouble, code = done.stdout, done.stderr, done.returncode
    except subprocess.TimeoutExpired as expired:
        output, trouble, code = str(expired.stdout or ""), f"no end after {C_TIMEOUT_S} s", 1
    plan = re.search(r"^1\.\.(\d+)", output, re.M)
    skipped = len(re.findall(r"^(?:not )?ok .*# SKIP", output, re.M))  # cmocka says "not ok" of a skipped test
    passed = len(re.findall(r"^ok (?!.*# SKIP)", output, re.M))
    failed = len(re.findall(r"^not ok (?!.*# SKIP)", output, re.M))
    missing = (int(plan[1]) if plan else 1) - passed - failed - skipped
    failed += max(missing, 0)
    if code != 0 and failed == 0:
        failed = 1
    said = f"{'ok  ' if failed == 0 else 'FAIL'} {path.name}: {passed} passed, {failed} failed, {skipped} skipped"
    said += f" in {time.monotonic() - began:.1f} s"
    print(said + (f"\n{output[-8000:]}\n{trouble[-8000:]}" if failed else ""), flush=True)
    return passed, failed, skipped


def run_pytest(match, environment):
    """Returns (passed, failed, skipped) of the Python tests."""
    report = ROOT / "build" / "pytest.xml"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", "tests/api"]
    command += ["-n", str(N_AT_ONCE), "--dist", "loadfile", "--durations=10"]
    if match:
        command += ["-k", match]
    code = subprocess.run(command, cwd=ROOT, env=environment).returncode
    if not report.exists():
        print("FAIL pytest left no report")
        return 0, 1, 0
    suite = xml.etree.ElementTree.parse(report).getroot().find("testsuite")
    total, skipped = int(suite.get("tests")), int(suite.get("skipped"))
    failed = int(suite.get("failures")) + int(suite.get("errors"))
    if code not in (0, 5) and failed == 0:
        failed = 1
    return max(total - failed - skipped, 0), failed, skipped


def print_reports(kept):
    """What ThreadSanitizer wrote, whoever ended of it: a test may kill its daemon, or look at no exit code. Returns how many."""
    reports = sorted(kept.glob("report.*"))
    for report in reports:
        print(f"FAIL {report.relative_to(ROOT)}\n{report.read_text(errors='replace')[:8000]}")
    return len(reports)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", default="release", choices=["release", "asan", "tsan"])
    parser.add_argument("--match", default="")
    parser.add_argument("--api", default="", help="with a sanitizer: the Python tests that match, instead")
    arguments = parser.parse_args()

    environment = dict(os.environ, CMOCKA_MESSAGE_OUTPUT="TAP", OPENBLAS_NUM_THREADS="1")
    environment["ASAN_OPTIONS"] = "detect_leaks=1:abort_on_error=0"
    tsan = f"halt_on_error=1:second_deadlock_stack=1:suppressions={TSAN_SUPPRESSIONS}"
    environment["TSAN_OPTIONS"] = tsan
    if arguments.mode != "release":
        environment["DGLD_TEST_BINARY"] = str(ROOT / "build" / arguments.mode / "dgld")
    built = ROOT / "build" / arguments.mode / "tests"
    programs = sorted([*(built / "unit").glob("test_*"), *(built / "fuzz").glob("fuzz_*")])
    programs = [p for p in programs if not p.suffix and arguments.match in p.name and not arguments.api]
    with concurrent.futures.ThreadPoolExecutor(N_AT_ONCE) as threads:
        results = list(threads.map(lambda program: run_c_program(program, environment), programs))
    if arguments.mode == "release" or arguments.api:
        kept = ROOT / "build" / "reports"
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        environment["TSAN_OPTIONS"] = f"{tsan}:log_path={kept}/report"
        results.append(run_pytest(arguments.api or arguments.match, environment))
        results.append((0, print_reports(kept), 0))
    passed, failed, skipped = (sum(column) for column in zip(*results)) if results else (0, 0, 0)
    if skipped and os.environ.get("CI") == "true" and (ROOT.parent / "shared" / "data").is_dir():
        print(f"CI skips nothing, but {skipped} tests were skipped")
        failed += skipped
        skipped = 0
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
