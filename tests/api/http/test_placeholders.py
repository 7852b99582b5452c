"""What clients show of a content before its bytes: placeholders, peaks, and the folders around."""

import io
import math
import sys
import wave
from array import array
from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image

from asset_ledger.api.contract.placeholders import MOST_PEAKS
from asset_ledger.api.thumbnails import loudness
from asset_ledger.api.thumbnails.errors import UndrawableError
from asset_ledger.api.thumbnails.placeholder import thumbhash
from tests.api.calling import caller, serving_with_tokens
from tests.api.http.test_operations import shaped
from tests.api.http.test_thumbnail import picture
from tests.api.running import Api
from tests.builders import asset_id


def gradient(width: int, height: int, *, transparent: bool = False) -> Image.Image:
    image = Image.new("RGBA", (width, height))
    for x in range(width):
        for y in range(height):
            image.putpixel((x, y), (x * 7, y * 5, x * y % 200, x * 8 if transparent else 255))
    return image


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (gradient(32, 24), "FGgKHZZgdndziIiGiGeIh+CoDseI"),
        (gradient(20, 32), "0ucJFBBgBodoiIZ4eIj4ph/3iA=="),
        (gradient(32, 24, transparent=True), "WLiGFIg3wZegiIVYGX/a0F4Hd4eIeIiIBw=="),
    ],
)
def test_thumbhash_is_that_of_the_reference_encoder(image: Image.Image, expected: str) -> None:
    found = thumbhash(image)

    assert found[:6] == expected[:6]
    pairs = zip(b64decode(found), b64decode(expected), strict=True)
    steps = [abs((a >> shift & 15) - (b >> shift & 15)) for a, b in pairs for shift in (0, 4)]
    assert max(steps) <= 1  # sums in another order round halves to another side


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1), (3, 2), (4000, 3000)])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "CMYK"])
def test_every_size_and_mode_has_a_thumbhash(size: tuple[int, int], mode: str) -> None:
    assert 16 <= len(thumbhash(Image.new(mode, size))) <= 40


async def placeholders(api: Api, *assets: str) -> list[dict[str, object]]:
    query = "&".join(f"id={each}" for each in assets)
    answer = await api.get(f"/api/assets/placeholders?{query}")
    found: list[dict[str, object]] = shaped("list_placeholders", answer)["placeholders"]
    return found


async def test_placeholder_has_the_pixels_of_the_whole_picture(api: Api) -> None:
    asset = await api.created(picture((2048, 1024)), content_type="image/png")
    path = f"/api/assets/{asset['id']}/placeholder"

    found = shaped("get_placeholder", await api.get(path))
    assert (found["id"], found["version"]) == (asset["id"], 1)
    assert (found["width"], found["height"]) == (2048, 1024)
    again = await api.get(f"{path}?version=1")
    assert again.json == found
    assert "immutable" in again.headers["Cache-Control"]
    assert await placeholders(api, asset["id"]) == [found]


async def test_placeholders_of_more_assets_than_a_page_has_are_all_listed(api: Api) -> None:
    metadata, made = {"graph": "x" * 30_000}, list[str]()
    for _ in range(40):  # 1.2 MB of assets
        asset = await api.created(picture((8, 4)), content_type="image/png", metadata=metadata)
        made.append(asset["id"])
    await api.get(f"/api/assets/{made[0]}/placeholder")  # all have the same picture

    assert {each["id"] for each in await placeholders(api, *made)} == {*made}


@pytest.mark.parametrize(("turn", "size"), [(1, (80, 40)), (3, (80, 40)), (6, (40, 80))])
async def test_placeholder_of_a_photo_is_upright(
    api: Api, turn: int, size: tuple[int, int]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    asset = await api.created(picture((80, 40), "JPEG", exif=exif), content_type="image/jpeg")

    found = (await api.get(f"/api/assets/{asset['id']}/placeholder")).json

    assert (found["width"], found["height"]) == size


async def test_placeholders_are_listed_once_thumbnails_were_drawn(api: Api) -> None:
    made = [await api.created(picture((8 + n, 4)), content_type="image/png") for n in range(3)]
    text = await api.created(b"text", content_type="text/plain")
    folder = await api.created(None, content_type="folder", name="f")
    broken = await api.created(b"no picture", content_type="image/png")
    ids = [each["id"] for each in (*made, text, folder, broken)] + [asset_id(7)]
    assert await placeholders(api, *ids) == []

    for each in (*made[:2], broken):
        await api.get(f"{each['thumb_url']}&size=160")

    found = await placeholders(api, *ids)
    assert {each["id"]: each["width"] for each in found} == {made[0]["id"]: 8, made[1]["id"]: 9}
    assert (await api.get(f"/api/assets/{text['id']}/placeholder")).slug == "unsupported-type"
    assert (await api.get(f"/api/assets/{broken['id']}/placeholder")).slug == "unsupported-type"
    assert (await api.get(f"/api/assets/{folder['id']}/placeholder")).slug == "unknown-asset"
    assert (await api.get("/api/assets/placeholders")).slug == "bad-parameter"
    assert (await api.get("/api/assets/placeholders?id=x")).slug == "bad-parameter"


async def test_placeholders_of_another_user_are_not_listed(opened_data_dir: Path) -> None:
    async with serving_with_tokens(opened_data_dir) as api:
        alice, bob = caller(api, "alice"), caller(api, "bob")
        asset = await alice.created(picture(), content_type="image/png")
        await alice.get(asset["thumb_url"])
        path = f"/api/assets/placeholders?id={asset['id']}"

        assert len((await alice.get(path)).json["placeholders"]) == 1
        assert (await bob.get(path)).json == {"placeholders": []}


def samples(seconds: float, *, rate: int = 8000) -> "array[int]":
    """Return a sound that is silent in its first half, and half as loud as possible after it."""
    count = int(seconds * rate)
    tone = (int(16_384 * math.sin(n / 3)) if 2 * n >= count else 0 for n in range(count))
    return array("h", tone)


def wav(values: Sequence[int], *, width: int = 2, channels: int = 1, rate: int = 8000) -> bytes:
    """Return a WAV of 16-bit values, with this many bytes a sample, on every channel."""
    body = io.BytesIO()
    with wave.open(body, "wb") as sound:
        sound.setnchannels(channels)
        sound.setsampwidth(width)
        sound.setframerate(rate)
        for value in values:
            low = value.to_bytes(2, sys.byteorder, signed=True)
            wide = bytes([(value >> 8) + 128]) if width == 1 else bytes(width - 2) + low
            sound.writeframesraw(wide * channels)
    return body.getvalue()


def encoded(kind: str, codec: str) -> bytes:
    """Return a second of sound in another format."""
    body = io.BytesIO()
    with av.open(body, "w", format=kind) as container:
        stream: Any = container.add_stream(codec, rate=48_000)
        frame = av.AudioFrame(format="s16", layout="mono", samples=48_000)
        frame.sample_rate = 48_000
        frame.planes[0].update(samples(1, rate=48_000).tobytes())
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return body.getvalue()


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("channels", [1, 2])
async def test_peaks_of_a_wav_follow_its_loudness(api: Api, width: int, channels: int) -> None:
    content = wav(samples(1), width=width, channels=channels)
    asset = await api.created(content, content_type="audio/wav")

    answer = await api.get(f"/api/assets/{asset['id']}/peaks?n=20&version=1")

    found = shaped("get_peaks", answer)
    assert "immutable" in answer.headers["Cache-Control"]
    assert found["duration"] == pytest.approx(1)
    assert found["peaks"][:9] == [0] * 9
    assert found["peaks"][11:] == [pytest.approx(0.5, abs=0.01)] * 9


@pytest.mark.parametrize(
    ("kind", "codec"), [("flac", "flac"), ("ogg", "libopus"), ("mp3", "libmp3lame")]
)
async def test_peaks_of_other_formats_follow_their_loudness(
    api: Api, kind: str, codec: str
) -> None:
    asset = await api.created(encoded(kind, codec), content_type=f"audio/{kind}")

    found = shaped("get_peaks", await api.get(f"/api/assets/{asset['id']}/peaks?n=10"))

    assert found["duration"] == pytest.approx(1, abs=0.1)
    assert max(found["peaks"][:4]) < 0.1
    assert min(found["peaks"][6:9]) > 0.3


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"no sound", "audio/mpeg"),
        (b"RIFF\4\0\0\0WAVE", "audio/wav"),
        (wav([]), "audio/wav"),
        (picture(), "image/png"),
        (b"text", "text/plain"),
    ],
)
async def test_contents_without_loudness_are_refused_with_the_reason(
    api: Api, content: bytes, content_type: str
) -> None:
    asset = await api.created(content, content_type=content_type)

    answer = await api.get(f"/api/assets/{asset['id']}/peaks")

    assert (answer.status, answer.slug) == (415, "unsupported-type")


def test_without_the_extra_video_only_wav_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loudness, "find_spec", lambda name: None)

    assert b"peaks" in loudness.measure(io.BytesIO(wav(samples(0.1))))
    with pytest.raises(UndrawableError, match="extra `video`"):
        loudness.measure(io.BytesIO(encoded("flac", "flac")))


@pytest.mark.parametrize("seconds", [1, 30, 300])
def test_parts_of_a_sound_stay_few_however_long_it_is(seconds: float) -> None:
    measured = loudness.Loudness()
    for _ in range(100):
        measured.add(samples(seconds / 100))

    assert len(measured.whole()) <= 4 * loudness.PARTS + 2
    assert max(measured.whole()) == pytest.approx(16_384, abs=1_500)


@pytest.mark.parametrize("count", [1, 3, 200, MOST_PEAKS])
def test_no_peak_is_lost_with_fewer_parts(count: int) -> None:
    peaks = [n % 97 for n in range(1000)]

    found = loudness.resampled(peaks, count)

    assert len(found) == min(count, 1000)
    assert max(found) == 96


async def test_folders_are_listed_from_the_outermost_on(api: Api) -> None:
    outer = await api.created(None, content_type="folder", name="renders")
    inner = await api.created(None, content_type="folder", name="a/b", parent_id=outer["id"])
    asset = await api.created(b"x", parent_id=inner["id"])
    home = await api.created(b"y")

    found = shaped("list_folders", await api.get(f"/api/assets/{asset['id']}/folders"))

    assert [folder["name"] for folder in found["folder_path"]] == ["renders", "a/b"]
    assert [folder["id"] for folder in found["folder_path"]] == [outer["id"], inner["id"]]
    assert (await api.get(f"/api/assets/{home['id']}/folders")).json == {"folder_path": []}


async def test_folders_that_contain_each_other_have_an_end(api: Api) -> None:
    first = await api.created(None, content_type="folder", name="first")
    second = await api.created(None, content_type="folder", name="second", parent_id=first["id"])
    moved = await api.call("PATCH", f"/api/assets/{first['id']}", json={"parent_id": second["id"]})

    answer = await api.get(f"/api/assets/{second['id']}/folders")

    assert moved.status in (200, 422)
    assert 1 <= len(shaped("list_folders", answer)["folder_path"]) <= 100
