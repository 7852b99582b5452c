"""`RetryPolicy`: retry calls after network failures and while the ledger is busy.

All attempts of a write send one Idempotency-Key, so that it is recorded once.
"""

import asyncio
import random
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from asset_ledger.api.contract.errors import RateLimitedError
from asset_ledger.api.contract.problems import problem_of
from asset_ledger.api.sdk.errors import UnreachableError
from asset_ledger.ledger.errors import UnavailableError

T = TypeVar("T")

TEMPORARY: Final = (UnavailableError, RateLimitedError)
"""Errors that a later attempt may not meet."""

MAX_RETRY_AFTER: Final = 60.0
"""Seconds. A longer Retry-After raises the error at once."""


def new_key() -> str:
    """Return a new Idempotency-Key."""
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The number of attempts, and the pauses: `first` seconds, then doubled, up to `most`."""

    attempts: int = 8
    first: float = 0.1
    most: float = 5.0
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def run(
        self,
        attempt: Callable[[], Awaitable[T]],
        *,
        useless: Callable[[int, Exception], bool] = lambda number, error: False,
    ) -> T:
        """Return the result of the first attempt that succeeds. Raises what the last one raised.

        `useless` returns whether attempt `number` (from 1), which raised `error`, is the last.
        """
        for number in range(1, self.attempts):
            try:
                return await attempt()
            except TEMPORARY as error:
                pause = self._pause(number, error)
                if pause is None or useless(number, error):
                    raise
            await self.sleep(pause)
        return await attempt()

    def _pause(self, number: int, error: UnavailableError | RateLimitedError) -> float | None:
        """Return the seconds until the next attempt, None if another attempt is useless."""
        # Random: clients that were refused together would otherwise return together.
        most = min(self.first * 2.0 ** (number - 1), self.most)
        backoff = random.uniform(most / 2, most)
        if isinstance(error, UnreachableError):
            return backoff
        seconds = getattr(error, "retry_after", None)  # set if the answer had the header
        if seconds is None:
            seconds = problem_of(error).retry_after
        return None if seconds is None or seconds > MAX_RETRY_AFTER else seconds + backoff


RETRIES: Final = RetryPolicy()
