"""A server that starts on the tables of an earlier release, with a long log: it serves from them,
makes them anew beside, and takes over."""

from pathlib import Path

import pytest

from asset_ledger.api.settings import Settings
from asset_ledger.api.workers.rebuilds import Rebuilds
from asset_ledger.projections.runtime import migrate
from asset_ledger.projections.tables.assets import Assets
from tests.api.running import serving
from tests.builders import asset_id
from tests.projections.releases import TODAY, restore


async def test_older_tables_serve_until_those_of_today_take_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "LONG", 0)
    restore("20260201_000000_find_assets_by_name", tmp_path)

    async with serving(Settings(data_dir=tmp_path)) as api:
        assert (await api.get("/api/assets?node_id=node_0")).status == 200
        ended = await api.backend.rebuilds.wait()

        assert ended is not None
        assert (ended.result, ended.error) == ("switched", None)
        told = (await api.get("/api/projections")).json
        assert (told["serving"]["generation"], told["serving"]["revision"]) == (2, TODAY)
        assert told["previous"]["usable"] is False
        asset = (await api.get(f"/api/assets/{asset_id(3)}")).json
        assert asset["thumb_url"] is not None


async def test_a_filter_on_a_column_that_is_not_filled_yet_is_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    *earlier, last = Assets.migrations
    unfilled = last._replace(fills=("assets.node_id",))
    monkeypatch.setattr(Assets, "migrations", (*earlier, unfilled))
    monkeypatch.setattr(Rebuilds, "start", lambda self: None)  # until the end of this test
    monkeypatch.setattr(migrate, "LONG", 0)
    restore("20260201_000000_find_assets_by_name", tmp_path)

    async with serving(Settings(data_dir=tmp_path)) as api:
        behind = await api.get("/api/assets?node_id=node_0")
        assert (behind.status, behind.slug) == (503, "view-behind")
        assert int(behind.headers["Retry-After"]) > 0
        sent = {"filter": {"missing": "node_id"}, "dry_run": True}
        deletion = await api.call("POST", "/api/assets/bulk-delete", json=sent)
        assert (deletion.status, deletion.slug) == (503, "view-behind")
        assert (await api.get("/api/assets?job_id=job_1")).status == 200


async def test_a_short_log_is_read_before_the_server_listens(tmp_path: Path) -> None:
    restore("20260201_000000_find_assets_by_name", tmp_path)

    async with serving(Settings(data_dir=tmp_path)) as api:
        assert api.backend.rebuilds.building is None
        assert await api.backend.rebuilds.wait() is None
        asset = (await api.get(f"/api/assets/{asset_id(3)}")).json
        assert asset["thumb_url"] is not None
