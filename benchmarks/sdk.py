"""Uploads of 4 KiB through the SDK against a bare aiohttp client, in turns on one server.

The bare client sends the same form with an Idempotency-Key, and parses the JSON of the answer: the
minimum of any client. It retries nothing. Promise: every upload of both is answered 201.
"""

import asyncio
import secrets
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import aiohttp
import click
import orjson
import uvloop
from rich.console import Console
from rich.table import Table

from asset_ledger import ProcessingContext, connect
from benchmarks.machine import BenchmarkError, machine
from benchmarks.servers import product_command, serving

BAR: Final = 1.15
SIZE: Final = 4096

Upload = Callable[[int], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Pair:
    """One round: us per upload, with the bare client and with the SDK."""

    bare: float
    sdk: float

    @property
    def ratio(self) -> float:
        return self.sdk / self.bare


def content(number: int) -> bytes:
    """Return unique bytes."""
    return secrets.token_bytes(16) + number.to_bytes(8, "big") * ((SIZE - 16) // 8)


class BareClient:
    """The same upload with plain aiohttp."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session, self._url = session, f"{url}/api/assets"

    async def upload(self, number: int) -> dict[str, object]:
        fields = {"name": f"{number}.bin", "content_type": "application/octet-stream"}
        fields |= {"workflow_id": "w", "job_id": "j", "node_id": "n"}
        boundary = secrets.token_hex(16).encode()
        body = b"".join(
            (
                b'--%b\r\nContent-Disposition: form-data; name="json"\r\n\r\n' % boundary,
                orjson.dumps(fields),
                b'\r\n--%b\r\nContent-Disposition: form-data; name="file"; filename="file"\r\n\r\n'
                % boundary,
                content(number),
                b"\r\n--%b--\r\n" % boundary,
            )
        )
        headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary.decode()}",
            "Idempotency-Key": secrets.token_hex(16),
        }
        async with self._session.post(self._url, data=body, headers=headers) as response:
            if response.status != 201:
                raise BenchmarkError(f"the server answered {response.status}")
            answer: dict[str, object] = orjson.loads(await response.read())
            return answer


async def timed(upload: Upload, uploads: int, connections: int) -> float:
    """Return the us per upload, with this many at a time."""
    numbers = iter(range(uploads))

    async def upload_next() -> None:
        for number in numbers:
            await upload(number)

    start = time.perf_counter()
    await asyncio.gather(*(upload_next() for _ in range(connections)))
    return (time.perf_counter() - start) / uploads * 1e6


async def measure(url: str, connections: int, uploads: int, rounds: int) -> list[Pair]:
    """Run both clients in turns, each with its own connections, after one round to warm up."""
    async with aiohttp.ClientSession() as session, connect(url):
        context = ProcessingContext(workflow_id="w", job_id="j")

        async def through_the_sdk(number: int) -> object:
            return await context.create_asset(
                f"{number}.bin", "application/octet-stream", content(number), node_id="n"
            )

        bare = BareClient(session, url).upload
        pairs = [
            Pair(
                await timed(bare, uploads, connections),
                await timed(through_the_sdk, uploads, connections),
            )
            for _ in range(rounds + 1)
        ]
    return pairs[1:]


def row(connections: int, pairs: list[Pair]) -> list[str]:
    ratios = sorted(pair.ratio for pair in pairs)
    spread = f"{median(ratios):.3f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
    times = [median(pair.bare for pair in pairs), median(pair.sdk for pair in pairs)]
    return [str(connections), *(f"{us:,.0f}" for us in times), spread, f"{BAR}"]


@click.command()
@click.option("--connections", type=click.IntRange(1), multiple=True, default=(1, 16))
@click.option("--rounds", type=click.IntRange(1), default=7, help="Turns of each client.")
@click.option("--uploads", type=click.IntRange(1), default=2000, help="Uploads in a turn.")
@click.option("--folder", type=click.Path(exists=True, path_type=Path), help="A disk to measure.")
def main(connections: tuple[int, ...], rounds: int, uploads: int, folder: Path | None) -> None:
    """Upload through the SDK and without it in turns, and print the ratio."""
    grid = Table("connections", "bare us", "SDK us", "SDK / bare", "bar", title="Uploads of 4 KiB")
    with (
        tempfile.TemporaryDirectory(prefix="asset-ledger-benchmark-", dir=folder) as temporary,
        serving("product", product_command(Path(temporary) / "data")) as server,
    ):
        for at_once in connections:
            grid.add_row(*row(at_once, uvloop.run(measure(server.url, at_once, uploads, rounds))))
    Console().print(grid)
    click.echo(" · ".join(f"{name} {value}" for name, value in machine().items()))


if __name__ == "__main__":
    main()
