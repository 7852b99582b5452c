"""The options that commands share, and what they are turned into.

Every command imports this, so it imports no settings: pydantic takes longer than a command.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click

from asset_ledger.ledger.errors import DataFolderError
from asset_ledger.ledger.storage.data_folder import DataFolder, check_log

Command = Callable[..., Any]
Decorator = Callable[[Command], Command]

DEFAULT_FOLDER: Final = Path("data")
"""What the settings say as well."""


def check_address(_: click.Context, __: click.Parameter, url: str | None) -> str | None:
    """An address that a server can have. Raises BadParameter."""
    if url is None or _is_address(url):
        return url
    raise click.BadParameter(f"{url!r} is no address of a server, as http://127.0.0.1:7777 is")


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


DATA_DIR: Final = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="ASSET_LEDGER_DATA_DIR",
    help="The data folder (default: ./data).",
)
URL: Final = click.option(
    "--url", callback=check_address, help="Ask the server at this address instead."
)
TOKEN: Final = click.option("--token", envvar="ASSET_LEDGER_TOKEN", help="What the server wants.")
JSON: Final = click.option("--json", "as_json", is_flag=True, help="JSON for machines.")
USER: Final = click.option("--user", default="1", show_default=True, help="Whose events.")


def together(*options: Decorator) -> Decorator:
    """Options that commands share as a group, in the order of their help."""

    def decorated(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorated


WHERE: Final = together(DATA_DIR, URL, TOKEN)
"""Which ledger: `data_dir`, or `url` and `token`."""

SOURCE: Final = together(WHERE, USER)
"""Whose events of which ledger: the arguments of `open_source`."""


def folder_of(data_dir: Path | None) -> Path:
    """The data folder that was named, else the default one."""
    return DEFAULT_FOLDER if data_dir is None else data_dir


def existing_log(data_dir: Path | None) -> Path:
    """The log file in a data folder. Raises DataFolderError where there is none to be read."""
    folder = folder_of(data_dir)
    path = DataFolder(folder).log
    check_log(folder)
    if not path.is_file() or not path.stat().st_size:
        raise DataFolderError(f"there is no ledger in {folder}: name its folder with --data-dir")
    if not (os.access(folder, os.W_OK) or path.with_name(f"{path.name}-shm").exists()):
        raise DataFolderError(
            f"{folder} is read-only, and SQLite keeps its locks beside what it reads:"
            " use a copy that can be written to, or the account that owns it"
        )
    return path
