"""Settings as flags: an option for each field, and the settings made from the given options."""

import os
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import click
from pydantic import ValidationError

from asset_ledger.api.cli.options import database_of
from asset_ledger.api.cli.settings_file import read_settings_file, settings_file
from asset_ledger.api.environment import PREFIX
from asset_ledger.api.settings import Settings

_METAVARS: Final = {
    "STR": "TEXT",
    "PATH": "FOLDER",
    "INT": "NUMBER",
    "LITERAL": "WORD",
    "jwt_jwks": "FILE|ADDRESS",
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


def settings_of(data_dir: Path, **flags: Any) -> Settings:
    """Return the settings of a command on a data folder, or on the database of `database_of`."""
    database = database_of(data_dir)
    return settings_from({"data_dir": data_dir, **flags}, database_url=database)


def settings_from(flags: dict[str, Any], config: Path | None = None, **fixed: Any) -> Settings:
    """Return the settings with these flags (None means not given), else from the environment, else
    from the settings file. `fixed`: settings of which None is a value. Raises UsageError."""
    given = {name: value for name, value in flags.items() if value is not None} | fixed
    path = settings_file(config)
    filed = _of_file(path, given.keys())
    try:
        return Settings(**filed, **given)
    except ValidationError as error:
        complaints = (_complaint(each, path, filed) for each in error.errors())
        raise click.UsageError("; ".join(complaints)) from error


def _of_file(path: Path | None, given: AbstractSet[str]) -> dict[str, Any]:
    """Return the values of a settings file that neither a flag nor a variable replaces."""
    variables = {name.upper() for name, value in os.environ.items() if value}
    found = read_settings_file(path)
    for name in found:
        if name not in Settings.model_fields:
            (nearest,) = get_close_matches(name, Settings.model_fields, n=1, cutoff=0)
            raise click.UsageError(f"{path}: {name} is not a setting; did you mean {nearest}?")
    return {
        name: str(value) if type(value) is int else value  # `retain_versions = 3` is a text
        for name, value in found.items()
        if name not in given and f"{PREFIX}{name.upper()}" not in variables
    }


def _complaint(error: Any, path: Path | None, filed: Mapping[str, Any]) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    name = "-".join(str(part) for part in error["loc"])
    if name in filed:
        return f"{path}: {name}: {message}"
    return f"--{name.replace('_', '-')}: {message}" if name else message
