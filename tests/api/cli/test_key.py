"""`asset-ledger key`: listing and rotating the keys that sign checkpoints."""

from pathlib import Path

import orjson
import pytest

from asset_ledger.api.settings import Settings
from asset_ledger.ledger.merkle.checkpoint import open_checkpoint
from asset_ledger.ledger.merkle.proof import check_proof
from tests.api.running import serving
from tests.journeys.server import run
from tests.journeys.server import serving as process

FINE, REFUSED = 0, 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


async def checkpoint(folder: Path) -> str:
    """Start a server on this folder, and stop it. Return its checkpoint."""
    async with serving(Settings(data_dir=folder)) as api:
        return (await api.get("/api/log/checkpoint")).body.decode()


def keys(folder: Path) -> list[tuple[int, str]]:
    done = run("key", "list", "--json", "--data-dir", folder)
    assert (done.returncode, done.stderr) == (FINE, "")
    return [(each["since"], each["key"]) for each in map(orjson.loads, done.stdout.splitlines())]


@pytest.mark.slow
async def test_a_rotated_key_signs_and_old_signatures_still_hold(folder: Path) -> None:
    before = await checkpoint(folder)
    ((_, first),) = keys(folder)

    done = run("key", "rotate", "--data-dir", folder)

    assert (done.returncode, done.stderr) == (FINE, "")
    (since, old), (later, new) = keys(folder)
    assert (since, old, later) == (1, first, 2)
    assert new in done.stdout
    assert "from event 2 on" in done.stdout
    assert open_checkpoint(before, old).size == 1
    assert open_checkpoint(await checkpoint(folder), new).size == 2


@pytest.mark.slow
@pytest.mark.parametrize("auth", ["local", "tokens"])
def test_a_running_server_rotates_its_key_for_the_command(folder: Path, auth: str) -> None:
    with process(folder, "--auth", auth) as server:
        done = run("key", "rotate", "--json", "--data-dir", folder)
        assert (done.returncode, done.stderr) == (FINE, "")
        rotated = orjson.loads(done.stdout)
        second = orjson.loads(run("key", "rotate", "--json", "--data-dir", folder).stdout)

        assert keys(folder)[1:] == [(2, rotated["key"]), (3, second["key"])]
        verified = run("verify", "--data-dir", folder)
        assert verified.returncode == FINE, verified.stdout
        assert "Traceback" not in server.errors
        assert server.stop() == 0
    assert [path.name for path in folder.glob("*.key*")] == ["checkpoint.key"]


async def test_older_events_are_proven_under_a_rotated_key(folder: Path) -> None:
    async with serving(Settings(data_dir=folder)) as api:
        asset = await api.created(b"x")
    rotated = orjson.loads(run("key", "rotate", "--json", "--data-dir", folder).stdout)

    async with serving(Settings(data_dir=folder)) as api:
        proof = (await api.get(f"/api/assets/{asset['id']}/proof")).json
        assert (await api.get(f"/api/assets/{asset['id']}")).status == 200

    assert proof["key"] == rotated["key"]
    signed, (event,) = check_proof(proof, rotated["key"])
    assert (signed.size, event.position, rotated["since"]) == (3, 2, 3)


async def test_a_ledger_without_its_key_refuses_to_rotate(folder: Path) -> None:
    await checkpoint(folder)
    (folder / "checkpoint.key").unlink()

    refused = run("key", "rotate", "--data-dir", folder)

    assert refused.returncode == REFUSED
    assert refused.stderr == (
        "asset-ledger: checkpoint.key is not in the data folder, so no checkpoint can be "
        "signed: copy it from the original data folder or a backup\n"
    )
    assert list(folder.glob("checkpoint.key*")) == []
    assert len(keys(folder)) == 1
