"""The options that commands share, and what they are turned into.

Every command imports this, so it imports no settings: pydantic takes longer than a command.
"""

from pathlib import Path
from typing import Final

import click

from ledger.errors import DataFolderError

DEFAULT_FOLDER: Final = Path("data")
"""What the settings say as well."""

DATA_DIR: Final = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="ASSET_LEDGER_DATA_DIR",
    help="The data folder (default: ./data).",
)
URL: Final = click.option("--url", help="Ask the server at this address instead.")
TOKEN: Final = click.option("--token", envvar="ASSET_LEDGER_TOKEN", help="What the server wants.")
JSON: Final = click.option("--json", "as_json", is_flag=True, help="JSON for machines.")
USER: Final = click.option("--user", default="1", show_default=True, help="Whose facts.")


def folder_of(data_dir: Path | None) -> Path:
    """The data folder that was named, else the default one."""
    return DEFAULT_FOLDER if data_dir is None else data_dir


def existing_log(data_dir: Path | None) -> Path:
    """The log file in a data folder. Raises DataFolderError if there is none."""
    folder = folder_of(data_dir)
    path = folder / "ledger.db"
    if not path.is_file():
        raise DataFolderError(f"there is no ledger in {folder}: name its folder with --data-dir")
    return path
