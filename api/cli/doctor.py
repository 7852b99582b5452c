"""`asset-ledger doctor`: check the settings, the folder and the machine of a server."""

from pathlib import Path
from typing import Any

import click
import orjson

from asset_ledger.api.cli.flags import setting, settings_from
from asset_ledger.api.cli.options import JSON
from asset_ledger.api.cli.output import echo
from asset_ledger.api.cli.settings_file import CONFIG, settings_file

FOUND = 1


@click.command()
@CONFIG
@setting("data_dir")
@setting("database_url")
@setting("content_url")
@setting("host")
@setting("port")
@setting("auth")
@JSON
def doctor(config: Path | None, as_json: bool, **flags: Any) -> None:
    """Check the settings, the data folder and this machine. One line each, with what to do.

    Changes nothing; a server may run. Exit code 1 when something has to be done before the server
    works well; a warning alone is 0.
    """
    from asset_ledger.api.cli.checkup import checks

    settings, failed = settings_from(flags, config), False
    for check in checks(settings, settings_file(config)):
        failed |= check.state == "failed"
        line = f"{check.state:8} {check.name:12} {check.what}"
        text = f"{line}: {check.todo}" if check.todo else line
        echo(orjson.dumps(check._asdict()) if as_json else text)
    click.get_current_context().exit(FOUND if failed else 0)
