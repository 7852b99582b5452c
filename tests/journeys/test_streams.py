"""Fifty subscribers of the feed reconnect while eight clients write: each gets every event once."""

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
    """A subscriber to one job or to all jobs, that reconnects after a random number of events."""

    job_id: str | None
    dice: random.Random
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
            query = filters(self.job_id) | {"after": "0"}
            async with session.get("/api/events/stream", params=query, headers=headers) as answer:
                await self._listen(answer.content, self.dice.randrange(1, 60))

    async def _listen(self, lines: aiohttp.StreamReader, events: int) -> None:
        """Read up to `events` events from one connection."""
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


def filters(job_id: str | None) -> dict[str, str]:
    return {"job_id": job_id} if job_id else {}


async def write(session: aiohttp.ClientSession, job_id: str) -> None:
    """Upload the assets of one job, and finish it."""
    for number in range(UPLOADS):
        body = form(b"content", {"name": f"{number}", "job_id": job_id})
        async with session.post("/api/assets", data=body, headers=FORM) as answer:
            assert answer.status == 201, await answer.read()
    path = f"/api/jobs/{job_id}/finish"
    async with session.post(path, json={"status": "completed"}) as answer:
        assert answer.status == 200, await answer.read()


async def recorded(session: aiohttp.ClientSession, job_id: str | None) -> list[int]:
    """Return the recorded positions of a job, or of all jobs."""
    query = filters(job_id) | {"limit": "1000"}
    async with session.get("/api/events", params=query) as answer:
        return [event["position"] for event in (await answer.json())["events"]]


async def test_each_of_fifty_subscribers_gets_every_event_once_in_order(tmp_path: Path) -> None:
    jobs = [f"job_{number}" for number in range(WRITERS)]
    dices = [random.Random(number) for number in range(SUBSCRIBERS)]
    subscribers = [
        Subscriber(jobs[n % WRITERS] if n % 2 else None, dices[n]) for n in range(SUBSCRIBERS)
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
