"""Malformed HTTP: answered with problem documents, never with aiohttp's own pages or a 5xx."""

import asyncio
from urllib.parse import urlsplit

import orjson
import pytest

from tests.api.running import Api

HOST = b"Host: localhost\r\n"


def status_and_slug(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head.lower(), answer
    problem = orjson.loads(body)
    assert head.startswith(b"HTTP/1.%b %d " % (head[7:8], problem["status"]))
    return problem["status"], problem["type"].removeprefix("urn:asset-ledger:")


@pytest.mark.parametrize(
    "sent",
    [
        b"GARBAGE\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"FROBNICATE /health HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /health HTTP/9.9\r\n" + HOST + b"\r\n",
        b"GET /health FTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /health HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
        b"GET /health HTTP/1.1\r\n" + HOST + b"no colon\r\n\r\n",
        b"GET /health HTTP/1.1\r\n" + HOST + b"bad name: x\r\n\r\n",
        b"GET /health HTTP/1.1\r\n" + HOST + b"X: a\x00b\r\n\r\n",
        b"GET /health HTTP/1.1\r\n" + HOST + b"X: a\r\n folded\r\n\r\n",
        b"GET /health HTTP/1.1\r\n" + HOST + b"X: " + b"x" * 70_000 + b"\r\n\r\n",
        b"GET /health HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 1_000 + b"\r\n",
        b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        b"POST /api/assets HTTP/1.1\r\n" + HOST + b"Content-Length: x\r\n\r\n",
        b"POST /api/assets HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n",
        b"POST /api/assets HTTP/1.1\r\n"
        + HOST
        + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"POST /api/assets HTTP/1.1\r\n"
        + HOST
        + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /api/assets HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip\r\n\r\nx",
        b"GET /health HTTP/1.1\r\n" + HOST + b"Sec-WebSocket-Key1: x\r\n\r\n",
    ],
)
async def test_malformed_bytes_are_answered_as_a_malformed_request(api: Api, sent: bytes) -> None:
    answer = await api.raw(sent)  # returns only once the server closes

    assert status_and_slug(answer) == (400, "malformed-request")


async def test_an_unsupported_transfer_coding_is_refused(api: Api) -> None:
    answer = await api.raw(
        b"POST /api/assets?name=n HTTP/1.1\r\n" + HOST + b"Connection: close\r\n"
        b"Transfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    )

    assert status_and_slug(answer) == (415, "unsupported-type")
    assert not (await api.get("/api/assets")).json["assets"]


async def test_a_header_of_invalid_utf8_is_refused_as_a_bad_field(api: Api) -> None:
    answer = await api.raw(
        b"POST /api/assets?name=n HTTP/1.1\r\n" + HOST + b"Connection: close\r\n"
        b"Content-Type: text/\xff\r\nContent-Length: 1\r\n\r\nx"
    )

    assert status_and_slug(answer) == (422, "bad-field")


@pytest.mark.parametrize("target", [b"/api/jobs/\xff/history", b"/\xff", b"/health?\xff=\xfe"])
async def test_a_target_of_invalid_utf8_is_a_malformed_request(api: Api, target: bytes) -> None:
    answer = await api.raw(
        b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
    )

    assert status_and_slug(answer) == (400, "malformed-request")


async def test_an_http_1_0_connection_is_closed_after_the_answer(api: Api) -> None:
    answer = await api.raw(b"GET /health HTTP/1.0\r\n" + HOST + b"\r\n")

    assert answer.endswith(b"\r\n\r\nOK")


@pytest.mark.parametrize(
    ("method", "path", "status", "slug"),
    [
        ("GET", "/x", 404, "unknown-route"),
        ("GET", "/api/assets/x/y/z", 404, "unknown-route"),
        ("GET", "/api//assets", 404, "unknown-route"),
        ("GET", "/api/assets//", 404, "unknown-route"),
        ("GET", "/api/assets//content", 404, "unknown-route"),
        ("GET", "/api/jobs/%FF/history", 400, "bad-parameter"),
        ("GET", "/api/assets?name=caf%E9", 400, "malformed-request"),
        ("POST", "/api/assets?name=%ED%A0%80", 400, "malformed-request"),
        ("PUT", "/api/assets", 405, "method-not-allowed"),
        ("OPTIONS", "/api/assets", 405, "method-not-allowed"),
        ("PROPFIND", "/health", 405, "method-not-allowed"),
        ("DELETE", "/api/assets/x/content", 405, "method-not-allowed"),
    ],
)
async def test_an_unknown_route_or_method_is_answered_with_a_problem(
    api: Api, method: str, path: str, status: int, slug: str
) -> None:
    answer = await api.call(method, path)

    assert (answer.status, answer.slug) == (status, slug)
    assert ("Allow" in answer.headers) == (status == 405)


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"CONNECT localhost:7777 HTTP/1.1", b"404"),
        (b"OPTIONS * HTTP/1.1", b"404"),
        (b"GET http://localhost/health HTTP/1.1", b"200"),
        (b"GET http://evil.example/health HTTP/1.1", b"200"),  # a browser never sends this form
        (b"GET //health HTTP/1.1", b"404"),
        (b"GET health HTTP/1.1", b"400"),
        (b"GET /api/assets/../assets HTTP/1.1", b"404"),
        (b"GET /health?a=b?c=d#e HTTP/1.1", b"400"),
        (b"GET http://[::1/health HTTP/1.1", b"400"),
    ],
)
async def test_unusual_targets_are_answered(api: Api, request_line: bytes, status: bytes) -> None:
    answer = await api.raw(request_line + b"\r\n" + HOST + b"Connection: close\r\n\r\n")

    assert answer[9:12] == status, answer


async def test_allow_lists_every_method_of_the_path(api: Api) -> None:
    assert (await api.call("PUT", "/api/assets/")).headers["Allow"] == "GET, HEAD, POST"
    assert (await api.call("PUT", "/health/")).headers["Allow"] == "GET, HEAD"


UPLOAD = b"POST /api/assets?name=half HTTP/1.1\r\n" + HOST


@pytest.mark.parametrize(
    "sent",
    [
        UPLOAD + b"Content-Length: 2\r\n\r\nhi",
        UPLOAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        UPLOAD + b"Content-Length: 300000\r\n\r\n" + bytes(300_000),
        b"GET /api/assets HTTP/1.1\r\n" + HOST + b"\r\n",
        b"DELETE /api/assets/0 HTTP/1.1\r\n" + HOST + b"\r\n",
    ],
)
async def test_a_client_that_closes_its_half_is_answered(api: Api, sent: bytes) -> None:
    answer = await api.raw(sent, half_close=True)

    assert answer.startswith(b"HTTP/1.1 404" if sent.startswith(b"DELETE") else b"HTTP/1.1 20")


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /health HTTP/1.1\r\n",
        UPLOAD + b"Content-Length: 3\r\n\r\nhi",
        UPLOAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi",
    ],
)
async def test_a_client_that_closes_its_half_too_early_records_nothing(
    api: Api, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    before = api.head()

    await api.raw(sent, half_close=True)

    assert api.head() == before
    assert not caplog.records


async def test_a_client_that_connects_and_leaves_is_no_error(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(20):
        parts = urlsplit(api.url)
        _, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.close()
    assert (await api.get("/health")).status == 200

    assert not caplog.records
