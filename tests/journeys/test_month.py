"""A month of a team, played in seconds: what was acknowledged is there at the end, here and in a
ledger that was restored elsewhere, and the disk holds what the plan of the collection said.

The committer's clock is simulated: it begins thirty days ago and reaches the present. Each week
ends with a collection and a backup. In the third one, a release with a migration serves.
"""

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from asset_ledger.api.engine import open_group_commit
from asset_ledger.api.settings import Settings
from asset_ledger.ledger.commit.thread import ThreadWorker
from asset_ledger.projections.migrations import Migration
from tests.api.http.test_uploads import append, create, metadata
from tests.api.running import Api, serving
from tests.journeys.server import run
from tests.projections.before import PLANTED, add_smell, columns_of, plant

DAYS: Final = 30
KEPT_DAYS: Final = 7
AHEAD: Final = 256 << 10
"""Bytes that the last pack may have ahead of its end."""


@dataclass
class Team:
    """What the team did, and what it may expect: the contents of each asset, oldest first.

    `deleted`: the day of a deletion. `collected`: deleted assets without bytes.
    """

    dice: random.Random
    contents: dict[str, list[bytes]] = field(default_factory=dict)
    deleted: dict[str, int] = field(default_factory=dict)
    collected: set[str] = field(default_factory=set)

    def content(self) -> bytes:
        return self.dice.randbytes(self.dice.choice((50, 3_000, 40_000, 150_000)))

    def some(self, *, live: bool = True) -> str:
        return self.dice.choice([each for each in self.contents if (each in self.deleted) != live])

    async def day(self, api: Api, day: int) -> None:
        for _ in range(3):
            content = self.content()
            asset = await api.created(content, name=f"{day}", job_id=f"job {day}", node_id="n")
            self.contents[asset["id"]] = [content]
        new = await self._sent(api, content := self.content(), name=f"{day}", job_id=f"job {day}")
        self.contents[new] = [content]
        replaced, content = self.some(), self.content()
        if day % 2:
            assert await self._sent(api, content, asset_id=replaced) == replaced
        else:
            await self._done(api, "PUT", f"/api/assets/{replaced}/content", data=content)
        self.contents[replaced].append(content)
        await self._done(api, "PATCH", f"/api/assets/{self.some()}", json={"tags": [f"{day}"]})
        gone = self.some()
        await self._done(api, "DELETE", f"/api/assets/{gone}")
        self.deleted[gone] = day
        if day % 3 == 2:
            await self._restore(api, self.some(live=False))

    async def _restore(self, api: Api, gone: str) -> None:
        """Restore a deleted asset, which is refused if its bytes were collected."""
        answer = await api.call("POST", f"/api/assets/{gone}/restore")
        if gone in self.collected:
            assert (answer.status, answer.slug) == (409, "not-restorable")
        else:
            assert answer.status == 200, answer.body
            del self.deleted[gone]

    async def _sent(self, api: Api, content: bytes, **fields: str) -> str:
        """Send a resumable upload in two pieces, and return the id of its asset."""
        half = len(content) // 2
        declared = {"Upload-Metadata": metadata(**fields)}
        path = (await create(api, len(content), declared, content[:half])).headers["Location"]
        return (await append(api, path, half, content[half:])).headers["Ledger-Asset"]

    async def _done(self, api: Api, method: str, path: str, **options: Any) -> None:
        answer = await api.call(method, path, **options)
        assert answer.status == 200, answer.body

    async def collect(self, api: Api, day: int) -> None:
        """Collect, as of a day: the clock of plans is not simulated. Check that the plan holds."""
        retention = {"retain_deleted": f"{DAYS - day + KEPT_DAYS}d", "retain_versions": "1"}
        body = {**retention, "apply": True}
        planned = (await api.call("POST", "/api/collection", json={**body, "apply": False})).json
        done = (await api.call("POST", "/api/collection", json=body)).json
        assert (done["count"], done["size"]) == (planned["count"], planned["size"])
        self.collected |= {each for each, when in self.deleted.items() if when <= day - KEPT_DAYS}
        sizes = api.backend.collect.sizes
        assert sum(each.size for each in sizes.values()) == self.retained
        await self.check(api)

    async def check(self, api: Api) -> None:
        """Check every live asset, its history, and the retained earlier version."""
        assert {each["id"] for each in await everything(api)} == {*self.contents} - {*self.deleted}
        for each, contents in self.contents.items():
            history = (await api.get(f"/api/assets/{each}/history")).json["events"]
            new = ("asset.created", "asset.content_replaced")
            versions = [event["version"] for event in history if event["topic"] in new]
            assert len(versions) == len(contents)
            if each not in self.deleted:
                for version, content in list(zip(versions, contents, strict=True))[-2:]:
                    path = f"/api/assets/{each}/content?version={version}"
                    assert (await api.get(path)).body == content

    @property
    def retained(self) -> int:
        """The bytes that the last collection left."""
        kept = [
            content
            for each, contents in self.contents.items()
            if each not in self.collected
            for content in contents[-2:]
        ]
        return sum(map(len, {*kept}))


async def everything(api: Api) -> list[Any]:
    found, cursor = list[Any](), ""
    while True:
        page = (await api.get(f"/api/assets?page_size=50&cursor={cursor}")).json
        found += page["assets"]
        if not (cursor := page["next"]):
            return found


class Calendar:
    """The committer's clock: `day` of the month, of which the last one is today."""

    day = 0

    def __call__(self) -> datetime:
        return datetime.now(UTC) - timedelta(days=DAYS - self.day)

    @asynccontextmanager
    async def serving(self, data_dir: Path) -> AsyncIterator[Api]:
        files = partial(open_group_commit, data_dir, clock=self)
        settings = Settings(data_dir=data_dir, scrub_interval="1h")
        async with serving(settings, worker=ThreadWorker(files)) as api:
            yield api


def command(*arguments: str | Path) -> None:
    done = run(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def later_release() -> Iterator[None]:
    """Run a release with one more migration, which fills the tables from the log."""
    migration = Migration(PLANTED, add_smell, needs_events=True)
    with pytest.MonkeyPatch.context() as patch:
        plant(patch, migration)
        yield


@pytest.mark.slow
async def test_a_month_of_a_team_ends_with_everything_that_was_acknowledged(
    data_dir: Path, tmp_path: Path
) -> None:
    team, calendar, backups = Team(random.Random("month")), Calendar(), tmp_path / "backups"
    for week in range(5):
        with later_release() if week == 2 else nullcontext():
            async with calendar.serving(data_dir) as api:
                for _ in range(6):
                    calendar.day += 1
                    await team.day(api, calendar.day)
                await team.collect(api, calendar.day)
        command("backup", "create", backups, "--data-dir", data_dir, "--with-key")
        if week == 2:  # back to the release before: it makes its own tables from the log
            files = [*data_dir.glob("projections.g*.db")]
            assert any("smell" in columns_of(path) for path in files)
            for path in data_dir.glob("projections.g*"):
                path.unlink()
    stored = sum(p.stat().st_size for p in (data_dir / "content").rglob("*") if p.is_file())
    assert team.retained <= stored <= 2 * team.retained + AHEAD
    command("rebuild", "--data-dir", data_dir)
    command("scrub", "--data-dir", data_dir)
    command("verify", "--data-dir", data_dir)
    command("backup", "create", backups, "--data-dir", data_dir, "--with-key")
    command("backup", "restore", backups, "--data-dir", tmp_path / "elsewhere")
    async with calendar.serving(tmp_path / "elsewhere") as api:
        await team.check(api)
    command("verify", "--data-dir", tmp_path / "elsewhere")
