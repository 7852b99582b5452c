"""`asset-ledger witness`: it remembers, and tells growth from another history."""

import shutil
from pathlib import Path

from asset_ledger.api.settings import Settings
from tests.api.cli.test_cli import in_thread
from tests.api.running import serving
from tests.journeys.server import run

FINE, FORKED, REFUSED = 0, 1, 2


def key_of(folder: Path) -> str:
    return run("key", "list", "--data-dir", folder).stdout.split()[-1]


async def test_a_log_that_grows_is_followed_and_a_fork_is_refused(tmp_path: Path) -> None:
    folder, state = tmp_path / "data", ("--state", str(tmp_path / "seen.json"))
    async with serving(Settings(data_dir=folder)) as api:
        await api.created(b"1")
        first = await in_thread("witness", api.url, *state, "--key", key_of(folder))
    shutil.copytree(folder, tmp_path / "fork")
    async with serving(Settings(data_dir=folder)) as api:
        for n in range(3):
            await api.created(b"%d" % n)
        second = await in_thread("witness", api.url, *state)
        again = await in_thread("witness", api.url, *state)
    seen = (tmp_path / "seen.json").read_bytes()

    assert [done.returncode for done in (first, second, again)] == [FINE, FINE, FINE]
    assert "has 5 events, and begins with all that was seen before" in again.stdout

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


async def test_a_rotated_key_is_followed_as_far_as_the_kept_one_signed(tmp_path: Path) -> None:
    folder, state = tmp_path / "data", ("--state", str(tmp_path / "seen.json"))
    async with serving(Settings(data_dir=folder)) as api:
        first = await in_thread("witness", api.url, *state, "--key", key_of(folder))
        for _ in range(2):
            await api.call("POST", "/api/log/key/rotate")
        followed = await in_thread("witness", api.url, *state)
        again = await in_thread("witness", api.url, *state)

    assert [done.returncode for done in (first, followed, again)] == [FINE, FINE, FINE]
    assert f"has signed its successor: {key_of(folder)}" in followed.stdout
    assert "successor" not in again.stdout


async def test_a_key_is_believed_at_first_sight_only_where_that_is_asked_for(
    tmp_path: Path,
) -> None:
    folder, state = tmp_path / "data", ("--state", str(tmp_path / "seen.json"))
    async with serving(Settings(data_dir=folder)) as api:
        believed = await in_thread("witness", api.url, *state, "--trust-on-first-use")
    async with serving(Settings(data_dir=tmp_path / "other")) as api:
        other = await in_thread("witness", api.url, *state, "--trust-on-first-use")

    assert believed.returncode == FINE
    assert f"believed at first sight: {key_of(folder)}" in believed.stdout
    assert (other.returncode, "believed" in other.stdout) == (REFUSED, False)


async def test_a_key_is_needed_once_and_has_to_be_the_logs(tmp_path: Path) -> None:
    state = ("--state", str(tmp_path / "seen.json"))
    async with serving(Settings(data_dir=tmp_path / "other")):
        pass
    async with serving(Settings(data_dir=tmp_path / "data")) as api:
        without = await in_thread("witness", api.url, *state)
        wrong = await in_thread("witness", api.url, *state, "--key", key_of(tmp_path / "other"))
        none = await in_thread("witness", api.url, *state, "--key", "mine")

    assert [done.returncode for done in (without, wrong, none)] == [REFUSED] * 3
    assert "a verifier key must be <name>+<hash>+" in none.stderr
    assert "--key is needed once" in without.stderr
    assert "this is a checkpoint of asset-ledger/" in wrong.stderr
    assert not (tmp_path / "seen.json").exists()
