"""What a large ledger costs before anything is asked of it, and one proof from it.

Promise: times are those of the real programs, from their start.
"""

import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from benchmarks.bench import Bench
from benchmarks.machine import BenchmarkError
from benchmarks.rows import Row
from benchmarks.servers import Server, product_command, serving
from benchmarks.tree import ids
from benchmarks.turns import alternating

IDLE: Final = 3.0
"""Seconds after the start, before the memory is read."""
PROOFS: Final = 500
HELP: Final = [str(Path(sys.executable).with_name("asset-ledger")), "--help"]
BARE: Final = [sys.executable, "-c", "pass"]


def rows(bench: Bench) -> list[Row]:
    """Measure starts, memory, help, the size of the tables and proofs."""
    data_dir, at, rounds = bench.many(), bench.sizes.assets, bench.sizes.rounds
    helps = [timed(command) for command in alternating(rounds, (HELP, BARE))]
    starts = [started(each) for each in alternating(rounds, (data_dir, bench.folder / "empty"))]
    proofs, assets, memory = served(bench, data_dir)
    start, empty = each_side(starts)
    help_, bare = each_side(helps)
    most = partial(Row, most=True)
    return [
        size_row(data_dir, at),
        most("start", start, 1, unit="s", at=at, beside={"empty s": empty}),
        most("memory of an idle server and its committer", [memory], 150, unit="MB", at=at),
        most("asset-ledger --help", help_, 0.3, unit="s", beside={"python s": bare}),
        most("proof of one event", proofs, 2, 1, "ms", at=at, beside={"the asset ms": assets}),
    ]


def size_row(data_dir: Path, assets: int) -> Row:
    """Return the size of the tables, for a million assets."""
    tables = sum(path.stat().st_size for path in data_dir.glob("projections.g*.db"))
    log = (data_dir / "ledger.db").stat().st_size
    million = assets / 1e6 * 1e9
    beside = {"log GB": [log / million]}
    what = "tables, for each million assets"
    return Row(what, [tables / million], 1.2, 1, "GB", most=True, at=assets, beside=beside)


def each_side(values: Sequence[float]) -> tuple[list[float], list[float]]:
    """Return the values of the two sides that alternated."""
    sides: tuple[list[float], list[float]] = ([], [])
    for number, side in enumerate(alternating(len(values) // 2, sides)):
        side.append(values[number])
    return sides


def timed(command: Sequence[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def started(data_dir: Path) -> float:
    """Return the seconds until a server listens."""
    start = time.perf_counter()
    with serving("product", product_command(data_dir)):
        return time.perf_counter() - start


def served(bench: Bench, data_dir: Path) -> tuple[list[float], list[float], float]:
    """Return the median ms of a proof and of its asset in each round, and the idle memory in MB."""
    found = ids(data_dir)[: PROOFS * bench.sizes.rounds]
    share = max(1, len(found) // bench.sizes.rounds)
    with serving("product", product_command(data_dir)) as server:
        time.sleep(IDLE)
        memory = server.memory_mb()
        parts = [found[n * share : (n + 1) * share] for n in range(bench.sizes.rounds)]
        proofs = [median_ms(server, [f"{each}/proof" for each in part]) for part in parts]
        assets = [median_ms(server, part) for part in parts]
    return proofs, assets, memory


def median_ms(server: Server, paths: Sequence[str]) -> float:
    """Return the median time of a GET below /api/assets/, one after the other."""
    taken = []
    with closing(HTTPConnection(urlsplit(server.url).netloc)) as client:
        for path in paths:
            start = time.perf_counter()
            client.request("GET", f"/api/assets/{path}")
            answer = client.getresponse()
            body = answer.read()
            taken.append((time.perf_counter() - start) * 1e3)
            if answer.status != 200:
                raise BenchmarkError(f"GET {path} answered {answer.status}: {body.decode()}")
    return sorted(taken)[len(taken) // 2]
