"""The XML of S3: write documents, and read the two kinds of bodies that clients send.

A body may not declare a document type, so it has no entities that could grow or read files.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from xml.etree.ElementTree import Element, ParseError, SubElement, TreeBuilder, tostring
from xml.parsers.expat import ExpatError, ParserCreate

DECLARATION: Final = b'<?xml version="1.0" encoding="UTF-8"?>\n'
_UNSPEAKABLE: Final = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

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


def read(body: bytes) -> Element:
    """Return the root of a body, its names without namespaces. Raises ValueError."""
    builder, parser = TreeBuilder(), ParserCreate("utf-8", "}")
    parser.StartElementHandler = lambda name, _: builder.start(_local(name), {})
    parser.EndElementHandler = lambda name: builder.end(_local(name))
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(body, True)
        return builder.close()
    except (ExpatError, ParseError, AssertionError) as error:
        raise ValueError(f"the body is not XML: {error}") from error


def texts(parent: Element, name: str) -> Iterable[str]:
    """Return the texts of the children with this name."""
    return [child.text or "" for child in parent if child.tag == name]


def _refuse_doctype(*_: Any) -> None:
    raise DoctypeError("the body declares a document type: leave it out")


def _local(name: str) -> str:
    return name.rpartition("}")[2]
