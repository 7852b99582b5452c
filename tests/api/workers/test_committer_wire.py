"""Messages between a server and its committer arrive whole, however the stream is cut."""

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
from asset_ledger.ledger.domain.event import Recorded
from asset_ledger.ledger.ids import digest_of
from asset_ledger.ledger.log.event_log import Appended, Command
from tests.builders import command, command_key, created, finished, recorded

MADE: dict[type[errors.LedgerError], errors.LedgerError] = {
    errors.UnknownAssetError: errors.UnknownAssetError("a" * 32),
    errors.UnknownVersionError: errors.UnknownVersionError("a" * 32, 7),
    errors.UnknownJobError: errors.UnknownJobError("j"),
    errors.UnknownTileError: errors.UnknownTileError("0/0"),
    errors.AssetDeletedError: errors.AssetDeletedError("a" * 32, by="1", when="then", position=7),
    errors.PreconditionFailedError: errors.PreconditionFailedError("a" * 32, 7),
    errors.FieldError: errors.FieldError("name", "must be a text"),
    errors.KeyReusedError: errors.KeyReusedError("k"),
    errors.PoisonEventError: errors.PoisonEventError(7, "no reason", "refused by a projection"),
    errors.ParameterError: errors.ParameterError("no", errors=[("first", "must be a number")]),
}
"""Those that are not made of one message."""


def all_errors(kind: type[errors.LedgerError] = errors.LedgerError) -> Iterator[Any]:
    yield kind
    for below in kind.__subclasses__():
        if below.__module__ == errors.__name__:
            yield from all_errors(below)


def crossed(message: Any) -> Any:
    (heard,) = Frames().feed(frame(message))
    return heard


def crossed_result(result: GroupResult, wanted: Command | None = None) -> GroupResult:
    """A result as the server gets it, which sent this command as request 1."""
    return decode_result(crossed(encode_result(result)), {1: wanted} if wanted else {})


def crossed_answer(answer: Answer, wanted: Command | None = None) -> Answer:
    tables = TablesState(1, 0)
    (answered,) = crossed_result(GroupResult(0, tables, [(1, answer)]), wanted).answers
    assert answered[0] == 1
    return answered[1]


@pytest.mark.parametrize("kind", list(dict.fromkeys(all_errors())), ids=lambda kind: kind.__name__)
def test_an_error_arrives_with_all_that_it_says(kind: type[errors.LedgerError]) -> None:
    error = MADE.get(kind) or kind("what happened")

    heard = crossed_answer(error)

    assert type(heard) is kind
    assert (str(heard), vars(heard)) == (str(error), vars(error))
    assert isinstance(heard, Exception)
    assert heard.args == error.args


def test_a_wish_to_come_back_later_arrives() -> None:
    error = errors.BusyError("come back")
    error.retry_after = 2.5

    heard = crossed_answer(error)

    assert isinstance(heard, errors.BusyError)
    assert heard.retry_after == 2.5


def test_what_sqlite_failed_of_arrives_with_its_code() -> None:
    with (
        closing(sqlite3.connect(":memory:")) as db,
        pytest.raises(sqlite3.OperationalError) as failed,
    ):
        db.execute("SELECT * FROM nowhere")

    heard = crossed_answer(failed.value)

    assert isinstance(heard, sqlite3.OperationalError)
    assert heard.sqlite_errorname == "SQLITE_ERROR"
    assert str(heard) == "no such table: nowhere"


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left"), KeyError("name"), ValueError("a", 1), RuntimeError()]
)
def test_a_defect_arrives_as_what_it_was(error: Exception) -> None:
    heard = crossed_answer(error)

    assert (type(heard), str(heard)) == (type(error), str(error))


def test_the_state_of_log_and_tables_arrives() -> None:
    poison = MADE[errors.PoisonEventError]
    failure = errors.StorageFailedError("the disk failed; read-only until a restart")
    sent = GroupResult(7, TablesState(2, 6, poison), failure=failure, commands=3, seconds=0.5)

    heard = crossed_result(sent)

    assert (heard.head, heard.tables.generation, heard.tables.position) == (7, 2, 6)
    assert (str(heard.tables.error), str(heard.failure)) == (str(poison), str(failure))
    assert (heard.commands, heard.seconds, heard.behind) == (3, 0.5, True)


def test_a_commands_events_stay_and_get_their_places() -> None:
    wanted = command(created(job_id="j"), finished(job_id="j"), created(originator_id="b" * 32))
    kept: Command = crossed(CommandRequest(1, wanted)).command
    assert list(kept.events) == list(wanted.events)
    places = stamped(recorded(*kept.events, first=8), job_seqs=[3, 4, None])
    answer = Appended(8, 10, recorded=places, leaf=b"leaf", prepared=object())

    heard = crossed_answer(answer, wanted)

    assert isinstance(heard, Appended)
    assert (heard.first, heard.last, heard.replayed, heard.leaf) == (8, 10, False, b"leaf")
    assert heard.recorded == [Recorded(8 + n, event) for n, event in enumerate(wanted.events)]
    numbers = [getattr(event, "job_seq") for event in wanted.events]  # noqa: B009 - of any event
    assert numbers == [3, 4, None]
    assert getattr(wanted.events[1], "events") == 4  # noqa: B009
    assert {event.recorded_at for event in wanted.events} == {kept.events[0].recorded_at}


def stamped(places: list[Recorded], job_seqs: list[int | None]) -> list[Recorded]:
    """As the log numbers them: one moment for a command."""
    for (_, event), job_seq in zip(places, job_seqs, strict=True):
        object.__setattr__(event, "recorded_at", places[0].event.recorded_at)
        object.__setattr__(event, "job_seq", job_seq)
    return places


def test_a_replay_arrives_as_it_is() -> None:
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


def test_metadata_as_deep_as_may_be_crosses() -> None:
    deep = orjson.loads(b'{"a":' * 99 + b"1" + b"}" * 99)
    wanted = command(created(private={"name": "deep", "metadata": deep}))

    assert crossed(CommandRequest(1, wanted)).command == wanted


@given(
    st.lists(st.binary(max_size=200) | st.integers() | st.text(max_size=20), max_size=8), st.data()
)
def test_a_stream_cut_anywhere_gives_the_same_messages(
    sent: list[Any], data: st.DataObject
) -> None:
    stream = b"".join(map(frame, sent))
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=12).map(sorted))
    frames = Frames()
    heard: list[Any] = []

    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        heard += frames.feed(stream[start:end])

    assert heard == sent


def test_a_stream_of_single_bytes_gives_the_same_messages() -> None:
    frames, sent = Frames(), [CheckpointRequest(1, 2, "note"), b"", b"x" * 70_000]

    heard = [each for byte in b"".join(map(frame, sent)) for each in frames.feed(bytes([byte]))]

    assert heard == sent
