"""Holds the genetic search against what a user would reach for instead: pymoo's genetic algorithm and
Optuna's TPE, at equal evaluations, with the very same predictors.

    bench_search.py                a table for each space and peer, and build/bench/<commit>-search.csv
    bench_search.py --quick        the same in half a minute, for trying out

A run takes some twenty minutes on two cores that do nothing else, nearly all of which are Optuna's.
All sides ask one program (search_peer.c), so that an architecture has one accuracy and one latency. Limits
are quantiles of the predicted latency of random architectures. What counts is the most accurate architecture
within the limit that a search evaluated, whether or not the peer itself returns that.
"""

import argparse
import concurrent.futures
import contextlib
import csv
import dataclasses
import math
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from bench import BINARY, COLUMNS, HERE, PROGRAMS, ROOT, BenchError, Figure, describe_run, run, show, write_csv

PEER = PROGRAMS / "search_peer"
HARDWARE = [2, 3, 1, 7.46]
N_RANDOM = 10_000  # architectures of which the limits are quantiles
POPULATION = 100  # of pymoo


@dataclasses.dataclass(frozen=True)
class Plan:
    quantiles: tuple = (0.01, 0.10, 0.25, 0.50, 0.75)
    seeds: int = 5
    ga_evaluations: int = 10_000
    few_evaluations: int = 1000


QUICK = Plan(quantiles=(0.10, 0.50), seeds=1, ga_evaluations=1000, few_evaluations=100)


@dataclasses.dataclass(frozen=True)
class Problem:
    """What is searched. `root` and `data` are what search_peer is given."""

    name: str
    space: str
    root: str
    data: str = "-"


# ---- the program that everybody asks -----------------------------------------------------------------


class Predictors:
    """search_peer, for as long as the block lasts; counts what a peer evaluates and keeps the best."""

    def __init__(self, problem, limit_ms=math.inf):
        self.problem, self.limit_ms = problem, limit_ms
        self.n, self.best, self.best_after = 0, -math.inf, {}

    def __enter__(self):
        command = [PEER, self.problem.root, self.problem.data, self.problem.space, *HARDWARE]
        self.process = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        spans = iter(map(int, self.command("genes\n", 1)[0]))
        self.domains = [range(first, first + step * n, step) for first, step, n in zip(spans, spans, spans)]
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(timeout=20)

    def command(self, text, n_lines):
        self.process.stdin.write(text)
        self.process.stdin.flush()
        lines = [self.process.stdout.readline().split() for _ in range(n_lines)]
        if not all(lines):
            raise BenchError(f"search_peer ended with {self.process.wait(timeout=20)}")
        return lines

    def ask(self, positions):
        """[(accuracy, latency in ms)] of architectures, each gene told by its position in its domain."""
        rows = [" ".join(str(values[at]) for values, at in zip(self.domains, row)) for row in positions]
        lines = self.command(f"evaluate {len(rows)}\n" + "\n".join(rows) + "\n", len(rows))
        return [tuple(map(float, line)) for line in lines]

    def evaluate(self, positions, marks):
        """The same, of a search: notes the best after so many evaluations as `marks` say."""
        told = self.ask(positions)
        for accuracy, latency_ms in told:
            self.n += 1
            if latency_ms <= self.limit_ms:
                self.best = max(self.best, accuracy)
            if self.n in marks:
                self.best_after[self.n] = self.best
        return told


# ---- searches: each gives {evaluations: accuracy} ------------------------------------------------------


def search_ours(problem, limit_ms, seed, marks):
    """A search for each number of evaluations, since that is what its options are made of."""
    with Predictors(problem) as predictors:
        found = {}
        for n in marks:
            is_feasible, accuracy = predictors.command(f"search {limit_ms!r} {n} {seed}\n", 1)[0][:2]
            found[n] = float(accuracy) if is_feasible == "1" else -math.inf
        return found


def search_pymoo(problem, limit_ms, seed, marks):
    """Feasible ones first, by pymoo's own handling of constraints; no duplicates within the population. Operators
    are those of pymoo's guide to integers, and for operators of a cell, which have no order, those for choices."""
    import numpy
    from pymoo.algorithms.soo.nonconvex.ga import GA
    from pymoo.core.problem import Problem as PymooProblem
    from pymoo.core.variable import Integer
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.crossover.ux import UX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.mutation.rm import ChoiceRandomMutation
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.operators.sampling.rnd import IntegerRandomSampling
    from pymoo.optimize import minimize

    with Predictors(problem, limit_ms) as predictors:

        class Search(PymooProblem):
            def __init__(self):
                last = [len(values) - 1 for values in predictors.domains]
                super().__init__(n_var=len(last), n_obj=1, n_ieq_constr=1, xl=0, xu=numpy.array(last), vtype=int)
                self.vars = {i: Integer(bounds=(0, n)) for i, n in enumerate(last)}  # for the choices

            def _evaluate(self, x, out, *args, **kwargs):
                told = numpy.array(predictors.evaluate(x.astype(int).tolist(), marks))
                out["F"], out["G"] = -told[:, 0], told[:, 1] / limit_ms - 1

        whole = {"prob": 1.0, "eta": 3.0, "vtype": float, "repair": RoundingRepair()}
        operators = {"crossover": SBX(**whole), "mutation": PM(**whole)}
        if problem.space == "nasbench201":
            operators = {"crossover": UX(), "mutation": ChoiceRandomMutation()}
        method = GA(pop_size=POPULATION, sampling=IntegerRandomSampling(), eliminate_duplicates=True, **operators)
        minimize(Search(), method, ("n_eval", max(marks)), seed=seed)
        # it ends before where no child differs from the population
        return {n: predictors.best_after.get(n, predictors.best) for n in marks}


def search_optuna(problem, limit_ms, seed, marks):
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    is_ordered = problem.space == "fbnetv3"
    with Predictors(problem, limit_ms) as predictors:

        def objective(trial):
            row = [
                trial.suggest_int(f"gene {i}", 0, len(values) - 1)
                if is_ordered
                else trial.suggest_categorical(f"gene {i}", range(len(values)))
                for i, values in enumerate(predictors.domains)
            ]
            ((accuracy, latency_ms),) = predictors.evaluate([row], marks)
            trial.set_constraint("over", latency_ms / limit_ms - 1)  # at most 0 where it is kept
            return accuracy

        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
        study.optimize(objective, n_trials=max(marks))
        return predictors.best_after


SEARCHES = {"ours": search_ours, "pymoo": search_pymoo, "optuna": search_optuna}


def search(name, problem, limit_ms, seed, marks):
    """Runs in a process of its own; returns ({evaluations: accuracy}, seconds)."""
    begun = time.monotonic()
    return SEARCHES[name](problem, limit_ms, seed, marks), time.monotonic() - begun


# ---- problems ------------------------------------------------------------------------------------------


def write_networks(path, domains, n=300):
    """Networks as a user may have trained them, whose best are not the largest: each gene has a value that suits it,
    somewhere in its range, some pairs of genes go well together, and measuring has noise."""
    chance = random.Random(20240223)
    best = [chance.uniform(0, 0.8) for _ in domains]
    weight = [chance.uniform(0.5, 4) for _ in domains]
    pairs = [(*chance.sample(range(len(domains)), 2), chance.uniform(-1, 1)) for _ in range(10)]
    path.parent.mkdir(parents=True)
    with path.open("w") as file:
        for _ in range(n):
            row = [chance.randrange(len(values)) for values in domains]
            at = [position / (len(values) - 1) for position, values in zip(row, domains)]
            top1 = 80 - sum(w * (x - b) ** 2 for w, x, b in zip(weight, at, best))
            top1 += sum(w * (at[i] - 0.5) * (at[j] - 0.5) for i, j, w in pairs) + chance.gauss(0, 0.1)
            genes = [values[position] for position, values in zip(row, domains)]
            print(*genes, f"{top1:.3f} {min(top1 + 10, 100):.3f}", file=file)


def make_problems(folder):
    """The shipped predictors; and for fbnetv3, whose shipped one goes by MACs alone, a trained one too."""
    yield Problem("nasbench201", "nasbench201", str(ROOT))
    shipped = Problem("fbnetv3", "fbnetv3", str(ROOT))
    yield shipped
    root = folder / "root"
    (root / "result" / "fbnetv3").mkdir(parents=True)
    shutil.copy(ROOT / "result" / "fbnetv3" / "pretrainmodel.safetensors", root / "result" / "fbnetv3")
    with Predictors(shipped) as predictors:
        write_networks(root / "data" / "fbnetv3" / "NAS" / "dataxy.txt", predictors.domains)
    run([BINARY, "train", "--root", root, "--target", "accuracy", "--search_space", "fbnetv3"], timeout_s=120)
    yield Problem("fbnetv3_trained", "fbnetv3", str(root), str(root / "data"))


def find_limits(problem, quantiles):
    chance = random.Random(1)
    with Predictors(problem) as predictors:
        rows = [[chance.randrange(len(values)) for values in predictors.domains] for _ in range(N_RANDOM)]
        latencies = sorted(latency_ms for _, latency_ms in predictors.ask(rows))
    return [latencies[int(q * N_RANDOM)] for q in quantiles]


# ---- the comparison ------------------------------------------------------------------------------------


def run_searches(plan, problems, limits):
    """{(problem, limit, search, evaluations): [accuracy]}, {(problem, search): [seconds]}; as many at a time as there
    are cores, what takes longest first."""
    many = (plan.few_evaluations, plan.ga_evaluations)
    marks = {"optuna": (plan.few_evaluations,), "pymoo": many, "ours": many}
    found, seconds = {}, {}
    with concurrent.futures.ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        waiting = {}
        for name in marks:
            for problem in reversed(problems):
                for limit_ms in limits[problem.name]:
                    for seed in range(plan.seeds):
                        future = pool.submit(search, name, problem, limit_ms, seed, marks[name])
                        waiting[future] = (problem.name, limit_ms, name)
        for future, (problem, limit_ms, name) in waiting.items():
            accuracies, took = future.result()
            seconds.setdefault((problem, name), []).append(took)
            for n, accuracy in accuracies.items():
                found.setdefault((problem, limit_ms, name, n), []).append(accuracy)
    return found, seconds


def tell(value):
    return "none" if math.isinf(value) else f"{value:.4f}"


def compare(problem, peer, n, quantiles, limits, found):
    """Prints a table of one space and peer; yields its figures."""
    print(f"\n{problem}: {n:,} evaluations, against {peer}")
    print(f"{'limit of random ones':>20} {'ms':>10} {'ours':>10} {peer:>10} {'difference':>11}")
    n_lost = 0
    for q, limit_ms in zip(quantiles, limits):
        ours, theirs = (found[problem, limit_ms, name, n] for name in ("ours", peer))
        medians = statistics.median(ours), statistics.median(theirs)
        gain = medians[0] - medians[1] if medians[0] != medians[1] else 0.0
        n_lost += gain < 0
        print(f"{q:>20.0%} {show(limit_ms):>10} {tell(medians[0]):>10} {tell(medians[1]):>10} {gain:>+11.4f}")
        metric = f"search_{problem}_{n}_{q * 100:02.0f}"
        yield Figure.of(f"{metric}_ours", "%", "higher", ours)
        yield Figure.of(f"{metric}_{peer}", "%", "higher", theirs)
        pairs = [a - b if a != b else 0.0 for a, b in zip(ours, theirs)]
        figure = Figure.of(f"{metric}_over_{peer}", "%", "higher", pairs, aim=0)
        figure.median = gain
        yield figure
    print(f"at least {peer}'s in the median of {len(limits) - n_lost} of {len(limits)} limits:", "MISSED" if n_lost else "met")


def measure(plan):
    with tempfile.TemporaryDirectory(prefix="dgld-bench-") as name:
        problems = list(make_problems(pathlib.Path(name)))
        limits = {problem.name: find_limits(problem, plan.quantiles) for problem in problems}
        found, seconds = run_searches(plan, problems, limits)
    figures = []
    for problem in problems:
        for peer, n in (("pymoo", plan.ga_evaluations), ("pymoo", plan.few_evaluations), ("optuna", plan.few_evaluations)):
            rows = compare(problem.name, peer, n, plan.quantiles, limits[problem.name], found)
            # our figures stand in two tables, and once in the file
            figures += [row for row in rows if row.metric not in {figure.metric for figure in figures}]
        for peer in SEARCHES:
            figures.append(Figure.of(f"search_{problem.name}_{peer}_time", "s", "lower", seconds[problem.name, peer]))
    return figures


def main():
    parser = argparse.ArgumentParser(description="Holds the genetic search against pymoo and Optuna.")
    parser.add_argument("--quick", action="store_true", help="half a minute, for trying out; not for comparing")
    parser.add_argument("--output", type=pathlib.Path, help="where the CSV goes; default build/bench/<commit>-search.csv")
    arguments = parser.parse_args()

    about = describe_run()
    os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
    try:
        figures = measure(QUICK if arguments.quick else Plan())
    except (BenchError, OSError, subprocess.TimeoutExpired) as error:
        print(f"bench_search.py: {error}", file=sys.stderr)
        return 1
    path = arguments.output or ROOT / "build" / "bench" / f"{about['commit']}-search.csv"
    write_csv(path, about, figures)
    print(f"\nwritten to {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
