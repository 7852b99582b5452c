"""A month of a team, played in seconds: what was acknowledged is there at the end, here and in a
ledger that was restored elsewhere, and the disk holds what the plan of the collection said.

The committer's clock is simulated: it begins thirty days ago and reaches the present.
"""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from asset_ledger.api.engine import open_group_commit
from asset_ledger.api.settings import Settings
from asset_ledger.ledger.commit.thread import ThreadWorker
from tests.api.running import Api, serving
from tests.journeys.server import run

DAYS: Final = 30
RETENTION: Final = {"retain_deleted": "7d", "retain_versions": "1"}
AHEAD: Final = 256 << 10
"""Bytes that the last pack may have ahead of its end."""


@dataclass
class Team:
    """What the team did, and what it may expect: the contents of each asset, oldest first."""

    dice: random.Random
    contents: dict[str, list[bytes]] = field(default_factory=dict)
    deleted: dict[str, int] = field(default_factory=dict)

    def content(self) -> bytes:
        return self.dice.randbytes(self.dice.choice((50, 3_000, 40_000, 150_000)))

    def some(self, *, live: bool = True) -> str:
        return self.dice.choice([each for each in self.contents if (each in self.deleted) != live])

    async def day(self, api: Api, day: int) -> None:
        for _ in range(4):
            content = self.content()
            asset = await api.created(content, name=f"{day}", job_id=f"job {day}", node_id="n")
            self.contents[asset["id"]] = [content]
        replaced, content = self.some(), self.content()
        await self._done(api, "PUT", f"/api/assets/{replaced}/content", data=content)
        self.contents[replaced].append(content)
        await self._done(api, "PATCH", f"/api/assets/{self.some()}", json={"tags": [f"{day}"]})
        gone = self.some()
        await self._done(api, "DELETE", f"/api/assets/{gone}")
        self.deleted[gone] = day
        if day % 3 == 2:
            back = self.some(live=False)
            await self._done(api, "POST", f"/api/assets/{back}/restore")
            del self.deleted[back]

    async def _done(self, api: Api, method: str, path: str, **options: Any) -> None:
        answer = await api.call(method, path, **options)
        assert answer.status == 200, answer.body

    async def check(self, api: Api) -> None:
        """Check every live asset, its history, and the retained earlier version."""
        assert {each["id"] for each in await everything(api)} == {*self.contents} - {*self.deleted}
        for each, contents in self.contents.items():
            if each not in self.deleted:
                assert (await api.get(f"/api/assets/{each}/content")).body == contents[-1]
                history = (await api.get(f"/api/assets/{each}/history")).json["events"]
                topics = [event["topic"] for event in history]
                assert topics.count("asset.content_replaced") == len(contents) - 1

    @property
    def retained(self) -> int:
        """The bytes that a collection on the last day leaves."""
        young = [day for day in self.deleted.values() if day > DAYS - 7]
        kept = [
            content
            for each, contents in self.contents.items()
            if each not in self.deleted or self.deleted[each] in young
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


@pytest.mark.slow
async def test_a_month_of_a_team_ends_with_everything_that_was_acknowledged(
    data_dir: Path, tmp_path: Path
) -> None:
    team, calendar, backups = Team(random.Random("month")), Calendar(), tmp_path / "backups"
    for week in range(5):
        async with calendar.serving(data_dir) as api:
            for _ in range(6):
                calendar.day += 1
                await team.day(api, calendar.day)
        command("backup", "create", backups, "--data-dir", data_dir, "--with-key")
        if week == 2:  # a release with other tables: they are made again from the events
            for path in data_dir.glob("projections.g*"):
                path.unlink()
    async with calendar.serving(data_dir) as api:
        await team.check(api)
        body = {**RETENTION, "apply": True}
        planned = (await api.call("POST", "/api/collection", json={**body, "apply": False})).json
        done = (await api.call("POST", "/api/collection", json=body)).json
        assert (done["count"], done["size"]) == (planned["count"], planned["size"])
        sizes = api.backend.collect.sizes
        assert sum(each.size for each in sizes.values()) == team.retained
        await team.check(api)
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
