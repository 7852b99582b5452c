"""A token, a JWT or a session that expires ends what its requests receive, within five seconds."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from asset_ledger.api.http.jwt import LEEWAY
from asset_ledger.ledger.domain.event import iso
from tests.api.calling import Caller, caller, serving_with_tokens
from tests.api.http.test_connections import closed, get, sending
from tests.api.http.test_jwt import keyed, signed
from tests.api.http.test_session import cookie_of, sign_in
from tests.api.running import Api, serving

SOON = timedelta(seconds=3)
"""Long enough for the heads of two answers, on a busy machine too."""


@pytest.mark.parametrize("kind", ["token", "JWT", "session"])
@pytest.mark.slow
async def test_what_expires_ends_a_stream_and_a_download(opened_data_dir: Path, kind: str) -> None:
    async with serving_alice(opened_data_dir, kind) as alice, AsyncExitStack() as stack:
        big = await alice.created(b"x" * 30_000_000)
        until = (datetime.now(UTC) + SOON).replace(microsecond=0)  # a JWT has whole seconds
        header = await header_until(alice.api, kind, until)
        for path in ("/api/events/stream", f"/api/assets/{big['id']}/content"):
            request = get(path, None, header)
            reader = await stack.enter_async_context(sending(alice.api, request))
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        await closed(alice.api, "revoked", 2)
        late = datetime.now(UTC) - until

    assert timedelta(0) <= late < timedelta(seconds=5)


@asynccontextmanager
async def serving_alice(data_dir: Path, kind: str) -> AsyncIterator[Caller]:
    """Run a server, and yield a caller whose token does not expire."""
    if kind == "JWT":
        async with serving(keyed("HS256", data_dir=data_dir)) as api:
            yield Caller(api, signed("HS256"))
    else:
        async with serving_with_tokens(data_dir) as api:
            yield caller(api, "alice")


async def header_until(api: Api, kind: str, until: datetime) -> str:
    """Return the header of a credential of alice that is valid until then."""
    if kind == "JWT":
        text = signed("HS256", exp=until - timedelta(seconds=LEEWAY))
        return f"Authorization: Bearer {text}"
    made = await api.backend.tokens.create("1", {"user_id": "alice", "expires_at": iso(until)})
    if kind == "session":
        return f"Cookie: {cookie_of(await sign_in(api, made['token']))}"
    return f"Authorization: Bearer {made['token']}"
