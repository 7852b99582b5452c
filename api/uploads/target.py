"""What a resumable upload becomes: a new asset, or new bytes of one."""

from typing import Any, Protocol

from asset_ledger.api.contract.asset_id import read_asset_id
from asset_ledger.api.contract.assets import announced_by, check_announced
from asset_ledger.api.contract.editing import label_of
from asset_ledger.api.contract.errors import UnknownUploadError
from asset_ledger.api.contract.fields import Fields
from asset_ledger.api.contract.sniff import is_unknown
from asset_ledger.api.contract.upload import upload_request
from asset_ledger.api.contract.uploads import ASSET_ID
from asset_ledger.ledger.commands.call import CallContext, Receipt
from asset_ledger.ledger.content.store import OwnedContent, Staged
from asset_ledger.ledger.errors import KeyReusedError, UnknownAssetError
from asset_ledger.ledger.ids import AssetId
from asset_ledger.ledger.reading.replay import Replay
from asset_ledger.ledger.service import Ledger


class Target(Protocol):
    """What an upload with declared fields becomes."""

    async def recorded(self, call: CallContext, size: int) -> Receipt | None:
        """Return what this Idempotency-Key recorded before, or None. Raises KeyReusedError."""

    async def check(self, call: CallContext, expected: Staged) -> None:
        """Raise what `record` would raise now, if this content had arrived."""

    async def record(self, call: CallContext, staged: Staged, upload_id: AssetId) -> Receipt:
        """Record the content, once for a key."""


def target_of(ledger: Ledger, fields: Fields) -> Target:
    """Return what the fields of an upload declare. Raises UnknownAssetError."""
    return VersionTarget(ledger, fields) if ASSET_ID in fields else AssetTarget(ledger, fields)


class AssetTarget:
    """An asset, whose id is that of its upload."""

    def __init__(self, ledger: Ledger, fields: Fields) -> None:
        self._ledger, self._create, self._fields = ledger, ledger.create, fields

    async def recorded(self, call: CallContext, size: int) -> Receipt | None:
        """Return the asset that this Idempotency-Key created, or None. Raises KeyReusedError."""
        if call.key is None or not await self._ledger.replay(
            Replay.command_of, call.user_id, call.key
        ):
            return None
        earlier = await self._create.recorded(call)
        if (
            earlier is None
            or earlier.digest is None
            or announced_by(self._fields) not in (None, earlier.digest)
        ):
            raise KeyReusedError(call.key)
        owned = OwnedContent(earlier.digest, size, b"")
        return await self._create.asset(call, *upload_request(self._fields, owned, call.user_id))

    async def check(self, call: CallContext, expected: Staged) -> None:
        """Raise what recording the asset would raise now."""
        new, _, _ = upload_request(self._fields, expected, call.user_id)
        await self._create.check(call, new, expected)

    async def record(self, call: CallContext, staged: Staged, upload_id: AssetId) -> Receipt:
        """Record the asset. Raises what `Create.asset` raises."""
        new, _, fields = upload_request(self._fields, staged, call.user_id)
        return await self._create.asset(call, new, staged, fields, upload_id)


class VersionTarget:
    """New bytes of an asset, and the fields that change with them."""

    def __init__(self, ledger: Ledger, fields: Fields) -> None:
        """Raises UnknownAssetError for a malformed id."""
        sent: dict[str, Any] = {**fields}
        self._asset_id = read_asset_id(sent.pop(ASSET_ID))
        self._announced: Fields = {n: sent.pop(n) for n in ("size", "digest") if n in sent}
        if is_unknown(sent.get("content_type", "")):
            del sent["content_type"]
        self._edit, self._sent = ledger.edit, sent

    async def recorded(self, call: CallContext, size: int) -> Receipt | None:
        """Return the asset as this Idempotency-Key left it, or None. Raises KeyReusedError."""
        digest = announced_by(self._announced)
        return await self._edit.recorded(call, self._asset_id, self._sent, size, digest)

    async def check(self, call: CallContext, expected: Staged) -> None:
        """Raise what replacing the content would raise now."""
        label = label_of(self._sent, call.user_id)
        await self._edit.check(call, self._asset_id, label, expected)
        check_announced(self._announced, expected)

    async def record(self, call: CallContext, staged: Staged, upload_id: AssetId) -> Receipt:
        """Replace the content. Raises what `Edit.asset` raises."""
        label = label_of(self._sent, call.user_id)
        return await self._edit.asset(call, self._asset_id, label, staged, self._sent)


async def receipt_of(
    ledger: Ledger, user_id: str, upload_id: AssetId, key: str | None = None
) -> Receipt:
    """Return what a finished upload recorded: an asset with its id, or a command with its key.

    `key`: the Idempotency-Key of its creation, by default the one of an upload without a key.
    Raises UnknownUploadError.
    """
    try:
        asset = await ledger.replay(Replay.asset_at_version, user_id, upload_id, 1)
    except UnknownAssetError:
        call = CallContext(user_id, key or own_key(upload_id))
        if (receipt := await ledger.edit.changed(call)) is not None:
            return receipt
        raise UnknownUploadError(upload_id) from None
    return Receipt(asset, asset.position, replayed=True, behind=False)


def own_key(upload_id: AssetId) -> str:
    """Return the key under which an upload without an Idempotency-Key is recorded."""
    return f"upload {upload_id}"
