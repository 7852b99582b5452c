"""Creating and deleting an asset, and folding its events into its state."""

import math
from typing import Any

import pytest

from asset_ledger.ledger.domain.asset import evolve, fold
from asset_ledger.ledger.domain.decisions import create, delete
from asset_ledger.ledger.domain.event import private_of
from asset_ledger.ledger.errors import FieldError, TooLargeError
from tests.builders import (
    DIGEST,
    ID,
    asset_id,
    at,
    created,
    deleted,
    described,
    folded,
    new_asset,
    origin,
    recorded,
    replaced,
    restored,
    started,
)


def created_from(**given: Any) -> Any:
    (event,) = create(new_asset(**given), asset_id=ID, size=4, digest=DIGEST, origin=origin())
    return event


def test_create_stores_the_ids_of_the_origin() -> None:
    event = created_from(workflow_id="w", node_id="n", job_id="j")

    assert (event.workflow_id, event.node_id, event.job_id) == ("w", "n", "j")
    assert (event.originator_id, event.originator_version, event.by, event.user_id) == (
        ID,
        1,
        "1",
        "1",
    )


def test_create_stores_name_metadata_tags_and_duration_as_private() -> None:
    event = created_from(name="a cat", metadata={"k": 1}, tags=["x"], duration=1.5)

    assert private_of(event) == {
        "name": "a cat",
        "metadata": {"k": 1},
        "tags": ["x"],
        "duration": 1.5,
    }


def test_create_without_ids_names_no_workflow_node_or_job() -> None:
    event = created_from()

    assert (event.workflow_id, event.node_id, event.job_id) == (None, None, None)


@pytest.mark.parametrize("name", ["", "two\nlines", "nul\0", "tab\t", "\x7f", "\ud800", "n" * 4097])
def test_create_refuses_an_empty_a_long_and_an_unprintable_name(name: str) -> None:
    with pytest.raises(FieldError, match="name"):
        created_from(name=name)


@pytest.mark.parametrize("name", ["../../etc/passwd", "C:\\x", "a/b", "猫🐈.png", " ", "n" * 4096])
def test_create_accepts_any_printable_name(name: str) -> None:
    assert private_of(created_from(name=name))["name"] == name


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("workflow_id", ""),
        ("node_id", "n\0"),
        ("job_id", "j" * 1025),
        ("content_type", ""),
        ("content_type", "png"),
        ("content_type", "image/png\r\nX: y"),
        ("content_type", "image/png; a=\n"),
        ("metadata", {"big": 2**64}),
        ("metadata", {"nul": "a\0"}),
        ("metadata", {"deep": ["\\\\", {"x": "\0"}]}),
        ("tags", ["a", "a"]),
        ("tags", [""]),
        ("duration", -1.0),
        ("duration", math.nan),
        ("duration", math.inf),
    ],
)
def test_create_names_the_field_of_an_invalid_value(field: str, value: object) -> None:
    with pytest.raises(FieldError) as refusal:
        created_from(**{field: value})

    assert refusal.value.errors[0][0] == field


@pytest.mark.parametrize("text", ["\\u0000", "C:\\u0000dir", "\\\\u0000"])
def test_create_accepts_metadata_with_an_escaped_u0000(text: str) -> None:
    assert private_of(created_from(metadata={"k": text}))["metadata"] == {"k": text}


def test_create_accepts_metadata_of_32_kib_and_refuses_one_byte_more() -> None:
    at_the_limit = {"k": "x" * (32 * 1024 - len('{"k":""}'))}

    assert private_of(created_from(metadata=at_the_limit))["metadata"] == at_the_limit
    with pytest.raises(TooLargeError, match="32,769 bytes"):
        created_from(metadata={"k": at_the_limit["k"] + "x"})


@pytest.mark.parametrize("depth", [100, 101, 300])
def test_create_refuses_metadata_deeper_than_100_levels(depth: int) -> None:
    level: Any = "{[" * 100
    for _ in range(depth):
        level = [level] if depth % 2 else {"a": level}

    if depth == 100:
        assert private_of(created_from(metadata=level))["metadata"] == level
    else:
        with pytest.raises(FieldError, match="metadata"):
            created_from(metadata={"a": level})


def test_create_refuses_a_folder_with_content() -> None:
    with pytest.raises(FieldError, match="a folder has no file"):
        created_from(content_type="folder")


def test_create_makes_a_folder_without_content() -> None:
    events = create(
        new_asset(content_type="folder"), asset_id=ID, size=0, digest=None, origin=origin()
    )

    assert folded(*events).is_folder


def test_delete_makes_a_tombstone_with_user_and_time() -> None:
    events = delete(folded(created()), origin=origin(by="2"))

    tombstone = folded(created(), *events)
    assert tombstone.deleted
    assert (tombstone.deleted_by, tombstone.deleted_at) == ("2", at(2))
    assert tombstone.version == 2


def test_delete_of_a_tombstone_records_nothing() -> None:
    assert delete(folded(created(), deleted()), origin=origin()) == []


def test_delete_keeps_the_owner_and_the_ids_of_the_first_event() -> None:
    asset = folded(created(workflow_id="w", node_id="n", job_id="j", user_id="7"))

    (event,) = delete(asset, origin=origin(by="2", user_id="2"))

    assert event.user_id == "7"  # type: ignore[attr-defined]
    assert (event.workflow_id, event.node_id, event.job_id) == ("w", "n", "j")  # type: ignore[attr-defined]


def test_fold_of_a_restored_asset_keeps_name_and_content() -> None:
    before = folded(created())
    after = folded(created(), deleted(), restored())

    assert not after.deleted
    assert (after.name, after.digest, after.version) == (before.name, before.digest, 3)


def test_fold_of_a_label_sets_given_fields_and_clears_null_fields() -> None:
    first = created(private={"name": "a", "metadata": {"k": 1}, "tags": ["x"], "duration": 2.0})
    label = described(private={"name": "b", "metadata": None, "tags": None}, parent_id=asset_id(9))

    asset = folded(first, label)

    assert (asset.name, asset.metadata, asset.tags, asset.duration) == ("b", None, (), 2.0)
    assert asset.parent_id == asset_id(9)
    assert asset.content_type == "image/png"


def test_fold_of_new_content_keeps_the_label() -> None:
    asset = folded(created(), replaced(size=9, content_type="image/jpeg"))

    assert (asset.size, asset.content_type, asset.name) == (9, "image/jpeg", "cat.png")
    assert asset.digest != DIGEST


def test_fold_takes_created_at_from_made_at_if_given() -> None:
    assert folded(created(made_at=at(-5))).created_at == at(-5)
    assert folded(created()).created_at == at(1)


def test_fold_ignores_events_of_other_kinds() -> None:
    asset = folded(created())

    assert evolve(asset, recorded(started())[0]) is asset
    assert fold(recorded(deleted(), started())) is None
