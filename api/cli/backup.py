"""`asset-ledger backup`: back up a data folder beside its server, list backups, restore one."""

from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import orjson

from asset_ledger.api.cli.options import DATA_DIR, JSON, LOCAL, Backups, existing_log, folder_of
from asset_ledger.api.cli.output import echo

FOUND = 1


_EXISTING = click.argument("dest", type=Backups(exists=True))


@click.group()
def backup() -> None:
    """Back up a data folder, list its backups, restore one, or prune them."""


@backup.command()
@click.argument("dest", type=Backups(exists=False))
@LOCAL
@click.option("--with-key", is_flag=True, help="Also back up the key that signs checkpoints.")
@JSON
@click.pass_context
def create(
    context: click.Context, dest: str, data_dir: Path | None, with_key: bool, as_json: bool
) -> None:
    """Add a backup to DEST: what the last one lacks. A server may run meanwhile.

    DEST is a folder, or in an object store s3://bucket/prefix, gs:// or az://.

    Every content is checked while it is copied. If the command is killed, run it again. Includes
    all users, unencrypted. Exit code 1 when the data folder has lost a content that no backup has.
    """
    from asset_ledger.api.backup.create import create_backup
    from asset_ledger.api.backup.remote import open_backups
    from asset_ledger.api.cli.progress import ProgressBar
    from asset_ledger.ledger.storage.data_folder import DataFolder
    from asset_ledger.ledger.storage.last_backup import note_backup

    folder = existing_log(data_dir, "back it up as docs/scaling.md says (pg_basebackup)").parent
    with closing(ProgressBar()) as progress, open_backups(dest) as backups:
        made, missing = create_backup(folder, backups, progress, with_key=with_key)
    note_backup(DataFolder(folder).last_backup, str(dest), made.events)
    for each in missing:
        echo(orjson.dumps(each._asdict()) if as_json else f"{each.digest} {each.reason}")
    echo(orjson.dumps(made.document()) if as_json else _line(made))
    context.exit(FOUND if missing else 0)


@backup.command("list")
@_EXISTING
@JSON
def list_(dest: str, as_json: bool) -> None:
    """List the backups in DEST, the oldest first."""
    from asset_ledger.api.backup.remote import open_backups

    with open_backups(dest) as backups:
        for made in backups.list():
            echo(orjson.dumps(made.document()) if as_json else _line(made))


@backup.command()
@_EXISTING
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    required=True,
    help="How many of the newest backups stay whole.",
)
@JSON
def prune(dest: str, keep: int, as_json: bool) -> None:
    """Remove from DEST the contents that were collected before the backups to keep.

    Events stay: each backup continues the one before it. Do not run it beside `create`.
    """
    from asset_ledger.api.backup.prune import prune_backups
    from asset_ledger.api.backup.remote import open_backups
    from asset_ledger.api.cli.progress import ProgressBar

    with closing(ProgressBar()) as progress, open_backups(dest) as backups:
        pruned = prune_backups(backups, keep, progress)
    line = f"{pruned.contents:,} contents ({pruned.size:,} bytes) removed"
    echo(orjson.dumps(pruned._asdict()) if as_json else line)


@backup.command()
@_EXISTING
@DATA_DIR
@click.option(
    "--upto",
    metavar="POSITION|TIME",
    help="Restore the events up to this position or time only, to inspect them: read-only.",
)
@click.option(
    "--accept-fork",
    is_flag=True,
    help="Make such a folder writable. Its log records that it left the original history.",
)
@JSON
@click.pass_context
def restore(
    context: click.Context,
    dest: str,
    data_dir: Path | None,
    upto: str | None,
    accept_fork: bool,
    as_json: bool,
) -> None:
    """Restore the newest backup in DEST to the data folder, which has to be empty. Then verify.

    If the command is killed, run it again: it goes on. Exit code 1 when something is wrong.
    """
    folder = folder_of(data_dir)
    found = 0
    if accept_fork and _is_for_inspection(folder):
        _accept(folder, as_json=as_json)
        return
    for report in _restore(dest, folder, _upto(upto)):
        found += "what" in report
        echo(orjson.dumps(report) if as_json else _report_line(report))
    if accept_fork and _is_for_inspection(folder):
        _accept(folder, as_json=as_json)
    context.exit(FOUND if found else 0)


def _restore(dest: str, folder: Path, upto: int | datetime | None) -> Iterator[dict[str, Any]]:
    """Restore and verify. Yield each finding, and the numbers."""
    from asset_ledger.api.backup.remote import open_backups
    from asset_ledger.api.backup.restore import restore_backup
    from asset_ledger.api.cli.progress import ProgressBar
    from asset_ledger.api.cli.verify import reports

    with closing(ProgressBar()) as progress, open_backups(dest) as backups:
        restored = restore_backup(backups, folder, progress, upto)
    for report in reports(folder, [], tables=False):
        if restored.has_key or report.get("table") != "checkpoint.key":
            yield report
    yield {
        "folder": str(folder),
        "restored": restored.events,
        "of": restored.of,
        "has_key": restored.has_key,
    }


def _report_line(report: dict[str, Any]) -> str:
    from asset_ledger.api.cli.verify import line_of

    if "restored" not in report:
        return line_of(report)
    folder, events, of = report["folder"], report["restored"], report["of"]
    line = f"{folder} has {events:,} of {of:,} events"
    if events < of:
        line += ", for inspection: it is read-only until it is restored with --accept-fork"
    if not report["has_key"]:
        line += f"; copy checkpoint.key to {folder}: without it, no checkpoint can be signed"
    return line


def _is_for_inspection(folder: Path) -> bool:
    from asset_ledger.ledger.storage.data_folder import DataFolder

    return DataFolder(folder).inspection.exists() and DataFolder(folder).log.exists()


def _accept(folder: Path, *, as_json: bool) -> None:
    from asset_ledger.ledger.log.inspection import accept_fork
    from asset_ledger.ledger.storage.folder_lock import hold_folder

    with hold_folder(folder):
        position = accept_fork(folder)
    line = f"{folder} is writable; event {position:,} records that it left the original history"
    echo(orjson.dumps({"forked": position}) if as_json else line)


def _upto(text: str | None) -> int | datetime | None:
    from asset_ledger.api.contract.parameters import read_as_of

    if text is None:
        return None
    try:
        return read_as_of(text)
    except ValueError as error:
        raise click.UsageError(f"--upto {text!a} {error}") from error


def _line(made: Any) -> str:
    new = made.events + 1 - made.first
    line = (
        f"{made.number} {made.made_at} {made.events:,} events, {new:,} of them new,"
        f" {made.contents:,} contents ({made.size:,} bytes); root {b64encode(made.root).decode()}"
    )
    return f"{line}; with checkpoint.key" if made.has_key else line
