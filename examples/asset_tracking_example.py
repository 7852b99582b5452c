"""Track the assets of a workflow: three nodes make images, and four queries are answered.

    python examples/asset_tracking_example.py
    ASSET_LEDGER_URL=http://127.0.0.1:7777 python examples/asset_tracking_example.py

Without ASSET_LEDGER_URL it uses a ledger in a temporary folder. Promise: each query is a short
function that can be copied into another program.
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
    """Grey pixels, row by row. `to_asset` lets nodes return a picture as their output."""

    width: int
    height: int
    pixels: bytes

    def to_asset(self) -> Output:
        return Output(self.png, content_type="image/png", metadata={"width": self.width})

    def png(self) -> bytes:
        """Encode as PNG (ISO/IEC 15948) of 8-bit grey: a signature and three chunks."""
        head = struct.pack(">IIBBBBB", self.width, self.height, 8, 0, 0, 0, 0)
        rows = (self.pixels[y * self.width : (y + 1) * self.width] for y in range(self.height))
        body = zlib.compress(b"".join(b"\0" + row for row in rows))
        chunks = _chunk(b"IHDR", head) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")
        return b"\x89PNG\r\n\x1a\n" + chunks


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


class Noise(BaseNode):
    """Returns noise. `run_workflow` saves the return value."""

    _auto_save_asset = True

    def __init__(self, *, id: str, size: int = 64, seed: int = 0) -> None:
        super().__init__(id=id)
        self.size, self.seed = size, seed

    async def process(self, context: ProcessingContext) -> Picture:
        pixels = random.Random(self.seed).randbytes(self.size * self.size)
        return Picture(self.size, self.size, pixels)


class Blur(BaseNode):
    """Blurs its input once and twice. `run_workflow` saves both pictures."""

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
    """Puts pictures side by side. It creates its asset itself, to choose the name."""

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
    """Run the workflow once. The context records the start and the end of the job."""
    noise, blur, sheet = Noise(id="noise", seed=seed), Blur(id="blur"), ContactSheet(id="sheet")
    graph: Graph = {blur: {"picture": noise}, sheet: {"original": noise, "blurred": blur}}
    async with ProcessingContext(workflow_id="contact_sheet", job_id=job_id) as context:
        await run_workflow(graph, context)


async def debug_one_node(node_id: str, job_id: str) -> None:
    """Print what this node made in this job, and from which sources."""
    assets, _ = await Asset.paginate(node_id=node_id, job_id=job_id)
    for asset in assets:
        sources = [(await Asset.get(source)).name for source in asset.derived_from]
        print(f"  {asset.name}: {asset.size:,} bytes, made of {', '.join(sources)}")


async def show_job_results(job_id: str, folder: Path) -> None:
    """Save every asset of a job into a folder."""
    async for asset in Asset.iterate(job_id=job_id):
        path = await asset.save(folder / f"{asset.id}.png")
        print(f"  {asset.name}: by node {asset.node_id}, saved as {path.name}")


async def show_workflow_outputs(workflow_id: str) -> None:
    """Print the final images of all jobs of a workflow, newest first."""
    newest = Asset.iterate(workflow_id=workflow_id, node_id="sheet", sort="-created_at")
    async for asset in newest:
        print(f"  {asset.name}: of job {asset.job_id}, tagged {', '.join(asset.tags)}")


async def show_performance_by_node(workflow_id: str) -> None:
    """Print count and bytes of the assets of each node."""
    for usage in await Asset.usage(group_by="node_id", workflow_id=workflow_id):
        print(f"  {usage.key}: {usage.count} assets, {usage.bytes:,} bytes")


async def show_everything() -> None:
    """Run the workflow twice, and answer the four queries."""
    run = secrets.token_hex(4)  # a new id, because earlier runs are still in the ledger
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
    """Use the ledger of ASSET_LEDGER_URL, or a temporary one."""
    if "ASSET_LEDGER_URL" in os.environ:
        await show_everything()
        return
    with tempfile.TemporaryDirectory() as folder:
        async with connect(data_dir=folder):
            await show_everything()


if __name__ == "__main__":
    asyncio.run(main())
