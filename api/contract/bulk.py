"""The bodies of bulk deletions, changes and restores."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Final

from pydantic import Field

from asset_ledger.api.contract.asset_id import read_asset_id
from asset_ledger.api.contract.assets import FILTERS, folder_of
from asset_ledger.api.contract.fields import (
    Fields,
    StrictModel,
    Texts,
    read_as,
    refuse_fields,
    unknown_fields,
)
from asset_ledger.api.contract.parameters import MAX_VALUES
from asset_ledger.api.contract.shapes import AnswerModel, Id
from asset_ledger.ledger.commands.bulk_edit import BulkChange
from asset_ledger.ledger.commands.delete import Find
from asset_ledger.ledger.domain.event import UNSET
from asset_ledger.ledger.errors import FieldError
from asset_ledger.ledger.ids import AssetId
from asset_ledger.projections.queries.assets import AssetQueries

MAX_IDS: Final = 10_000
MAX_RESTORED: Final = 256
"""Assets that one request restores: one command, so that all are restored or none."""
MAX_BODY: Final = 512 * 1024
"""Bytes of JSON: enough for the ids, with spaces between them."""
MAX_TAGS: Final = 100
"""Tags that one request adds, and as many that it removes."""

Values = Annotated[list[str | int], Field(fail_fast=True, max_length=MAX_VALUES)]
Filter = Annotated[
    dict[str, str | int | Values],
    Field(description="The filters of a list, each with one value or several."),
]
Count = Annotated[int | None, Field(ge=0, description="How many must match.")]
SomeTags = Annotated[Texts, Field(default_factory=list, max_length=MAX_TAGS)]


class BulkDeleteIn(StrictModel):
    """Which assets to delete. First count them with `dry_run`, then send that `expected_count`."""

    filter: Filter
    dry_run: Annotated[bool, Field(description="Count, and delete nothing.")] = False
    expected_count: Count = None


class BulkUpdateIn(StrictModel):
    """A change of the assets `ids`, or of those that match `filter`, which `dry_run` counts."""

    ids: Annotated[Texts | None, Field(max_length=MAX_IDS)] = None
    filter: Filter | None = None
    add_tags: SomeTags
    remove_tags: SomeTags
    parent_id: Annotated[str | None, Field(description="A folder; the user's id is home.")] = None
    dry_run: Annotated[bool, Field(description="Count, and change nothing.")] = False
    expected_count: Count = None


class BulkRestoreIn(StrictModel):
    """Which deleted assets to restore, folders with their contents."""

    ids: Annotated[Texts, Field(min_length=1, max_length=MAX_RESTORED)]


class BulkUpdatedOut(AnswerModel):
    """The number of matching assets, and the ids of those that this changed."""

    count: int
    updated_asset_ids: list[Id] | None = None


class BulkRestoredOut(AnswerModel):
    """The ids of the restored assets, without those of the contents of folders."""

    restored_asset_ids: list[Id]


def read_bulk(sent: Mapping[str, Any]) -> Fields:
    """Return the checked fields. Raises FieldError for a malformed filter or a missing count."""
    _check_names(sent.get("filter"))
    fields = read_as(BulkDeleteIn, sent)
    _check_count(fields)
    return fields


def read_bulk_update(sent: Mapping[str, Any]) -> Fields:
    """Return the checked fields likewise. Raises FieldError if they change nothing."""
    _check_names(sent.get("filter"))
    fields: dict[str, Any] = read_as(BulkUpdateIn, sent)
    if ("ids" in fields) == ("filter" in fields):
        raise FieldError("ids", "or filter is required, and not both")
    if not fields["dry_run"] and not {"parent_id", *_tags(fields)} & {*fields}:
        raise FieldError("add_tags", "or remove_tags or parent_id is required: name a change")
    if common := set(fields["add_tags"]) & set(fields["remove_tags"]):
        raise FieldError("remove_tags", f"has {min(common)!r}, which add_tags has too")
    if "filter" in fields:
        _check_count(fields)
    return fields


def bulk_change(fields: Fields, user_id: str) -> BulkChange:
    """Return the change in checked fields. Raises FieldError for a malformed folder id."""
    given: Any = fields
    folder = folder_of(given["parent_id"], user_id) if "parent_id" in given else UNSET
    return BulkChange(
        add_tags=[*dict.fromkeys(given["add_tags"])],
        remove_tags=given["remove_tags"],
        parent_id=folder,
    )


def ids_of(fields: Fields) -> list[AssetId] | None:
    """Return the ids, each once; None without. Raises UnknownAssetError for a malformed id."""
    ids: Any = fields.get("ids")
    return None if ids is None else [read_asset_id(text) for text in dict.fromkeys(ids)]


def find_of(assets: AssetQueries, user_id: str, fields: Fields) -> Find:
    """Return a function that returns the ids in the fields, or those of the matching assets."""
    ids = ids_of(fields)
    if ids is None:
        return partial(assets.matching, user_id, filters_of(fields))

    async def given() -> list[AssetId]:
        return ids

    return given


def _tags(fields: Mapping[str, Any]) -> list[str]:
    return [name for name in ("add_tags", "remove_tags") if fields[name]]


def _check_count(fields: Fields) -> None:
    if not fields["dry_run"] and "expected_count" not in fields:
        raise FieldError("expected_count", "is required: send dry_run first to get it")


def filters_of(fields: Fields) -> dict[str, Sequence[str]]:
    """Return the filters as a list reads them. Raises FieldError for an empty one."""
    given: Any = fields["filter"]
    filters: dict[str, Sequence[str]] = {name: _texts(value) for name, value in given.items()}
    if not filters or not all(filters.values()):
        raise FieldError("filter", "is empty and would match every asset: name a filter")
    return filters


def _check_names(sent: object) -> None:
    """Raise FieldsError for unknown filters, before the value of each is checked."""
    known = {parameter.name for parameter in FILTERS}
    if isinstance(sent, Mapping) and not known.issuperset(sent):
        errors = unknown_fields(sent, known, "filter")
        raise refuse_fields((f"filter.{name}", message) for name, message in errors)


def _texts(value: str | int | list[str | int]) -> list[str]:
    return [str(each) for each in (value if isinstance(value, list) else [value])]
