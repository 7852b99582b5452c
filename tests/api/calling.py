"""Callers with tokens: several users of one server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asset_ledger.api.settings import Settings
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


def caller(api: Api, user_id: str = "alice", *scopes: str, **fields: Any) -> Caller:
    """Return a caller with a new token of these scopes; without scopes, of read and write."""
    sent = {"user_id": user_id, "scopes": list(scopes) or None, **fields}
    return Caller(api, api.backend.tokens.create(sent)["token"])


@asynccontextmanager
async def serving_with_tokens(data_dir: Path, **settings: Any) -> AsyncIterator[Api]:
    """Run a server with AUTH=tokens."""
    async with serving(Settings(data_dir=data_dir, auth="tokens", **settings)) as api:
        yield api
