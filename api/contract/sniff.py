"""Detect the media type of a content from its first bytes, if no type was declared."""

import re
from typing import Final

import filetype

UNKNOWN: Final = "application/octet-stream"

# The comment can end in only one place. With two, a long content would make the match slow.
_PROLOGUE: Final = rb"<\?xml[^>]*\?>|<!--(?:(?!-->).)*-->|<!DOCTYPE svg[^>]*>"
_SVG: Final = re.compile(rb"\s*(?:(?:%b)\s*)*<svg\b" % _PROLOGUE, re.DOTALL)
_SAFETENSORS: Final = re.compile(rb'.{8}\{\s*"', re.DOTALL)
_OWN: Final = (
    (re.compile(rb"glTF[\x01\x02]\x00\x00\x00"), "model/gltf-binary"),
    (_SVG, "image/svg+xml"),
    (_SAFETENSORS, "application/vnd.safetensors"),
)


def sniff(head: bytes) -> str:
    """Return the media type of a content with these first bytes."""
    head = head.removeprefix(b"\xef\xbb\xbf")
    for signature, media_type in _OWN:
        if signature.match(head):
            return media_type
    return filetype.guess_mime(head) or UNKNOWN
