"""What `make bench-peers` rests on, without the peers: what it asks, whom it counts, and the table in the README."""

import subprocess
import sys

from conftest import ROOT

sys.path.append(str(ROOT / "tests" / "bench"))

import bench  # noqa: E402
import bench_peers  # noqa: E402

KEYS = ("single", "single_p50", "single_p99", "batch100", "large", "resident", "start")


def test_every_contest_asks_for_the_same_predictions(service):
    table, infer, mlp = bench_peers.CONTESTS
    architectures = bench_peers.some(100)
    assert len(set(architectures)) == 100
    replies = {}
    for contest in (table, infer, mlp):
        reply = bench_peers.ask(service.port, contest.path, contest.body(architectures))
        replies[contest.name] = contest.latencies(reply)
    assert bench_peers.largest_difference(replies["table"], replies["infer"]) <= table.tolerance
    assert bench_peers.largest_difference(replies["table"], replies["mlp"]) > mlp.tolerance


def test_memory_counts_descendants():
    with bench.started(["sh", "-c", "sleep 60 & echo; wait"], stdout=subprocess.PIPE) as parent:
        parent.stdout.readline()
        members = bench_peers.family(parent.pid)
        (child,) = members - {parent.pid}
        assert bench_peers.resident_mib(parent.pid) > bench_peers.resident_mib(child) > 0
    assert bench_peers.family(parent.pid) == set()


def test_readme_has_the_table_that_is_printed():
    figures = [
        bench.Figure.of(f"{contest.name}_{who}_{key}", "", "lower", [1.0])
        for contest in bench_peers.CONTESTS
        for who in ("dgld", "peer")
        for key in KEYS
    ]
    head, line, *rows = bench_peers.table(figures)
    readme = (ROOT / "README.md").read_text()
    assert f"{head}\n{line}\n" in readme
    written = readme.split(f"{head}\n{line}\n")[1].split("\n\n")[0].splitlines()
    assert [row.split("|")[1] for row in written] == [row.split("|")[1] for row in rows]
    assert {row.count("|") for row in written} == {head.count("|")}
