"""Fails the n-th call of a kind in a running program: the other side of tests/fault/failing.c."""

import mmap
import os
import pathlib
import re
import struct
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILT = ROOT / "build" / "release" / "tests" / "fault" / "failing.so"
CONTROL_BYTES, NAMES_BYTES = 4096, 256
FIELDS = ("armed", "countdown", "is_lasting", "error", "n_failed", "live_blocks")
COUNTS_AT = NAMES_BYTES + 8 * len(FIELDS)

# What SQLite answers where a real fault of the machine is behind it.
SQLITE_NOMEM, SQLITE_IOERR, SQLITE_FULL = 7, 10, 13


class Faults:
    """The control of one program. `environment` is what it has to be started in."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.trace_path = pathlib.Path(f"{path}.trace")
        self.path.write_bytes(bytes(CONTROL_BYTES))
        with self.path.open("r+b") as file:
            self.map = mmap.mmap(file.fileno(), CONTROL_BYTES)
        assert BUILT.is_file(), f"{BUILT} is missing: make unit-programs"
        self.environment = dict(os.environ, LD_PRELOAD=str(BUILT), FAILING_CONTROL=str(self.path))
        # the library is before the sanitizer's on purpose: it asks the sanitizer for what it hands out
        self.environment["ASAN_OPTIONS"] = "verify_asan_link_order=0:detect_leaks=1:allocator_may_return_null=1"

    def _at(self, field):
        return NAMES_BYTES + 8 * FIELDS.index(field)

    def _read(self, offset):
        return struct.unpack_from("q", self.map, offset)[0]

    def _write(self, field, value):
        struct.pack_into("q", self.map, self._at(field), value)

    @property
    def kinds(self):
        """Known once the program has begun."""
        names = self.map[:NAMES_BYTES].split(b"\0", 1)[0].decode().split()
        assert names, "the program did not load the library"
        return names

    def arm(self, kind, n, is_lasting=False, error=0):
        """The n-th call of this kind fails, from now on; with is_lasting all after it, too."""
        number = self.kinds.index(kind) + 1
        if self.trace_path.exists():
            os.truncate(self.trace_path, 0)
        for field, value in (("countdown", n), ("is_lasting", is_lasting), ("error", error), ("n_failed", 0), ("armed", number)):
            self._write(field, int(value))

    def prepare(self, number, n):
        """The same for a program that is not started yet; `number` is the kind's place among `kinds`."""
        self._write("countdown", n)
        self._write("n_failed", 0)
        self._write("armed", number + 1)

    def disarm(self):
        """Returns how many calls have failed."""
        self._write("armed", 0)
        return self._read(self._at("n_failed"))

    def counts(self):
        return {kind: self._read(COUNTS_AT + 8 * i) for i, kind in enumerate(self.kinds)}

    def live_blocks(self):
        return self._read(self._at("live_blocks"))

    def trace(self):
        """Where the last call failed, as far as symbols tell."""
        frames = self.trace_path.read_text().splitlines() if self.trace_path.exists() else []
        return [resolve_frame(frame) for frame in frames if self.path.stem not in frame and BUILT.name not in frame]


def resolve_frame(frame):
    found = re.fullmatch(r"(.*/dgld)\(\+(0x[0-9a-f]+)\)\[.*", frame)
    if not found:
        return frame
    done = subprocess.run(["addr2line", "-fs", "-e", found[1], found[2]], capture_output=True, text=True)
    return " ".join(done.stdout.split())


def n_descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def resident_bytes(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * mmap.PAGESIZE


def wait_for(is_so, limit_s=10):
    """Whether it comes true in time."""
    deadline = time.monotonic() + limit_s
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
