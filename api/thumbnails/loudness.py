"""How loud the parts of a sound are, for a waveform. Runs in a process that a decoder may break.

WAV needs the standard library alone, every other format the extra `video`. Promise: the memory
does not depend on the length of the sound.
"""

import wave
from array import array
from importlib.util import find_spec
from itertools import pairwise
from typing import Any, BinaryIO, Final

import orjson

from asset_ledger.api.thumbnails.errors import UndrawableError

PARTS: Final = 1_600
"""A sound has at least so many parts once it is longer than `_SHORTEST` samples a part."""

_SHORTEST: Final = 16
_SAMPLES: Final = 65_536
"""Samples of WAV that are read at once."""

_SOUNDS: Final = "mov,mp4,m4a,3gp,3g2,mj2,mp3,flac,ogg,matroska,webm,wav,w64,aac,aiff,amr,caf,asf"


class Loudness:
    """The loudest sample of each part, up to 32,768. Parts join as the sound gets longer."""

    def __init__(self) -> None:
        self.parts: list[int] = []
        self._length, self._rest = _SHORTEST, array("h")

    def add(self, samples: "array[int]") -> None:
        self._rest.extend(samples)
        whole = len(self._rest) - len(self._rest) % self._length
        begins = range(0, whole, self._length)
        self.parts += (_loudest(self._rest[at : at + self._length]) for at in begins)
        del self._rest[:whole]
        while len(self.parts) >= 4 * PARTS and len(self.parts) % 2 == 0:
            self.parts = list(map(max, self.parts[::2], self.parts[1::2]))
            self._length *= 2

    def whole(self) -> list[int]:
        """Return all parts; the last one is shorter."""
        return [*self.parts, _loudest(self._rest)] if self._rest else self.parts


def measure(source: BinaryIO) -> bytes:
    """Return `{"duration", "peaks"}` as JSON: seconds, and loudness from 0 to 1.

    Raises UndrawableError.
    """
    loudness = Loudness()
    try:
        duration = _of_wave(source, loudness)
    except (wave.Error, EOFError):
        source.seek(0)
        duration = _of_any(source, loudness)
    peaks = resampled(loudness.whole(), PARTS)
    if not peaks:
        raise UndrawableError("it has no sound")
    return orjson.dumps({"duration": duration, "peaks": [round(p / 32_768, 3) for p in peaks]})


def resampled(peaks: list[Any], count: int) -> list[Any]:
    """Return the peaks in at most so many parts of equal length."""
    total, count = len(peaks), min(count, len(peaks))
    ends = [(total * part) // count for part in range(count + 1)]
    return [max(peaks[begin:end]) for begin, end in pairwise(ends)]


def _loudest(samples: "array[int]") -> int:
    high, low = max(samples), min(samples)
    return max(high, -low)


def _of_wave(source: BinaryIO, loudness: Loudness) -> float:
    with wave.open(source, "rb") as sound:
        count, rate = 0, sound.getframerate()
        width, channels = sound.getsampwidth(), sound.getnchannels()
        while piece := sound.readframes(_SAMPLES):
            loudness.add(_samples(piece, width))
            count += len(piece)
        return count / width / channels / rate


def _samples(piece: bytes, width: int) -> "array[int]":
    """Return the two highest bytes of each sample. Those of one byte have no sign."""
    if width == 1:
        return array("h", [(value - 128) * 256 for value in piece])
    highest = bytearray(len(piece) // width * 2)
    highest[::2], highest[1::2] = piece[width - 2 :: width], piece[width - 1 :: width]
    return array("h", bytes(highest))


def _of_any(source: BinaryIO, loudness: Loudness) -> float:
    if find_spec("av") is None:
        raise UndrawableError("sounds other than WAV need the extra `video`: asset-ledger[video]")
    import av  # noqa: PLC0415  # an optional extra

    with av.open(source, "r", options={"format_whitelist": _SOUNDS}) as sound:
        stream, count = sound.streams.audio[0], 0
        mono = av.AudioResampler(format="s16", layout="mono")
        for frame in sound.decode(stream):
            for made in mono.resample(frame):
                loudness.add(array("h", bytes(made.planes[0])[: 2 * made.samples]))
                count += made.samples
        return float(count / stream.rate)
