"""Replies are compressed where the client takes it and it pays."""

import gzip
import http.client
import json

import pytest

SMALL = {"search_space": "nasbench201", "hardware": [2.0, 3, 1, 7.46], "architectures": ["444244"]}
LARGE = SMALL | {"architectures": ["444244", "333333"] * 500}


def ask(service, body, accepted):
    """Posts with this Accept-Encoding, or none, and returns (headers, raw body)."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
    data = json.dumps(body).encode()
    connection.putrequest("POST", "/v1/predict", skip_accept_encoding=True)
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(len(data)))
    if accepted is not None:
        connection.putheader("Accept-Encoding", accepted)
    connection.endheaders(data)
    reply = connection.getresponse()
    raw = reply.read()
    connection.close()
    assert reply.status == 200
    return reply.headers, raw


@pytest.mark.parametrize("accepted", ["gzip", "GZIP", "deflate, gzip", "gzip;q=0.5", "gzip ; q=1.0", "br,gzip", "*"])
def test_a_large_reply_is_compressed_where_gzip_is_accepted(accepted, service):
    headers, raw = ask(service, LARGE, accepted)
    assert headers["Content-Encoding"] == "gzip" and headers["Vary"] == "Accept-Encoding"
    plain = ask(service, LARGE, None)[1]
    assert gzip.decompress(raw) == plain and len(raw) < len(plain) / 2


@pytest.mark.parametrize(
    "accepted",
    [None, "", "identity", "deflate", "gzip;q=0", "gzip;q=0.0", "*;q=0", "gzip;q=0, *", "xgzip", "gzipped"]
    # what is no weight, and no int once it is a thousand times as much
    + ["gzip;q=1e300, *", "gzip;q=9e9, *", "gzip;q=nan, *"],
)
def test_without_gzip_nothing_is_compressed(accepted, service):
    headers, raw = ask(service, LARGE, accepted)
    assert headers["Content-Encoding"] is None
    assert len(json.loads(raw)["latency_ms"]) == 1000


def test_a_small_reply_is_left_as_it_is(service):
    headers, raw = ask(service, SMALL, "gzip")
    assert headers["Content-Encoding"] is None and json.loads(raw)["latency_ms"]


def test_what_is_small_is_a_setting(root, start):
    (root / "config").mkdir()
    settings = root / "config" / "dgld.json"
    settings.write_text('{"compression_min_bytes": 1}')
    assert ask(start(root), SMALL, "gzip")[0]["Content-Encoding"] == "gzip"
    settings.write_text('{"compression_min_bytes": 0}')
    assert ask(start(root), LARGE, "gzip")[0]["Content-Encoding"] is None


def test_a_batch_on_the_pool_is_compressed_too(service):
    headers, raw = ask(service, SMALL | {"architectures": ["444244"] * 20_000}, "gzip")
    assert headers["Content-Encoding"] == "gzip"
    assert len(json.loads(gzip.decompress(raw))["latency_ms"]) == 20_000
