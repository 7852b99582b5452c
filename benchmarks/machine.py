"""The machine of a measurement, and its disk.

Promise: a folder in memory is refused, because durability costs nothing there.
"""

import os
import platform
import sqlite3
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles
from typing import Final

import click

FASTER_THAN_A_DISK_US: Final = 15.0
PACKAGES: Final = ("aiohttp", "uvloop", "aiosqlite", "orjson", "multipart")


class BenchmarkError(click.ClickException):
    """The benchmark cannot run, or its result is invalid."""


def disk(folder: Path) -> dict[str, str]:
    """Return the duration of an fsync of 4 KiB. Raises BenchmarkError for a folder in memory."""
    taken = fsync_times(folder)
    if median(taken) < FASTER_THAN_A_DISK_US:
        raise BenchmarkError(f"{folder} seems to be in memory: name one on a disk with --folder")
    return {
        "fsync": f"{median(taken):.0f} us",
        "fsync p99": f"{quantiles(taken, n=100)[98]:.0f} us",
    }


def fsync_times(folder: Path, samples: int = 300) -> list[float]:
    """Return durations in us of an append of 4 KiB with fsync, as in a write-ahead log."""
    page, taken, path = os.urandom(4096), [], folder / "fsync"
    with path.open("wb", buffering=0) as file:
        for _ in range(samples):
            file.write(page)
            start = time.perf_counter()
            os.fsync(file.fileno())
            taken.append((time.perf_counter() - start) * 1e6)
    path.unlink()
    return taken


def machine() -> dict[str, str]:
    """Return processor, system and versions."""
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
