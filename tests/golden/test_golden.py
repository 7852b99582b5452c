"""The stored bytes of every released event. They are hashed, so they can never change."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from eventsourcing.persistence import Notification

from asset_ledger.ledger.domain.event import Event, TaggedEvent
from asset_ledger.ledger.log.codec import EVENTS, Codec
from tests.golden.examples import EXAMPLES, FOLDER, MEANINGS, golden_file
from tests.golden.shapes import SHAPES, keep, wrong_shapes

FILES = sorted(file.name for file in FOLDER.iterdir())

by_topic = pytest.mark.parametrize("example", EXAMPLES, ids=lambda event: event.TOPIC)


@by_topic
def test_encode_returns_the_golden_bytes(example: Event) -> None:
    assert Codec().encode(example).state == golden_file(example).read_bytes()


@pytest.mark.parametrize("file", FILES)
def test_decode_of_golden_bytes_returns_the_event(file: str) -> None:
    meaning = MEANINGS[file]
    stored = Notification(
        originator_id=meaning.originator_id,
        originator_version=meaning.originator_version,
        topic=meaning.TOPIC,
        state=(FOLDER / file).read_bytes(),
        id=1,
    )

    assert Codec().decode(stored).event == meaning


def test_every_version_of_every_event_has_golden_bytes_and_a_shape() -> None:
    released = {
        f"{kind.TOPIC}.v{n}.json" for kind in EVENTS for n in range(1, kind.class_version + 1)
    }

    assert {*FILES} == {*MEANINGS} == released
    assert {file.name for file in SHAPES.iterdir()} == released
    assert {type(example) for example in EXAMPLES} == set(EVENTS)


def test_every_event_has_the_released_shape_of_its_version() -> None:
    assert wrong_shapes(EVENTS) == []


@dataclass(frozen=True, slots=True, kw_only=True)
class Smelt(TaggedEvent):
    """A released event."""

    TOPIC: ClassVar[str] = "test.smelt"
    smell: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stronger(Smelt):
    """Smelt with an optional field more, which the golden bytes do not show."""

    strength: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised(Stronger):
    """Stronger with a new version, without an upcast from the older one."""

    class_version: ClassVar[int] = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Upcast(Raised):
    """Raised with its upcast, without a file of the shape of its version."""

    @staticmethod
    def upcast_v1_v2(state: dict[str, Any]) -> None:
        state["strength"] = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Renamed(Smelt):
    """Smelt with another default of a field."""

    workflow_id: str | None = ""


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    """A folder with the shape of the first version of Smelt."""
    keep([Smelt], tmp_path)
    return tmp_path


def test_wrong_shapes_reports_a_field_added_without_a_new_version(shapes: Path) -> None:
    assert wrong_shapes([Smelt], shapes) == []
    (wrong,) = wrong_shapes([Stronger], shapes)
    assert "(strength was nothing, is number | null = null)" in wrong
    assert "give it class_version = 2 and upcast_v1_v2" in wrong


def test_wrong_shapes_reports_a_changed_default(shapes: Path) -> None:
    (wrong,) = wrong_shapes([Renamed], shapes)

    assert 'workflow_id was string | null = null, is string | null = ""' in wrong


def test_wrong_shapes_reports_a_version_without_upcast_or_file(shapes: Path) -> None:
    assert wrong_shapes([Raised], shapes) == [
        "test.smelt v2 has no file: run `python -m tests.golden.examples`",
        "test.smelt v1 cannot be read: write upcast_v1_v2",
    ]
    assert len(wrong_shapes([Upcast], shapes)) == 1


def test_wrong_shapes_accepts_a_version_with_upcast_and_file(shapes: Path) -> None:
    keep([Upcast], shapes)

    assert wrong_shapes([Upcast], shapes) == []
    before = {path: path.read_bytes() for path in shapes.iterdir()}
    keep([Stronger], shapes)
    assert {path: path.read_bytes() for path in shapes.iterdir()} == before
