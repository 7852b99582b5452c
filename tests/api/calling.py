"""Callers with tokens: several users of one server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from secrets import token_hex, token_urlsafe
from typing import Any

from asset_ledger.api.settings import Settings
from asset_ledger.ledger.domain.ledger import TokenCreated, TokenRevoked
from tests.api.running import FORM, Answer, Api, form, serving

ALL = ("read", "write", "audit", "admin")


@dataclass(frozen=True)
class Caller:
    """A client of a running server, with the token of a user, or with None."""

    api: Api
    token: str | None

    async def call(self, method: str, path: str, **options: Any) -> Answer:
        own = {"Authorization": f"Bearer {self.token}"} if self.token is not None else {}
        options["headers"] = {**own, **options.get("headers", {})}
        return await self.api.call(method, path, **options)

    async def get(self, path: str) -> Answer:
        return await self.call("GET", path)

    async def created(self, content: bytes | None = b"content", **fields: Any) -> Any:
        """Upload an asset and return its JSON."""
        body = form(content, {"name": "named", **fields})
        answer = await self.call("POST", "/api/assets", data=body, headers=FORM)
        assert answer.status == 201, answer.body
        return answer.json


def caller(api: Api, user_id: str = "alice", *scopes: str) -> Caller:
    """Return a caller with a new token of these scopes; without scopes, of read and write.

    The token is valid until the server stops, and is no event: tests count events.
    """
    token_id, secret = token_hex(6), token_urlsafe(32)
    text = f"alt_{token_id}_{secret}"
    api.backend.tokens.learn(
        TokenCreated(
            originator_id="0" * 32,
            originator_version=1,
            by="test",
            recorded_at=datetime.now(UTC),
            token_id=token_id,
            hash=sha256(text.encode()).hexdigest(),
            owner=user_id,
            scopes=scopes or ("read", "write"),
        )
    )
    return Caller(api, text)


def revoke(api: Api, token: str) -> None:
    """Revoke a token of `caller`."""
    api.backend.tokens.learn(
        TokenRevoked(
            originator_id="0" * 32,
            originator_version=2,
            by="test",
            recorded_at=datetime.now(UTC),
            token_id=token.split("_")[1],
        )
    )


@asynccontextmanager
async def serving_with_tokens(data_dir: Path, **settings: Any) -> AsyncIterator[Api]:
    """Run a server with AUTH=tokens."""
    async with serving(Settings(data_dir=data_dir, auth="tokens", **settings)) as api:
        yield api
