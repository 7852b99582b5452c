"""Mountains at dawn, noon and night, with the depth map of each picture."""

import itertools
import random
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter

from examples.demo.paint import (
    LANCZOS,
    Colour,
    Size,
    between,
    colour,
    colours,
    grained,
    lit,
    noise,
    ramp,
    vertical,
    vignetted,
)

LAYERS: Final = 7
PLASMA: Final = colours("0d0887 5b02a3 9a179b cb4678 eb7852 fbb32f f0f921")


@dataclass(frozen=True, slots=True)
class Mood:
    """The colours of one time of day: sky from top to horizon, ridges from far to near."""

    sky: str
    far: str
    near: str
    light: str
    sun: tuple[float, float]
    cloud: float = 0.35
    stars: bool = False


MOODS: Final = {
    "dawn": Mood("2b3a6b 6f7db0 c9a9b4 f0b48e", "8f95bd", "1c2036", "fff1d6", (0.68, 0.42)),
    "evening": Mood("ff8a66 ffa878 ffd39a fff0c4", "e8a183", "4a1726", "fff6cf", (0.5, 0.46), 0.15),
    "night": Mood(
        "060d22 0d1b3c 163059 22456f", "28486f", "050912", "e9f1ff", (0.22, 0.2), 0.1, True
    ),
    "noon": Mood("5f9fd6 93c3e6 c6e0f0 e6f1f5", "9db4bd", "243f2c", "ffffff", (0.8, 0.12), 0.6),
    "plum": Mood("2a1538 6b2d5c c4576a f7a06b", "8f5268", "1c0b1c", "ffe2b0", (0.38, 0.47), 0.3),
    "mist": Mood("b8cfc6 cfddd4 e2e8e0 edf0ea", "b3c4ba", "37493f", "ffffff", (0.6, 0.2), 0.4),
    "snow": Mood("a9bcd8 c9d5e8 e3e9f3 f4f6fa", "c2cde0", "4d5f80", "ffffff", (0.7, 0.3), 0.5),
    "aurora": Mood(
        "041a1e 0b3b3c 1c7a68 8fe0b0", "2f7468", "03120f", "d9ffe6", (0.66, 0.34), 0.3, True
    ),
}


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture and the distance of each of its points, near is bright."""

    picture: Image.Image
    depth: Image.Image


def landscape(mood: Mood, seed: int, frame: int, size: Size) -> Scene:
    """Paint ridge behind ridge. Frames of one seed have the same place in a changing light."""
    width, height = size[0] * 3 // 2, size[1] * 3 // 2  # drawn larger: smooth edges
    light = random.Random(seed * 1000 + frame)
    sky = _sky(mood, light, (width, height))
    depth = Image.new("RGB", (width, height), PLASMA[0])
    place = random.Random(seed)
    rough = noise(light, (width // 4, height // 4), 24, 3).resize((width, height))
    for layer in range(LAYERS):
        near = layer / (LAYERS - 1)
        line = _ridge(random.Random(place.random() + frame * 0.31), width, height, near)
        mask = _below(line, (width, height))
        sky.paste(_slope(mood, rough, near), mask=mask)
        depth.paste(ramp(PLASMA, 0.2 + 0.8 * near), mask=mask)
    picture = sky.resize(size, LANCZOS)
    return Scene(picture, depth.resize(size, LANCZOS))


def _sky(mood: Mood, rng: random.Random, size: Size) -> Image.Image:
    sky = vertical(colours(mood.sky), (size[0], size[1] * 6 // 10))
    whole = Image.new("RGB", size, colour(mood.sky.split()[-1]))
    whole.paste(sky)
    if mood.stars:
        whole = _with_stars(whole, rng)
    whole = _with_clouds(whole, mood, rng)
    x, y = mood.sun
    sun = int((x + rng.uniform(-0.06, 0.06)) * size[0]), int((y + rng.uniform(0, 0.05)) * size[1])
    light = colour(mood.light)
    wide = lit(whole, sun, size[0] // 3, light, 0.75)
    return lit(wide, sun, size[0] // 14, light)


def _with_stars(sky: Image.Image, rng: random.Random) -> Image.Image:
    draw = ImageDraw.Draw(sky)
    for _ in range(140):
        x, y = rng.randrange(sky.width), int(rng.random() ** 1.6 * sky.height * 0.5)
        shine = between(sky.getpixel((x, y)), (255, 255, 255), rng.uniform(0.25, 0.9))  # type: ignore[arg-type]
        draw.ellipse((x, y, x + rng.choice((1, 1, 2)), y + 2), fill=shine)
    return sky


def _with_clouds(sky: Image.Image, mood: Mood, rng: random.Random) -> Image.Image:
    wisps = noise(rng, (sky.width, sky.height // 2), 3, 5)
    mask = wisps.point([round(max(0, n - 130) * 2 * mood.cloud) for n in range(256)])
    fade = Image.linear_gradient("L").resize(mask.size).point(lambda n: 255 - n)
    mask = ImageChops.multiply(mask, fade)
    sky.paste(between(colour(mood.sky.split()[2]), (255, 255, 255), 0.35), (0, 0), mask)
    return sky


def _ridge(rng: random.Random, width: int, height: int, near: float) -> list[float]:
    """Return the height of a ridge at 257 points, by midpoint displacement."""
    base = height * (0.47 + 0.46 * near)
    swing = height * (0.17 - 0.1 * near)
    line = [base + rng.uniform(-swing, swing) / 2 for _ in range(5)]
    while len(line) < 257:
        swing *= 0.53
        middles = [(a + b) / 2 + rng.uniform(-swing, swing) for a, b in itertools.pairwise(line)]
        line = [each for pair in zip(line, middles, strict=False) for each in pair] + [line[-1]]
    return line


def _below(line: list[float], size: Size) -> Image.Image:
    mask = Image.new("L", size)
    step = size[0] / (len(line) - 1)
    top = [(n * step, y) for n, y in enumerate(line)]
    ImageDraw.Draw(mask).polygon([*top, (size[0], size[1]), (0, size[1])], fill=255)
    return mask


def _slope(mood: Mood, rough: Image.Image, near: float) -> Image.Image:
    """Return the colours of one ridge: its own at the crest, mist towards its foot."""
    size, crest = rough.size, between(colour(mood.far), colour(mood.near), near)
    mist: Colour = between(crest, colour(mood.sky.split()[-1]), 0.42 * (1 - near) + 0.06)
    top = int(size[1] * (0.38 + 0.42 * near))
    slope = Image.new("RGB", size, mist)
    slope.paste(crest, (0, 0, size[0], top))
    slope.paste(vertical([crest, mist], (size[0], size[1] // 4)), (0, top))
    dark = slope.point(lambda n: n * 0.9)
    return Image.composite(slope, dark, rough)


def enlarged(picture: Image.Image, seed: int) -> Image.Image:
    """Return a picture of twice the width and height, sharpened, with grain."""
    large = picture.resize((picture.width * 2, picture.height * 2), LANCZOS)
    sharp = large.filter(ImageFilter.UnsharpMask(2, 80, 2))
    return grained(sharp, random.Random(seed), 3)


def graded(picture: Image.Image, warmth: float, contrast: float) -> Image.Image:
    """Return a picture in other light: warmth -1 to 1, contrast 1 is unchanged."""
    red, green, blue = picture.split()
    warmed = Image.merge(
        "RGB",
        (
            red.point(lambda n: n * (1 + 0.16 * warmth)),
            green.point(lambda n: n * (1 + 0.03 * warmth)),
            blue.point(lambda n: n * (1 - 0.16 * warmth)),
        ),
    )
    return vignetted(ImageEnhance.Contrast(warmed).enhance(contrast), 0.55)
