"""Packs of which collection left little."""

from collections.abc import Mapping
from contextlib import closing
from typing import Final

from asset_ledger.ledger.content.packs import AHEAD, HEADER_SIZE, pack_numbers
from asset_ledger.ledger.storage.data_folder import ContentFolder
from asset_ledger.ledger.storage.sqlite import open_reader

FULL: Final = 0.5
"""The part of a pack's bytes that must belong to contents: else it is rewritten."""

_LIVE: Final = "SELECT pack, sum(size + ?) FROM contents GROUP BY pack"


def pack_sizes(files: ContentFolder) -> dict[int, int]:
    """Return the bytes of each pack."""
    return {number: files.pack(number).stat().st_size for number in pack_numbers(files)}


def sparse_packs(files: ContentFolder, sizes: Mapping[int, int] | None = None) -> list[int]:
    """Return the packs of which less than half, and not only the zeros ahead, is of contents.

    `sizes`: the bytes of each pack, by default those of the files.
    """
    with closing(open_reader(files.log)) as db:
        live = dict(db.execute(_LIVE, (HEADER_SIZE,)))
    return [
        number
        for number, size in (pack_sizes(files) if sizes is None else sizes).items()
        if live.get(number, 0) < FULL * size and size - live.get(number, 0) > AHEAD
    ]
