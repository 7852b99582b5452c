"""Settings as flags: an option for each field, and the settings made from the given options."""

from collections.abc import Callable
from typing import Any, Final

import click
from pydantic import ValidationError

from asset_ledger.api.settings import Settings

_METAVARS: Final = {
    "STR": "TEXT",
    "PATH": "FOLDER",
    "INT": "NUMBER",
    "LITERAL": "WORD",
    "jwt_jwks": "FILE",
    "rate_limit": "RATE",
}
"""The placeholder of a flag's value in the help, by the flag's name, else by its type."""


def setting(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the decorator that adds the flag of one field of Settings."""
    field = Settings.model_fields[name]
    flag = "--" + name.replace("_", "-")
    if field.annotation is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", name, default=None, help=_help(name))
    return click.option(flag, name, default=None, metavar=_metavar(name), help=_help(name))


def _metavar(name: str) -> str:
    kind = getattr(Settings.model_fields[name].annotation, "__name__", "text").upper()
    return _METAVARS.get(name) or _METAVARS.get(kind, kind)


def _help(name: str) -> str:
    field = Settings.model_fields[name]
    text = field.description or name
    return f"{text[0].upper()}{text[1:]}.  [default: {field.default}]"


def settings_from(flags: dict[str, Any]) -> Settings:
    """Return the settings with these flags; None means not given. Raises UsageError."""
    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        raise click.UsageError("; ".join(_complaint(e) for e in error.errors())) from error


def _complaint(error: Any) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    name = "-".join(str(part) for part in error["loc"]).replace("_", "-")
    return f"--{name}: {message}" if name else message
