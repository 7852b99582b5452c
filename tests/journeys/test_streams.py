"""Fifty who follow the log while eight write it, hanging up and coming back: each sees it all."""

import asyncio
import random
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from tests.journeys.client import FORM, form
from tests.journeys.server import PATIENCE, serving

pytestmark = pytest.mark.slow

WRITERS = 8
UPLOADS = 60
SUBSCRIBERS = 50


@dataclass
class Subscriber:
    """Follows one job, or all of them, to the end, and hangs up whenever he feels like it."""

    job_id: str | None
    mood: random.Random
    seen: list[int] = field(default_factory=list)
    ended: int = 0
    calls: int = 0

    @property
    def done(self) -> bool:
        return self.ended == (1 if self.job_id else WRITERS)

    async def follow(self, session: aiohttp.ClientSession) -> None:
        while not self.done:
            self.calls += 1
            headers = {"Last-Event-ID": str(self.seen[-1])} if self.seen else {}
            query = asked(self.job_id) | {"after": "0"}
            async with session.get("/api/events/stream", params=query, headers=headers) as answer:
                await self._listen(answer.content, self.mood.randrange(1, 60))

    async def _listen(self, lines: aiohttp.StreamReader, events: int) -> None:
        """One connection: so many events of it."""
        position = 0
        async for line in lines:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "id":
                position = int(value)
            elif name == "event":
                self.seen.append(position)
                self.ended += value == "job.finished"
                events -= 1
            elif not name and (self.done or not events):
                return


def asked(job_id: str | None) -> dict[str, str]:
    return {"job_id": job_id} if job_id else {}


async def write(session: aiohttp.ClientSession, job_id: str) -> None:
    """One job: its uploads, and its end."""
    for number in range(UPLOADS):
        body = form(b"content", {"name": f"{number}", "job_id": job_id})
        async with session.post("/api/assets", data=body, headers=FORM) as answer:
            assert answer.status == 201, await answer.read()
    path = f"/api/jobs/{job_id}/finish"
    async with session.post(path, json={"status": "completed"}) as answer:
        assert answer.status == 200, await answer.read()


async def recorded(session: aiohttp.ClientSession, job_id: str | None) -> list[int]:
    """What there is to see, as a page of the log."""
    query = asked(job_id) | {"limit": "1000"}
    async with session.get("/api/events", params=query) as answer:
        return [event["position"] for event in (await answer.json())["events"]]


async def test_each_of_fifty_sees_every_event_once_and_in_order(tmp_path: Path) -> None:
    jobs = [f"job_{number}" for number in range(WRITERS)]
    moods = [random.Random(number) for number in range(SUBSCRIBERS)]
    subscribers = [
        Subscriber(jobs[n % WRITERS] if n % 2 else None, moods[n]) for n in range(SUBSCRIBERS)
    ]
    with serving(tmp_path / "data") as server:
        connector = aiohttp.TCPConnector(limit=0)
        async with (
            asyncio.timeout(2 * PATIENCE),
            aiohttp.ClientSession(server.url, connector=connector) as session,
        ):
            async with asyncio.TaskGroup() as group:
                for subscriber in subscribers:
                    group.create_task(subscriber.follow(session))
                for job_id in jobs:
                    group.create_task(write(session, job_id))

            everything = {job_id: await recorded(session, job_id) for job_id in [None, *jobs]}

    assert len(everything[None]) == WRITERS * (UPLOADS + 1)
    assert [s.seen for s in subscribers] == [everything[s.job_id] for s in subscribers]
    assert sum(subscriber.calls for subscriber in subscribers) > 2 * SUBSCRIBERS
