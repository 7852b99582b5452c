"""Audit bundles and PROV documents over HTTP."""

import asyncio
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from asset_ledger.api.http import bundle as bundles
from asset_ledger.ledger.reading import replay
from tests.api.calling import caller, serving_with_tokens
from tests.api.cli.test_audit_bundle import FAILED, FINE, record_a_job, unpacked, verified
from tests.api.running import Answer, Api
from tests.journeys.server import run


async def unzipped(answer: Answer, folder: Path) -> Path:
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/zip")
    folder.mkdir()
    (folder / "b.zip").write_bytes(answer.body)
    return await asyncio.to_thread(unpacked, folder / "b.zip", folder / "b")


@pytest.fixture(params=[200, 1], ids=["one piece", "a piece for each event"])
async def recorded(
    request: pytest.FixtureRequest, api: Api, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    monkeypatch.setattr(bundles, "EVENTS_PER_PIECE", request.param)
    return await record_a_job(api)


async def test_bundle_holds_and_a_changed_file_does_not(
    api: Api, recorded: dict[str, Any], tmp_path: Path
) -> None:
    answer = await api.get("/api/jobs/j/bundle")
    folder = await unzipped(answer, tmp_path / "u")
    (path, *_) = sorted((folder / "files").iterdir())

    good = await asyncio.to_thread(verified, folder)
    path.write_bytes(path.read_bytes() + b"x")
    bad = await asyncio.to_thread(verified, folder)

    assert (good[0], bad[0]) == (FINE, FAILED), (good, bad)
    assert 'filename="j.zip"' in answer.headers["Content-Disposition"]
    assert len(list((folder / "files").iterdir())) == 3


async def test_bundle_equals_that_of_the_command_line(
    api: Api, recorded: dict[str, Any], tmp_path: Path
) -> None:
    arguments = ("audit-bundle", "j", "-o", tmp_path / "cli.zip", "--url", api.url)
    served = await api.get("/api/jobs/j/bundle")
    done = await asyncio.to_thread(run, *arguments)

    assert done.returncode == FINE, done.stderr
    with (
        zipfile.ZipFile(tmp_path / "cli.zip") as ours,
        zipfile.ZipFile(io.BytesIO(served.body)) as theirs,
    ):
        assert sorted(ours.namelist()) == sorted(theirs.namelist())
        assert {name: ours.read(name) for name in ours.namelist()} == {
            name: theirs.read(name) for name in theirs.namelist()
        }


async def test_bundle_leaves_out_contents_of_deleted_assets_and_still_holds(
    api: Api, recorded: dict[str, Any], tmp_path: Path
) -> None:
    await api.call("DELETE", f"/api/assets/{recorded['id']}")

    folder = await unzipped(await api.get("/api/jobs/j/bundle"), tmp_path / "u")

    absent = json.loads((folder / "manifest.json").read_bytes())["absent"]
    assert recorded["digest"] in absent
    assert len(absent) == 2  # both versions of the deleted asset
    assert len(list((folder / "files").iterdir())) == 1
    assert (await asyncio.to_thread(verified, folder))[0] == FINE


async def test_prov_of_a_job_names_its_assets(api: Api) -> None:
    asset = await api.created(b"x", job_id="j/1", node_id="n")

    answer = await api.get("/api/jobs/j%2F1/prov")

    assert answer.headers["Content-Type"] == "application/json"
    assert any(asset["id"] in name for name in answer.json["entity"])
    for path in ("bundle", "prov"):
        assert (await api.get(f"/api/jobs/other/{path}")).slug == "unknown-job"
        assert (await api.call("HEAD", f"/api/jobs/j%2F1/{path}")).body == b""


@pytest.mark.parametrize(("limit", "most"), [("MAX_EVENTS", 2), ("MAX_STORED", 700)])
@pytest.mark.parametrize("document", ["prov", "openlineage"])
async def test_a_document_of_a_job_is_refused_above_a_limit(
    api: Api, monkeypatch: pytest.MonkeyPatch, limit: str, most: int, document: str
) -> None:
    monkeypatch.setattr(replay, limit, most)
    await api.created(b"x", job_id="short")
    for name in ("a", "b", "c"):
        await api.created(b"x", job_id="long", name=name)

    short, long = [await api.get(f"/api/jobs/{job}/{document}") for job in ("short", "long")]

    assert (short.status, long.status, long.slug) == (200, 413, "too-large")
    assert "ask for one attempt" in long.json["detail"]


async def test_bundle_needs_the_scopes_audit_and_read(opened_data_dir: Path) -> None:
    async with serving_with_tokens(opened_data_dir) as api:
        await caller(api, "alice").created(b"x", job_id="j")
        for scopes, missing in ((["audit"], "read"), (["read"], "audit")):
            answer = await caller(api, "alice", *scopes).get("/api/jobs/j/bundle")
            assert (answer.slug, answer.json["scope"]) == ("missing-scope", missing)
        both = await caller(api, "alice", "audit", "read").get("/api/jobs/j/bundle")
        assert both.status == 200
