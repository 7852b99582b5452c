"""Callers with tokens: one server, several users."""

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
    """Somebody with a token (or without: None), at a running server."""

    api: Api
    token: str | None

    async def call(self, method: str, path: str, **options: Any) -> Answer:
        given = {"Authorization": f"Bearer {self.token}"} if self.token is not None else {}
        options["headers"] = {**given, **options.get("headers", {})}
        return await self.api.call(method, path, **options)

    async def get(self, path: str) -> Answer:
        return await self.call("GET", path)

    async def created(self, content: bytes | None = b"content", **fields: Any) -> Any:
        body = form(content, {"name": "named", **fields})
        answer = await self.call("POST", "/api/assets", data=body, headers=FORM)
        assert answer.status == 201, answer.body
        return answer.json


def caller(api: Api, user_id: str = "alice", *scopes: str, **fields: Any) -> Caller:
    """Somebody with a new token of these scopes (read and write, if none is named)."""
    sent = {"user_id": user_id, "scopes": list(scopes) or None, **fields}
    return Caller(api, api.backend.tokens.create(sent)["token"])


@asynccontextmanager
async def serving_with_tokens(data_dir: Path, **settings: Any) -> AsyncIterator[Api]:
    async with serving(Settings(data_dir=data_dir, auth="tokens", **settings)) as api:
        yield api
