"""Changing an asset: the events of each decision, and its errors."""

from typing import Any

import pytest

from asset_ledger.ledger.domain.asset import Asset
from asset_ledger.ledger.domain.decisions import (
    Label,
    check_path,
    check_version,
    describe,
    replace_content,
    restore,
)
from asset_ledger.ledger.domain.event import UNSET, Event, private_of
from asset_ledger.ledger.errors import (
    AssetDeletedError,
    FieldError,
    PreconditionFailedError,
    TooLargeError,
)
from asset_ledger.ledger.ids import Digest
from tests.builders import (
    DIGEST,
    asset_id,
    created,
    deleted,
    described,
    folded,
    origin,
    recorded,
    restored,
)

OTHER = Digest("sha256:" + "c" * 64)


def labelled(asset: Asset, **fields: Any) -> Any:
    """Return the single event of a new label, or None."""
    events = describe(asset, Label(**fields), origin=origin())
    assert len(events) < 2
    return events[0] if events else None


def replaced_with(asset: Asset, **given: Any) -> list[Event]:
    content = {"size": 9, "digest": OTHER, "content_type": "image/png", **given}
    return replace_content(asset, origin=origin(), **content)


def test_describe_records_only_changed_fields() -> None:
    asset = folded(created(private={"name": "cat.png", "tags": ["a"]}))

    event = labelled(asset, name="dog.png", tags=["a"], content_type="image/png")

    assert private_of(event) == {"name": "dog.png"}
    assert (event.parent_id, event.content_type) == (UNSET, UNSET)
    assert event.originator_version == 2


def test_describe_keeps_the_owner_and_the_ids_of_the_asset() -> None:
    asset = folded(created(workflow_id="w", node_id="n", job_id="j", user_id="2"))

    event = describe(asset, Label(name="x"), origin=origin(by="9", user_id="2"))[0]

    assert isinstance(event, type(described()))
    assert (event.workflow_id, event.node_id, event.job_id) == ("w", "n", "j")
    assert (event.user_id, event.by) == ("2", "9")


def test_describe_with_equal_fields_records_nothing() -> None:
    private = {"name": "cat.png", "metadata": {"a": 1, "b": 2}, "tags": ["x"], "duration": 1}
    asset = folded(created(private=private, parent_id=asset_id(9)))

    same = {**private, "metadata": {"b": 2, "a": 1}, "duration": 1.0, "parent_id": asset_id(9)}

    assert labelled(asset, **same) is None
    assert labelled(asset) is None


@pytest.mark.parametrize(
    ("before", "after"),
    [({"a": 1}, {"a": True}), ({"a": 1}, {"a": 1.0}), ({"a": {}}, {"a": None}), (None, {})],
)
def test_describe_records_metadata_with_other_json(before: Any, after: Any) -> None:
    private = {"name": "n"} if before is None else {"name": "n", "metadata": before}

    event = labelled(folded(created(private=private)), metadata=after)

    assert private_of(event) == {"metadata": after}


def test_describe_records_null_for_a_cleared_field() -> None:
    private = {"name": "n", "metadata": {"a": 1}, "tags": ["x"], "duration": 1}
    creation = created(private=private, parent_id=asset_id(9))

    event = labelled(folded(creation), metadata=None, tags=None, duration=None, parent_id=None)
    asset = folded(creation, event)

    assert private_of(event) == {"metadata": None, "tags": None, "duration": None}
    assert (asset.metadata, asset.tags, asset.duration, asset.parent_id) == (None, (), None, None)
    assert labelled(asset, tags=[], metadata=None) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": "a\nb"},
        {"content_type": "png"},
        {"content_type": "folder"},
        {"tags": ["a", "a"]},
        {"duration": -1.0},
        {"metadata": {"a": "\0"}},
    ],
)
def test_describe_names_the_field_of_an_invalid_value(fields: dict[str, Any]) -> None:
    with pytest.raises(FieldError) as refusal:
        labelled(folded(created()), **fields)

    assert [name for name, _ in refusal.value.errors] == list(fields)


def test_describe_refuses_metadata_above_the_limit() -> None:
    with pytest.raises(TooLargeError):
        labelled(folded(created()), metadata={"k": "x" * 33_000})


def test_a_folder_refuses_another_content_type_and_content() -> None:
    folder = folded(created(content_type="folder", digest=None, size=0))

    assert labelled(folder, content_type="folder") is None
    with pytest.raises(FieldError, match="stays a folder"):
        labelled(folder, content_type="text/plain")
    with pytest.raises(FieldError, match="a folder has no file"):
        replaced_with(folder)


def test_replace_content_makes_a_new_version() -> None:
    creation = created()
    (event,) = replaced_with(folded(creation), content_type="image/webp")
    asset = folded(creation, event)

    assert (asset.digest, asset.size, asset.content_type) == (OTHER, 9, "image/webp")
    assert (asset.version, asset.name) == (2, "cat.png")


def test_replace_content_with_equal_content_and_type_records_nothing() -> None:
    asset = folded(created())

    assert replaced_with(asset, digest=DIGEST, size=4) == []
    assert replaced_with(asset, digest=DIGEST, size=4, content_type="image/webp") != []


def test_a_tombstone_refuses_changes_and_names_the_deleting_user() -> None:
    asset = folded(created(), deleted(by="7"))

    for change in (lambda: labelled(asset, name="x"), lambda: replaced_with(asset)):
        with pytest.raises(AssetDeletedError, match="was deleted: restore it") as refusal:
            change()
        assert (refusal.value.by, refusal.value.position) == ("7", 2)
        assert refusal.value.when.endswith("Z")


def test_restore_keeps_the_folder_of_the_asset() -> None:
    events = [created(parent_id=asset_id(9)), deleted()]

    (event,) = restore(folded(*events), folder_gone=False, origin=origin())
    asset = folded(*events, event)

    assert (asset.deleted, asset.parent_id, asset.version) == (False, asset_id(9), 3)


def test_restore_moves_the_asset_home_if_its_folder_is_gone() -> None:
    events: list[Event] = [created(parent_id=asset_id(9)), deleted()]

    events_of_restore = restore(folded(*events), folder_gone=True, origin=origin())
    asset = folded(*events, *events_of_restore)

    assert (asset.deleted, asset.parent_id, asset.version) == (False, None, 4)


@pytest.mark.parametrize("events", [[created()], [created(), deleted(), restored()]])
def test_restore_of_a_live_asset_records_nothing(events: list[Event]) -> None:
    assert restore(folded(*events), folder_gone=False, origin=origin()) == []


def test_check_path_refuses_a_folder_inside_of_itself() -> None:
    inner, outer = (
        folded(created(originator_id=asset_id(n), content_type="folder")) for n in (1, 2)
    )

    check_path(outer, [])
    check_path(inner, [outer])
    with pytest.raises(FieldError, match="inside of itself"):
        check_path(outer, [inner, outer])


def test_check_version_refuses_another_version() -> None:
    asset = folded(*(each.event for each in recorded(created(), deleted(), restored())))

    check_version(asset, None)
    check_version(asset, 3)
    with pytest.raises(PreconditionFailedError, match="version 3"):
        check_version(asset, 2)
