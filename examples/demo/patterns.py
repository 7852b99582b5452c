"""Planets, marble, stained glass, fractals and charts."""

import itertools
import math
import random
from collections.abc import Sequence
from typing import Final

from PIL import Image, ImageChops, ImageDraw, ImageFont

from examples.demo.paint import (
    BICUBIC,
    LANCZOS,
    Colour,
    Size,
    between,
    colour,
    colours,
    lit,
    mapped,
    noise,
    stretched,
)

PALETTES: Final = {
    "ember": colours("1a0705 5c1a0d b5431c f0a04b fff0cf 8a2a14 200a08"),
    "ocean": colours("06142b 0d3b66 2f7fb3 a9d3e8 f5fbff 1b5a8a 081a33"),
    "moss": colours("0b1d14 1f4d33 5c8f5a c3d9a0 f6fae9 2f6b48 0d2418"),
    "iris": colours("150a2e 42237a 8a63d2 d7c3f7 fbf7ff 5a3aa0 1c0e3d"),
}
WORLDS: Final = {
    "rust": colours("3b1f12 8a5230 c99a62 f1ddb8 f9f3e3 a86b3f"),
    "blue": colours("08213f 11507f 2b83b5 dfeef6 ffffff 1a6598"),
    "violet": colours("24103a 5d2a86 9a4fc4 f3e6fb ffffff 7237a3"),
    "jade": colours("0a2b26 176354 3fa489 d9f2e4 ffffff 23806a"),
}
TILES: Final = colours("1f7a6d e8704a f2c14e 2a4858 f6a86b 24a07e d1495b 3d5a80")


def planet(stops: Sequence[Colour], seed: int, size: Size) -> Image.Image:
    """Return a cloudy planet before stars."""
    rng = random.Random(seed)
    sky = _starry(rng, size)
    across = min(size) * 7 // 10
    surface = mapped(_banded(rng, (across * 2, across)), stops)
    ball = _wrapped(surface, across)
    corner = (size[0] - across) // 2, (size[1] - across) // 2
    middle = size[0] // 2 - across // 9, size[1] // 2 - across // 9
    sky = lit(sky, middle, across * 3 // 4, stops[2], 0.75)
    sky.paste(_shaded(ball), corner, _disc(across))
    return sky


def _starry(rng: random.Random, size: Size) -> Image.Image:
    sky = Image.new("RGB", size, (5, 6, 14))
    for _ in range(size[0] // 3):
        light = rng.randrange(40, 220)
        place = rng.randrange(size[0]), rng.randrange(size[1])
        sky.putpixel(place, (light, light, min(255, light + 20)))
    return sky


def _banded(rng: random.Random, size: Size) -> Image.Image:
    bands = noise(rng, (size[1], 8), 9, 3).crop((0, 3, size[1], 4)).rotate(90, expand=True)
    bands = bands.resize(size, BICUBIC)
    return stretched(Image.blend(noise(rng, size, 5, 6), bands, 0.5))


def _wrapped(surface: Image.Image, across: int, steps: int = 28) -> Image.Image:
    """Return half of a map as it looks on a ball from afar."""
    grid = [n / steps for n in range(steps + 1)]
    cells = [
        (tuple(round(edge * across) for edge in (x0, y0, x1, y1)), _source(surface, x0, y0, x1, y1))
        for x0, x1 in itertools.pairwise(grid)
        for y0, y1 in itertools.pairwise(grid)
    ]
    return surface.transform((across, across), Image.Transform.MESH, cells, BICUBIC)


def _source(surface: Image.Image, *box: float) -> tuple[float, ...]:
    x0, y0, x1, y1 = box
    corners = (x0, y0), (x0, y1), (x1, y1), (x1, y0)
    return tuple(part for x, y in corners for part in _on_the_map(surface, 2 * x - 1, 2 * y - 1))


def _on_the_map(surface: Image.Image, x: float, y: float) -> tuple[float, float]:
    latitude = math.asin(max(-0.999, min(0.999, y)))
    reach = max(math.cos(latitude), 1e-3)
    longitude = math.asin(max(-0.999, min(0.999, x / reach)))
    east = (longitude / math.pi + 0.5) * surface.width / 2
    return east, (latitude / math.pi + 0.5) * (surface.height - 1)


def _shaded(ball: Image.Image) -> Image.Image:
    across = ball.width
    light = Image.new("L", (across, across))
    reach = across * 88 // 100
    fall = [round(max(6, 255 - (n / 255) ** 2 * 300)) for n in range(256)]
    lamp = Image.radial_gradient("L").point(fall).resize((2 * reach, 2 * reach), BICUBIC)
    light.paste(lamp, (across * 32 // 100 - reach, across * 30 // 100 - reach))
    return ImageChops.multiply(ball, Image.merge("RGB", [light] * 3))


def _disc(across: int) -> Image.Image:
    disc = Image.new("L", (across * 4, across * 4))
    ImageDraw.Draw(disc).ellipse((4, 4, across * 4 - 5, across * 4 - 5), fill=255)
    return disc.resize((across, across), LANCZOS)


def marble(stops: Sequence[Colour], seed: int, size: Size) -> Image.Image:
    """Return veins that noise bent."""
    rng = random.Random(seed)
    grey = noise(rng, size, 3, 5)
    waves = 2 + rng.random()
    veins = [round(127.5 + 127.5 * math.sin(n / 255 * waves * math.tau)) for n in range(256)]
    bent = _bent(grey, rng, 9).point(veins)
    return mapped(Image.blend(bent, noise(rng, size, 12, 3), 0.18), stops)


def _bent(picture: Image.Image, rng: random.Random, steps: int) -> Image.Image:
    """Return a picture on a cloth whose knots were moved."""
    width, height = picture.size
    reach = width / steps * 0.45
    knots = {
        (x, y): (
            x * width / steps + rng.uniform(-reach, reach),
            y * height / steps + rng.uniform(-reach, reach),
        )
        for x in range(steps + 1)
        for y in range(steps + 1)
    }
    cells = []
    for x in range(steps):
        for y in range(steps):
            box = tuple(
                round(part)
                for part in (
                    x * width / steps,
                    y * height / steps,
                    (x + 1) * width / steps,
                    (y + 1) * height / steps,
                )
            )
            around = (x, y), (x, y + 1), (x + 1, y + 1), (x + 1, y)
            cells.append((box, tuple(part for knot in around for part in knots[knot])))
    return picture.transform(picture.size, Image.Transform.MESH, cells, BICUBIC)


Point = tuple[float, float]


def glass(seed: int, size: Size, sites: int = 70) -> Image.Image:
    """Return stained glass: the Voronoi cells of random points between dark lead."""
    rng = random.Random(seed)
    width, height = size[0] * 2, size[1] * 2
    picture = Image.new("RGB", (width, height), (24, 20, 26))
    draw = ImageDraw.Draw(picture)
    points = [(rng.uniform(0, width), rng.uniform(0, height)) for _ in range(sites)]
    for point in points:
        cell = _cell(point, points, (width, height))
        if len(cell) > 2:
            tint = between(rng.choice(TILES), (255, 240, 210), rng.uniform(0, 0.3))
            draw.polygon(cell, fill=tint)
            draw.line([*cell, cell[0]], fill=(24, 20, 26), width=9, joint="curve")
    soft = lit(picture, (width // 3, height // 3), width // 2, (120, 110, 80))
    return soft.resize(size, LANCZOS)


def _cell(site: Point, sites: Sequence[Point], size: Size) -> list[Point]:
    cell: list[Point] = [(0, 0), (size[0], 0), (size[0], size[1]), (0, size[1])]
    for other in sites:
        if other != site and cell:
            cell = _clipped(cell, site, other)
    return cell


def _clipped(cell: Sequence[Point], site: Point, other: Point) -> list[Point]:
    """Return the part of a polygon that is nearer to `site` than to `other`."""
    across = other[0] - site[0], other[1] - site[1]
    half = (other[0] ** 2 + other[1] ** 2 - site[0] ** 2 - site[1] ** 2) / 2
    over = [x * across[0] + y * across[1] - half for x, y in cell]
    kept: list[Point] = []
    for n, (x, y) in enumerate(cell):
        (px, py), before = cell[n - 1], over[n - 1]
        if (before > 0) != (over[n] > 0):
            part = before / (before - over[n])
            kept.append((px + (x - px) * part, py + (y - py) * part))
        if over[n] <= 0:
            kept.append((x, y))
    return kept


def mandelbrot(stops: Sequence[Colour], zoom: float, size: Size) -> Image.Image:
    """Return the Mandelbrot set around Seahorse Valley, magnified."""
    x, y, reach = -0.7436438870, 0.1318259043, 1.6 / zoom
    tall = reach * size[1] / size[0]
    grey = Image.effect_mandelbrot(size, (x - reach, y - tall, x + reach, y + tall), 255)
    bands = grey.point([(n * 7) % 256 if n < 255 else 0 for n in range(256)])
    return mapped(bands.convert("L"), stops)


def chart(title: str, series: Sequence[tuple[str, Sequence[float]]], size: Size) -> Image.Image:
    """Return a line chart with a legend."""
    width, height = size
    picture = Image.new("RGB", size, (250, 250, 247))
    draw = ImageDraw.Draw(picture)
    left, right, top, bottom = 56, width - 24, 60, height - 44
    font, small = ImageFont.load_default(22), ImageFont.load_default(14)
    draw.text((left, 18), title, (27, 27, 25), font)
    most = max(max(values) for _, values in series)
    for n in range(5):
        y = bottom - (bottom - top) * n / 4
        draw.line((left, y, right, y), fill=(223, 222, 217))
        draw.text((left - 10, y), f"{most * n / 4:.2g}", (79, 78, 74), small, anchor="rm")
    for k, (name, values) in enumerate(series):
        step = (right - left) / (len(values) - 1)
        line = [
            (left + n * step, bottom - (bottom - top) * value / most)
            for n, value in enumerate(values)
        ]
        draw.line(line, fill=TILES[k], width=3, joint="curve")
        draw.text((left + 130 * k, bottom + 16), f"— {name}", TILES[k], small)
    return picture


NIGHT: Final = [colour("000764"), *colours("206bcb edffff ffaa00 000200 000764")]


def paste_planet(cover: Image.Image, planet: Image.Image, middle: tuple[int, int]) -> None:
    """Put the planet of a picture on a cover, without its sky."""
    across = min(planet.size) * 7 // 10
    left, top = (planet.width - across) // 2, (planet.height - across) // 2
    ball = planet.crop((left, top, left + across, top + across))
    cover.paste(ball, (middle[0] - across // 2, middle[1] - across // 2), _disc(across))


def titled(cover: Image.Image, title: str, below: str) -> None:
    """Write a title and a line over a cover."""
    draw = ImageDraw.Draw(cover)
    middle = cover.width // 2
    draw.text((middle, 70), title, (245, 240, 228), ImageFont.load_default(46), anchor="mm")
    draw.text((middle, 116), below, (200, 196, 186), ImageFont.load_default(20), anchor="mm")
