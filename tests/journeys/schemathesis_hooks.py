"""Hooks for Schemathesis: two answers and two media types that its rules cannot express."""

from typing import Any

import schemathesis

LAST_POSITION = 2**63 - 1


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Replace a later `min_position` by 1, and remove `Prefer: return=minimal`.

    The server waits for a position after the end of the log, and then answers 503: by contract. An
    invalid `min_position` stays: otherwise a request that was made invalid would become valid, and
    its 200 would be reported. An answer to `return=minimal` has no body, and so no content type.
    """
    position = str(case.query.get("min_position"))
    if position.isdecimal() and 1 < int(position) <= LAST_POSITION:
        case.query["min_position"] = 1
    if case.headers.get("Prefer") == "return=minimal":
        del case.headers["Prefer"]


@schemathesis.serializer("application/x-ndjson", "application/offset+octet-stream")
def plain(context: Any, value: Any) -> bytes:
    """Return bytes as they are, and any other value as text."""
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")
