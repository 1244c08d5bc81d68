"""A PostgreSQL of the tests' own: a cluster in a new directory, of a user that is not root, on a socket in
that directory, and on a free port of loopback where one is asked for. It is gone when its owner is.

As a program it makes one, prints its URI, and does what each line of its input says, answering "ok": stop,
start, freeze, thaw. At the end of the input it takes everything away.
"""

import contextlib
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROLE, PASSWORD, DATABASE = "dgld", "pass/wo:rd@1", "dgld"
START_S = 60


def programs():
    """The directory of initdb and postgres: Debian has it for each version, and not in the path."""
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[4]))
    path = str(found[-1]) if found else shutil.which("initdb")
    assert path, "there is no PostgreSQL; deploy/install-deps.sh test installs it"
    return pathlib.Path(path).parent


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Postgres:
    """is_durable: what it has committed survives that it is killed; else it is faster."""

    def __init__(self, is_durable=False, has_port=False):
        self.bin = programs()
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="dgld-pg-"))
        self.is_durable, self.port, self.process = is_durable, free_port() if has_port else 5432, None
        self.has_port = has_port
        self.user = {}
        if os.geteuid() == 0:  # which PostgreSQL does not run as
            entry = pwd.getpwnam("postgres")
            os.chown(self.directory, entry.pw_uid, entry.pw_gid)
            self.user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        try:
            self.make()
        except BaseException:
            self.close()
            raise

    def run(self, program, *arguments, **keywords):
        done = subprocess.run(
            [self.bin / program, *arguments], cwd=self.directory, capture_output=True, text=True, **self.user, **keywords
        )
        assert done.returncode == 0, (program, done.stdout, done.stderr)
        return done.stdout

    def make(self):
        arguments = ["--pgdata=data", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"]
        self.run("initdb", *arguments, "--no-sync")
        (self.directory / "data" / "pg_hba.conf").write_text(
            "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        )
        self.start()
        quoted = PASSWORD.replace("'", "''")
        self.sql(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{quoted}'", user="postgres", database="postgres")
        self.sql(f"CREATE DATABASE {DATABASE} OWNER {ROLE}", user="postgres", database="postgres")

    def command(self):
        durable = "on" if self.is_durable else "off"
        settings = {
            "listen_addresses": "127.0.0.1" if self.has_port else "",
            "unix_socket_directories": self.directory,
            "port": self.port,
            "fsync": durable,
            "full_page_writes": durable,
            "shared_buffers": "32MB",
            "max_connections": 100,
            "max_wal_size": "256MB",
        }
        return [self.bin / "postgres", "-D", "data"] + [x for k, v in settings.items() for x in ("-c", f"{k}={v}")]

    def start(self):
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self.user
            )
        deadline = time.monotonic() + START_S
        ready = [self.bin / "pg_isready", "-q", "-h", self.directory, "-p", str(self.port)]
        while subprocess.run(ready).returncode != 0:
            assert self.process.poll() is None and time.monotonic() < deadline, (self.directory / "log").read_text()
            time.sleep(0.02)

    def stop(self, number=signal.SIGINT):
        """Ends it: SIGINT in order but at once, SIGQUIT as by a crash."""
        if self.process is not None:
            self.thaw()
            self.process.send_signal(number)
            self.process.wait(timeout=60)
            self.process = None

    def restart(self, number=signal.SIGINT):
        self.stop(number)
        self.start()

    def serve_tls(self, certificate, key):
        """From now on, to who asks for it."""
        for source, name in ((certificate, "server.crt"), (key, "server.key")):
            target = self.directory / "data" / name
            shutil.copyfile(source, target)
            target.chmod(0o600)
            if self.user:
                os.chown(target, self.user["user"], self.user["group"])
        self.sql("ALTER SYSTEM SET ssl = on", user="postgres")
        self.sql("SELECT pg_reload_conf()", user="postgres")
        while self.sql("SHOW ssl", user="postgres") != "on":
            time.sleep(0.02)

    def signal_all(self, number):
        """To the server and to every process of it."""
        listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, text=True)
        for pid in [self.process.pid, *map(int, listed.stdout.split())]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def freeze(self):
        self.signal_all(signal.SIGSTOP)

    def thaw(self):
        self.signal_all(signal.SIGCONT)

    def sql(self, text, user=ROLE, database=DATABASE):
        """Runs SQL; returns what it prints, rows in lines, columns between bars."""
        where = ["-h", str(self.directory), "-p", str(self.port), "-U", user, "-d", database]
        return self.run("psql", *where, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", text).strip()

    @property
    def uri(self):
        """By the socket, without a password."""
        return f"postgresql://{ROLE}@/{DATABASE}?host={self.directory}&port={self.port}"

    def close(self):
        with contextlib.suppress(Exception):
            self.stop(signal.SIGQUIT)
        shutil.rmtree(self.directory, ignore_errors=True)


def main():
    postgres = Postgres()
    try:
        print(postgres.uri, flush=True)
        actions = {name: getattr(postgres, name) for name in ("stop", "start", "freeze", "thaw")}
        for line in sys.stdin:
            actions[line.strip()]()
            print("ok", flush=True)
    finally:
        postgres.close()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # its owner's end is its own
    main()
