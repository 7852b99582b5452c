"""Asking again: what a network or a busy ledger spoils is asked for once more.

Promise: one call sends one Idempotency-Key with all its attempts, so that however often it is
asked, it is recorded once.
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
"""What waiting may help against."""

TOO_LONG: Final = 60.0
"""Seconds: whoever asks for more than this is not waited for."""


def new_key() -> str:
    """An Idempotency-Key that no other call has."""
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often to ask, and how long to wait: `first` seconds, twice that, up to `most`."""

    attempts: int = 8
    first: float = 0.1
    most: float = 5.0
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def run(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """The answer of the first attempt that gets one. Raises what the last of them raised."""
        for number in range(1, self.attempts):
            try:
                return await attempt()
            except TEMPORARY as error:
                pause = self._pause(number, error)
                if pause is None:
                    raise
            await self.sleep(pause)
        return await attempt()

    def _pause(self, number: int, error: UnavailableError | RateLimitedError) -> float | None:
        """Seconds until the next attempt; None where waiting does not help."""
        # Spread at random: those who were refused together would come back together.
        most = min(self.first * 2.0 ** (number - 1), self.most)
        backoff = random.uniform(most / 2, most)
        if isinstance(error, UnreachableError):
            return backoff
        asked = getattr(error, "retry_after", None)  # a problem document alone brings none
        if asked is None:
            asked = problem_of(error).retry_after
        return None if asked is None or asked > TOO_LONG else asked + backoff


DEFAULT_RETRIES: Final = RetryPolicy()
