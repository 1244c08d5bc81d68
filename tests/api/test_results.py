"""/v1/results: the result tree, listed and downloaded, and nothing beside it."""

import email.utils
import os
import random

import pytest
import requests
from conftest import Service, make_root

TEXT = b"".join(b"%09d\n" % i for i in range(1000))  # 10,000 bytes


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    path = tmp_path_factory.mktemp("results")
    make_root(path)
    result = path / "result"
    (path / "secret.txt").write_text("secret")
    (path / "resultx").mkdir()
    (path / "resultx" / "secret.txt").write_text("secret")
    own = result / "own"
    (own / "deep" / "er").mkdir(parents=True)
    (own / "numbers.txt").write_bytes(TEXT)
    (own / "empty.csv").write_bytes(b"")
    (own / "deep" / "er" / "x.json").write_bytes(b"{}")
    (own / "a b é%2e.txt").write_bytes(b"named")
    (own / ".hidden").write_bytes(b"secret")
    (own / ".numbers.txt.1.1.tmp").write_bytes(b"secret")
    (own / "half.tmp").write_bytes(b"secret")
    (own / ".d").mkdir()
    (own / ".d" / "x.txt").write_bytes(b"secret")
    (own / "inside").symlink_to("deep/er")
    (own / "out").symlink_to("../../secret.txt")
    (own / "outdir").symlink_to("../..")
    (own / "absolute").symlink_to(path / "secret.txt")
    (own / "root").symlink_to("/")
    (own / "loop").symlink_to("loop")
    (own / "shown").symlink_to(".hidden")
    os.mkfifo(own / "fifo")
    for name in ("m.onnx", "m.pt", "m.safetensors", "p.svg", "page.html", "noend", "UPPER.TXT", "script.js"):
        (own / name).write_bytes(b"<x>")
    past = 1_700_000_000
    os.utime(own / "numbers.txt", (past, past))
    (result / "many").mkdir()
    for i in range(1234):
        (result / "many" / f"f{i:04}").touch()
    return path


@pytest.fixture(scope="module")
def daemon(tree):
    running = Service(tree)
    yield running
    code, log = running.stop()
    assert code == 0, log


def get(daemon, path="", method="GET", **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.request(method, f"{daemon.url}/v1/results{path}", headers=headers, timeout=30)


def names(reply):
    assert reply.status_code == 200, reply.text
    return [entry["name"] for entry in reply.json()["entries"]]


def raw(daemon, path):
    """Status and body of a path that is sent byte for byte."""
    reply = daemon.exchange(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    head, body = reply.split(b"\r\n\r\n", 1)
    return int(head.split()[1]), body


# ---- listing


def test_directories_are_listed_with_what_can_be_opened(daemon, tree):
    reply = get(daemon)
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.json()["path"] == "" and reply.json()["next"] is None
    assert names(reply) == ["fbnetv3", "many", "nasbench201", "own"]
    assert all(e["type"] == "directory" and e["size_bytes"] is None for e in reply.json()["entries"])
    reply = get(daemon, "/own")
    assert reply.json()["path"] == "own"
    assert names(reply) == [
        "UPPER.TXT", "a b é%2e.txt", "deep", "empty.csv", "inside", "m.onnx", "m.pt", "m.safetensors", "noend",
        "numbers.txt", "p.svg", "page.html", "script.js",
    ]  # fmt: skip
    entries = {entry.pop("name"): entry for entry in reply.json()["entries"]}
    assert entries["numbers.txt"] == {"type": "file", "size_bytes": 10000, "modified_at": "2023-11-14T22:13:20.000Z"}
    assert entries["inside"]["type"] == "directory"
    assert get(daemon, "/own/").json() == reply.json()
    assert names(get(daemon, "/own/inside")) == ["x.json"]


def test_every_listed_entry_can_be_fetched(daemon):
    for entry in get(daemon, "/own").json()["entries"]:
        assert get(daemon, "/own/" + requests.utils.quote(entry["name"])).status_code == 200, entry


def test_long_listings_come_in_parts(daemon):
    assert len(names(get(daemon, "/many"))) == 1000
    for limit in (1, 7, 500, 1233, 1234, 10000):
        found, after, n_parts = [], "", 0
        while after is not None and n_parts < 5:
            reply = get(daemon, f"/many?limit={limit}&after={after}")
            part = names(reply)
            assert len(part) <= limit
            found, after, n_parts = found + part, reply.json()["next"], n_parts + 1
        assert found == [f"f{i:04}" for i in range(min(1234, 5 * limit))]


@pytest.mark.parametrize("limit", ["0", "-1", "10001", "99999999999999999999999", "x", "", "1.0", "+1", "1%00"])
def test_limits_that_are_none_are_refused(daemon, limit):
    for path in ("/many", "/own/numbers.txt", ""):
        reply = get(daemon, f"{path}?limit={limit}")
        assert reply.status_code == 422 and "1 to 10000" in reply.json()["detail"]


@pytest.mark.parametrize("after", ["../../etc", "%2Fetc", "zzz", "%ff%fe", "a" * 5000, "%0d%0aX: y"])
def test_after_is_only_compared(daemon, after):
    assert set(names(get(daemon, f"/own?after={after}"))) <= set(names(get(daemon, "/own")))


# ---- paths

OUTSIDE = [
    "/v1/results/..", "/v1/results/../secret.txt", "/v1/results/own/../../secret.txt", "/v1/results/own/..",
    "/v1/results/%2e%2e/secret.txt", "/v1/results/%2e%2e%2fsecret.txt", "/v1/results/own/%2e%2e/%2e%2e/secret.txt",
    "/v1/results/own%2F..%2F..%2Fsecret.txt", "/v1/results/..%5csecret.txt", "/v1/results/.", "/v1/results/./own",
    "/v1/results/own/.", "/v1/results//own", "/v1/results/own//numbers.txt", "/v1/results//", "/v1/results///",
    "/v1/results//etc/passwd", "/v1/results/%2Fetc%2Fpasswd", "/v1/results/own/numbers.txt/",
    "/v1/results/own/numbers.txt/x", "/v1/results/own/numbers.txt/..", "/v1/results/own/numbers.txt%00",
    "/v1/results/own/%00", "/v1/results/own/numbers.txt%00.json", "/v1/results/../resultx/secret.txt",
    "/v1/resultsx/secret.txt", "/v1/results/own/inside/../../../secret.txt", "/v1/results/own/inside/..",
    "/v1/results/own/.hidden", "/v1/results/own/.d/x.txt", "/v1/results/own/.d", "/v1/results/own/half.tmp",
    "/v1/results/own/.numbers.txt.1.1.tmp", "/v1/results/own/%2ehidden", "/v1/results/own/out", "/v1/results/own/outdir",
    "/v1/results/own/outdir/secret.txt", "/v1/results/own/absolute", "/v1/results/own/root/etc/passwd",
    "/v1/results/own/loop", "/v1/results/own/shown", "/v1/results/own/fifo", "/v1/results/own/absent",
    "/v1/results/absent/x", "/v1/results/own/" + "a" * 300, "/v1/results/" + "a/" * 2000 + "x", "/v1/results/own/%ff",
    "/v1/results/own/%0a", "/v1/results/~root", "/v1/results/own/numbers.txt%20", "/v1/results/OWN/numbers.txt",
]  # fmt: skip


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: path[:60])
def test_other_paths_are_not_found(daemon, path):
    status, body = raw(daemon, path.encode())
    assert status == 404, body
    assert b"secret" not in body.replace(path.encode(), b"").replace(b"secret.txt", b"") and b"root:" not in body


def test_links_inside_are_followed(daemon):
    assert get(daemon, "/own/inside/x.json").content == b"{}"


def test_escapes_are_decoded_once(daemon):
    assert get(daemon, "/own/a%20b%20%C3%A9%252e.txt").content == b"named"
    assert raw(daemon, b"/v1/results/own%2Fnumbers.txt") == (200, TEXT)
    assert get(daemon, "/own/%252e%252e/x").status_code == 404


# ---- download


def test_a_file_comes_whole_with_its_validators(daemon):
    reply = get(daemon, "/own/numbers.txt")
    assert (reply.status_code, reply.content) == (200, TEXT)
    headers = reply.headers
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert headers["Last-Modified"] == "Tue, 14 Nov 2023 22:13:20 GMT"
    assert headers["Accept-Ranges"] == "bytes" and headers["X-Content-Type-Options"] == "nosniff"
    assert headers["ETag"].startswith('"') and headers["ETag"].endswith('"')
    assert "sandbox" in headers["Content-Security-Policy"] and "Content-Range" not in headers
    head = get(daemon, "/own/numbers.txt", method="HEAD", Range="bytes=0-1")  # where Range means nothing
    assert (head.status_code, head.content) == (200, b"")
    ignored = {"Date", "X-Request-Id"}
    assert {k: v for k, v in head.headers.items() if k not in ignored} == {
        k: v for k, v in headers.items() if k not in ignored
    }


def test_shipped_models_come_byte_for_byte(daemon, tree):
    files = list((tree / "result").glob("*/pretrainmodel*.safetensors"))
    assert len(files) == 4
    for file in files:
        reply = get(daemon, f"/{file.parent.name}/{file.name}")
        assert reply.content == file.read_bytes()
        assert reply.headers["Content-Type"] == "application/octet-stream"


@pytest.mark.parametrize(
    "name, kind, is_shown",
    [
        ("numbers.txt", "text/plain; charset=utf-8", True),
        ("UPPER.TXT", "text/plain; charset=utf-8", True),
        ("empty.csv", "text/csv; charset=utf-8", True),
        ("deep/er/x.json", "application/json", True),
        ("p.svg", "image/svg+xml", True),
        ("m.onnx", "application/octet-stream", False),
        ("m.pt", "application/octet-stream", False),
        ("m.safetensors", "application/octet-stream", False),
        ("page.html", "application/octet-stream", False),
        ("script.js", "application/octet-stream", False),
        ("noend", "application/octet-stream", False),
    ],
)
def test_type_follows_the_end_of_the_name(daemon, name, kind, is_shown):
    reply = get(daemon, "/own/" + name)
    assert reply.headers["Content-Type"] == kind
    assert reply.headers.get("Content-Disposition") == (None if is_shown else "attachment")


def test_an_empty_file_is_empty(daemon):
    for headers in ({}, {"Range": "bytes=-5"}):
        reply = get(daemon, "/own/empty.csv", **headers)
        assert (reply.status_code, reply.content, reply.headers["Content-Length"]) == (200, b"", "0")
    assert get(daemon, "/own/empty.csv", Range="bytes=0-").status_code == 416


# ---- parts


@pytest.mark.parametrize(
    "asked, first, end",
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=9990-", 9990, 10000),
        ("bytes=9999-99999999999999999999", 9999, 10000),
        ("bytes=-10", 9990, 10000),
        ("bytes=-99999", 0, 10000),
        ("bytes=0-", 0, 10000),
        ("Bytes=5-9", 5, 10),
    ],
)
def test_a_part_is_sent(daemon, asked, first, end):
    reply = get(daemon, "/own/numbers.txt", Range=asked)
    assert (reply.status_code, reply.content) == (206, TEXT[first:end])
    assert reply.headers["Content-Range"] == f"bytes {first}-{end - 1}/10000"
    assert reply.headers["Content-Length"] == str(end - first)
    assert reply.headers["ETag"] == get(daemon, "/own/numbers.txt").headers["ETag"]


@pytest.mark.parametrize("asked", ["bytes=10000-", "bytes=10000-10001", "bytes=99999999999999999999-", "bytes=-0"])
def test_a_part_behind_the_end_is_416_with_the_size(daemon, asked):
    reply = get(daemon, "/own/numbers.txt", Range=asked)
    assert reply.status_code == 416 and reply.headers["Content-Range"] == "bytes */10000"
    assert reply.headers["Content-Type"] == "application/problem+json" and "10000 bytes" in reply.json()["detail"]


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "bytes=5-1", "bytes=a-b", "bytes=-", "lines=0-1", "bytes 0-1", "0-1", ","])
def test_other_ranges_are_answered_whole(daemon, asked):
    reply = get(daemon, "/own/numbers.txt", Range=asked)
    assert (reply.status_code, reply.content) == (200, TEXT)


def test_parts_add_up_to_a_file(daemon, tree):
    content = random.Random(1).randbytes(3_000_001)
    (tree / "result" / "own" / "deep" / "big.onnx").write_bytes(content)
    got = b""
    with requests.Session() as session:
        while len(got) < len(content):
            asked = {"Range": f"bytes={len(got)}-{len(got) + 299_999}"}
            reply = session.get(daemon.url + "/v1/results/own/deep/big.onnx", headers=asked, timeout=30)
            assert reply.status_code == 206
            got += reply.content
        assert session.get(daemon.url + "/v1/results/own/deep/big.onnx", timeout=30).content == content
    assert got == content


# ---- conditions


def test_what_the_client_has_is_not_sent_again(daemon):
    fresh = get(daemon, "/own/numbers.txt")
    etag, date = fresh.headers["ETag"], fresh.headers["Last-Modified"]
    later = email.utils.formatdate(email.utils.parsedate_to_datetime(date).timestamp() + 1, usegmt=True)
    earlier = email.utils.formatdate(email.utils.parsedate_to_datetime(date).timestamp() - 1, usegmt=True)
    for headers, status in [
        ({"If_None_Match": etag}, 304),
        ({"If_None_Match": "*"}, 304),
        ({"If_None_Match": f'"x", W/{etag}'}, 304),
        ({"If_None_Match": '"x"'}, 200),
        ({"If_Modified_Since": date}, 304),
        ({"If_Modified_Since": later}, 304),
        ({"If_Modified_Since": "Tuesday, 14-Nov-23 22:13:20 GMT"}, 304),
        ({"If_Modified_Since": earlier}, 200),
        ({"If_Modified_Since": "yesterday"}, 200),
        ({"If_None_Match": '"x"', "If_Modified_Since": date}, 200),  # the tag decides
        ({"If_None_Match": etag, "If_Modified_Since": earlier}, 304),
        ({"If_None_Match": etag, "Range": "bytes=0-1"}, 304),
        ({"If_Match": etag}, 200),
        ({"If_Match": '"x"'}, 412),
        ({"If_Match": '"x"', "If_None_Match": etag}, 412),
    ]:
        for method in ("GET", "HEAD"):
            reply = get(daemon, "/own/numbers.txt", method=method, **headers)
            assert reply.status_code == status, headers
            if status == 304:
                assert (reply.content, reply.headers["ETag"], reply.headers["Last-Modified"]) == (b"", etag, date)


def test_if_range_sends_the_part_only_of_the_same_file(daemon):
    fresh = get(daemon, "/own/numbers.txt")
    etag, date = fresh.headers["ETag"], fresh.headers["Last-Modified"]
    for field, status in [
        (etag, 206),
        (date, 206),
        ("W/" + etag, 200),
        ('"other"', 200),
        ("Tue, 14 Nov 2023 22:13:21 GMT", 200),
        ("Tue, 14 Nov 2023 22:13:19 GMT", 200),
        ("nonsense", 200),
    ]:
        reply = get(daemon, "/own/numbers.txt", Range="bytes=0-9", If_Range=field)
        assert (reply.status_code, reply.content) == (status, TEXT[:10] if status == 206 else TEXT), field
    assert get(daemon, "/own/numbers.txt", Range="bytes=10000-", If_Range='"other"').status_code == 200
    assert get(daemon, "/own/numbers.txt", Range="bytes=10000-", If_Range=etag).status_code == 416


def test_a_date_does_not_vouch_for_a_file_of_this_second(daemon, tree):
    file = tree / "result" / "own" / "deep" / "now.txt"
    file.write_bytes(TEXT)
    future = file.stat().st_mtime + 3600  # as good as now for as long as the test may take
    os.utime(file, (future, future))
    date = get(daemon, "/own/deep/now.txt").headers["Last-Modified"]
    assert get(daemon, "/own/deep/now.txt", Range="bytes=0-9", If_Range=date).status_code == 200


def test_a_file_that_was_replaced_has_another_tag(daemon, tree):
    file = tree / "result" / "own" / "deep" / "changing.txt"
    seen = set()
    for i in range(5):
        beside = file.with_suffix(".tmp")
        beside.write_bytes(b"%d" % i)
        os.utime(beside, (1_700_000_000, 1_700_000_000 + i))
        beside.rename(file)
        reply = get(daemon, "/own/deep/changing.txt")
        assert reply.content == b"%d" % i
        seen.add(reply.headers["ETag"])
    assert len(seen) == 5


def test_other_methods_are_told_what_is_allowed(daemon):
    for path in ("", "/own", "/own/numbers.txt"):
        for method in ("PUT", "DELETE", "POST"):
            reply = get(daemon, path, method=method)
            assert reply.status_code == 405 and "GET" in reply.headers["Allow"]
