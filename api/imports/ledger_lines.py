"""Read the files of an exported ledger, and check every line.

Promise: a file with a missing or a changed line is refused, with the number of that line.
"""

import binascii
import hashlib
from base64 import b64decode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from eventsourcing.persistence import Notification, StoredEvent

from asset_ledger.api.contract.event_out import event_out
from asset_ledger.api.export.files import FORMAT, MANIFEST, MAX_LINE, LinesDigest
from asset_ledger.api.export.verify import WrongError, parts
from asset_ledger.api.imports.errors import SourceError, reading
from asset_ledger.ledger.errors import PoisonEventError, ProofError
from asset_ledger.ledger.ids import Digest, parse_digest
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.copying import Copied, KeyRow
from asset_ledger.ledger.merkle.checkpoint import read_checkpoint
from asset_ledger.ledger.merkle.tree import leaf_of


class Manifest(NamedTuple):
    """The manifest of an export: its size, its root, and the digests of its files."""

    log_id: str
    events: int
    root: bytes
    files: Mapping[str, LinesDigest]


class ContentLine(NamedTuple):
    """The line of a content. `small`: its bytes, or None if they are in a file of their own."""

    digest: Digest
    size: int
    small: bytes | None


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of an export. Raises SourceError."""
    path = folder / MANIFEST
    try:
        with reading(path):
            document = orjson.loads(path.read_bytes())
        if document["format"] != FORMAT:
            raise SourceError(f"{path} is of the format {document['format']}, not of {FORMAT}")
        files = {name: LinesDigest(**digest) for name, digest in document["files"].items()}
        root = b64decode(document["root"])
        return Manifest(document["log_id"], document["events"], root, files)
    except FileNotFoundError as error:
        raise SourceError(f"there is no {path}: this is not a complete export") from error
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceError(f"{path} is damaged: {error!r}") from error


class Lines:
    """The lines of one file of an export, checked against the manifest while they are read."""

    def __init__(self, folder: Path, name: str, manifest: Manifest) -> None:
        """Raises SourceError for a file that the manifest does not name."""
        self._path = folder / name
        if name not in manifest.files:
            raise SourceError(f"{folder / MANIFEST} is damaged: it does not name {name}")
        self._expected = manifest.files[name]
        self._number = 0

    def __len__(self) -> int:
        return self._expected.lines

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        """Yield the JSON object on each line. Raises SourceError."""
        hashed = hashlib.sha256()
        with reading(self._path, OSError), self._path.open("rb") as file:
            while line := file.readline(MAX_LINE + 1):
                self._number += 1
                hashed.update(line)
                yield self._object(line)
        if self._number != self._expected.lines:
            raise SourceError(
                f"{self._path} ends after line {self._number:,}; it had {self._expected.lines:,}"
            )
        if hashed.hexdigest() != self._expected.sha256:
            raise SourceError(f"{self._path} is damaged: its bytes are not those of the export")

    def wrong(self, what: object, number: int | None = None) -> SourceError:
        """Return the error for a line: `number`, or the line that was read last."""
        return SourceError(f"{self._path} is damaged in line {number or self._number:,}: {what}")

    def _object(self, line: bytes) -> Mapping[str, Any]:
        if not line.endswith(b"\n"):
            raise self.wrong("it does not end with a newline")
        try:
            found = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise self.wrong(error) from error
        if not isinstance(found, dict):
            raise self.wrong("it is not a JSON object")
        return found


def read_event(lines: Lines, line: Mapping[str, Any], position: int, codec: Codec) -> Copied:
    """Decode the event on a line from its leaf. Raises SourceError if leaf and line differ."""
    try:
        leaf = b64decode(line["leaf"], validate=True)
        stream, version, topic, state = parts(leaf)
        stored = StoredEvent(stream.decode("ascii"), int(version), topic.decode(), state)
        recorded = codec.decode(Notification(*_fields(stored), position))
        decoded = orjson.loads(orjson.dumps(event_out(recorded)))
    except (binascii.Error, ValueError, TypeError, KeyError, WrongError) as error:
        raise lines.wrong(f"its leaf cannot be read: {error!r}") from error
    except PoisonEventError as error:
        raise lines.wrong(error) from error
    if leaf_of(*_fields(stored)) != leaf or not _agree(decoded, line):
        raise lines.wrong("its leaf and its other fields differ")
    return Copied(stored, recorded.event, leaf)


def read_content(lines: Lines, line: Mapping[str, Any]) -> ContentLine:
    """Read the content on a line, without hashing it. Raises SourceError."""
    try:
        small = b64decode(line["bytes"], validate=True) if "bytes" in line else None
        return ContentLine(parse_digest(line["digest"]), int(line["size"]), small)
    except (binascii.Error, ValueError, TypeError, KeyError) as error:
        raise lines.wrong(repr(error)) from error


def read_key(lines: Lines, line: Mapping[str, Any]) -> KeyRow:
    """Read the idempotency key on a line. Raises SourceError."""
    texts = ("user_id", "key", "operation", "fingerprint")
    if not all(isinstance(line.get(name), str) for name in texts):
        raise lines.wrong("it is not an idempotency key")
    if not all(type(line.get(name)) is int for name in ("first", "last")):
        raise lines.wrong("it is not an idempotency key")
    return KeyRow(*(line[name] for name in KeyRow._fields))


def read_note(lines: Lines, line: Mapping[str, Any], most: int) -> tuple[int, str]:
    """Return size and note of the checkpoint on a line. Raises SourceError if size > most."""
    try:
        size = read_checkpoint(line["note"]).size
    except (ProofError, KeyError, TypeError, AttributeError) as error:
        raise lines.wrong(f"it is not a checkpoint: {error!r}") from error
    if not 0 < size <= most or line.get("size") != size:
        raise lines.wrong("its size is not that of its checkpoint")
    return size, line["note"]


def _fields(stored: StoredEvent) -> tuple[str, int, str, bytes]:
    return str(stored.originator_id), stored.originator_version, stored.topic, stored.state


def _agree(decoded: Mapping[str, Any], line: Mapping[str, Any]) -> bool:
    """Return whether a decoded event and its line agree in all data that both have.

    This release may show more data of an event than the release that exported it.
    """
    ours, theirs = decoded["data"], line.get("data")
    if not isinstance(theirs, dict):
        return False
    head = all(decoded[name] == line.get(name) for name in decoded if name != "data")
    return head and all(ours[name] == theirs[name] for name in ours.keys() & theirs.keys())
