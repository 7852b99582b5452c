"""Options that commands share, and functions that read their values.

Every command imports this module. It imports no settings: importing pydantic would slow each down.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import click
from click.core import ParameterSource

from asset_ledger.api.cli.settings_file import read_settings_file, settings_file
from asset_ledger.ledger.errors import DataFolderError, UnknownJobError
from asset_ledger.ledger.storage.data_folder import DataFolder, check_log
from asset_ledger.ledger.storage.database_address import DATABASES

Command = Callable[..., Any]
Decorator = Callable[[Command], Command]

DEFAULT_FOLDER: Final = Path("data")
"""The same as the default of `Settings.data_dir`."""


class Backups(click.ParamType[str]):
    """A folder of backups, or s3://bucket/prefix, gs:// or az://."""

    name = "folder or URL"

    def __init__(self, *, exists: bool) -> None:
        self._folder = click.Path(exists=exists, file_okay=False)

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> str:
        return str(value if "://" in value else self._folder.convert(value, param, context))


def check_address(context: click.Context, _: click.Parameter, url: str | None) -> str | None:
    """Return an address that a server can have. Raises BadParameter.

    The address in the environment gives way to a data folder or a database on the command line,
    which are read first.
    """
    local = (context.get_parameter_source(name) for name in ("data_dir", "database_url"))
    if ParameterSource.COMMANDLINE in local and (
        context.get_parameter_source("url") is ParameterSource.ENVIRONMENT
    ):
        return None
    if url is None or is_address(url):
        return url
    raise click.BadParameter(
        f"{url!r} is not a server's address: write it as http://127.0.0.1:7777"
    )


def is_address(url: str) -> bool:
    """Return whether a text is an http(s) address."""
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
_DATABASE: Final = "asset-ledger database"
"""The key of a database in the meta data of a command's context."""


def check_database(
    context: click.Context, parameter: click.Parameter, address: str | None
) -> str | None:
    """Return the address of a database. Raises BadParameter for an address of another kind."""
    if address is not None and not address.startswith(DATABASES):
        raise click.BadParameter("write it as postgresql://user@host/database", context, parameter)
    return address


def _note_database(context: click.Context, parameter: click.Parameter, address: str | None) -> None:
    context.meta[_DATABASE] = check_database(context, parameter, address)


def database_of(data_dir: Path | None) -> str | None:
    """Return the database of this command's ledger; None if a data folder has the ledger.

    A database in the environment or the settings file gives way to a data folder on the command
    line that has a ledger of its own.
    """
    context = click.get_current_context()
    if context.get_parameter_source("database_url") is ParameterSource.COMMANDLINE:
        return str(context.meta[_DATABASE])
    named = context.get_parameter_source("data_dir") is ParameterSource.COMMANDLINE
    if named and data_dir is not None and DataFolder(data_dir).log.exists():
        return None
    found = context.meta.get(_DATABASE) or read_settings_file(settings_file()).get("database_url")
    return None if found is None else str(found)


DATABASE: Final = click.option(
    "--database-url",
    callback=_note_database,
    envvar="ASSET_LEDGER_DATABASE_URL",
    expose_value=False,
    help="The PostgreSQL database of the ledger, if it is in one.",
)
URL: Final = click.option(
    "--url",
    callback=check_address,
    envvar="ASSET_LEDGER_URL",
    help="Use the server at this address instead.",
)
TOKEN: Final = click.option("--token", envvar="ASSET_LEDGER_TOKEN", help="The server's token.")
JSON: Final = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
NDJSON: Final = click.option("--ndjson", is_flag=True, help="Print one JSON document a line.")
ATTEMPT: Final = click.option(
    "--attempt", type=click.IntRange(1), help="Only this attempt of the job."
)
USER: Final = click.option("--user", default="1", show_default=True, help="The events' owner.")


def moments(context: click.Context, parameter: click.Parameter, given: Any) -> Any:
    """Return a time or several as RFC 3339: a time, a date, or how long ago. Raises BadParameter.

    For options with this callback.
    """
    if not given:
        return given
    from asset_ledger.api.contract.moments import read_moment

    try:
        return read_moment(given) if isinstance(given, str) else [*map(read_moment, given)]
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from error


def together(*options: Decorator) -> Decorator:
    """Return one decorator for several options, in the order of their help."""

    def decorated(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorated


LOCAL: Final = together(DATA_DIR, DATABASE)
"""Which ledger: `data_dir`, and what `database_of` returns."""
WHERE: Final = together(LOCAL, URL, TOKEN)
"""Which ledger: that of `LOCAL`, or `url` and `token`."""

SOURCE: Final = together(WHERE, USER)
"""Which ledger, and which user's events: the arguments of `open_source`."""

OWNER: Final = click.option(
    "--user", help="The owner of the assets (default: 1 in a folder, at a server the token's user)."
)


class Where(NamedTuple):
    """Which ledger, and which user's assets: the arguments of `open_ledger`."""

    data_dir: Path | None
    url: str | None
    token: str | None
    user: str | None


class Listing(NamedTuple):
    """How much of a list to print, and in which form."""

    limit: int | None
    as_json: bool
    ndjson: bool


def _as_one(argument: str, kind: Any, *options: Decorator) -> Decorator:
    """Return a decorator for options whose values the command takes as one argument."""

    def decorated(command: Command) -> Command:
        @wraps(command)
        def called(*arguments: Any, **values: Any) -> Any:
            values[argument] = kind(*(values.pop(name) for name in kind._fields))
            return command(*arguments, **values)

        return together(*options)(called)

    return decorated


LEDGER: Final = _as_one("where", Where, WHERE, OWNER)
LIMIT: Final = click.option(
    "--limit",
    type=click.IntRange(1),
    help="The most to print (default: 100 on a terminal, else all).",
)
LISTED: Final = _as_one("listing", Listing, LIMIT, JSON, NDJSON)


def folder_of(data_dir: Path | None) -> Path:
    """Return the data folder that was named, else that of the settings file, else the default."""
    if data_dir is not None:
        return data_dir
    return Path(str(read_settings_file(settings_file()).get("data_dir", DEFAULT_FOLDER)))


@contextmanager
def hinting_at_user(user: str) -> Iterator[None]:
    """Mention --user where this user has no such job in a folder. Raises ClickException."""
    try:
        yield
    except UnknownJobError as error:
        message = f"user {user} has no {error.named}: check the id, or name the owner with --user"
        raise click.ClickException(message) from error


def existing_log(data_dir: Path | None, instead: str = "ask one of its servers: --url") -> Path:
    """Return the log file in a data folder. Raises DataFolderError if it cannot be read.

    `instead`: what to do with a ledger in a database, whose log is in no file.
    """
    if database_of(data_dir) is not None:
        raise DataFolderError(f"this ledger is in a database: {instead}")
    folder = folder_of(data_dir)
    path = DataFolder(folder).log
    check_log(folder)
    if not path.is_file() or not path.stat().st_size:
        raise DataFolderError(f"there is no ledger in {folder}: name its folder with --data-dir")
    if not (os.access(folder, os.W_OK) or path.with_name(f"{path.name}-shm").exists()):
        raise DataFolderError(
            f"{folder} is read-only, and SQLite writes its locks to it:"
            " use a copy that can be written to, or the account that owns it"
        )
    return path
