"""The fields of a new asset, and the parameters of a list of assets."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Final

from pydantic import Field

from asset_ledger.api.contract.fields import Fields, StrictModel, Texts, parse_field, read_as
from asset_ledger.api.contract.parameters import (
    AS_OF,
    ATTEMPT,
    CURSOR,
    MAX_POSITION,
    MIN_POSITION,
    PAGE_SIZE,
    Parameter,
    one_of,
    whole,
)
from asset_ledger.api.contract.strict_json import read_number, read_object
from asset_ledger.ledger.content.store import Staged
from asset_ledger.ledger.domain.checks import lower_media_type
from asset_ledger.ledger.domain.decisions import NewAsset
from asset_ledger.ledger.domain.event import parse_time
from asset_ledger.ledger.errors import DigestMismatchError, FieldError, MalformedBodyError
from asset_ledger.ledger.ids import AssetId, Digest, parse_asset_id, parse_digest

SHAPE: Final = 3
"""Part of an asset's ETag: increase it when the JSON of the same version changes."""


class AssetIn(StrictModel):
    """The fields of a new asset. null means absent."""

    name: Annotated[str | None, Field(description="If absent, the name of the file.")] = None
    content_type: Annotated[str | None, Field(description="Detected if absent.")] = None
    workflow_id: str | None = None
    node_id: str | None = None
    job_id: str | None = None
    attempt: Annotated[
        int | None, Field(ge=1, le=MAX_POSITION, description="If absent, the job's last attempt.")
    ] = None
    parent_id: Annotated[str | None, Field(description="A folder; the user's id is home.")] = None
    metadata: Annotated[dict[str, Any] | None, Field(description="At most 32 KiB.")] = None
    tags: Annotated[Texts | None, Field(description="Unique; their order is kept.")] = None
    duration: Annotated[float | None, Field(description="Seconds.")] = None
    size: Annotated[int | None, Field(description="Must be the size of the bytes.")] = None
    digest: Annotated[str | None, Field(description="Must be the digest of the bytes.")] = None
    derived_from: Annotated[Texts | None, Field(description="Assets it was made from.")] = None
    made_at: Annotated[str | None, Field(description="When it was made, RFC 3339.")] = None


def read_fields(sent: Mapping[str, Any]) -> Fields:
    """Return the sent fields with checked types. Raises FieldsError, which names every fault."""
    return read_as(AssetIn, sent)


def new_asset(fields: Fields, content_type: str, user_id: str) -> NewAsset:
    """Return the new asset in checked fields. Raises FieldError for a malformed id or time."""
    given: Mapping[str, Any] = fields
    if "name" not in given:
        raise FieldError("name", "is required: no file with a name was sent")
    return NewAsset(
        name=given["name"],
        content_type=lower_media_type(content_type),
        workflow_id=given.get("workflow_id"),
        node_id=given.get("node_id"),
        job_id=given.get("job_id"),
        attempt=given.get("attempt"),
        parent_id=folder_of(given.get("parent_id"), user_id),
        metadata=given.get("metadata"),
        tags=given.get("tags", ()),
        duration=given.get("duration"),
        derived_from=[_asset_id("derived_from", text) for text in given.get("derived_from", ())],
        made_at=parse_field("made_at", parse_time, given["made_at"])
        if "made_at" in given
        else None,
    )


def check_announced(fields: Fields, staged: Staged | None) -> None:
    """Raise FieldError or DigestMismatchError if a sent size or digest is not that of the bytes."""
    size, digest = (staged.size, staged.digest) if staged else (0, None)
    announced: Mapping[str, Any] = fields
    if announced.get("size", size) != size:
        raise FieldError("size", f"is not the size of the file, which has {size:,} bytes")
    expected = announced_by(fields)
    if expected is None:
        return
    if digest is None:
        raise FieldError("digest", "has no bytes to check: send the content with it")
    check_digest(expected, digest)


def announced_by(fields: Fields) -> Digest | None:
    """Return the digest in the fields, or None. Raises FieldError for a malformed one."""
    given: Mapping[str, Any] = fields
    return parse_field("digest", parse_digest, given["digest"]) if "digest" in given else None


def check_digest(announced: Digest, arrived: Digest) -> None:
    """Raise DigestMismatchError unless these two are the same."""
    if announced != arrived:
        raise DigestMismatchError(
            f"the request announced {announced}, its bytes have {arrived}:"
            " send the bytes again, or correct the digest"
        )


def folder_of(text: str | None, user_id: str) -> AssetId | None:
    """Return the folder in `parent_id`; None is the home folder, whose id is the user's id."""
    return None if text is None or text == user_id else _asset_id("parent_id", text)


def _asset_id(field: str, text: str) -> AssetId:
    return parse_field(field, parse_asset_id, text)


def _metadata(text: str) -> dict[str, Any]:
    try:
        return read_object(text.encode(), "the text")
    except MalformedBodyError as error:
        raise ValueError(f"must be a JSON object: {error}") from error


FIELDS_IN_THE_QUERY: Final[Sequence[Parameter]] = (
    Parameter("name", "The asset's name."),
    Parameter("content_type", "Its media type; by default that of the request."),
    Parameter("workflow_id", "The workflow that made it."),
    Parameter("node_id", "The node that made it."),
    Parameter("job_id", "The job that made it."),
    Parameter("attempt", "The attempt of the job that made it.", ATTEMPT.parse),
    Parameter("parent_id", "The folder to put it into."),
    Parameter("metadata", "A JSON object.", _metadata),
    Parameter("tags", "One tag; may be repeated.", repeats=True),
    Parameter("duration", "Seconds.", read_number),
    Parameter("size", "Must be the size of the bytes.", whole(0, MAX_POSITION)),
    Parameter("digest", "Must be the digest of the bytes."),
    Parameter("derived_from", "An asset it was made from; may be repeated.", repeats=True),
    Parameter("made_at", "When it was made, RFC 3339."),
)
"""The same fields as query parameters, for a body that is the content itself."""

FIELDS_OF_ANY_BODY: Final = tuple(replace(each, described=False) for each in FIELDS_IN_THE_QUERY)
"""The same for an operation that also takes other bodies, which refuse them."""

FILTERS: Final[Sequence[Parameter]] = (
    Parameter("id", "One of these assets.", repeats=True),
    Parameter("workflow_id", "Made by this workflow.", repeats=True),
    Parameter("node_id", "Made by this node.", repeats=True),
    Parameter("job_id", "Made in this job.", repeats=True),
    Parameter("attempt", "Made in this attempt of its job.", repeats=True),
    Parameter("parent_id", "In this folder; empty means home.", repeats=True, may_be_empty=True),
    Parameter("content_type", "With a media type that starts with this.", repeats=True),
    Parameter("name", "With exactly this name.", repeats=True),
    Parameter("tag", "With this tag.", repeats=True),
    Parameter("digest", "With exactly these bytes.", repeats=True),
    Parameter("created_after", "Created at this time (RFC 3339) or later.", repeats=True),
    Parameter("created_before", "Created before this time (RFC 3339).", repeats=True),
    Parameter("size_min", "With at least this many bytes.", repeats=True),
    Parameter("size_max", "With at most this many bytes.", repeats=True),
    Parameter(
        "missing",
        "Without a job (or node, or workflow).",
        one_of(("workflow_id", "node_id", "job_id")),
        repeats=True,
    ),
)
"""An asset must match every filter, and one of the values of a repeated filter."""

SORT: Final = Parameter(
    "sort",
    "By age, name or size; a minus means descending.",
    one_of(("created_at", "-created_at", "name", "-name", "size", "-size")),
    default="created_at",
)
DELETED: Final = Parameter(
    "deleted", "Live assets, deleted ones, or both.", one_of(("false", "true", "any"))
)
COUNT: Final = Parameter("count", "Also return the number on all pages.", one_of(("exact",)))
QUERY: Final = Parameter("query", "Words that an asset must all contain, as in a search.")
LISTING: Final[Sequence[Parameter]] = (
    *FILTERS,
    QUERY,
    DELETED,
    SORT,
    PAGE_SIZE,
    CURSOR,
    COUNT,
    MIN_POSITION,
    AS_OF,
)

PURGE: Final = Parameter(
    "purge", "Also collect the bytes now; needs the scope admin.", one_of(("false", "true"))
)
