"""A picture in some 25 bytes: ThumbHash, which is blurred in the place of the picture to come.

Source: the reference encoder, https://github.com/evanw/thumbhash (rgbaToThumbHash).
"""

from base64 import b64encode
from collections.abc import Sequence
from math import cos, floor, pi
from typing import Final, NamedTuple

from PIL import Image

_SIDE: Final = 32
"""Pixels of the longer side that is encoded: the highest frequency has seven half waves."""

Channel = Sequence[float]


class Waves(NamedTuple):
    """A channel as cosines: the mean, the others in units of the largest, and the largest."""

    mean: float
    others: list[float]
    largest: float


def thumbhash(image: Image.Image) -> str:
    """Return the ThumbHash of an image, in base64."""
    small = image.convert("RGBA")
    small.thumbnail((_SIDE, _SIDE))
    (width, height), pixels = small.size, small.tobytes()
    alpha = [value / 255 for value in pixels[3::4]]
    red, green, blue = (_over_mean(pixels[at::4], alpha) for at in range(3))
    opaque = min(alpha) == 1
    most = 7 if opaque else 5
    counts = [max(1, _round(most * side / max(width, height))) for side in (width, height)]
    light = [(r + g + b) / 3 for r, g, b in zip(red, green, blue, strict=True)]
    yellow = [(r + g) / 2 - b for r, g, b in zip(red, green, blue, strict=True)]
    reds = [r - g for r, g in zip(red, green, strict=True)]
    waves = [_waves(light, width, *(max(3, count) for count in counts))]
    waves += [_waves(yellow, width, 3, 3), _waves(reds, width, 3, 3)]
    waves += [] if opaque else [_waves(alpha, width, 5, 5)]
    return b64encode(_packed(waves, counts[width > height], width > height)).decode()


def _over_mean(values: bytes, alpha: Channel) -> list[float]:
    """Return a colour from 0 to 1, with its mean where the picture is transparent."""
    weight = sum(alpha)
    mean = sum(v * a for v, a in zip(values, alpha, strict=True)) / 255 / weight if weight else 0
    return [mean * (1 - a) + a * v / 255 for v, a in zip(values, alpha, strict=True)]


def _waves(channel: Channel, width: int, across: int, down: int) -> Waves:
    height = len(channel) // width
    rows = [channel[y * width : (y + 1) * width] for y in range(height)]
    found: list[float] = []
    for v in range(down):
        falls = [cos(pi / height * v * (y + 0.5)) for y in range(height)]
        columns = [sum(map(float.__mul__, falls, column)) for column in zip(*rows, strict=True)]
        for u in range(across):
            if u * down < across * (down - v):
                runs = (cos(pi / width * u * (x + 0.5)) for x in range(width))
                found.append(sum(map(float.__mul__, runs, columns)) / len(channel))
    mean, *others = found
    largest = max(map(abs, others))
    scaled = [0.5 + 0.5 / largest * each for each in others] if largest else others
    return Waves(mean, scaled, largest)


def _packed(waves: Sequence[Waves], count: int, is_wide: bool) -> bytes:
    light, yellow, reds, *alpha = waves
    head = _round(63 * light.mean) | _round(31.5 + 31.5 * yellow.mean) << 6
    head |= _round(31.5 + 31.5 * reds.mean) << 12 | _round(31 * light.largest) << 18
    head |= bool(alpha) << 23
    head |= (count | _round(63 * yellow.largest) << 3 | _round(63 * reds.largest) << 9) << 24
    head |= is_wide << 39
    nibbles = [
        part for each in alpha for part in (_round(15 * each.mean), _round(15 * each.largest))
    ]
    nibbles += [_round(15 * value) for each in waves for value in each.others]
    pairs = zip(nibbles[::2], [*nibbles[1::2], 0], strict=False)
    return head.to_bytes(5, "little") + bytes(low | high << 4 for low, high in pairs)


def _round(value: float) -> int:
    """Round as JavaScript does."""
    return floor(value + 0.5)
