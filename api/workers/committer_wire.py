"""What a server and its writing process say to each other: plain data, pickled, in frames.

Both run the same code and nobody else can reach the socket. A fact goes one way only: the server
keeps what it sent, and is told the places that it got.
"""

import pickle
from collections.abc import Iterator, Sequence
from datetime import datetime
from struct import Struct
from typing import Any, Final, NamedTuple

from asset_ledger.ledger.commit.requests import Answer, Signing, Ticket, Wanted
from asset_ledger.ledger.content.store import Staged
from asset_ledger.ledger.domain.event import Recorded, TaggedFact, moment, stamp, stamp_job_seq
from asset_ledger.ledger.log.event_log import Appended, Command, Head

_LENGTH: Final = Struct("!I")


class Ready(NamedTuple):
    """The process has loaded everything: it can take over at once."""


class Open(NamedTuple):
    """Nobody else writes any more: open the files."""


class Opened(NamedTuple):
    """The files are open, and the log ends there."""

    head: Head


class Finish(NamedTuple):
    """Record what was sent, close the files and exit."""


class Tables(NamedTuple):
    """How far the tables are, and what they stall of."""

    position: int
    error: "Failure | None"


class Told(NamedTuple):
    """What became of a group; see `Answers`. Then how far the log is, and the tables."""

    outcomes: Sequence[tuple[int, Any]]
    behind: bool
    size: int
    seconds: float
    head: Head
    tables: Tables
    failure: "Failure | None"


class Place(NamedTuple):
    """Where a command's facts are: the first position, their moment and numbers in their jobs."""

    first: int
    recorded_at: datetime
    job_seqs: Sequence[int | None]
    leaf: bytes


class Failure(NamedTuple):
    """An exception: most of ours cannot be pickled, for they are not made of their arguments."""

    kind: type[Exception]
    arguments: tuple[Any, ...]
    state: dict[str, Any]

    def error(self) -> Exception:
        """The exception again."""
        error = self.kind.__new__(self.kind, *self.arguments)
        error.__dict__.update(self.state)
        return error


def failure_of(error: Exception | None) -> Failure | None:
    """An exception, as it goes over the wire."""
    return None if error is None else Failure(type(error), error.args, error.__dict__)


def frame(message: Any) -> bytes:
    """A message, after its length."""
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(data)) + data


class Frames:
    """Messages out of a stream of bytes that ends anywhere."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes | memoryview) -> Iterator[Any]:
        """The messages that are complete now."""
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                return
            with memoryview(self._buffer) as buffer, buffer[_LENGTH.size : end] as data:
                message = pickle.loads(data)
            del self._buffer[:end]
            yield message


def outgoing(wanted: Wanted) -> Any:
    """What the other process has to know of it: of contents, only what it is to pack."""
    if isinstance(wanted, Signing):
        return wanted
    smalls = [(c.digest, c.small) for c in wanted.contents if c.small is not None]
    return wanted.number, wanted.command, smalls


def incoming(sent: Any) -> Wanted:
    """What it was."""
    if isinstance(sent, Signing):
        return sent
    number, command, smalls = sent
    return Ticket(number, command, [Staged(d, len(small), b"", small) for d, small in smalls])


def answer_sent(answer: Answer) -> Any:
    """What became of something, without the facts that are known where it is going."""
    if isinstance(answer, Appended) and not answer.replayed:
        facts = [fact.event for fact in answer.recorded]
        job_seqs = [fact.job_seq if isinstance(fact, TaggedFact) else None for fact in facts]
        return Place(answer.first, moment(facts[0]), job_seqs, answer.leaf)
    return failure_of(answer) if isinstance(answer, Exception) else answer


def answer_heard(sent: Any, command: Command | None) -> Answer:
    """What became of it, with the facts of the command, which get their places."""
    if isinstance(sent, Place) and command is not None:
        return _placed(sent, command)
    answer: Answer = sent.error() if isinstance(sent, Failure) else sent
    return answer


def _placed(place: Place, command: Command) -> Appended:
    recorded = []
    for position, (fact, job_seq) in enumerate(
        zip(command.facts, place.job_seqs, strict=True), place.first
    ):
        stamp(fact, place.recorded_at)
        if isinstance(fact, TaggedFact) and job_seq is not None:
            stamp_job_seq(fact, job_seq)
        recorded.append(Recorded(position, fact))
    return Appended(place.first, recorded[-1].position, recorded=recorded, leaf=place.leaf)
