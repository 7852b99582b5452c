"""Send one message over HTTP, and say what became of it."""

import base64
import hmac
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Final, NamedTuple

import aiohttp

from asset_ledger.api.hooks.addresses import check_url, connector

TIMEOUT: Final = aiohttp.ClientTimeout(total=15.0)
"""Seconds from the connection to the head of the answer."""

_LONGEST_WAIT: Final = 3_600.0
_REFUSALS: Final = frozenset({400, 409, 413, 415, 422})


class Message(NamedTuple):
    """A body, and the id by which a receiver recognises a repetition."""

    id: str
    body: bytes


class Outcome(NamedTuple):
    """What became of an attempt: `problem` is None if the message arrived.

    `gone`: the receiver wants no more (410); `refused`: it will never take this message.
    `retry_after`: the seconds that it asks to wait.
    """

    problem: str | None
    gone: bool = False
    refused: bool = False
    retry_after: float = 0.0


class Sender:
    """Sends messages over connections of its own. For one event loop."""

    def __init__(self, *, private: bool) -> None:
        self._private = private
        self._opened: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._opened is not None:
            await self._opened.close()

    def _session(self) -> aiohttp.ClientSession:
        """Return the session, which the first message opens: most servers have no hook."""
        if self._opened is None:
            self._opened = aiohttp.ClientSession(
                connector=connector(private=self._private),
                timeout=TIMEOUT,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._opened

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Outcome:
        """Send a JSON body once."""
        sent = {"Content-Type": "application/json", "User-Agent": "asset-ledger", **headers}
        try:
            check_url(url, private=self._private)
            async with self._session().post(
                url, data=body, headers=sent, allow_redirects=False
            ) as answer:
                return _outcome(answer)
        except TimeoutError:
            return Outcome(f"no answer within {TIMEOUT.total:.0f} seconds")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Outcome(str(error) or type(error).__name__)


def signed(message: Message, secret: str, when: datetime) -> dict[str, str]:
    """Return the headers of a message (Standard Webhooks 1.0.0, symmetric signature)."""
    stamp = str(int(when.timestamp()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    text = f"{message.id}.{stamp}.".encode() + message.body
    signature = base64.b64encode(hmac.digest(key, text, sha256)).decode()
    return {
        "webhook-id": message.id,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{signature}",
    }


def _outcome(answer: aiohttp.ClientResponse) -> Outcome:
    status = answer.status
    if 200 <= status < 300:
        return Outcome(None)
    redirected = ", which is not followed" if 300 <= status < 400 else ""
    return Outcome(
        f"the answer is {status}{redirected}",
        gone=status == 410,
        refused=status in _REFUSALS,
        retry_after=_seconds(answer.headers.get("Retry-After", "")),
    )


def _seconds(text: str) -> float:
    return min(float(text), _LONGEST_WAIT) if text.isascii() and text.isdecimal() else 0.0
