"""One group commit: small contents, then events, then table rows, each durable before the next.

This is the boundary of the storage engine: no code above it depends on SQLite, files or threads.
One fsync makes the contents durable, one COMMIT their places and the events of the whole group, or
nothing. If the process dies at one of these crash points, the next start finds and does this:

    before C   nothing of the group, or bytes at the end of a pack that have no place
    after C    contents without a place: nothing can read them, the next ones follow them
    after D    events without rows: the rows are made from the log before the server listens
    after E    events and rows, but no answer sent: a retry with the same Idempotency-Key gets it
"""

import logging
import time
from collections.abc import Sequence
from typing import Final, Protocol

from asset_ledger.ledger.commit.requests import (
    Answer,
    CheckpointRequest,
    CommandRequest,
    CompactRequest,
    GroupResult,
    Request,
    SwitchRequest,
    TablesState,
)
from asset_ledger.ledger.content.packs import Packs
from asset_ledger.ledger.content.places import Place
from asset_ledger.ledger.domain.event import Recorded
from asset_ledger.ledger.errors import LedgerError, OutcomeUnknownError, StorageFailedError
from asset_ledger.ledger.log.event_log import Appended, EventLog, Outcome, PackingLog

UNFORESEEN: Final = "the write failed in an unforeseen way; retry it with the same Idempotency-Key"

logger = logging.getLogger(__name__)


class Tables(Protocol):
    """The tables that are up to date before a write is answered. Called by one thread."""

    @property
    def state(self) -> TablesState:
        """The generation, position and error of the tables."""

    @property
    def is_working(self) -> bool:
        """Whether `turn` has work to do now."""

    def prepare(self, recorded: Sequence[Recorded]) -> object:
        """Compute the rows that these events change, before they are stored. Raise to refuse."""

    def apply(self, prepared: Sequence[object], last: int, leaf: bytes) -> None:
        """Bring the tables to position `last`, whose leaf hash is `leaf`. Never raises."""

    def doubt(self) -> None:
        """Note that what `apply` wrote may have been rolled back. Never raises."""

    def begin_switch(self, before: int, generation: int, *, retire: bool) -> None:
        """Open the generation that is to take over from `before`, which `turn` brings to the head.

        Raises DataFolderError and GenerationError.
        """

    def turn(self) -> Exception | int | None:
        """Take one batch from the log. Return the generation, or the error, that ends a switch."""


class GroupCommit:
    """Commits groups to the files of one data folder. One thread calls it."""

    def __init__(self, log: PackingLog, packs: Packs, tables: Tables) -> None:
        self._start(log, tables)
        self._packing, self._packs = log, packs

    def _start(self, log: EventLog, tables: Tables) -> None:
        self._log, self._tables = log, tables
        self._switch: SwitchRequest | None = None

    @property
    def failure(self) -> StorageFailedError | None:
        """Why nothing is written until a restart; None if writes work."""
        return self._packs.failure or self._log.failure

    @property
    def is_working(self) -> bool:
        """Whether to call `turn` without waiting for requests."""
        return self._tables.is_working

    def result(
        self, answers: Sequence[tuple[int, Answer]] = (), commands: int = 0, seconds: float = 0.0
    ) -> GroupResult:
        """Return the state of log and tables, with these answers."""
        head = self._log.head()
        return GroupResult(head, self._tables.state, answers, self.failure, commands, seconds)

    def run(self, requests: Sequence[Request]) -> GroupResult:
        """Commit what can be committed, and answer every request. Never raises."""
        began = time.perf_counter()
        commands = [each for each in requests if isinstance(each, CommandRequest)]
        answers = list[tuple[int, Answer]]()
        for group in _groups(commands):
            answers += self._commit(group)
        for request in requests:
            if isinstance(request, CheckpointRequest):
                answers.append((request.number, self._keep_checkpoint(request)))
            elif isinstance(request, CompactRequest):
                answers.append((request.number, self._compact(request)))
            elif isinstance(request, SwitchRequest):
                answers += self._begin_switch(request)
        return self.result(answers, len(commands), time.perf_counter() - began)

    def turn(self) -> GroupResult:
        """Catch up tables that fell behind, or continue a switch."""
        answers = list[tuple[int, Answer]]()
        ended = self._tables.turn()
        if ended is not None and self._switch is not None:
            answers.append((self._switch.number, ended))
            self._switch = None
        return self.result(answers)

    def _commit(self, requests: Sequence[CommandRequest]) -> list[tuple[int, Answer]]:
        try:
            places, failed = self._pack([each for each in requests if each.contents])  # C
            ready = [request for request in requests if request.number not in failed]
            commands = [request.command for request in ready]
            outcomes = self._packing.append(commands, self._tables.prepare, places)  # D
            self._apply(outcomes)  # E
        except Exception:
            logger.exception("a group of %d writes failed", len(requests))
            unknown = OutcomeUnknownError(UNFORESEEN)
            return [(request.number, unknown) for request in requests]
        numbers = [request.number for request in ready]
        return [*failed.items(), *zip(numbers, outcomes, strict=True)]

    def _pack(self, requests: Sequence[CommandRequest]) -> tuple[list[Place], dict[int, Answer]]:
        """Make small contents durable. Return their places, and the errors by request number.

        After an error, pack the contents of one request at a time, so that only one fails.
        """
        contents = dict(content for request in requests for content in request.contents)
        try:
            return self._packs.append(contents, self._packing.places(list(contents))), {}
        except StorageFailedError as error:
            if len(requests) == 1:
                return [], {requests[0].number: error}
        packed = [self._pack([request]) for request in requests]
        failed = {number: error for _, errors in packed for number, error in errors.items()}
        return [place for places, _ in packed for place in places], failed

    def _apply(self, outcomes: Sequence[Outcome]) -> None:
        """Store the rows of the events that were recorded."""
        new = [each for each in outcomes if isinstance(each, Appended) and not each.replayed]
        if new:
            self._tables.apply([each.prepared for each in new], new[-1].last, new[-1].leaf)
        elif self._tables.state.position < (head := self._log.head().position):
            self._tables.apply((), head, b"")  # else a retry is answered "behind" until a turn

    def _keep_checkpoint(self, request: CheckpointRequest) -> Answer:
        try:
            return self._log.keep_checkpoint(request.size, request.note)
        except LedgerError as error:
            return error
        except Exception:
            logger.exception("the checkpoint of %d events was not kept", request.size)
            return OutcomeUnknownError(UNFORESEEN)

    def _compact(self, request: CompactRequest) -> Answer:
        """Move what a pack still has to the last pack, and remove its file."""
        try:
            moved = self._packs.move(request.pack, self._packing.places)
            self._packing.keep_places(moved)
            if self._packing.has_places(request.pack):
                return StorageFailedError(
                    f"pack {request.pack} has a damaged content and was not removed: run verify"
                )
            self._packs.remove(request.pack)
            return len(moved)
        except LedgerError as error:
            return error
        except Exception:
            logger.exception("pack %d was not compacted", request.pack)
            return OutcomeUnknownError(UNFORESEEN)

    def _begin_switch(self, request: SwitchRequest) -> list[tuple[int, Answer]]:
        """Begin a switch. It is answered when it ends; an error answers it at once."""
        try:
            _, before, generation, retire = request
            self._tables.begin_switch(before, generation, retire=retire)
        except Exception as error:
            return [(request.number, error)]
        self._switch = request
        return []


def _groups(commands: Sequence[CommandRequest]) -> list[Sequence[CommandRequest]]:
    """Split commands: one that collects contents is alone and last. The contents of a group are
    packed before its events, so a collection beside them could remove what they rely on."""
    others = [each for each in commands if each.command.collects is None]
    alone = [[each] for each in commands if each.command.collects is not None]
    return [others, *alone] if others else [*alone]
