"""The options that commands share, and what they are turned into."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click
from pydantic import ValidationError

from api.settings import Settings
from ledger.errors import DataFolderError

DATA_DIR: Final = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="ASSET_LEDGER_DATA_DIR",
    help="The data folder (default: ./data).",
)
URL: Final = click.option("--url", help="Ask the server at this address instead.")
TOKEN: Final = click.option("--token", envvar="ASSET_LEDGER_TOKEN", help="What the server wants.")
JSON: Final = click.option("--json", "as_json", is_flag=True, help="JSON for machines.")
_METAVARS: Final = {
    "STR": "TEXT",
    "PATH": "FOLDER",
    "INT": "NUMBER",
    "LITERAL": "WORD",
    "jwt_jwks": "FILE",
    "rate_limit": "RATE",
}
"""What stands for a flag's value: by its name, else by its type."""

USER: Final = click.option("--user", default="1", show_default=True, help="Whose facts.")


def setting(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The flag of one field of Settings."""
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
    """The settings with these flags given; those that are None were not. Raises UsageError."""
    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        raise click.UsageError("; ".join(_complaint(e) for e in error.errors())) from error


def _complaint(error: Any) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    name = "-".join(str(part) for part in error["loc"]).replace("_", "-")
    return f"--{name}: {message}" if name else message


def existing_log(data_dir: Path | None) -> Path:
    """The log file in a data folder. Raises DataFolderError if there is none."""
    folder = settings_from({"data_dir": data_dir}).data_dir
    path = folder / "ledger.db"
    if not path.is_file():
        raise DataFolderError(f"there is no ledger in {folder}: name its folder with --data-dir")
    return path
