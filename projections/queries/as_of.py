"""Lists of assets as of a position: the same filters, applied to assets folded from events.

A list walks one tag of the log (a job, a node or a workflow) in the order of creation, from the
position of its cursor.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import orjson

from asset_ledger.ledger.domain.asset import Asset
from asset_ledger.ledger.errors import ParameterError
from asset_ledger.projections.queries.asset_query import Condition, conditions, deleted_states
from asset_ledger.projections.queries.pages import Page, open_cursor, seal_cursor
from asset_ledger.projections.tables.assets import document_json

TAGS: Final[Mapping[str, Literal["job", "node", "workflow"]]] = {
    "job_id": "job",
    "node_id": "node",
    "workflow_id": "workflow",
}
"""The filters of which a list as of a position needs one, with their tags, narrowest first."""


@dataclass(frozen=True, slots=True)
class PastQuery:
    """A checked request for a page: the tag to walk, the position to start after, the filters."""

    kind: Literal["job", "node", "workflow"]
    value: str
    conditions: tuple[Condition, ...]
    after: int
    size: int
    deleted_states: frozenset[bool]
    binding: bytes

    @classmethod
    def of(
        cls,
        user_id: str,
        filters: Mapping[str, Sequence[str]],
        sort: str,
        size: int,
        cursor: str,
        deleted: str = "false",
    ) -> "PastQuery":
        """Check all parts of a request. Raises ParameterError or CursorError."""
        if sort != "created_at":
            raise _refused("sort", "must be created_at where as_of is given")
        tags = [name for name in TAGS if len(filters.get(name, ())) == 1]
        if not tags:
            raise _refused("as_of", f"needs a filter with one {' or '.join(TAGS)}")
        tests, shown = conditions(user_id, filters), deleted_states(deleted)
        binding = orjson.dumps(["as_of", user_id, tests, sorted(shown)], default=tuple)
        after = open_cursor(cursor, binding) if cursor else 0
        return cls(TAGS[tags[0]], filters[tags[0]][0], tests, after, size, shown, binding)

    def matches(self, asset: Asset) -> bool:
        """Return whether an asset, as it was, is on the list."""
        return asset.deleted in self.deleted_states and all(
            condition.holds(asset) for condition in self.conditions
        )

    def page(self, found: Sequence[Asset], edge: int | None, position: int) -> Page:
        """Return the page of up to `size + 1` assets. `edge`: where a walk stopped early, if so."""
        shown = found[: self.size]
        after = shown[-1].seq if len(found) > self.size else edge
        following = "" if after is None else seal_cursor(after, self.binding)
        json = b",\n".join(document_json(asset).encode() for asset in shown)
        return Page(json, len(shown), following, position)


def _refused(name: str, message: str) -> ParameterError:
    return ParameterError(f"{name} {message}", errors=[(name, message)])
