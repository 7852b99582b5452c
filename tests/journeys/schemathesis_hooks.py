"""Hooks for Schemathesis: two answers and one media type that its rules cannot express."""

from typing import Any

import schemathesis

LAST_POSITION = 2**63 - 1


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Ask for position 1 instead of a later one, and for a body.

    A position that the log has not reached is waited for, then answered 503: by contract. A
    `min_position` that is no position stays. Otherwise a request that was made to be invalid would
    become valid, and its answer 200 would be reported.
    `Prefer: return=minimal` is answered without a body, so without the type of one.
    """
    asked = str(case.query.get("min_position"))
    if asked.isdecimal() and 1 < int(asked) <= LAST_POSITION:
        case.query["min_position"] = 1
    if case.headers.get("Prefer") == "return=minimal":
        del case.headers["Prefer"]


@schemathesis.serializer("application/x-ndjson")
def ndjson(context: Any, value: Any) -> bytes:
    """The bytes as they are: any other value is no body of lines."""
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")
