"""Versions are swapped while requests run: none fails, none mixes two versions, nothing leaks; and a
service that is killed in the midst of it leaves whole files."""

import itertools
import json
import random
import socket
import threading
import time

import pytest
import requests
from conftest import run_json

SMALL, LARGE = 64, 6000  # architectures: answered on the spot, and on the pool


def architectures(n, seed):
    generator = random.Random(seed)
    return ["".join(generator.choices("12345", k=6)) for _ in range(n)]


def batch(n, seed=0):
    fields = {"search_space": "nasbench201", "hardware": [2, 3, 1, 7.46], "architectures": architectures(n, seed)}
    return json.dumps(fields).encode()


class Connection:
    """A connection that is kept, and asks with as little work as can be."""

    def __init__(self, daemon):
        self.socket = socket.create_connection(("127.0.0.1", daemon.port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.held = b""

    def send(self, body, path=b"/v1/predict"):
        head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self.socket.sendall(head % (path, len(body)) + body)

    def receive(self):
        """Status and body of the next reply."""
        while b"\r\n\r\n" not in self.held:
            self.more()
        head, self.held = self.held.split(b"\r\n\r\n", 1)
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        while len(self.held) < length:
            self.more()
        body, self.held = self.held[:length], self.held[length:]
        return int(head.split()[1]), body

    def more(self):
        piece = self.socket.recv(1 << 18)
        if not piece:
            raise EOFError("the connection was closed")
        self.held += piece

    def ask(self, body, path=b"/v1/predict"):
        self.send(body, path)
        return self.receive()


def follow_log(daemon):
    """Reads the log as it comes, so that the service never waits for us; until its end."""

    def read():
        for line in daemon.process.stderr:
            if line.startswith("{"):
                daemon.log.append(json.loads(line))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


def activate(connection, version, space=b"nasbench201"):
    status, body = connection.ask(b'{"version": "%s"}' % version.encode(), b"/v1/models/" + space + b"/activate")
    assert status == 200, body
    assert json.loads(body)["version"] == version
    return json.loads(body)


def versions(daemon, space="nasbench201"):
    models = requests.get(f"{daemon.url}/v1/models/{space}", timeout=30).json()
    assert not any("error" in model for model in models["versions"]), models
    return {name: model["version"] for model in models["versions"] for name in model["names"]}


def all_versions(daemon):
    models = requests.get(f"{daemon.url}/v1/models/nasbench201", timeout=30).json()
    return {model["version"] for model in models["versions"]}


def resident_bytes(daemon):
    with open(f"/proc/{daemon.process.pid}/statm") as file:
        return int(file.read().split()[1]) * 4096


def expected_replies(daemon, bodies, names):
    """What each version answers to each body, byte for byte, as it is the only one that is served."""
    connection = Connection(daemon)
    replies = []
    for name in names:
        activate(connection, name)
        for body in bodies:
            status, reply = connection.ask(body)
            assert status == 200 and json.loads(reply)["model"]["version"] == name
            replies.append((body, name, reply))
    return {body: {reply: name for b, name, reply in replies if b == body} for body in bodies}


class Load:
    """Threads that predict, each with two requests on their way, until they are told to end; every reply has
    to be, byte for byte, what one version answers."""

    def __init__(self, daemon, expected, weights, n_threads):
        self.daemon, self.expected, self.weights = daemon, expected, weights
        self.is_over = threading.Event()
        self.lock = threading.Lock()
        self.n = 0
        self.by_version = {}
        self.wrong = []
        self.threads = [threading.Thread(target=self.run, args=(seed,)) for seed in range(n_threads)]

    def run(self, seed):
        try:
            self.predict(random.Random(seed))
        except Exception as error:  # tells the test, which would wait for us else
            self.wrong.append(repr(error))

    def predict(self, generator):
        connections = [Connection(self.daemon) for _ in range(2)]
        bodies = list(self.expected)
        while not self.is_over.is_set():
            asked = generator.choices(bodies, self.weights, k=len(connections))
            for connection, body in zip(connections, asked):
                connection.send(body)
            for connection, body in zip(connections, asked):
                status, reply = connection.receive()
                version = self.expected[body].get(reply)
                with self.lock:
                    self.n += 1
                    self.by_version[version] = self.by_version.get(version, 0) + 1
                    if status != 200 or version is None:
                        self.wrong.append((status, reply[:300]))

    def swap(self, names, n_swaps, n_requests, space=b"nasbench201"):
        """Activates the versions in turn, spread over the requests."""
        connection = Connection(self.daemon)
        for thread in self.threads:
            thread.start()
        try:
            for i in range(n_swaps):
                while self.n < n_requests * i // n_swaps and not self.wrong:
                    time.sleep(0.001)
                activate(connection, names[i % len(names)], space)
            while self.n < n_requests and not self.wrong:
                time.sleep(0.001)
        finally:
            self.is_over.set()
            for thread in self.threads:
                thread.join(timeout=60)
        assert not self.wrong, self.wrong[:3]


@pytest.fixture
def two(small):
    """A root with the shipped model of nasbench201 and one that was trained here, by the name "other"."""
    run_json("train", "--search_space", "nasbench201", "--name", "other", root=small)
    return small


def test_ten_thousand_predictions_while_versions_are_swapped_a_hundred_times(start, two):
    daemon = start(two)
    follow_log(daemon)
    named = versions(daemon)
    names = [named["default"], named["other"]]
    expected = expected_replies(daemon, [batch(SMALL), batch(SMALL, 1), batch(LARGE)], names)
    assert all(len(replies) == 2 for replies in expected.values())
    warm = Load(daemon, expected, [45, 45, 10], n_threads=4)
    warm.swap(names, 30, 1000)
    before = resident_bytes(daemon)
    load = Load(daemon, expected, [45, 45, 10], n_threads=4)
    load.swap(names, 100, 10_000)
    after = resident_bytes(daemon)
    assert load.n >= 10_000
    assert all(load.by_version[name] > 1000 for name in names), load.by_version
    # each swap that kept its model would keep 250 KB
    assert after - before < 8 << 20, f"{(after - before) >> 10} KiB more after 100 swaps"
    assert set(names) <= all_versions(daemon)
    daemon.process.terminate()
    assert daemon.process.wait(timeout=30) == 0


def test_swaps_between_kinds_of_predictors(start, root):
    """cost and mlp, whose models differ a hundredfold in size and time."""
    daemon = start(root)
    follow_log(daemon)
    named = versions(daemon)
    names = [named["default"], named["mlp"]]
    expected = expected_replies(daemon, [batch(4), batch(12, 1)], names)
    warm = Load(daemon, expected, [1, 1], n_threads=2)
    warm.swap(names, 4, 50)
    before = resident_bytes(daemon)
    load = Load(daemon, expected, [1, 1], n_threads=3)
    load.swap(names, 12, 300)
    activate(Connection(daemon), names[0])
    assert all(load.by_version[name] > 10 for name in names), load.by_version
    assert resident_bytes(daemon) - before < 60 << 20  # a model of the paper's kind takes 40 MB
    daemon.process.terminate()
    assert daemon.process.wait(timeout=30) == 0


@pytest.mark.cost
def test_activations_of_many_clients_agree_in_the_end(start, two):
    """Whichever comes last: the file, what is served and what is listed are the same."""
    daemon = start(two)
    follow_log(daemon)
    named = versions(daemon)
    names = [named["default"], named["other"], named["mlp"]]
    body = batch(4)

    n_done = []

    def activate_often(seed):
        connection = Connection(daemon)
        for name in random.Random(seed).choices(names, [5, 5, 1], k=15):
            activate(connection, name)
            n_done.append(name)

    threads = [threading.Thread(target=activate_often, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(n_done) == 4 * 15, "an activation was refused"
    models = requests.get(f"{daemon.url}/v1/models/nasbench201", timeout=30).json()
    served = models["served"]["version"]
    assert "default" in models["served"]["names"]
    assert json.loads(Connection(daemon).ask(body)[1])["model"]["version"] == served
    assert all_versions(daemon) == set(names)
    daemon.process.terminate()
    assert daemon.process.wait(timeout=30) == 0
    again = start(two)
    assert json.loads(Connection(again).ask(body)[1])["model"]["version"] == served


def test_kill_in_the_midst_of_activations_leaves_whole_files(start, two):
    place = two / "result" / "nasbench201"
    whole = {name: (place / f"pretrainmodel{name}.safetensors").read_bytes() for name in ("", "-other")}
    body = batch(SMALL)
    daemon = start(two)
    named = versions(daemon)
    names = [named["default"], named["other"]]
    replies = expected_replies(daemon, [body], names)[body]
    generator = random.Random(5)
    for _ in range(12):
        follow_log(daemon)
        connection = Connection(daemon)
        for i in range(generator.randint(1, 4)):
            activate(connection, names[i % 2])
        death = threading.Timer(generator.uniform(0, 0.02), daemon.process.kill)
        death.start()
        with pytest.raises((OSError, EOFError)):
            for i in itertools.count():
                activate(connection, names[i % 2])
        daemon.process.wait(timeout=30)
        death.join()
        assert (place / "pretrainmodel.safetensors").read_bytes() in whole.values()
        daemon = start(two)
        assert set(names) <= all_versions(daemon)
        status, reply = Connection(daemon).ask(body)
        assert (status, replies.get(reply)) == (200, versions(daemon)["default"])
