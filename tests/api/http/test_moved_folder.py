"""A data folder that is moved away under a running server: 503 with a reason, until it is back."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from asset_ledger.ledger.storage.files import GOOD_FOR
from tests.api.running import Api

pytestmark = pytest.mark.in_a_folder("it moves the folder of the log")

REASON = "the data folder was moved or removed, or its disk is gone: nothing is recorded"


def moved(folder: Path) -> None:
    folder.rename(folder.with_name("away"))


def moved_with_its_parent(folder: Path) -> None:
    folder.parent.rename(folder.parent.with_name("parent-away"))


def replaced_by_a_copy(folder: Path) -> None:
    moved(folder)
    shutil.copytree(folder.with_name("away"), folder)


def replaced_by_an_empty_folder(folder: Path) -> None:
    moved(folder)
    folder.mkdir()


def log_moved(folder: Path) -> None:
    (folder / "ledger.db").rename(folder / "ledger.db.away")


def put_back(folder: Path) -> None:
    away, parent = folder.with_name("away"), folder.parent.with_name("parent-away")
    if parent.exists():
        parent.rename(folder.parent)
    elif away.exists():
        shutil.rmtree(folder, ignore_errors=True)
        away.rename(folder)
    else:
        (folder / "ledger.db.away").rename(folder / "ledger.db")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    (tmp_path / "parent").mkdir()
    return tmp_path / "parent" / "data"


@pytest.mark.parametrize(
    "change",
    [moved, moved_with_its_parent, replaced_by_a_copy, replaced_by_an_empty_folder, log_moved],
)
async def test_every_request_is_refused_with_a_reason_until_the_folder_is_back(
    api: Api, data_dir: Path, change: Callable[[Path], None]
) -> None:
    asset = await api.created(job_id="j")
    head = api.head()

    change(data_dir)

    refused = [
        await api.upload(b"lost"),
        await api.call("PATCH", f"/api/assets/{asset['id']}", json={"name": "b"}),
        await api.call("POST", "/api/jobs/j/start", json={}),
        await api.call("DELETE", f"/api/assets/{asset['id']}"),
    ]
    await asyncio.sleep(2 * GOOD_FOR)  # reads trust the last answer for so long
    refused += [
        await api.get("/api/assets"),
        await api.get(f"/api/assets/{asset['id']}/content"),
        await api.get("/api/jobs/j/history"),
    ]
    for answer in refused:
        assert (answer.status, answer.slug) == (503, "storage-failed")
        assert answer.json["detail"].startswith(REASON)
    ready = await api.get("/readyz")
    reasons = {part["name"]: part.get("reason") for part in ready.json["parts"]}
    assert (ready.status, reasons["disk"]) == (503, refused[0].json["detail"])
    assert (await api.get("/livez")).status == 200
    assert api.head() == head

    put_back(data_dir)

    async with asyncio.timeout(60):
        while True:
            if (await api.get("/readyz")).status == 200:
                break
            await asyncio.sleep(0.02)  # a follower tries again a second after its error
    assert (await api.created(b"kept"))["position"] == head + 1
    assert (await api.get(f"/api/assets/{asset['id']}/content")).body == b"content"
