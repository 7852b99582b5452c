"""Sounds as WAV files: a plucked melody, wind, and a voice without words."""

import io
import math
import random
import wave
from array import array
from collections.abc import Iterable, Iterator
from typing import Final

RATE: Final = 16_000
"""Samples a second."""

SCALE: Final = (0, 3, 5, 7, 10, 12, 15)
"""Semitones of a minor pentatonic scale over its root."""


def wav(samples: Iterable[float]) -> bytes:
    """Encode samples from -1 to 1 as 16-bit mono WAV."""
    body = io.BytesIO()
    pcm = array("h", (int(32_000 * max(-1.0, min(1.0, each))) for each in samples))
    with wave.open(body, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(pcm.tobytes())
    return body.getvalue()


def melody(seed: int, seconds: float) -> bytes:
    """Return a melody on plucked strings (Karplus and Strong, 1983)."""
    rng, mixed = random.Random(seed), [0.0] * int(seconds * RATE)
    start = 0.0
    while start < seconds - 0.5:
        note = 196 * 2 ** (rng.choice(SCALE) / 12)
        for n, sample in enumerate(_plucked(rng, note, min(1.6, seconds - start))):
            mixed[int(start * RATE) + n] += 0.45 * sample
        start += rng.choice((0.25, 0.25, 0.5, 0.75))
    return wav(mixed)


def _plucked(rng: random.Random, hertz: float, seconds: float) -> Iterator[float]:
    string = [rng.uniform(-1, 1) for _ in range(int(RATE / hertz))]
    length = len(string)
    for n in range(int(seconds * RATE) - 1):
        at = n % length
        yield string[at]
        string[at] = 0.497 * (string[at] + string[(at + 1) % length])


def wind(seed: int, seconds: float) -> bytes:
    """Return wind that rises and falls."""
    rng, low, lower = random.Random(seed), 0.0, 0.0
    gusts = [rng.uniform(0.15, 1) ** 1.5 for _ in range(int(seconds) + 3)]
    samples = []
    for n in range(int(seconds * RATE)):
        second, part = divmod(n / RATE, 1)
        ease = (1 - math.cos(math.pi * part)) / 2
        gust = gusts[int(second)] * (1 - ease) + gusts[int(second) + 1] * ease
        low += (rng.uniform(-1, 1) - low) * (0.03 + 0.12 * gust)
        lower += (low - lower) * 0.3
        samples.append(lower * gust * 2.4)
    return wav(samples)


def narration(seed: int, seconds: float) -> bytes:
    """Return a voice that hums syllables, with pauses between its sentences."""
    rng, samples = random.Random(seed), array("d")
    while len(samples) < seconds * RATE:
        for _ in range(rng.randrange(4, 10)):
            samples.extend(_syllable(rng))
        samples.extend([0.0] * int(RATE * rng.uniform(0.25, 0.5)))
    return wav(samples[: int(seconds * RATE)])


def _syllable(rng: random.Random) -> Iterator[float]:
    pitch, length = rng.uniform(105, 150), int(RATE * rng.uniform(0.1, 0.24))
    loud, vowel = rng.uniform(0.35, 0.85), rng.uniform(3, 7)
    for n in range(length):
        turn = math.tau * pitch * n / RATE
        swell = math.sin(math.pi * n / length) ** 0.7
        yield loud * swell * (0.6 * math.sin(turn) + 0.4 * math.sin(vowel * turn) * swell)
