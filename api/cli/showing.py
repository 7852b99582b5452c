"""Print lists of the API's documents: a table, tab-separated lines, or JSON.

A terminal gets a table, with sizes and times for people, that fits its width. A pipe gets one line
a document, without headings, with whole numbers and whole times: it is streamed.
"""

import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final, NamedTuple

import orjson
from rich.filesize import decimal

from asset_ledger.api.cli.options import Listing
from asset_ledger.api.cli.output import echo, echo_row
from asset_ledger.api.cli.tables import print_table
from asset_ledger.api.sdk.gateway import Document, Query

ON_A_TERMINAL: Final = 100
"""The number of documents that a table has without --limit."""

PAGE: Final = 1_000

Fetch = Callable[[Query], Awaitable[Document]]


class Column(NamedTuple):
    """A column: its heading, its value, and how a person reads the value."""

    heading: str
    value: Callable[[Document], Any]
    shown: Callable[[Any], str] = str


def column(name: str, heading: str | None = None, shown: Callable[[Any], str] = str) -> Column:
    """Return the column of a field."""
    return Column(heading or name, lambda document: document[name], shown)


def size(name: str) -> Column:
    """Return the column of a number of bytes."""
    return column(name, None, decimal)


def time(name: str, heading: str) -> Column:
    """Return the column of a time: for people in UTC, to the minute."""
    return column(name, heading, lambda text: str(text)[:16].replace("T", " "))


async def documents(
    fetch: Fetch, query: Query, name: str, listing: Listing
) -> AsyncGenerator[Document]:
    """Yield the documents of a list, read page by page. `name` is their key in a page.

    The first page is large enough to show that there are more than `listing` shows.
    """
    limit, cursor, more = _limit(listing), "", True
    size = PAGE if limit is None else min(PAGE, limit + 1)
    while more:
        page = await fetch([*query, ("page_size", str(size)), ("cursor", cursor)])
        for document in page[name]:
            yield document
        cursor = page["next"]
        more = bool(cursor)


async def show_list(
    found: AsyncGenerator[Document],
    name: str,
    columns: Sequence[Column],
    listing: Listing,
    beside: Mapping[str, Any] = {},
) -> None:
    """Print a list, and on standard error whether there is more. `beside` it are JSON fields."""
    first, limit = _First(found, _limit(listing)), _limit(listing)
    async with aclosing(found):
        if listing.ndjson:
            async for document in first:
                echo(orjson.dumps(document))
        elif listing.as_json:
            listed = [document async for document in first]
            echo(orjson.dumps({**beside, name: listed, "more": first.more}))
        elif sys.stdout.isatty():
            rows = [_row(document, columns) async for document in first]
            print_table(None, [each.heading for each in columns], rows)
        else:
            async for document in first:
                echo_row(each.value(document) for each in columns)
    if first.more:
        echo(f"there are more than {limit:,}: --limit prints more", err=True)


def echo_fields(document: Document) -> None:
    """Print the fields of a document that have a value, one a line."""
    width = max(map(len, document))
    for name, value in document.items():
        if value not in (None, [], {}):
            text = value if isinstance(value, str) else orjson.dumps(value).decode()
            echo(f"{name:<{width}}  {text}")


class _First:
    """The first documents of a list. `more` is known at the end."""

    def __init__(self, found: AsyncGenerator[Document], limit: int | None) -> None:
        self._found, self._limit = found, limit
        self.more = False

    async def __aiter__(self) -> AsyncGenerator[Document]:
        number = 0
        async for document in self._found:
            if number == self._limit:
                self.more = True
                return
            yield document
            number += 1


def _limit(listing: Listing) -> int | None:
    """Return how many documents to print: None for all."""
    on_a_terminal = not (listing.as_json or listing.ndjson) and sys.stdout.isatty()
    return ON_A_TERMINAL if listing.limit is None and on_a_terminal else listing.limit


def _row(document: Document, columns: Sequence[Column]) -> list[str | None]:
    values = ((each, each.value(document)) for each in columns)
    return [None if value is None else each.shown(value) for each, value in values]
