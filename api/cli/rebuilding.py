"""A rebuild of the tables, in a data folder or by the server that has it: both show progress, and
return the same document."""

import asyncio
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from asset_ledger.api.cli.administer import ServerCall, administer, ask, ask_holder
from asset_ledger.api.cli.opening import existing_engine
from asset_ledger.api.cli.progress import ProgressBar
from asset_ledger.api.engine import Engine
from asset_ledger.api.workers.second_rebuild_worker import start_second_for
from asset_ledger.ledger.errors import FolderLockedError, GenerationError, RebuildError
from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.sqlite import SqliteLog
from asset_ledger.ledger.progress import Progress
from asset_ledger.ledger.reading.feed import Feed
from asset_ledger.ledger.storage.data_folder import DataFolder
from asset_ledger.ledger.storage.folder_lock import hold_build_lock, hold_folder
from asset_ledger.projections.rebuild.build import build, rebuild, roll_back
from asset_ledger.projections.rebuild.second_worker import StartSecond
from asset_ledger.projections.runtime.store import TableStore, next_number
from asset_ledger.projections.runtime.table_files import TableFiles

POLL: Final = 0.5
"""Seconds between two requests for the progress of a server's rebuild."""
PAUSE: Final = 0.05
"""Seconds between two looks at the progress of a rebuild in this process."""

Ask = Callable[[ServerCall], dict[str, Any]]

_PATH: Final = "/api/projections"


class RebuildRequest(NamedTuple):
    """What kind of rebuild to run."""

    dry_run: bool = False
    rollback: bool = False


def make(
    data_dir: Path | None, url: str | None, token: str | None, request: RebuildRequest
) -> dict[str, Any]:
    """Rebuild at a server's address, or in the data folder or database, or by the folder's server.
    Return the result. Raises RebuildError, GenerationError, and the errors of a build."""
    if url is not None:
        return _follow(partial(ask, url, token), request)
    engine = existing_engine(data_dir)
    try:
        if engine.database is not None:
            return asyncio.run(_in_database(engine.folder, request))
        with hold_folder(engine.folder), hold_build_lock(engine.folder) as lock:
            return _in_folder(engine.folder, request, start_second_for(engine, lock))
    except FolderLockedError as locked:
        return _follow(partial(ask_holder, engine.folder, locked=locked), request)


def cancel(data_dir: Path | None, url: str | None, token: str | None) -> dict[str, Any]:
    """Cancel a server's rebuild; return its status. Raises GenerationError if none runs."""
    call = ServerCall("POST", f"{_PATH}/cancel")
    if url is not None:
        return ask(url, token, call)
    return administer(existing_engine(data_dir), call, _nothing_to_cancel)


def _nothing_to_cancel(_: Engine) -> dict[str, Any]:
    raise GenerationError("no server has this folder, so no rebuild is running")


def _in_folder(folder: Path, request: RebuildRequest, start_second: StartSecond) -> dict[str, Any]:
    codec = Codec()
    with (
        closing(SqliteLog(DataFolder(folder).log, codec)) as log,
        closing(ProgressBar()) as progress,
    ):
        feed = Feed.of_log(log, codec)
        return _made(TableFiles(folder), feed, request, progress, start_second)


async def _in_database(folder: Path, request: RebuildRequest) -> dict[str, Any]:
    """Rebuild beside the servers of the database, as one of them would."""
    from asset_ledger.api.backend import open_backend
    from asset_ledger.api.cli.flags import settings_of

    async with open_backend(settings_of(folder)) as backend:
        rebuilds = backend.rebuilds
        if request.rollback:
            building = await rebuilds.roll_back()
        else:
            building = rebuilds.start(dry_run=request.dry_run)
        with closing(ProgressBar()) as progress:
            while (ended := rebuilds.last) is None:
                progress(building.state, building.position, building.target)
                await asyncio.sleep(PAUSE)
    if ended.error is not None:
        raise RebuildError(f"rebuild {ended.result}: {ended.error}")
    return {**ended.built, "generation": building.generation, "result": ended.result}


def _made(
    tables: TableStore,
    feed: Feed,
    request: RebuildRequest,
    progress: Progress,
    start_second: StartSecond,
) -> dict[str, Any]:
    if request.rollback:
        return {"generation": roll_back(tables, feed, progress), "result": "switched"}
    if not request.dry_run:
        return {**rebuild(tables, feed, progress, start_second).document(), "result": "switched"}
    number = next_number(tables)
    try:
        built = build(tables, number, feed, progress, start_second)
        return {**built.document(), "result": "discarded"}
    finally:
        tables.remove(number)


def _follow(ask_server: Ask, request: RebuildRequest) -> dict[str, Any]:
    """Start a server's rebuild, wait for its end and return its result. Raises RebuildError."""
    call = ServerCall("POST", f"{_PATH}/rebuild", {"dry_run": request.dry_run})
    if request.rollback:
        call = ServerCall("POST", f"{_PATH}/rollback")
    begun = ask_server(call)["building"]
    if RebuildRequest(begun["dry_run"], begun["rollback"]) != request:
        raise RebuildError("the server runs another rebuild already: wait for it, or use --cancel")
    with closing(ProgressBar()) as progress:
        ended = _ended(ask_server, begun["started_at"], progress)
    if ended["result"] in ("failed", "cancelled"):
        raise RebuildError(f"rebuild {ended['result']}: {ended['error'] or 'by another request'}")
    compared = None
    if not request.rollback:
        compared = ask_server(ServerCall("GET", f"{_PATH}/diff"))["compared"]
    return {**ended, "comparison": compared}


def _ended(ask_server: Ask, started_at: str, progress: Progress) -> dict[str, Any]:
    while True:
        status = ask_server(ServerCall("GET", _PATH))
        last, building = status["last"], status["building"]
        if last is not None and last["started_at"] == started_at:
            return dict(last)
        if building is None or building["started_at"] != started_at:
            raise RebuildError("the server was restarted, which ended the rebuild: run it again")
        progress(building["state"], building["position"], building["target"])
        time.sleep(POLL)
