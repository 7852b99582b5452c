"""The parsers of what arrives from elsewhere, each as a function of bytes.

A target may raise the errors of its parser that callers turn into an answer, and nothing else.
"""

import asyncio
import io
import json
import shutil
import tempfile
import zipfile
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout, suppress
from datetime import UTC, datetime
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, Final, NamedTuple, cast
from urllib.parse import parse_qsl

import click
from eventsourcing.persistence import Notification
from multidict import CIMultiDict, CIMultiDictProxy

from asset_ledger.api.cli.flags import settings_from
from asset_ledger.api.contract import bulk, editing, uploads
from asset_ledger.api.contract.assets import new_asset, read_fields
from asset_ledger.api.contract.collection import read_retention
from asset_ledger.api.contract.durations import read_duration, read_versions
from asset_ledger.api.contract.errors import TokenKeyError
from asset_ledger.api.contract.events import read_last_event_id
from asset_ledger.api.contract.headers import decode_owner, encode_owner
from asset_ledger.api.contract.imports import read_import
from asset_ledger.api.contract.origins import read_origins
from asset_ledger.api.contract.parameters import read_as_of, read_time
from asset_ledger.api.contract.rates import read_rate
from asset_ledger.api.contract.sniff import sniff
from asset_ledger.api.contract.strict_json import read_number, read_object
from asset_ledger.api.export import verify
from asset_ledger.api.export.files import MANIFEST, LinesDigest
from asset_ledger.api.http.app import OPERATIONS
from asset_ledger.api.http.content_headers import announced_digest, requested_range
from asset_ledger.api.http.form import Form, json_of_form, lists_of_form, read_form
from asset_ledger.api.http.jwt import Verifier
from asset_ledger.api.http.jwt_keys import keys_of_set, keys_of_text
from asset_ledger.api.imports import ledger_lines
from asset_ledger.api.imports.errors import SourceError
from asset_ledger.api.imports.nodetool_rows import item_of
from asset_ledger.api.imports.nodetool_table import open_table
from asset_ledger.api.imports.nodetool_times import Times
from asset_ledger.api.s3 import names, signature, xml
from asset_ledger.api.s3.body import Signing, receive_object
from asset_ledger.api.s3.call import path_of
from asset_ledger.api.s3.errors import S3Error
from asset_ledger.api.thumbnails.drawing import draw
from asset_ledger.api.thumbnails.errors import UndrawableError
from asset_ledger.ledger.content.store import Stage
from asset_ledger.ledger.errors import PoisonEventError, ProofError, RefusedError
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.merkle.checkpoint import open_checkpoint, read_checkpoint
from asset_ledger.ledger.merkle.key import read_key, read_verifier_key
from asset_ledger.ledger.merkle.proof import check_proof
from asset_ledger.ledger.merkle.tiles import read_index, read_tile
from asset_ledger.projections.queries.asset_query import FILTERS, AssetQuery
from asset_ledger.projections.queries.pages import seal, unseal_values

CORPUS: Final = Path(__file__).parent / "corpus"
USER: Final = "1"
SECRET: Final = "a secret of the tests that is long enough"
LONGEST: Final = 4_096
"""Bytes of an input; of the files of `LARGE`, as many as the largest one of the corpus."""


class Target(NamedTuple):
    """A parser, and the errors that it may raise."""

    parse: Callable[[bytes], object]
    refusals: tuple[type[BaseException], ...] = (RefusedError,)
    longest: int = LONGEST

    def try_one(self, data: bytes) -> bool:
        """Parse an input. Return whether it was accepted; raise what is a defect."""
        try:
            self.parse(data)
        except self.refusals:
            return False
        return True


def text_of(data: bytes) -> str:
    """Return a header as aiohttp decodes it."""
    return data.decode("utf-8", "surrogateescape")


def one_of(parsers: Sequence[Callable[[str], object]], data: bytes) -> object:
    """Let the first byte choose the parser of the rest."""
    return parsers[data[0] % len(parsers)](text_of(data[1:])) if data else None


# Requests


class Body:
    """A request with a body that arrives in pieces, as far as the parsers of bodies need one."""

    def __init__(self, headers: Mapping[str, str], body: bytes) -> None:
        self.headers = CIMultiDictProxy(CIMultiDict(headers))
        self.body_digest, self.credit = None, 30.0
        self.clients = SimpleNamespace(limits=SimpleNamespace(rate=1, stall=30.0))
        self.content, self.content_length = self, None
        dice = Random(body)
        self._pieces = [body[at : at + 97] for at in range(0, len(body), 97)]
        if dice.random() < 0.5:
            self._pieces = [body]

    async def readany(self) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""


class Nowhere:
    """A stage that drops its bytes."""

    async def write(self, chunk: bytes) -> None:
        """Drop the bytes."""

    async def finish(self) -> Any:
        """Return a content without its bytes."""
        return SimpleNamespace(digest="sha256:" + "0" * 64)


@cache
def loop() -> asyncio.AbstractEventLoop:
    """Return the event loop of all targets."""
    return asyncio.new_event_loop()


def form(data: bytes) -> None:
    """Read a form: the first line is its Content-Type."""
    kind, _, body = data.partition(b"\n")
    request: Any = Body({"Content-Type": text_of(kind)}, body)
    parsed = Form(lambda: cast(Stage, Nowhere()), 2_000)
    loop().run_until_complete(read_form(request, parsed))
    if parsed.json is not None:
        read_fields(read_object(parsed.json, "json"))


def urlencoded(data: bytes) -> None:
    """Read both kinds of urlencoded forms."""
    with suppress(RefusedError):
        read_fields(read_object(json_of_form(data), "json"))
    lists_of_form(data, 100)


def json_body(data: bytes) -> None:
    """Read a JSON body as each of the requests that have one."""
    sent = read_object(data, "the body")
    for read in (
        lambda found: new_asset(read_fields(found), "text/plain", USER),
        editing.read_patch_fields,
        editing.read_update_fields,
        bulk.read_bulk,
        bulk.read_bulk_update,
        read_import,
    ):
        with suppress(RefusedError):
            read(sent)


def query(data: bytes) -> None:
    """Read the query of an operation, which the first byte chooses, and its filters."""
    operation = OPERATIONS[data[0] % len(OPERATIONS)] if data else OPERATIONS[0]
    sent = parse_qsl(text_of(data[1:]), keep_blank_values=True)
    values = operation.parameters.read(sent)
    filters = {name: values[name] for name in FILTERS if isinstance(values.get(name), list)}
    AssetQuery.of(USER, filters, values.get("sort", "created_at"), 10, values.get("cursor", ""))


KEYS: Final = ((str, int), (int,)), ((int, float), (str,)), ((int,),) * 4, ((str, int), (str,))


def cursor(data: bytes) -> None:
    """Open a forged cursor of each list."""
    first = AssetQuery.of(USER, {}, "created_at", 10, "")
    forged = seal(data, first.binding)
    with suppress(RefusedError):
        AssetQuery.of(USER, {}, "created_at", 10, forged)
    for sort in ("name", "-size"):
        binding = AssetQuery.of(USER, {}, sort, 10, "").binding
        with suppress(RefusedError):
            AssetQuery.of(USER, {}, sort, 10, seal(data, binding)).next_cursor(1)
    for kinds in KEYS:
        with suppress(RefusedError):
            unseal_values(forged, first.binding, *kinds)
    AssetQuery.of(USER, {}, "created_at", 10, text_of(data))


def byte_range(text: str) -> None:
    """Read a Range header."""
    for size in (0, 1, 1000):
        found = requested_range(text, size)
        assert found is None or 0 <= found.start < found.stop <= size


def owner(text: str) -> None:
    """Read the id of the user to act for."""
    decoded = decode_owner(text)
    is_text = not any("\udc80" <= each <= "\udcff" for each in decoded)
    assert decode_owner(encode_owner(decoded)) == decoded or not is_text


HEADERS: Final[Sequence[Callable[[str], object]]] = (
    byte_range,
    lambda text: announced_digest({"Repr-Digest": text}),
    owner,
    read_last_event_id,
    lambda text: uploads.read_metadata(text, lenient=False),
    lambda text: uploads.read_metadata(text, lenient=True),
    lambda text: uploads.read_checksum({"Upload-Checksum": text}),
    lambda text: uploads.read_size(
        CIMultiDictProxy(CIMultiDict({"Upload-Offset": text})), "Upload-Offset"
    ),
    read_tile,
    read_index,
)
TEXTS: Final[Sequence[Callable[[str], object]]] = (
    read_time,
    read_as_of,
    read_duration,
    read_versions,
    lambda text: read_retention(text, text),
    read_rate,
    read_origins,
    read_number,
)


@cache
def verifier() -> Verifier:
    """Return a verifier of JWTs."""
    return Verifier([*keys_of_text(SECRET)], None, None, None)


def jwt(data: bytes) -> None:
    """Verify a token, and read a set of keys."""
    text = text_of(data)
    assert verifier().credential(text) is None
    assert verifier().reason(text)
    keys_of_set(data, "a file")


# S3


NOW: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def s3_signature(data: bytes) -> None:
    """Verify the signature of a request: its query, then a header on each line."""
    first, *lines = text_of(data).split("\n")
    pairs = [line.partition(":") for line in lines]
    headers = CIMultiDict[str]([(name, value) for name, _, value in pairs])
    sent = signature.SignedRequest("GET", f"/{first}", first, headers)
    claimed = signature.claimed(sent, NOW)
    if claimed is not None:
        signature.verify(claimed, sent, SECRET)
        raise AssertionError("a signature was forged")


def s3_chunks(data: bytes) -> None:
    """Read the body of an object in chunks; the first byte chooses whether they are signed."""
    kind = ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
    payload = kind[data[0] % 2] if data else kind[0]
    request: Any = Body({"X-Amz-Content-Sha256": payload}, data[1:])
    signed = signature.Signed("k", "20260102", "r", "t", ["host"], "0" * 64, payload, False)
    signing = Signing(signed, b"key" if data[:1] < b"\x80" else None)
    loop().run_until_complete(receive_object(request, signing, cast(Stage, Nowhere()), 2_000))


def s3_xml(data: bytes) -> None:
    """Read a body of XML."""
    root = xml.read(data)
    for child in root:
        [*xml.texts(child, "Key")]


def s3_key(data: bytes) -> None:
    """Read the key of an object; its names have to lead to it again."""
    found = names.parse_key(path_of(text_of(data)).partition("/")[2])
    segments = [names.shown(name) for name in (*found.folders, found.name)]
    assert [names.name_of(each) for each in segments] == [*found.folders, found.name]


# Files from elsewhere


@cache
def scratch() -> Path:
    """Return a folder for the files of the targets, in memory where that is possible."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))


@cache
def sample(name: str) -> bytes:
    """Return a file of the corpus."""
    return (CORPUS / name).read_bytes()


def _leaves(events: Sequence[Mapping[str, Any]]) -> set[tuple[int, bytes]]:
    """Return what is proven. Decoded: the last letter of base64 has bits that mean nothing."""
    return {(each["position"], b64decode(each["leaf"])) for each in events}


def proof(data: bytes) -> None:
    """Check a proof: a changed one proves the same events, or nothing."""
    sent = read_object(data, "the proof")
    original = json.loads(sample("proof/whole"))
    _, events = check_proof(sent, original["key"])
    assert _leaves(sent["events"]) <= _leaves(original["events"]), "a proof was forged"
    assert len(events) == len(sent["events"])


_LINE: Final = b"-----%b PRIVATE KEY-----\n"


def note(data: bytes) -> None:
    """Read a checkpoint, a verifier key and a signing key."""
    text = text_of(data)
    original = json.loads(sample("proof/whole"))
    with suppress(ProofError):
        read_checkpoint(text)
    with suppress(ProofError):
        assert open_checkpoint(text, original["key"]).size == _size_of(original["checkpoint"])
    with suppress(ValueError, TypeError):
        read_key(data)
    with suppress(ValueError, TypeError):
        read_key(_LINE % b"BEGIN" + data + b"\n" + _LINE % b"END")
    read_verifier_key(text)


def _size_of(checkpoint: str) -> int:
    return int(checkpoint.split("\n")[1])


def bundle(data: bytes) -> None:
    """Verify a bundle with the verifier that it brings: a changed one proves the same events."""
    path = scratch() / "bundle.zip"
    path.write_bytes(data)
    original = json.loads(sample("proof/whole"))
    with redirect_stdout(io.StringIO()):
        if verify.main([str(path), "--key", original["key"]]):
            return
    proven = json.loads((zipfile.Path(path) / "proof.json").read_bytes())["events"]
    assert _leaves(proven) <= _leaves(original["events"]), "a bundle was forged"


def manifest(data: bytes) -> None:
    """Read the manifest of an exported ledger."""
    (scratch() / MANIFEST).write_bytes(data)
    ledger_lines.read_manifest(scratch())


def export_lines(data: bytes) -> None:
    """Read each line of an export as an event, a content, a key and a checkpoint."""
    (scratch() / "lines").write_bytes(data)
    digest = LinesDigest(data.count(b"\n"), sha256(data).hexdigest())
    found = ledger_lines.Manifest("log", 1, b"", {"lines": digest})
    lines = ledger_lines.Lines(scratch(), "lines", found)
    for number, line in enumerate(lines, 1):
        for read in (
            partial(ledger_lines.read_event, position=number, codec=Codec()),
            ledger_lines.read_content,
            ledger_lines.read_key,
            partial(ledger_lines.read_note, most=10),
        ):
            with suppress(SourceError):
                read(lines, line)


def nodetool(data: bytes) -> None:
    """Read a NodeTool database, and convert every row."""
    path = scratch() / "nodetool.db"
    path.write_bytes(data)
    for suffix in ("-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    with open_table(path) as table:
        for row in (*table.folders(), *table.files()):
            item_of(row, Times(UTC))
        [*table.job_rows()]


def stored_event(data: bytes) -> None:
    """Decode a stored event: its topic, a line end, its state."""
    topic, _, state = data.partition(b"\n")
    stored = Notification("s", 1, text_of(topic), state, 1)
    Codec().decode(stored)


def settings(data: bytes) -> None:
    """Read a settings file."""
    path = scratch() / "asset-ledger.toml"
    path.write_bytes(data)
    settings_from({}, path)


def picture(data: bytes) -> None:
    """Guess the type of a content, and draw it."""
    sniff(data, "a.png")
    draw("image", io.BytesIO(data), 64)


HTTP: Final = (RefusedError,)
TARGETS: Final[Mapping[str, Target]] = {
    "form": Target(form),
    "urlencoded": Target(urlencoded),
    "json": Target(json_body),
    "query": Target(query),
    "cursor": Target(cursor),
    "headers": Target(partial(one_of, HEADERS)),
    "texts": Target(partial(one_of, TEXTS), (RefusedError, ValueError)),
    "jwt": Target(jwt, (TokenKeyError,)),
    "s3_signature": Target(s3_signature, (S3Error,)),
    "s3_chunks": Target(s3_chunks, (S3Error, RefusedError)),
    "s3_xml": Target(s3_xml, (ValueError,)),
    "s3_key": Target(s3_key, (S3Error,)),
    "proof": Target(proof, (RefusedError, ProofError)),
    "note": Target(note, (ProofError,)),
    "bundle": Target(bundle, (), 40_000),
    "manifest": Target(manifest, (SourceError,)),
    "export_lines": Target(export_lines, (SourceError,)),
    "nodetool": Target(nodetool, (SourceError,), 40_000),
    "stored_event": Target(stored_event, (PoisonEventError,)),
    "settings": Target(settings, (click.UsageError,)),
    "picture": Target(picture, (UndrawableError,), 40_000),
}


def corpus_of(name: str) -> list[Path]:
    """Return the inputs that are kept of a target."""
    return sorted((CORPUS / name).iterdir())


def clean_up() -> None:
    """Remove the files of the targets."""
    shutil.rmtree(scratch(), ignore_errors=True)
