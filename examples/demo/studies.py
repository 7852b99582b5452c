"""Nodes of the smaller workflows: textures, planets, fractals, sounds, 3D models, covers."""

import io
import random

from PIL import Image

from asset_ledger import Asset, BaseNode, ProcessingContext
from examples.demo import patterns, shapes, sound
from examples.demo.nodes import drawn, encoded, replaced
from examples.demo.paint import Size, mapped, noise, vertical


class Texture(BaseNode):
    """Returns marble in every palette."""

    _auto_save_asset = True

    def __init__(self, seed: int, size: Size = (640, 480)) -> None:
        super().__init__(id="texture")
        self.seed, self.size = seed, size

    async def process(self, context: ProcessingContext) -> list[Asset]:
        return [
            await context.create_asset(
                f"marble_{name}_{self.seed:02d}.png",
                "image/png",
                await drawn(
                    lambda p: encoded(patterns.marble(p, self.seed, self.size), "png"), palette
                ),
                tags=["texture", name],
            )
            for name, palette in patterns.PALETTES.items()
        ]


class Glass(BaseNode):
    """Records stained glass."""

    def __init__(self, seed: int, count: int = 3) -> None:
        super().__init__(id="segment")
        self.seed, self.count = seed, count

    async def process(self, context: ProcessingContext) -> list[Asset]:
        return [
            await context.create_asset(
                f"segments_{n:04d}.png",
                "image/png",
                await drawn(lambda s: encoded(patterns.glass(s, (512, 384)), "png"), n),
            )
            for n in range(self.seed, self.seed + self.count)
        ]


class Planet(BaseNode):
    """Records a planet of each world."""

    def __init__(self, seed: int, size: Size = (640, 480)) -> None:
        super().__init__(id="planet")
        self.seed, self.size = seed, size

    async def process(self, context: ProcessingContext) -> list[Asset]:
        return [
            await context.create_asset(
                f"planet_{name}.png",
                "image/png",
                await drawn(
                    lambda w: encoded(patterns.planet(w, self.seed, self.size), "png"), stops
                ),
                metadata={"seed": self.seed},
            )
            for name, stops in patterns.WORLDS.items()
        ]


class Zoom(BaseNode):
    """Records a flight into the Mandelbrot set."""

    def __init__(self, frames: int) -> None:
        super().__init__(id="zoom")
        self.frames = frames

    async def process(self, context: ProcessingContext) -> list[Asset]:
        return [
            await context.create_asset(
                f"mandelbrot_{n:03d}.png",
                "image/png",
                await drawn(
                    lambda z: encoded(patterns.mandelbrot(patterns.NIGHT, z, (512, 384)), "png"),
                    1.35**n,
                ),
                metadata={"magnification": round(1.35**n, 3)},
            )
            for n in range(self.frames)
        ]


class Ambience(BaseNode):
    """Records wind and melodies."""

    def __init__(self, seed: int, count: int = 2) -> None:
        super().__init__(id="ambience")
        self.seed, self.count = seed, count

    async def process(self, context: ProcessingContext) -> list[Asset]:
        made = []
        for n in range(self.count):
            for name, play in (("wind_loop", sound.wind), ("plucked", sound.melody)):
                body = await drawn(play, self.seed + n, 5.0 + n)
                file = f"{name}_{chr(97 + n)}.wav"
                made.append(await context.create_asset(file, "audio/wav", body, tags=["sound"]))
        return made


class Heights(BaseNode):
    """Records the height map of an island."""

    def __init__(self, seed: int) -> None:
        super().__init__(id="heightmap")
        self.seed = seed

    async def process(self, context: ProcessingContext) -> Asset:
        grey = await drawn(noise, random.Random(self.seed), (512, 512), 4, 5)
        return await context.create_asset("heights.png", "image/png", encoded(grey, "png"))


class Mesh(BaseNode):
    """Makes the island of a height map as a 3D model, and pieces to stand on it."""

    heights: Asset

    def __init__(self, seed: int) -> None:
        super().__init__(id="mesh")
        self.seed = seed

    async def process(self, context: ProcessingContext) -> list[Asset]:
        island, pawn = await drawn(shapes.island, self.seed), await drawn(shapes.pawn)
        return [
            await context.create_asset("island_lod1.glb", "model/gltf-binary", island),
            await context.create_asset("pawn.stl", "model/stl", pawn),
        ]


class Bake(BaseNode):
    """Bakes the light of the island. More memory than there is ends the node."""

    mesh: list[Asset]

    def __init__(self, side: int, memory: int = 512) -> None:
        super().__init__(id="bake")
        self.side, self.memory = side, memory

    async def process(self, context: ProcessingContext) -> Asset:
        needed = self.side * self.side * 12 // 2**20
        if needed > self.memory:
            raise MemoryError(
                f"a light map of {self.side} x {self.side} needs {needed} MiB,"
                f" and {self.memory} MiB are free"
            )
        light = await drawn(noise, random.Random(self.side), (1024, 1024), 6, 6)
        stops = [(20, 24, 44), (120, 110, 120), (255, 236, 200)]
        body = encoded(await drawn(mapped, light, stops), "jpeg")
        return await context.create_asset("light_map.jpg", "image/jpeg", body)


class Cover(BaseNode):
    """Sets a planet on a cover. It is worked over twice: versions 2 and 3."""

    planets: list[Asset]

    def __init__(self, title: str) -> None:
        super().__init__(id="cover")
        self.title = title

    async def process(self, context: ProcessingContext) -> list[Asset]:
        made = []
        for asset in self.planets[:2]:
            name = asset.name.replace("planet_", "cover_")
            picture = Image.open(io.BytesIO(await asset.content()))
            first = await drawn(covered, picture, self.title, 0)
            cover = await context.create_asset(
                name, "image/png", encoded(first, "png"), derived_from=[asset], tags=["cover"]
            )
            for version in (1, 2):
                again = await drawn(covered, picture, self.title, version)
                cover = await replaced(cover, encoded(again, "png"))
            made.append(cover)
        return made


def covered(planet: Image.Image, title: str, version: int) -> Image.Image:
    """Return a cover: a planet under a title. Each version has another light and place."""
    width, height = 480, 640
    lights = (
        [(12, 14, 30), (40, 22, 60)],
        [(8, 30, 44), (20, 70, 90)],
        [(44, 18, 14), (120, 60, 30)],
    )
    cover = vertical([lights[version][0], (5, 6, 14), lights[version][1]], (width, height))
    patterns.paste_planet(cover, planet, (width // 2, height * (5 + version) // 10))
    patterns.titled(cover, title, ("first draft", "with the editor", "final")[version])
    return cover
