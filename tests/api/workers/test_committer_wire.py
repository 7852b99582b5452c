"""Messages between a server and its committer process."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asset_ledger.api.workers.committer_wire import (
    Frames,
    decode_result,
    encode_result,
    frame,
)
from asset_ledger.ledger import errors
from asset_ledger.ledger.commit.requests import (
    Answer,
    CheckpointRequest,
    CommandRequest,
    GroupResult,
    TablesState,
)
from asset_ledger.ledger.domain.event import (
    JobStamp,
    Recorded,
    TaggedEvent,
    job_stamp,
    stamp_job,
)
from asset_ledger.ledger.ids import digest_of
from asset_ledger.ledger.log.event_log import Appended, Command, Head
from tests.builders import at, command, command_key, created, finished, recorded

MADE: dict[type[errors.LedgerError], errors.LedgerError] = {
    errors.UnknownAssetError: errors.UnknownAssetError("a" * 32),
    errors.UnknownVersionError: errors.UnknownVersionError("a" * 32, 7),
    errors.UnknownJobError: errors.UnknownJobError("j"),
    errors.UnknownTileError: errors.UnknownTileError("0/0"),
    errors.AssetDeletedError: errors.AssetDeletedError("a" * 32, by="1", when="then", position=7),
    errors.PreconditionFailedError: errors.PreconditionFailedError("a" * 32, 7),
    errors.ContentDamagedError: errors.ContentDamagedError("sha256:" + "0" * 64, "it is missing"),
    errors.ContentCollectedError: errors.ContentCollectedError("sha256:" + "0" * 64, "then"),
    errors.NotRestorableError: errors.NotRestorableError("a" * 32, "then"),
    errors.LogDamagedError: errors.LogDamagedError("ledger.db", "malformed"),
    errors.TablesDamagedError: errors.TablesDamagedError("projections.g1.db", "malformed"),
    errors.StoreUnavailableError: errors.StoreUnavailableError(),
    errors.FieldError: errors.FieldError("name", "must be a text"),
    errors.KeyReusedError: errors.KeyReusedError("k"),
    errors.PoisonEventError: errors.PoisonEventError(7, "no reason", "refused by a projection"),
    errors.ParameterError: errors.ParameterError("no", errors=[("first", "must be a number")]),
}
"""Errors whose constructors take other arguments than one message."""


def all_errors(kind: type[errors.LedgerError] = errors.LedgerError) -> Iterator[Any]:
    yield kind
    for below in kind.__subclasses__():
        if below.__module__ == errors.__name__:
            yield from all_errors(below)


def crossed(message: Any) -> Any:
    (received,) = Frames().feed(frame(message))
    return received


def crossed_result(result: GroupResult, sent_command: Command | None = None) -> GroupResult:
    """Encode and decode a result, for a server that sent this command as request 1."""
    return decode_result(crossed(encode_result(result)), {1: sent_command} if sent_command else {})


def crossed_answer(answer: Answer, sent_command: Command | None = None) -> Answer:
    tables = TablesState(1, 0)
    (answered,) = crossed_result(
        GroupResult(Head(0, None), tables, [(1, answer)]), sent_command
    ).answers
    assert answered[0] == 1
    return answered[1]


@pytest.mark.parametrize("kind", list(dict.fromkeys(all_errors())), ids=lambda kind: kind.__name__)
def test_an_error_arrives_with_its_message_and_attributes(kind: type[errors.LedgerError]) -> None:
    error = MADE.get(kind) or kind("what happened")

    received = crossed_answer(error)

    assert type(received) is kind
    assert (str(received), vars(received)) == (str(error), vars(error))
    assert isinstance(received, Exception)
    assert received.args == error.args


def test_the_retry_after_of_an_error_arrives() -> None:
    error = errors.BusyError("come back")
    error.retry_after = 2.5

    received = crossed_answer(error)

    assert isinstance(received, errors.BusyError)
    assert received.retry_after == 2.5


def test_an_sqlite_error_arrives_with_its_code() -> None:
    with (
        closing(sqlite3.connect(":memory:")) as db,
        pytest.raises(sqlite3.OperationalError) as failed,
    ):
        db.execute("SELECT * FROM nowhere")

    received = crossed_answer(failed.value)

    assert isinstance(received, sqlite3.OperationalError)
    assert received.sqlite_errorname == "SQLITE_ERROR"
    assert str(received) == "no such table: nowhere"


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left"), KeyError("name"), ValueError("a", 1), RuntimeError()]
)
def test_an_exception_of_python_arrives_with_its_type(error: Exception) -> None:
    received = crossed_answer(error)

    assert (type(received), str(received)) == (type(error), str(error))


def test_the_state_of_log_and_tables_arrives() -> None:
    poison = MADE[errors.PoisonEventError]
    failure = errors.StorageFailedError("the disk failed; read-only until a restart")
    head = Head(7, at(7))
    sent = GroupResult(head, TablesState(2, 6, poison), failure=failure, commands=3, seconds=0.5)

    received = crossed_result(sent)

    assert (received.head, received.tables.generation, received.tables.position) == (head, 2, 6)
    assert (str(received.tables.error), str(received.failure)) == (str(poison), str(failure))
    assert (received.commands, received.seconds, received.behind) == (3, 0.5, True)


def test_the_events_of_a_command_get_their_positions() -> None:
    sent_command = command(
        created(job_id="j"), finished(job_id="j"), created(originator_id="b" * 32)
    )
    kept: Command = crossed(CommandRequest(1, sent_command)).command
    assert list(kept.events) == list(sent_command.events)
    stamps = [JobStamp(3, 2, late=True), JobStamp(4, 2, late=False), None]
    positions = stamped(recorded(*kept.events, first=8), stamps)
    answer = Appended(8, 10, recorded=positions, leaf=b"leaf", prepared=object())

    received = crossed_answer(answer, sent_command)

    assert isinstance(received, Appended)
    assert (received.first, received.last, received.replayed, received.leaf) == (
        8,
        10,
        False,
        b"leaf",
    )
    assert received.recorded == [
        Recorded(8 + n, event) for n, event in enumerate(sent_command.events)
    ]
    assert [job_stamp(event) for event in sent_command.events] == stamps
    assert getattr(sent_command.events[1], "events") == 4  # noqa: B009
    assert {event.recorded_at for event in sent_command.events} == {kept.events[0].recorded_at}


def stamped(positions: list[Recorded], jobs: list[JobStamp | None]) -> list[Recorded]:
    """Stamp events as the log does: with one time for a command."""
    for (_, event), job in zip(positions, jobs, strict=True):
        object.__setattr__(event, "recorded_at", positions[0].event.recorded_at)
        if isinstance(event, TaggedEvent) and job is not None:
            stamp_job(event, job)
    return positions


def test_a_replayed_answer_arrives_unchanged() -> None:
    replay = Appended(3, 4, replayed=True)

    assert crossed_answer(replay, command(created())) == replay


def test_a_checkpoint_crosses_both_ways() -> None:
    request = CheckpointRequest(4, 17, "the note")

    assert crossed(request) == request
    assert crossed_answer("the note that is kept") == "the note that is kept"


def test_a_command_crosses_with_its_small_contents() -> None:
    contents = [(digest_of(b"small"), b"small")]
    request = CommandRequest(5, command(created(), key=command_key()), contents)

    assert crossed(request) == request


def test_metadata_of_the_greatest_depth_crosses() -> None:
    deep = orjson.loads(b'{"a":' * 99 + b"1" + b"}" * 99)
    sent_command = command(created(private={"name": "deep", "metadata": deep}))

    assert crossed(CommandRequest(1, sent_command)).command == sent_command


@given(
    st.lists(st.binary(max_size=200) | st.integers() | st.text(max_size=20), max_size=8), st.data()
)
def test_a_stream_cut_anywhere_gives_the_same_messages(
    sent: list[Any], data: st.DataObject
) -> None:
    stream = b"".join(map(frame, sent))
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=12).map(sorted))
    frames = Frames()
    received: list[Any] = []

    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        received += frames.feed(stream[start:end])

    assert received == sent


def test_a_stream_of_single_bytes_gives_the_same_messages() -> None:
    frames, sent = Frames(), [CheckpointRequest(1, 2, "note"), b"", b"x" * 70_000]

    received = [each for byte in b"".join(map(frame, sent)) for each in frames.feed(bytes([byte]))]

    assert received == sent
