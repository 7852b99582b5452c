"""How a repeated request is recognised: its fingerprint, and the command hash stored in events.

Both are part of the stored format: a client can compute them again from its request and its key.
"""

import hashlib
from collections.abc import Mapping
from typing import Final

import orjson

from asset_ledger.ledger.domain.event import Json
from asset_ledger.ledger.errors import MalformedBodyError
from asset_ledger.ledger.ids import Digest
from asset_ledger.ledger.log.event_log import CommandKey

_PREFIX: Final = b"asset-ledger/command/1\n"


def fingerprint(
    operation: str,
    *,
    asset_id: str | None = None,
    if_match: int | None = None,
    fields: Mapping[str, Json] | None = None,
    size: int | None = None,
    digest: Digest | None = None,
) -> str:
    """Return the SHA-256 (hex) of a request, which does not depend on the encoding of its body.

    `fields` are those that were sent and are not null. Raises MalformedBodyError if not JSON.
    """
    request = {
        "operation": operation,
        "id": asset_id,
        "if_match": if_match,
        "fields": fields or {},
        "size": size,
        "digest": digest,
    }
    try:
        encoded = orjson.dumps(request, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:  # the fields are not validated yet
        raise MalformedBodyError(f"the fields cannot be written as JSON: {error}") from error
    return hashlib.sha256(encoded).hexdigest()


def command_hash(key: CommandKey | None) -> str | None:
    """Return the SHA-256 (hex) of a key and its request, which events store; None without a key."""
    if key is None:
        return None
    hashed = hashlib.sha256(_PREFIX)
    for part in (key.key.encode(), key.operation.encode(), key.fingerprint.encode()):
        hashed.update(len(part).to_bytes(4, "big"))
        hashed.update(part)
    return hashed.hexdigest()
