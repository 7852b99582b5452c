"""Queries of users: those with assets in the totals of usage, and others that the caller knows."""

from collections.abc import Collection
from typing import Final, NamedTuple

import orjson

from asset_ledger.ledger.storage.database import AsyncReaders
from asset_ledger.projections.queries.pages import seal, unseal_values

_AFTER: Final = "user_id > ?1 AND user_id >= ?2 AND user_id < ?3"
_PAGE: Final = f"""
    WITH RECURSIVE had(user_id, number) AS (
        SELECT min(user_id), 1 FROM usage WHERE {_AFTER}
        UNION ALL
        SELECT (SELECT min(user_id) FROM usage WHERE user_id > had.user_id AND user_id < ?3),
            number + 1
        FROM had WHERE had.user_id IS NOT NULL AND number < ?4
    )
    SELECT listed.user_id, coalesce(sum(count), 0), coalesce(sum(bytes), 0) FROM (
        SELECT user_id FROM (
            SELECT user_id FROM had WHERE user_id IS NOT NULL
            UNION SELECT value FROM json_each(?5) WHERE value > ?1 AND value >= ?2 AND value < ?3
        ) ORDER BY user_id LIMIT ?4
    ) AS listed
        LEFT JOIN usage ON usage.user_id = listed.user_id AND dimension = 'content_type'
    GROUP BY listed.user_id ORDER BY listed.user_id
"""
_POSITION: Final = "SELECT position FROM positions WHERE projection = 'usage'"
_LAST: Final = "\U0010ffff"


class UserTotals(NamedTuple):
    """A user, and the count and bytes of its live assets."""

    user_id: str
    assets: int
    bytes: int


class UserPage(NamedTuple):
    """Users in the order of their ids, the cursor of the next page, and the position reflected."""

    users: list[UserTotals]
    next: str
    position: int


class UserQueries:
    """Queries of the users of a ledger."""

    def __init__(self, totals: AsyncReaders) -> None:
        self._totals = totals

    async def page(
        self, others: Collection[str], *, prefix: str, page_size: int, cursor: str
    ) -> UserPage:
        """Return the users with assets, and the `others`, whose ids have a prefix.

        Raises CursorError.
        """
        binding = orjson.dumps(["users", prefix])
        after = unseal_values(cursor, binding, (str,))[0] if cursor else ""
        known = orjson.dumps(sorted(others)).decode()
        ((position,),) = await self._totals.rows(_POSITION, (), brief=True)
        parameters = (after, prefix, prefix + _LAST, page_size + 1, known)
        rows = await self._totals.rows(_PAGE, parameters)
        users = [UserTotals(*row) for row in rows[:page_size]]
        more = len(rows) > page_size
        return UserPage(
            users, seal(orjson.dumps([users[-1].user_id]), binding) if more else "", position
        )
