"""The messages between a server and its committer process: plain data, pickled, in frames.

Both run the same code, and no other process can reach the socket. Events are sent to the committer
only: the server keeps them, and receives their positions.
"""

import pickle
from collections.abc import Iterator, Sequence
from datetime import datetime
from struct import Struct
from typing import Any, Final, NamedTuple

from asset_ledger.ledger.commit.requests import Answer, GroupResult
from asset_ledger.ledger.domain.event import (
    JobStamp,
    Recorded,
    TaggedEvent,
    job_stamp,
    moment,
    stamp,
    stamp_job,
)
from asset_ledger.ledger.log.event_log import Appended, Command

_LENGTH: Final = Struct("!I")


class Open(NamedTuple):
    """To the committer: open the files, or a database. `reopen`: see `engine.open_group_commit`."""

    reopen: bool
    database: str | None = None


class Finish(NamedTuple):
    """To the committer: commit what was sent, close the files and exit."""


class Opening(NamedTuple):
    """From the committer, while it opens the files: its progress, see `ledger.progress`."""

    step: str
    done: int
    total: int


class Placed(NamedTuple):
    """The positions of a command's events from `first` on, their times and places in their jobs."""

    first: int
    recorded_at: datetime
    clock: datetime | None
    jobs: Sequence[JobStamp | None]
    leaf: bytes


class Failure(NamedTuple):
    """An exception as plain data. Most of ours cannot be pickled: `args` lacks arguments."""

    kind: type[Exception]
    arguments: tuple[Any, ...]
    state: dict[str, Any]

    @classmethod
    def of(cls, error: Exception) -> "Failure":
        """Encode an exception."""
        return cls(type(error), error.args, error.__dict__)

    def error(self) -> Exception:
        """Decode the exception."""
        error = self.kind.__new__(self.kind, *self.arguments)
        error.__dict__.update(self.state)
        return error


def frame(message: Any) -> bytes:
    """Encode a message, preceded by its length."""
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(data)) + data


class Frames:
    """Decodes messages from a stream of bytes that is cut anywhere."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes | memoryview) -> Iterator[Any]:
        """Yield the messages that are complete with these bytes."""
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


def encode_result(result: GroupResult) -> GroupResult:
    """Encode a result without its events, which the server has, and without exceptions."""
    error, failure = result.tables.error, result.failure
    return result._replace(
        answers=[(number, _encode(answer)) for number, answer in result.answers],
        tables=result.tables._replace(error=_failure(error)),
        failure=_failure(failure),
    )


def decode_result(result: GroupResult, commands: dict[int, Command]) -> GroupResult:
    """Decode a result. Gives the events of the answered commands their positions.

    Removes the answered commands from `commands`.
    """
    return result._replace(
        answers=[(n, _decode(answer, commands.pop(n, None))) for n, answer in result.answers],
        tables=result.tables._replace(error=_exception(result.tables.error)),
        failure=_exception(result.failure),
    )


def _encode(answer: Answer) -> Any:
    if isinstance(answer, Appended) and not answer.replayed:
        events = [each.event for each in answer.recorded]
        times = moment(events[0]), events[0].clock
        return Placed(answer.first, *times, [*map(job_stamp, events)], answer.leaf)
    return _failure(answer) if isinstance(answer, Exception) else answer


def _decode(sent: Any, command: Command | None) -> Answer:
    if isinstance(sent, Placed) and command is not None:
        return _placed(sent, command)
    answer: Answer = _exception(sent)
    return answer


def _failure(error: Exception | None) -> Any:
    return None if error is None else Failure.of(error)


def _exception(sent: Any) -> Any:
    return sent.error() if isinstance(sent, Failure) else sent


def _placed(placed: Placed, command: Command) -> Appended:
    recorded = []
    numbered = zip(command.events, placed.jobs, strict=True)
    for position, (event, job) in enumerate(numbered, placed.first):
        stamp(event, placed.recorded_at, placed.clock)
        if isinstance(event, TaggedEvent) and job is not None:
            stamp_job(event, job)
        recorded.append(Recorded(position, event))
    return Appended(placed.first, recorded[-1].position, recorded=recorded, leaf=placed.leaf)
