"""Make a large ledger without HTTP: many users, workflows, jobs and nodes.

Promise: the code of the product decides, encodes, hashes and commits the events. Every content
exists. The product builds the tables at its first start.
"""

import asyncio
import uuid
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.progress import Progress

from asset_ledger.ledger.clock import Clock, utc_now
from asset_ledger.ledger.content.local import open_local_contents
from asset_ledger.ledger.content.packs import Packs
from asset_ledger.ledger.content.store import Staged
from asset_ledger.ledger.domain.decisions import NewAsset, create
from asset_ledger.ledger.domain.event import Origin
from asset_ledger.ledger.ids import digest_of, new_asset_id
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.event_log import Appended, Command, EventLog
from asset_ledger.ledger.log.opening import open_identity
from asset_ledger.ledger.log.sqlite import SqliteLog
from asset_ledger.ledger.storage.data_folder import ContentFolder

A_COMMIT: Final = 5_000
JOBS_AT_ONCE: Final = 10
ASSETS_A_JOB: Final = 1_000
NODES: Final = 20
WORKFLOWS: Final = 50
OTHER_USERS: Final = 9
NAMES: Final = {"workflow": "workflow_{:02d}", "node": "node_{:02d}", "job": "job_{:05d}"}


@dataclass(frozen=True, slots=True)
class Contents:
    """The contents that all assets share, their media type, and the ending of their names."""

    staged: Sequence[Staged]
    content_type: str
    suffix: str

    @classmethod
    def of(cls, contents: Iterable[bytes], content_type: str, suffix: str) -> "Contents":
        """Hash small contents."""
        staged = [Staged(digest_of(c), len(c), c, small=c) for c in contents]
        return cls(staged, content_type, suffix)


TEXTS: Final = Contents.of((b"content %d\n" % n for n in range(100)), "text/plain", "txt")


def user_of(n: int) -> str:
    """Return the owner of the n-th asset. One in ten has another owner, with the same job names."""
    return "1" if n % 10 else str(2 + n // 10 % OTHER_USERS)


def job_of(n: int) -> int:
    """Return the job of the n-th asset. Ten jobs alternate, so that their rows are interleaved."""
    at_once = n // (JOBS_AT_ONCE * ASSETS_A_JOB)
    return at_once * JOBS_AT_ONCE + n // 10 % JOBS_AT_ONCE


def names(tag: str, assets: int) -> list[str]:
    """Return at most 50 jobs, nodes or workflows of a ledger of this size, spread evenly."""
    jobs = range(max(assets // ASSETS_A_JOB, JOBS_AT_ONCE))
    every = {"job": jobs, "node": range(NODES), "workflow": range(min(WORKFLOWS, len(jobs)))}[tag]
    return [NAMES[tag].format(n) for n in every[:: max(1, len(every) // 50)]]


def command(n: int, contents: Contents = TEXTS) -> Command:
    """Return the command that creates the n-th asset."""
    content, job = contents.staged[n % len(contents.staged)], job_of(n)
    asset = NewAsset(
        name=f"output_{n:07d}.{contents.suffix}",
        content_type=contents.content_type,
        workflow_id=NAMES["workflow"].format(job % WORKFLOWS),
        node_id=NAMES["node"].format(n % 101 % NODES),
        job_id=NAMES["job"].format(job),
    )
    user = user_of(n)
    events = create(
        asset,
        asset_id=new_asset_id(),
        size=content.size,
        digest=content.digest,
        origin=Origin(by=user, user_id=user),
    )
    return Command(events)


async def pack(folder: Path, log: SqliteLog, contents: Contents) -> None:
    """Store every content before the first event names it."""
    await (await open_local_contents(folder)).close()
    stored = {each.digest: each.small or b"" for each in contents.staged}
    with closing(Packs(ContentFolder(folder))) as packs:
        log.keep_places(packs.append(stored, {}))


def fill(
    folder: Path,
    assets: int,
    progress: Progress,
    contents: Contents = TEXTS,
    clock: Clock = utc_now,
) -> None:
    """Make a ledger with this many assets in an empty folder. Each commit reads `clock` once."""
    codec = Codec()
    folder.mkdir(0o700, parents=True)
    log = SqliteLog(folder / "ledger.db", codec, clock=clock)
    try:
        asyncio.run(pack(folder / "content", log, contents))
        open_identity(log, codec, folder / "checkpoint.key", new_log_id=uuid.uuid4().hex)
        bar = progress.add_task(f"{assets:,} assets", total=assets)
        for first in range(0, assets, A_COMMIT):
            group = [command(n, contents) for n in range(first, min(first + A_COMMIT, assets))]
            record(log, group)
            progress.advance(bar, len(group))
    finally:
        log.close()


def ledger(folder: Path, assets: int, progress: Progress) -> Path:
    """Return the folder of a ledger of this size. Makes it if it does not exist."""
    data_dir = folder / f"ledger-{assets}"
    if not data_dir.exists():
        fill(data_dir, assets, progress)
    return data_dir


def record(log: EventLog, commands: Sequence[Command]) -> None:
    for outcome in log.append(commands, lambda _: None):
        if not isinstance(outcome, Appended):
            raise outcome


@click.command()
@click.argument("folder", type=click.Path(exists=False, path_type=Path))
@click.option("--assets", type=click.IntRange(1), default=1_000_000, show_default=True)
def main(folder: Path, assets: int) -> None:
    """Make a ledger with many assets in FOLDER, which must not exist yet."""
    with Progress(console=Console(stderr=True)) as progress:
        fill(folder, assets, progress)
    click.echo(f"{folder} holds {assets:,} assets; `asset-ledger rebuild` makes its tables")


if __name__ == "__main__":
    main()
