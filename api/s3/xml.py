"""The XML of S3: write documents, and read the two kinds of bodies that clients send.

A body may not declare a document type, so it has no entities that could grow or read files.
Promise: a body with many elements or attributes is refused before they take much time.
"""

import re
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any, Final
from xml.etree.ElementTree import Element, ParseError, SubElement, TreeBuilder, tostring
from xml.parsers.expat import ExpatError, ParserCreate, XMLParserType

DECLARATION: Final = b'<?xml version="1.0" encoding="UTF-8"?>\n'
_UNSPEAKABLE: Final = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

MAX_ELEMENTS: Final = 1 << 16
"""Elements of a body: 10,000 parts with five members each are fewer."""

PIECE: Final = 1 << 15
"""Bytes that are parsed at once, while no other thread runs. A tag longer than two is refused."""

NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"


def document(root: str, members: Mapping[str, Any], namespace: str = NAMESPACE) -> bytes:
    """Return a document: a text, a mapping, or a list of either, for each member. None is left out.

    Characters that XML cannot have are replaced by U+FFFD.
    """
    element = Element(root, {"xmlns": namespace} if namespace else {})
    _fill(element, members)
    return DECLARATION + tostring(element, "unicode").encode()


def _fill(element: Element, members: Mapping[str, Any]) -> None:
    for name, value in members.items():
        for each in value if isinstance(value, list) else [value]:
            if each is None:
                continue
            child = SubElement(element, name)
            if isinstance(each, Mapping):
                _fill(child, each)
            else:
                child.text = _plain(str(each))


def _plain(text: str) -> str:
    return _UNSPEAKABLE.sub("\ufffd", text)


class DoctypeError(ValueError):
    """A body declares a document type."""


class ElementsError(ValueError):
    """A body has too many elements, or too many attributes."""


def read(body: bytes) -> Element:
    """Return the root of a body, its names without namespaces. Blocks. Raises ValueError."""
    builder = TreeBuilder()
    try:
        _parse(body, _parser(builder))
        return builder.close()
    except (ExpatError, ParseError, AssertionError) as error:
        raise ValueError(f"the body is not XML: {error}") from error


def _parser(builder: TreeBuilder) -> XMLParserType:
    parser, elements = ParserCreate("utf-8", "}"), count(1)

    def start(name: str, _: Any) -> None:
        if next(elements) > MAX_ELEMENTS:
            raise ElementsError(f"the body has more than {MAX_ELEMENTS:,} elements: send several")
        builder.start(_local(name), {})

    parser.buffer_text = True  # else each line end and escape is a call
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda name: builder.end(_local(name))
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _refuse_doctype
    return parser


def _parse(body: bytes, parser: XMLParserType) -> None:
    for begin in range(0, len(body), PIECE):
        parser.Parse(body[begin : begin + PIECE], False)
        if parser.CurrentByteIndex < begin:
            raise ElementsError(f"the body has a tag of more than {PIECE:,} bytes")
    parser.Parse(b"", True)


def texts(parent: Element, name: str) -> Iterable[str]:
    """Return the texts of the children with this name."""
    return [child.text or "" for child in parent if child.tag == name]


def _refuse_doctype(*_: Any) -> None:
    raise DoctypeError("the body declares a document type: leave it out")


def _local(name: str) -> str:
    return name.rpartition("}")[2]
