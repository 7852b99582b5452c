"""The audit of a log from its first event: leaves, tree, keys and checkpoints, from bytes alone.

Everything that the log stores about its events is computed again from them and compared both ways.
Memory does not grow with the log. Nothing is written to it, so its server may run meanwhile.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final

from asset_ledger.ledger.audit.finding import Finding
from asset_ledger.ledger.audit.keys import KeyChain
from asset_ledger.ledger.audit.rows import PAGE, AuditRows
from asset_ledger.ledger.audit.stored import Stored, read_envelope
from asset_ledger.ledger.errors import CorruptLogError, PoisonEventError, ProofError
from asset_ledger.ledger.merkle.checkpoint import read_checkpoint
from asset_ledger.ledger.merkle.frontier import Frontier
from asset_ledger.ledger.merkle.tree import HASH, leaf_hash, leaf_of
from asset_ledger.ledger.progress import Progress

_GIVEN: Final = "the checkpoint given, of size"

_LINES: Final = 5
"""The lines of a checkpoint of this log: origin, size, root, an empty line, one signature."""

_NO_LEAF: Final = bytes(HASH)
"""The leaf hash of a missing event whose hash is missing too."""


class LogAudit:
    """An audit of a log, up to its last event when the audit began."""

    def __init__(self, rows: AuditRows, given: Sequence[str] = ()) -> None:
        """`given`: checkpoints that the caller kept.

        Raises CorruptLogError for an empty log, ProofError for a checkpoint of another log.
        """
        self.upto = rows.head()
        if self.upto < 1:
            raise CorruptLogError("there is no event in this log")
        self._rows, self._tree, self._keys = rows, Frontier(), KeyChain()
        self._given = [(_size_in(note, rows), note) for note in given]
        self._last_time = ""
        self._gave_up = False

    @property
    def root(self) -> bytes:
        """The Merkle root of the events that were read."""
        return self._tree.root()

    @property
    def key_in_force(self) -> str:
        """The verifier key after the events that were read; empty if none names one."""
        return self._keys.in_force

    def findings(self, progress: Progress) -> Iterator[Finding]:
        """Read every event, and yield what is wrong."""
        for page in self._rows.events(self.upto):
            yield from self._page(page)
            yield from self._rows.unreadable()
            progress("reading the log", min(page[-1].position, self.upto), self.upto)
        yield from self._missing_end()

    def _page(self, page: Sequence[Stored]) -> Iterator[Finding]:
        first, last = self._tree.size + 1, min(page[-1].position, self._tree.size + 2 * PAGE)
        leaves = self._rows.leaves(first, last)
        notes = self._rows.checkpoints(first, last)
        envelopes: list[tuple[int, Mapping[str, Any]]] = []
        for stored in page:
            yield from self._gap(stored.position, leaves, notes)
            if self._gave_up or stored.position < 1:
                continue
            envelope = self._read(stored)
            if isinstance(envelope, Finding):
                yield envelope
            else:
                envelopes.append((stored.position, envelope))
                yield from self._envelope(stored, envelope)
            yield from self._leaf(stored, leaves.get(stored.position), notes)
        self._rows.note(envelopes)

    def _gap(
        self, position: int, leaves: Mapping[int, bytes], notes: Mapping[int, str]
    ) -> Iterator[Finding]:
        """Check that no event is missing before this one; grow the tree from the hashes of a gap.

        Give up where more than a page is missing.
        """
        first, last = self._tree.size + 1, position - 1
        if self._gave_up or last < first:
            return
        yield Finding("stored_events", f"{first} to {last}", "are missing")
        self._gave_up = last - first >= PAGE
        for missing in () if self._gave_up else range(first, position):
            yield from self._grow(leaves.get(missing, _NO_LEAF), notes)

    def _read(self, stored: Stored) -> dict[str, Any] | Finding:
        if not stored.typed:
            return Finding("stored_events", str(stored.position), "a column has another type")
        try:
            return read_envelope(stored)
        except PoisonEventError as error:
            return Finding("stored_events", str(stored.position), error.reason)

    def _envelope(self, stored: Stored, envelope: Mapping[str, Any]) -> Iterator[Finding]:
        where = str(stored.position)
        if envelope["recorded_at"] < self._last_time:
            yield Finding("stored_events", where, "was recorded before the event before it")
        self._last_time = envelope["recorded_at"]
        if len({name in envelope for name in ("job_id", "job_seq", "attempt")}) > 1:
            yield Finding("stored_events", where, "lacks its job, its job_seq or its attempt")
        if stored.topic == "job.finished" and envelope.get("events") != envelope.get("job_seq"):
            yield Finding("stored_events", where, "has another number of events than its job has")
        for wrong in self._keys.read(stored, envelope):
            yield Finding("stored_events", where, wrong)

    def _leaf(
        self, stored: Stored, kept: bytes | None, notes: Mapping[int, str]
    ) -> Iterator[Finding]:
        where = str(stored.position)
        derived = _leaf_hash(stored)
        if kept is None:
            yield Finding("event_leaves", where, "is missing")
        elif kept != derived:
            yield Finding("event_leaves", where, "is not the hash of the event at this position")
        yield from self._grow(derived, notes)

    def _grow(self, hashed: bytes, notes: Mapping[int, str]) -> Iterator[Finding]:
        for tile, hashes in self._tree.add(hashed):
            kept = self._rows.tile(tile.level, tile.index)
            if kept != hashes:
                what = "is missing" if kept is None else "holds other hashes than the events give"
                yield Finding("merkle_tiles", f"{tile.level}/{tile.index}", what)
        yield from self._checkpoints(notes.get(self._tree.size))

    def _checkpoints(self, kept: str | None) -> Iterator[Finding]:
        """Compare the tree with the checkpoints of its size."""
        size = self._tree.size
        if kept is not None:
            yield from self._checkpoint("checkpoints", kept, size)
            if kept.count("\n") != _LINES:
                yield Finding("checkpoints", str(size), "has lines that this log does not write")
        for given in [note for at, note in self._given if at == size]:
            yield from self._checkpoint(_GIVEN, given, size)
            if kept is None:
                yield Finding("checkpoints", str(size), "is missing, but was given")

    def _checkpoint(self, table: str, note: str, size: int) -> Iterator[Finding]:
        try:
            signed = self._keys.open(note)
        except ProofError as error:
            yield Finding(table, str(size), str(error))
            return
        if signed.size != size:
            yield Finding(table, str(size), f"is a checkpoint of {signed.size:,} events")
        elif signed.root != self._tree.root():
            yield Finding(table, str(size), "its root is not the root of the events up to it")

    def _missing_end(self) -> Iterator[Finding]:
        for size in [size for size, _ in self._given if size > self.upto]:
            what = f"the log has only {self.upto:,} events: its end is missing"
            yield Finding(_GIVEN, str(size), what)


def _leaf_hash(stored: Stored) -> bytes:
    """Return the leaf hash of a row; `_NO_LEAF` if a column has another type."""
    if not stored.typed or not stored.stream.isascii():
        return _NO_LEAF
    return leaf_hash(leaf_of(stored.stream, stored.version, stored.topic, stored.state))


def _size_in(given: str, rows: AuditRows) -> int:
    """Return the size in a checkpoint of this log. Raises ProofError."""
    checkpoint, keys = read_checkpoint(given), KeyChain()
    for stored in chain.from_iterable(rows.events(1)):
        if stored.position == 1 and stored.typed:
            keys.read(stored, read_envelope(stored))
    if keys.origin not in ("", checkpoint.origin):
        raise ProofError(f"this is a checkpoint of {checkpoint.origin}, not of {keys.origin}")
    return checkpoint.size
