"""A server whose log, tables and small contents are in PostgreSQL."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from asset_ledger.api.settings import Settings
from tests.api import running
from tests.api.running import Api, serving
from tests.postgres import POSTGRES, Databases, Postgres
from tests.projections.packages import PROJECTION, importable, plant

pytestmark = pytest.mark.slow  # each starts a real PostgreSQL

pytest.importorskip("psycopg", reason="the extra postgresql is not installed")

LARGE = b"large" * 30_000
OPEN = """SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid()"""


@pytest.fixture(params=POSTGRES)
def postgres(request: pytest.FixtureRequest) -> Postgres:
    """Run on both versions."""
    server: Postgres = request.getfixturevalue(request.param)
    return server


@pytest.fixture(autouse=True)
def in_database(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    databases = Databases(postgres)
    monkeypatch.setattr(running, "engine_for", databases.engine_for)
    yield
    databases.drop()


@pytest.fixture
async def api(data_dir: Path) -> AsyncIterator[Api]:
    async with serving(Settings(data_dir=data_dir)) as opened:
        yield opened


async def names(api: Api, query: str) -> list[str]:
    return [asset["name"] for asset in (await api.get(f"/api/assets{query}")).json["assets"]]


async def fill(api: Api) -> list[Any]:
    """Upload a small and a large content to a folder, and rename one of them."""
    folder = await api.created(None, name="pictures", content_type="folder")
    tags = {"job_id": "j", "node_id": "n", "workflow_id": "w", "parent_id": folder["id"]}
    small = await api.created(b"small", name="cat.png", **tags)
    large = await api.created(LARGE, name="dog.png", **tags, derived_from=[small["id"]])
    path = f"/api/assets/{large['id']}"
    renamed = await api.call("PUT", path, json={"name": "Große_50% wolf", "tags": ["t"]})
    assert renamed.status == 200, renamed.body
    return [folder, small, large]


async def test_a_restarted_server_answers_as_before(data_dir: Path) -> None:
    async with serving(Settings(data_dir=data_dir)) as api:
        _, small, large = await fill(api)
        await api.settled()
        before = await everything(api, small, large)
    async with serving(Settings(data_dir=data_dir)) as api:
        await api.settled()

        assert await everything(api, small, large) == before
    assert not (data_dir / "ledger.db").exists()


async def everything(api: Api, small: Any, large: Any) -> list[bytes]:
    paths = (
        *("/api/assets", "/api/assets?sort=-name&job_id=j&job_id=k", "/api/assets?tag=t"),
        *(f"/api/assets/{asset['id']}{part}" for asset in (small, large) for part in PARTS),
        *("/api/jobs", "/api/jobs/j", "/api/jobs/j/nodes", "/api/jobs/j/history"),
        *("/api/assets/search?query=wolf", "/api/assets?query=50%25&node_id=n"),
        *("/api/log/checkpoint", "/api/events?after=0"),
    )
    answers = [await api.get(path) for path in paths]
    assert [
        (path, a.status) for path, a in zip(paths, answers, strict=True) if a.status != 200
    ] == []
    return [answer.body for answer in answers]


PARTS = ("", "/content", "/history", "/lineage")


async def test_words_are_found_literally_and_by_their_start(api: Api) -> None:
    await fill(api)
    await api.settled()

    for query, found in (("große_50%", 1), ("50_", 0), ("ca", 1), ("at", 0), ("png", 1)):
        answer = await api.get("/api/assets/search?query=" + quote(query))
        assert (query, len(answer.json["assets"])) == (query, found)


async def test_a_retry_with_the_same_key_records_nothing(api: Api) -> None:
    first, second = [
        await api.upload(b"once", headers={"Idempotency-Key": "k"}, name="once") for _ in range(2)
    ]

    assert (first.status, second.json["id"]) == (201, first.json["id"])
    assert second.headers["Idempotency-Replayed"] == "true"
    assert await names(api, "") == ["once"]


async def test_a_rebuild_takes_over_and_a_rollback_brings_the_former_tables_back(
    data_dir: Path,
) -> None:
    async with serving(Settings(data_dir=data_dir)) as api:
        await rebuild_and_roll_back(api)
    async with serving(Settings(data_dir=data_dir)) as api:
        assert (await api.get("/api/projections")).json["serving"]["generation"] == 1
        assert await names(api, "?name=later") == ["later"]


async def rebuild_and_roll_back(api: Api) -> None:
    await fill(api)
    await api.settled()
    await api.call("POST", "/api/projections/rebuild", json={"dry_run": False})
    built = await api.backend.rebuilds.wait()
    assert built is not None
    assert (built.result, built.error) == ("switched", None)
    assert built.built["comparison"]["differences"] == 0
    await api.created(name="later")

    assert await names(api, "?name=later") == ["later"]
    await api.call("POST", "/api/projections/rollback")
    ended = await api.backend.rebuilds.wait()
    assert ended is not None
    assert (ended.result, ended.error) == ("switched", None)
    assert (await api.get("/api/projections")).json["serving"]["generation"] == 1
    assert await names(api, "?name=later") == ["later"]


async def test_collected_bytes_are_gone_until_they_are_uploaded_again(
    api: Api, data_dir: Path
) -> None:
    _, small, large = await fill(api)
    kept = await api.created(b"kept", name="kept")
    for asset in (small, large):
        assert (await api.call("DELETE", f"/api/assets/{asset['id']}")).status == 200

    planned = await api.call("POST", "/api/collection", json={"retain_deleted": "0"})
    done = await api.call("POST", "/api/collection", json={"apply": True, "retain_deleted": "0"})

    assert (planned.json["count"], done.json["count"]) == (2, 2)
    assert [path for path in (data_dir / "content/objects").rglob("*") if path.is_file()] == []
    for asset in (small, large):
        refused = await api.call("POST", f"/api/assets/{asset['id']}/restore")
        assert refused.slug == "not-restorable"
    assert (await api.get(f"/api/assets/{kept['id']}/content")).body == b"kept"
    again = await api.created(b"small", name="again")
    assert (await api.get(f"/api/assets/{again['id']}/content")).body == b"small"
    assert (await api.call("POST", f"/api/assets/{small['id']}/restore")).status == 200


async def test_a_purge_removes_the_bytes_of_an_asset_at_once(api: Api) -> None:
    asset = await api.created(b"secret", name="secret")
    purged = await api.call("DELETE", f"/api/assets/{asset['id']}?purge=true")

    assert purged.status == 200, purged.body
    assert (await api.call("POST", f"/api/assets/{asset['id']}/restore")).slug == "not-restorable"


async def test_the_state_of_the_log_has_the_bytes_that_it_takes(api: Api) -> None:
    await api.created(name="a")

    found = (await api.get("/api/ledger")).json

    assert found["size"] == api.head()
    assert found["log_bytes"] > 8_192


async def test_tables_are_verified_beside_a_server_that_records(
    data_dir: Path, tmp_path: Path, postgres: Postgres
) -> None:
    log_copy = pytest.importorskip("asset_ledger.api.database.log_copy")
    async with serving(Settings(data_dir=data_dir)) as api:
        await fill(api)
        await api.settled()
        url, end = str(api.backend.engine.database), api.head()
        stored = log_copy.digest_tables(url)
        await api.created(name="meanwhile")
        await api.settled()
    (tmp_path / "tables").mkdir()

    def progress(step: str, position: int, target: int) -> None:
        assert open_transactions(url) == 0  # PostgreSQL would end them

    log_copy.copy_to_folder(url, data_dir, tmp_path / "copy")
    reports = log_copy.compare_tables(stored, tmp_path / "copy", tmp_path / "tables", progress)

    assert {(each.file, each.position, each.lag) for each in reports} == {
        (name, end, 1) for name in ("g1", "g1_usage", "g1_search", "g1_catalog")
    }


def open_transactions(url: str) -> int:
    """Return how many transactions of a database are under way, beside this one."""
    import psycopg  # noqa: PLC0415 - an optional extra

    with psycopg.connect(url) as db:
        ((count,),) = db.execute(OPEN).fetchall()
    return int(count)


async def test_an_installed_projection_is_filled_if_its_sql_works_here(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))  # for the process of the rebuild
    declared = 'name = "seen"\n    postgresql = True'
    plant(tmp_path, PROJECTION.replace('name = "seen"', declared))
    plant(tmp_path, PROJECTION.replace("seen", "old"), name="old", package="old")
    with importable(tmp_path):
        async with serving(Settings(data_dir=data_dir)) as api:
            await fill(api)
            await api.settled()
            parts = {each["name"]: each for each in (await api.get("/readyz")).json["parts"]}
            await api.call("POST", "/api/projections/rebuild", json={"dry_run": True})
            built = await api.backend.rebuilds.wait()

    assert parts["projection seen"]["ok"]
    assert parts["projection old"]["reason"].startswith("it has no postgresql = True")
    assert built is not None
    assert (built.result, built.error) == ("discarded", None)
    assert ([*built.built["others"]], [*built.built["broken"]]) == (["seen"], ["old"])
    assert built.built["comparison"]["differences"] == 0
