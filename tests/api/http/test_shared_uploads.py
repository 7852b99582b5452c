"""Uploads of a database that are changed, or cannot be read, just when a server needs them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from asset_ledger.api.s3 import shared_uploads
from asset_ledger.api.s3.errors import S3Error
from asset_ledger.api.settings import Settings
from asset_ledger.ledger.errors import StorageFailedError
from tests.api import running
from tests.api.http.test_servers import END, LARGE, until
from tests.api.http.test_uploads import append, created, head, metrics
from tests.api.running import Api, serving
from tests.postgres import Postgres

psycopg = pytest.importorskip("psycopg", reason="the extra postgresql is not installed")
pytestmark = pytest.mark.slow

EXPIRED = "asset_ledger_expired_uploads_total"
WAITING = """SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'"""


@pytest.fixture
def url(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield the address of the server's database."""
    from asset_ledger.api.database.engine import DatabaseEngine  # noqa: PLC0415 - an optional extra

    with postgres.database() as address:
        monkeypatch.setattr(running, "engine_for", lambda folder: DatabaseEngine(address, folder))
        yield address


@pytest.fixture
async def api(url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(settings(tmp_path, "first")) as opened:
        yield opened


def settings(tmp_path: Path, name: str, **others: Any) -> Settings:
    return Settings(data_dir=tmp_path / name, content_url=str(tmp_path / "store"), **others)


@asynccontextmanager
async def continued_elsewhere(url: str) -> AsyncIterator[None]:
    """Continue all uploads as another server does, while one that would remove them waits."""
    with psycopg.connect(url) as other, psycopg.connect(url, autocommit=True) as watch:

        async def waits() -> bool:
            return bool(watch.execute(WAITING).fetchone() == (1,))

        other.execute("SELECT id FROM ledger.uploads FOR UPDATE")
        yield
        await until(waits)
        other.execute("UPDATE ledger.uploads SET changed_at = changed_at + 3600")


async def test_upload_that_another_server_continues_at_its_expiry_stays_until_it_has_expired(
    api: Api, url: str, tmp_path: Path
) -> None:
    path = await created(api, 200_000)
    await append(api, path, 0, LARGE[:100_000])
    async with AsyncExitStack() as stack:
        hasty = settings(tmp_path, "second", upload_lifetime="1s")
        async with continued_elsewhere(url):
            second = await stack.enter_async_context(serving(hasty))

        found = await head(second, path)
        assert (found.status, found.headers["Upload-Offset"]) == (200, "100000")
        assert len(objects(tmp_path)) == 1
        assert f"{EXPIRED} 0.0" in await metrics(second)

        with psycopg.connect(url) as other:
            other.execute("UPDATE ledger.uploads SET changed_at = 0")
        await until(lambda: is_removed(second, tmp_path))
        assert f"{EXPIRED} 1.0" in await metrics(second)


def objects(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "store").rglob("*") if path.is_file()]


async def is_removed(api: Api, tmp_path: Path) -> bool:
    return api.backend.uploads.expired == 1 and objects(tmp_path) == []


async def test_multipart_upload_that_gets_a_part_while_it_is_removed_stays(
    api: Api, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_uploads, "LIFE", -1)
    parts: Any = api.backend.parts
    uploads = shared_uploads.SharedMultipartUploads(parts)
    upload_id = await uploads.begin("1", "bucket", "key", {})

    async with continued_elsewhere(url):
        removing = asyncio.create_task(uploads.remove_old())
    await removing

    assert [each.id for each in await uploads.all()] == [upload_id]


async def test_part_is_invalid_once_it_was_replaced_but_not_while_the_database_is_away(
    api: Api, url: str, postgres: Postgres
) -> None:
    shared: Any = api.backend.parts
    uploads = shared_uploads.SharedMultipartUploads(shared)
    named = ("1", "bucket", "key")
    upload = await uploads.find(await uploads.begin(*named, {}), *named)
    for number, size in enumerate((10, 100_000), 1):
        await keep(api, uploads, upload, number, LARGE[:size])
    sent = await uploads.parts(upload)

    name = url.removeprefix("postgresql:///").partition("?")[0]
    postgres.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    postgres.execute(END.format(name))
    with pytest.raises(StorageFailedError, match="the database cannot be reached"):
        await content(uploads, upload, sent[0])
    postgres.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    assert [await content(uploads, upload, each) for each in sent] == [LARGE[:10], LARGE[:100_000]]
    for part in sent:
        await keep(api, uploads, upload, part.number, b"other")
        with pytest.raises(S3Error, match=f"part {part.number} was replaced meanwhile"):
            await content(uploads, upload, part)


async def keep(api: Api, uploads: Any, upload: Any, number: int, content: bytes) -> None:
    """Receive a part."""
    stage = uploads.stage(api.backend.ledger.contents)
    await stage.write(content)
    await uploads.keep(upload, number, await stage.finish())


async def content(uploads: Any, upload: Any, part: Any) -> bytes:
    return b"".join([piece async for piece in uploads.read(upload, part)])
