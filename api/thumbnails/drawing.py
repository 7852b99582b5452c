"""Draw a small picture of a content, or measure a sound. Runs in a process of its own, which a
decoder may break.

Promise: no picture with more pixels than Pillow's own limit is decoded, and no other file is read:
no playlist, no reference. Metadata that cannot be read is ignored.
"""

import errno
from array import array
from collections.abc import Callable, Mapping
from io import BytesIO
from math import isfinite
from pathlib import Path
from typing import BinaryIO, Final

from PIL import Image, ImageCms, ImageOps, PngImagePlugin

from asset_ledger.api.thumbnails.errors import UndrawableError
from asset_ledger.api.thumbnails.frames import LARGEST, Drawn, Placeholder
from asset_ledger.api.thumbnails.loudness import measure
from asset_ledger.api.thumbnails.placeholder import thumbhash

_FORMATS: Final = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "AVIF")
"""Formats that browsers show, and TIFF. None starts another program, as EPS does."""

_FILMS: Final = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,flv,ogg,asf"
_PROFILE: Final = 64 * 1024
"""Bytes of the longest colour profile that is kept. No other metadata is kept."""

_RGB: Final = b"RGB "
"""The colour space, in a profile's header, of the profiles that a WebP can have."""

for _chunk in ("tEXt", "zTXt", "iTXt"):  # Pillow refuses pictures with long texts: skip texts
    delattr(PngImagePlugin.PngStream, f"chunk_{_chunk}")
PngImagePlugin.MAX_TEXT_CHUNK = 16 * 2**20  # of a colour profile, unpacked

_OF_THE_SYSTEM: Final = (errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EACCES)

_ORIENTATION: Final = 0x0112
_TURNED: Final = (5, 6, 7, 8)
"""The orientations in EXIF that exchange width and height."""

Source = BytesIO | BinaryIO


def draw(kind: str, source: Source, side: int = LARGEST) -> Drawn:
    """Return a WebP of an image, or of a frame of a video, of at most `side` pixels a side.

    The kind `audio` is measured instead. Raises UndrawableError.
    """
    try:
        return _DRAW[kind](source, side)
    except UndrawableError:
        raise
    except OSError as error:
        if error.errno in _OF_THE_SYSTEM:
            raise  # a later attempt may succeed
        raise UndrawableError(f"it cannot be decoded: {type(error).__name__}") from error
    except Exception as error:  # of any type; its message may name a file of the server
        raise UndrawableError(f"it cannot be decoded: {type(error).__name__}") from error


def _draw_image(source: Source, side: int) -> Drawn:
    with Image.open(source, formats=_FORMATS) as image:
        width, height = image.size
        _check_size(width, height)
        return _webp(_in_colour(image, side), side, width, height)


def _draw_video(source: Source, side: int) -> Drawn:
    import av  # noqa: PLC0415  # an optional extra; without it, `cache` refuses videos

    with av.open(source, "r", options={"format_whitelist": _FILMS}) as film:
        stream = film.streams.video[0]
        _check_size(stream.codec_context.width, stream.codec_context.height)
        if film.duration:
            film.seek(film.duration // 10)  # the first frame is often black
        frame = next(film.decode(stream))
        _check_size(frame.width, frame.height)
        image = frame.to_image()  # type: ignore[no-untyped-call]
        image = image.rotate(frame.rotation, expand=True)
        return _webp(image, side, *image.size)


def _measure(source: Source, _side: int) -> Drawn:
    return Drawn(measure(source))


_DRAW: Final[Mapping[str, Callable[[Source, int], Drawn]]] = {
    "image": _draw_image,
    "video": _draw_video,
    "audio": _measure,
}


def _check_size(width: int, height: int) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    if limit is None or width * height > limit:
        raise UndrawableError(f"{width:,} x {height:,} pixels are more than are decoded")


def _in_colour(image: Image.Image, side: int) -> Image.Image:
    """Convert an image to a mode that can be scaled. Others stay, so that JPEG decodes small."""
    if image.mode == "I;16" and image.format == "PNG":
        return image.point(lambda value: value / 256).convert("L")
    if image.mode[0] in "IF":
        return _in_grey(image, side)
    if image.mode in ("P", "PA", "1"):
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    return image


def _in_grey(image: Image.Image, side: int) -> Image.Image:
    """Scale numbers of any range to grey: the least is black, the greatest is white."""
    numbers = image.convert("I") if image.mode.startswith("I;16") else image
    numbers.thumbnail((side, side), Image.Resampling.BILINEAR)  # it never overshoots
    kind = "f" if numbers.mode == "F" else "i"
    known = [number for number in array(kind, numbers.tobytes()) if isfinite(number)]
    low, high = min(known, default=0), max(known, default=0)
    scale = 255 / (high - low) if high > low else 0
    return numbers.point(lambda number: number * scale - low * scale).convert("L")


def _webp(image: Image.Image, side: int, width: int, height: int) -> Drawn:
    """Scale an image of which the whole has this width and height, and turn it upright."""
    image.thumbnail((side, side))
    image, is_turned = _upright(image)
    image, profile = _with_profile(image)
    written = BytesIO()
    image.save(written, "WEBP", quality=80, icc_profile=profile)
    whole = (height, width) if is_turned else (width, height)
    return Drawn(written.getvalue(), Placeholder(*whole, thumbhash(image)))


def _upright(image: Image.Image) -> tuple[Image.Image, bool]:
    """Return the image as the camera was held, and whether width and height are exchanged."""
    try:
        is_turned = image.getexif().get(_ORIENTATION) in _TURNED
        return ImageOps.exif_transpose(image), is_turned
    except Exception:  # malformed EXIF makes Pillow raise many types
        return image, False


def _with_profile(image: Image.Image) -> tuple[Image.Image, bytes]:
    """Return the image and its RGB colour profile. Profiles of other colour spaces are applied."""
    profile: bytes = image.info.get("icc_profile") or b""
    if image.mode not in ("L", "CMYK"):
        fits = profile[16:20] == _RGB and len(profile) < _PROFILE
        return image, profile if fits else b""
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        target = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return image, b""
    return converted or image, b""


def opened(path: str | None, content: bytes) -> Source:
    """Open the file at a path, or these bytes."""
    return Path(path).open("rb") if path else BytesIO(content)
