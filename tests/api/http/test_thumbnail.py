"""Thumbnails: drawing, refusals, and a cache for both."""

import asyncio
import os
import re
import struct
import sys
import zlib
from array import array
from base64 import b64encode
from io import BytesIO
from math import inf, nan
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image, ImageCms

from asset_ledger.api.settings import Settings
from asset_ledger.api.thumbnails import cache
from asset_ledger.api.thumbnails.drawer import INHERITED, WORKER, Drawer, FailedDrawingError
from asset_ledger.api.thumbnails.drawing import draw
from asset_ledger.api.thumbnails.errors import UndrawableError
from asset_ledger.api.thumbnails.frames import LARGEST, Drawn
from asset_ledger.api.workers.child import Child
from asset_ledger.ledger.storage.data_folder import DataFolder
from tests.api.calling import Caller, caller, serving_with_tokens
from tests.api.running import Answer, Api, serving
from tests.journeys.processes import children_of, command_of

RED, BLUE = (255, 0, 0), (0, 0, 255)


def picture(
    size: tuple[int, int] = (8, 4), kind: str = "PNG", mode: str = "RGB", **given: Any
) -> bytes:
    """Return a picture: left half red (or dark), right half blue (or light)."""
    image = Image.new("RGB", size, RED)
    image.paste(BLUE, (size[0] // 2, 0, *size))
    written = BytesIO()
    image.convert(mode).save(written, kind, **given)
    return written.getvalue()


def opened(content: bytes) -> Image.Image:
    image = Image.open(BytesIO(content), formats=["WEBP"])
    image.load()
    return image


def drawn(content: bytes, kind: str = "image") -> Image.Image:
    return opened(draw(kind, BytesIO(content)).body)


def near(image: Image.Image, at: tuple[int, int], colour: tuple[int, int, int]) -> bool:
    found = image.convert("RGB").getpixel(at)
    assert isinstance(found, tuple)
    return all(abs(a - b) < 60 for a, b in zip(found, colour, strict=True))


@pytest.mark.parametrize(
    ("size", "expected"),
    [((2048, 1024), (512, 256)), ((10, 3000), (2, 512)), ((8, 4), (8, 4))],
)
def test_a_thumbnail_keeps_proportions_and_is_never_larger_than_its_image(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert drawn(picture(size)).size == expected
    assert max(expected) <= LARGEST


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "AVIF"])
def test_every_format_is_drawn_in_its_colours(kind: str) -> None:
    image = drawn(picture((1200, 600), kind))

    assert near(image, (10, 10), RED)
    assert near(image, (500, 10), BLUE)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16", "I", "CMYK"])
def test_every_mode_is_drawn(mode: str) -> None:
    kind = "TIFF" if mode in ("CMYK", "I", "I;16") else "PNG"
    source = picture((64, 32), kind, "I" if mode == "I;16" else mode)

    assert drawn(source).size == (64, 32)


def test_a_16_bit_grey_image_is_drawn_in_grey() -> None:
    image = Image.new("I;16", (64, 32), 0x4000)
    written = BytesIO()
    image.save(written, "PNG")

    assert near(drawn(written.getvalue()), (5, 5), (64, 64, 64))


def measured(mode: str, *steps: float) -> bytes:
    """Return a TIFF in a Pillow mode: these values from left to right, sixteen pixels of each."""
    kind = {"F": "f", "I": "i"}.get(mode, "H")
    row = array(kind, [step if mode == "F" else int(step) for step in steps for _ in range(16)])
    if mode == "I;16B":
        row.byteswap()
    written = BytesIO()
    Image.frombytes(mode, (len(row), 16), row.tobytes() * 16).save(written, "TIFF")
    return written.getvalue()


@pytest.mark.parametrize(
    ("mode", "least", "greatest"),
    [
        ("F", 0, 1),
        ("F", -3.5, 9e30),
        ("I", 100, 1_000_000),
        ("I", -(2**31), 2**31 - 1),
        ("I;16", 0, 4095),
        ("I;16B", 1000, 65_535),
    ],
)
def test_measured_values_are_scaled_from_black_to_white(
    mode: str, least: float, greatest: float
) -> None:
    image = drawn(measured(mode, least, (least + greatest) / 2, greatest))

    assert near(image, (4, 8), (0, 0, 0))
    assert near(image, (24, 8), (127, 127, 127))
    assert near(image, (44, 8), (255, 255, 255))


def test_nan_and_infinity_do_not_change_other_values() -> None:
    image = drawn(measured("F", nan, 0, 1, inf))

    assert near(image, (24, 8), (0, 0, 0))
    assert near(image, (40, 8), (255, 255, 255))


@pytest.mark.parametrize("steps", [(7, 7), (nan, nan)])
def test_an_image_of_equal_values_is_drawn(steps: tuple[float, ...]) -> None:
    assert drawn(measured("F", *steps)).size == (32, 16)


def test_a_transparent_image_stays_transparent() -> None:
    written = BytesIO()
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(written, "PNG")

    assert drawn(written.getvalue()).mode == "RGBA"


def test_a_rotated_photo_is_turned_upright_and_loses_its_exif() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it by 90 degrees, clockwise
    exif[0x010E] = "a secret place"
    image = drawn(picture((800, 400), "JPEG", exif=exif))

    assert image.size == (256, 512)
    assert near(image, (100, 10), RED)
    assert near(image, (100, 500), BLUE)
    assert not image.getexif()


def with_chunk(kind: bytes, data: bytes) -> bytes:
    """A red and blue PNG with this chunk behind its header."""
    content, end = picture((64, 32)), 8 + 25
    chunk = struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return content[:end] + chunk + content[end:]


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (b"zTXt", b"workflow\0\0" + zlib.compress(b"x" * 2_000_000)),
        (b"tEXt", b"prompt\0" + b"x" * 2_000_000),
        (b"iTXt", b"prompt\0\1\0\0\0" + zlib.compress(b"x" * 2_000_000)),
        (b"zTXt", b"workflow\0\0no deflate"),
        (b"iCCP", b"profile\0\0" + zlib.compress(bytes(2_000_000))),
        (b"iCCP", b"profile\0\0no deflate"),
        (b"eXIf", b"MM\0*\xff\xff\xff\xff"),
        (b"eXIf", b"no exif at all"),
    ],
)
def test_metadata_of_any_kind_and_size_does_not_spoil_a_picture(kind: bytes, data: bytes) -> None:
    image = drawn(with_chunk(kind, data))

    assert near(image, (10, 10), RED)
    assert near(image, (50, 10), BLUE)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGB", "RGBA", "CMYK"])
@pytest.mark.parametrize("space", [b"GRAY", b"CMYK", b"Lab ", b"????"])
def test_a_profile_of_another_colour_space_is_not_kept(mode: str, space: bytes) -> None:
    kind = "TIFF" if mode == "CMYK" else "PNG"
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[16:20] = space

    image = drawn(picture((64, 32), kind, mode, icc_profile=bytes(profile)))

    assert "icc_profile" not in image.info
    assert image.size == (64, 32)


def test_a_profile_that_fits_is_kept() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

    assert drawn(picture(icc_profile=profile)).info["icc_profile"] == profile


def bomb(width: int, height: int) -> bytes:
    """Return a PNG whose header declares this size."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in (head, b"IDAT" + zlib.compress(b"\0" * 10_000), b"IEND")
    )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not an image",
        picture((800, 400))[:-200],
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        bomb(10_000, 10_000),
        bomb(50_000, 50_000),
        bomb(2**31 - 1, 2**31 - 1),
    ],
)
def test_an_invalid_image_or_a_decompression_bomb_is_refused(content: bytes) -> None:
    with pytest.raises(UndrawableError):
        draw("image", BytesIO(content))


def video(width: int = 64, height: int = 48) -> bytes:
    written = BytesIO()
    with av.open(written, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(20):
            colour = BLUE if number < 2 else RED
            image = Image.new("RGB", (width, height), colour)
            frame = av.VideoFrame.from_image(image)  # type: ignore[no-untyped-call]
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return written.getvalue()


def test_a_video_is_drawn_as_one_frame() -> None:
    image = drawn(video(), "video")

    assert image.size == (64, 48)


@pytest.mark.parametrize(
    "content",
    [b"", b"no video", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n", b"ffconcat version 1.0\n"],
)
def test_an_invalid_video_or_a_playlist_is_refused(content: bytes) -> None:
    with pytest.raises(UndrawableError):
        draw("video", BytesIO(content))


@pytest.mark.parametrize("kind", ["image", "video"])
async def test_a_refusal_names_no_file_of_the_server(kind: str, tmp_path: Path) -> None:
    drawer, secret = Drawer(readable=tmp_path), tmp_path / "secret"
    secret.write_bytes(b"neither")
    with pytest.raises(UndrawableError) as refused:
        await drawer.draw(kind, secret)
    await drawer.end()

    assert re.fullmatch(r"it cannot be decoded: \w+", str(refused.value))


async def test_a_drawer_continues_after_a_crash_a_timeout_or_a_bad_image() -> None:
    failing, drawer = Drawer("this"), Drawer()
    with pytest.raises(FailedDrawingError, match="ended twice"):
        await failing.draw("image", picture())
    with pytest.raises(FailedDrawingError, match="too long"):
        await Drawer(patience=0).draw("image", picture())
    with pytest.raises(UndrawableError, match="cannot be decoded"):
        await drawer.draw("image", b"x")

    assert opened((await drawer.draw("image", picture())).body).size == (8, 4)
    await failing.end()
    await drawer.end()


async def thumbnail(api: Api, asset: Any, query: str = "", **headers: str) -> Answer:
    return await api.get(f"/api/assets/{asset['id']}/thumbnail{query}", **headers)


async def test_an_image_has_a_thumbnail_url(api: Api) -> None:
    asset = await api.created(picture((1024, 512)), content_type="image/png")

    answer = await api.get(asset["thumb_url"])

    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/webp")
    assert opened(answer.body).size == (512, 256)
    etag = answer.headers["ETag"]
    assert (await thumbnail(api, asset, If_None_Match=etag)).status == 304
    head = await api.call("HEAD", asset["thumb_url"])
    assert (head.status, head.headers["ETag"], head.body) == (200, etag, b"")


@pytest.mark.parametrize("size", [160, 320, 512, 1600])
async def test_a_thumbnail_has_the_asked_size(api: Api, size: int) -> None:
    large = await api.created(picture((3200, 1600)), content_type="image/png")
    small = await api.created(picture((8, 4)), content_type="image/png")

    answer = await api.get(f"{large['thumb_url']}&size={size}")
    other = await thumbnail(api, large, If_None_Match=answer.headers["ETag"])

    assert opened(answer.body).size == (size, size // 2)
    assert opened((await thumbnail(api, small, f"?size={size}")).body).size == (8, 4)
    assert other.status == (304 if size == 512 else 200)


@pytest.mark.parametrize("size", ["0", "161", "512px", "", "99999999999"])
async def test_a_thumbnail_of_another_size_is_refused(api: Api, size: str) -> None:
    asset = await api.created(picture(), content_type="image/png")

    assert (await thumbnail(api, asset, f"?size={size}")).slug == "bad-parameter"


async def test_only_the_thumbnail_of_a_version_may_be_kept(api: Api) -> None:
    asset = await api.created(picture((8, 4)), content_type="image/png")
    path = f"/api/assets/{asset['id']}"
    sent = picture((4, 8))
    replaced = await api.call("PUT", f"{path}/content", data=sent, headers={"If-Match": "v1"})

    before, after = [await api.get(each["thumb_url"]) for each in (asset, replaced.json)]
    current, unknown = await thumbnail(api, asset), await thumbnail(api, asset, "?version=9")

    assert [opened(answer.body).size for answer in (before, after)] == [(8, 4), (4, 8)]
    for answer in (before, after):
        assert answer.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert current.headers["Cache-Control"] == "private, no-cache"
    assert "immutable" not in unknown.headers["Cache-Control"]


@pytest.mark.parametrize(
    ("content_type", "drawn"),
    [("IMAGE/JPEG; q=1", True), ("video/mp4", True), ("image/svg+xml", False), ("a/b", False)],
)
async def test_only_a_drawable_asset_has_a_thumbnail_url(
    api: Api, content_type: str, drawn: bool
) -> None:
    asset = await api.created(b"x", content_type=content_type)

    assert (asset["thumb_url"] is not None) is drawn


async def test_a_video_has_a_thumbnail(api: Api) -> None:
    asset = await api.created(video(), content_type="video/mp4")

    assert opened((await thumbnail(api, asset)).body).size == (64, 48)


async def test_a_thumbnail_changes_with_the_content(api: Api) -> None:
    asset = await api.created(picture((8, 4)), content_type="image/png")
    before = await thumbnail(api, asset)
    data = {"data": b64encode(picture((4, 8))).decode(), "data_encoding": "base64"}
    await api.call("PUT", f"/api/assets/{asset['id']}", json=data)

    after = await thumbnail(api, asset, If_None_Match=before.headers["ETag"])

    assert opened(after.body).size == (4, 8)
    assert (await thumbnail(api, asset, "?version=1")).body == before.body


@pytest.fixture
def drawings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the kind of every drawing that is requested."""
    kinds: list[str] = []
    draw_uncounted = Drawer.draw

    async def counted(self: Drawer, kind: str, source: Path | bytes, side: int) -> Drawn:
        kinds.append(kind)
        return await draw_uncounted(self, kind, source, side)

    monkeypatch.setattr(Drawer, "draw", counted)
    return kinds


async def test_thumbnails_and_refusals_are_drawn_once_per_content(
    api: Api, drawings: list[str]
) -> None:
    good = await api.created(picture(), content_type="image/png")
    same = await api.created(picture(), content_type="image/png")
    bad = await api.created(b"no image", content_type="image/png")

    answers = await asyncio.gather(*[thumbnail(api, asset) for asset in [good, same, bad] * 5])

    assert [answer.status for answer in answers] == [200, 200, 415] * 5
    assert len({answer.body for answer in answers if answer.status == 200}) == 1
    assert answers[2].slug == "unsupported-type"
    assert "cannot be decoded" in answers[2].json["detail"]
    assert len(drawings) == 2


@pytest.mark.parametrize("unfinished", [["ab/x.image.512"], ["ab/x.image.32", "ff/y.video.512"]])
@pytest.mark.parametrize("version", [cache.VERSION, cache.VERSION - 1])
async def test_a_start_removes_the_thumbnails_that_a_kill_left_unfinished(
    data_dir: Path, unfinished: list[str], version: int
) -> None:
    async with serving(Settings(data_dir=data_dir)) as api:
        asset = await api.created(picture(), content_type="image/png")
        before = await thumbnail(api, asset)
    files = [DataFolder(data_dir).derived / f"thumbnails-{version}/{it}.new" for it in unfinished]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"RIFF")

    async with serving(Settings(data_dir=data_dir)) as api:
        assert not [file for file in files if file.exists()]
        assert (await thumbnail(api, asset)).body == before.body


async def test_a_large_image_is_drawn_from_its_file(api: Api) -> None:
    noise = Image.effect_noise((600, 600), 90)
    written = BytesIO()
    noise.save(written, "PNG")
    asset = await api.created(written.getvalue(), content_type="image/png")
    assert asset["size"] > 65_536

    assert opened((await thumbnail(api, asset)).body).size == (512, 512)


async def test_a_missing_thumbnail_is_refused_with_its_reason(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = await api.created(b"x", content_type="text/plain")
    folder = await api.created(None, name="f", content_type="folder")
    gone = await api.created(picture(), content_type="image/png")
    await api.call("DELETE", f"/api/assets/{gone['id']}")

    assert (await thumbnail(api, text)).slug == "unsupported-type"
    assert (await thumbnail(api, folder)).slug == "unknown-asset"
    assert (await thumbnail(api, gone)).slug == "asset-deleted"

    monkeypatch.setattr(cache, "find_spec", lambda _: None)
    answer = await thumbnail(api, await api.created(video(), content_type="video/mp4"))
    assert (answer.slug, "asset-ledger[video]" in answer.json["detail"]) == (
        "unsupported-type",
        True,
    )


@pytest.mark.parametrize("deaths", [1, 2, 3])
async def test_a_killed_drawer_makes_no_picture_undrawable(
    api: Api, monkeypatch: pytest.MonkeyPatch, deaths: int
) -> None:
    monkeypatch.setattr(cache, "FIRST_PAUSE", 0.0)
    left, start = [deaths], Child.start

    async def dying(*arguments: Any, **options: Any) -> Child:
        child = await start(*arguments, **options)
        if left[0]:
            left[0] -= 1
            await child.kill()
        return child

    monkeypatch.setattr(Child, "start", dying)
    asset = await api.created(picture(), content_type="image/png")

    answers = [await thumbnail(api, asset) for _ in range(2)]

    assert answers[0].status == (200 if deaths == 1 else 503)
    if deaths > 1:
        assert answers[0].slug == "drawing-failed"
        assert int(answers[0].headers["Retry-After"]) >= 0
    assert answers[1].status == 200


@pytest.mark.skipif(sys.platform != "linux", reason="/proc has the environment of a process")
async def test_a_drawing_process_inherits_no_secret_of_the_environment(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "ASSET_LEDGER_JWT_KEY",
        "ASSET_LEDGER_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "PGPASSWORD",
    ):
        monkeypatch.setenv(name, "a secret")
    before = {*children_of(os.getpid())}
    answer = await thumbnail(api, await api.created(picture(), content_type="image/png"))
    (drawing,) = {*children_of(os.getpid())} - before

    variables = Path(f"/proc/{drawing}/environ").read_bytes().split(b"\0")

    assert (answer.status, WORKER.encode() in command_of(drawing)) == (200, True)
    names = {variable.partition(b"=")[0].decode() for variable in variables} - {""}
    assert "PATH" in names <= {*INHERITED}


@pytest.mark.parametrize("many", [2, 5, 20])
async def test_pictures_of_one_user_leave_a_process_to_others(
    opened_data_dir: Path, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    release, began, draw_now = asyncio.Event(), [0], Drawer.draw

    async def held(drawer: Drawer, kind: str, source: Path | bytes, side: int) -> Drawn:
        began[0] += 1
        if began[0] == 1:
            await release.wait()
        return await draw_now(drawer, kind, source, side)

    monkeypatch.setattr(Drawer, "draw", held)
    async with serving_with_tokens(opened_data_dir) as api:
        mallory, alice = caller(api, "mallory"), caller(api, "alice")
        paths = [await thumbnail_of(mallory, picture((8 + n, 4))) for n in range(many)]
        waiting = [asyncio.create_task(mallory.get(path)) for path in paths]
        while not began[0]:  # noqa: ASYNC110 - the server sets no event of this test
            await asyncio.sleep(0.01)

        answer = await alice.get(await thumbnail_of(alice, picture((100, 4))))

        assert (answer.status, any(task.done() for task in waiting)) == (200, False)
        release.set()
        assert {(await task).status for task in waiting} == {200}


async def thumbnail_of(user: Caller, content: bytes) -> str:
    """Upload a picture; return the path of its thumbnail."""
    return f"/api/assets/{(await user.created(content))['id']}/thumbnail"
