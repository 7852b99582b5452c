"""`asset-ledger scrub`: read every content and the log again, and repair contents from a backup."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from asset_ledger.api.cli.options import JSON, LOCAL, Backups, existing_log
from asset_ledger.api.cli.output import echo

if TYPE_CHECKING:
    from asset_ledger.ledger.scrub.notes import Checked, ScrubNotes
    from asset_ledger.ledger.scrub.scrubber import Scrubber

FOUND = 1


@click.command()
@LOCAL
@click.option(
    "--from",
    "backup",
    type=Backups(exists=True),
    help="Repair damaged contents from these backups: a folder, or s3://bucket/prefix.",
)
@click.option(
    "--list", "only_list", is_flag=True, help="List the last check of each part; read nothing."
)
@JSON
@click.pass_context
def scrub(
    context: click.Context,
    data_dir: Path | None,
    backup: str | None,
    only_list: bool,
    as_json: bool,
) -> None:
    """Read every content and the log again, at full speed. Print what is damaged.

    A server may run: it shows the findings and records them as events; without one, the next start
    does. If the command is killed, run it again. Exit code 1 when something is damaged.
    """
    folder = existing_log(data_dir, "PostgreSQL checks its pages itself; use verify").parent
    if only_list and backup:
        raise click.UsageError("--list reads nothing, so --from repairs nothing: leave one out")
    if only_list:
        for check in _checks(folder):
            echo(orjson.dumps(check) if as_json else _check_line(check))
        return
    damaged = 0
    for report in _reports(folder, backup):
        damaged = report.get("damaged", damaged)
        echo(orjson.dumps(report) if as_json else _line(report))
    context.exit(FOUND if damaged else 0)


def _reports(folder: Path, backup: str | None) -> Iterator[dict[str, Any]]:
    """Yield each finding, each repair, and the numbers."""
    from asset_ledger.ledger.scrub.scrubber import Scrubber
    from asset_ledger.ledger.storage.data_folder import DataFolder

    with closing(_notes(folder)) as notes:
        scrubber = Scrubber(DataFolder(folder), notes)
        found: dict[str, Checked] = {}
        for checked in _findings(scrubber):
            found[checked.part.name] = checked
            yield _finding(checked)
        repaired = 0
        for report in _repairs(folder, scrubber, backup, found) if backup and found else ():
            repaired += report["repaired"]
            yield report
        parts, size = notes.totals()
    yield {
        "parts": parts,
        "size": size,
        "repaired": repaired,
        "damaged": len(found) - repaired,
    }


def _checks(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the last check of each part."""
    from asset_ledger.ledger.scrub.notes import time_of

    with closing(_notes(folder)) as notes:
        for name, seconds, cause, what in notes.checks():
            yield {"part": name, "checked_at": time_of(seconds), "cause": cause, "what": what}


def _notes(folder: Path) -> "ScrubNotes":
    from asset_ledger.api.cli.flags import settings_of
    from asset_ledger.api.contract.durations import read_duration
    from asset_ledger.ledger.scrub.notes import ScrubNotes
    from asset_ledger.ledger.storage.data_folder import DataFolder

    files, interval = DataFolder(folder), settings_of(folder).scrub_interval
    seconds = read_duration("30d" if interval == "off" else interval).total_seconds()
    return ScrubNotes(files.scrub, files.log, seconds)


def _findings(scrubber: "Scrubber") -> Iterator["Checked"]:
    """Read everything. Yield each damaged part once."""
    from asset_ledger.api.cli.progress import ProgressBar
    from asset_ledger.ledger.scrub.notes import Checked, LedgerPart
    from asset_ledger.ledger.storage.sqlite import is_fatal

    seen, found, total = 0, set[str](), 0
    with closing(ProgressBar()) as progress:
        try:
            for checked in scrubber.all():
                if checked is None:
                    continue
                total, seen = total or scrubber.notes.totals()[0], seen + 1
                progress("scrubbing", min(seen, total), total)
                if checked.cause is not None and checked.part.name not in found:
                    found.add(checked.part.name)
                    yield checked
        except sqlite3.Error as error:
            if not is_fatal(error):
                raise
            yield Checked(LedgerPart("ledger.db", 0), "unreadable", str(error))


def _repairs(
    folder: Path, scrubber: "Scrubber", backup: str, found: dict[str, "Checked"]
) -> Iterator[dict[str, Any]]:
    from asset_ledger.api.cli.repairing import repair

    parts = [each.part for each in found.values() if each.part.is_content]
    outcomes = asyncio.run(repair(folder, backup, [part.name for part in parts]))
    for part in parts:
        reason = outcomes[part.name]
        if reason is None and (checked := scrubber.read(part)).cause is not None:
            reason = checked.what
        yield {"part": part.name, "repaired": reason is None, "reason": reason}


def _finding(checked: "Checked") -> dict[str, Any]:
    return {"part": checked.part.name, "cause": checked.cause, "what": checked.what}


def _check_line(check: dict[str, Any]) -> str:
    damage = f" {check['cause']}: {check['what']}" if check["cause"] else ""
    return f"{check['checked_at'] or 'not yet'} {check['part']}{damage}"


def _line(report: dict[str, Any]) -> str:
    if "cause" in report:
        return f"{report['part']} {report['cause']}: {report['what']}"
    if "reason" in report:
        outcome = "repaired" if report["repaired"] else f"not repaired: {report['reason']}"
        return f"{report['part']} {outcome}"
    line = f"read {report['parts']:,} parts, {report['size']:,} bytes of contents"
    if report["repaired"]:
        line += f"; {report['repaired']:,} repaired"
    return f"{line}; {report['damaged']:,} damaged"
