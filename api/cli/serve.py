"""`asset-ledger serve`: run the HTTP server of a data folder."""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from asset_ledger.api.cli.flags import setting, settings_from
from asset_ledger.api.cli.output import echo
from asset_ledger.api.cli.settings_file import CONFIG
from asset_ledger.api.contract.durations import read_duration
from asset_ledger.api.environment import misspelt
from asset_ledger.api.settings import Settings

if TYPE_CHECKING:
    from asset_ledger.api.backend import Backend
    from asset_ledger.api.serving import Listening

logger: Final = logging.getLogger(__name__)


@click.command()
@CONFIG
@setting("host")
@setting("port")
@setting("s3_port")
@setting("s3_host")
@setting("data_dir")
@setting("database_url")
@setting("content_url")
@setting("processes")
@setting("auth")
@setting("jwt_key")
@setting("jwt_jwks")
@setting("jwt_issuer")
@setting("jwt_audience")
@setting("rate_limit")
@setting("cors_origins")
@setting("max_upload_bytes")
@setting("upload_lifetime")
@setting("queue_size")
@setting("queue_wait")
@setting("read_deadline")
@setting("max_connections")
@setting("idle_timeout")
@setting("stall_timeout")
@setting("stop_delay")
@setting("min_rate")
@setting("body_memory")
@setting("unread_memory")
@setting("retain_versions")
@setting("retain_deleted")
@setting("gc_interval")
@setting("scrub_interval")
@setting("hook_addresses")
@setting("lineage_url")
@setting("lineage_token")
@setting("committer")
@setting("committer_silence")
@setting("job_silence")
@setting("lenient_queries")
@setting("log_level")
@setting("log_format")
@setting("log_requests")
def serve(config: Path | None, **flags: Any) -> None:
    """Serve a ledger over HTTP. Ctrl-C or SIGTERM stops it; SIGKILL loses no write."""
    import uvloop

    from asset_ledger.api.logs import configure
    from asset_ledger.api.workers.own_process import tune

    tune()
    settings = settings_from(flags, config)
    configure(settings.log_level, settings.log_format)
    for name, nearest in misspelt(os.environ):
        logger.warning("%s is not a setting and is ignored; did you mean %s?", name, nearest)
    if settings.processes > 1:
        uvloop.run(_serve_by_many(settings))
    else:
        uvloop.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    from asset_ledger.api.cli.progress import progress_of_a_start
    from asset_ledger.api.workers.committer_process import spawned
    from asset_ledger.ledger.storage.descriptors import raise_limit

    raise_limit()
    progress = progress_of_a_start()
    async with spawned(settings, progress) as worker:
        from asset_ledger.api.serving import reserve, run

        sockets = reserve(settings)

        def ready(backend: "Backend") -> None:
            progress.close()
            backend.lock.announce(sockets.address)
            _report(settings, sockets)

        await run(settings, sockets, progress, ready, worker)


async def _serve_by_many(settings: Settings) -> None:
    from asset_ledger.api.cli.progress import progress_of_a_start
    from asset_ledger.api.processes import Processes
    from asset_ledger.api.serving import reserve
    from asset_ledger.ledger.storage.folder_lock import hold_folder

    progress, sockets = progress_of_a_start(), reserve(settings)
    with hold_folder(settings.data_dir) as lock:

        def ready(number: int, pid: int) -> None:
            if number == 1:
                progress.close()
                lock.keep()
                lock.announce(sockets.address)
                _report(settings, sockets)
            echo(f"process {number} of {settings.processes} is ready: pid {pid}")

        clean = await Processes(settings, sockets, progress, ready).run()
    if not clean:
        raise click.ClickException("not every process ended by itself: see its log")


def _report(settings: Settings, sockets: "Listening") -> None:
    from asset_ledger.api.engine import engine_of

    if settings.database is not None:
        location = engine_of(settings.data_dir, settings.database).location()
        logger.info("the ledger is in the %s", location)
    if not read_duration(settings.retain_deleted):
        echo("retain_deleted is 0: a collected asset cannot be restored", err=True)
    echo(f"asset-ledger serves {sockets.address}")
    for address in sockets.s3_addresses:
        echo(f"S3 clients find it at {address}")
