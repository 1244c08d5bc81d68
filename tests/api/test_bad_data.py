"""Malformed files: read rightly, or refused with file, line and reason; nothing is written then."""

import os
import re
import resource
import subprocess

import numpy
import pytest
from conftest import BINARY, DATA, ROOT, refused, run_json, snapshot, write_rows

NET, A = "net.txt", "a.txt"
LATENCY, HARDWARE = "latency/Near.txt", "hardware/Near.txt"
LEARN = ("train", "--search_space", "nasbench201", "--train_devices")
COMMANDS = {  # what reads the file
    NET: [(*LEARN, "Far"), ("test", "--search_space", "nasbench201"), (*LEARN, "Near")],
    A: [(*LEARN, "Far"), ("test", "--search_space", "nasbench201", "--holdout")],
    LATENCY: [(*LEARN, "Near"), ("test", "--search_space", "nasbench201")],
    HARDWARE: [
        (*LEARN, "Near"),
        ("test", "--search_space", "nasbench201"),
        ("predict", "--search_space", "nasbench201", "444244", "--device", "Near"),
    ],
}


def line(number, text):
    """Puts another text in a line's place."""

    def change(content):
        lines = content.split(b"\n")
        lines[number - 1] = text
        return b"\n".join(lines)

    return change


def gene(value):
    return line(3, b"1 2 3 4 5 " + value)


BAD = [
    # every file of numbers
    *(
        (file, name, change, reason)
        for file, columns, at in ((NET, 6, 3), (A, 1, 3), (LATENCY, 1, 3), (HARDWARE, 4, 1))
        for name, change, reason in (
            ("a word", line(at, b"1 2 x"), rf':{at}: "x" is not a number'),
            ("NaN", line(at, b"nan"), rf':{at}: "nan" is not a number'),
            ("infinity", line(at, b"-inf"), rf':{at}: "-inf" is not a number'),
            ("hex", line(at, b"0x10"), rf':{at}: "0x10" is not a number'),
            ("a comma", line(at, b"2,3,1,7.46"), rf':{at}: "2,3,1,7.46" is not a number'),
            ("a decimal comma", line(at, b"2,5"), rf':{at}: "2,5" is not a number'),
            ("two points", line(at, b"1.2.3"), rf':{at}: "1.2.3" is not a number'),
            ("half an exponent", line(at, b"1e"), rf':{at}: "1e" is not a number'),
            ("a huge number", line(at, b"1e999"), rf":{at}: 1e999 is too large for a number"),
            ("a long number", line(at, b"1" * 5000), rf':{at}: "1+" is not a number'),
            ("a NUL", line(at, b"1\0002"), rf':{at}: ".*" is not a number'),
            ("binary", lambda c: bytes(range(128, 256)) * 40, r':1: "\?+" is not a number'),
            ("one too many", line(at, b"1 " * (columns + 1)), rf":{at}: {columns + 1} numbers where {columns} are"),
            ("a CR inside", line(at, b"1\r2 3"), rf":{at}: "),
            ("nothing at all", lambda c: b"", r":1: "),
            ("blank lines only", lambda c: b"\n\n", r":\d: "),
        )
    ),
    *(
        (file, name, change, reason)
        for file, columns in ((NET, 6), (A, 1), (LATENCY, 1))
        for name, change, reason in (
            ("a blank line in the middle", line(3, b""), rf":3: 0 numbers where {columns} are expected"),
            ("a blank line at the start", lambda c: b"\n" + c, rf":1: 0 numbers where {columns} are expected"),
            ("a lone blank in a line", line(80, b" \n1"), rf":80: 0 numbers where {columns} are expected"),
        )
    ),
    (NET, "one gene too few", line(3, b"1 2 3 4 5"), ":3: 5 numbers where 6 are expected"),
    (NET, "a gene of 0", gene(b"0"), r":3: gene 6 of nasbench201 must be 1 to 5, not 0 \(it is the operator of edge"),
    (NET, "a gene of 6", gene(b"6"), ":3: gene 6 of nasbench201 must be 1 to 5, not 6"),
    (NET, "a negative gene", gene(b"-1"), ":3: gene 6 of nasbench201 must be 1 to 5, not -1"),
    (NET, "a broken gene", gene(b"1.5"), ":3: gene 6 of nasbench201 must be a whole number, not 1.5"),
    (NET, "a huge gene", gene(b"1e300"), r":3: gene 6 of nasbench201 must be a whole number, not 1e\+300"),
    (NET, "a gene near 2^32", gene(b"4294967297"), ":3: gene 6 of nasbench201 must be"),
    *(
        (file, f"{v} ms", line(3, v.encode()), rf":3: {v} must be a positive")
        for file in (A, LATENCY)
        for v in ("0", "-5")
    ),
    *(
        (f, "a row too few", lambda c: c[: c[:-1].rindex(b"\n")], ":79: the file has 79 rows where net.txt has 80")
        for f in (A, LATENCY)
    ),
    *(
        (f, "a row too many", lambda c: c + b"1\n", ":81: the file has 81 rows where net.txt has 80")
        for f in (A, LATENCY)
    ),
    (HARDWARE, "three numbers", line(1, b"2 3 1"), ":1: 3 numbers where 4 are expected"),
    (HARDWARE, "clock 0", line(1, b"0 3 1 7.46"), r":1: frequency_ghz \(F, in GHz\) must be a positive number"),
    (HARDWARE, "width -3", line(1, b"2 -3 1 7.46"), r":1: dispatch_width \(D, .*\) must be a positive number"),
    (HARDWARE, "cache 0", line(1, b"2 3 0 7.46"), r":1: cache_mb \(C, in MB\) must be a positive number"),
    (HARDWARE, "bandwidth 1e300", line(1, b"2 3 1 1e300"), r":1: memory_bandwidth_gbs \(M, in GB/s\) must be a positive"),
]


@pytest.mark.parametrize("file, name, change, reason", BAD, ids=[f"{f}: {n}" for f, n, _, _ in BAD])
def test_malformed_file_is_refused_with_line_and_reason(file, name, change, reason, small):
    path = small / "data" / "nasbench201" / file
    path.write_bytes(change(path.read_bytes()))
    before = snapshot(small)
    for command in COMMANDS[file]:
        said = refused(1, *command, root=small)
        assert re.match(f"dgld: {re.escape(str(path))}{reason}", said), said
        assert said.isascii() and said[:-1].isprintable()
    assert snapshot(small) == before


@pytest.mark.parametrize("file", COMMANDS)
def test_directory_in_place_of_a_file_is_refused(file, small):
    path = small / "data" / "nasbench201" / file
    path.unlink()
    path.mkdir()
    before = snapshot(small)
    for command in COMMANDS[file]:
        said = refused(1, *command, root=small)
        assert f"{path} is not a regular file" in said
    assert snapshot(small) == before


@pytest.mark.parametrize("file", COMMANDS)
def test_fifo_in_place_of_a_file_is_refused_without_waiting(file, small):
    path = small / "data" / "nasbench201" / file
    path.unlink()
    os.mkfifo(path)
    for command in COMMANDS[file]:
        assert f"{path} is not a regular file" in refused(1, *command, root=small)


def test_missing_parameter_file_is_named(small):
    path = small / "data" / "nasbench201" / A
    path.unlink()
    assert f"{path}: No such file or directory" in refused(1, *LEARN, "Far", root=small)


WELL = {
    "CRLF": lambda c: c.replace(b"\n", b"\r\n"),
    "no final newline": lambda c: c.rstrip(b"\n"),
    "CR at the end": lambda c: c.rstrip(b"\n") + b"\r",
    "a byte order mark": lambda c: b"\xef\xbb\xbf" + c,
    "blank lines at the end": lambda c: c + b"\n \r\n\t\n\n",
    "tabs and blanks around": lambda c: b"\t " + c.replace(b" ", b"  \t").replace(b"\n", b"\t \n"),
    "all at once": lambda c: b"\xef\xbb\xbf" + c.replace(b"\n", b" \r\n").rstrip() + b"\r\n\r\n",
}


@pytest.mark.parametrize("name", WELL)
def test_well_meant_files_are_read_rightly(name, small):
    answers = []
    for _ in range(2):
        answers.append(run_json("test", "--search_space", "nasbench201", root=small))
        answers.append(run_json("test", "--search_space", "nasbench201", "--holdout", root=small))
        answers.append(run_json(*LEARN, "Near", root=small)["version"])
        (small / "result" / "nasbench201" / "pretrainmodel.safetensors").write_bytes(
            (ROOT / "result" / "nasbench201" / "pretrainmodel.safetensors").read_bytes()
        )
        for file in COMMANDS:
            path = small / "data" / "nasbench201" / file
            path.write_bytes(WELL[name](path.read_bytes()))
    assert answers[:3] == answers[3:]


@pytest.mark.parametrize(
    "text", ["2\n3\n1\n7.46\n", "2\n3\n1\n7.46", "2 3 1 7.46", "2 3\n1 7.46\r\n", "+2.0 3e0 1. .746e1"]
)
def test_hardware_may_stand_on_one_line_or_one_number_a_line(text, small):
    hardware = small / "data" / "nasbench201" / HARDWARE
    by_device = ("predict", "--search_space", "nasbench201", "444244", "--device", "Near")
    expected = run_json(*by_device, root=small)
    hardware.write_bytes(text.encode())
    assert run_json(*by_device, root=small) == expected


def test_whole_numbers_may_be_written_as_decimals(small):
    space = small / "data" / "nasbench201"
    expected = run_json("test", "--search_space", "nasbench201", root=small)
    write_rows(space / NET, numpy.loadtxt(space / NET))
    assert "5.0" in (space / NET).read_text()
    assert run_json("test", "--search_space", "nasbench201", root=small) == expected


@pytest.mark.parametrize(
    "sheet, reason",
    [
        ("", "empty"),
        ("{", "line 1"),
        ("[]", "must be an object"),
        ("{}", "/hardware: hardware is missing"),
        ('{"hardware": [2, 3, 1]}', "/hardware: hardware must be 4 numbers"),
        ('{"hardware": [2, 3, 1, 0]}', "/hardware/3: memory_bandwidth_gbs"),
        ('{"hardware": [2, 3, 1, 7.46], "colour": "red"}', '/colour: "colour" is not a field here'),
        ('{"hardware": [2, 3, 1, 7.46], "estimated": 1}', "/estimated: must be true or false"),
        ('{"hardware": {"frequency_ghz": 2, "dispatch_width": 3, "cache_mb": 1}}', "memory_bandwidth_gbs is missing"),
        ('{"hardware": [2, 3, 1, 7.46], "hardware": [2, 3, 1, 7.46]}', "given twice"),
    ],
)
def test_malformed_device_sheet_is_refused_with_file_and_reason(sheet, reason, small):
    file = small / "data" / "devices" / "VIVO NEX.json"
    file.write_text(sheet)
    command = ("predict", "--search_space", "nasbench201", "444244", "--device", "VIVO NEX")
    said = refused(1, *command, root=small)
    assert said.startswith(f"dgld: {file}: ") and reason in said


def test_second_bad_device_leaves_no_file_of_the_first(small):
    space = small / "data" / "nasbench201"
    write_rows(space / "latency" / "Far.txt", [1, 2, 3])
    before = snapshot(small)
    refused(1, "test", "--search_space", "nasbench201", "--test_devices", "Near,Far", root=small)
    assert snapshot(small) == before


def test_result_path_that_is_a_directory_leaves_the_other_results_alone(small):
    space = small / "data" / "nasbench201"
    (space / "latency" / "Far.txt").write_bytes((space / "latency" / "Near.txt").read_bytes())
    (small / "result" / "nasbench201" / "Near_timepre.txt" / "x").mkdir(parents=True)
    before = snapshot(small)
    refused(1, "test", "--search_space", "nasbench201", root=small)
    assert snapshot(small) == before


@pytest.mark.parametrize("command", [["train"], ["test"]])
def test_disk_that_fills_up_leaves_everything_as_it_was(command, small):
    """A limit on the size of files stands for the full disk; its signal must not end the program half way."""
    before = snapshot(small)

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))

    done = subprocess.run(
        [BINARY, *command, "--search_space", "nasbench201", "--root", small],
        capture_output=True, text=True, preexec_fn=limit,
    )  # fmt: skip
    assert done.returncode == 1 and "cannot write" in done.stderr
    assert snapshot(small) == before


def test_real_data_with_one_spoiled_row_is_refused(data, root):
    space = root / "data" / "fbnetv3"
    space.mkdir()
    rows = (DATA / "fbnetv3" / NET).read_text().splitlines()
    rows[150] = rows[150].rsplit(" ", 1)[0] + " 10"
    (space / NET).write_text("\n".join(rows))
    (space / A).write_bytes((DATA / "fbnetv3" / A).read_bytes())
    said = refused(1, "train", "--search_space", "fbnetv3", root=root)
    assert f"{space / NET}:151: gene 28 of fbnetv3 must be 5 to 9, not 10" in said


@pytest.mark.parametrize("text, line", [("2 0 1 7.46", 1), ("2\n3\n-1\n7.46\n", 3), ("2 3\r\n\r\n1 0\r\n", 3)])
def test_hardware_out_of_range_is_refused_with_its_line(text, line, small):
    file = small / "data" / "nasbench201" / "hardware" / "Near.txt"
    file.write_bytes(text.encode())
    said = refused(1, "test", "--search_space", "nasbench201", root=small)
    assert f"{file}:{line}: " in said and "must be a positive number" in said
