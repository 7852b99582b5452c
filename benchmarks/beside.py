"""Latency of lists while the server zips, or deletes, thousands of assets for another client.

Promise: one client lists, one request after the other, alone and beside the work, in turns. The
work is checked to be complete.
"""

import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection
from io import BytesIO
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final
from urllib.parse import urlsplit

import click
import orjson
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.crawl import get
from benchmarks.fill import ledger
from benchmarks.lag import settle
from benchmarks.machine import BenchmarkError, machine
from benchmarks.servers import Server, product_command, serving

LIST: Final = "/api/assets?node_id=node_01&page_size=50"
ASSETS: Final = 100_000
"""Assets in the ledger before the benchmark."""
ALONE: Final = 3.0
"""Seconds of lists alone before each work."""


class Client:
    """One persistent connection."""

    def __init__(self, server: Server) -> None:
        self._connection = HTTPConnection(urlsplit(server.url).netloc)

    def request(self, method: str, path: str, document: Any = None) -> bytes:
        """Return the body of an answer. Raises BenchmarkError unless its status is 2xx."""
        body = None if document is None else orjson.dumps(document)
        self._connection.request(method, path, body, {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        answer = response.read()
        if response.status >= 300:
            raise BenchmarkError(f"{method} {path} answered {response.status}: {answer.decode()}")
        return answer

    def listing(self) -> float:
        """Return the duration of one list in ms."""
        start = time.perf_counter()
        get(self._connection, LIST)
        return (time.perf_counter() - start) * 1e3


@dataclass
class Beside:
    """Durations of lists in ms, alone and beside one kind of work, and of the work in s."""

    alone: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    took: list[float] = field(default_factory=list)

    def take(self, client: Client, work: Callable[[], None]) -> None:
        """Time lists alone for a while, then beside one run of the work."""
        end = time.perf_counter() + ALONE
        while time.perf_counter() < end:
            self.alone.append(client.listing())
        working = threading.Thread(target=work)
        start = time.perf_counter()
        working.start()
        while working.is_alive():
            self.beside.append(client.listing())
        self.took.append(time.perf_counter() - start)

    def row(self) -> list[str]:
        ratio = p99(self.beside) / p99(self.alone)
        return [
            f"{median(self.took):.2f} s",
            spread(self.alone),
            spread(self.beside),
            f"{ratio:.1f}",
        ]


def p99(times: Sequence[float]) -> float:
    return quantiles(times, n=100)[-1]


def spread(times: Sequence[float]) -> str:
    return f"{median(times):.1f} / {p99(times):.1f} ms"


class Zip:
    """A zip download of many assets."""

    def __init__(self, server: Server, count: int) -> None:
        self._client, self._ids, self._cursor = Client(server), list[str](), ""
        while len(self._ids) < count:
            path = f"/api/assets?page_size=1000&cursor={self._cursor}"
            page = orjson.loads(self._client.request("GET", path))
            self._ids += [asset["id"] for asset in page["assets"]]
            self._cursor = page["next"]
        self._ids = self._ids[:count]
        self._body = b""

    def work(self) -> None:
        self._body = self._client.request("POST", "/api/assets/download", {"asset_ids": self._ids})

    def check(self) -> None:
        """Raise BenchmarkError unless the zip has every asset."""
        with zipfile.ZipFile(BytesIO(self._body)) as archive:
            if len(archive.namelist()) != len(self._ids):
                raise BenchmarkError(f"{len(archive.namelist())} of {len(self._ids)} assets came")


class Folder:
    """A folder of many assets. `work` deletes it, and `check` restores it."""

    def __init__(self, server: Server, count: int, progress: Progress) -> None:
        self._client, self._count, self._body = Client(server), count, b""
        self._id = self._created({"name": "full", "content_type": "folder"})
        for number in progress.track(range(count), description="filling a folder"):
            self._created({"name": f"{number}", "parent_id": self._id})

    def _created(self, document: Any) -> str:
        return str(orjson.loads(self._client.request("POST", "/api/assets", document))["id"])

    def work(self) -> None:
        self._body = self._client.request("DELETE", f"/api/assets/{self._id}")

    def check(self) -> None:
        """Raise BenchmarkError unless all assets were deleted."""
        deleted = len(orjson.loads(self._body)["deleted_asset_ids"])
        if deleted != self._count + 1:
            raise BenchmarkError(f"{deleted} assets were deleted")
        self._client.request("POST", f"/api/assets/{self._id}/restore")


def measure(server: Server, kind: Zip | Folder, rounds: int) -> Beside:
    client, measured = Client(server), Beside()
    for _ in range(rounds):
        settle(server)  # otherwise the projections would catch up beside the lists alone
        measured.take(client, kind.work)
        kind.check()
    return measured


@click.command()
@click.option("--zipped", type=click.IntRange(1), default=5_000, show_default=True)
@click.option("--deleted", type=click.IntRange(1), default=20_000, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--folder", type=click.Path(exists=True, path_type=Path), help="Keep the data here.")
def main(zipped: int, deleted: int, rounds: int, folder: Path | None) -> None:
    """Time lists alone and beside a zip, and beside the deletion of a folder, in turns."""
    grid = Table("beside", "took", "lists alone, p50 / p99", "beside it", "p99 over p99")
    with (
        tempfile.TemporaryDirectory(prefix="asset-ledger-benchmark-") as temporary,
        Progress(console=Console(stderr=True), transient=True) as progress,
        serving(
            "product", product_command(ledger(folder or Path(temporary), ASSETS, progress))
        ) as server,
    ):
        beside = measure(server, Zip(server, zipped), rounds)
        grid.add_row(f"a zip of {zipped:,} assets", *beside.row())
        beside = measure(server, Folder(server, deleted, progress), rounds)
        grid.add_row(f"a folder of {deleted:,} deleted", *beside.row())
    Console(width=100).print(grid)
    click.echo(" · ".join(f"{name} {value}" for name, value in machine().items()))


if __name__ == "__main__":
    main()
