"""Export a whole ledger as NDJSON and files: its events, and the contents that they name.

Promise: the export ends at one position, also while a server runs. An event whose bytes were
changed, or a missing content, ends it with an error.
"""

import hashlib
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

import orjson
from eventsourcing.persistence import Notification

from asset_ledger.api.contract.event_out import event_out
from asset_ledger.api.export.files import (
    CHECKPOINTS,
    CONTENTS,
    EVENTS,
    FORMAT,
    KEYS,
    MANIFEST,
    LinesDigest,
    LinesFile,
    sync_folders,
    write_file,
)
from asset_ledger.ledger.content.offline import OfflineContents, pieces_of
from asset_ledger.ledger.domain.asset import content_of
from asset_ledger.ledger.domain.event import Recorded
from asset_ledger.ledger.errors import CorruptLogError, DataFolderError
from asset_ledger.ledger.ids import Digest, digest_from_hex, digest_of
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.copying import keys_upto
from asset_ledger.ledger.log.opening import read_identity
from asset_ledger.ledger.log.reader import PAGE
from asset_ledger.ledger.log.sqlite_reader import SqliteLogReader
from asset_ledger.ledger.merkle.tiles import Tiles
from asset_ledger.ledger.merkle.tree import leaf_hash, leaf_of
from asset_ledger.ledger.progress import Progress
from asset_ledger.ledger.storage.data_folder import ContentFolder, DataFolder
from asset_ledger.ledger.storage.files import make_folder, storage_errors
from asset_ledger.ledger.storage.sqlite import open_scratch

_NOTES: Final = "CREATE TABLE named (digest TEXT PRIMARY KEY, position INTEGER) WITHOUT ROWID"
_NOTE: Final = "INSERT INTO named VALUES (?, ?) ON CONFLICT DO NOTHING"
_NAMED: Final = "SELECT digest, position FROM named WHERE digest > ? ORDER BY digest LIMIT ?"

_CONTENTS_AT_ONCE: Final = 100


class Exported(NamedTuple):
    """Numbers of an export. `size`: bytes of all contents. `root`: of the tree, in base64."""

    events: int
    contents: int
    size: int
    root: str


def export_ledger(data_dir: Path, target: Path, progress: Progress) -> Exported:
    """Write the ledger in a data folder to `target`, an empty folder, which is made if absent.

    Raises DataFolderError for a target that is not empty, CorruptLogError, PoisonEventError,
    StorageFailedError.
    """
    with storage_errors(f"{target} was not written"):
        make_folder(target)
        if any(target.iterdir()):
            raise DataFolderError(f"{target} is not empty: name a folder for this export alone")
        with TemporaryDirectory(prefix="asset-ledger-") as scratch:
            return _Export(data_dir, target, Path(scratch)).run(progress)


class _Export:
    """One export, up to the position at which the log stood when the export began."""

    def __init__(self, data_dir: Path, target: Path, scratch: Path) -> None:
        self._files, self._target = DataFolder(data_dir), target
        self._notes = open_scratch(scratch / "notes.db", {})
        self._codec = Codec()

    def run(self, progress: Progress) -> Exported:
        """Write all files, the manifest last."""
        with closing(self._notes), closing(SqliteLogReader(self._files.log)) as log:
            self._notes.execute(_NOTES)
            identity, upto = read_identity(log, self._codec), log.head().position
            files = {
                EVENTS: self._write_events(log, upto, progress),
                KEYS: self._write(KEYS, (key._asdict() for key in keys_upto(log, upto))),
                CHECKPOINTS: self._write(CHECKPOINTS, checkpoint_lines(log, 0, upto)),
            }
            root = b64encode(Tiles(log).root(upto)).decode()
            files[CONTENTS], size = self._write_contents(progress)
        sync_folders(self._target)
        manifest = {
            "format": FORMAT,
            "log_id": identity.log_id,
            "events": upto,
            "root": root,
            "files": {name: digest._asdict() for name, digest in files.items()},
        }
        self._finish(manifest)
        return Exported(upto, files[CONTENTS].lines, size, root)

    def _write(self, name: str, documents: Iterator[Any]) -> LinesDigest:
        with LinesFile(self._target / name) as file:
            file.write_all(documents)
        return file.digest

    def _write_events(self, log: SqliteLogReader, upto: int, progress: Progress) -> LinesDigest:
        with LinesFile(self._target / EVENTS) as file:
            for page in event_lines(log, self._codec, 0, upto):
                for recorded, line in page:
                    file.write(line)
                    if (digest := content_of(recorded.event)) is not None:
                        self._notes.execute(_NOTE, (digest, recorded.position))
                progress("writing events", page[-1][0].position, upto)
        return file.digest

    def _write_contents(self, progress: Progress) -> tuple[LinesDigest, int]:
        (total,) = self._notes.execute("SELECT count(*) FROM named").fetchone()
        size = count = 0
        with (
            closing(OfflineContents(self._files.content)) as contents,
            LinesFile(self._target / CONTENTS) as file,
        ):
            for page in self._pages():
                packed = contents.packed([digest for digest, _ in page])
                for digest, position in page:
                    if digest not in packed and _is_collected(contents, digest):
                        continue
                    line = self._content_line(contents, digest, position, packed.get(digest))
                    file.write(line)
                    size += line["size"]
                count += len(page)
                progress("writing contents", count, total)
        return file.digest, size

    def _pages(self) -> Iterator[list[tuple[Digest, int]]]:
        last = ""
        while page := self._notes.execute(_NAMED, (last, _CONTENTS_AT_ONCE)).fetchall():
            yield page
            last = page[-1][0]

    def _content_line(
        self, contents: OfflineContents, digest: Digest, position: int, small: bytes | None
    ) -> dict[str, Any]:
        """Return the line of a content; copy a large one to a file. Raises CorruptLogError."""
        if small is not None:
            _check(digest, digest_of(small), position)
            return {"digest": digest, "size": len(small), "bytes": b64encode(small).decode()}
        if not contents.has_large(digest):
            raise CorruptLogError(f"{digest}, which event {position:,} names, is missing")
        copied = ContentFolder(self._target).object(digest)
        copied.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        hashed = hashlib.sha256()
        write_file(copied, _hashed(pieces_of(self._files.content, digest), hashed))
        _check(digest, digest_from_hex(hashed.hexdigest()), position)
        return {"digest": digest, "size": copied.stat().st_size}

    def _finish(self, manifest: Mapping[str, Any]) -> None:
        """Write the manifest, which marks the export as complete."""
        draft = self._target / f"{MANIFEST}.draft"
        write_file(draft, [orjson.dumps(manifest, option=orjson.OPT_INDENT_2), b"\n"])
        draft.rename(self._target / MANIFEST)
        sync_folders(self._target)


def event_lines(
    log: SqliteLogReader, codec: Codec, after: int, upto: int
) -> Iterator[list[tuple[Recorded, Mapping[str, Any]]]]:
    """Yield pages of the events after a position with their lines. Raises CorruptLogError."""
    while stored := log.read(after, PAGE, upto=upto):
        hashes = log.leaf_hashes(after, len(stored))
        if len(hashes) != len(stored):
            raise CorruptLogError(f"the log lacks leaves after event {after:,}")
        yield [_line(each, leaf, codec) for each, leaf in zip(stored, hashes, strict=True)]
        after = stored[-1].id
    if after != upto:
        raise CorruptLogError(f"the log ends at event {after:,}, not at {upto:,}")


def _line(
    stored: Notification, kept_hash: bytes, codec: Codec
) -> tuple[Recorded, Mapping[str, Any]]:
    leaf = checked_leaf(stored, kept_hash)
    recorded = codec.decode(stored)
    return recorded, {**event_out(recorded), "leaf": b64encode(leaf).decode()}


def checked_leaf(stored: Notification, kept_hash: bytes) -> bytes:
    """Return the bytes of the Merkle leaf of an event. Raises CorruptLogError for another hash."""
    stream, version = str(stored.originator_id), stored.originator_version
    try:
        leaf = leaf_of(stream, version, stored.topic, stored.state)
    except (TypeError, ValueError, AttributeError) as error:  # a column has another type
        raise CorruptLogError(f"event {stored.id:,} was changed: {error}") from error
    if leaf_hash(leaf) != kept_hash:
        raise CorruptLogError(f"event {stored.id:,} was changed: run asset-ledger verify")
    return leaf


def _hashed(pieces: Iterator[bytes], hashed: Any) -> Iterator[bytes]:
    for piece in pieces:
        hashed.update(piece)
        yield piece


def _is_collected(contents: OfflineContents, digest: Digest) -> bool:
    return not contents.has_large(digest) and contents.collected(digest) is not None


def _check(digest: Digest, found: Digest, position: int) -> None:
    if digest != found:
        raise CorruptLogError(f"{digest}, which event {position:,} names, has other bytes now")


def checkpoint_lines(log: SqliteLogReader, after: int, upto: int) -> Iterator[Mapping[str, Any]]:
    """Yield the lines of the signed checkpoints of trees larger than `after`, up to `upto`."""
    size = after
    while page := log.checkpoints(size, PAGE):
        for size, note in page:
            if size > upto:
                return
            yield {"size": size, "note": note}
