"""Runs a command as the [Service] section of a unit file asks, as far as a process can do that to itself, without a service
manager: another user without capabilities, limits, and the filters of system calls. What a filter forbids ends the
process here, where the unit would answer EPERM: so a run that ends well has not tried it.

    confine.py UNIT COMMAND ...      in the directory and environment that it is started in
"""

import ctypes
import os
import platform
import re
import resource
import signal
import struct
import subprocess
import sys

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
LIMITS = {"LimitNOFILE": resource.RLIMIT_NOFILE, "LimitCORE": resource.RLIMIT_CORE, "LimitNICE": 13}
FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10}
NAMESPACES = 0x7E020000 | 0x00000080  # CLONE_NEW*, CLONE_NEWTIME
PROT_WRITE, PROT_EXEC = 2, 4
S_ISUID_ISGID = 0o6000
PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 22, 24, 38

# the classic BPF of seccomp(2): load a word, compare, return
LOAD, JUMP_EQUAL, JUMP_SET, AND, RETURN = 0x20, 0x15, 0x45, 0x54, 0x06
NUMBER, ARCHITECTURE = 0, 4
ALLOW, KILL, NOT_THERE = 0x7FFF0000, 0x80000000, 0x00050000 | 38  # ENOSYS

libc = ctypes.CDLL(None, use_errno=True)


def read_section(path, name="Service"):
    """Assignments of a section in their order; a key may be there several times."""
    section, found = None, []
    for line in open(path):
        line = line.strip()
        if line.startswith("["):
            section = line[1:-1]
        elif section == name and line and line[0] not in "#;":
            found.append(tuple(line.split("=", 1)))
    return found


def values(unit, key):
    return [value for name, value in unit if name == key]


def is_set(unit, key):
    return values(unit, key)[-1:] == ["yes"]


# ---- which system calls -------------------------------------------------------------------------


def expand(name, known={}):
    """The system calls of a set such as @system-service, by what systemd itself says."""
    if not name.startswith("@"):
        return {name}
    if name not in known:
        listed = subprocess.run(["systemd-analyze", "--no-pager", "syscall-filter", name], capture_output=True, text=True, check=True)
        members = [line.strip() for line in listed.stdout.splitlines()[1:] if line.strip() and not line.strip().startswith("#")]
        known[name] = set().union(*(expand(member) for member in members))
    return known[name]


def allowed_calls(unit):
    """As systemd.exec(5) says of SystemCallFilter=: the first line allows, later ones add or, with ~, take away."""
    calls = expand("@default")
    for value in values(unit, "SystemCallFilter"):
        named = set().union(*(expand(word) for word in value.lstrip("~").split()))
        calls = calls - named if value.startswith("~") else calls | named
    return calls


def numbers():
    """Names of system calls and their numbers on this machine, by its headers."""
    defined = subprocess.run(["gcc", "-E", "-dM", "-include", "asm/unistd.h", "-x", "c", "/dev/null"], capture_output=True, text=True, check=True)
    return {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)$", defined.stdout, re.M)}


# ---- filters ------------------------------------------------------------------------------------


def argument(i):
    """Where the lower half of an argument is."""
    return 16 + 8 * i


def instruction(code, k, if_true=0, if_false=0):
    return struct.pack("HBBI", code, if_true, if_false, k)


def when(number, *check):
    """Checks that decide (one of them returns), for one system call; others go on behind them."""
    return [instruction(LOAD, NUMBER), instruction(JUMP_EQUAL, number, 0, len(check)), *check]


def forbid_all_bits(i, bits):
    return [instruction(LOAD, argument(i)), instruction(AND, bits), instruction(JUMP_EQUAL, bits, 0, 1),
            instruction(RETURN, KILL), instruction(RETURN, ALLOW)]


def forbid_any_bit(i, bits):
    return [instruction(LOAD, argument(i)), instruction(JUMP_SET, bits, 0, 1), instruction(RETURN, KILL), instruction(RETURN, ALLOW)]


def allow_only(i, those):
    return [instruction(LOAD, argument(i)),
            *(instruction(JUMP_EQUAL, value, len(those) - n, 0) for n, value in enumerate(those)),
            instruction(RETURN, KILL), instruction(RETURN, ALLOW)]


def filters(unit):
    """Programs that the kernel runs for every system call; the strictest answer of all counts."""
    number = numbers()
    known = [number[name] for name in sorted(allowed_calls(unit)) if name in number]
    yield [instruction(LOAD, ARCHITECTURE), instruction(JUMP_EQUAL, ARCHITECTURES[platform.machine()], 1, 0), instruction(RETURN, KILL),
           instruction(LOAD, NUMBER),
           *(part for one in known for part in (instruction(JUMP_EQUAL, one, 0, 1), instruction(RETURN, ALLOW))),
           instruction(RETURN, KILL)]
    rules = []
    if is_set(unit, "MemoryDenyWriteExecute"):
        rules += [("mmap", forbid_all_bits(2, PROT_WRITE | PROT_EXEC)), ("mprotect", forbid_any_bit(2, PROT_EXEC)),
                  ("pkey_mprotect", forbid_any_bit(2, PROT_EXEC))]
    if is_set(unit, "RestrictNamespaces"):
        rules += [("clone", forbid_any_bit(0, NAMESPACES)), ("unshare", forbid_any_bit(0, NAMESPACES)), ("setns", [instruction(RETURN, KILL)]),
                  ("clone3", [instruction(RETURN, NOT_THERE)])]  # its flags are out of reach: libraries try clone() then
    if is_set(unit, "RestrictRealtime"):
        rules += [("sched_setscheduler", allow_only(1, [0, 3, 5]))]  # SCHED_OTHER, SCHED_BATCH, SCHED_IDLE
    if is_set(unit, "RestrictSUIDSGID"):
        rules += [("chmod", forbid_any_bit(1, S_ISUID_ISGID)), ("fchmod", forbid_any_bit(1, S_ISUID_ISGID)),
                  ("fchmodat", forbid_any_bit(2, S_ISUID_ISGID)), ("mkdir", forbid_any_bit(1, S_ISUID_ISGID))]
    for value in values(unit, "RestrictAddressFamilies"):
        rules += [("socket", allow_only(0, [FAMILIES[name] for name in value.split()]))]
    for name, check in rules:
        if name in number:
            yield when(number[name], *check) + [instruction(RETURN, ALLOW)]


def install_filter(program):
    code = b"".join(program)
    block = ctypes.create_string_buffer(code, len(code))
    described = struct.pack("HxxxxxxP", len(program), ctypes.addressof(block))
    if libc.prctl(PR_SET_SECCOMP, 2, ctypes.create_string_buffer(described, len(described)), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "seccomp")


# ---- user and limits ----------------------------------------------------------------------------


def become_nobody(unit):
    """A user without rights instead of the unit's own, which this machine need not have."""
    assert values(unit, "CapabilityBoundingSet") == [""] and values(unit, "User")
    for capability in range(64):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)


def set_limits(unit):
    """As near as this process may, which is what systemd does too."""
    for name, limit in LIMITS.items():
        for value in values(unit, name):
            number = 20 - int(value) if name == "LimitNICE" and value[0] in "+-" else int(value)
            _, most = resource.getrlimit(limit)
            try:
                resource.setrlimit(limit, (number, number))
            except ValueError:  # beyond the hard limit, and no right to raise that
                resource.setrlimit(limit, (min(number, most), min(number, most)))


def main():
    unit = read_section(sys.argv[1])
    programs = list(filters(unit))
    os.umask(int(values(unit, "UMask")[-1], 8))
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # as a service manager starts what it starts
    set_limits(unit)
    if os.geteuid() == 0:
        become_nobody(unit)
    if is_set(unit, "NoNewPrivileges"):
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if "LISTEN_FDS" in os.environ:
        os.environ["LISTEN_PID"] = str(os.getpid())
    for program in reversed(programs):  # the first of them forbids to install more
        install_filter(program)
    os.execv(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
