"""`asset-ledger rebuild`: the tables made anew from the facts, beside those in use."""

from pathlib import Path

import click
import orjson

from api.cli.options import DATA_DIR, JSON, existing_log
from api.cli.skip import skipping

FOUND = 1


@click.command()
@DATA_DIR
@JSON
@skipping
@click.pass_context
def rebuild(context: click.Context, data_dir: Path | None, as_json: bool) -> None:
    """Make the tables anew from the log. The server must be stopped; nothing of the log changes.

    With --skip, a fact that they cannot take is set aside first, for ever.

    Exit code 1 where a projection that is not ours could not be made.
    """
    from api.cli.progress import ProgressBar
    from ledger.codec import Codec
    from ledger.feed import Feed
    from ledger.files import hold_folder
    from ledger.log.sqlite import SqliteLog
    from ledger.opening import read_identity
    from projections.build import rebuild as rebuild_views

    path = existing_log(data_dir)
    with hold_folder(path.parent):
        log, codec = SqliteLog(path, Codec()), Codec()
        progress = ProgressBar("rebuilding")
        try:
            feed = Feed(log, codec, read_identity(log, codec).log_id)
            rebuilt = rebuild_views(path.parent, feed, lambda _, *done: progress(*done))
        finally:
            progress.close()
            log.close()
    if as_json:
        click.echo(orjson.dumps(rebuilt._replace(comparison=None)._asdict()))
    else:
        click.echo(
            f"generation {rebuilt.generation} holds all {rebuilt.position:,} facts; "
            f"its digest is {rebuilt.digest}"
        )
        for name, value in rebuilt.others.items():
            click.echo(f"{name}: its digest is {value}")
    for name, reason in rebuilt.broken.items():
        click.echo(f"asset-ledger: {name} was not made: {reason}", err=True)
    context.exit(FOUND if rebuilt.broken else 0)
