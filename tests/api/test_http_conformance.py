"""HTTP as a proxy in front of the service relies on it (RFC 9110, RFC 9112): where a request ends, whom it is for, what
HEAD, Expect, pipelining and the end of a connection mean.

What a proxy takes for one request must not be two here, nor the other way round: then what somebody wrote into a body
is carried out as a request that nobody judged. So each shape is either refused, and its connection closed, or read
in the one way that the standards leave."""

import email.utils
import json
import re
import shutil
import socket
import time

import pytest
import requests
from conftest import ROOT, Service, make_root

BODY = b'{"search_space":"nasbench201","hardware":[2,3,1,7.46],"architectures":["444244"]}'
N = len(BODY)
HOST = b"Host: x\r\n"
POST = b"POST /v1/predict HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
LENGTH = b"Content-Length: %d\r\n" % N
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNK = b"%x\r\n%s\r\n" % (N, BODY)
END = b"0\r\n\r\n"
# Requests that tell whether they were answered: the reply to one carries its X-Request-Id.
SMUGGLED = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Request-Id: smuggled\r\n\r\n"
NEXT = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Request-Id: next\r\nConnection: close\r\n\r\n"


def get(target=b"/healthz", headers=HOST, method=b"GET", version=b"HTTP/1.1"):
    return method + b" " + target + b" " + version + b"\r\n" + headers + b"\r\n"


def post(headers=b"", body=b""):
    return POST + headers + b"\r\n" + body


class Reply:
    """The first reply in `received` as a client has to read it; `rest` is what follows it."""

    def __init__(self, received, method="GET"):
        head, self.rest = received.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        match = re.fullmatch(r"HTTP/1\.1 (\d{3}) [ -~]*", lines[0])
        assert match, lines[0]
        self.status, self.headers = int(match[1]), []
        for line in lines[1:]:
            name, value = re.fullmatch(r"([!#-'*+.^-z|~0-9A-Z-]+): ?([^\x00-\x1f]*)", line).groups()
            self.headers.append((name.lower(), value))
        length = self.header("content-length")
        if method == "HEAD" or self.status < 200 or self.status in (204, 304):
            self.body = b""
        elif length is not None:
            assert self.header("transfer-encoding") is None
            self.body, self.rest = self.rest[: int(length)], self.rest[int(length) :]
            assert len(self.body) == int(length), "the body is whole"
        else:
            self.body, self.rest = self.rest, b""

    def header(self, name):
        values = [value for key, value in self.headers if key == name]
        assert len(values) < 2 or name == "vary", f"{name} stands twice"
        return ", ".join(values) if values else None

    def is_last(self):
        return (self.header("connection") or "").lower() == "close"


def replies(received, *methods):
    """All replies, given the methods of their requests (GET where none is left)."""
    methods, found = list(methods), []
    while received:
        found.append(Reply(received, methods.pop(0) if methods else "GET"))
        received = found[-1].rest
        if found[-1].status < 200 and methods:
            methods.insert(0, "GET")
    return found


def exchange(service, raw, in_bytes=False, timeout=30):
    """All that comes back until the connection is closed, and whether it was."""
    received = b""
    with socket.create_connection(("127.0.0.1", service.port), timeout=timeout) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for piece in [raw[i : i + 1] for i in range(len(raw))] if in_bytes else [raw]:
                connection.sendall(piece)
            while piece := connection.recv(65536):
                received += piece
        except TimeoutError:
            return received, False
        except ConnectionError:  # it was closed while something was still being sent
            pass
    return received, True


# ---- where a request ends --------------------------------------------------------------------------------------

CL_TE = END + SMUGGLED
# What is refused. The connection is closed, and nothing of what follows is carried out. The library's own refusals
# may come without a body.
REFUSED = {
    "CL and TE": post(b"Content-Length: %d\r\n" % len(CL_TE) + CHUNKED, CL_TE),
    "TE and CL": post(CHUNKED + b"Content-Length: 4\r\n", b"5c\r\n" + SMUGGLED + b"\r\n" + END),
    "TE and CL in a GET": get(headers=HOST + CHUNKED + b"Content-Length: 5\r\n") + CL_TE,
    "two CL": post(b"Content-Length: 0\r\n" + LENGTH, BODY),
    "the same CL twice": post(LENGTH + LENGTH, BODY),
    "CL in a list": post(b"Content-Length: %d, %d\r\n" % (N, N), BODY),
    "CL +": post(b"Content-Length: +%d\r\n" % N, BODY),
    "CL -": post(b"Content-Length: -1\r\n", SMUGGLED),
    "CL in hex": post(b"Content-Length: 0x%x\r\n" % N, BODY),
    "CL with a point": post(b"Content-Length: %d.0\r\n" % N, BODY),
    "CL with an underscore": post(b"Content-Length: 8_1\r\n", BODY),
    "CL in quotes": post(b'Content-Length: "%d"\r\n' % N, BODY),
    "CL empty": post(b"Content-Length: \r\n", SMUGGLED),
    "CL of words": post(b"Content-Length: none\r\n", SMUGGLED),
    "CL and a NUL": post(b"Content-Length: 0\0%d\r\n" % N, BODY),
    "CL behind a vertical tab": post(b"Content-Length:\x0b%d\r\n" % N, BODY),
    "CL behind a no-break space": post(b"Content-Length:\xa0%d\r\n" % N, BODY),
    "CL of 2^64 and more": post(b"Content-Length: %d\r\n" % (2**64 + N), BODY),
    "CL of 2^63": post(b"Content-Length: %d\r\n" % 2**63, BODY),
    "a blank before CL's colon": post(b"Content-Length : %d\r\n" % N, BODY),
    "a tab before CL's colon": post(b"Content-Length\t: %d\r\n" % N, BODY),
    "a vertical tab before CL's colon": post(b"Content-Length\x0b: %d\r\n" % len(SMUGGLED), SMUGGLED),
    "a form feed before CL's colon": post(b"Content-Length\x0c: %d\r\n" % len(SMUGGLED), SMUGGLED),
    "a CR before CL's colon": post(b"Content-Length\r: %d\r\n" % len(SMUGGLED), SMUGGLED),
    "a NUL before CL's colon": post(b"Content-Length\0: %d\r\n" % len(SMUGGLED), SMUGGLED),
    "a blank before CL": post(b" Content-Length: %d\r\n" % len(SMUGGLED), SMUGGLED),
    "CL on a continued line": post(b"Content-Length:\r\n %d\r\n" % len(SMUGGLED), SMUGGLED),
    "CL continued": post(b"Content-Length: %d\r\n %d\r\n" % divmod(N, 10), BODY),
    "CL in a continued line": post(b"X: a\r\n Content-Length: 3\r\n" + LENGTH, BODY),
    "a continued line": post(b"X: a\r\n b\r\n" + LENGTH, BODY),
    "a line continued by a tab": post(b"X: a\r\n\tb\r\n" + LENGTH, BODY),
    "a line continued at the end": post(LENGTH + b"X: a\r\n b\r\n", BODY),
    "a first line continued": b"GET /healthz HTTP/1.1\r\n X: y\r\n" + HOST + b"\r\n",
    "TE xchunked": post(b"Transfer-Encoding: xchunked\r\n", CHUNK + CL_TE),
    "TE chunked, identity": post(b"Transfer-Encoding: chunked, identity\r\n", CHUNK + CL_TE),
    "TE chunked twice": post(b"Transfer-Encoding: chunked, chunked\r\n", CHUNK + CL_TE),
    "TE on two lines": post(CHUNKED + b"Transfer-Encoding: identity\r\n", CHUNK + CL_TE),
    "TE identity": post(b"Transfer-Encoding: identity\r\n" + LENGTH, BODY),
    "TE identity alone": post(b"Transfer-Encoding: identity\r\n", SMUGGLED),
    "TE gzip, chunked": post(b"Transfer-Encoding: gzip, chunked\r\n", CHUNK + CL_TE),
    "TE in quotes": post(b'Transfer-Encoding: "chunked"\r\n', CHUNK + CL_TE),
    "TE with a parameter": post(b"Transfer-Encoding: chunked;a=b\r\n", CHUNK + CL_TE),
    "TE behind a comma": post(b"Transfer-Encoding: ,chunked\r\n", CHUNK + CL_TE),
    "TE before a comma": post(b"Transfer-Encoding: chunked,\r\n", CHUNK + CL_TE),
    "TE empty": post(b"Transfer-Encoding: \r\n", SMUGGLED),
    "TE and a blank": post(b"Transfer-Encoding: chunked \r\n", CHUNK + CL_TE),
    "TE and a NUL": post(b"Transfer-Encoding: chunked\0\r\n", CHUNK + CL_TE),
    "TE behind a vertical tab": post(b"Transfer-Encoding: \x0bchunked\r\n", CHUNK + CL_TE),
    "TE on a continued line": post(b"Transfer-Encoding:\r\n chunked\r\n", CHUNK + CL_TE),
    "a blank before TE's colon": post(b"Transfer-Encoding : chunked\r\n", CHUNK + CL_TE),
    "a blank before TE": post(b" Transfer-Encoding: chunked\r\n" + LENGTH, BODY),
    "a vertical tab before TE": post(b"\x0bTransfer-Encoding: chunked\r\n" + LENGTH, BODY),
    "TE behind a bare CR": post(b"X: a\rTransfer-Encoding: chunked\r\n" + LENGTH, BODY),
    "TE behind a bare LF": post(b"X: a\nTransfer-Encoding: chunked\r\n" + LENGTH, BODY),
    "CL behind a bare LF": post(b"X: a\nContent-Length: %d\r\n" % N, BODY),
    "CL behind a bare CR": post(b"X: a\rContent-Length: 3\r\n" + LENGTH, BODY),
    "a bare CR at a line's end": get(headers=HOST + b"X: a\r\r\n"),
    "a bare CR for an empty line": get(headers=HOST + b"\rX: a\r\n"),
    "bare LFs": b"GET /healthz HTTP/1.1\nHost: x\n\n",
    "a bare LF behind the first line": b"GET /healthz HTTP/1.1\n" + HOST + b"\r\n",
    "a bare LF behind the last line": b"GET /healthz HTTP/1.1\r\nHost: x\n\r\n",
    "a bare LF for the empty line": b"GET /healthz HTTP/1.1\r\nHost: x\r\n\n",
    "a NUL in a value": get(headers=HOST + b"X: a\0b\r\n"),
    "a NUL at the end of a value": get(headers=b"X: a\0\r\n" + HOST),
    "a NUL at the end of the last value": get(headers=HOST + b"X: a\0\r\n"),
    "a NUL in a name": get(headers=HOST + b"X\0: a\r\n"),
    "a NUL in the target": get(b"/healthz\0x"),
    "a NUL in the arguments": get(b"/healthz?a=\0&b=c"),
    "a NUL in the method": get(method=b"GET\0X"),
    "a control character in a value": get(headers=HOST + b"X: a\x01\r\n"),
    "DEL in a value": get(headers=HOST + b"X: a\x7f\r\n"),
    "a name with a blank": get(headers=HOST + b"X Y: a\r\n"),
    "a name with signs": get(headers=HOST + b"X(@): a\r\n"),
    "a name that is no ASCII": get(headers=HOST + b"X\xc3\xa9: a\r\n"),
    "no name": get(headers=HOST + b": a\r\n"),
    "no colon": get(headers=HOST + b"Xa\r\n"),
    # the line of the request
    "HTTP/0.9": b"GET /healthz\r\n\r\n",
    "HTTP/0.9 with a version": get(version=b"HTTP/0.9"),
    "HTTP/1.10": get(version=b"HTTP/1.10"),
    "HTTP/01.1": get(version=b"HTTP/01.1"),
    "http/1.1": get(version=b"http/1.1"),
    "HTTP/1,1": get(version=b"HTTP/1,1"),
    "HTTP/2.0": get(version=b"HTTP/2.0"),
    "HTTP/3.0": get(version=b"HTTP/3.0"),
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a blank in the target": get(b"/healthz x"),
    "another version in the target": get(b"/healthz HTTP/1.1"),
    "a tab in the target": get(b"/healthz\tx"),
    "a vertical tab in the target": get(b"/healthz?\x0b"),
    "a control character in the target": get(b"/healthz?a\x01"),
    "a CR in the target": get(b"/healthz?a\rHTTP/1.1"),
    "two blanks before the target": get(b" /healthz"),
    "a blank behind the version": get(version=b"HTTP/1.1 "),
    "tabs between": b"GET\t/healthz\tHTTP/1.1\r\n" + HOST + b"\r\n",
    "a blank before the method": b" " + get(),
    "a method with signs": get(method=b"G(T"),
    "no target": b"GET HTTP/1.1\r\n" + HOST + b"\r\n",
    # Host
    "no Host": get(headers=b""),
    "two Hosts": get(headers=HOST + HOST),
    "two Hosts, one in capitals": get(headers=HOST + b"HOST: y\r\n"),
    "no Host, the target being absolute": get(b"http://x/healthz", headers=b""),
    "a Host with a blank": get(headers=b"Host: x y\r\n"),
    "a Host with a path": get(headers=b"Host: x/y\r\n"),
    "a Host with a user": get(headers=b"Host: u@x\r\n"),
    "a Host with a quote": get(headers=b'Host: x"y\r\n'),
    "a Host with an open bracket": get(headers=b"Host: [::1\r\n"),
    "a Host with a bracket in its middle": get(headers=b"Host: x[::1]\r\n"),
    "a Host behind a bracket": get(headers=b"Host: [::1]x\r\n"),
    "a Host of nothing in brackets": get(headers=b"Host: []\r\n"),
    "a Host of a name in brackets": get(headers=b"Host: [x]:80\r\n"),
    "a Host whose port is none": get(headers=b"Host: x:8o\r\n"),
    "a Host with two ports": get(headers=b"Host: x:80:80\r\n"),
    # what is too long
    "a target of 40,000 bytes": get(b"/" + b"a" * 40_000),
    "a header of 40,000 bytes": get(headers=HOST + b"X: " + b"a" * 40_000 + b"\r\n"),
    "4,000 headers": get(headers=HOST + b"X: a\r\n" * 4000),
    # chunks
    "a chunk of 0x": post(CHUNKED, b"0x" + CHUNK + END),
    "a chunk of +": post(CHUNKED, b"+" + CHUNK + END),
    "a chunk of -1": post(CHUNKED, b"-1\r\n" + SMUGGLED),
    "a chunk of -0": post(CHUNKED, CHUNK + b"-0\r\n\r\n" + SMUGGLED),
    "a chunk of 5_1": post(CHUNKED, b"5_1\r\n" + BODY + b"\r\n" + END),
    "a chunk of nothing": post(CHUNKED, b"\r\n" + SMUGGLED),
    "a chunk of an extension": post(CHUNKED, b";a\r\n" + BODY + b"\r\n" + END),
    "a chunk behind a blank": post(CHUNKED, b" " + CHUNK + END),
    "a chunk and a blank": post(CHUNKED, CHUNK.replace(b"\r\n", b" \r\n", 1) + END),
    "a chunk and a tab": post(CHUNKED, CHUNK.replace(b"\r\n", b"\t\r\n", 1) + END),
    "a chunk of 2^64 and more": post(CHUNKED, b"1%016x\r\n" % N + BODY + b"\r\n" + END),
    "a chunk of a bare CR": post(CHUNKED, CHUNK.replace(b"\r\n", b"\r", 1) + END),
    "a chunk that is longer than it says": post(CHUNKED, CHUNK[:-2] + b"XX" + END),
    "a chunk without its end": post(CHUNKED, CHUNK[:-2] + END),
    "a chunk that ends with LF LF": post(CHUNKED, CHUNK[:-2] + b"\n\n" + END),
    "a chunk that ends with LF CR": post(CHUNKED, CHUNK[:-2] + b"\n\r" + END),
    "a chunk that ends with a bare CR": post(CHUNKED, CHUNK[:-2] + b"\r" + END),
    "an extension with a bare LF": post(CHUNKED, b"%x;a\nb\r\n" % N + BODY + b"\r\n" + END),
    "an extension with a line in quotes": post(CHUNKED, b'%x;a="\r\n"\r\n' % N + BODY + b"\r\n" + END),
    "a trailer without a colon": post(CHUNKED, CHUNK + b"0\r\nX\r\n\r\n"),
}
# Refused by the library with two heads of a reply, the first of which says that the connection is closed.
TWO_HEADS = {name for name in REFUSED if name.startswith("CL ")} - {
    "CL and TE", "CL and a NUL", "CL of 2^63", "CL on a continued line", "CL continued", "CL in a continued line",
    "CL behind a bare LF", "CL behind a bare CR"}  # fmt: skip


def in_both_ways(shapes):
    """Each at once and byte by byte, but for what is so long that this takes its time."""
    both = [(name, in_bytes) for name, raw in shapes.items() for in_bytes in (False, True) if not in_bytes or len(raw) < 1000]
    return pytest.mark.parametrize("name, in_bytes", both, ids=[f"{name}{', in bytes' * in_bytes}" for name, in_bytes in both])


@in_both_ways(REFUSED)
def test_request_that_others_may_read_otherwise_is_refused_and_ends_its_connection(name, in_bytes, service):
    received, is_closed = exchange(service, REFUSED[name] + NEXT, in_bytes)
    assert is_closed and b"smuggled" not in received and b"X-Request-Id: next" not in received
    if not received:  # no reply either: the library closes where there is no line of a request, and a reset loses it
        return
    reply = Reply(received)
    assert reply.status in (400, 413, 414, 431, 505) and reply.is_last()
    assert reply.rest == b"" or name in TWO_HEADS
    assert set(re.findall(rb"HTTP/1\.1 (\d+)", received)) == {b"%d" % reply.status}


# What may be taken only one way, and is: the status, and whether the connection goes on after it.
TAKEN = {
    "CL": (post(LENGTH, BODY), 200, True),
    "CL in lower case": (post(b"content-length: %d\r\n" % N, BODY), 200, True),
    "CL without a blank": (post(b"Content-Length:%d\r\n" % N, BODY), 200, True),
    "CL behind blanks": (post(b"Content-Length: \t  %d\r\n" % N, BODY), 200, True),
    "CL with zeros before it": (post(b"Content-Length: 000%d\r\n" % N, BODY), 200, True),
    "CL with an underscore in its name": (post(b"Content_Length: 5\r\n" + LENGTH, BODY), 200, True),
    "CL named in Connection": (post(b"Connection: Content-Length\r\n" + LENGTH, BODY), 200, True),
    "no CL": (post(), 400, True),
    "a GET with a body": (get(headers=HOST + b"Content-Length: %d\r\n" % len(SMUGGLED)) + SMUGGLED, 200, True),
    "a HEAD with a body": (get(headers=HOST + b"Content-Length: 5\r\n", method=b"HEAD") + b"hello", 200, True),
    "an OPTIONS with a body": (get(headers=HOST + b"Content-Length: 5\r\n", method=b"OPTIONS") + b"hello", 204, True),
    "a 404 with a body": (get(b"/x", HOST + b"Content-Length: %d\r\n" % len(SMUGGLED), b"PUT") + SMUGGLED, 404, True),
    "a body that looks like a request": (post(b"Content-Length: %d\r\n" % len(SMUGGLED), SMUGGLED), 400, True),
    "TE": (post(CHUNKED, CHUNK + END), 200, False),
    "TE in capitals": (post(b"TRANSFER-ENCODING: CHUNKED\r\n", CHUNK + END), 200, False),
    "TE behind a tab": (post(b"Transfer-Encoding:\tchunked\r\n", CHUNK + END), 200, False),
    "TE in a GET": (get(headers=HOST + CHUNKED) + END, 200, False),
    "TE in HTTP/1.0": (post(CHUNKED, CHUNK + END).replace(b"HTTP/1.1", b"HTTP/1.0", 1), 200, False),
    "TE of which nothing comes": (post(CHUNKED, END), 400, False),
    "TE to nowhere": (get(b"/x", HOST + CHUNKED, b"POST") + CHUNK + END, 404, False),
    "a chunk with zeros before it": (post(CHUNKED, b"0" * 20 + CHUNK + END), 200, False),
    "a chunk in capitals": (post(CHUNKED, b"51\r\n" + BODY + b"\r\n" + b"0A\r\n          \r\n" + END), 200, False),
    "a chunk with an extension": (post(CHUNKED, b'%x;a=b;c="d"\r\n' % N + BODY + b"\r\n" + END), 200, False),
    "an end with an extension": (post(CHUNKED, CHUNK + b"0;a=b\r\n\r\n"), 200, False),
    "an end of 00": (post(CHUNKED, CHUNK + b"00\r\n\r\n"), 200, False),
    "a trailer": (post(CHUNKED + b"Trailer: X\r\n", CHUNK + b"0\r\nX: y\r\n\r\n"), 200, False),
    "a trailer of another length": (post(CHUNKED, CHUNK + b"0\r\nContent-Length: 80\r\n\r\n"), 200, False),
    # The library takes these lines; nothing behind them is taken for a request.
    "a chunk that ends with LF": (post(CHUNKED, CHUNK[:-2] + b"\n" + END), 200, False),
    "a chunk whose size ends with LF": (post(CHUNKED, CHUNK.replace(b"\r\n", b"\n", 1) + END), 200, False),
    "an extension with a bare CR": (post(CHUNKED, b"%x;a\rb\r\n" % N + BODY + b"\r\n" + END), 200, False),
    "an end with LF": (post(CHUNKED, CHUNK + b"0\n\n"), 200, False),
    # the line of the request
    "empty lines before": (b"\r\n\r\n" + get(), 200, True),
    "HTTP/1.2": (get(version=b"HTTP/1.2"), 200, True),
    "absolute form": (get(b"http://x/healthz"), 200, True),
    "absolute form of another host": (get(b"http://y:81/healthz"), 200, True),
    "absolute form without a path": (get(b"http://x?/v1/jobs"), 200, True),
    "authority form": (get(b"x:80"), 404, True),
    "CONNECT": (get(b"x:80", method=b"CONNECT"), 404, True),
    "asterisk form of GET": (get(b"*"), 404, True),
    "OPTIONS *": (get(b"*", method=b"OPTIONS"), 204, True),
    "a method in lower case": (get(method=b"get"), 405, True),
    "a method that nobody knows": (get(method=b"BREW"), 405, True),
    "TRACE": (get(method=b"TRACE"), 405, True),
    "another method by a header": (get(b"/v1/devices/x", HOST + b"X-HTTP-Method-Override: DELETE\r\n"), 404, True),
    "a path of 12,000 bytes": (get(b"/" + b"a" * 12_000), 404, True),
    "a value that is no ASCII": (get(headers=HOST + b"X: \xc3\xa9\xff\r\n"), 200, True),
    "an empty value": (get(headers=HOST + b"X:\r\nY: \r\n"), 200, True),
    # Host
    "an empty Host": (get(headers=b"Host:\r\n"), 200, True),
    "a Host with a port": (get(headers=b"Host: x.example:8080\r\n"), 200, True),
    "a Host with an empty port": (get(headers=b"Host: x:\r\n"), 200, True),
    "a Host of IPv6": (get(headers=b"Host: [2001:db8::1]:80\r\n"), 200, True),
    "a Host of IPv6 without a port": (get(headers=b"Host: [::1]\r\n"), 200, True),
    "no Host in HTTP/1.0": (get(headers=b"", version=b"HTTP/1.0"), 200, False),
    # upgrades are offers that need not be taken
    "an upgrade to HTTP/2": (get(headers=HOST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                                 b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n"), 200, True),
    "an upgrade to WebSocket": (get(headers=HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"), 200, True),
}  # fmt: skip


@in_both_ways({name: raw for name, (raw, _, _) in TAKEN.items()})
def test_request_of_one_meaning_is_read_so(name, in_bytes, service):
    raw, status, goes_on = TAKEN[name]
    # what is sent to a connection that has been closed meanwhile resets it, and the reply may be lost
    sent = raw if in_bytes and not goes_on else raw + NEXT
    received, is_closed = exchange(service, sent, in_bytes)
    found = replies(received, raw.lstrip().split(b" ")[0].decode())
    assert is_closed and [reply.status for reply in found] == [status] + [200] * goes_on
    assert found[0].is_last() != goes_on
    assert [reply.header("x-request-id") for reply in found[1:]] == ["next"] * goes_on
    assert b"smuggled" not in received


def test_refusal_by_the_service_says_what_is_wrong_as_json(service):
    for name in ("CL and TE", "CL on a continued line", "a bare LF behind the first line", "a Host with a path"):
        reply = Reply(exchange(service, REFUSED[name])[0])
        assert reply.header("content-type") == "application/problem+json"
        assert json.loads(reply.body)["detail"]


def test_what_long_headers_may_be_is_told(service):
    for name, status in (("a target of 40,000 bytes", b"414"), ("a header of 40,000 bytes", b"431")):
        seen = set()
        for _ in range(20):  # a reset of the connection may lose the reply, but not every time
            seen.add(exchange(service, REFUSED[name])[0][9:12])
            if status in seen:
                break
        assert status in seen and seen <= {b"", status}


# ---- HEAD, OPTIONS, methods ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def worked(tmp_path_factory):
    """A daemon with a job that has ended, measurements, and a small file to download."""
    path = tmp_path_factory.mktemp("worked")
    make_root(path)
    shutil.copy(ROOT / "result" / "nasbench201" / "accuracymodel.safetensors", path / "result" / "nasbench201")
    (path / "result" / "own").mkdir()
    (path / "result" / "own" / "abc.txt").write_text("abcdefghij")
    daemon = Service(path)
    job = {"kind": "nas", "search_space": "nasbench201", "params": {"device": "VIVO NEX", "latency_constraint_ms": 4000}}
    daemon.job = daemon.post(job, path="/v1/jobs", Prefer="wait=20").json()["id"]
    cells = ["444244", "111111", "555555", "432154"]
    measured = {"architectures": cells, "latency_ms": [3.0, 4.0, 5.0, 6.0]}
    url = daemon.url + "/v1/devices/VIVO%20NEX/measurements/nasbench201"
    assert requests.put(url, json=measured, timeout=30).status_code == 201
    yield daemon
    assert daemon.stop()[0] == 0


PLACES = {
    "space": "nasbench201", "device": "VIVO NEX", "notation": "444244", "model": "nasbench201", "file": "app.js",
    "path": "own/abc.txt", "version": None, "id": None,
}  # fmt: skip


def fill(daemon, path):
    """A path of the contract with something there in its places."""
    model = requests.get(daemon.url + "/v2/models/nasbench201", timeout=30).json()
    places = PLACES | {"id": daemon.job, "version": model["versions"][0]}
    return re.sub(r"\{(\w+)\}", lambda place: requests.utils.quote(places[place[1]]), path)


def contract(daemon):
    return requests.get(daemon.url + "/openapi.json", timeout=30).json()["paths"]


def paths_with(daemon, method):
    return [fill(daemon, path) for path, item in contract(daemon).items() if method in item]


def test_head_has_the_headers_of_get_and_no_body(worked):
    """Of every address that has GET; what changes between two requests is left out."""
    paths = paths_with(worked, "get")
    assert len(paths) > 25
    for path in [*paths, "/nothing", "/v1/predict", "/v1/devices/nobody"]:
        found = {}
        for method in ("GET", "HEAD"):
            raw = get(path.encode(), HOST + b"Connection: close\r\nAccept-Encoding: gzip\r\n", method.encode())
            found[method] = Reply(exchange(worked, raw)[0], method)
        changing = {"date", "x-request-id"}
        if path == "/metrics" or path.endswith("/stats"):  # counters get longer
            changing |= {"content-length"}
        if path.endswith("/events"):  # without a length, and HEAD has no chunks either
            changing |= {"transfer-encoding"}
        plain, head = ([h for h in r.headers if h[0] not in changing] for r in found.values())
        assert (head, found["HEAD"].status) == (plain, found["GET"].status), path
        assert found["HEAD"].rest == b"", path
        assert found["HEAD"].header("content-length") or path.endswith("/events"), path
        assert found["HEAD"].is_last()


def test_options_of_the_service_names_all_methods(service):
    reply = Reply(exchange(service, get(b"*", HOST + b"Connection: close\r\n", b"OPTIONS"))[0])
    assert reply.status == 204
    methods = {method.upper() for item in contract(service).values() for method in item if method != "parameters"}
    assert set(reply.header("allow").split(", ")) == methods | {"HEAD", "OPTIONS"}


def test_every_reply_has_a_date_and_says_where_it_ends(worked):
    now = time.time()
    for raw in (get(), get(b"/nothing"), get(b"/docs", HOST + b"If-None-Match: *\r\n"), get(method=b"OPTIONS"),
                get(method=b"BREW"), post(LENGTH, BODY), post(LENGTH, b"x" * N)):  # fmt: skip
        reply = replies(exchange(worked, raw + NEXT)[0])[0]
        date = email.utils.parsedate_to_datetime(reply.header("date"))
        assert abs(date.timestamp() - now) < 300 and reply.header("date").endswith(" GMT")
        if reply.status in (204, 304):
            assert reply.header("transfer-encoding") is None and reply.body == b""
            assert reply.status == 304 or reply.header("content-length") is None
        else:
            assert int(reply.header("content-length")) == len(reply.body) > 0


# ---- what browsers are told ------------------------------------------------------------------------------------

# By kind of reply: each header, and what has to stand in it.
TOLD = {
    "data": {"content-security-policy": "default-src 'none'", "cross-origin-resource-policy": "same-origin", "cache-control": "no-cache"},
    "page": {"content-security-policy": "default-src 'none'", "cross-origin-resource-policy": "same-origin", "cache-control": "no-cache",
             "cross-origin-opener-policy": "same-origin", "referrer-policy": "no-referrer", "permissions-policy": "camera=()"},
    "file": {"content-security-policy": "sandbox", "cross-origin-resource-policy": "same-origin", "cache-control": "no-cache",
             "referrer-policy": "no-referrer"},
    "unchanged": {"cache-control": "no-cache"},
    "answer": {},
}  # fmt: skip


def kind_of(path, method, reply):
    if method not in ("GET", "HEAD"):
        return "answer"
    if reply.status_code == 304:
        return "unchanged"
    if reply.headers.get("Content-Type", "").startswith("text/html"):
        return "page"
    return "file" if path == FILE and reply.status_code in (200, 206) else "data"


def test_every_reply_tells_browsers_what_they_may_not_do(worked):
    asked = [(method.upper(), fill(worked, path), {}) for path, item in contract(worked).items() for method in item if method == "get"]
    asked += [(method, path, {}) for _, path, _ in asked[:] for method in ("HEAD", "OPTIONS", "PATCH")]
    asked += [("GET", "/nothing", {}), ("POST", "/v1/predict", {}), ("GET", FILE, {"Range": "bytes=0-1"}), ("GET", FILE, {"If-None-Match": "*"}),
              ("GET", "/docs", {"If-None-Match": "*"}), ("DELETE", "/v1/devices/nobody", {}), ("POST", "/v2/models/nasbench201/infer", {})]  # fmt: skip
    seen = set()
    for method, path, headers in asked:
        reply = requests.request(method, worked.url + path, headers=headers, timeout=30)
        kind = kind_of(path, method, reply)
        seen.add(kind)
        assert reply.headers["X-Content-Type-Options"] == "nosniff", (method, path)
        for name, part in TOLD[kind].items():
            given = reply.headers.get(name, "")
            assert part in given or (name == "cache-control" and given == "no-store"), (method, path, name, given)
        if "Content-Security-Policy" in reply.headers:
            policy = reply.headers["Content-Security-Policy"]
            assert "frame-ancestors 'none'" in policy and "default-src 'none'" in policy, (method, path)
            assert "unsafe-inline" not in policy.replace("style-src 'unsafe-inline'", "") and "unsafe-eval" not in policy, (method, path)
        # who answers, by what, and what only HTTPS may promise
        assert not {"server", "x-powered-by", "via", "strict-transport-security", "set-cookie"} & {name.lower() for name in reply.headers}
    assert seen == set(TOLD)


# ---- Expect ----------------------------------------------------------------------------------------------------

EXPECT = b"Expect: 100-continue\r\n"
# What is sent, and what comes back before a byte of the body is: 100, a final status, or nothing (the body is awaited).
EXPECTED = {
    "a body that is wanted": (post(LENGTH + EXPECT), 100),
    "whatever its case": (post(LENGTH + b"expect: 100-Continue\r\n"), 100),
    "chunks": (post(CHUNKED + EXPECT), 100),
    "a PUT": (get(b"/v1/devices/x", HOST + LENGTH + EXPECT, b"PUT"), 100),
    "HTTP/1.0, which has none": (post(LENGTH + EXPECT).replace(b"HTTP/1.1", b"HTTP/1.0"), None),
    "another expectation": (post(LENGTH + b"Expect: tea\r\n"), 417),
    "one more": (post(LENGTH + b"Expect: 100-continue, tea\r\n"), 417),
    "nothing there": (get(b"/nothing", HOST + LENGTH + EXPECT, b"POST"), 404),
    "another method": (get(b"/v1/predict", HOST + LENGTH + EXPECT, b"PUT"), 405),
    "another method, DELETE": (get(b"/v1/predict", HOST + LENGTH + EXPECT, b"DELETE"), 405),
    "another type": (get(b"/v1/predict", HOST + b"Content-Type: a/b\r\n" + LENGTH + EXPECT, b"POST"), 415),
    "too large": (post(b"Content-Length: 500000000\r\n" + EXPECT), 413),
    "two lengths": (post(LENGTH + CHUNKED + EXPECT), 400),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_expectation_is_answered_before_the_body(name, service):
    raw, status = EXPECTED[name]
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.sendall(raw)
        if status is None:
            connection.settimeout(0.3)
            with pytest.raises(TimeoutError):
                connection.recv(1)
            return
        received = connection.recv(65536)
        assert int(received[9:12]) == status
        if status == 100:
            assert received == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.sendall(CHUNK + END if b"chunked" in raw else BODY)
            reply = Reply(connection.recv(65536))
            assert reply.status in (200, 422)
        else:  # the client need not send the body, so the connection can mean nothing more
            while piece := connection.recv(65536):
                received += piece
            assert Reply(received).is_last() and Reply(received).rest == b""


def test_refusal_of_a_caller_asks_for_no_body(root, start):
    (root / "tokens.json").write_text('{"tokens": []}')
    (root / "own.json").write_text(json.dumps({"tokens_file": "tokens.json"}))
    daemon = start(root, "--config", root / "own.json")
    received, is_closed = exchange(daemon, post(LENGTH + EXPECT))
    assert is_closed and Reply(received).status == 401 and Reply(received).is_last()


def test_body_that_comes_unasked_is_taken(service):
    received, is_closed = exchange(service, post(LENGTH + EXPECT + b"Connection: close\r\n", BODY))
    assert is_closed and [reply.status for reply in replies(received)] in ([100, 200], [200])


# ---- pipelining and the end of connections ---------------------------------------------------------------------


def test_ten_requests_in_one_segment_are_answered_in_order(service):
    """On the spot and on the pool, right and wrong, with body and without."""
    kinds = [
        (get(), 200, "GET"), (post(LENGTH, BODY), 200, "POST"), (get(b"/v1/devices"), 200, "GET"),
        (get(b"/nothing"), 404, "GET"), (post(b"Content-Length: 2\r\n", b"{}"), 422, "POST"), (get(method=b"HEAD"), 200, "HEAD"),
        (get(method=b"OPTIONS"), 204, "OPTIONS"), (get(b"/docs", HOST + b"If-None-Match: *\r\n"), 304, "GET"),
        (get(b"/v1/spaces/nasbench201"), 200, "GET"), (post(LENGTH, b"x" * N), 400, "POST"),
    ]  # fmt: skip
    raw = b"".join(r.replace(HOST, HOST + b"X-Request-Id: r%d\r\n" % i, 1) for i, (r, _, _) in enumerate(kinds))
    for in_bytes in (False, True):
        received, is_closed = exchange(service, raw + NEXT, in_bytes)
        found = replies(received, *(method for _, _, method in kinds))
        assert is_closed and [reply.status for reply in found] == [status for _, status, _ in kinds] + [200]
        assert [reply.header("x-request-id") for reply in found] == [f"r{i}" for i in range(10)] + ["next"]


def test_what_follows_a_closed_request_is_not_answered(service):
    for first in (get(headers=HOST + b"Connection: close\r\n"), get(version=b"HTTP/1.0"), REFUSED["CL and TE"]):
        assert len(replies(exchange(service, first + NEXT)[0])) == 1


KEPT = {
    "HTTP/1.1": (b"HTTP/1.1", b"", True),
    "HTTP/1.1 keep-alive": (b"HTTP/1.1", b"Connection: keep-alive\r\n", True),
    "HTTP/1.1 close": (b"HTTP/1.1", b"Connection: close\r\n", False),
    "HTTP/1.1 Close": (b"HTTP/1.1", b"connection: CLOSE\r\n", False),
    "HTTP/1.1 close in a list": (b"HTTP/1.1", b"Connection: X-A, close\r\n", False),
    "HTTP/1.1 close before another": (b"HTTP/1.1", b"Connection: close,X-A\r\n", False),
    "HTTP/1.1 both": (b"HTTP/1.1", b"Connection: keep-alive, close\r\n", False),
    "HTTP/1.1 both on two lines": (b"HTTP/1.1", b"Connection: keep-alive\r\nConnection: close\r\n", False),
    "HTTP/1.1 another": (b"HTTP/1.1", b"Connection: closed\r\n", True),
    "HTTP/1.0": (b"HTTP/1.0", b"", False),
    "HTTP/1.0 close": (b"HTTP/1.0", b"Connection: close\r\n", False),
    "HTTP/1.0 keep-alive": (b"HTTP/1.0", b"Connection: Keep-Alive\r\n", True),
    "HTTP/1.0 keep-alive in a list": (b"HTTP/1.0", b"Connection: TE, keep-alive\r\n", True),
}


@pytest.mark.parametrize("name", KEPT)
def test_connection_is_kept_as_client_and_version_say(name, service):
    version, headers, is_kept = KEPT[name]
    received, is_closed = exchange(service, get(headers=HOST + headers, version=version) + NEXT)
    found = replies(received)
    assert is_closed and [reply.status for reply in found] == [200] * (1 + is_kept)
    said = found[0].header("connection")
    assert said == "close" if not is_kept else said is None or said.lower() == "keep-alive"
    assert version == b"HTTP/1.1" or not is_kept or said.lower() == "keep-alive"


def test_refusal_that_leaves_the_body_unread_ends_the_connection(service):
    for raw in (post(b"Content-Length: 500000000\r\n"), get(b"/nothing", HOST + b"Content-Length: 5000000\r\n", b"DELETE")):
        received, is_closed = exchange(service, raw + SMUGGLED)
        reply = Reply(received)
        assert is_closed and reply.is_last() and reply.status in (404, 413) and reply.rest == b""


# ---- conditions, ranges, Vary ----------------------------------------------------------------------------------

FILE = "/v1/results/own/abc.txt"
RANGES = {
    "the first": ("bytes=0-0", 206, b"a"),
    "the last": ("bytes=-3", 206, b"hij"),
    "from the middle": ("bytes=7-", 206, b"hij"),
    "beyond the end": ("bytes=8-100", 206, b"ij"),
    "more than there is": ("bytes=-100", 206, b"abcdefghij"),
    "behind the end": ("bytes=10-", 416, None),
    "none of the last": ("bytes=-0", 416, None),
    "the wrong way": ("bytes=5-3", 200, b"abcdefghij"),
    "of lines": ("lines=1-2", 200, b"abcdefghij"),
    "of nothing": ("bytes=", 200, b"abcdefghij"),
    "two": ("bytes=0-0,2-2", 200, b"abcdefghij"),  # several parts may be answered whole
    "too large a number": ("bytes=99999999999999999999-", 416, None),
}


@pytest.mark.parametrize("name", RANGES)
def test_range_is_answered_in_part_whole_or_not(name, worked):
    field, status, body = RANGES[name]
    reply = requests.get(worked.url + FILE, headers={"Range": field}, timeout=30)
    if name == "too large a number" and reply.status_code == 200:
        status, body = 200, b"abcdefghij"  # a number that is none here is as good as no Range
    assert (reply.status_code, body or reply.content) == (status, reply.content)
    if status == 206:
        first, last = re.fullmatch(r"bytes (\d+)-(\d+)/10", reply.headers["Content-Range"]).groups()
        assert b"abcdefghij"[int(first) : int(last) + 1] == body
    elif status == 416:
        assert reply.headers["Content-Range"] == "bytes */10"
    else:
        assert "Content-Range" not in reply.headers


def test_conditions_hold_as_the_standard_orders_them(worked):
    tag = requests.get(worked.url + FILE, timeout=30).headers["ETag"]
    cases = [
        ({"If-None-Match": tag}, 304), ({"If-None-Match": "W/" + tag}, 304), ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": f'"a", {tag}'}, 304), ({"If-None-Match": '"a"'}, 200), ({"If-Match": tag}, 200),
        ({"If-Match": "*"}, 200), ({"If-Match": '"a"'}, 412), ({"If-Match": "W/" + tag}, 412),
        ({"If-Match": '"a"', "If-None-Match": tag}, 412), ({"If-Range": tag, "Range": "bytes=0-0"}, 206),
        ({"If-Range": '"a"', "Range": "bytes=0-0"}, 200), ({"If-Range": "W/" + tag, "Range": "bytes=0-0"}, 200),
        ({"If-None-Match": '"a"', "If-Modified-Since": "Fri, 31 Dec 2100 23:59:59 GMT"}, 200),
        ({"If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}, 200), ({"If-Modified-Since": "yesterday"}, 200),
        ({"If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}, 412),
    ]  # fmt: skip
    for headers, status in cases:
        reply = requests.get(worked.url + FILE, headers=headers, timeout=30)
        assert reply.status_code == status, headers
        assert status != 304 or (reply.headers["ETag"] == tag and reply.content == b"")


def test_vary_names_what_a_reply_was_chosen_by(worked):
    """Of both choices, and of none: a cache has to know before it has seen the other."""
    measured = "/v1/devices/VIVO%20NEX/measurements/nasbench201"
    for path in (measured, "/v1/spaces/nasbench201/architectures/444244"):
        for accept in ("application/json", "*/*", "text/csv", "a/b"):
            reply = requests.get(worked.url + path, headers={"Accept": accept}, timeout=30)
            assert "Accept" in reply.headers.get("Vary", "").split(", "), (path, accept, reply.status_code)
    for encoding in ("gzip", "identity"):
        reply = requests.get(worked.url + "/metrics", headers={"Accept-Encoding": encoding}, timeout=30)
        assert ("Content-Encoding" in reply.headers) == (encoding == "gzip")
        assert "Accept-Encoding" in reply.headers["Vary"].split(", ")


# ---- half-closed connections -----------------------------------------------------------------------------------


@pytest.mark.parametrize("raw", [get(), post(LENGTH, BODY), get(b"/v1/devices"), post(CHUNKED, CHUNK + END)],
                         ids=["on the spot", "a body", "on the pool", "chunks"])  # fmt: skip
def test_client_that_has_said_all_gets_its_answer(raw, service):
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert [reply.status for reply in replies(received)] == [200]


@pytest.mark.parametrize("raw", [get()[:-2], post(LENGTH, BODY[:-1]), post(CHUNKED, CHUNK), post(CHUNKED, CHUNK[:-9])],
                         ids=["headers", "a body", "chunks", "a chunk"])  # fmt: skip
def test_request_that_breaks_off_is_not_carried_out(raw, service):
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert not received.startswith(b"HTTP/1.1 2")
