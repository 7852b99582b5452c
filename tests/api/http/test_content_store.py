"""Large contents in a store, here a folder: what uploads, reads, collections and commands do."""

import asyncio
import io
import os
import time
import zipfile
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from asset_ledger.api.settings import Settings
from asset_ledger.ledger.content.store import SMALL
from asset_ledger.ledger.errors import DataFolderError
from tests.api import running
from tests.api.http.test_uploads import append, created
from tests.api.running import Api, serving
from tests.journeys.server import run
from tests.postgres import Databases

LARGE = b"large" * SMALL


@pytest.fixture(autouse=True, params=["folder", pytest.param("database", marks=pytest.mark.slow)])
def databases(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Databases | None]:
    """Have the log in a data folder, or in PostgreSQL."""
    if request.param == "folder":
        yield None
        return
    databases = Databases(request.getfixturevalue("postgres"))
    monkeypatch.setattr(running, "engine_for", databases.engine_for)
    yield databases
    databases.drop()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "shared"


@pytest.fixture
def settings(data_dir: Path, store: Path) -> Settings:
    return Settings(data_dir=data_dir, content_url=str(store))


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Api]:
    async with serving(settings) as opened:
        yield opened


def objects(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def content(api: Api, asset: Any, **headers: str) -> Any:
    return await api.get(f"/api/assets/{asset['id']}/content", **headers)


def make_old(path: Path) -> None:
    day = 24 * 3_600
    os.utime(path, (time.time() - day - 60,) * 2)


async def collected(api: Api) -> Any:
    answer = await api.call("POST", "/api/collection", json={"apply": True, "retain_deleted": "0"})
    assert answer.status == 200, answer.body
    return answer.json


async def test_large_content_is_one_object_and_a_small_one_none(
    api: Api, store: Path, data_dir: Path
) -> None:
    small, large = await api.created(b"small"), await api.created(LARGE)

    assert [path.read_bytes() for path in objects(store)] == [LARGE]
    assert objects(data_dir / "content" / "objects") == []
    assert [(await content(api, each)).body for each in (small, large)] == [b"small", LARGE]
    assert (await content(api, large, Range="bytes=4-8")).body == LARGE[4:9]


async def test_refused_and_repeated_uploads_leave_one_object_after_a_day(
    api: Api, store: Path
) -> None:
    first = await api.created(LARGE)
    await api.created(LARGE)
    refused = await api.upload(b"other" * SMALL, parent_id="0" * 32)
    assert refused.status == 422, refused.body
    assert len(objects(store)) == 2  # the refused content was not sent

    for path in objects(store):
        make_old(path)
    await collected(api)

    assert [path.read_bytes() for path in objects(store)] == [LARGE]
    assert (await content(api, first)).body == LARGE


async def test_upload_of_more_than_half_a_day_is_refused_before_it_is_an_object(
    api: Api, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asset_ledger.ledger.content.objects.LONGEST", timedelta(0))

    refused = await api.upload(LARGE)

    assert (refused.status, refused.slug) == (413, "too-large"), refused.body
    assert objects(store) == []


async def test_uploads_that_are_younger_than_a_day_are_left_alone(api: Api, store: Path) -> None:
    await api.created(LARGE)
    orphan = objects(store)[0].with_name("orphan")
    orphan.write_bytes(b"of an upload under way")

    await collected(api)

    assert orphan in objects(store)


async def test_unfinished_file_of_a_killed_server_is_removed_after_a_day(
    api: Api, store: Path
) -> None:
    await api.created(LARGE)
    (stored,) = objects(store)
    old, young = (stored.with_name(f"{'a' * 32}#{number}") for number in (1, 2))
    for path in (old, young):
        path.write_bytes(b"part")
    make_old(old)

    await collected(api)

    assert set(objects(store)) == {stored, young}


async def test_objects_of_another_ledger_in_the_same_store_stay(
    api: Api, store: Path, tmp_path: Path
) -> None:
    other = Settings(data_dir=tmp_path / "other", content_url=str(store))
    async with serving(other) as second:
        await second.created(LARGE)
        for path in objects(store):
            make_old(path)
        await collected(api)

    assert len(objects(store)) == 1


async def test_collected_content_loses_its_object_at_once(api: Api, store: Path) -> None:
    asset = await api.created(LARGE)
    assert (await api.call("DELETE", f"/api/assets/{asset['id']}")).status == 200

    assert (await collected(api))["count"] == 1

    assert objects(store) == []
    again = await api.created(LARGE)
    assert (await content(api, again)).body == LARGE


@pytest.mark.parametrize("damage", ["missing", "shorter", "changed"])
async def test_damaged_object_is_a_problem_until_its_bytes_are_sent_again(
    api: Api, store: Path, damage: str
) -> None:
    asset = await api.created(LARGE)
    (path,) = objects(store)
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(LARGE[:-1] + (b"!" if damage == "changed" else b""))

    broken = await content(api, asset)
    assert (broken.status, broken.slug) == (503, "content-damaged"), broken.body
    await api.created(LARGE)

    assert (await content(api, asset)).body == LARGE


async def test_contents_stay_readable_when_the_setting_is_changed(
    data_dir: Path, tmp_path: Path
) -> None:
    urls = [None, str(tmp_path / "one"), (tmp_path / "two").as_uri(), None]
    assets = []
    for number, url in enumerate(urls):
        async with serving(Settings(data_dir=data_dir, content_url=url)) as api:
            assets.append(await api.created(bytes([number]) * (SMALL + 1)))
            for known, asset in enumerate(assets):
                assert (await content(api, asset)).body == bytes([known]) * (SMALL + 1)


async def test_start_without_the_disk_of_the_store_is_refused(
    settings: Settings, store: Path, tmp_path: Path
) -> None:
    async with serving(settings) as api:
        asset = await api.created(LARGE)
    disk = store.rename(tmp_path / "disk")
    store.mkdir()  # its mount point

    with pytest.raises(DataFolderError, match="lacks the objects that the log names: mount its"):
        async with serving(settings):
            pass

    store.rmdir()
    disk.rename(store)
    async with serving(settings) as api:
        assert (await content(api, asset)).body == LARGE


async def test_resumable_upload_goes_to_the_store_when_it_is_whole(
    api: Api, store: Path, data_dir: Path
) -> None:
    upload = await created(api, len(LARGE))

    sent = await append(api, upload, 0, LARGE)

    assert sent.status == 204, sent.body
    assert [each.read_bytes() for each in objects(store)] == [LARGE]
    assert objects(data_dir / "content" / "uploads") == []


async def test_thumbnail_is_drawn_of_an_object(api: Api) -> None:
    picture = io.BytesIO()
    Image.effect_noise((400, 400), 50).save(picture, "PNG")
    asset = await api.created(picture.getvalue(), name="noise.png", content_type="image/png")

    drawn = await api.get(f"/api/assets/{asset['id']}/thumbnail")

    assert asset["size"] > SMALL
    assert (drawn.status, drawn.headers["Content-Type"]) == (200, "image/webp")


async def test_zip_has_the_bytes_of_objects(api: Api) -> None:
    asset = await api.created(LARGE, name="large.bin")

    answer = await api.call("POST", "/api/assets/download", json={"asset_ids": [asset["id"]]})

    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        assert [archive.read(name) for name in archive.namelist()] == [LARGE]


@pytest.mark.slow
async def test_verify_reads_objects_and_names_a_damaged_one(
    settings: Settings, store: Path, databases: Databases | None
) -> None:
    async with serving(settings) as api:
        await api.created(LARGE)
    command = ["verify", "--data-dir", str(settings.data_dir)]
    if databases is not None:
        command += ["--database-url", str(databases.engine_for(settings.data_dir).database)]

    whole = await asyncio.to_thread(run, *command)
    (path,) = objects(store)
    path.write_bytes(LARGE[:-1] + b"!")
    damaged = await asyncio.to_thread(run, *command)

    assert (whole.returncode, whole.stderr) == (0, ""), whole.stdout
    assert damaged.returncode == 1
    assert path.name in damaged.stdout
