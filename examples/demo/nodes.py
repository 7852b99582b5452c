"""The nodes of the workflows. Each draws in a thread, and records what it drew as it goes."""

import asyncio
import hashlib
import io
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from PIL import Image

from asset_ledger import Asset, BaseNode, ProcessingContext
from asset_ledger.api.sdk.content import opened
from examples.demo import patterns, scenery, sound
from examples.demo.paint import Size
from examples.demo.scenery import MOODS, Scene

T = TypeVar("T")

CAPTIONS: Final = {
    "dawn": "first light over a serrated ridge",
    "evening": "the sun behind seven ridges, warm dust in the air",
    "night": "a full moon over a pass, stars down to the horizon",
    "noon": "alpine noon, short shadows, thin high cloud",
    "plum": "plum dusk after rain, the west still glowing",
    "mist": "a valley in mist, the far side only guessed",
    "snow": "fresh snow on every ridge, no wind",
    "aurora": "green light over a lake without a wave",
}


async def drawn(draw: Callable[..., T], *arguments: object) -> T:
    """Return what a function draws, in a thread."""
    return await asyncio.to_thread(draw, *arguments)


def encoded(picture: Image.Image, kind: str) -> bytes:
    """Encode a picture as PNG, JPEG or WebP."""
    options = {"png": {"compress_level": 3}, "jpeg": {"quality": 92}, "webp": {"quality": 80}}
    body = io.BytesIO()
    picture.save(body, kind, **options[kind])
    return body.getvalue()


@dataclass(frozen=True, slots=True)
class Take:
    """What a landscape job draws: a place by its seed, a mood, and frames of one size."""

    name: str
    mood: str
    seed: int
    size: Size = (512, 384)
    first: int = 1
    warmth: float = 0.4
    contrast: float = 1.08

    def file(self, stem: str, frame: int, ending: str) -> str:
        return f"{stem}{self.name.replace('-', '_')}_{frame:04d}.{ending}"


@dataclass(frozen=True, slots=True)
class Frame:
    """One drawn frame and the asset that holds it."""

    number: int
    picture: Image.Image
    asset: Asset


async def replaced(asset: Asset, content: bytes) -> Asset:
    """Replace the bytes of an asset, and return its next version."""
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    async with opened(content) as upload:
        return Asset.of(await asset.gateway.replace(asset.id, upload, digest), asset.gateway)


class Prompt(BaseNode):
    """Writes the prompt of a take."""

    def __init__(self, take: Take) -> None:
        super().__init__(id="prompt")
        self.take = take

    async def process(self, context: ProcessingContext) -> Asset:
        lines = f"{CAPTIONS[self.take.mood]},\nlow fog in the fjord,\n35mm, soft grain\n"
        name = f"prompt_{self.take.name.replace('-', '_')}.txt"
        return await context.create_asset(name, "text/plain", lines.encode(), tags=["prompt"])


class Caption(BaseNode):
    """Describes the prompt as JSON."""

    def __init__(self, take: Take) -> None:
        super().__init__(id="caption")
        self.take = take

    async def process(self, context: ProcessingContext) -> Asset:
        text = CAPTIONS[self.take.mood]
        score = round(random.Random(self.take.seed).uniform(0.86, 0.98), 4)
        caption = {"caption": text, "score": score, "tokens": len(text.split()) * 2, "lang": "en"}
        name = f"caption_{self.take.name.replace('-', '_')}.json"
        body = json.dumps(caption, indent=2).encode()
        return await context.create_asset(name, "application/json", body)


class Sampler(BaseNode):
    """Paints some frames of a take, with their depth."""

    def __init__(self, take: Take, frames: Sequence[int], caption: Asset) -> None:
        super().__init__(id="sampler")
        self.take, self.frames, self.caption = take, frames, caption

    async def process(self, context: ProcessingContext) -> list[tuple[Frame, Scene]]:
        made = []
        for n in self.frames:
            take = self.take
            scene = await drawn(scenery.landscape, MOODS[take.mood], take.seed, n, take.size)
            asset = await context.create_asset(
                take.file("draft_", n, "png"),
                "image/png",
                await drawn(encoded, scene.picture, "png"),
                derived_from=[self.caption],
                metadata={"seed": take.seed * 1000 + n, "steps": 30, "sampler": "ddim"},
            )
            made.append((Frame(n, scene.picture, asset), scene))
        return made


class Depth(BaseNode):
    """Records the depth of each frame."""

    def __init__(self, take: Take, scenes: Sequence[tuple[Frame, Scene]]) -> None:
        super().__init__(id="depth")
        self.take, self.scenes = take, scenes

    async def process(self, context: ProcessingContext) -> list[Asset]:
        return [
            await context.create_asset(
                self.take.file("depth_", frame.number, "webp"),
                "image/webp",
                await drawn(encoded, scene.depth, "webp"),
                derived_from=[frame.asset],
            )
            for frame, scene in self.scenes
        ]


class Upscale(BaseNode):
    """Doubles the width and height of each frame."""

    def __init__(self, take: Take, frames: Sequence[Frame], depths: Sequence[Asset]) -> None:
        super().__init__(id="upscale-4x")
        self.take, self.frames, self.depths = take, frames, depths

    async def process(self, context: ProcessingContext) -> list[Frame]:
        made = []
        for frame, depth in zip(self.frames, self.depths, strict=True):
            large = await drawn(scenery.enlarged, frame.picture, frame.number)
            asset = await context.create_asset(
                self.take.file("", frame.number, "png"),
                "image/png",
                await drawn(encoded, large, "png"),
                derived_from=[frame.asset, depth],
            )
            made.append(Frame(frame.number, large, asset))
        return made


class Grade(BaseNode):
    """Grades the colours of each frame."""

    def __init__(self, take: Take, frames: Sequence[Frame]) -> None:
        super().__init__(id="grade")
        self.take, self.frames = take, frames

    async def process(self, context: ProcessingContext) -> list[Frame]:
        made = []
        for frame in self.frames:
            take = self.take
            final = await drawn(scenery.graded, frame.picture, take.warmth, take.contrast)
            asset = await context.create_asset(
                take.file("graded_", frame.number, "jpg"),
                "image/jpeg",
                await drawn(encoded, final, "jpeg"),
                derived_from=[frame.asset],
                metadata={"warmth": take.warmth, "contrast": take.contrast},
            )
            made.append(Frame(frame.number, final, asset))
        return made


class Sheet(BaseNode):
    """Puts all frames on one sheet."""

    def __init__(self, take: Take, frames: Sequence[Frame]) -> None:
        super().__init__(id="contact-sheet")
        self.take, self.frames = take, frames

    async def process(self, context: ProcessingContext) -> Asset:
        sheet = await drawn(sheet_of, [frame.picture for frame in self.frames])
        return await context.create_asset(
            f"sheet_{self.take.name.replace('-', '_')}.jpg",
            "image/jpeg",
            await drawn(encoded, sheet, "jpeg"),
            derived_from=[frame.asset for frame in self.frames],
            tags=["final"],
        )


def sheet_of(pictures: Sequence[Image.Image], across: int = 4) -> Image.Image:
    """Return pictures in rows on dark paper."""
    width, height, gap = 320, 240, 12
    rows = -(-len(pictures) // across)
    size = across * (width + gap) + gap, rows * (height + gap) + gap
    sheet = Image.new("RGB", size, (22, 22, 24))
    for n, picture in enumerate(pictures):
        place = gap + n % across * (width + gap), gap + n // across * (height + gap)
        sheet.paste(picture.resize((width, height)), place)
    return sheet


class Narrate(BaseNode):
    """Speaks, without words."""

    def __init__(self, seed: int, takes: int = 2, seconds: float = 6) -> None:
        super().__init__(id="narrate")
        self.seed, self.takes, self.seconds = seed, takes, seconds

    async def process(self, context: ProcessingContext) -> list[Asset]:
        made = []
        for take in range(1, self.takes + 1):
            spoken = await drawn(sound.narration, self.seed + take, self.seconds + take)
            made.append(
                await context.create_asset(f"narration_take{take}.wav", "audio/wav", spoken)
            )
        return made


class Measure(BaseNode):
    """Writes a table of the frames' sizes, and a chart of it."""

    def __init__(self, take: Take, frames: Sequence[Frame]) -> None:
        super().__init__(id="measure")
        self.take, self.frames = take, frames

    async def process(self, context: ProcessingContext) -> list[Asset]:
        rng = random.Random(self.take.seed)
        rows = [
            (f.number, f.asset.name, f.asset.size, round(rng.uniform(0.7, 0.99), 3))
            for f in self.frames
        ]
        table = "frame,file,bytes,sharpness\n" + "".join(
            ",".join(map(str, row)) + "\n" for row in rows
        )
        sources = [frame.asset for frame in self.frames]
        csv = await context.create_asset(
            "frames.csv", "text/csv", table.encode(), derived_from=sources
        )
        series = [("sharpness", [row[3] for row in rows])]
        picture = await drawn(patterns.chart, "Sharpness by frame", series, (720, 480))
        chart = await context.create_asset(
            "sharpness.png", "image/png", encoded(picture, "png"), derived_from=[csv]
        )
        return [csv, chart]
