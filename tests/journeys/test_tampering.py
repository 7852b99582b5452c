"""An audit finds every change of a log and its contents."""

import asyncio
import random
import shutil
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest

from asset_ledger.api.settings import Settings
from asset_ledger.ledger.content.local import open_local_contents
from asset_ledger.ledger.ids import digest_of
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.opening import open_identity
from asset_ledger.ledger.log.sqlite import SqliteLog
from tests.api.running import Api, serving
from tests.builders import asset_id, command, created
from tests.journeys.server import run
from tests.journeys.tampering import audited, tamper, without_triggers


class Original(NamedTuple):
    """An unchanged data folder, and the checkpoints that an auditor has from it."""

    folder: Path
    checkpoints: list[str]


@pytest.fixture
async def original(tmp_path: Path) -> Original:
    """A folder with rows in every table: a job, keys, a deleted folder, contents of all sizes."""
    folder, checkpoints = tmp_path / "data", []
    async with serving(Settings(data_dir=folder)) as api:
        await api.call("POST", "/api/jobs/j/start", json={"workflow_id": "w"})
        for n in range(5):
            headers = {"Idempotency-Key": f"key {n}"}
            made_by = {"node_id": f"n{n % 2}", "job_id": "j", "workflow_id": "w"}
            await api.upload(b"%d" % n, headers=headers, name="a", **made_by)
        checkpoints.append((await api.get("/api/log/checkpoint")).body.decode())
        home = await api.created(None, name="f", content_type="folder")
        for n in range(3):
            await api.created(b"in %d" % n, name="b", parent_id=home["id"], job_id="other")
        await api.created(bytes(range(256)) * 300, name="large")
        delete = {"headers": {"Idempotency-Key": "delete"}}
        await api.call("DELETE", f"/api/assets/{home['id']}", **delete)
        await api.call("POST", "/api/jobs/j/finish", json={"status": "completed"})
        checkpoints.append((await api.get("/api/log/checkpoint")).body.decode())
    return Original(folder, checkpoints)


@pytest.fixture
def copies(original: Original, tmp_path: Path) -> Iterator[Path]:
    """The path of a copy of the folder."""
    yield tmp_path / "copy"
    shutil.rmtree(tmp_path / "copy", ignore_errors=True)


def undetected(original: Original, copy: Path, seeds: range) -> list[tuple[int, str]]:
    """Return the changes that no audit found, with their seeds."""
    missed = []
    for seed in seeds:
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(original.folder, copy)
        changed = tamper(copy, random.Random(seed))
        if not audited(copy, copy.parent, original.checkpoints):
            missed.append((seed, changed))
    return missed


def test_an_audit_of_an_unchanged_folder_finds_nothing(original: Original, tmp_path: Path) -> None:
    assert audited(original.folder, tmp_path, original.checkpoints) == []
    assert audited(original.folder, tmp_path) == []


@pytest.mark.slow
def test_audits_find_a_hundred_random_changes(original: Original, copies: Path) -> None:
    assert undetected(original, copies, range(100)) == []


@pytest.mark.slow
def test_audits_find_a_thousand_random_changes(original: Original, copies: Path) -> None:
    assert undetected(original, copies, range(100, 1_100)) == []


async def test_verify_names_a_content_that_was_changed_until_it_is_uploaded_again(
    original: Original, tmp_path: Path
) -> None:
    pack = original.folder / "content" / "packs" / "00000001.pack"
    data = bytearray(pack.read_bytes())
    data[40] ^= 1  # the first byte of the first content, after its header
    pack.write_bytes(data)

    done = await asyncio.to_thread(run, "verify", "--data-dir", original.folder)
    assert (done.returncode, f"contents {digest_of(b'0')}" in done.stdout) == (1, True)

    async with serving(Settings(data_dir=original.folder)) as api:
        asset = await api.created(b"0", name="again")
        assert (await api.get(asset["get_url"])).body == b"0"
    assert audited(original.folder, tmp_path, original.checkpoints) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE merkle_tiles SET hashes = zeroblob(8192)",
        "UPDATE merkle_tiles SET idx = 5",
        "UPDATE merkle_tiles SET level = 2",
        "DELETE FROM merkle_tiles",
    ],
)
def test_an_audit_finds_a_changed_tile(tmp_path: Path, change: str) -> None:
    """65,536 events fill the first tile of level 1."""
    folder = tmp_path / "data"
    make_log(folder, 65_536)
    assert audited(folder, tmp_path) == []

    with without_triggers(folder / "ledger.db") as db:
        db.execute(change)

    assert {finding.table for finding in audited(folder, tmp_path)} == {"merkle_tiles"}


def make_log(folder: Path, events: int) -> None:
    """Make a log with this many events, without contents."""
    asyncio.run(make_contents(folder))
    log = SqliteLog(folder / "ledger.db", Codec())
    open_identity(log, Codec(), folder / "checkpoint.key", new_log_id="ab" * 16)
    for first in range(1, events, 1_000):
        numbers = range(first, min(first + 1_000, events))
        made = [
            created(originator_id=asset_id(n), digest=None, size=0, job_id="j") for n in numbers
        ]
        log.append([command(event) for event in made], lambda _: None)
    log.close()


async def make_contents(folder: Path) -> None:
    await (await open_local_contents(folder / "content")).close()


async def test_an_audit_beside_a_writing_server_finds_nothing(tmp_path: Path) -> None:
    """An audit ignores events that are committed after its start."""
    async with serving(Settings(data_dir=tmp_path / "data")) as api:
        await api.created(b"first", job_id="j")
        writing = asyncio.create_task(write_on(api))
        found = [await asyncio.to_thread(audited, tmp_path / "data", tmp_path) for _ in range(10)]
        writing.cancel()
        with suppress(asyncio.CancelledError):
            await writing

    assert found == [[]] * 10


async def write_on(api: Api) -> None:
    for n in count():
        headers = {"Idempotency-Key": f"key {n}"}
        await api.upload(b"%d" % n, headers=headers, name="a", job_id=f"j{n % 7}", node_id="n")
        if n % 5 == 0:
            await api.get("/api/log/checkpoint")
