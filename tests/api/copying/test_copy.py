"""`asset-ledger copy`: a whole ledger to a folder, to a database and back, byte for byte."""

import asyncio
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from asset_ledger.api.cli import cli
from asset_ledger.api.engine import Engine, engine_of
from asset_ledger.api.settings import Settings
from asset_ledger.ledger.errors import LedgerError
from asset_ledger.ledger.storage.data_folder import DataFolder
from tests.api import running
from tests.api.imports.test_ledger import KEYED, LARGE, TABLES, command, fill, rows
from tests.api.running import Api, serving
from tests.journeys.server import run
from tests.postgres import Postgres
from tests.s3 import S3, serving_s3

psycopg = pytest.importorskip("psycopg", reason="the extra postgresql is not installed")

pytestmark = pytest.mark.slow  # each starts a real PostgreSQL

HOOK = {"url": "https://example.com/hook"}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with contents of either size, one of them collected, a token and a webhook."""
    data_dir = tmp_path_factory.mktemp("original") / "data"

    async def make() -> None:
        await fill(data_dir)
        async with serving(Settings(data_dir=data_dir)) as api:
            for content in (b"gone", b"gone" * 50_000):
                gone = await api.created(content, name="gone")
                await api.call("DELETE", f"/api/assets/{gone['id']}")
            everything = {"apply": True, "retain_deleted": "0"}
            done = await api.call("POST", "/api/collection", json=everything)
            assert done.json["count"] >= 2
            await api.created(b"gone" * 50_000, name="stored again")
            token = {"user_id": "1", "scopes": ["read"], "name": "n"}
            assert (await api.call("POST", "/api/tokens", json=token)).status == 201
            assert (await api.call("POST", "/api/hooks", json=HOOK)).status == 201
            await api.get("/api/log/checkpoint")

    asyncio.run(make())
    assert command("s3-key", "create", "--data-dir", data_dir).exit_code == 0
    return data_dir


@pytest.fixture
def url(postgres: Postgres) -> Iterator[str]:
    with postgres.database() as address:
        yield address


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with serving_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


def copied(source: str | Path, target: str | Path, *more: str | Path) -> Result:
    """Copy a ledger from a folder or a database to another one."""
    origin = "--database-url" if "://" in str(source) else "--data-dir"
    to = "--to-database" if "://" in str(target) else "--to-data-dir"
    arguments = ["copy", origin, source, to, target, *more]
    return CliRunner().invoke(cli, [str(each) for each in arguments], catch_exceptions=False)


def copy(source: str | Path, target: str | Path, *more: str | Path) -> Any:
    """Copy a ledger, and return the numbers."""
    done = copied(source, target, *more, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def refusal(*arguments: str | Path) -> str:
    """Return why a copy is refused."""
    done = CliRunner().invoke(cli, ["copy", *map(str, arguments)])
    assert isinstance(done.exception, LedgerError | SystemExit), done.exception
    return done.output if isinstance(done.exception, SystemExit) else str(done.exception)


async def everything(folder: Path, monkeypatch: pytest.MonkeyPatch, url: str | None) -> list[Any]:
    """Serve a ledger, and return what it answers, and the digests of its tables."""

    def engine(_: Path) -> Engine:
        return engine_of(folder, url)

    monkeypatch.setattr(running, "engine_for", engine)
    async with serving(Settings(data_dir=folder)) as api:
        await api.settled()
        return await answers(api)


async def answers(api: Api) -> list[Any]:
    found = (await api.get("/api/assets?sort=size")).json["assets"]
    retry = await api.upload(b"keyed", name="k", headers=KEYED)
    assert retry.headers["Idempotency-Replayed"] == "true"
    contents = [(await api.get(f"/api/assets/{each['id']}/content")).body for each in found]
    assert LARGE in contents
    paths = (
        *("/api/events?after=0&all=true", "/api/tokens", "/api/hooks", "/api/log/checkpoint"),
        *("/api/assets?deleted=any", "/api/jobs", "/api/jobs/j/history"),
        *("/api/assets/usage?group_by=node_id", "/api/assets/search?query=ag"),
    )
    got = [await api.get(path) for path in paths]
    assert [each.status for each in got] == [200] * len(paths), [each.body for each in got]
    return [
        contents,
        *(
            each.body if "checkpoint" in path else each.json
            for each, path in zip(got, paths, strict=True)
        ),
    ]


def digests(*where: str | Path) -> dict[str, str]:
    """Verify a ledger, and return the digest of each part of its tables."""
    done = command("verify", "--json", *where)
    assert done.exit_code == 0, done.output
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    names = ("assets", "usage", "search", "catalog")
    found = [each["digest"] for each in reports if each.get("digest")]
    return dict(zip(names, found, strict=False))


async def test_ledger_in_a_database_and_back_in_a_folder_is_the_same(
    original: Path, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, back = tmp_path / "first", tmp_path / "back"

    there = await asyncio.to_thread(copy, original, url, "--to-data-dir", first)
    again = await asyncio.to_thread(copy, url, back, "--data-dir", first)

    assert there["root"] == again["root"]
    assert there["findings"] == again["findings"] == 0
    assert there["has_key"] is again["has_key"] is True
    for table in (*TABLES, "collected"):
        assert rows(back, table) == rows(original, table), table
    expected = await everything(shutil.copytree(original, tmp_path / "o"), monkeypatch, None)
    assert await everything(first, monkeypatch, url) == expected
    assert await everything(back, monkeypatch, None) == expected
    made = await asyncio.to_thread(digests, "--data-dir", back)
    assert await asyncio.to_thread(digests, "--database-url", url, "--data-dir", first) == made
    for path in (first / "checkpoint.key", back / "checkpoint.key", back / "hooks.json"):
        assert path.stat().st_mode & 0o77 == 0
    assert (back / "s3-keys.json").read_bytes() == (original / "s3-keys.json").read_bytes()
    assert not (first / "ledger.db").exists()


async def test_large_contents_go_to_a_bucket_stay_there_and_come_back(
    original: Path,
    url: str,
    postgres: Postgres,
    s3: S3,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    bucket = ("--to-content", "s3://backups/large")
    with postgres.database() as other:
        there = await asyncio.to_thread(copy, original, url, *bucket)
        stayed = await asyncio.to_thread(copy, url, other, *bucket)
        back = await asyncio.to_thread(copy, other, tmp_path / "back")

        assert there["size"] == back["size"] > stayed["size"] + len(LARGE) > len(LARGE)
        assert objects(url) == objects(other)
        assert len(objects(url)) == 2
    origin = shutil.copytree(original, tmp_path / "o")
    expected = await everything(origin, monkeypatch, None)
    assert await everything(tmp_path / "served", monkeypatch, url) == expected
    assert await everything(tmp_path / "back", monkeypatch, None) == expected


def objects(url: str) -> list[Any]:
    with psycopg.connect(url) as db:
        return [*db.execute("SELECT digest, url, size FROM ledger.objects ORDER BY 1")]


def test_copy_between_folders_moves_large_contents_to_a_store(
    original: Path, tmp_path: Path
) -> None:
    copy(original, tmp_path / "new", "--to-content", tmp_path / "shared")

    assert len([path for path in (tmp_path / "shared").rglob("*") if path.is_file()]) == 2
    assert command("verify", "--data-dir", tmp_path / "new").exit_code == 0
    assert [*(tmp_path / "new/content/objects").rglob("*")] == []


async def test_copy_beside_a_server_is_finished_after_its_end(
    original: Path, url: str, tmp_path: Path
) -> None:
    source = shutil.copytree(original, tmp_path / "source")
    target = ("--data-dir", source, "--to-database", url, "--to-data-dir", tmp_path / "new")
    async with serving(Settings(data_dir=source)) as api:
        beside = await asyncio.to_thread(refusal, *target)
        await api.created(b"later", name="later")
    head = len(rows(source, "stored_events"))

    unfinished = await asyncio.to_thread(
        run, "serve", "--port", "0", "--database-url", url, "--data-dir", tmp_path / "new"
    )
    done = await asyncio.to_thread(copy, source, url, "--to-data-dir", tmp_path / "new")

    assert f"{head - 1:,} events were copied meanwhile" in beside
    assert (unfinished.returncode, unfinished.stderr.count("\n")) == (2, 1), unfinished.stderr
    assert "a copy into this database was interrupted: run it again" in unfinished.stderr
    assert (done["events"], done["findings"]) == (head, 0)


def test_copy_is_incomplete_until_a_lost_content_is_there_again(
    original: Path, url: str, tmp_path: Path
) -> None:
    source = shutil.copytree(original, tmp_path / "source")
    lost, *_ = (path for path in (source / "content/objects").rglob("*") if path.is_file())
    content = lost.read_bytes()
    lost.unlink()

    incomplete = copied(source, url, "--to-data-dir", tmp_path / "new")
    lost.write_bytes(content)
    done = copy(source, url, "--to-data-dir", tmp_path / "new")

    assert incomplete.exit_code == 1
    assert f"contents sha256:{lost.name}: is missing in the source" in incomplete.stdout
    assert "is incomplete: mend the source" in incomplete.stdout
    assert (done["contents"], done["findings"]) == (1, 0)


async def test_target_with_another_ledger_or_more_events_is_refused_in_one_line(
    original: Path, url: str, tmp_path: Path
) -> None:
    longer, other, new = (tmp_path / name for name in ("longer", "other", "new"))
    shutil.copytree(original, longer)
    async with serving(Settings(data_dir=longer)) as api:
        await api.created(name="later")
    await fill(other)
    await asyncio.to_thread(copy, longer, url, "--to-data-dir", new)
    to = ("--to-database", url, "--to-data-dir")

    further = await asyncio.to_thread(run, "copy", "--data-dir", original, *to, new)

    assert (further.returncode, further.stdout, further.stderr.count("\n")) == (2, "", 1)
    assert f"only {len(rows(original, 'stored_events'))}: name a target" in further.stderr
    async with serving(Settings(data_dir=other)) as api:
        for _ in range(20):  # so that it has more events
            await api.created()
    assert "has another ledger" in refusal("--data-dir", other, *to, new)
    assert "is not empty" in refusal("--data-dir", original, "--to-data-dir", other)
    assert "has a ledger of its own" in refusal("--data-dir", original, *to, other)


def test_wrong_places_are_refused_in_one_line(original: Path, url: str, tmp_path: Path) -> None:
    source, new = ("--data-dir", original), ("--to-data-dir", tmp_path / "new")
    away = "postgresql:///nowhere?host=/nowhere"

    assert "name the target" in refusal(*source)
    assert "large contents need a place" in refusal(*source, "--to-database", url)
    assert "the source has this folder" in refusal(*source, "--to-data-dir", original)
    same = ("--database-url", url, "--to-database", url, *new)
    assert "the source is this database" in refusal(*same)
    assert "there is no ledger in the database" in refusal("--database-url", url, *new)
    assert "cannot be used" in refusal("--database-url", away, *new)
    assert "cannot be reached" in refusal(*source, "--to-database", away, *new)
    assert "there is no ledger in" in refusal("--data-dir", tmp_path / "absent", *new)
    assert not (tmp_path / "new").exists()
    inspected = shutil.copytree(original, tmp_path / "inspected")
    DataFolder(inspected).inspection.write_bytes(b'{"events":1,"original":2}')
    assert "restored for inspection" in refusal("--data-dir", inspected, *new)


def test_copy_to_a_store_that_fails_says_why_and_goes_on_later(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    source, new = ("--data-dir", original), tmp_path / "new"

    line = refusal(*source, "--to-data-dir", new, "--to-content", "s3://nowhere/x")

    assert re.fullmatch(
        r"the store s3://nowhere/x failed: .+; run the command again to go on", line
    )
    copy(original, new)


def test_second_copy_into_a_database_is_refused_while_one_is_under_way(
    original: Path, url: str, tmp_path: Path
) -> None:
    from asset_ledger.api.copying.ends import open_target  # noqa: PLC0415

    with open_target(tmp_path / "one", url):
        line = refusal(
            "--data-dir", original, "--to-database", url, "--to-data-dir", tmp_path / "2"
        )

    assert "another process copies into this database" in line
