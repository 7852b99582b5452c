"""`asset-ledger witness`: a grown log is accepted, and another history is refused."""

import shutil
from pathlib import Path

import pytest

from asset_ledger.api.settings import Settings
from tests.api.cli.test_cli import in_thread
from tests.api.running import serving
from tests.journeys.server import run

pytestmark = pytest.mark.slow

FINE, FORKED, REFUSED = 0, 1, 2


def key_of(folder: Path) -> str:
    return run("key", "list", "--data-dir", folder).stdout.split()[-1]


async def test_witness_accepts_a_grown_log_and_refuses_a_fork(tmp_path: Path) -> None:
    folder, state = tmp_path / "data", ("--state", str(tmp_path / "seen.json"))
    async with serving(Settings(data_dir=folder)) as api:
        await api.created(b"1")
        first = await in_thread("witness", api.url, *state, "--key", key_of(folder))
    shutil.copytree(folder, tmp_path / "fork")
    async with serving(Settings(data_dir=folder)) as api:
        for n in range(3):
            await api.created(b"%d" % n)
        second = await in_thread("witness", api.url, *state)
        third = await in_thread("witness", api.url, *state)
    seen = (tmp_path / "seen.json").read_bytes()

    assert [done.returncode for done in (first, second, third)] == [FINE, FINE, FINE]
    assert f"has 2 events; saved its first checkpoint to {tmp_path / 'seen.json'}\n" in first.stdout
    assert "has 5 events; the 2 seen before are unchanged\n" in second.stdout
    assert "has 5 events; the 5 seen before are unchanged\n" in third.stdout

    async with serving(Settings(data_dir=tmp_path / "fork")) as api:
        shorter = await in_thread("witness", api.url, *state)
        for n in range(3):
            await api.created(b"other %d" % n)
        same_size = await in_thread("witness", api.url, *state)
        await api.created(b"more")
        longer = await in_thread("witness", api.url, *state)

    assert [done.returncode for done in (shorter, same_size, longer)] == [FORKED] * 3
    assert "it has 2 events now, and had 5" in shorter.stdout
    assert "two trees of 5 leaves have different roots" in same_size.stdout
    assert "does not begin with" in longer.stdout
    assert longer.stdout.count("\n— asset-ledger/") == 2
    assert (tmp_path / "seen.json").read_bytes() == seen


async def test_witness_accepts_a_rotated_key_that_the_kept_key_signed(tmp_path: Path) -> None:
    folder, state = tmp_path / "data", ("--state", str(tmp_path / "seen.json"))
    async with serving(Settings(data_dir=folder)) as api:
        first = await in_thread("witness", api.url, *state, "--key", key_of(folder))
        for _ in range(2):
            await api.call("POST", "/api/log/key/rotate")
        followed = await in_thread("witness", api.url, *state)
        repeated = await in_thread("witness", api.url, *state)

    assert [done.returncode for done in (first, followed, repeated)] == [FINE, FINE, FINE]
    assert f"the kept key signed the new one: {key_of(folder)}" in followed.stdout
    assert "the new one" not in repeated.stdout


async def test_witness_trusts_the_servers_key_only_on_first_use(
    tmp_path: Path,
) -> None:
    folder, state = tmp_path / "data", ("--state", str(tmp_path / "seen.json"))
    async with serving(Settings(data_dir=folder)) as api:
        trusted = await in_thread("witness", api.url, *state, "--trust-on-first-use")
    async with serving(Settings(data_dir=tmp_path / "other")) as api:
        other = await in_thread("witness", api.url, *state, "--trust-on-first-use")

    assert trusted.returncode == FINE
    assert f"trusted on first use: {key_of(folder)}" in trusted.stdout
    assert (other.returncode, "trusted" in other.stdout) == (FORKED, False)


async def test_witness_refuses_a_missing_wrong_or_invalid_key(tmp_path: Path) -> None:
    state = ("--state", str(tmp_path / "seen.json"))
    async with serving(Settings(data_dir=tmp_path / "other")):
        pass
    async with serving(Settings(data_dir=tmp_path / "data")) as api:
        without = await in_thread("witness", api.url, *state)
        wrong = await in_thread("witness", api.url, *state, "--key", key_of(tmp_path / "other"))
        invalid = await in_thread("witness", api.url, *state, "--key", "mine")

    assert [done.returncode for done in (without, wrong, invalid)] == [REFUSED] * 3
    assert "a verifier key must be <name>+<hash>+" in invalid.stderr
    assert "--key is needed once" in without.stderr
    assert "this is a checkpoint of asset-ledger/" in wrong.stderr
    assert not (tmp_path / "seen.json").exists()


async def test_witness_reports_another_key_and_a_broken_succession_as_tampering(
    tmp_path: Path,
) -> None:
    folder, state = tmp_path / "data", ("--state", str(tmp_path / "seen.json"))
    async with serving(Settings(data_dir=folder)) as api:
        first = await in_thread("witness", api.url, *state, "--trust-on-first-use")
    async with serving(Settings(data_dir=tmp_path / "other")) as api:
        other = await in_thread("witness", api.url, *state)
        await api.call("POST", "/api/log/key/rotate")
        rotated = await in_thread("witness", api.url, *state)

    assert [done.returncode for done in (first, other, rotated)] == [FINE, FORKED, FORKED]
    assert other.stdout.startswith("FORKED: ")
    assert (other.stderr, rotated.stderr) == ("", "")
