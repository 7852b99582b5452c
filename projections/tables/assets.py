"""The projection `assets`: one row for each asset, with its API JSON.

The JSON is stored in the row, so that reading serialises nothing. `document` alone makes it, for
rows and for assets that are folded from events.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import orjson

from asset_ledger.ledger.domain.asset import FOLDER, Asset, AssetCreated, changes_of, evolve
from asset_ledger.ledger.domain.event import Recorded, iso, moment, parse_time
from asset_ledger.ledger.ids import AssetId
from asset_ledger.ledger.log.codec import CanonicalJson
from asset_ledger.projections.migrations import Migration, load
from asset_ledger.projections.projection import Statement

_canonical: Final = CanonicalJson()


def canonical(value: Any) -> str:
    """Return JSON text with sorted keys: the same for a live event and for the stored event."""
    return _canonical.encode(value).decode()


def document(asset: Asset) -> dict[str, Any]:
    """Return the API document of an asset; a tombstone has two fields more.

    The SQL in `migrations/in_json.py` reads its first four fields by their places.
    """
    fields = {
        "id": asset.id,
        "created_at": iso(asset.created_at),
        "updated_at": iso(asset.updated_at),
        "digest": asset.digest,
        "user_id": asset.user_id,
        "workflow_id": asset.workflow_id,
        "parent_id": asset.parent_id or asset.user_id,
        "name": asset.name,
        "content_type": asset.content_type,
        "size": asset.size,
        "metadata": asset.metadata,
        "get_url": f"/api/assets/{asset.id}/content" if asset.digest else None,
        "thumb_url": _thumbnail_url(asset) if _has_thumbnail(asset) else None,
        "duration": None if asset.duration is None else float(asset.duration),
        "node_id": asset.node_id,
        "job_id": asset.job_id,
        "etag": f"v{asset.version}",
        "version": asset.version,
        "position": asset.position,
        "tags": list(asset.tags),
        "derived_from": list(asset.derived_from),
        "attempt": asset.attempt,
    }
    if asset.deleted_at is not None:
        fields |= {"deleted_at": iso(asset.deleted_at), "deleted_by": asset.deleted_by}
    return fields


def _thumbnail_url(asset: Asset) -> str:
    """Return an address whose picture never changes, so that clients may keep it."""
    return f"/api/assets/{asset.id}/thumbnail?version={asset.version}"


def home_document(user_id: str, since: datetime) -> dict[str, Any]:
    """Return the API document of the home folder: the root, which no event created."""
    home = Asset(
        id=AssetId(user_id),
        version=0,
        seq=0,
        position=0,
        user_id=user_id,
        workflow_id=None,
        node_id=None,
        job_id=None,
        parent_id=None,
        name="Home",
        content_type=FOLDER,
        size=0,
        digest=None,
        created_at=since,
        updated_at=since,
    )
    return document(home) | {"parent_id": ""}


_HAS_THUMBNAIL: Final = re.compile(
    r"(image)/(?:png|jpe?g|gif|webp|bmp|x-ms-bmp|tiff|avif)|(video)/.+"
)


@lru_cache(maxsize=256)
def thumbnail_kind(content_type: str) -> str | None:
    """Return `image` or `video`, or None if this content type has no thumbnails."""
    match = _HAS_THUMBNAIL.fullmatch(content_type.partition(";")[0].strip().lower())
    return match and (match[1] or match[2])


def _has_thumbnail(asset: Asset) -> bool:
    """Decide by the type alone: rows must not depend on the codecs of a server."""
    return asset.digest is not None and thumbnail_kind(asset.content_type) is not None


def document_json(asset: Asset) -> str:
    """Return `document` as JSON text. Equal assets give equal text."""
    fields = document(asset)
    if asset.metadata is not None:
        fields["metadata"] = orjson.Fragment(_canonical.encode(asset.metadata))
    return orjson.dumps(fields).decode()


COLUMNS: Final = (
    "seq", "user_id", "workflow_id", "node_id", "job_id", "parent_id", "name", "content_type",
    "size", "tags", "derived_from", "duration", "version", "position", "deleted_at", "deleted_by",
    "attempt",
)  # fmt: skip
"""The columns that store the fields of an `Asset`, in the order of `_row`."""

IN_JSON: Final = ("id", "digest", "metadata", "created_at", "updated_at")
"""The other fields, which are columns made from the JSON."""

_FIELDS: Final = (*COLUMNS, *IN_JSON)
_INSERT: Final = (
    f"INSERT INTO assets ({', '.join(COLUMNS)}, json)"
    f" VALUES ({', '.join('?' * (len(COLUMNS) + 1))})"
)


def _row(asset: Asset) -> tuple[Any, ...]:
    """Return the values of `COLUMNS` for a live asset."""
    return (
        asset.seq,
        asset.user_id,
        asset.workflow_id,
        asset.node_id,
        asset.job_id,
        asset.parent_id,
        asset.name,
        asset.content_type,
        asset.size,
        canonical(asset.tags) if asset.tags else "[]",
        canonical(asset.derived_from) if asset.derived_from else "[]",
        None if asset.duration is None else float(asset.duration),
        asset.version,
        asset.position,
        None,
        None,
        asset.attempt,
    )


_DECODERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "metadata": orjson.loads,
    "tags": orjson.loads,
    "derived_from": orjson.loads,
    "created_at": parse_time,
    "updated_at": parse_time,
    "deleted_at": parse_time,
}
_ENCODERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "metadata": canonical,
    "tags": canonical,
    "duration": float,
    "deleted_at": iso,
}


def _asset_json(*values: Any) -> str:
    """The SQL function `asset_json`: return the JSON of the asset with these `_FIELDS`."""
    fields = dict(zip(_FIELDS, values, strict=True))
    for name, decode in _DECODERS.items():
        if fields[name] is not None:
            fields[name] = decode(fields[name])
    return document_json(Asset(**fields))


class Assets:
    """The projection of assets."""

    name: Final = "assets"
    tables: Final = ("assets",)
    migrations: Final[Sequence[Migration]] = (
        load("20260101_000000_create_assets"),
        load("20260124_000000_add_node_job_fields_to_assets"),
    )
    functions: Final[Mapping[str, Callable[..., Any]]] = {"asset_json": _asset_json}
    settling: Final[Sequence[str]] = ()

    def statements(self, recorded: Recorded) -> Iterator[Statement]:
        """Insert the row of a new asset; for a later event, update the row with its JSON."""
        event = recorded.event
        if isinstance(event, AssetCreated):
            yield _insert(recorded, event)
        elif (changes := changes_of(event)) is not None:
            yield _update(recorded, changes)


def _insert(recorded: Recorded, event: AssetCreated) -> Statement:
    asset = evolve(None, recorded)
    if asset is None:
        raise ValueError("the event does not create an asset")
    return Statement(_INSERT, (*_row(asset), document_json(asset)), independent=True)


def _update(recorded: Recorded, changes: Mapping[str, Any]) -> Statement:
    event = recorded.event
    fields = {
        **{name: _encoded(name, value) for name, value in changes.items()},
        "version": event.originator_version,
        "position": recorded.position,
        "updated_at": iso(moment(event)),
    }
    made_of = ", ".join("?" if name in fields else name for name in _FIELDS)
    given = [fields[name] for name in _FIELDS if name in fields]
    stored = [name for name in COLUMNS if name in fields]
    setters = "".join(f", {name} = ?" for name in stored)
    sql = f"UPDATE assets SET json = asset_json({made_of}){setters} WHERE id = ?"
    return Statement(sql, (*given, *map(fields.__getitem__, stored), event.originator_id))


def _encoded(name: str, value: Any) -> Any:
    return _ENCODERS[name](value) if value is not None and name in _ENCODERS else value
