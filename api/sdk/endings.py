"""How a job or a run of a node ended, as fields of a request."""

from typing import Any, Final

MAX_ERROR: Final = 4_000
"""Characters. A longer error is recorded up to this length."""


def ending(failure: BaseException | None) -> dict[str, Any]:
    """Return the fields of an end: completed, cancelled, or failed with the error and its notes."""
    if failure is None:
        return {"status": "completed"}
    if not isinstance(failure, Exception):  # a cancelled task, Ctrl-C, an exit
        return {"status": "cancelled"}
    notes = getattr(failure, "__notes__", ())
    lines = [f"{type(failure).__name__}: {failure}", *map(str, notes)]
    return {"status": "failed", "error": error_text(lines)}


def error_text(lines: list[str]) -> str:
    """Return an error that the ledger takes: UTF-8, without U+0000, not too long."""
    return "\n".join(lines)[:MAX_ERROR].encode(errors="replace").decode().replace("\0", "")
