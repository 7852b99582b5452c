"""The keys that an OpenID issuer publishes at an https address, fetched again and again.

Promise: a fetch never blocks the event loop, and requests with known keys never wait for one. Keys
that the issuer has removed are dropped at the next fetch, and all of them after a day without one.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any, Final

import aiohttp
import orjson

from asset_ledger.api.contract.errors import KeysUnavailableError, TokenKeyError
from asset_ledger.api.http.jwt_keys import JwtKey, keys_of_set
from asset_ledger.api.settings import is_address

REFRESH: Final = 600.0
"""Seconds between two fetches."""
RETRY: Final = 15.0
"""Seconds after a failed fetch, and between two fetches for tokens with an unknown key."""
LONGEST: Final = 86_400.0
"""Seconds after which keys are dropped that could not be fetched again."""
TIMEOUT: Final = aiohttp.ClientTimeout(total=10.0)
LARGEST: Final = 1 << 20
"""Bytes of a key set at most."""

_CONFIGURATION: Final = "/.well-known/openid-configuration"

logger = logging.getLogger(__name__)


class KeyAddress:
    """The keys at an address; or those of an issuer, whose configuration has their address.

    `problem`: why the last fetch failed; None if it worked.
    """

    def __init__(self, address: str | None, issuer: str | None) -> None:
        self._address, self._issuer = address, issuer
        self._keys: Sequence[JwtKey] = ()
        self._body = b""
        self._tried = self._fetched = float("-inf")
        self._one = asyncio.Lock()
        self.problem: str | None = "they were not fetched yet"

    def keys(self) -> Sequence[JwtKey]:
        """Return the keys of the last fetch; none after a day without one."""
        return self._keys if self.age < LONGEST else ()

    @property
    def age(self) -> float:
        """Seconds since the last fetch that worked; infinite before the first one."""
        return time.monotonic() - self._fetched

    async def run(self) -> None:
        """Fetch at once, and again every ten minutes, until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(REFRESH if self.problem is None else RETRY)

    async def refresh(self) -> bool:
        """Fetch, unless a fetch ended a short while ago. Return whether the keys changed.

        Callers at the same time share one fetch.
        """
        body, tried = self._body, self._tried
        async with self._one:
            if self._tried == tried and time.monotonic() - tried >= RETRY:
                await self._fetch()
                self._tried = time.monotonic()
        return self._body != body

    def check(self) -> None:
        """Raise KeysUnavailableError if there is no key to verify tokens with."""
        if not self.keys():
            raise KeysUnavailableError(f"the keys of the issuer cannot be fetched: {self.problem}")

    async def _fetch(self) -> None:
        where = self._address or self._issuer
        try:
            async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
                where = self._address or await _discover(session, self._issuer or "")
                body = await _get(session, where)
            keys = keys_of_set(body, where, secrets=False)
        except (aiohttp.ClientError, OSError, ValueError, TokenKeyError) as error:
            self.problem = f"{where}: {str(error) or type(error).__name__}"
            logger.error("the keys of JWTs were not fetched: %s", self.problem)
            return
        if body != self._body:
            logger.info("fetched %d keys from %s", len(keys), where)
        self._keys, self._body, self.problem = keys, body, None
        self._fetched = time.monotonic()


async def _discover(session: aiohttp.ClientSession, issuer: str) -> str:
    """Return the address of an issuer's keys (OpenID Connect Discovery 1.0, section 4)."""
    body = await _get(session, issuer.rstrip("/") + _CONFIGURATION)
    found: Any = orjson.loads(body)
    if not isinstance(found, dict) or found.get("issuer") != issuer:
        raise TokenKeyError("its configuration names another issuer: set jwt_issuer to that one")
    address = found.get("jwks_uri")
    if not isinstance(address, str) or not is_address(address):
        raise TokenKeyError("its configuration has no jwks_uri that begins with https://")
    return address


async def _get(session: aiohttp.ClientSession, address: str) -> bytes:
    async with session.get(address, allow_redirects=False) as answer:
        if answer.status != 200:
            raise TokenKeyError(f"the answer is {answer.status} {answer.reason}")
        body = b""
        async for piece in answer.content.iter_any():
            body += piece
            if len(body) > LARGEST:
                raise TokenKeyError("the answer is larger than 1 MiB")
        return body
