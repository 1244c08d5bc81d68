"""The Python of the README runs as it stands there, and asks as seldom as it says."""

import ast
import re
import sys

import numpy
import pytest
import requests
from conftest import ROOT

BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)


def block(phrase):
    """The one block that holds the phrase."""
    found = [text for text in BLOCKS if phrase in text]
    assert len(found) == 1, phrase
    return found[0]


@pytest.fixture
def run_block(service, tmp_path, monkeypatch, capsys):
    """Runs a block beside oracle.py against the service; gives its names, its output and how often it asked."""
    (tmp_path / "oracle.py").write_text(block("# oracle.py").replace("http://127.0.0.1:8080", service.url))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "oracle", raising=False)
    sent, connections = [], set()
    send = requests.adapters.HTTPAdapter.send

    def send_and_count(self, request, **keywords):
        sent.append(request)
        connections.add(id(self))
        return send(self, request, **keywords)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send_and_count)

    def run(phrase):
        names = {"__name__": "__main__"}
        exec(compile(block(phrase).replace("http://127.0.0.1:8080", service.url), "README.md", "exec"), names)
        assert len(connections) == 1
        return names, capsys.readouterr().out, len(sent)

    yield run
    sys.modules.pop("oracle", None)


def truth(service, cells):
    cells = [[int(gene) for gene in cell] for cell in cells]
    return service.predict(search_space="nasbench201", device="Samsung Galaxy A10s", architectures=cells)["latency_ms"]


def test_five_lines_are_enough(run_block, service):
    assert len([line for line in block('print(reply.json()["latency_ms"])').splitlines() if line]) == 5
    _, printed, n_requests = run_block('print(reply.json()["latency_ms"])')
    assert ast.literal_eval(printed) == truth(service, [[4, 4, 4, 2, 4, 4]])
    assert n_requests == 1


def test_a_loop_asks_once_a_generation(run_block, service):
    names, _, n_requests = run_block("population.sort(key=latency_ms)")
    assert 1 <= n_requests <= 21
    known = names["oracle"].known
    assert list(known.values()) == truth(service, known)
    assert all(1 <= gene <= 5 for cell in known for gene in cell)
    assert known[tuple(names["population"][0])] == min(known.values())


def test_pymoo_finds_a_front_with_a_request_a_generation(run_block, service):
    names, _, n_requests = run_block("from pymoo")
    assert 1 <= n_requests <= 20
    front = names["front"]
    assert len(front.X) == 7, "0 to 6 convolutions, each at its least latency"
    assert front.F[:, 0].tolist() == pytest.approx(truth(service, front.X))
    assert sorted(-front.F[:, 1]) == sorted(numpy.isin(front.X, [3, 4]).sum(axis=1))


def test_optuna_is_told_a_batch_a_request(run_block, service):
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    names, _, n_requests = run_block("import optuna")
    assert 1 <= n_requests <= 10
    trials = names["study"].trials
    assert len(trials) == 200 and all(trial.state.name == "COMPLETE" for trial in trials)
    cells = [[trial.params[f"gene {i}"] for i in range(6)] for trial in trials]
    assert [trial.values[0] for trial in trials] == truth(service, cells)
    assert [trial.values[1] for trial in trials] == [sum(gene in (3, 4) for gene in cell) for cell in cells]


def test_a_refusal_is_an_error_in_python(run_block, service, tmp_path):
    run_block("population.sort(key=latency_ms)")
    from oracle import Oracle

    with pytest.raises(requests.HTTPError, match="422"):
        Oracle("nasbench201", "No Such Phone").ask([[1] * 6])


def test_every_block_is_run():
    phrases = ["# oracle.py", 'print(reply.json()["latency_ms"])', "population.sort(key=latency_ms)", "from pymoo", "import optuna"]
    here = [b for b in BLOCKS if "tritonclient" not in b]  # that one is run by test_tritonclient.py
    assert sorted(map(block, phrases)) == sorted(here)
