"""No body that is accepted for reading stops the event loop for longer than a tenth of a second.

Every operation that takes a body gets the largest ones: long lists, many unknown fields, wide and
deep objects, one long text; and so do the calls of S3 that take a document. Meanwhile another
client waits for `/livez`.
"""

from collections.abc import Iterator
from hashlib import sha256
from itertools import chain, count, islice
from typing import Any, NamedTuple

import orjson
import pytest

from asset_ledger.api.contract.operations import Operation
from asset_ledger.api.http.app import OPERATIONS
from asset_ledger.api.s3.objects import MAX_DELETED, MAX_DOCUMENT
from asset_ledger.api.s3.uploads import MAX_PARTS
from tests.api.running import FORM, multipart, part
from tests.journeys.server import Server, serving
from tests.journeys.stalls import Sent, call, check_stalls
from tests.journeys.test_s3_clients import free_port

pytestmark = pytest.mark.slow

NDJSON = "application/x-ndjson"
WITH_A_BODY = [entry for entry in OPERATIONS if entry.takes]


class Running(NamedTuple):
    """A server, and the port of its S3 door."""

    server: Server
    s3_port: int


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    port = free_port()
    data = tmp_path_factory.mktemp("bounded") / "data"
    with serving(data, "--s3-port", str(port)) as server:
        yield Running(server, port)


@pytest.fixture
def server(running: Running) -> Server:
    return running.server


@pytest.mark.parametrize("entry", WITH_A_BODY, ids=lambda entry: entry.name)
def test_event_loop_answers_others_beside_the_largest_bodies(
    entry: Operation, server: Server
) -> None:
    path = path_of(entry, server)

    for name, headers, body in requests_of(entry):
        check_stalls(server, name, [Sent(entry.method, path, headers, body)] * 3)


@pytest.mark.parametrize("entry", ["DeleteObjects", "CompleteMultipartUpload"])
def test_event_loop_answers_others_beside_the_largest_documents_of_s3(
    entry: str, running: Running
) -> None:
    server, port = running
    call(server, Sent("PUT", "/bucket", {}, b"", port))
    path, documents = "/bucket?delete", {"1,000 keys": keys_to_delete(), **xml_documents()}
    if entry == "CompleteMultipartUpload":
        path, unknown = upload_of_parts(running)
        documents = {"10,000 parts": unknown, **xml_documents()}

    for name, body in documents.items():
        check_stalls(server, name, [Sent("POST", path, {}, body, port)] * 3)


def path_of(entry: Operation, server: Server) -> str:
    """Return the path of an operation, with the id of a new asset."""
    asset = orjson.loads(call(server, Sent("POST", "/api/assets?name=a", {}, b"content")).body)
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


def keys_to_delete() -> bytes:
    """Return a document with the names of as many absent objects as are deleted at once."""
    keys = (b"<Object><Key>%04d/%b</Key></Object>" % (n, b"k/" * 500) for n in range(MAX_DELETED))
    return b"<Delete>%b</Delete>" % b"".join(keys)


def upload_of_parts(running: Running) -> tuple[str, bytes]:
    """Begin an upload; return its path, and a completion whose last part alone is unknown.

    The files of its 10,000 empty parts are written beside the server: sending them takes a minute.
    """
    begun = call(running.server, Sent("POST", "/bucket/key?uploads", {}, b"", running.s3_port))
    upload_id = begun.body.partition(b"<UploadId>")[2].partition(b"<")[0].decode()
    folder, empty = running.server.data_dir / "s3-uploads" / upload_id, sha256().hexdigest()
    for number in range(1, MAX_PARTS):
        (folder / f"{number:05d}-{empty}").touch()
    each = '<Part><PartNumber>{}</PartNumber><ETag>"{}-1"</ETag></Part>'
    parts = "".join(each.format(number, empty) for number in range(1, MAX_PARTS + 1))
    body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>"
    return f"/bucket/key?uploadId={upload_id}", body.encode()


def xml_documents() -> dict[str, bytes]:
    """Return documents of S3 of the largest accepted size: many elements, attributes, texts."""
    inside = {
        "elements": b"<a/>",
        "parts": b"<Part><PartNumber>1</PartNumber></Part>",
        "objects": b"<Object><Key>k</Key></Object>",
        "namespaces of elements": b'<a xmlns="u"/>',
        "escapes": b"&lt;\n",
        "comments": b"<!---->",
        "instructions": b"<?a?>",
    }
    head, tail = b"<Delete>", b"</Delete>"
    found = {name: filled(head, [value], tail, MAX_DOCUMENT, b"") for name, value in inside.items()}
    for name, pattern in (("attributes", b' a%x=""'), ("namespaces", b' xmlns:a%x="u"')):
        values = (pattern % number for number in count())
        found[name] = filled(b"<Delete", values, b"/>", MAX_DOCUMENT, b"")
    depth = MAX_DOCUMENT // 7
    return found | {"deep": b"<a>" * depth + b"</a>" * depth}


def test_documents_are_as_large_as_the_limit() -> None:
    sizes = [len(text) for _, text in documents(["tags"], 4096)]

    assert all(3500 < size <= 4096 for size in sizes), sizes
