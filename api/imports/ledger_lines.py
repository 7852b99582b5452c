"""The files of an exported ledger, as they are read: nothing in them is believed.

Promise: a file that lacks a line, or has one that was changed, is refused, and the refusal says
where.
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
    """What an export says that it has."""

    log_id: str
    events: int
    root: bytes
    files: Mapping[str, LinesDigest]


class ContentLine(NamedTuple):
    """A content: its bytes, or None where it is a file of its own."""

    digest: Digest
    size: int
    small: bytes | None


def read_manifest(folder: Path) -> Manifest:
    """What there has to be in an export. Raises SourceError."""
    path = folder / MANIFEST
    try:
        said = orjson.loads(path.read_bytes())
        if said["format"] != FORMAT:
            raise SourceError(f"{path} is of the format {said['format']}, not of {FORMAT}")
        files = {name: LinesDigest(**told) for name, told in said["files"].items()}
        return Manifest(said["log_id"], said["events"], b64decode(said["root"]), files)
    except FileNotFoundError as error:
        raise SourceError(f"there is no {path}: this is no export that was finished") from error
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceError(f"{path} is damaged: {error!r}") from error


class Lines:
    """The lines of one file of an export, held against the manifest while they are read."""

    def __init__(self, folder: Path, name: str, manifest: Manifest) -> None:
        """Raises SourceError for a file that the manifest does not name."""
        self._path = folder / name
        if name not in manifest.files:
            raise SourceError(f"{folder / MANIFEST} is damaged: it does not name {name}")
        self._told = manifest.files[name]
        self._number = 0

    def __len__(self) -> int:
        return self._told.lines

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        """The objects on the lines. Raises SourceError."""
        hashed = hashlib.sha256()
        with reading(self._path, OSError), self._path.open("rb") as file:
            while line := file.readline(MAX_LINE + 1):
                self._number += 1
                hashed.update(line)
                yield self._object(line)
        if self._number != self._told.lines:
            raise SourceError(
                f"{self._path} ends after line {self._number:,}; it had {self._told.lines:,}"
            )
        if hashed.hexdigest() != self._told.sha256:
            raise SourceError(f"{self._path} is damaged: its bytes are not those of the export")

    def wrong(self, what: object, number: int | None = None) -> SourceError:
        """The refusal of a line: the one that was read last, unless another is named."""
        return SourceError(f"{self._path} is damaged in line {number or self._number:,}: {what}")

    def _object(self, line: bytes) -> Mapping[str, Any]:
        if not line.endswith(b"\n"):
            raise self.wrong("it has no end")
        try:
            found = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise self.wrong(error) from error
        if not isinstance(found, dict):
            raise self.wrong("it is no object")
        return found


def read_event(lines: Lines, line: Mapping[str, Any], position: int, codec: Codec) -> Copied:
    """The event on a line, from its leaf, which has to say what the line says. SourceError."""
    try:
        leaf = b64decode(line["leaf"], validate=True)
        stream, version, topic, state = parts(leaf)
        stored = StoredEvent(stream.decode("ascii"), int(version), topic.decode(), state)
        recorded = codec.decode(Notification(*_fields(stored), position))
        said = orjson.loads(orjson.dumps(event_out(recorded)))
    except (binascii.Error, ValueError, TypeError, KeyError, WrongError) as error:
        raise lines.wrong(f"its leaf cannot be read: {error!r}") from error
    except PoisonEventError as error:
        raise lines.wrong(error) from error
    if leaf_of(*_fields(stored)) != leaf or not _agree(said, line):
        raise lines.wrong("its leaf does not say what the line says")
    return Copied(stored, recorded.event, leaf)


def read_content(lines: Lines, line: Mapping[str, Any]) -> ContentLine:
    """The content on a line, not hashed yet. Raises SourceError."""
    try:
        small = b64decode(line["bytes"], validate=True) if "bytes" in line else None
        return ContentLine(parse_digest(line["digest"]), int(line["size"]), small)
    except (binascii.Error, ValueError, TypeError, KeyError) as error:
        raise lines.wrong(repr(error)) from error


def read_key(lines: Lines, line: Mapping[str, Any]) -> KeyRow:
    """The Idempotency-Key on a line. Raises SourceError."""
    texts = ("user_id", "key", "operation", "fingerprint")
    if not all(isinstance(line.get(name), str) for name in texts):
        raise lines.wrong("it is no key")
    if not all(type(line.get(name)) is int for name in ("first", "last")):
        raise lines.wrong("it is no key")
    return KeyRow(*(line[name] for name in KeyRow._fields))


def read_note(lines: Lines, line: Mapping[str, Any], most: int) -> tuple[int, str]:
    """The checkpoint on a line, and its size, which is at most this. Raises SourceError."""
    try:
        size = read_checkpoint(line["note"]).size
    except (ProofError, KeyError, TypeError, AttributeError) as error:
        raise lines.wrong(f"it is no checkpoint: {error!r}") from error
    if not 0 < size <= most or line.get("size") != size:
        raise lines.wrong("it is a checkpoint of another size")
    return size, line["note"]


def _fields(stored: StoredEvent) -> tuple[str, int, str, bytes]:
    return str(stored.originator_id), stored.originator_version, stored.topic, stored.state


def _agree(said: Mapping[str, Any], line: Mapping[str, Any]) -> bool:
    """Whether two readings of an event agree, where both say something.

    A later release may say more of an event than the one that exported it.
    """
    mine, theirs = said["data"], line.get("data")
    if not isinstance(theirs, dict):
        return False
    head = all(said[name] == line.get(name) for name in said if name != "data")
    return head and all(mine[name] == theirs[name] for name in mine.keys() & theirs.keys())
