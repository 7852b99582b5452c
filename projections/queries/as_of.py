"""Lists of assets as they were: the same words as for the table, asked of assets folded from events.

A page costs what it holds: it walks one tag of the log in the order of creation, and folds no
asset that is not on it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import orjson

from asset_ledger.ledger.domain.asset import Asset
from asset_ledger.ledger.errors import ParameterError
from asset_ledger.projections.queries.asset_query import Condition, conditions, lives
from asset_ledger.projections.queries.pages import Page, open_cursor, seal_cursor
from asset_ledger.projections.tables.assets import document_json

TAGS: Final[Mapping[str, Literal["job", "node", "workflow"]]] = {
    "job_id": "job",
    "node_id": "node",
    "workflow_id": "workflow",
}
"""The words of which a list as of a position needs one, the narrowest first."""


@dataclass(frozen=True, slots=True)
class PastQuery:
    """A request for a page, checked: which tag to walk, from where, and what is wanted of it."""

    kind: Literal["job", "node", "workflow"]
    value: str
    conditions: tuple[Condition, ...]
    after: int
    size: int
    lives: frozenset[bool]
    binding: bytes

    @classmethod
    def of(
        cls,
        user_id: str,
        words: Mapping[str, Sequence[str]],
        sort: str,
        size: int,
        cursor: str,
        deleted: str = "false",
    ) -> "PastQuery":
        """Check every part of a request. Raises ParameterError or CursorError."""
        if sort != "created_at":
            raise _refused("sort", "must be created_at where as_of is given")
        named = [word for word in TAGS if len(words.get(word, ())) == 1]
        if not named:
            raise _refused("as_of", f"needs one {' or '.join(TAGS)} to look for")
        wanted, shown = conditions(user_id, words), lives(deleted)
        binding = orjson.dumps(["as_of", user_id, wanted, sorted(shown)], default=tuple)
        after = open_cursor(cursor, binding) if cursor else 0
        return cls(TAGS[named[0]], words[named[0]][0], wanted, after, size, shown, binding)

    def matches(self, asset: Asset) -> bool:
        """Whether an asset, as it was, belongs on the list."""
        return asset.deleted in self.lives and all(
            condition.holds(asset) for condition in self.conditions
        )

    def page(self, found: Sequence[Asset], edge: int | None, position: int) -> Page:
        """The page of these assets, of which one beyond it may be there, else perhaps an edge."""
        shown = found[: self.size]
        after = shown[-1].seq if len(found) > self.size else edge
        following = "" if after is None else seal_cursor(after, self.binding)
        json = b",".join(document_json(asset).encode() for asset in shown)
        return Page(json, len(shown), following, position)


def _refused(word: str, message: str) -> ParameterError:
    return ParameterError(f"{word} {message}", errors=[(word, message)])
