"""What Schemathesis leaves to other tests: the two answers that its rules have no words for; and a
media type that it has no words for either.
"""

from contextlib import suppress
from typing import Any

import schemathesis


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """A position that the log has not reached is waited for, then answered 503: by contract.

    And `Prefer: return=minimal` is answered without a body, so without the type of one.
    """
    with suppress(KeyError, ValueError, TypeError):
        if int(case.query["min_position"]) > 1:
            case.query["min_position"] = 1
    if case.headers.get("Prefer") == "return=minimal":
        del case.headers["Prefer"]


@schemathesis.serializer("application/x-ndjson")
def ndjson(context: Any, value: Any) -> bytes:
    """The bytes as they are: any other value is no body of lines."""
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")
