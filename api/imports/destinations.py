"""Destinations of imported assets: a ledger in this process, or the ledger of a server.

Both record the same events. Their `by` is `system` in this process, and the caller of a server.
"""

import asyncio
from base64 import b64encode
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import orjson

from asset_ledger.api.contract.fields import read_as
from asset_ledger.api.contract.headers import OWNER, encode_owner
from asset_ledger.api.contract.imports import NDJSON, PIECE, import_of, read_import
from asset_ledger.api.contract.jobs import JobFinishIn, JobStartIn, job_end, job_start
from asset_ledger.api.imports.errors import reading
from asset_ledger.api.sdk.client import LARGE
from asset_ledger.api.sdk.content import opened
from asset_ledger.api.sdk.form import Body, json_body
from asset_ledger.api.sdk.gateway import Document
from asset_ledger.api.sdk.holder import Call
from asset_ledger.api.sdk.wire import segment
from asset_ledger.ledger.commands.call import CallContext
from asset_ledger.ledger.commands.imports import Imported, Presence, presences
from asset_ledger.ledger.content.store import Staged
from asset_ledger.ledger.domain.ledger import SYSTEM
from asset_ledger.ledger.errors import UnknownJobError
from asset_ledger.ledger.ids import AssetId
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.sqlite_reader import SqliteLogReader
from asset_ledger.ledger.reading.replay import Replay
from asset_ledger.ledger.service import Ledger
from asset_ledger.projections.queries.jobs import JobQueries, job_document


@dataclass(frozen=True, slots=True)
class Sent:
    """An asset to import: the fields of its line, and the file with its content."""

    asset_id: AssetId
    fields: Mapping[str, Any]
    path: Path | None = None


class JobEvent(NamedTuple):
    """A start or an end of a user's job to import, with the fields of its body."""

    user_id: str
    job_id: str
    verb: Literal["start", "finish"]
    fields: Mapping[str, Any]

    def is_in(self, job: Mapping[str, Any]) -> bool:
        """Return whether an attempt in a job's document shows such an event already."""
        name = "started_at" if self.verb == "start" else "finished_at"
        return any(attempt[name] is not None for attempt in job["attempts"])


Present = Callable[[Sequence[AssetId]], Coroutine[Any, Any, Mapping[AssetId, Presence]]]


class Destination(Protocol):
    """A ledger to import assets into."""

    async def present(self, asset_ids: Sequence[AssetId]) -> Mapping[AssetId, Presence]:
        """Return which of at most 256 assets the ledger has, by id."""

    async def add(self, batch: Sequence[Sent]) -> Sequence[Imported]:
        """Record at most 256 assets, each after its folder. Raises SourceError."""

    async def add_job_event(self, event: JobEvent) -> bool:
        """Record a start or an end unless the job has one. Return whether it was recorded.

        Raises RefusedError.
        """


class LocalDestination:
    """A ledger that is open in this process."""

    def __init__(self, ledger: Ledger, jobs: JobQueries) -> None:
        self._ledger, self._jobs = ledger, jobs

    async def present(self, asset_ids: Sequence[AssetId]) -> Mapping[AssetId, Presence]:
        return await self._ledger.imports.present(asset_ids)

    async def add(self, batch: Sequence[Sent]) -> Sequence[Imported]:
        stages = [self._ledger.stage() for _ in batch]
        try:
            imports = []
            for sent, stage in zip(batch, stages, strict=True):
                staged: Staged | None = None
                if sent.path is not None:
                    async for piece in pieces_of(sent.path):
                        await stage.write(piece)
                    staged = await stage.finish()
                imports.append(import_of(read_import(sent.fields), staged, SYSTEM))
            return (await self._ledger.imports.record(SYSTEM, imports)).imported
        finally:
            for stage in stages:
                await stage.discard()

    async def add_job_event(self, event: JobEvent) -> bool:
        with suppress(UnknownJobError):
            row = await self._jobs.find(event.user_id, event.job_id)
            if event.is_in(orjson.loads(row.json)):
                return False
        call, jobs = CallContext(event.user_id, actor=SYSTEM), self._ledger.jobs
        if event.verb == "start":
            start = read_as(JobStartIn, event.fields)
            await jobs.start(call, event.job_id, job_start(start), start)
        else:
            end = read_as(JobFinishIn, event.fields)
            await jobs.finish(call, event.job_id, job_end(end), end)
        return True


class LogFile:
    """The log of a data folder, only read. A server may run."""

    def __init__(self, log_file: Path) -> None:
        self._log_file = log_file

    async def present(self, asset_ids: Sequence[AssetId]) -> Mapping[AssetId, Presence]:
        if not self._log_file.is_file():
            return {}
        with closing(SqliteLogReader(self._log_file)) as log:
            return presences(Replay(log, Codec()), asset_ids)

    async def job(self, user_id: str, job_id: str) -> Document:
        """Return a job's document. Raises UnknownJobError."""
        if not self._log_file.is_file():
            raise UnknownJobError(job_id)
        with closing(SqliteLogReader(self._log_file)) as log:
            return job_document(Replay(log, Codec()).job_record(user_id, job_id))


class DryRun:
    """A destination that records nothing, and returns what an import would record."""

    def __init__(self, source: "LogFile | ServerDestination") -> None:
        self._source, self.present = source, source.present

    async def add(self, batch: Sequence[Sent]) -> Sequence[Imported]:
        known = await self.present([sent.asset_id for sent in batch])
        return [
            Imported(s.asset_id, "filled" if s.asset_id in known else "recorded") for s in batch
        ]

    async def add_job_event(self, event: JobEvent) -> bool:
        with suppress(UnknownJobError):
            return not event.is_in(await self._source.job(event.user_id, event.job_id))
        return True


class ServerDestination:
    """The ledger of a server. `call` sends a request to it, see `api.sdk.holder`."""

    def __init__(self, call: Callable[[Call[Document]], Awaitable[Document]]) -> None:
        self._call = call
        self._one = asyncio.Lock()  # a folder's secret admits one call at a time

    async def present(self, asset_ids: Sequence[AssetId]) -> Mapping[AssetId, Presence]:
        lines = [Sent(each, {"id": each, "dry_run": True}) for each in asset_ids]
        outcomes = {each["id"]: each["outcome"] for each in await self._post(lines)}
        return {each: outcomes[each] for each in asset_ids if outcomes[each] != "unknown"}

    async def add(self, batch: Sequence[Sent]) -> Sequence[Imported]:
        outcomes = await self._post(batch)
        return [Imported(AssetId(each["id"]), each["outcome"], each["reason"]) for each in outcomes]

    async def job(self, user_id: str, job_id: str) -> Document:
        """Return a job's document. Raises UnknownJobError."""
        headers, path = {OWNER: encode_owner(user_id)}, f"/api/jobs/{segment(job_id)}"
        return await self._call(lambda server: server.request("GET", path, headers=headers))

    async def add_job_event(self, event: JobEvent) -> bool:
        headers = {OWNER: encode_owner(event.user_id)}
        path = f"/api/jobs/{segment(event.job_id)}/{event.verb}"
        body = partial(json_body, orjson.dumps(event.fields))
        async with self._one:
            with suppress(UnknownJobError):
                if event.is_in(await self.job(event.user_id, event.job_id)):
                    return False
            await self._call(
                lambda server: server.request("POST", path, headers=headers, body=body)
            )
        return True

    async def _post(self, lines: Sequence[Sent]) -> list[dict[str, Any]]:
        async def body() -> Body:
            return Body({"Content-Type": NDJSON}, _ndjson(lines), LARGE)

        answer = await self._call(lambda server: server.request("POST", "/api/import", body=body))
        outcomes: list[dict[str, Any]] = answer["outcomes"]
        return outcomes


async def _ndjson(lines: Iterable[Sent]) -> AsyncIterator[bytes]:
    for sent in lines:
        yield orjson.dumps(sent.fields) + b"\n"
        if sent.path is None:
            continue
        empty = True
        async for piece in pieces_of(sent.path):
            empty = False
            yield _bytes_line(piece)
        if empty:
            yield _bytes_line(b"")


def _bytes_line(piece: bytes) -> bytes:
    lines = (piece[start : start + PIECE] for start in range(0, max(len(piece), 1), PIECE))
    return b"".join(b'{"bytes":"%b"}\n' % b64encode(line) for line in lines)


async def pieces_of(path: Path) -> AsyncIterator[bytes]:
    """Yield a file's bytes. Raises SourceError if it cannot be read to its end."""
    with reading(path, OSError, ValueError):
        async with opened(path) as content:
            async for piece in content.chunks():
                yield piece
