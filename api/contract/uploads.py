"""The headers of resumable uploads: tus 1.0 (https://tus.io/protocols/resumable-upload)."""

import hashlib
import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Any, Final

from multidict import CIMultiDictProxy

from asset_ledger.api.contract.assets import AssetIn, read_fields
from asset_ledger.api.contract.editing import VersionIn, read_version_fields
from asset_ledger.api.contract.errors import ChecksumMismatchError, TusVersionError
from asset_ledger.api.contract.fields import Fields, StrictModel
from asset_ledger.api.contract.parameters import MAX_POSITION, refuse, whole
from asset_ledger.api.contract.strict_json import read_object
from asset_ledger.api.contract.tus import CHECKSUM, LENGTH, METADATA, RESUMABLE, VERSION

ALGORITHMS: Final = ("sha1", "sha256", "sha512", "md5")
CAPABILITIES: Final = {
    "Tus-Version": VERSION,
    "Tus-Extension": "creation,creation-with-upload,checksum,expiration,termination",
    "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
}

_OF_OTHER_EXTENSIONS: Final = ("Upload-Defer-Length", "Upload-Concat")
_BYTES: Final = whole(0, MAX_POSITION)
_KEY: Final = re.compile(r"[!-+\--~]+")  # printable ASCII without space and comma
_ALIASES: Final = {"filename": "name", "filetype": "content_type", "type": "content_type"}
_JSON: Final = frozenset({"attempt", "metadata", "tags", "duration", "size", "derived_from"})
"""The fields whose value is JSON; the value of every other one is text."""

ASSET_ID: Final = "asset_id"
"""The field that names the asset of which an upload is a new version."""

Headers = CIMultiDictProxy[str]


class UploadOut(StrictModel):
    """An upload: how many of its bytes have arrived, and the asset that it became."""

    id: str
    offset: int
    length: int
    expires_at: str | None
    asset_id: str | None


def check_version(headers: Headers) -> None:
    """Raise TusVersionError unless the client speaks tus 1.0.0."""
    if headers.get(RESUMABLE) != VERSION:
        raise TusVersionError(VERSION)


def read_length(headers: Headers) -> int:
    """Return the declared bytes of a new upload. Raises ParameterError."""
    for name in _OF_OTHER_EXTENSIONS:
        if name in headers:
            raise refuse(name, "is of an extension that this server does not have")
    return read_size(headers, LENGTH)


def read_size(headers: Headers, name: str) -> int:
    """Return the number of bytes in a header. Raises ParameterError."""
    if name not in headers:
        raise refuse(name, "is required")
    try:
        return _BYTES(headers[name])
    except ValueError as error:
        raise refuse(name, str(error)) from error


def read_metadata(text: str, *, lenient: bool) -> Fields:
    """Return the fields of the asset in Upload-Metadata; with `asset_id`, those of a new version.

    Raises ParameterError for a malformed header, FieldsError, MalformedBodyError.
    """
    sent = dict(_pairs(text))
    for alias, name in _ALIASES.items():
        if value := sent.pop(alias, ""):  # browsers send an empty type for an unknown one
            sent.setdefault(name, value)
    model, read = (VersionIn, read_version_fields) if ASSET_ID in sent else (AssetIn, read_fields)
    if lenient:
        sent = {name: value for name, value in sent.items() if name in model.model_fields}
    return read({name: _value(name, value) for name, value in sent.items()})


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """Yield the keys and the decoded values of the header."""
    seen = set[str]()
    for pair in text.split(",") if text.strip() else ():
        key, _, value = pair.strip().partition(" ")
        if not _KEY.fullmatch(key):
            raise refuse(METADATA, f"has the key {key!r}: send printable ASCII")
        if key in seen:
            raise refuse(METADATA, f"has the key {key!r} more than once")
        seen.add(key)
        try:
            yield key, b64decode(value.strip(), validate=True).decode()
        except ValueError as error:  # binascii.Error and UnicodeDecodeError, too
            raise refuse(METADATA, f"has no base64 of UTF-8 as the value of {key!r}") from error


def _value(name: str, text: str) -> Any:
    if name not in _JSON:
        return text
    found = read_object(f'{{"{name}":{text}}}'.encode(), f"the value of {name!r}")
    if len(found) != 1:
        raise refuse(METADATA, f"has no JSON as the value of {name!r}")
    return found[name]


class Checksum:
    """The checksum of the bytes of one request, compared with the one that it announced."""

    def __init__(self, header: str) -> None:
        """Read the header. Raises ParameterError."""
        self._algorithm, _, value = header.partition(" ")
        if self._algorithm not in ALGORITHMS:
            raise refuse(CHECKSUM, f"must be of one of {', '.join(ALGORITHMS)}")
        self._hash = hashlib.new(self._algorithm, usedforsecurity=False)
        try:
            self._announced = b64decode(value.strip(), validate=True)
        except ValueError as error:  # binascii.Error, too
            raise refuse(CHECKSUM, "must be an algorithm, a space, and base64") from error

    def update(self, chunk: bytes) -> None:
        """Hash the next bytes."""
        self._hash.update(chunk)

    def check(self) -> None:
        """Raise ChecksumMismatchError if other bytes arrived than were announced."""
        if self._hash.digest() != self._announced:
            raise ChecksumMismatchError(self._algorithm)


def read_checksum(headers: Mapping[str, str]) -> Checksum | None:
    """Return the announced checksum of a request, or None. Raises ParameterError."""
    return Checksum(headers[CHECKSUM]) if CHECKSUM in headers else None
