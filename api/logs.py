"""The server's log on standard error: text, or one JSON object a line.

A module logs further values as `extra={"fields": {...}}`. Both formats show them.
"""

import logging
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from asset_ledger.ledger.domain.event import iso

_PLAIN: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class PlainFormatter(logging.Formatter):
    """Formats a record as text, followed by its fields as `name=value`."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """Return the line without a traceback."""
        shown = (f" {name}={value}" for name, value in _fields(record).items() if value is not None)
        return super().formatMessage(record) + "".join(shown)


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object, which includes a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": iso(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


def configure(level: str, form: str) -> None:
    """Log records of at least this level. `form`: a LogFormat of the settings."""
    handler = logging.StreamHandler()
    as_json = form == "json"
    handler.setFormatter(JsonFormatter() if as_json else PlainFormatter(_PLAIN))
    logging.basicConfig(level=level.upper(), handlers=[handler])


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = getattr(record, "fields", {})
    return fields
