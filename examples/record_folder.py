"""Record a folder: every file becomes an asset with its path, kind and job.

    python examples/record_folder.py /usr/share/doc --job monday

The workflow is the folder, the job is this run, the node is the suffix of the file. Promise: a
second run with the same --job records only new and changed files, because the Idempotency-Key is
made of the job, the path and the bytes.
"""

import asyncio
import base64
import hashlib
import mimetypes
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path

import aiohttp
import click
from aiohttp.payload import BufferedReaderPayload
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

CONSOLE = Console(stderr=True)
NEW, KNOWN, MISSED = "new", "known before", "not recorded"


@dataclass
class Run:
    """One job: its folder, its ledger, and the number of files of each outcome."""

    folder: Path
    job: str
    url: str
    session: aiohttp.ClientSession
    outcomes: Counter[str] = field(default_factory=Counter)

    async def record(self, concurrency: int) -> None:
        """Upload the folder, `concurrency` files at a time."""
        files = await asyncio.to_thread(self._files)
        columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=CONSOLE, disable=not CONSOLE.is_terminal) as progress:
            bar, waiting = progress.add_task("", total=len(files)), iter(files)

            async def upload_next() -> None:
                for path in waiting:
                    self.outcomes[await self._outcome(path)] += 1
                    progress.advance(bar)

            await asyncio.gather(*(upload_next() for _ in range(concurrency)))

    def _files(self) -> list[Path]:
        """Return the regular files of the folder, at any depth."""
        return [
            path
            for parent, _, names in os.walk(self.folder, onerror=self._unlisted)
            for name in names
            if (path := Path(parent, name)).is_file() and not path.is_symlink()
        ]

    async def _outcome(self, path: Path) -> str:
        try:
            with await asyncio.to_thread(path.open, "rb") as file:
                return await self._upload(path, file)
        except aiohttp.ClientError:
            raise  # some are OSErrors too; the ledger failed, not the file
        except OSError as error:
            return self._missed(path, error.strerror)

    async def _upload(self, path: Path, file: BufferedReader) -> str:
        digest = (await asyncio.to_thread(hashlib.file_digest, file, "sha256")).digest()
        file.seek(0)
        name, node = _text(path.relative_to(self.folder)), _text(path.suffix).lower()[1:]
        fields = {
            "name": name,
            "content_type": mimetypes.guess_type(name)[0] or "application/octet-stream",
            "workflow_id": _text(self.folder),
            "node_id": node or "no suffix",
            "job_id": self.job,
        }
        key = "\0".join([self.job, name, digest.hex()]).encode()
        headers = {
            "Idempotency-Key": hashlib.sha256(key).hexdigest(),
            "Repr-Digest": f"sha-256=:{base64.b64encode(digest).decode()}:",
            "Prefer": "return=minimal",
        }
        # Without this type, the server would read a JSON file as the fields.
        body = BufferedReaderPayload(file, filename=None, content_type="application/octet-stream")
        request = self.session.post(self.url, params=fields, headers=headers, data=body)
        async with request as answer:
            if not answer.ok:
                return self._missed(path, (await answer.json(content_type=None))["detail"])
            return KNOWN if "Idempotency-Replayed" in answer.headers else NEW

    def _missed(self, path: str | Path, reason: str | None) -> str:
        """Print why a file is not recorded."""
        CONSOLE.print(f"{MISSED}: {_text(path)}: {reason}", markup=False, soft_wrap=True)
        return MISSED

    def _unlisted(self, error: OSError) -> None:
        self.outcomes[self._missed(error.filename, error.strerror)] += 1

    async def print_nodes(self, shown: int = 10) -> None:
        """Print the files and bytes of each node, from the list of the ledger."""
        files, sizes = Counter[str](), Counter[str]()
        query = {"job_id": self.job, "page_size": "1000", "cursor": ""}
        while True:
            async with self.session.get(self.url, params=query) as answer:
                answer.raise_for_status()
                page = await answer.json()
            for asset in page["assets"]:
                files[asset["node_id"]] += 1
                sizes[asset["node_id"]] += asset["size"]
            if not page["next"]:
                break
            query["cursor"] = page["next"]
        line = "{:<16}{:>10,} files{:>12}".format
        for node, count in files.most_common(shown):
            print(line(node, count, decimal(sizes[node])))
        print(line(f"all {len(files):,} nodes", files.total(), decimal(sizes.total())))


def _text(path: str | Path) -> str:
    """Return a path as text. Bytes that are not UTF-8 are replaced."""
    return os.fsencode(path).decode(errors="replace")


async def record_folder(folder: Path, url: str, job: str, concurrency: int) -> bool:
    """Record a folder and print a summary. Returns whether every file is recorded."""
    began, patience = time.perf_counter(), aiohttp.ClientTimeout(total=None, sock_connect=10)
    async with aiohttp.ClientSession(timeout=patience) as session:
        run = Run(folder, job, f"{url}/api/assets", session)
        await run.record(concurrency)
        outcomes = ", ".join(f"{run.outcomes[how]:,} {how}" for how in (NEW, KNOWN, MISSED))
        print(f"job {job}: {outcomes}, in {time.perf_counter() - began:.1f} s")
        await run.print_nodes()
    return not run.outcomes[MISSED]


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, resolve_path=True))
@click.option("--url", default="http://127.0.0.1:7777", show_default=True, help="The ledger.")
@click.option("--job", default=time.strftime("run-%Y%m%d-%H%M%S"), help="The name of this run.")
@click.option("--concurrency", type=click.IntRange(1, 100), default=16, show_default=True)
def main(folder: str, url: str, job: str, concurrency: int) -> None:
    """Record every file of FOLDER. With the same --job again, only new and changed files."""
    try:
        complete = asyncio.run(record_folder(Path(folder), url, job, concurrency))
    except aiohttp.ClientError as error:
        raise click.ClickException(f"cannot reach the ledger at {url}: {error}") from error
    sys.exit(not complete)


if __name__ == "__main__":
    main()
