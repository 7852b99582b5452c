"""The tracking example runs as a program on its own ledger, and against a server."""

import os
import re
import subprocess
import sys
from io import BytesIO

import pytest

from examples import asset_tracking_example
from tests.api.running import Api
from tests.house.source import ROOT

OUTPUT = """debugging node blur in job first-*:
  Blur_blur_once.png: * bytes, made of Noise_noise.png
  Blur_blur_twice.png: * bytes, made of Noise_noise.png
results of job second-*:
  Noise_noise.png: by node noise, saved as *.png
  Blur_blur_once.png: by node blur, saved as *.png
  Blur_blur_twice.png: by node blur, saved as *.png
  sheet_sheet.png: by node sheet, saved as *.png
outputs of the workflow:
  sheet_sheet.png: of job second-*, tagged final
  sheet_sheet.png: of job first-*, tagged final
performance by node:
  sheet: 2 assets, * bytes
  blur: 4 assets, * bytes
  noise: 2 assets, * bytes
"""
FITS = re.compile(re.escape(OUTPUT).replace(r"\*", r"[\w,]+"))


def test_the_example_answers_its_four_questions_on_a_ledger_of_its_own() -> None:
    environment = {n: v for n, v in os.environ.items() if not n.startswith("ASSET_LEDGER_")}

    finished = subprocess.run(
        [sys.executable, "-W", "error", ROOT / "examples" / "asset_tracking_example.py"],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
        env=environment,
    )

    assert (finished.returncode, finished.stderr) == (0, "")
    assert FITS.fullmatch(finished.stdout)


async def test_the_example_prints_the_same_against_a_server(
    api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ASSET_LEDGER_URL", api.url)

    await asset_tracking_example.main()

    assert FITS.fullmatch(capsys.readouterr().out)
    jobs = (await api.get("/api/jobs")).json["jobs"]
    assert [job["status"] for job in jobs] == ["completed", "completed"]


def test_the_pictures_of_the_example_are_valid_png() -> None:
    picture = asset_tracking_example.Picture(2, 2, bytes([0, 255, 128, 7]))
    pillow = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    output = picture.to_asset()
    assert callable(output.content)

    with pillow.open(BytesIO(output.content())) as image:
        assert (image.format, image.size, image.tobytes()) == ("PNG", (2, 2), picture.pixels)
