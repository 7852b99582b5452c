"""What a benchmark reports besides rates: medians, ratios, the machine and its disk.

Promise: a figure is never shown without what it was measured on.
"""

import os
import platform
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles

import click

# Faster than any disk: the folder is in memory, and durability there costs and proves nothing.
FSYNC_OF_MEMORY_US = 15.0
PACKAGES = ("aiohttp", "uvloop", "aiosqlite", "orjson", "multipart")


class BenchmarkError(click.ClickException):
    """The benchmark cannot be run, or what it measured is not to be trusted."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """Product over floor: the median over rounds taken in turns, and how far rounds disagreed."""

    median: float
    lowest: float
    highest: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.lowest:.2f}-{self.highest:.2f})"


def ratio(product: Sequence[float], floor: Sequence[float]) -> Ratio:
    """Each round against its own neighbour, so that a machine that slows down slows down both."""
    rounds = [ours / theirs for ours, theirs in zip(product, floor, strict=True)]
    return Ratio(median(rounds), min(rounds), max(rounds))


@dataclass(frozen=True, slots=True)
class Fsync:
    """Microseconds that this folder's disk takes to make 4 KiB durable."""

    median: float
    p99: float


def fsync_time(folder: Path, samples: int = 300) -> Fsync:
    """Append 4 KiB and fsync, as a commit to a write-ahead log does."""
    page, taken, path = os.urandom(4096), [], folder / "fsync"
    with path.open("wb", buffering=0) as file:
        for _ in range(samples):
            file.write(page)
            start = time.perf_counter()
            os.fsync(file.fileno())
            taken.append((time.perf_counter() - start) * 1e6)
    path.unlink()
    return Fsync(median(taken), quantiles(taken, n=100)[98])


def disk(folder: Path) -> Fsync:
    """The fsync time of a folder that is really on a disk; a folder in memory is refused."""
    measured = fsync_time(folder)
    if measured.median < FSYNC_OF_MEMORY_US:
        raise BenchmarkError(f"{folder} seems to be in memory: name one on a disk with --folder")
    return measured


def machine() -> dict[str, str]:
    """What the figures depend on: processor, system and versions."""
    return {
        "processor": f"{os.cpu_count()} x {processor()}",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **{package: version(package) for package in PACKAGES},
    }


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
