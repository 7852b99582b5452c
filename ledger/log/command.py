"""How a request is recognised when it comes again: its fingerprint, and the hash that events keep.

Both are frozen into stored bytes: `verify` derives them from what a client still has.
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
    """SHA-256 hex of what a request asks for; the same however its body was encoded.

    `fields` are those that were sent and not null. Raises MalformedBodyError for what is no JSON.
    """
    asked = {
        "operation": operation,
        "id": asset_id,
        "if_match": if_match,
        "fields": fields or {},
        "size": size,
        "digest": digest,
    }
    try:
        spelled = orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:  # a field that nobody has checked yet
        raise MalformedBodyError(f"the fields cannot be written as JSON: {error}") from error
    return hashlib.sha256(spelled).hexdigest()


def command_hash(key: CommandKey | None) -> str | None:
    """What an event keeps of the key that asked for it: SHA-256 hex; None where there was none."""
    if key is None:
        return None
    hashed = hashlib.sha256(_PREFIX)
    for part in (key.key.encode(), key.operation.encode(), key.fingerprint.encode()):
        hashed.update(len(part).to_bytes(4, "big"))
        hashed.update(part)
    return hashed.hexdigest()
