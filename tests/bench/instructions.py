"""Counts the instructions of the paths that most requests take, by callgrind, beside those that are kept.

    instructions.py             a table: kept, now, and the ratio
    instructions.py --write     keeps what was counted, in instructions.json

Counted are the program's own instructions, those of libraries left out: they follow the processor that the
libraries find. hot_paths.c has the paths; http_single is a whole request over HTTP, as the daemon's I/O
thread takes it, per request. Unlike a time, a count is the same whatever else the machine does; tests/api/
test_instructions.py holds the program to what is kept.
"""

import argparse
import json
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile

import bench

ROOT = pathlib.Path(__file__).resolve().parents[2]
KEPT = pathlib.Path(__file__).with_name("instructions.json")
HOT_PATHS = bench.PROGRAMS / "hot_paths"
RUNS = {"json_batch": 2, "json_batch_fbnetv3": 3, "infer_uint8": 2, "infer_uint8_fbnetv3": 3}  # others 50
PATHS = ["json_single", "json_calibrated", *RUNS]
N_REQUESTS = 500
MARGIN = 1.1  # beyond it a path has grown


def own_instructions(profile, program):
    """The sum over the program's own functions of a callgrind profile."""
    command = ["callgrind_annotate", "--threshold=100", "--auto=no", profile]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    lines = re.findall(r"^\s*([\d,]+) \(.*\[(.*)\]$", output, re.M)
    own = sum(int(count.replace(",", "")) for count, where in lines if pathlib.Path(where).name == program)
    if own == 0:
        raise bench.BenchError(f"callgrind saw nothing of {program}:\n{output[:2000]}")
    return own


def count_path(name, folder):
    """Instructions an architecture."""
    runs = RUNS.get(name, 50)
    profile = folder / f"{name}.out"
    command = [
        "valgrind", "--quiet", "--tool=callgrind", "--collect-atstart=no", "--toggle-collect=run_counted",
        f"--callgrind-out-file={profile}", HOT_PATHS, ROOT, runs, name,
    ]  # fmt: skip
    n = int(bench.run(command, timeout_s=120).split()[-1])
    return own_instructions(profile, HOT_PATHS.name) / (runs * n)


def exchange(connection, request):
    connection.sendall(request)
    seen = b""
    while b"\r\n\r\n" not in seen:
        seen += connection.recv(65536)
    head, body = seen.split(b"\r\n\r\n", 1)
    length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
    while len(body) < length:
        body += connection.recv(65536)
    if not head.startswith(b"HTTP/1.1 200"):
        raise bench.BenchError(f"answered {seen[:500]}")


def count_http(folder):
    """Instructions a request, of the I/O thread and what it calls."""
    port = bench.free_port()
    profile = folder / "http.out"
    command = ["valgrind", "--quiet", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={profile}",
               *bench.serve_command(port), "--http_threads", 1]  # fmt: skip
    body = bench.predict_body(1).encode()
    request = b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
    request %= bench.PATH.encode(), len(body), body
    with bench.started(command, stderr=subprocess.DEVNULL) as process:
        bench.wait_for_200(process, port, "/readyz", limit_s=60)
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            for instrument in ("off", "on", "off"):
                bench.run(["callgrind_control", "-i", instrument, process.pid], timeout_s=30)
                for _ in range(N_REQUESTS if instrument == "on" else 20):
                    exchange(connection, request)
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
    return own_instructions(profile, bench.BINARY.name) / N_REQUESTS


def count_all(names=(*PATHS, "http_single")):
    """Instructions an architecture, or of http_single a request, by name."""
    with tempfile.TemporaryDirectory(prefix="dgld-instructions-") as folder:
        folder = pathlib.Path(folder)
        return {name: count_http(folder) if name == "http_single" else count_path(name, folder) for name in names}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--write", action="store_true", help=f"keep what was counted in {KEPT.name}")
    arguments = parser.parse_args()
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    counted = count_all()
    print(f"{'path':24}{'kept':>10}{'now':>10}{'ratio':>8}")
    for name, count in counted.items():
        ratio = f"{count / kept[name]:8.3f}" if name in kept else ""
        print(f"{name:24}{kept.get(name, ''):>10}{count:10.1f}{ratio}")
    if arguments.write:
        KEPT.write_text(json.dumps({name: round(count, 1) for name, count in counted.items()}, indent=2) + "\n")


if __name__ == "__main__":
    try:
        main()
    except bench.BenchError as error:
        sys.exit(f"instructions.py: {error}")
