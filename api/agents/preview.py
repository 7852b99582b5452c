"""The tool `preview`: an asset with a small picture of it, or with the first lines of its text."""

from contextlib import aclosing
from typing import Any, Final, NamedTuple

from asset_ledger.api.agents.answers import asset_row, chosen, packed
from asset_ledger.api.agents.arguments import PreviewArguments
from asset_ledger.api.agents.tools import Access
from asset_ledger.api.sdk.gateway import Document
from asset_ledger.ledger.errors import LedgerError

MAX_PICTURE: Final = 65_536
"""Bytes of a picture."""

SIDES: Final = (512, 320, 160)
"""Pixels of its longer side: the first that is small enough."""

HEAD: Final = 3_000
"""Bytes of a text."""

_PICTURES: Final = ("image/", "video/", "audio/", "font/")


class Shown(NamedTuple):
    """The JSON of an asset, and its picture as a WebP, if there is one."""

    json: str
    picture: bytes | None = None


async def preview(access: Access, given: PreviewArguments) -> Shown:
    """Return an asset with its picture or the head of its text."""
    asset = await access.gateway.find(given.asset_id)
    about = asset_row(asset) | chosen(asset, ["digest", "duration"])
    about |= chosen(asset, ["metadata"], 1_000)
    shown: dict[str, Any] = {"asset": about, **access.link(f"/?open={asset['id']}")}
    if access.console and asset["get_url"]:
        shown |= {"content": f"{access.console}{asset['get_url']}"}
    if asset["thumb_url"]:
        return await _pictured(access, asset, shown)
    if asset["digest"] and not asset["content_type"].startswith(_PICTURES):
        shown |= await _head(access, asset)
    return Shown(packed(shown))


async def _pictured(access: Access, asset: Document, shown: dict[str, Any]) -> Shown:
    try:
        for side in SIDES:
            picture = await access.gateway.thumbnail(asset["id"], asset["version"], side)
            if len(picture) <= MAX_PICTURE:
                return Shown(packed(shown), picture)
    except LedgerError as error:
        return Shown(packed({**shown, "no_picture": str(error)}))
    return Shown(packed({**shown, "no_picture": f"it has more than {MAX_PICTURE:,} bytes"}))


async def _head(access: Access, asset: Document) -> dict[str, Any]:
    """Return the head of a text as a field; nothing if the bytes are no text."""
    head, content = bytearray(), access.gateway.chunks(asset["id"], asset["version"])
    async with aclosing(content):
        async for piece in content:
            head += piece[: HEAD + 1]
            if len(head) > HEAD:
                break
    text = _text(bytes(head))
    if text is None:
        return {}
    return {"text": text, "text_is_cut": len(head) > HEAD}


def _text(head: bytes) -> str | None:
    """Return the whole lines of UTF-8 in the first bytes; None if they are something else."""
    if len(head) > HEAD:
        head = head[:HEAD]
        head = head[: head.rfind(b"\n") + 1] or head
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # not only a character that was cut
            return None
        text = head[: error.start].decode()
    return None if "\0" in text else text
