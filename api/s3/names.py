"""Keys and names. A key is a path of segments; a segment is the name of a folder or an asset.

A `/` inside a name is shown as `%2F`. So `%2F` and `%25` inside a name, which would be ambiguous,
are shown as `%252F` and `%2525`. `projections.queries.keys` says the same in SQL.
"""

import re
from typing import Final, NamedTuple

from asset_ledger.api.s3.errors import S3Error

MAX_KEY: Final = 1024
"""Bytes of a key, as in S3."""

_ESCAPES: Final = {"%2F": "/", "%252F": "%2F", "%2525": "%25"}
_ESCAPED: Final = re.compile("%2F|%252F|%2525")


class Key(NamedTuple):
    """A key: the names of its folders, and the name of its asset; `""` for a folder itself."""

    folders: tuple[str, ...]
    name: str


def shown(name: str) -> str:
    """Return a name as a segment of a key."""
    return name.replace("%25", "%2525").replace("%2F", "%252F").replace("/", "%2F")


def name_of(segment: str) -> str:
    """Return the name that a segment shows."""
    return _ESCAPED.sub(lambda found: _ESCAPES[found[0]], segment)


def parse_key(key: str) -> Key:
    """Split a key into names. Raises S3Error for one that no path of names can be."""
    *folders, name = key.split("/")
    if len(key.encode()) > MAX_KEY:
        raise S3Error("KeyTooLongError", f"the key is longer than {MAX_KEY} bytes: shorten it")
    if not all(folders) or not key:
        raise S3Error("InvalidArgument", "a key needs a name between two slashes, and no first one")
    return Key(tuple(map(name_of, folders)), name_of(name))
