"""Encoding events to canonical bytes, decoding and upcasting them, and refusing other bytes."""

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


def decoded(event: StoredEvent, *, codec: Codec | None = None) -> Event:
    notification = Notification(ID, 1, event.topic, event.state, 7)
    return (codec or Codec()).decode(notification).event


def poison(topic: str, state: bytes) -> Notification:
    return Notification(ID, 1, topic, state, 7)


def test_encode_sorts_keys_and_omits_defaults() -> None:
    state = Codec().encode(created(recorded_at=at(0))).state

    assert state == orjson.dumps(orjson.loads(state), option=orjson.OPT_SORT_KEYS)
    assert b"null" not in state
    assert b"node_id" not in state


def test_encode_stores_null_for_a_cleared_field_and_omits_an_absent_field() -> None:
    absent = Codec().encode(described(recorded_at=at(0)))
    cleared = Codec().encode(described(recorded_at=at(0), parent_id=None))

    assert b"parent_id" not in absent.state
    assert b'"parent_id":null' in cleared.state
    assert decoded(cleared).parent_id is None  # type: ignore[attr-defined]


@given(
    st.timedeltas(timedelta(days=-20_000), timedelta(days=60_000)).map(lambda delta: at(0) + delta),
    st.timezones(),
)
def test_parse_time_inverts_iso_which_returns_27_characters(moment: datetime, zone: tzinfo) -> None:
    when = moment.astimezone(zone)

    assert len(iso(when)) == 27
    assert parse_time(iso(when)) == moment  # `when` may be one of two: clocks are set back


def test_iso_texts_sort_by_time() -> None:
    east = timezone(timedelta(hours=9))
    earlier, later = datetime(2026, 1, 1, 12, tzinfo=east), at(0) + timedelta(hours=3, seconds=1)

    assert iso(earlier) < iso(later)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.floats(-1e9, 1e9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), json_values, max_size=5), st.text(min_size=1))
def test_decode_inverts_encode_for_any_metadata_and_name(metadata: Any, name: str) -> None:
    event = created(recorded_at=at(0), private={"name": name, "metadata": metadata})

    assert decoded(Codec().encode(event)) == event


def test_encode_refuses_an_event_above_the_limit() -> None:
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
def test_decode_raises_a_poison_error_with_the_position(topic: str, state: bytes) -> None:
    with pytest.raises(PoisonEventError) as poisoned:
        Codec().decode(poison(topic, state))

    assert poisoned.value.position == 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Painted(TaggedEvent):
    """The third version of an event: the first had no colour, the second a number."""

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
def test_decode_upcasts_every_older_version(state: bytes, colour: str) -> None:
    codec = Codec(EventMapper((AssetCreated, Painted)))

    event = codec.decode(Notification(ID, 1, "test.painted", state, 1)).event

    assert isinstance(event, Painted)
    assert event.colour == colour


def test_encode_stores_a_class_version_above_1() -> None:
    codec = Codec(EventMapper((Painted,)))
    event = Painted(originator_id=ID, originator_version=1, by="1", user_id="1", colour="red")

    assert b'"class_version":3' in codec.encode(event).state
    assert decoded(codec.encode(event), codec=codec) == event
