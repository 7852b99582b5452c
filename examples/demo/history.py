"""Ten weeks of jobs, recorded through the SDK into a data folder of this process.

Promise: the pictures, sounds and texts depend on the seed alone; the times of the jobs are moved
back by days, and last as long as they really took.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

from asset_ledger import Asset, Graph, ProcessingContext, run_node, run_workflow
from asset_ledger.api.sdk.embedded import EmbeddedGateway
from asset_ledger.api.sdk.gateway import Gateway
from asset_ledger.api.sdk.open_folder import OpenFolder
from examples.demo import nodes, studies
from examples.demo.nodes import Frame, Take

USER: Final = "1"
"""The user of a server without tokens."""

BATCH: Final = 6
"""Frames that one run of a node works on."""

FOLDERS: Final = ("Renders", "Sound", "References")
MOODS: Final = ("evening", "mist", "noon", "plum", "snow", "night", "aurora", "dawn")
PLACES: Final = ("ridge", "valley", "alpine", "harbour", "col", "pass", "lake", "fjord")


class Calendar:
    """A clock that can be moved: it runs as ours does, some days behind."""

    def __init__(self) -> None:
        self._behind = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) - self._behind

    def move(self, days: float) -> None:
        """Show the time of some days ago. Times must not decrease: call it for ever fewer days."""
        self._behind = timedelta(days=days)


@asynccontextmanager
async def opened(folder: Path, calendar: Calendar) -> AsyncIterator[EmbeddedGateway]:
    """Open a data folder whose events have the times of a calendar."""
    gateway = EmbeddedGateway(OpenFolder(folder, calendar), USER)
    try:
        yield gateway
    finally:
        await gateway.close()


@dataclass(frozen=True, slots=True)
class Studio:
    """Where the jobs are recorded, and how large they are: 1 is a demonstration, 0.2 a test."""

    gateway: Gateway
    scale: float = 1.0

    def frames(self, number: int) -> int:
        return max(2, round(number * self.scale))

    def context(self, workflow: str, job: str, **parameters: object) -> ProcessingContext:
        return ProcessingContext(
            workflow_id=workflow, job_id=job, parameters=parameters, gateway=self.gateway
        )


async def landscape(
    studio: Studio, take: Take, number: int, frames: int, batch: int = BATCH
) -> None:
    """Run the workflow landscape-v3: batches of frames pass through its nodes side by side."""
    job = f"{take.name}_{number:04d}"
    parameters = {"seed": take.seed, "mood": take.mood, "frames": frames, "warmth": take.warmth}
    async with studio.context("landscape-v3", job, model="ridge-xl", **parameters) as context:
        prompt = await run_node(nodes.Prompt(take), context)
        caption = await run_node(nodes.Caption(take), context, derived_from=prompt.assets)
        end = take.first + frames
        starts = range(take.first, end, BATCH)
        turns = asyncio.Semaphore(2)

        async def pass_through(start: int) -> list[Frame]:
            async with turns:
                wanted = range(start, min(start + BATCH, end))
                return await _batch(context, take, wanted, caption.assets[0])

        narration = run_node(nodes.Narrate(take.seed), context, derived_from=prompt.assets)
        batches, _ = await asyncio.gather(asyncio.gather(*map(pass_through, starts)), narration)
        finals = [frame for batch in batches for frame in batch]
        await run_node(nodes.Sheet(take, finals), context)
        await run_node(nodes.Measure(take, finals), context)


async def _batch(
    context: ProcessingContext, take: Take, frames: Sequence[int], caption: Asset
) -> list[Frame]:
    drawn = (await run_node(nodes.Sampler(take, frames, caption), context)).value
    depths = (await run_node(nodes.Depth(take, drawn), context)).value
    large = await run_node(nodes.Upscale(take, [frame for frame, _ in drawn], depths), context)
    graded: list[Frame] = (await run_node(nodes.Grade(take, large.value), context)).value
    return graded


async def sketches(studio: Studio, take: Take, number: int, frames: int) -> None:
    """Run the workflow sketches: small frames, not enlarged."""
    job = f"{take.name}_{number:04d}"
    async with studio.context("sketches", job, seed=take.seed, mood=take.mood) as context:
        caption = await run_node(nodes.Caption(take), context)
        wanted = range(take.first, take.first + frames)
        drawn = await run_node(nodes.Sampler(take, wanted, caption.assets[0]), context)
        await run_node(nodes.Grade(take, [frame for frame, _ in drawn.value]), context)


async def graph(studio: Studio, workflow: str, job: str, plan: Graph, **parameters: object) -> None:
    """Run a workflow of other nodes as one graph."""
    async with studio.context(workflow, job, **parameters) as context:
        await run_workflow(plan, context)


async def textures(studio: Studio, seed: int) -> None:
    plan: Graph = {studies.Texture(seed): {}}
    await graph(studio, "marble-textures", f"marble_{seed:02d}", plan, seed=seed)


async def windows(studio: Studio, seed: int) -> None:
    await graph(studio, "stained-glass", f"window_{seed:02d}", {studies.Glass(seed, 4): {}})


async def tapes(studio: Studio, seed: int) -> None:
    await graph(studio, "ambience", f"field-tape_{seed:02d}", {studies.Ambience(seed): {}})


async def zoom(studio: Studio) -> None:
    plan: Graph = {studies.Zoom(studio.frames(16)): {}}
    await graph(studio, "fractal-zoom", "seahorse_01", plan, step=1.35)


async def covers(studio: Studio, seed: int) -> None:
    planet, cover = studies.Planet(seed), studies.Cover("OUTER WORLDS")
    plan: Graph = {planet: {}, cover: {"planets": planet}}
    await graph(studio, "planet-covers", f"outer-worlds_{seed:02d}", plan, seed=seed)


async def island(studio: Studio, number: int, side: int) -> None:
    """Run terrain-mesh. A light map of more than 6,688 x 6,688 does not fit into its memory."""
    heights, mesh, bake = studies.Heights(number), studies.Mesh(number), studies.Bake(side)
    plan: Graph = {heights: {}, mesh: {"heights": heights}, bake: {"mesh": mesh}}
    job = f"island-bake_{number:04d}"
    await graph(studio, "terrain-mesh", job, plan, seed=number)


async def today(studio: Studio) -> None:
    """Run small jobs side by side, as on a busy day."""
    mist, noon = Take("fjord-mist", "mist", 71, first=12), Take("lake-noon", "noon", 72, first=6)
    night = Take("pass-night", "night", 73, first=7)
    await asyncio.gather(
        sketches(studio, mist, 64, 3),
        sketches(studio, noon, 19, 3),
        sketches(studio, night, 7, 3),
        fails(island(studio, 13, 7168)),
    )
    await asyncio.gather(
        covers(studio, 21),
        textures(studio, 15),
        windows(studio, 14),
        tapes(studio, 5),
        island(studio, 12, 2048),
        sketches(studio, replace(mist, mood="plum", name="ridge-plum", seed=74), 65, 3),
    )


async def fails(work: Awaitable[None]) -> None:
    """Wait for a job that runs out of memory."""
    with suppress(MemoryError):
        await work


async def tidy(studio: Studio, folders: Mapping[str, Asset]) -> None:
    """Do what people do with results: folders, tags, a better text, and a deletion."""
    gateway = studio.gateway
    desk = ProcessingContext(gateway=gateway, workflow_id="notes", job_id="by-hand")
    for kind, folder in (("image/jpeg", "Renders"), ("audio/", "Sound"), ("model/", "References")):
        async for asset in Asset.iterate(content_type=kind, gateway=gateway):
            if asset.job_id not in {"lofoten-dawn_0141", "lofoten-dawn_0142"}:
                await asset.update(parent_id=folders[folder].id)
    await _edited(desk)
    finals, _ = await Asset.paginate(
        node_id="grade", workflow_id="sketches", limit=9, gateway=gateway
    )
    for n, asset in enumerate(finals[:6]):
        await asset.update(tags=["favourite", "cover"] if n % 3 == 0 else ["favourite"])
    await finals[6].delete()
    (gone,) = await finals[7].delete()
    assert gone == finals[7].id
    await finals[7].restore()


async def _edited(desk: ProcessingContext) -> None:
    """Record a text, and replace it twice."""
    guide = "# House style\n\n- Warm light, low contrast.\n- No people.\n- 4:3, never square.\n"
    note = await desk.create_asset("house_style.md", "text/markdown", guide.encode())
    better = guide.replace("No people.", "People only from afar.")
    note = await nodes.replaced(note, better.encode())
    await nodes.replaced(note, (better + "- Fog hides the valley floor.\n").encode())


Job = tuple[float, Callable[[Studio], Awaitable[None]]]
"""Days ago, and what runs then."""


def jobs(studio: Studio) -> list[Job]:
    """Return every job of the ten weeks, oldest first."""
    small = (320, 240)
    lofoten = Take("lofoten-dawn", "dawn", 31, first=118)
    plum = Take("plum-dusk", "plum", 58, first=203)
    ridge = Take("ridge-evening", "evening", 12, first=91)
    frames = studio.frames(24)
    found: list[Job] = [
        (7.3 * (8 - n) + 9.4, partial(_sketch, Take(f"{PLACES[n]}-{mood}", mood, 40 + n, small), n))
        for n, mood in enumerate(MOODS)
    ]
    found += [
        (61.2, lambda s: textures(s, 4)),
        (47.8, lambda s: tapes(s, 2)),
        (40.1, lambda s: covers(s, 3)),
        (33.6, zoom),
        (26.5, lambda s: textures(s, 9)),
        (19.7, lambda s: windows(s, 5)),
        (12.3, lambda s: covers(s, 11)),
        (6.4, lambda s: fails(island(s, 7, 8192))),
        (6.3, lambda s: island(s, 7, 4096)),
        (3.2, lambda s: landscape(s, plum, 211, s.frames(12))),
        (
            2.1,
            lambda s: landscape(s, ridge, 98, s.frames(12)),
        ),
        (1.1, lambda s: landscape(s, lofoten, 141, frames)),
        (0.17, lambda s: landscape(s, replace(lofoten, warmth=-0.3), 142, frames)),
        (0.004, today),
    ]
    return sorted(found, key=lambda each: -each[0])


async def _sketch(take: Take, number: int, studio: Studio) -> None:
    await sketches(studio, take, 3 + 7 * number, studio.frames(6))


async def record(folder: Path, scale: float = 1.0) -> None:
    """Record everything into a new data folder."""
    calendar = Calendar()
    calendar.move(80)
    async with opened(folder, calendar) as gateway:
        studio = Studio(gateway, scale)
        home = ProcessingContext(gateway=gateway, workflow_id="notes", job_id="by-hand")
        folders = {name: await home.create_asset(name, "folder") for name in FOLDERS}
        for days, run in jobs(studio):
            calendar.move(days)
            await run(studio)
        calendar.move(0)
        await tidy(studio, folders)


async def watched(gateway: Gateway, pause: float, frames: int = 40) -> None:
    """Run sketches that take their time: one frame, and its grade, after another."""
    studio, take = Studio(gateway), Take("aurora-lake", "aurora", 77, (320, 240))
    async with studio.context("sketches", "aurora-lake_0031", mood="aurora") as context:
        caption = await run_node(nodes.Caption(take), context)
        for n in range(frames):
            drawn = await run_node(nodes.Sampler(take, [n + 1], caption.assets[0]), context)
            await run_node(nodes.Grade(take, [frame for frame, _ in drawn.value]), context)
            await asyncio.sleep(pause)
