"""Answers that hold several assets: the comparison of two jobs, and the lineage of an asset."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, NamedTuple, Self, TypeVar

from asset_ledger.api.sdk.gateway import Document, Query
from asset_ledger.api.sdk.html import comparison_html
from asset_ledger.api.sdk.listing import Listing
from asset_ledger.api.sdk.record import AssetRecord
from asset_ledger.api.sdk.snapshot import Values

A = TypeVar("A", bound=AssetRecord)


@dataclass(frozen=True, kw_only=True)
class ComparedAssets(Values, Generic[A]):
    """The nth asset with one name that a node made in two jobs: `a` and `b`, None if absent."""

    node_id: str | None
    name: str
    nth: int
    status: Literal["same", "different", "only_a", "only_b"]
    a: A | None
    b: A | None

    def __repr__(self) -> str:
        return f"<ComparedAssets {self.node_id!r} {self.name!r} {self.status}>"


@dataclass(frozen=True, kw_only=True)
class Comparison(Values, Generic[A]):
    """The live assets of two jobs, by node and name. `counts` has the rows of each status.

    `attempt_a` and `attempt_b` are the compared attempts. `first_divergence` is the first row that
    is not `same`, None if all are.
    """

    a: str
    b: str
    attempt_a: int
    attempt_b: int
    counts: Mapping[str, int]
    rows: Listing[ComparedAssets[A]]

    def __repr__(self) -> str:
        counts = ", ".join(f"{number:,} {status}" for status, number in self.counts.items())
        return f"<{type(self).__name__} {self.a!r} {self.b!r}: {counts}>"

    def _repr_html_(self) -> str:
        return comparison_html(self)

    @property
    def first_divergence(self) -> ComparedAssets[A] | None:
        """The first row that is not `same`."""
        return next((row for row in self.rows if row.status != "same"), None)

    @classmethod
    def of(cls, document: Document, asset: Callable[[Document], A]) -> Self:
        """Return the comparison of a document. `asset` makes its assets."""
        given = {name: document[name] for name in ("a", "b", "attempt_a", "attempt_b", "counts")}
        rows = Listing(ComparedAssets, (_row(row, asset) for row in document["rows"]))
        return cls(**given, rows=rows)


async def whole_comparison(page: Callable[[Query], Awaitable[Document]]) -> Document:
    """Return a comparison with the rows of all pages. `page` takes the query of one."""
    rows, cursor, document = [], "", None
    while document is None or cursor:
        found = await page([("page_size", "1000"), ("cursor", cursor)])
        document = document or found
        rows += found["rows"]
        cursor = found["next"]
    return {**document, "rows": rows, "next": ""}


class Edge(NamedTuple):
    """The asset `derived` names the asset `source` in its `derived_from`."""

    source: str
    derived: str


@dataclass(frozen=True, kw_only=True)
class Lineage(Values, Generic[A]):
    """What an asset was made from, and what was made from it. `root` is its id.

    `assets` has the root and deleted assets too. `truncated`: there are more assets.
    """

    root: str
    assets: Listing[A]
    edges: Sequence[Edge]
    truncated: bool

    def __repr__(self) -> str:
        counts = f"{len(self.assets):,} assets, {len(self.edges):,} edges"
        return f"<{type(self).__name__} {self.root} {counts}>"

    @classmethod
    def of(cls, document: Document, asset: Callable[[Document], A]) -> Self:
        """Return the lineage of a document. `asset` makes its assets."""
        assets = tuple(map(asset, document["nodes"]))  # the root is always among them
        return cls(
            root=document["root"],
            assets=Listing(type(assets[0]), assets),
            edges=tuple(Edge(each["from"], each["to"]) for each in document["edges"]),
            truncated=document["truncated"],
        )


def _row(row: Document, asset: Callable[[Document], A]) -> ComparedAssets[A]:
    known = {name: row[name] for name in ("node_id", "name", "nth", "status")}
    a, b = (None if row[name] is None else asset(row[name]) for name in ("a", "b"))
    return ComparedAssets(**known, a=a, b=b)
