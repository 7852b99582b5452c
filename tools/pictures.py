"""Take the pictures of the README, or one of every screen, in both themes.

    .venv/bin/python -m tools.pictures                 # needs a Chromium; writes docs/pictures/
    .venv/bin/python -m tools.pictures --every FOLDER  # every screen, on a desk and on a phone

Promise: each picture is what headless Chromium shows of a ledger that `examples.demo` painted.
"""

import argparse
import asyncio
import io
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
from PIL import Image

from examples.demo.history import record
from tests.journeys.browser import Page, browsing
from tests.journeys.server import serving

FOLDER: Final = Path(__file__).resolve().parent.parent / "docs" / "pictures"
DESK: Final = (1440, 900)
PHONE: Final = (390, 844)
THEMES: Final = ("light", "dark")
LARGEST: Final = 150_000
"""Bytes of one picture, so that a clone stays small."""

LOADED: Final = """[...document.querySelectorAll("main img, aside img")].every((image) => {
    const box = image.getBoundingClientRect();
    return box.bottom < 0 || box.top > innerHeight || (image.complete && image.naturalWidth);
})"""


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture: its name, the path of the screen, and a text that shows that it is there."""

    name: str
    path: str
    ready: str


def shots(client: httpx.Client) -> list[Shot]:
    """Return what to take of a demonstration's ledger."""
    graded = {"job_id": "ridge-plum_0065", "node_id": "grade"}
    asset = client.get("/api/assets", params=graded).json()["assets"][0]
    history = client.get("/api/jobs/lofoten-dawn_0142/history", params={"limit": 1000}).json()
    made = [event for event in history["events"] if event["node_id"] == "upscale-4x"]
    position = made[len(made) * 3 // 5]["position"]
    return [
        Shot("gallery", f"/?open={asset['id']}", "Recorded and proven"),
        Shot("replay", f"/jobs/lofoten-dawn_0142?at={position}", "proven"),
    ]


def screens(client: httpx.Client) -> Iterator[Shot]:
    """Yield one picture of every screen, and of every tab of a job."""
    gallery, replay = shots(client)
    job, asset = replay.path.partition("?")[0], gallery.path.replace("/?open=", "/assets/")
    jobs = [each["job_id"] for each in client.get("/api/jobs?page_size=50").json()["jobs"]]
    failed = client.get("/api/jobs?status=failed").json()["jobs"][0]["job_id"]
    other = next(each for each in jobs if each not in (failed, job.removeprefix("/jobs/")))
    yield from (gallery, replay)
    yield Shot("list", "/?view=list", "NodeJob")
    yield Shot("asset", asset, "Recorded and proven")
    yield Shot("asset-lineage", f"{asset}?tab=lineage", "Recorded and proven")
    yield Shot("jobs", "/jobs", job.removeprefix("/jobs/"))
    for tab in ("assets", "lineage", "events", "parameters"):
        yield Shot(f"job-{tab}", f"{job}?tab={tab}", "proven")
    yield Shot("job-failed", f"/jobs/{failed}?tab=parameters", "proven")
    yield Shot("compare", f"{job}?tab=compare&with={other}", "They part at")
    yield Shot("usage", "/usage", "Share of bytes")
    yield Shot("node", "/nodes/upscale-4x", "Share of bytes")
    yield Shot("ledger", "/ledger", "generation 1")


async def take(page: Page, url: str, shot: Shot, theme: str, size: tuple[int, int] = DESK) -> bytes:
    """Return a PNG of a screen in a theme, once its pictures are loaded."""
    await page.emulate(prefers_color_scheme=theme)
    await page.resize(*size)
    await page.open(url + shot.path)
    await page.once(f"document.documentElement?.textContent.includes('{shot.ready}')", "1")
    await page.run(
        f"new Promise((done) => {{ const look = () => {LOADED} ? setTimeout(done, 400)"
        " : setTimeout(look, 50); look(); })"
    )
    return await page.picture()


def stored(png: bytes, path: Path) -> None:
    """Store a picture as WebP of at most 150 kB. Raises ValueError if it does not fit."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    for quality in range(88, 40, -6):
        picture.save(path, "webp", quality=quality, method=6)
        if path.stat().st_size <= LARGEST:
            return
    raise ValueError(f"{path} has more than {LARGEST:,} bytes")


async def readme(page: Page, home: Path) -> None:
    """Take the pictures of the README."""
    FOLDER.mkdir(exist_ok=True)
    with serving(home / "data") as server, httpx.Client(base_url=server.url) as client:
        for shot in shots(client):
            for theme in THEMES:
                png = await take(page, server.url, shot, theme)
                stored(png, FOLDER / f"{shot.name}-{theme}.webp")


async def every(page: Page, home: Path, folder: Path) -> None:
    """Take a picture of every screen in both themes and two sizes, as PNG."""
    with ExitStack() as running:
        server = running.enter_context(serving(home / "data"))
        empty = running.enter_context(serving(home / "empty"))
        tokens = running.enter_context(serving(home / "tokens", "--auth", "tokens"))
        client = running.enter_context(httpx.Client(base_url=server.url))
        wanted = [(server.url, shot) for shot in screens(client)]
        wanted.append((empty.url, Shot("empty", "/", "No assets yet")))
        wanted.append((tokens.url, Shot("sign-in", "/sign-in", "Sign in")))
        for url, shot in wanted:
            for theme in THEMES:
                for size in (DESK, PHONE):
                    png = await take(page, url, shot, theme, size)
                    kept(png, folder / f"{shot.name}-{theme}-{size[0]}.png")


def kept(png: bytes, path: Path) -> None:
    """Store a picture as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png)


async def main(folder: Path | None) -> int:
    """Paint a ledger, serve it, and take the pictures of it."""
    with tempfile.TemporaryDirectory(prefix="asset-ledger-pictures-") as temporary:
        home = Path(temporary)
        await record(home / "data")
        async with browsing(home / "profile") as page:
            await (every(page, home, folder) if folder else readme(page, home))
    return 0


def options() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--every", metavar="FOLDER", type=Path, help="every screen, into FOLDER")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(asyncio.run(main(options().every)))
