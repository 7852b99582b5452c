"""What a notebook shows: tables of records, with thumbnails inside the page.

Promise: every value is escaped, and the size of a page is bounded. Thumbnails that cannot be read
here or now are left out.
"""

import asyncio
from base64 import b64encode
from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from typing import Any, Final

from asset_ledger.api.sdk.errors import EventLoopError
from asset_ledger.api.sdk.portal import run
from asset_ledger.api.sdk.snapshot import Values, value_fields, values_of
from asset_ledger.ledger.errors import LedgerError

ROWS: Final = 50
"""Rows of a table, and thumbnails in it, at most."""

TEXT: Final = 200
"""Characters of one value, at most."""

PREVIEW: Final = 64 * 1024
"""Bytes of one thumbnail, at most."""

SIDE: Final = 160
"""Pixels a side of a thumbnail, at most."""

PATIENCE: Final = 5.0
"""Seconds to wait for the thumbnails of a table."""


def previews(assets: Iterable[Any]) -> dict[str, str]:
    """Return the thumbnails of assets as `data:` URIs by asset id, without those that fail."""
    drawn = [each for each in assets if getattr(each, "thumb_url", None)][:ROWS]
    try:
        return run(_previews(drawn)) if drawn else {}
    except EventLoopError:
        return {}


async def _previews(assets: Sequence[Any]) -> dict[str, str]:
    reading = {asyncio.create_task(_preview(asset)): asset.id for asset in assets}
    done, late = await asyncio.wait(reading, timeout=PATIENCE)
    for each in late:
        each.cancel()
    return {reading[each]: uri for each in done if (uri := each.result())}


async def _preview(asset: Any) -> str:
    try:
        picture = await asset.gateway.thumbnail(asset.id, asset.version, SIDE)
    except LedgerError:
        return ""
    is_small = len(picture) <= PREVIEW
    return f"data:image/webp;base64,{b64encode(picture).decode()}" if is_small else ""


def record_html(record: Values, preview: str | None = None) -> str:
    """Return one record as a table of names and values."""
    rows = [(_cell(name), _cell(value)) for name, value in values_of(record).items() if value]
    return _image(preview) + _table((), rows, len(rows))


def listing_html(records: Sequence[Values], kind: type[Values]) -> str:
    """Return records as a table with a column for each field, and the thumbnails of assets."""
    names = kind.COLUMNS or tuple(each.name for each in value_fields(kind))
    shown = records[:ROWS]
    rows = [[_cell(getattr(each, name)) for name in names] for each in shown]
    if pictures := previews(shown):
        names = ("", *names)
        drawn = (_image(pictures.get(getattr(each, "id", ""))) for each in shown)
        rows = [[picture, *row] for picture, row in zip(drawn, rows, strict=True)]
    return _table(names, rows, len(records))


def comparison_html(comparison: Any) -> str:
    """Return a comparison of two jobs as a table with the thumbnails of both."""
    shown = comparison.rows[:ROWS]
    pictures = previews(asset for row in shown[: ROWS // 2] for asset in (row.a, row.b))
    rows = (
        [
            *map(_cell, (row.node_id, row.name, row.status)),
            *(_image(pictures.get(asset.id)) if asset else "" for asset in (row.a, row.b)),
        ]
        for row in shown
    )
    counted = ", ".join(f"{number} {status}" for status, number in comparison.counts.items())
    named = f"{comparison.a} and {comparison.b}: {counted}"
    head = ("node_id", "name", "status", comparison.a, comparison.b)
    return f"<p>{_cell(named)}</p>{_table(head, rows, len(comparison.rows))}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], count: int) -> str:
    """Return a table of cells that are HTML, below a head of texts."""
    names = "".join(f"<th>{_cell(name)}</th>" for name in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    rest = f"<p>and {count - ROWS:,} more</p>" if count > ROWS else ""
    return f"<table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table>{rest}"


def _cell(value: Any) -> str:
    """Return a value as HTML."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        value = value.isoformat(" ", "seconds")
    elif isinstance(value, int) and not isinstance(value, bool):
        value = f"{value:,}"
    text = str(value)
    return escape(text if len(text) <= TEXT else text[: TEXT - 1] + "…")


def _image(uri: str | None) -> str:
    return f'<img src="{escape(uri)}" style="max-width: {SIDE}px">' if uri else ""
