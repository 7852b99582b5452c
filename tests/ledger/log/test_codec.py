"""Events to bytes and back: canonical, typed, upcast, and never trusting what a file names."""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any, ClassVar

import orjson
import pytest
from eventsourcing.persistence import Notification, StoredEvent
from hypothesis import given
from hypothesis import strategies as st

from asset_ledger.ledger.domain.asset import AssetCreated
from asset_ledger.ledger.domain.event import Event, TaggedEvent, iso, parse_time
from asset_ledger.ledger.errors import PoisonEventError, TooLargeError
from asset_ledger.ledger.log.codec import MAX_EVENT, Codec, EventMapper
from tests.builders import ID, at, created, described


def stored_again(event: StoredEvent, *, codec: Codec | None = None) -> Event:
    notification = Notification(ID, 1, event.topic, event.state, 7)
    return (codec or Codec()).decode(notification).event


def poison(topic: str, state: bytes) -> Notification:
    return Notification(ID, 1, topic, state, 7)


def test_keys_are_sorted_and_defaults_are_not_stored() -> None:
    state = Codec().encode(created(recorded_at=at(0))).state

    assert state == orjson.dumps(orjson.loads(state), option=orjson.OPT_SORT_KEYS)
    assert b"null" not in state
    assert b"node_id" not in state


def test_an_absent_field_and_a_cleared_one_are_stored_differently() -> None:
    silent = Codec().encode(described(recorded_at=at(0)))
    cleared = Codec().encode(described(recorded_at=at(0), parent_id=None))

    assert b"parent_id" not in silent.state
    assert b'"parent_id":null' in cleared.state
    assert stored_again(cleared).parent_id is None  # type: ignore[attr-defined]


@given(
    st.timedeltas(timedelta(days=-20_000), timedelta(days=60_000)).map(lambda delta: at(0) + delta),
    st.timezones(),
)
def test_a_time_is_27_characters_of_utc_and_comes_back_as_a_time(
    moment: datetime, zone: tzinfo
) -> None:
    when = moment.astimezone(zone)

    assert len(iso(when)) == 27
    assert parse_time(iso(when)) == when


def test_times_sort_as_text() -> None:
    east = timezone(timedelta(hours=9))
    earlier, later = datetime(2026, 1, 1, 12, tzinfo=east), at(0) + timedelta(hours=3, seconds=1)

    assert iso(earlier) < iso(later)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.floats(-1e9, 1e9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), json_values, max_size=5), st.text(min_size=1))
def test_whatever_json_people_write_comes_back_as_it_was(metadata: Any, name: str) -> None:
    event = created(recorded_at=at(0), private={"name": name, "metadata": metadata})

    assert stored_again(Codec().encode(event)) == event


def test_an_event_above_the_limit_is_refused() -> None:
    with pytest.raises(TooLargeError, match="the limit is 60,000"):
        Codec().encode(created(private={"name": "x" * MAX_EVENT}))


@pytest.mark.parametrize(
    ("topic", "state"),
    [
        ("os:system", b"{}"),
        ("asset.created", b"not json"),
        ("asset.created", b"[]"),
        ("asset.created", b"{}"),
        ("asset.created", b'{"by":"1","user_id":"1","size":1,"content_type":"a/b","new_field":1}'),
        ("asset.created", b'{"class_version":2}'),
        ("asset.created", b'{"recorded_at":"yesterday"}'),
    ],
)
def test_bytes_that_make_no_event_are_poison_with_their_position(topic: str, state: bytes) -> None:
    with pytest.raises(PoisonEventError) as poisoned:
        Codec().decode(poison(topic, state))

    assert poisoned.value.position == 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Painted(TaggedEvent):
    """The third shape of an event: first it had no colour, then a number, now a name."""

    TOPIC: ClassVar[str] = "test.painted"
    class_version: ClassVar[int] = 3
    colour: str

    @staticmethod
    def upcast_v1_v2(state: dict[str, Any]) -> None:
        state["colour_number"] = 0

    @staticmethod
    def upcast_v2_v3(state: dict[str, Any]) -> None:
        state["colour"] = ("black", "red")[state.pop("colour_number")]


@pytest.mark.parametrize(
    ("state", "colour"),
    [
        (b'{"by":"1","user_id":"1"}', "black"),
        (b'{"by":"1","user_id":"1","class_version":2,"colour_number":1}', "red"),
        (b'{"by":"1","user_id":"1","class_version":3,"colour":"blue"}', "blue"),
    ],
)
def test_every_version_ever_stored_is_read_in_the_shape_of_today(state: bytes, colour: str) -> None:
    codec = Codec(EventMapper((AssetCreated, Painted)))

    event = codec.decode(Notification(ID, 1, "test.painted", state, 1)).event

    assert isinstance(event, Painted)
    assert event.colour == colour


def test_a_raised_version_is_stored_with_the_event() -> None:
    codec = Codec(EventMapper((Painted,)))
    event = Painted(originator_id=ID, originator_version=1, by="1", user_id="1", colour="red")

    assert b'"class_version":3' in codec.encode(event).state
    assert stored_again(codec.encode(event), codec=codec) == event
