"""A server with a long log and tables from before the second migration: it serves from these
tables, rebuilds, and switches."""

from pathlib import Path

import pytest

from asset_ledger.api.settings import Settings
from asset_ledger.api.workers.rebuilds import Rebuilds
from asset_ledger.projections.runtime import migrate
from tests.api.running import serving
from tests.builders import asset_id
from tests.projections.before import NEWEST, restore

in_its_tables = pytest.mark.in_a_folder("with a database, a start builds the next generation")


@pytest.fixture
def long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat every log as a long one."""
    monkeypatch.setattr(migrate, "LONG", 0)


@pytest.mark.usefixtures("long")
@in_its_tables
async def test_older_tables_serve_until_the_rebuild_switches(tmp_path: Path) -> None:
    restore(tmp_path)

    async with serving(Settings(data_dir=tmp_path)) as api:
        assert (await api.get("/api/assets?workflow_id=w")).status == 200
        ended = await api.backend.rebuilds.wait()

        assert ended is not None
        assert (ended.result, ended.error) == ("switched", None)
        document = (await api.get("/api/projections")).json
        assert (document["serving"]["generation"], document["serving"]["revision"]) == (2, NEWEST)
        assert document["previous"]["usable"] is False
        found = (await api.get("/api/assets?node_id=node_0")).json["assets"]
        assert {asset["node_id"] for asset in found} == {"node_0"}


@pytest.mark.usefixtures("long")
@in_its_tables
async def test_a_filter_on_an_unfilled_column_is_refused_as_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Rebuilds, "start", lambda self: None)  # the columns stay unfilled
    restore(tmp_path)

    async with serving(Settings(data_dir=tmp_path)) as api:
        for column, value in (("node_id", "node_0"), ("job_id", "job_1")):
            behind = await api.get(f"/api/assets?{column}={value}")
            assert (behind.status, behind.slug) == (503, "projection-behind")
            assert int(behind.headers["Retry-After"]) > 0
            sent = {"filter": {"missing": column}, "dry_run": True}
            deletion = await api.call("POST", "/api/assets/bulk-delete", json=sent)
            assert (deletion.status, deletion.slug) == (503, "projection-behind")
        assert (await api.get("/api/assets?workflow_id=w")).status == 200


@in_its_tables
async def test_tables_are_migrated_before_the_server_listens_when_the_log_is_short(
    tmp_path: Path,
) -> None:
    restore(tmp_path)

    async with serving(Settings(data_dir=tmp_path)) as api:
        assert api.backend.rebuilds.building is None
        assert await api.backend.rebuilds.wait() is None
        asset = (await api.get(f"/api/assets/{asset_id(3)}")).json
        assert (asset["node_id"], asset["job_id"]) == ("node_0", "job_1")
