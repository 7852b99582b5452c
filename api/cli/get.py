"""`asset-ledger get`: write the contents of assets to files."""

import asyncio
from collections.abc import Sequence

import click

from asset_ledger.api.cli.options import JSON, LEDGER, NDJSON, Where
from asset_ledger.api.cli.output import FileOutcomes

STDOUT = "-"


@click.command()
@click.argument("assets", nargs=-1, metavar="ASSET...")
@click.option("--job", "job_id", help="All assets of this job, in their folders.")
@click.option("-o", "--output", help="A file, a folder, or - for standard output (default: .).")
@click.option("--force", is_flag=True, help="Replace files that have other bytes.")
@click.option("--concurrency", type=click.IntRange(1, 64), default=8, show_default=True)
@LEDGER
@JSON
@NDJSON
def get(
    assets: Sequence[str],
    job_id: str | None,
    output: str | None,
    force: bool,
    concurrency: int,
    as_json: bool,
    ndjson: bool,
    where: Where,
) -> None:
    """Write ASSETs, by id or by path from home, to files; a folder with all it contains.

    Names are made safe: none leads out of the folder. Each content is checked against its digest,
    and its file appears once it is complete. A file that has the bytes already stays as it is.

    Exit code 1 if a content was damaged, 2 if a file was not written.
    """
    if bool(assets) == (job_id is not None):
        raise click.UsageError("name the assets, or a job with --job")
    if job_id is not None and output in (None, STDOUT):
        raise click.UsageError("name the folder for the job's assets with -o")
    if output == STDOUT and (as_json or ndjson):
        raise click.UsageError("the contents go to standard output: leave --json and --ndjson out")
    printed = FileOutcomes(as_json=as_json, ndjson=ndjson)
    code = asyncio.run(_get(assets, job_id, output, force, concurrency, printed, where))
    click.get_current_context().exit(code)


async def _get(
    assets: Sequence[str],
    job_id: str | None,
    output: str | None,
    force: bool,
    concurrency: int,
    printed: FileOutcomes,
    where: Where,
) -> int:
    from asset_ledger.api.cli.downloads import Downloads, Naming, print_content
    from asset_ledger.api.cli.ledger import open_ledger

    async with open_ledger(where) as gateway:
        if output == STDOUT:
            return await print_content(gateway, assets)
        naming = Naming(gateway)
        if job_id is not None:
            await naming.add_job(job_id)
        for text in assets:
            await naming.add(text)
        downloads = Downloads(gateway, naming.target(output), force=force, printed=printed)
        await downloads.write(naming.files, concurrency)
        return downloads.exit_code
