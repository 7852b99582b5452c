"""Take the pictures of the README: the gallery and a replay of the demonstration, in both themes.

    .venv/bin/python -m tools.pictures        # needs a Chromium; writes docs/pictures/

Promise: each picture is what headless Chromium shows of a ledger that `examples.demo` painted.
"""

import asyncio
import io
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
from PIL import Image

from examples.demo.history import record
from tests.journeys.browser import Page, browsing
from tests.journeys.server import serving

FOLDER: Final = Path(__file__).resolve().parent.parent / "docs" / "pictures"
WIDTH: Final = 1440
HEIGHT: Final = 900
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


async def take(page: Page, url: str, shot: Shot, theme: str) -> bytes:
    """Return a PNG of a screen in a theme, once its pictures are loaded."""
    await page.emulate(prefers_color_scheme=theme)
    await page.resize(WIDTH, HEIGHT)
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


async def main() -> int:
    """Paint a ledger, serve it, and take every picture of it."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="asset-ledger-pictures-") as temporary:
        home = Path(temporary)
        await record(home / "data")
        with serving(home / "data") as server, httpx.Client(base_url=server.url) as client:
            async with browsing(home / "profile") as page:
                for shot in shots(client):
                    for theme in ("light", "dark"):
                        png = await take(page, server.url, shot, theme)
                        stored(png, FOLDER / f"{shot.name}-{theme}.webp")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
