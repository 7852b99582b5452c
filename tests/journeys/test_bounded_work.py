"""No body that is accepted for reading stops the event loop for longer than a tenth of a second.

Every operation that takes a body gets the largest ones: long lists, many unknown fields, wide and
deep objects, one long text. Meanwhile another client waits for `/livez`.
"""

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import chain, count, islice
from typing import Any

import orjson
import pytest

from asset_ledger.api.contract.operations import Operation
from asset_ledger.api.http.app import OPERATIONS
from tests.api.running import FORM, multipart, part
from tests.journeys.server import Server, serving

STALL = 0.1
"""Seconds. The promise of the product; the best of three measurements counts."""

pytestmark = pytest.mark.slow

NDJSON = "application/x-ndjson"
WITH_A_BODY = [entry for entry in OPERATIONS if entry.takes]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("bounded") / "data") as running:
        yield running


@pytest.mark.parametrize("entry", WITH_A_BODY, ids=lambda entry: entry.name)
def test_event_loop_answers_others_beside_the_largest_bodies(
    entry: Operation, server: Server
) -> None:
    path = path_of(entry, server)

    for name, headers, body in requests_of(entry):
        stalls = (stall(server, entry.method, path, headers, body) for _ in range(3))
        assert any(seconds < STALL for seconds in stalls), name


def path_of(entry: Operation, server: Server) -> str:
    """Return the path of an operation, with the id of a new asset."""
    asset = orjson.loads(call(server, "POST", "/api/assets?name=a", {}, b"content"))
    values = {"id": asset["id"], "job_id": "j", "content": asset["digest"], "upload_id": "0" * 32}
    return entry.paths[0].format(**values)


def requests_of(entry: Operation) -> Iterator[tuple[str, dict[str, str], bytes]]:
    """Yield a name, headers and a body: the largest bodies of an operation in each format."""
    for kind, taken in entry.takes.items():
        if isinstance(taken, type):
            fields = taken.model_fields
            for name, text in documents(list(fields), entry.max_json):
                yield f"{kind}: {name}", {"Content-Type": kind}, text
        elif kind == "multipart/form-data":
            for name, text in documents(["tags", "metadata", "derived_from"], entry.max_json):
                body = multipart(part("json", text), part("file", b"x", filename="x"))
                yield f"form: {name}", FORM, body
        elif kind == NDJSON:
            for name, text in documents(["tags", "metadata", "bytes"], 1 << 20):
                yield f"line: {name}", {"Content-Type": kind}, text
        else:
            yield kind, {"Content-Type": kind}, bytes(8 << 20)


def documents(fields: list[str], size: int) -> Iterator[tuple[str, bytes]]:
    """Yield documents of `size` bytes: each field with many values, and many unknown fields."""
    for field in fields:
        for value in (b"1", b'"a"', b"[]", b'{"":1}'):
            yield f"{field} of {value!r}", filled(b'{"%b":[' % field.encode(), [value], b"]}", size)
        wide = (b'"%x":1' % number for number in count())
        yield f"wide {field}", filled(b'{"%b":{' % field.encode(), wide, b"}}", size)
        yield f"long {field}", filled(b'{"%b":"' % field.encode(), [b"a:\\n"], b'"}', size, b"")
    ids = (b'"%032x"' % number for number in count())
    yield "asset_ids", filled(b'{"asset_ids":[', ids, b"]}", size)
    unknown = (b'"node_%x":1' % number for number in count())
    yield "unknown fields", filled(b"{", unknown, b"}", size)
    yield "brackets", b'{"a":' + b"[" * (size // 2 - 4) + b"]" * (size // 2 - 4) + b"}"


def filled(head: bytes, values: Any, tail: bytes, size: int, between: bytes = b",") -> bytes:
    """Return a document with as many of the values, repeated if they end, as fit into `size`."""
    room = size - len(head) - len(tail)
    first, *_ = values = list(islice(values, room // 4))
    longest = max(map(len, values))
    number = room // (longest + len(between))
    repeated = chain(values, *([first] * number for _ in [0] if len(values) < number))
    return head + between.join(islice(repeated, number)) + tail


def stall(server: Server, method: str, path: str, headers: dict[str, str], body: bytes) -> float:
    """Send a request; return the longest time that `/livez` took meanwhile, in seconds."""
    sender = threading.Thread(target=call, args=(server, method, path, headers, body))
    longest = 0.0
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as other:
        other.connect()
        sender.start()
        while sender.is_alive():
            began = time.perf_counter()
            other.request("GET", "/livez")
            other.getresponse().read()
            longest = max(longest, time.perf_counter() - began)
    sender.join()
    return longest


def call(server: Server, method: str, path: str, headers: dict[str, str], body: bytes) -> bytes:
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as client:
        client.request(method, path, body, headers)
        answer = client.getresponse()
        text = answer.read()
    assert answer.status < 500, text
    return text


def test_documents_are_as_large_as_the_limit() -> None:
    sizes = [len(text) for _, text in documents(["tags"], 4096)]

    assert all(3500 < size <= 4096 for size in sizes), sizes
