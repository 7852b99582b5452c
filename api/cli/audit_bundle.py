"""`asset-ledger audit-bundle`: write a job, its files and its proof as one zip."""

import asyncio
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from asset_ledger.api.cli.options import ATTEMPT, SOURCE, existing_log, hinting_at_user
from asset_ledger.api.cli.output import echo

if TYPE_CHECKING:
    from asset_ledger.api.export.bundle import AssetContent, Read
    from asset_ledger.ledger.errors import FolderLockedError


@click.command("audit-bundle")
@click.argument("job_id")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The zip to write.",
)
@ATTEMPT
@SOURCE
def audit_bundle(
    job_id: str,
    output: Path,
    attempt: int | None,
    data_dir: Path | None,
    url: str | None,
    token: str | None,
    user: str,
) -> None:
    """Write the events of JOB_ID, their proof and their files as a zip.

    The zip has a verify.py, which checks it with Python alone. From a data folder, it has deleted
    files too; a server may run there. With --url, it lacks them. With --attempt, it has only that
    attempt's events, and proves each one, but not that they are all.
    """
    from asset_ledger.api.export.bundle import write_bundle

    if url is None:
        proof, read = _local(data_dir, user, job_id, attempt)
    else:
        proof, read = _remote(url, token, job_id, attempt)
    written = write_bundle(output, job_id, proof, read, attempt)
    echo(f"{output} has {written.events:,} events and {written.files:,} files")
    for digest in written.absent:
        echo(f"left out, because its asset is deleted: {digest}")
    echo(f"signed by {proof['key']}")


def _local(
    data_dir: Path | None, user: str, job_id: str, attempt: int | None
) -> "tuple[Mapping[str, Any], Read]":
    from asset_ledger.ledger.content.offline import pieces_of
    from asset_ledger.ledger.merkle.proof import document
    from asset_ledger.ledger.proofs.offline import prove_job
    from asset_ledger.ledger.storage.data_folder import DataFolder

    files = DataFolder(existing_log(data_dir).parent)

    def read(content: "AssetContent") -> Iterable[bytes]:
        return pieces_of(files.content, content.digest)

    sign = partial(_sign_by_server, files.root)
    with hinting_at_user(user):
        return document(*prove_job(files, user, job_id, sign, attempt)), read


def _sign_by_server(folder: Path, locked: "FolderLockedError") -> str:
    """Have the folder's server sign and store a checkpoint. Return its note."""
    from asset_ledger.api.sdk.holder import call_holder

    return asyncio.run(
        call_holder(folder, locked, lambda server: server.text("/api/log/checkpoint"))
    )


def _remote(
    url: str, token: str | None, job_id: str, attempt: int | None
) -> "tuple[Mapping[str, Any], Read]":
    from asset_ledger.api.cli.remote import Remote
    from asset_ledger.api.sdk.wire import segment

    remote = Remote(url, token)

    def read(content: "AssetContent") -> Iterable[bytes]:
        return remote.content(content.asset_id, content.version)

    return remote.get(f"/api/jobs/{segment(job_id)}/proof", {"attempt": attempt}), read
