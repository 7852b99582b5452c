"""The checksums of S3: of a body, and of an object that is joined from parts.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import md5, sha1, sha256, sha512
from typing import Any, Final, Protocol

from awscrt.checksums import XXHash, crc32, crc32c, crc64nvme

from asset_ledger.api.s3.errors import S3Error

PREFIX: Final = "x-amz-checksum-"
TYPE: Final = f"{PREFIX}type"

_OPTIONS: Final = ("algorithm", "mode", "type")
"""Headers that begin with `PREFIX`, and are no checksums."""


class RunningChecksum(Protocol):
    """A checksum that is computed piece by piece, as in hashlib."""

    def update(self, data: bytes, /) -> None:
        """Add bytes."""

    def digest(self) -> bytes:
        """Return the checksum of the bytes so far."""


class _Crc:
    def __init__(self, compute: Callable[[bytes, int], int], length: int) -> None:
        self._compute, self._length, self._value = compute, length, 0

    def update(self, data: bytes, /) -> None:
        self._value = self._compute(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._length, "big")


class _XxHash:
    def __init__(self, hashed: Any) -> None:
        self._hashed = hashed

    def update(self, data: bytes, /) -> None:
        self._hashed.update(data)

    def digest(self) -> bytes:
        return bytes(self._hashed.finalize())


ALGORITHMS: Final[Mapping[str, Callable[[], RunningChecksum]]] = {
    "crc32": lambda: _Crc(crc32, 4),
    "crc32c": lambda: _Crc(crc32c, 4),
    "crc64nvme": lambda: _Crc(crc64nvme, 8),
    "md5": lambda: md5(usedforsecurity=False),
    "sha1": lambda: sha1(usedforsecurity=False),
    "sha256": sha256,
    "sha512": sha512,
    "xxhash64": lambda: _XxHash(XXHash.new_xxhash64()),
    "xxhash3": lambda: _XxHash(XXHash.new_xxhash3_64()),
    "xxhash128": lambda: _XxHash(XXHash.new_xxhash3_128()),
}
"""Every algorithm of S3, by its name in headers."""


def algorithms_in(names: Iterable[str]) -> list[str]:
    """Return the algorithms that names of headers have. Raises S3Error for an unknown one."""
    given = (name.lower().removeprefix(PREFIX) for name in names if _is_checksum(name))
    return [_known(name) for name in given if name not in _OPTIONS]


def _is_checksum(name: str) -> bool:
    return name.lower().startswith(PREFIX)


def _known(name: str) -> str:
    if name not in ALGORITHMS:
        raise S3Error("NotImplemented", f"the checksum {name!r} is not known: send another one")
    return name


def in_base64(digest: bytes) -> str:
    """Return a checksum as headers have it."""
    return base64.b64encode(digest).decode()


class JoinCheck:
    """Compares what a completion announces with the bytes of the parts, while they are joined.

    `headers` may have a checksum of the object: of all bytes, or, if it is composite (`...-N`, or
    by its type), of the checksums of the N parts. `parts` are those of each part by algorithm.
    """

    def __init__(self, headers: Mapping[str, str], parts: Sequence[Mapping[str, str]]) -> None:
        self._sent = {name: headers[PREFIX + name] for name in algorithms_in(headers)}
        self._is_composite = headers.get(TYPE, "").upper() == "COMPOSITE"
        self._parts, self._number = parts, 0
        self._whole = _started(self._sent)
        self._composite = _started(self._sent)
        self._part: Mapping[str, RunningChecksum] = {}

    def begin_part(self) -> None:
        """Expect the bytes of the next part."""
        self._part = _started({*self._sent, *self._parts[self._number]})

    def update(self, piece: bytes) -> None:
        """Add bytes of the part."""
        for each in (*self._whole.values(), *self._part.values()):
            each.update(piece)

    def end_part(self) -> None:
        """Raise S3Error unless the bytes of the part have its checksums."""
        announced = self._parts[self._number]
        self._number += 1
        for name, value in self._part.items():
            digest = value.digest()
            if name in self._composite:
                self._composite[name].update(digest)
            if announced.get(name, found := in_base64(digest)) != found:
                raise S3Error("InvalidPart", f"part {self._number} has another {name}")

    def finish(self) -> None:
        """Raise S3Error unless the object has the checksums that were sent."""
        for name, sent in self._sent.items():
            is_composite = self._is_composite or "-" in sent
            composite = in_base64(self._composite[name].digest())
            found = composite if is_composite else in_base64(self._whole[name].digest())
            if sent not in ((found, f"{found}-{self._number}") if is_composite else (found,)):
                raise S3Error("BadDigest", f"the object has another {name}: send it again")


def _started(names: Iterable[str]) -> dict[str, RunningChecksum]:
    return {name: ALGORITHMS[name]() for name in names}
