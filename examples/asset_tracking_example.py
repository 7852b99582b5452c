"""Who made what: three nodes paint images, and four questions are answered about them.

    python examples/asset_tracking_example.py
    ASSET_LEDGER_URL=http://127.0.0.1:7777 python examples/asset_tracking_example.py

With ASSET_LEDGER_URL it asks that ledger, else one in a temporary folder. Promise: each question
is a function of a few lines, which can be copied into a workflow of one's own.
"""

import asyncio
import os
import random
import secrets
import struct
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from asset_ledger import Asset, BaseNode, Graph, Output, ProcessingContext, connect, run_workflow


@dataclass(frozen=True)
class Picture:
    """Grey pixels, row by row. It offers itself as a PNG, so that nodes may just return it."""

    width: int
    height: int
    pixels: bytes

    def to_asset(self) -> Output:
        return Output(self.png, content_type="image/png", metadata={"width": self.width})

    def png(self) -> bytes:
        """A PNG (ISO/IEC 15948) of 8-bit grey: a signature and three chunks."""
        head = struct.pack(">IIBBBBB", self.width, self.height, 8, 0, 0, 0, 0)
        rows = (self.pixels[y * self.width : (y + 1) * self.width] for y in range(self.height))
        body = zlib.compress(b"".join(b"\0" + row for row in rows))
        chunks = _chunk(b"IHDR", head) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")
        return b"\x89PNG\r\n\x1a\n" + chunks


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


class Noise(BaseNode):
    """Paints noise. What it returns is saved by itself."""

    _auto_save_asset = True

    def __init__(self, *, id: str, size: int = 64, seed: int = 0) -> None:
        super().__init__(id=id)
        self.size, self.seed = size, seed

    async def process(self, context: ProcessingContext) -> Picture:
        pixels = random.Random(self.seed).randbytes(self.size * self.size)
        return Picture(self.size, self.size, pixels)


class Blur(BaseNode):
    """Blurs the picture that it is fed, twice, and returns both. Each is saved by itself."""

    _auto_save_asset = True
    picture: Picture

    async def process(self, context: ProcessingContext) -> dict[str, Picture]:
        once = self._blurred(self.picture)
        return {"once": once, "twice": self._blurred(once)}

    def _blurred(self, picture: Picture) -> Picture:
        p = picture.pixels
        pixels = bytes((p[n - 1] + p[n] + p[(n + 1) % len(p)]) // 3 for n in range(len(p)))
        return Picture(picture.width, picture.height, pixels)


class ContactSheet(BaseNode):
    """Puts pictures side by side. It records its asset by hand, under a name of its own choice."""

    original: Picture
    blurred: dict[str, Picture]

    async def process(self, context: ProcessingContext) -> Asset:
        pictures = [self.original, *self.blurred.values()]
        width, height = self.original.width, self.original.height
        rows = (
            picture.pixels[y * width : (y + 1) * width]
            for y in range(height)
            for picture in pictures
        )
        sheet = Picture(width * len(pictures), height, b"".join(rows))
        return await context.create_asset(
            name=f"sheet_{self.id}.png",
            content_type="image/png",
            content=sheet.png(),
            tags=["final"],
        )


async def run_job(job_id: str, seed: int) -> None:
    """One run of the workflow. The context records that the job began, and how it ended."""
    noise, blur, sheet = Noise(id="noise", seed=seed), Blur(id="blur"), ContactSheet(id="sheet")
    graph: Graph = {blur: {"picture": noise}, sheet: {"original": noise, "blurred": blur}}
    async with ProcessingContext(workflow_id="contact_sheet", job_id=job_id) as context:
        await run_workflow(graph, context)


async def debug_one_node(node_id: str, job_id: str) -> None:
    """What did this node make in this job, and of what?"""
    assets, _ = await Asset.paginate(node_id=node_id, job_id=job_id)
    for asset in assets:
        sources = [(await Asset.get(source)).name for source in asset.derived_from]
        print(f"  {asset.name}: {asset.size:,} bytes, made of {', '.join(sources)}")


async def show_job_results(job_id: str, folder: Path) -> None:
    """Everything that a job made, saved into a folder."""
    async for asset in Asset.iterate(job_id=job_id):
        path = await asset.save(folder / f"{asset.id}.png")
        print(f"  {asset.name}: by node {asset.node_id}, saved as {path.name}")


async def show_workflow_outputs(workflow_id: str) -> None:
    """The last images of a workflow, of whatever job, newest first."""
    newest = Asset.iterate(workflow_id=workflow_id, node_id="sheet", sort="-created_at")
    async for asset in newest:
        print(f"  {asset.name}: of job {asset.job_id}, tagged {', '.join(asset.tags)}")


async def show_performance_by_node(workflow_id: str) -> None:
    """Which node makes the most, and the largest?"""
    for usage in await Asset.usage(group_by="node_id", workflow_id=workflow_id):
        print(f"  {usage.key}: {usage.count} assets, {usage.bytes:,} bytes")


async def show_everything() -> None:
    """Two runs of the workflow, and the four questions."""
    run = secrets.token_hex(4)  # a ledger remembers: yesterday's jobs are still there
    first, second = f"first-{run}", f"second-{run}"
    await run_job(first, seed=1)
    await run_job(second, seed=2)
    print(f"debugging node blur in job {first}:")
    await debug_one_node("blur", first)
    print(f"results of job {second}:")
    with tempfile.TemporaryDirectory() as folder:
        await show_job_results(second, Path(folder))
    print("outputs of the workflow:")
    await show_workflow_outputs("contact_sheet")
    print("performance by node:")
    await show_performance_by_node("contact_sheet")


async def main() -> None:
    """Ask the ledger of ASSET_LEDGER_URL, or else one of its own."""
    if "ASSET_LEDGER_URL" in os.environ:
        await show_everything()
        return
    with tempfile.TemporaryDirectory() as folder:
        async with connect(data_dir=folder):
            await show_everything()


if __name__ == "__main__":
    asyncio.run(main())
