"""The console in headless Chromium on a ledger of a million pictures, against its budgets.

Promise: the pages come from the product's server, and are driven by a browser as a user has one.
"""

import asyncio
import io
import os
import random
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

import click
from PIL import Image
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.fill import A_COMMIT, Contents, fill, names
from benchmarks.machine import BenchmarkError, machine
from benchmarks.servers import product_command, serving
from tests.journeys.browser import INSTALLED, Page, browsing

PICTURES: Final = 160
SPREAD: Final = timedelta(days=120)
"""The assets are recorded over this time, so that the time rail has days to jump to."""

WORK: Final = ("Script", "RecalcStyle", "Layout")
PAINT: Final = """performance.getEntriesByName("first-contentful-paint")[0]?.startTime"""
PICTURED: Final = """[...document.querySelectorAll("[role=option] img")]
    .some((image) => image.complete && image.naturalWidth) && performance.now()"""
SCROLL: Final = """(async () => {
    const box = document.querySelector(".scroll"), frames = [], long = [];
    new PerformanceObserver((list) => long.push(...list.getEntries().map((e) => e.duration)))
        .observe({ type: "longtask" });
    let last = await new Promise(requestAnimationFrame);
    const end = last + SECONDS * 1000;
    while (last < end) {
        box.scrollTop += 60;
        const now = await new Promise(requestAnimationFrame);
        frames.push(now - last);
        last = now;
    }
    const elements = document.querySelectorAll("*").length;
    return { frames, long, elements, heap: performance.memory.usedJSHeapSize };
})()"""
OPEN: Final = """(async () => {
    const top = document.querySelector(".scroll").getBoundingClientRect().top, taken = [];
    const inView = (tile) => tile.getBoundingClientRect().top >= top;
    const tiles = [...document.querySelectorAll("[role=option]")].filter(inView).slice(0, 5);
    for (const tile of tiles) {
        const start = performance.now();
        tile.click();
        await shown(() => document.querySelector(".panel h2"));
        taken.push(performance.now() - start);
        document.querySelector(".panel [aria-label=Close]").click();
        await shown(() => !document.querySelector(".panel h2"));
    }
    return taken;
    function shown(test) {
        return new Promise((done) => {
            const look = () => test() && (seen.disconnect(), requestAnimationFrame(done));
            const seen = new MutationObserver(look);
            seen.observe(document, { childList: true, subtree: true });
            look();
        });
    }
})()"""
STEP: Final = """(async () => {
    const taken = [], read = () => document.querySelector(".read b").textContent;
    for (let n = 0; n < 60; n++) {
        const before = read(), start = performance.now();
        const key = { key: "ArrowLeft", bubbles: true, cancelable: true };
        document.body.dispatchEvent(new KeyboardEvent("keydown", key));
        while (read() === before) await new Promise((done) => setTimeout(done));
        document.querySelector(".replay").getBoundingClientRect(); // with its layout
        taken.push(performance.now() - start);
        await new Promise(requestAnimationFrame);
    }
    return taken;
})()"""


@dataclass(frozen=True, slots=True)
class Measured:
    """One measured figure, its unit, and its budget."""

    what: str
    value: float
    unit: str
    budget: float


def picture(seed: int) -> bytes:
    """Return a PNG of smooth colours, 320 x 240."""
    pixels = random.Random(seed).randbytes(4 * 3 * 3)
    image = Image.frombytes("RGB", (4, 3), pixels).resize((320, 240), Image.Resampling.BICUBIC)
    body = io.BytesIO()
    image.save(body, "PNG")
    return body.getvalue()


def times(assets: int) -> Iterator[datetime]:
    """Yield the time of each commit, spread evenly up to now."""
    commits, now = assets // A_COMMIT + 2, datetime.now(UTC)
    yield from (now - SPREAD * (commits - n) / commits for n in range(commits))
    while True:
        yield now


def ledger(folder: Path, assets: int) -> Path:
    """Return the folder of a ledger of this many pictures. Makes it if it does not exist."""
    data_dir, time = folder / f"pictures-{assets}", times(assets)
    if not data_dir.exists():
        pictures = Contents.of(map(picture, range(PICTURES)), "image/png", "png")
        with Progress(console=Console(stderr=True), transient=True) as progress:
            fill(data_dir, assets, progress, pictures, lambda: next(time))
    return data_dir


async def measure(
    url: str, profile: Path, assets: int, rounds: int, seconds: int
) -> list[Measured]:
    async with browsing(profile) as page:
        await page.open("about:blank")
        await page.resize(1440, 900)
        await first_view(page, url)  # draws the first thumbnails, and fills the caches
        views = [await first_view(page, url) for _ in range(rounds)]
        scrolled, scrolling = await timed(page, SCROLL.replace("SECONDS", str(seconds)))
        opened, opening = await timed(page, OPEN)
        await page.open(f"{url}/jobs/{names('job', assets)[0]}")
        await page.once("document.querySelector('.stats')?.textContent.includes('proven')", "true")
        steps, stepping = await timed(page, STEP)
    busy = [
        Measured("processor time of a frame", scrolling / len(scrolled["frames"]), "ms", 17),
        Measured("of a panel, opened and closed", opening / len(opened), "ms", 100),
        Measured("of a step", stepping / len(steps), "ms", 16),
    ]
    return [*of_views(views), *of_scroll(scrolled), *of_steps(opened, steps), *busy]


async def timed(page: Page, script: str) -> tuple[Any, float]:
    """Return the value of a script, and the processor time that scripts, styles and layout took
    meanwhile, in ms: a busy machine makes it longer, but by far less than the time on a clock."""
    await page.command("Performance.enable", timeDomain="threadTicks")
    before = await processor_time(page)
    value = await page.run(script)
    return value, await processor_time(page) - before


async def processor_time(page: Page) -> float:
    metrics = (await page.command("Performance.getMetrics"))["metrics"]
    found = {each["name"]: each["value"] for each in metrics}
    return 1000 * sum(float(found[f"{part}Duration"]) for part in WORK)


async def first_view(page: Page, url: str) -> dict[str, float]:
    """Open the console, and return when it painted first and had a thumbnail, in ms."""
    await page.open(url)
    pictured = await page.once(PICTURED, PICTURED)
    return {"paint": await page.run(PAINT), "picture": pictured}


def of_views(views: list[dict[str, float]]) -> list[Measured]:
    paints, pictures = ([view[name] for view in views] for name in ("paint", "picture"))
    return [
        Measured("first paint", median(paints), "ms", 500),
        Measured("first thumbnail", median(pictures), "ms", 1000),
    ]


def of_scroll(scrolled: Any) -> list[Measured]:
    frames = sorted(scrolled["frames"])
    return [
        Measured("frame, p50", median(frames), "ms", 17),
        Measured("frame, p95", quantiles(frames, n=20)[-1], "ms", 34),
        Measured("longest task", max(scrolled["long"], default=0), "ms", 100),
        Measured("elements after the scroll", scrolled["elements"], "", 1500),
        Measured("JS heap after the scroll", scrolled["heap"] / 1e6, "MB", 80),
    ]


def of_steps(opened: list[float], steps: list[float]) -> list[Measured]:
    return [
        Measured("open the panel", median(opened), "ms", 100),
        Measured("step in a replay of 1,000 assets, p50", median(steps), "ms", 16),
        Measured("step in a replay of 1,000 assets, p95", quantiles(steps, n=20)[-1], "ms", 16),
    ]


def table(assets: int, found: list[Measured]) -> Table:
    grid = Table(
        "what", "measured", "budget", title=f"The console on {assets:,} assets, 1440 x 900"
    )
    for each in found:
        grid.add_row(each.what, f"{each.value:,.0f} {each.unit}", f"{each.budget:,.0f} {each.unit}")
    return grid


@click.command()
@click.option("--assets", type=click.IntRange(10_000), default=1_000_000, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=5, help="First views to measure.")
@click.option("--seconds", type=click.IntRange(1), default=6, help="Length of the scroll.")
@click.option("--folder", type=click.Path(exists=True, path_type=Path), help="Keep the data here.")
def main(assets: int, rounds: int, seconds: int, folder: Path | None) -> None:
    """Measure the console's budgets in Chromium, and print them."""
    if INSTALLED is None:
        raise BenchmarkError("no Chromium here: apt-get install chromium-headless-shell")
    with tempfile.TemporaryDirectory(prefix="asset-ledger-benchmark-") as temporary:
        data_dir = ledger(folder or Path(temporary), assets)
        with serving("product", product_command(data_dir)) as server:
            profile, load = Path(temporary, "profile"), os.getloadavg()[0]
            found = asyncio.run(measure(server.url, profile, assets, rounds, seconds))
    Console(width=100).print(table(assets, found))
    about = " · ".join(f"{name} {value}" for name, value in machine().items())
    click.echo(f"{about} · load {load:.1f} before, {os.getloadavg()[0]:.1f} after")


if __name__ == "__main__":
    main()
