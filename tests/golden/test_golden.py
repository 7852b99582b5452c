"""The stored bytes of every event ever shipped: they are hashed, so they can never be otherwise."""

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
def test_an_event_encodes_to_the_bytes_it_was_first_shipped_with(example: Event) -> None:
    assert Codec().encode(example).state == golden_file(example).read_bytes()


@pytest.mark.parametrize("file", FILES)
def test_the_bytes_of_old_decode_to_the_event_of_today(file: str) -> None:
    meaning = MEANINGS[file]
    stored = Notification(
        originator_id=meaning.originator_id,
        originator_version=meaning.originator_version,
        topic=meaning.TOPIC,
        state=(FOLDER / file).read_bytes(),
        id=1,
    )

    assert Codec().decode(stored).event == meaning


def test_every_version_of_every_event_has_its_golden_bytes() -> None:
    shipped = {
        f"{kind.TOPIC}.v{n}.json" for kind in EVENTS for n in range(1, kind.class_version + 1)
    }

    assert {*FILES} == {*MEANINGS} == shipped
    assert {file.name for file in SHAPES.iterdir()} == shipped
    assert {type(example) for example in EXAMPLES} == set(EVENTS)


def test_no_event_has_another_shape_than_the_one_its_version_was_shipped_with() -> None:
    assert wrong_shapes(EVENTS) == []


@dataclass(frozen=True, slots=True, kw_only=True)
class Smelt(TaggedEvent):
    """An event as it was shipped."""

    TOPIC: ClassVar[str] = "test.smelt"
    smell: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stronger(Smelt):
    """The same with one field more, which most events do not have: no stored byte would show it."""

    strength: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised(Stronger):
    """It says that it is another version, and not how the older one is to be read."""

    class_version: ClassVar[int] = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Upcast(Raised):
    """All that is needed, but the file that shows what the new version looks like."""

    @staticmethod
    def upcast_v1_v2(state: dict[str, Any]) -> None:
        state["strength"] = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Renamed(Smelt):
    """A field whose meaning, when it is absent, is another one."""

    workflow_id: str | None = ""


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    """What the first version of that event looked like."""
    keep([Smelt], tmp_path)
    return tmp_path


def test_a_field_that_was_added_without_a_version_is_found(shapes: Path) -> None:
    assert wrong_shapes([Smelt], shapes) == []
    (wrong,) = wrong_shapes([Stronger], shapes)
    assert "(strength was nothing, is number | null = null)" in wrong
    assert "give it class_version = 2 and upcast_v1_v2" in wrong


def test_a_default_that_became_another_is_found(shapes: Path) -> None:
    (wrong,) = wrong_shapes([Renamed], shapes)

    assert 'workflow_id was string | null = null, is string | null = ""' in wrong


def test_a_version_without_its_upcast_and_without_its_file_is_found(shapes: Path) -> None:
    assert wrong_shapes([Raised], shapes) == [
        "test.smelt v2 has no file: run `python -m tests.golden.examples`",
        "test.smelt v1 cannot be read: write upcast_v1_v2",
    ]
    assert len(wrong_shapes([Upcast], shapes)) == 1


def test_a_version_with_its_upcast_and_its_file_is_right_and_the_file_is_kept(shapes: Path) -> None:
    keep([Upcast], shapes)

    assert wrong_shapes([Upcast], shapes) == []
    before = {path: path.read_bytes() for path in shapes.iterdir()}
    keep([Stronger], shapes)
    assert {path: path.read_bytes() for path in shapes.iterdir()} == before
