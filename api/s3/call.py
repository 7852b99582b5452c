"""One call of an S3 client: its bucket, key and parameters, and the assets that they name."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal
from urllib.parse import parse_qsl, unquote
from xml.etree.ElementTree import Element

from aiohttp import web

from asset_ledger.api.contract.assets import read_fields
from asset_ledger.api.contract.upload import upload_request
from asset_ledger.api.http.request import Request
from asset_ledger.api.key_locks import KeyLocks
from asset_ledger.api.s3.body import Signing
from asset_ledger.api.s3.errors import S3Error
from asset_ledger.api.s3.names import Key, parse_key, shown
from asset_ledger.api.s3.uploads import MultipartUploads
from asset_ledger.api.s3.xml import document, read
from asset_ledger.ledger.commands.call import CallContext
from asset_ledger.ledger.domain.asset import FOLDER
from asset_ledger.ledger.ids import AssetId
from asset_ledger.projections.queries.keys import KeyEntry, KeyQueries

Level = Literal["service", "bucket", "object"]


@dataclass(frozen=True)
class Call:
    """A request, taken apart."""

    request: Request
    signing: Signing
    locks: KeyLocks
    uploads: MultipartUploads

    @cached_property
    def _path(self) -> tuple[str, str]:
        """The bucket, in the host name or first in the path, and the key."""
        path = path_of(self.request.raw_path)
        if bucket := self._bucket_in_host():
            return bucket, path
        bucket, _, key = path.partition("/")
        return bucket, key

    def _bucket_in_host(self) -> str:
        named = self.request.backend.settings.s3_host
        host = self.request.headers.get("Host", "").partition(":")[0].lower()
        return host.removesuffix(f".{named}") if named and host.endswith(f".{named}") else ""

    @property
    def bucket(self) -> str:
        """The name of the bucket as it is shown."""
        return self._path[0]

    @property
    def key(self) -> str:
        return self._path[1]

    @property
    def level(self) -> Level:
        if not self.bucket:
            return "service"
        return "object" if self.key else "bucket"

    @cached_property
    def parameters(self) -> Mapping[str, str]:
        """The parameters of the query. Raises S3Error for bytes that are not UTF-8."""
        query = self.request.raw_path.partition("?")[2]
        try:
            return dict(parse_qsl(query, keep_blank_values=True, errors="strict"))
        except ValueError as error:
            raise S3Error("InvalidArgument", f"the query cannot be read: {error}") from error

    @property
    def keys(self) -> KeyQueries:
        return self.request.projections.keys

    @property
    def user_id(self) -> str:
        return self.request.user_id

    async def bucket_folder(self, name: str | None = None) -> AssetId:
        """Return the folder of a bucket, by default the call's own. Raises S3Error."""
        bucket = self.bucket if name is None else name
        found = await self.keys.find(self.user_id, None, f"{bucket}/")
        if found is None:
            raise S3Error("NoSuchBucket", f"there is no bucket {bucket!r}: create it first")
        return found.id

    async def find(self, bucket: AssetId, key: str) -> KeyEntry | None:
        """Return the asset of a key, or the folder of a key that ends with `/`; None if absent."""
        folder, found = bucket, None
        *folders, last = re.findall("[^/]*/|[^/]+", key)
        for segment in folders:
            found = await self.keys.find(self.user_id, folder, segment)
            if found is None:
                return None
            folder = found.id
        return await self.keys.find(self.user_id, folder, last)

    async def make_folders(self, bucket: AssetId, folders: Sequence[str]) -> AssetId:
        """Return the folder with this path of names, and create what is absent of it."""
        parent = bucket
        for name in folders:
            parent = await self.make_folder(parent, name)
        return parent

    async def make_folder(self, parent: AssetId | None, name: str) -> AssetId:
        """Return a folder, which is created if it is absent."""
        segment = f"{shown(name)}/"
        found = await self.keys.find(self.user_id, parent, segment)
        if found is not None:
            return found.id
        async with self.locks.hold((self.user_id, parent, segment)):
            found = await self.keys.find(self.user_id, parent, segment)
            return found.id if found is not None else await self._create_folder(parent, name)

    async def _create_folder(self, parent: AssetId | None, name: str) -> AssetId:
        fields = {"name": name, "content_type": FOLDER, "parent_id": parent or self.user_id}
        asked = upload_request(read_fields(fields), None, self.user_id)
        receipt = await self.request.ledger.create.asset(context(self), *asked)
        return receipt.asset.id


def path_of(escaped: str) -> str:
    """Return the path of an address, without its first slash. Raises S3Error."""
    try:
        path = unquote(escaped.partition("?")[0], errors="strict").removeprefix("/")
        path.encode()  # a header may have other bytes
    except UnicodeError as error:
        raise S3Error("InvalidArgument", "the key is not UTF-8: escape its bytes") from error
    return path


def context(call: Call, key: str | None = None) -> CallContext:
    """Return the context of a write. `key` makes it idempotent."""
    request = call.request
    actor, trace = request.principal.user_id, request.traceparent
    return CallContext(call.user_id, key=key, traceparent=trace, actor=actor)


def parsed(call: Call) -> Key:
    """Return the names in the key of a call. Raises S3Error."""
    return parse_key(call.key)


def whole(call: Call, name: str, default: int, most: int) -> int:
    """Return a whole number in the query, at most `most`. Raises S3Error."""
    text = call.parameters.get(name, str(default))
    if not re.fullmatch("[0-9]{1,10}", text):
        raise S3Error("InvalidArgument", f"{name} must be a whole number")
    return min(int(text), most)


def xml_answer(
    root: str, members: Mapping[str, object], headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return a document as an answer."""
    body = document(root, members)
    return web.Response(body=body, content_type="application/xml", headers=headers)


def read_xml(body: bytes) -> Element:
    """Return the root of the XML in a body. Blocks. Raises S3Error."""
    try:
        return read(body)
    except ValueError as error:
        raise S3Error("MalformedXML", str(error)) from error


def shown_time(updated_at: str) -> str:
    """Return a time of the ledger as S3 shows it, to the millisecond."""
    return f"{updated_at[:19]}.000Z"


def etag_of(digest: str | None) -> str:
    """Return the entity tag of an object: not 32 hex digits, which clients take for an MD5."""
    return f'"{digest.removeprefix("sha256:")}-1"' if digest else '"0-1"'
