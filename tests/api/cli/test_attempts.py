"""The option --attempt of commands, from a data folder and from a server."""

import asyncio
import json
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from asset_ledger.api.settings import Settings
from tests.api.cli.test_audit_bundle import change, unpacked, verified
from tests.api.http.test_attempts import retried
from tests.api.running import Api, serving
from tests.journeys.server import run

pytestmark = pytest.mark.slow

Where = tuple[str | Path, ...]


@pytest.fixture(params=["data folder", "server"])
async def where(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Where]:
    """The options that name a ledger with a job of three attempts."""
    async with serving(Settings(data_dir=tmp_path / "data")) as api:
        await retried(api)
        if request.param == "server":
            yield "--url", api.url
    if request.param == "data folder":  # its lock is free, so that a command can sign a checkpoint
        yield "--data-dir", tmp_path / "data"


async def out(*arguments: str | Path, code: int = 0) -> str:
    done = await asyncio.to_thread(run, *arguments)
    assert done.returncode == code, done.stderr
    return done.stdout or done.stderr


@pytest.mark.parametrize(("attempt", "count"), [("1", 5), ("2", 4), ("3", 3)])
async def test_replay_lists_the_events_of_an_attempt(
    where: Where, attempt: str, count: int
) -> None:
    lines = (await out("replay", "j", "--attempt", attempt, "--json", *where)).splitlines()

    assert [json.loads(line)["attempt"] for line in lines] == [int(attempt)] * count


async def test_commands_name_an_attempt_that_has_not_begun(where: Where, tmp_path: Path) -> None:
    for command in (
        ("replay", "j", "--attempt", "4"),
        ("compare", "j", "j", "--attempt", "4"),
        ("audit-bundle", "j", "--attempt", "4", "-o", tmp_path / "none.zip"),
    ):
        said = await out(*command, *where, code=2)
        assert "has no attempt 4 of job j" in said
        assert said.count("\n") == 1
    assert not (tmp_path / "none.zip").exists()


@pytest.mark.parametrize(
    ("attempts", "compared", "code"),
    [((), [3, 3], 0), (("1",), [1, 1], 0), (("1", "2"), [1, 2], 1)],
)
async def test_compare_takes_the_last_attempts_or_the_named(
    where: Where, attempts: tuple[str, ...], compared: list[int], code: int
) -> None:
    options = [word for attempt in attempts for word in ("--attempt", attempt)]

    found = json.loads(await out("compare", "j", "j", "--json", *options, *where, code=code))

    assert [found["attempt_a"], found["attempt_b"]] == compared


async def test_bundle_of_an_attempt_has_its_events_and_files(where: Where, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.zip"
    await out("audit-bundle", "j", "--attempt", "1", "-o", bundle, *where)

    code, said = await asyncio.to_thread(verified, unpacked(bundle, tmp_path / "bundle"), bundle)

    with zipfile.ZipFile(bundle) as packed:
        files = [name for name in packed.namelist() if name.startswith("files/")]
    assert (code, len(files)) == (0, 2)
    assert "attempt 1 of job 'j' of user '1': 1 job.started, 2 asset.created" in said
    assert "the other attempts are left out: an event of this one may be missing, too" in said
    assert "event 13: this asset arrived after its attempt had ended" in said
    assert "was not finished" not in said


async def test_bundle_of_a_whole_job_shows_unfinished_attempts_and_late_assets(
    where: Where, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle.zip"
    await out("audit-bundle", "j", "-o", bundle, *where)

    code, said = await asyncio.to_thread(verified, unpacked(bundle, tmp_path / "bundle"), bundle)

    assert code == 0
    assert "job_seq counts 1, 2, 3 ...: no event is left out" in said
    assert "attempt 3 was not finished" in said
    assert "event 13: this asset arrived after its attempt had ended" in said


@pytest.mark.parametrize("attempt", [None, 2, 3])
async def test_bundle_that_names_another_attempt_is_wrong(
    api: Api, tmp_path: Path, attempt: int | None
) -> None:
    await retried(api)
    bundle = tmp_path / "bundle.zip"
    await out("audit-bundle", "j", "--attempt", "1", "-o", bundle, "--url", api.url)
    folder = unpacked(bundle, tmp_path / "bundle")
    change(folder, "manifest.json", lambda manifest: manifest.update(attempt=attempt))

    code, said = await asyncio.to_thread(verified, folder)

    assert code == 1
    assert ("the events are not all of attempt" in said) == (attempt is not None)
    assert ("job_seq is not 1, 2, 3" in said) == (attempt is None)


async def test_tail_prints_the_events_of_an_attempt(where: Where) -> None:
    options = ("--after", "0", "--count", "4", "--job", "j", "--attempt", "2", "--json")

    lines = (await out("tail", *options, *where)).splitlines()

    assert [json.loads(line)["attempt"] for line in lines] == [2] * 4


async def test_exports_take_an_attempt(api: Api) -> None:
    await retried(api)
    folder = api.backend.settings.data_dir

    for format in ("prov", "openlineage"):
        whole, one = [
            await out("export", format, "j", "--data-dir", folder, *options)
            for options in ((), ("--attempt", "2"))
        ]
        assert ("3.txt" in whole, "3.txt" in one, "2.txt" in one) == (True, False, True)
