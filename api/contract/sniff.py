"""Detect the media type of a content from its first bytes and its name, if none was declared."""

import re
from typing import Final

import filetype

UNKNOWN: Final = "application/octet-stream"

# The comment can end in only one place. With two, a long content would make the match slow.
_PROLOGUE: Final = rb"<\?xml[^>]*\?>|<!--(?:(?!-->).)*-->|<!DOCTYPE svg[^>]*>"
_SVG: Final = re.compile(rb"\s*(?:(?:%b)\s*)*<svg\b" % _PROLOGUE, re.DOTALL)
_SAFETENSORS: Final = re.compile(rb'.{8}\{\s*"', re.DOTALL)
_NUMPY: Final = "application/x-npy"
_PARQUET: Final = "application/vnd.apache.parquet"
_OWN: Final = (
    (re.compile(rb"glTF[\x01\x02]\x00\x00\x00"), "model/gltf-binary"),
    (_SVG, "image/svg+xml"),
    (_SAFETENSORS, "application/vnd.safetensors"),
    (re.compile(rb"PAR1"), _PARQUET),
    (re.compile(rb"ARROW1\x00\x00"), "application/vnd.apache.arrow.file"),
    (re.compile(rb"\x93NUMPY"), _NUMPY),
    (re.compile(rb"GGUF"), "application/x-gguf"),
)
_BY_SUFFIX: Final = {
    "csv": "text/csv",
    "json": "application/json",
    "npy": _NUMPY,
    "parquet": _PARQUET,
    "gguf": "application/x-gguf",
}
"""The suffixes that count, in lower case: formats without a signature, and cut-off files."""


def is_unknown(media_type: str) -> bool:
    """Return whether a declared type means no type. curl sends it for most suffixes."""
    return media_type.partition(";")[0].strip().lower() == UNKNOWN


def sniff(head: bytes, name: str = "") -> str:
    """Return the media type of a content with these first bytes and this name."""
    head = head.removeprefix(b"\xef\xbb\xbf")
    for signature, media_type in _OWN:
        if signature.match(head):
            return media_type
    suffix = name.rpartition(".")[2].lower()
    return filetype.guess_mime(head) or _BY_SUFFIX.get(suffix, UNKNOWN)
