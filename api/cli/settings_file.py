"""The settings file `asset-ledger.toml`: settings for which no flag and no variable is given.

It is light: every command may read the data folder from it.
"""

import os
import tomllib
from pathlib import Path
from typing import Any, Final

import click

NAME: Final = Path("asset-ledger.toml")
VARIABLE: Final = "ASSET_LEDGER_CONFIG"
CONFIG: Final = click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar=VARIABLE,
    help="The settings file (default: ./asset-ledger.toml, if there is one).",
)


def settings_file(named: Path | None = None) -> Path | None:
    """Return the named file, else that of the environment, else `asset-ledger.toml` if present."""
    if named is None and (text := os.environ.get(VARIABLE)):
        named = Path(text)
    return named or (NAME if NAME.exists() else None)


def read_settings_file(path: Path | None) -> dict[str, Any]:
    """Return the values of a file by name; {} for None. Raises UsageError if it is no TOML."""
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise click.UsageError(f"{path} is not TOML: {error}") from error
