"""Buckets: the folders at the user's home, and the lists of their objects."""

import asyncio
import base64
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from asset_ledger.api.s3.call import (
    Call,
    context,
    etag_of,
    shown_time,
    whole,
    xml_answer,
)
from asset_ledger.api.s3.errors import S3Error
from asset_ledger.api.s3.names import name_of
from asset_ledger.ledger.ids import AssetId
from asset_ledger.projections.queries.keys import PAGE, KeyEntry

MAX_KEYS: Final = 1000
"""Objects and common prefixes of one list at most, as in S3."""
MAX_BUCKETS: Final = 10_000
"""Buckets of one list at most, as in S3."""


async def list_buckets(call: Call) -> web.StreamResponse:
    """List the folders at home, those of a prefix or all, a page of them."""
    limit = max(1, whole(call, "max-buckets", MAX_BUCKETS, MAX_BUCKETS))
    found = await _buckets(call, limit + 1)
    listed = found[:limit]
    each = [
        {"Name": entry.segment.removesuffix("/"), "CreationDate": shown_time(entry.updated_at)}
        for entry in listed
    ]
    members = {
        "Owner": {"ID": call.user_id, "DisplayName": call.user_id},
        "Buckets": {"Bucket": each},
        "ContinuationToken": _token(listed[-1].segment) if len(found) > limit else None,
        "Prefix": call.parameters.get("prefix"),
    }
    return await asyncio.to_thread(xml_answer, "ListAllMyBucketsResult", members)


async def _buckets(call: Call, limit: int) -> list[KeyEntry]:
    """Return the next folders at home, at most `limit`."""
    prefix, after = call.parameters.get("prefix", ""), _after(call)
    start, found = max(prefix, f"{after}\0" if after else ""), list[KeyEntry]()
    while len(found) < limit:
        page = await call.keys.segments(call.user_id, None, start)
        found += [entry for entry in page if entry.segment.startswith(prefix)]
        if len(page) < PAGE or not page[-1].segment.startswith(prefix):
            break
        start = f"{page[-1].segment}\0"
    return found[:limit]


async def create_bucket(call: Call) -> web.StreamResponse:
    """Create a folder at home; do nothing if it is there."""
    with call.request.slot():
        await call.make_folder(None, name_of(call.bucket))
    return web.Response(headers={"Location": f"/{quote(call.bucket)}"})


async def head_bucket(call: Call) -> web.StreamResponse:
    """Answer whether the bucket is there."""
    await call.bucket_folder()
    return web.Response(headers={"X-Amz-Bucket-Region": "us-east-1"})


async def delete_bucket(call: Call) -> web.StreamResponse:
    """Delete an empty bucket."""
    folder = await call.bucket_folder()
    async for _ in call.keys.walk(call.user_id, folder, "", ""):
        raise S3Error("BucketNotEmpty", "the bucket has objects: delete them first")
    with call.request.slot():
        await call.request.ledger.delete.asset(context(call), folder)
    return web.Response(status=204)


async def get_location(call: Call) -> web.StreamResponse:
    """Answer the region: the first one, whose name S3 leaves out."""
    await call.bucket_folder()
    return xml_answer("LocationConstraint", {})


async def get_versioning(call: Call) -> web.StreamResponse:
    """Answer that versions have no names here, though the ledger keeps them."""
    await call.bucket_folder()
    return xml_answer("VersioningConfiguration", {})


async def list_objects(call: Call) -> web.StreamResponse:
    """List objects by key (ListObjects and ListObjectsV2)."""
    folder = await call.bucket_folder()
    sent, second = call.parameters, call.parameters.get("list-type") == "2"
    prefix, delimiter = sent.get("prefix", ""), sent.get("delimiter", "")
    limit = whole(call, "max-keys", MAX_KEYS, MAX_KEYS)
    after = _after(call) if second else sent.get("marker", "")
    listing = _Listing(call, folder, prefix, delimiter)
    await listing.read(after, limit)
    shown = quote if sent.get("encoding-type") == "url" else str
    members: dict[str, Any] = {
        "Name": call.bucket,
        "Prefix": shown(prefix),
        "Delimiter": shown(delimiter) if delimiter else None,
        "MaxKeys": limit,
        "EncodingType": sent.get("encoding-type"),
        "IsTruncated": "true" if listing.is_truncated else "false",
    }
    if second:
        members["KeyCount"] = len(listing.objects) + len(listing.prefixes)
        members["ContinuationToken"] = sent.get("continuation-token")
        members["StartAfter"] = shown(sent["start-after"]) if "start-after" in sent else None
        if listing.is_truncated:
            members["NextContinuationToken"] = _token(listing.last)
    else:
        members["Marker"] = shown(after)
        members["NextMarker"] = shown(listing.last) if listing.is_truncated else None
    members["Contents"] = [_object(key, entry, shown) for key, entry in listing.objects]
    members["CommonPrefixes"] = [{"Prefix": shown(each)} for each in listing.prefixes]
    return xml_answer("ListBucketResult", members)


class _Listing:
    """One page of a list: objects, and common prefixes up to the delimiter."""

    def __init__(self, call: Call, folder: AssetId, prefix: str, delimiter: str) -> None:
        self._call, self._folder = call, folder
        self._prefix, self._delimiter = prefix, delimiter
        self.objects: list[tuple[str, KeyEntry]] = []
        self.prefixes: list[str] = []
        self.is_truncated, self.last = False, ""

    async def read(self, after: str, limit: int) -> None:
        """Read at most `limit` objects and prefixes whose keys come after `after`."""
        behind = _behind(after) if after and self._common(after) == after else f"{after}\0"
        start: str | None = max(self._prefix, behind if after else "")
        while start is not None and limit:
            start = await self._read_from(start, limit)

    async def _read_from(self, start: str, limit: int) -> str | None:
        """Read on from a key. Return where to go on behind a common prefix; None at the end."""
        user_id = self._call.user_id
        async for key, entry in self._call.keys.walk(user_id, self._folder, "", start):
            if not key.startswith(self._prefix):
                return None
            if len(self.objects) + len(self.prefixes) >= limit:
                self.is_truncated = True
                return None
            if common := self._common(key):
                self.prefixes.append(common)
                self.last = common
                return _behind(common)
            self.objects.append((key, entry))
            self.last = key
        return None

    def _common(self, key: str) -> str:
        """Return the common prefix that stands for a key; `""` if the key is listed itself."""
        if not self._delimiter or not key.startswith(self._prefix):
            return ""
        rest = key.removeprefix(self._prefix)
        head, found, _ = rest.partition(self._delimiter)
        return f"{self._prefix}{head}{found}" if found else ""


def _behind(prefix: str) -> str:
    """Return the first text that is behind all texts with this prefix."""
    return f"{prefix}\U0010ffff"


def _token(last: str) -> str:
    return base64.urlsafe_b64encode(last.encode()).decode()


def _after(call: Call) -> str:
    token = call.parameters.get("continuation-token")
    if token is None:
        return call.parameters.get("start-after", "")
    try:
        return base64.b64decode(token, b"-_", validate=True).decode()
    except ValueError as error:
        raise S3Error("InvalidArgument", "the continuation token is not of this list") from error


def _object(key: str, entry: KeyEntry, shown: Any) -> dict[str, Any]:
    return {
        "Key": shown(key),
        "LastModified": shown_time(entry.updated_at),
        "ETag": etag_of(entry.digest),
        "Size": entry.size,
        "StorageClass": "STANDARD",
    }
