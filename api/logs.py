"""The server's log on standard error: lines to read, or one JSON object a line to be gathered.

What a line is about beyond its message comes as `extra={"fields": {...}}`, and looks the same in
both forms whoever wrote it.
"""

import logging
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from asset_ledger.ledger.domain.event import iso

_PLAIN: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class PlainFormatter(logging.Formatter):
    """Text, with the fields behind it as `name=value`."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """The line without a traceback."""
        said = (f" {name}={value}" for name, value in _fields(record).items() if value is not None)
        return super().formatMessage(record) + "".join(said)


class JsonFormatter(logging.Formatter):
    """One JSON object, the traceback within it."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
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
    """Log what is at least of this level, in this form: as the settings of these names say."""
    handler = logging.StreamHandler()
    as_json = form == "json"
    handler.setFormatter(JsonFormatter() if as_json else PlainFormatter(_PLAIN))
    logging.basicConfig(level=level.upper(), handlers=[handler])


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = getattr(record, "fields", {})
    return fields
