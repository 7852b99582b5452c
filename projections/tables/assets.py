"""The table of assets: what each event changes in it, and the JSON that each of its rows holds.

Every row holds the API's JSON of its asset, so that reading serialises nothing. `document` is the
only maker of that JSON: for rows, and for answers that a write folds from the events.
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
    """JSON text with sorted keys: live events and those read back from the log give the same."""
    return _canonical.encode(value).decode()


def document(asset: Asset) -> dict[str, Any]:
    """The asset as the API answers it: NodeTool's fifteen fields, then ours.

    A tombstone, as lists show it that are asked for them, has two more.
    """
    fields = {
        "id": asset.id,
        "user_id": asset.user_id,
        "workflow_id": asset.workflow_id,
        "parent_id": asset.parent_id or asset.user_id,
        "name": asset.name,
        "content_type": asset.content_type,
        "size": asset.size,
        "metadata": asset.metadata,
        "created_at": iso(asset.created_at),
        "get_url": f"/api/assets/{asset.id}/content" if asset.digest else None,
        "thumb_url": f"/api/assets/{asset.id}/thumbnail" if _is_drawn(asset) else None,
        "duration": None if asset.duration is None else float(asset.duration),
        "node_id": asset.node_id,
        "job_id": asset.job_id,
        "etag": f"v{asset.version}",
        "digest": asset.digest,
        "version": asset.version,
        "position": asset.position,
        "updated_at": iso(asset.updated_at),
        "tags": list(asset.tags),
        "derived_from": list(asset.derived_from),
    }
    if asset.deleted_at is not None:
        fields |= {"deleted_at": iso(asset.deleted_at), "deleted_by": asset.deleted_by}
    return fields


def home_document(user_id: str, since: datetime) -> dict[str, Any]:
    """The folder that everything is in which is in no other: no event ever made it."""
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


_DRAWN: Final = re.compile(r"(image)/(?:png|jpe?g|gif|webp|bmp|x-ms-bmp|tiff|avif)|(video)/.+")


@lru_cache(maxsize=256)
def thumbnail_kind(content_type: str) -> str | None:
    """Whether a thumbnail shows an `image` or a `video`; None where there is none of this type."""
    drawn = _DRAWN.fullmatch(content_type.partition(";")[0].strip().lower())
    return drawn and (drawn[1] or drawn[2])


def _is_drawn(asset: Asset) -> bool:
    """By its type alone: a row is the same on a server that can draw no videos."""
    return asset.digest is not None and thumbnail_kind(asset.content_type) is not None


def document_json(asset: Asset) -> str:
    """`document` as JSON text: one text for one state, whichever way the state came about."""
    fields = document(asset)
    if asset.metadata is not None:
        fields["metadata"] = orjson.Fragment(_canonical.encode(asset.metadata))
    return orjson.dumps(fields).decode()


COLUMNS: Final = (
    "seq", "id", "user_id", "workflow_id", "node_id", "job_id", "parent_id", "name",
    "content_type", "size", "digest", "metadata", "tags", "derived_from", "duration", "version",
    "position", "created_at", "updated_at", "deleted_at", "deleted_by",
)  # fmt: skip
"""The columns that a state is made of, in the order of `_row`."""

_INSERT: Final = (
    f"INSERT INTO assets ({', '.join(COLUMNS)}, recorded_at, json)"
    f" VALUES ({', '.join('?' * (len(COLUMNS) + 2))})"
)
_REWRITE_JSON: Final = f"UPDATE assets SET json = asset_json({', '.join(COLUMNS)}) WHERE id = ?"


def _row(asset: Asset) -> tuple[Any, ...]:
    """The columns of a live asset."""
    return (
        asset.seq,
        asset.id,
        asset.user_id,
        asset.workflow_id,
        asset.node_id,
        asset.job_id,
        asset.parent_id,
        asset.name,
        asset.content_type,
        asset.size,
        asset.digest,
        None if asset.metadata is None else canonical(asset.metadata),
        canonical(asset.tags) if asset.tags else "[]",
        canonical(asset.derived_from) if asset.derived_from else "[]",
        None if asset.duration is None else float(asset.duration),
        asset.version,
        asset.position,
        iso(asset.created_at),
        iso(asset.updated_at),
        None,
        None,
    )


_RESTORE: Final[Mapping[str, Callable[[Any], Any]]] = {
    "metadata": orjson.loads,
    "tags": orjson.loads,
    "derived_from": orjson.loads,
    "created_at": parse_time,
    "updated_at": parse_time,
    "deleted_at": parse_time,
}
_STORE: Final[Mapping[str, Callable[[Any], Any]]] = {
    "metadata": canonical,
    "tags": canonical,
    "duration": float,
    "deleted_at": iso,
}


def _asset_json(*columns: Any) -> str:
    """The SQL function `asset_json`: the JSON of the state that a row's columns hold."""
    state = dict(zip(COLUMNS, columns, strict=True))
    for name, restore in _RESTORE.items():
        if state[name] is not None:
            state[name] = restore(state[name])
    return document_json(Asset(**state))


class Assets:
    """The projection."""

    name: Final = "assets"
    tables: Final = ("assets",)
    migrations: Final[Sequence[Migration]] = (
        load("20260101_000000_create_assets"),
        load("20260124_000000_add_node_job_fields_to_assets"),
    )
    functions: Final[Mapping[str, Callable[..., Any]]] = {"asset_json": _asset_json}
    settling: Final[Sequence[str]] = ()

    def statements(self, recorded: Recorded) -> Iterator[Statement]:
        """A row for a new asset; for a later event what it sets, and the JSON of the row anew."""
        event = recorded.event
        if isinstance(event, AssetCreated):
            yield _insert(recorded, event)
        elif (changes := changes_of(event)) is not None:
            yield from _update(recorded, changes)


def _insert(recorded: Recorded, event: AssetCreated) -> Statement:
    asset = evolve(None, recorded)
    if asset is None:
        raise ValueError("a created event folds into an asset")
    row = (*_row(asset), iso(moment(event)), document_json(asset))
    return Statement(_INSERT, row, independent=True)


def _update(recorded: Recorded, changes: Mapping[str, Any]) -> Iterator[Statement]:
    event = recorded.event
    columns = {
        **{name: _stored(name, value) for name, value in changes.items()},
        "version": event.originator_version,
        "position": recorded.position,
        "updated_at": iso(moment(event)),
    }
    setters = ", ".join(f"{name} = ?" for name in columns)
    asset_id = event.originator_id
    yield Statement(f"UPDATE assets SET {setters} WHERE id = ?", (*columns.values(), asset_id))
    yield Statement(_REWRITE_JSON, (asset_id,))


def _stored(name: str, value: Any) -> Any:
    return _STORE[name](value) if value is not None and name in _STORE else value
