"""Pillow, a little further: palettes, gradients, smooth noise and vignettes, all from a seed.

Promise: the same `random.Random` gives the same pixels on every machine with this Pillow.
"""

import random
from collections.abc import Sequence
from functools import cache
from typing import Final

from PIL import Image, ImageChops

Colour = tuple[int, int, int]
Size = tuple[int, int]
BICUBIC: Final = Image.Resampling.BICUBIC
LANCZOS: Final = Image.Resampling.LANCZOS


def colour(text: str) -> Colour:
    """Return a colour of `rrggbb`."""
    return int(text[:2], 16), int(text[2:4], 16), int(text[4:], 16)


def colours(text: str) -> list[Colour]:
    """Return the colours of a palette, `rrggbb rrggbb ...`."""
    return [colour(each) for each in text.split()]


def between(a: Colour, b: Colour, part: float) -> Colour:
    """Return the colour at this part of the way from a to b."""
    red, green, blue = (round(x + (y - x) * part) for x, y in zip(a, b, strict=True))
    return red, green, blue


def ramp(stops: Sequence[Colour], at: float) -> Colour:
    """Return the colour at `at`, 0 to 1, of evenly spaced stops."""
    place = min(max(at, 0.0), 1.0) * (len(stops) - 1)
    first = min(int(place), len(stops) - 2)
    return between(stops[first], stops[first + 1], place - first)


def vertical(stops: Sequence[Colour], size: Size) -> Image.Image:
    """Return a gradient from the first stop at the top to the last at the bottom."""
    column = Image.new("RGB", (1, 256))
    column.putdata([ramp(stops, n / 255) for n in range(256)])
    return column.resize(size, BICUBIC)


def mapped(grey: Image.Image, stops: Sequence[Colour]) -> Image.Image:
    """Return a grey picture in the colours of a palette: black is its first stop."""
    tables = zip(*(ramp(stops, n / 255) for n in range(256)), strict=True)
    return Image.merge("RGB", [grey.point(list(table)) for table in tables])


def noise(rng: random.Random, size: Size, cells: int = 4, octaves: int = 5) -> Image.Image:
    """Return smooth grey noise with about `cells` blots across, over the whole range."""
    made = _octave(rng, size, cells)
    for octave in range(1, octaves):
        finer = _octave(rng, size, cells << octave)
        weight = 0.55**octave
        made = Image.blend(made, finer, weight / (weight + (1 - 0.55**octave) / 0.45))
    return stretched(made)


def _octave(rng: random.Random, size: Size, cells: int) -> Image.Image:
    width, height = cells + 1, max(2, cells * size[1] // size[0]) + 1
    coarse = Image.frombytes("L", (width, height), rng.randbytes(width * height))
    return coarse.resize(size, BICUBIC)


def stretched(grey: Image.Image) -> Image.Image:
    """Return a grey picture over the whole range from black to white."""
    used = [shade for shade, count in enumerate(grey.histogram()) if count]
    low, high = used[0], used[-1]
    span = max(high - low, 1)
    return grey.point([min(max((n - low) * 255 // span, 0), 255) for n in range(256)])


def grained(picture: Image.Image, rng: random.Random, strength: int) -> Image.Image:
    """Return a picture with film grain of at most `strength` of 255 in each direction."""
    tile = Image.frombytes("L", (128, 128), rng.randbytes(128 * 128))
    grain = Image.new("L", picture.size)
    for x in range(0, picture.width, 128):
        for y in range(0, picture.height, 128):
            grain.paste(tile, (x, y))
    scaled = grain.point([n * 2 * strength // 255 for n in range(256)])
    return ImageChops.add(picture, Image.merge("RGB", [scaled] * 3), 1, -strength)


@cache
def glow(size: int) -> Image.Image:
    """Return a round light: white in its middle, black from its rim on."""
    fall = [round(255 * max(0.0, 1 - n / 181) ** 2.2) for n in range(256)]
    return Image.radial_gradient("L").point(fall).resize((size, size), BICUBIC)


def lit(
    picture: Image.Image, middle: Size, radius: int, light: Colour, strength: float = 1.0
) -> Image.Image:
    """Return a picture with a light of this colour around a point."""
    mask = Image.new("L", picture.size)
    mask.paste(glow(2 * radius), (middle[0] - radius, middle[1] - radius))
    shine = Image.merge(
        "RGB",
        [mask.point([round(n * part / 255 * strength) for n in range(256)]) for part in light],
    )
    return ImageChops.screen(picture, shine)


def vignetted(picture: Image.Image, strength: float = 0.5) -> Image.Image:
    """Return a picture that darkens towards its corners."""
    fall = [round(255 * (1 - strength * (n / 255) ** 2.5)) for n in range(256)]
    mask = Image.radial_gradient("L").point(fall).resize(picture.size, BICUBIC)
    return ImageChops.multiply(picture, Image.merge("RGB", [mask] * 3))
