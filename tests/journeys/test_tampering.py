"""Whatever is changed in a log or its contents, an audit finds; what was made anew as a whole, only
a checkpoint that somebody kept."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from api.settings import Settings
from tests.api.running import serving
from tests.journeys.tampering import audited, tamper


class Kept(NamedTuple):
    """A data folder that nobody changed, and the checkpoints that an auditor took from it."""

    folder: Path
    checkpoints: list[str]


@pytest.fixture
async def kept(tmp_path: Path) -> Kept:
    """Something in every table: a framed job, keys, a deleted folder, large and small contents."""
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
    return Kept(folder, checkpoints)


@pytest.fixture
def copies(kept: Kept, tmp_path: Path) -> Iterator[Path]:
    """A place for a copy of the folder."""
    yield tmp_path / "copy"
    shutil.rmtree(tmp_path / "copy", ignore_errors=True)


def undetected(kept: Kept, copy: Path, seeds: range) -> list[tuple[int, str]]:
    """The changes that no audit found, by the seed that makes them again."""
    missed = []
    for seed in seeds:
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(kept.folder, copy)
        changed = tamper(copy, random.Random(seed))
        if not audited(copy, copy.parent, kept.checkpoints):
            missed.append((seed, changed))
    return missed


def test_nothing_is_found_where_nothing_was_changed(kept: Kept, tmp_path: Path) -> None:
    assert audited(kept.folder, tmp_path, kept.checkpoints) == []
    assert audited(kept.folder, tmp_path) == []


def test_a_hundred_changes_are_found(kept: Kept, copies: Path) -> None:
    assert undetected(kept, copies, range(100)) == []


@pytest.mark.slow
def test_a_thousand_changes_are_found(kept: Kept, copies: Path) -> None:
    assert undetected(kept, copies, range(100, 1_100)) == []
