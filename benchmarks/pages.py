"""Reads of a large ledger: pages of 50 against the floor and a small ledger, and hot answers.

Promise: the product and the floor answer the same pages, in turns, from the same file.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import orjson

from benchmarks.bench import Bench
from benchmarks.crawl import PAGES_KEPT, Page, crawl, write_paths
from benchmarks.fill import names
from benchmarks.load import pages
from benchmarks.rows import Row
from benchmarks.servers import Server, floor_command, product_command, serving
from benchmarks.turns import Turns, alternating, divided

TAGS: Final = ("job", "node", "workflow")
READERS: Final = 4
"""Connections that the product reads with. The floor has as many."""
CONNECTIONS: Final = 16
FLOOR, MANY, FEW = "floor", "product", "product, few assets"
PAGE, ASSET, UNCHANGED = "page", "asset", "304"


class Side(NamedTuple):
    """A server, the name of a load, and the file with the paths to request."""

    server: Server
    load: str
    paths: Path


def rows(bench: Bench) -> list[Row]:
    """Measure pages by job, node and workflow on three servers."""
    with ExitStack() as stack:
        big = stack.enter_context(serving(MANY, product_command(bench.many())))
        small = stack.enter_context(serving(FEW, product_command(bench.few())))
        tables = max(bench.many().glob("projections.g*[0-9].db"))
        command = floor_command("read", str(tables), "--readers", str(READERS))
        floor = stack.enter_context(serving(FLOOR, command))
        many, few = walked(big, bench.sizes.assets), walked(small, bench.sizes.few)
        turns = in_turns(
            bench,
            [
                [
                    side(bench, floor, tag, [page.floor for page in many[tag]]),
                    side(bench, big, tag, anew(many[tag])),
                    side(bench, small, tag, anew(few[tag])),
                ]
                for tag in TAGS
            ],
        )
    return [*compared(bench, turns, FLOOR), *compared(bench, turns, FEW)]


def compared(bench: Bench, turns: Turns, base: str) -> Iterable[Row]:
    """Yield the rows over a base, one by tag."""
    large = base == FEW and bench.sizes.assets > 1_000_000
    other = "the ready statement" if base == FLOOR else f"our own at {bench.sizes.few:,}"
    for tag in TAGS:
        row = over(turns, f"page of 50 by {tag} over {other}", tag, base, 0.8 if large else 0.9, 1)
        yield replace(row, at=bench.sizes.assets)


def over(
    turns: Turns, what: str, load: str, base: str, bar: float, aim: float | None = None
) -> Row:
    """Return the row of the product over a base."""
    beside: dict[str, Sequence[float]] = {
        f"{name}/s": turns.rates(name, load) for name in (MANY, base)
    }
    beside["us of CPU"] = [turn.cpu_us for turn in turns.of(MANY, load)]
    return Row(what, turns.ratios(MANY, base, load), bar, aim, beside=beside)


def walked(server: Server, assets: int) -> Mapping[str, list[Page]]:
    return {tag: crawl(server.url, tag, names(tag, assets)) for tag in TAGS}


def anew(found: Sequence[Page]) -> list[str]:
    """Return a path for each request: so many kept answers have no room, and few are not kept."""
    paths = [page.product for page in found]
    return [f"{paths[n % len(paths)]}&min_position={n + 1}" for n in range(PAGES_KEPT)]


def side(bench: Bench, server: Server, load: str, paths: Sequence[str]) -> Side:
    file = bench.folder / f"{server.name}-{load}.paths"
    return Side(server, load, write_paths(file, paths))


def in_turns(bench: Bench, groups: Iterable[Sequence[Side]]) -> Turns:
    """Measure the sides of each group in turns."""
    turns = Turns()
    seconds = bench.sizes.seconds
    for group in groups:
        for server, load, paths in alternating(bench.sizes.rounds, group):
            reading = partial(pages, paths=paths, connections=CONNECTIONS, seconds=seconds)
            turns.take(server, load, reading)
    return turns


def hot_rows(bench: Bench) -> list[Row]:
    """Measure one page and one asset again and again, against ready bytes, and a 304."""
    with serving(MANY, product_command(bench.many())) as product:
        page = crawl(product.url, "node", names("node", bench.sizes.assets)[:1])[0].product
        page_bytes, _ = read(product, page)
        asset = f"/api/assets/{orjson.loads(page_bytes)['assets'][0]['id']}"
        asset_bytes, etag = read(product, asset)
        for number, body in enumerate((page_bytes, asset_bytes)):
            (bench.folder / f"ready{number}").write_bytes(body)
        with serving(FLOOR, floor_command("ready", str(bench.folder))) as floor:
            turns = in_turns(
                bench,
                [
                    [side(bench, floor, PAGE, ["/ready0"]), side(bench, product, PAGE, [page])],
                    [
                        side(bench, floor, ASSET, ["/ready1"]),
                        side(bench, product, ASSET, [asset]),
                        side(bench, product, UNCHANGED, [f"{asset}\tIf-None-Match: {etag}"]),
                    ],
                ],
            )
    return hot(turns)


def hot(turns: Turns) -> list[Row]:
    whole, unchanged = turns.rates(MANY, ASSET), turns.rates(MANY, UNCHANGED)
    beside = {"304/s": unchanged, "asset/s": whole}
    return [
        over(turns, "the same page again over ready bytes", PAGE, FLOOR, bar=0.5),
        over(turns, "one asset over ready bytes", ASSET, FLOOR, bar=0.6),
        Row("304 over the asset", divided(unchanged, whole), bar=2, beside=beside),
    ]


def read(server: Server, path: str) -> tuple[bytes, str]:
    """Return the body and the ETag of an answer."""
    with closing(HTTPConnection(urlsplit(server.url).netloc)) as client:
        client.request("GET", path)
        answer = client.getresponse()
        return answer.read(), answer.headers.get("ETag") or ""
