"""The position of a time is that of the last event recorded by then."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asset_ledger.ledger.errors import ParameterError
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.sqlite import SqliteLog
from asset_ledger.ledger.reading.replay import Replay
from tests.builders import asset_id, at, command, created

SECONDS = (1, 1, 1, 2, 5, 5, 8)


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replay]:
    """A log with an event at each of these seconds."""
    now = iter(SECONDS)
    folder: Path = tmp_path_factory.mktemp("replay")
    log = SqliteLog(folder / "ledger.db", Codec(), clock=lambda: at(next(now)))
    for number, _ in enumerate(SECONDS):
        log.append([command(created(originator_id=asset_id(number)))], lambda _: None)
    yield Replay(log, Codec())
    log.close()


@given(seconds=st.integers(0, 90).map(lambda tenths: tenths / 10))
@settings(max_examples=50)
def test_position_as_of_a_time_is_the_last_event_recorded_by_then(
    replay: Replay, seconds: float
) -> None:
    assert replay.position_as_of(at(seconds)) == sum(second <= seconds for second in SECONDS)


def test_position_as_of_accepts_any_time_zone(replay: Replay) -> None:
    moment = datetime.fromisoformat(at(2).astimezone().isoformat()) + timedelta(microseconds=-1)

    assert replay.position_as_of(moment) == 3


def test_position_as_of_returns_a_position_unless_the_log_ends_before_it(replay: Replay) -> None:
    assert [replay.position_as_of(position) for position in (0, 3, 7)] == [0, 3, 7]
    with pytest.raises(ParameterError, match="beyond the log"):
        replay.position_as_of(8)
