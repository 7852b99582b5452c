"""Receive the bytes of an object: plain, or in the chunks of `aws-chunked`, each perhaps signed.

Promise: nothing is recorded unless every digest and checksum that was sent is that of the bytes.
Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
"""

import re
from collections.abc import AsyncIterator, Mapping
from hashlib import sha256
from typing import Final, NamedTuple

from asset_ledger.api.http.body import gather, invite, next_chunk
from asset_ledger.api.http.request import Request
from asset_ledger.api.s3.checksums import ALGORITHMS, PREFIX, algorithms_in, in_base64
from asset_ledger.api.s3.errors import S3Error, S3TooLargeError
from asset_ledger.api.s3.signature import UNSIGNED, Signed, sign
from asset_ledger.ledger.content.store import Stage, Staged
from asset_ledger.ledger.errors import MalformedBodyError, TooLargeError

MAX_LINE: Final = 16_384
"""Bytes of a line between two chunks."""

_MD5: Final = "content-md5"
_SIZE: Final = re.compile(rb"([0-9a-fA-F]{1,12})(?:;chunk-signature=([0-9a-f]{64}))?")
_EMPTY: Final = sha256().hexdigest()
_DIGEST: Final = re.compile("[0-9a-f]{64}")
_BROKEN: Final = "the chunks of the body are malformed: send it again"


class Signing(NamedTuple):
    """What signs the chunks of a stream; `key` is None where no signature is checked."""

    signed: Signed
    key: bytes | None


class Received(NamedTuple):
    """A body in a stage, and the headers that confirm its checksums."""

    staged: Staged
    checksums: Mapping[str, str]


async def receive_object(request: Request, signing: Signing, stage: Stage, limit: int) -> Received:
    """Write the body of a PUT to a stage and check it. Raises RefusedErrors; 0 is no limit."""
    await begin_object(request)
    pieces = _Chunks(request, signing) if is_chunked(request) else None
    checks = _Checks(request)
    size = 0
    async for piece in pieces.read() if pieces else _plain(request):
        size += len(piece)
        if limit and size > limit:
            raise S3TooLargeError("EntityTooLarge", f"the object is longer than {limit:,} bytes")
        checks.update(piece)
        await stage.write(piece)
    checksums = checks.finish(pieces.trailers if pieces else {})
    staged = await stage.finish()
    announced = signing.signed.payload
    if _DIGEST.fullmatch(announced) and staged.digest != f"sha256:{announced}":
        raise S3Error("BadDigest", "the bytes do not match X-Amz-Content-Sha256: send them again")
    return Received(staged, checksums)


def is_chunked(request: Request) -> bool:
    """Return whether the body is in the chunks of aws-chunked."""
    return request.headers.get("X-Amz-Content-Sha256", "").startswith("STREAMING-")


async def begin_object(request: Request) -> None:
    """Send `100 Continue` if the client waits for it. Raises UnsupportedTypeError."""
    codings = request.headers.get("Content-Encoding", "").lower().split(",")
    rest = [coding.strip() for coding in codings if coding.strip() not in ("", "aws-chunked")]
    if rest:
        raise S3Error(
            "NotImplemented", f"Content-Encoding {rest[0]!r} is not kept: send plain bytes"
        )
    await invite(request)


async def _plain(request: Request) -> AsyncIterator[bytes]:
    while chunk := await next_chunk(request):
        yield chunk


class _Chunks:
    """The chunks of a body. `trailers` are the fields after the last one, by lower-case name."""

    def __init__(self, request: Request, signing: Signing) -> None:
        self._request, (self._signed, self._key) = request, signing
        self._is_signed = "-UNSIGNED-" not in self._signed.payload
        self._before = self._signed.signature
        self._buffer = bytearray()
        self.trailers: dict[str, str] = {}

    async def read(self) -> AsyncIterator[bytes]:
        """Yield the bytes of the object. Raises S3Error for a wrong signature."""
        while True:
            found = _SIZE.fullmatch(await self._line())
            if found is None:
                raise MalformedBodyError(_BROKEN)
            left, hashed = int(found[1], 16), sha256()
            is_last = not left
            while left:
                piece = await self._bytes(left)
                left -= len(piece)
                hashed.update(piece)
                yield piece
            self._check_chunk(found[2], hashed.hexdigest())
            if is_last:
                break
            if await self._line():
                raise MalformedBodyError(_BROKEN)
        await self._read_trailers()

    def _check_chunk(self, signature: bytes | None, hashed: str) -> None:
        if not self._is_signed or self._key is None:
            return
        signed = self._signed
        text = ("AWS4-HMAC-SHA256-PAYLOAD", signed.time, signed.scope, self._before, _EMPTY, hashed)
        self._before = sign(self._key, "\n".join(text))
        if signature is None or signature.decode() != self._before:
            raise S3Error("SignatureDoesNotMatch", "the signature of a chunk does not match")

    async def _read_trailers(self) -> None:
        lines = []
        while line := await self._line(at_end=True):
            lines.append(line)
            if len(lines) > 16:
                raise MalformedBodyError(_BROKEN)
        for line in lines:
            name, _, value = line.decode("latin-1").partition(":")
            self.trailers[name.strip().lower()] = value.strip()
        sent = self.trailers.pop("x-amz-trailer-signature", None)
        if not (self._is_signed and self._key is not None and self.trailers):
            return
        fields = "".join(f"{name}:{value}\n" for name, value in self.trailers.items())
        signed, hashed = self._signed, sha256(fields.encode()).hexdigest()
        text = ("AWS4-HMAC-SHA256-TRAILER", signed.time, signed.scope, self._before, hashed)
        if sent != sign(self._key, "\n".join(text)):
            raise S3Error("SignatureDoesNotMatch", "the signature of the trailer does not match")

    async def _line(self, *, at_end: bool = False) -> bytes:
        """Return the bytes before the next line end. `at_end`: the body may end instead."""
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > MAX_LINE:
                raise MalformedBodyError(_BROKEN)
            if not await self._more():
                if at_end and not self._buffer:
                    return b""
                raise MalformedBodyError("the body broke off: send it again")
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    async def _bytes(self, most: int) -> bytes:
        if not self._buffer and not await self._more():
            raise MalformedBodyError("the body broke off: send it again")
        piece = bytes(self._buffer[:most])
        del self._buffer[:most]
        return piece

    async def _more(self) -> bool:
        chunk = await next_chunk(self._request)
        self._buffer += chunk
        return bool(chunk)


class _Checks:
    """The checksums of a body that its request announces, in its head or its trailer.

    `of_object`: those in the head are not of this body, except Content-MD5.
    """

    def __init__(self, request: Request, *, of_object: bool = False) -> None:
        self._headers = request.headers
        announced = self._headers.get("X-Amz-Trailer", "").split(",")
        named = () if of_object else (*self._headers, *(name.strip() for name in announced))
        self._sums = {PREFIX + name: ALGORITHMS[name]() for name in algorithms_in(named)}
        if _MD5 in self._headers:
            self._sums[_MD5] = ALGORITHMS["md5"]()
        length = self._headers.get("X-Amz-Decoded-Content-Length", "")
        self._left = int(length) if re.fullmatch("[0-9]{1,18}", length) else None

    def update(self, piece: bytes) -> None:
        for each in self._sums.values():
            each.update(piece)
        if self._left is not None:
            self._left -= len(piece)

    def finish(self, trailers: Mapping[str, str]) -> dict[str, str]:
        """Return the checksums as headers. Raises S3Error if one, or the length, differs."""
        if self._left:
            raise S3Error("IncompleteBody", "the length is not X-Amz-Decoded-Content-Length")
        checked = {}
        for name, value in self._sums.items():
            sent = self._headers.get(name) or trailers.get(name, "")
            if sent != in_base64(value.digest()):
                raise S3Error("BadDigest", f"the bytes do not match {name}: send them again")
            checked[name] = sent
        checked.pop(_MD5, None)
        return checked


async def read_document(
    request: Request, signing: Signing, limit: int, *, of_object: bool = False
) -> bytes:
    """Return a short body and check its digest. Raises RefusedErrors.

    `of_object`: the checksums in the head are of the object, not of this body.
    """
    await begin_object(request)
    try:
        body = await gather(request, limit)
    except TooLargeError as error:
        raise S3TooLargeError("InvalidRequest", str(error)) from error
    checks = _Checks(request, of_object=of_object)
    checks.update(body)
    checks.finish({})
    announced = signing.signed.payload
    if announced not in ("", UNSIGNED) and sha256(body).hexdigest() != announced:
        raise S3Error("BadDigest", "the body does not match X-Amz-Content-Sha256")
    return body
