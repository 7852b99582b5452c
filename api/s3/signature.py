"""Verify AWS Signature Version 4, in the header Authorization or in a presigned address.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html
"""

import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final, NamedTuple
from urllib.parse import quote, unquote_to_bytes

from asset_ledger.api.s3.errors import S3Error

ALGORITHM: Final = "AWS4-HMAC-SHA256"
UNSIGNED: Final = "UNSIGNED-PAYLOAD"

MAX_SKEW: Final = timedelta(minutes=15)
MAX_LIFE: Final = 7 * 86_400
"""Seconds that a presigned address may be valid, as in S3."""

_HEADER: Final = re.compile(
    r"Credential=([^/,\s]+)/([0-9]{8})/([^/,\s]+)/s3/aws4_request,\s*"
    r"SignedHeaders=([a-z0-9;_.-]+),\s*Signature=([0-9a-f]{64})",
)
_CREDENTIAL: Final = re.compile(r"([^/\s]+)/([0-9]{8})/([^/\s]+)/s3/aws4_request")
_OLD: Final = "the address has a signature of version 2: presign with version 4 (s3v4)"
_UNRESERVED: Final = "-_.~"
_PAYLOAD: Final = "x-amz-content-sha256"
"""Every signature covers its value: in the last line of the canonical request."""


class Signed(NamedTuple):
    """What a request claims: the id of a key, a signature and what it covers.

    `payload` is the value of X-Amz-Content-Sha256. The first chunk of a signed stream continues
    `signature`.
    """

    key_id: str
    day: str
    region: str
    time: str
    headers: Sequence[str]
    signature: str
    payload: str
    is_presigned: bool

    @property
    def scope(self) -> str:
        return f"{self.day}/{self.region}/s3/aws4_request"


class SignedRequest(NamedTuple):
    """A request as it was signed: method, target as sent, and headers."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]


def claimed(sent: SignedRequest, now: datetime) -> Signed | None:
    """Return what a request claims; None if it is not signed. Raises S3Error."""
    parameters = dict(_parameters(sent.query))
    if "X-Amz-Signature" in parameters:
        return _presigned(parameters, now)
    authorization = sent.headers.get("Authorization")
    if "AWSAccessKeyId" in parameters:
        raise S3Error("InvalidRequest", _OLD)
    if authorization is None:
        return None
    algorithm, _, rest = authorization.partition(" ")
    found = _HEADER.fullmatch(rest.strip())
    if algorithm != ALGORITHM or found is None:
        raise S3Error("InvalidRequest", f"Authorization must be a signature {ALGORITHM}")
    key_id, day, region, names, signature = found.groups()
    time = sent.headers.get("X-Amz-Date", "")
    if abs(_moment(time) - now) > MAX_SKEW:
        raise S3Error("RequestTimeTooSkewed", "the clock of the client is wrong: set it")
    payload = sent.headers.get("X-Amz-Content-Sha256", "")
    return Signed(key_id, day, region, time, names.split(";"), signature, payload, False)


def _presigned(parameters: Mapping[str, str], now: datetime) -> Signed:
    found = _CREDENTIAL.fullmatch(parameters.get("X-Amz-Credential", ""))
    life = parameters.get("X-Amz-Expires", "")
    if parameters.get("X-Amz-Algorithm") != ALGORITHM or found is None:
        raise S3Error("InvalidRequest", f"a presigned address needs a signature {ALGORITHM}")
    if not re.fullmatch("[0-9]{1,6}", life) or int(life) > MAX_LIFE:
        raise S3Error("InvalidArgument", f"X-Amz-Expires must be at most {MAX_LIFE} seconds")
    time = parameters.get("X-Amz-Date", "")
    signed_at = _moment(time)
    if not signed_at - MAX_SKEW <= now <= signed_at + timedelta(seconds=int(life)):
        raise S3Error("AccessDenied", "the presigned address has expired: make a new one")
    names = parameters.get("X-Amz-SignedHeaders", "").split(";")
    payload = parameters.get("X-Amz-Content-Sha256", UNSIGNED)
    key_id, day, region = found.groups()
    signature = parameters["X-Amz-Signature"]
    return Signed(key_id, day, region, time, names, signature, payload, True)


def verify(signed: Signed, sent: SignedRequest, secret: str) -> bytes:
    """Check a signature; return the key that signs the chunks of a stream. Raises S3Error."""
    if "host" not in signed.headers or signed.time[:8] != signed.day:
        raise S3Error("InvalidRequest", "the signature must cover Host and the day of its time")
    unsigned = {name.lower() for name in sent.headers} - {*signed.headers, _PAYLOAD}
    if extra := next((name for name in sorted(unsigned) if name.startswith("x-amz-")), None):
        raise S3Error("AccessDenied", f"the signature does not cover the header {extra}: sign it")
    hashed = sha256(_bytes(_canonical(signed, sent))).hexdigest()
    key = signing_key(secret, signed)
    text = "\n".join((ALGORITHM, signed.time, signed.scope, hashed))
    if not hmac.compare_digest(sign(key, text).encode(), _bytes(signed.signature)):
        raise S3Error("SignatureDoesNotMatch", "the signature does not match: check the secret key")
    return key


def signing_key(secret: str, signed: Signed) -> bytes:
    """Return the key of a day, a region and the service S3."""
    key = f"AWS4{secret}".encode()
    for part in (signed.day, signed.region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def sign(key: bytes, text: str) -> str:
    """Return the signature of a text."""
    return hmac.digest(key, text.encode(), "sha256").hex()


def _canonical(signed: Signed, sent: SignedRequest) -> str:
    """Return the canonical request."""
    query = sorted(
        (_quoted(name), _quoted(value))
        for name, value in _parameters(sent.query)
        if not (signed.is_presigned and name == "X-Amz-Signature")
    )
    headers = "".join(
        f"{name}:{' '.join(sent.headers.get(name, '').split())}\n" for name in signed.headers
    )
    return "\n".join(
        (
            sent.method,
            quote(unquote_to_bytes(_bytes(sent.path)), safe=f"/{_UNRESERVED}"),
            "&".join(f"{name}={value}" for name, value in query),
            headers,
            ";".join(signed.headers),
            signed.payload,
        )
    )


def _parameters(query: str) -> Sequence[tuple[str, str]]:
    pairs = [part.partition("=") for part in query.split("&") if part]
    return [(_plain(name), _plain(value)) for name, _, value in pairs]


def _bytes(text: str) -> bytes:
    """Return the bytes that were sent, of which some may not be UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def _plain(text: str) -> str:
    return unquote_to_bytes(_bytes(text)).decode("utf-8", "surrogateescape")


def _quoted(text: str) -> str:
    return quote(_bytes(text), safe=_UNRESERVED)


def _moment(time: str) -> datetime:
    try:
        return datetime.strptime(time, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise S3Error(
            "AccessDenied", "X-Amz-Date must be a time such as 20300131T120000Z"
        ) from error
