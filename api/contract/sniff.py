"""What a content seems to be, told from its first bytes: only asked where nobody declared it."""

import re
from typing import Final

import filetype

UNKNOWN: Final = "application/octet-stream"

# A comment is spelled so that it can end in one place only: two ways to read it are one too many.
_PROLOGUE: Final = rb"<\?xml[^>]*\?>|<!--(?:(?!-->).)*-->|<!DOCTYPE svg[^>]*>"
_SVG: Final = re.compile(rb"\s*(?:(?:%b)\s*)*<svg\b" % _PROLOGUE, re.DOTALL)
_SAFETENSORS: Final = re.compile(rb'.{8}\{\s*"', re.DOTALL)
_OWN: Final = (
    (re.compile(rb"glTF[\x01\x02]\x00\x00\x00"), "model/gltf-binary"),
    (_SVG, "image/svg+xml"),
    (_SAFETENSORS, "application/vnd.safetensors"),
)


def sniff(head: bytes) -> str:
    """The media type of a content that begins like this."""
    head = head.removeprefix(b"\xef\xbb\xbf")
    for signature, media_type in _OWN:
        if signature.match(head):
            return media_type
    return filetype.guess_mime(head) or UNKNOWN
