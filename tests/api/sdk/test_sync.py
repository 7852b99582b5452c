"""The synchronous SDK has the names of the async one, and waits for its results."""

import asyncio
import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

import pytest

import asset_ledger
from asset_ledger import sync
from asset_ledger.errors import (
    AssetDeletedError,
    EventLoopError,
    FolderLockedError,
    NotConnectedError,
    UnknownAssetError,
)
from asset_ledger.sync import Asset, BaseNode, ProcessingContext, connect, run_node, run_workflow
from tests.api.running import Api

T = TypeVar("T")
Apart = Callable[[Callable[[], Any]], Any]


class Paints(BaseNode):
    _auto_save_asset = True

    async def process(self, context: asset_ledger.ProcessingContext) -> bytes:
        return b"paint"


class Frames(BaseNode):
    picture: bytes

    async def process(self, context: asset_ledger.ProcessingContext) -> asset_ledger.Asset:
        return await context.create_asset("framed", content=b"[" + self.picture + b"]")


@pytest.fixture
def context(tmp_path: Path) -> Iterator[ProcessingContext]:
    with connect(data_dir=tmp_path / "data"):
        yield ProcessingContext(workflow_id="w", job_id="j")


def test_an_asset_is_created_found_read_and_deleted(
    context: ProcessingContext, tmp_path: Path
) -> None:
    asset = context.create_asset("a", "text/plain", b"x" * 200_000, node_id="n", tags=["t"])

    assert (asset.job_id, asset.node_id, asset.tags) == ("j", "n", ("t",))
    assert Asset.get(asset.id) == context.find_asset(asset.id) == asset
    assert asset.content() == b"".join(asset.chunks()) == b"x" * 200_000
    assert asset.save(tmp_path / "a").read_bytes() == b"x" * 200_000
    with context.download(asset) as file:
        assert file.read(3) == b"xxx"
    assert asset.delete() == [asset.id]
    assert [event.topic for event in asset.history()] == ["asset.created", "asset.deleted"]
    with pytest.raises(AssetDeletedError):
        Asset.get(asset.id)


def test_assets_are_listed_in_pages_or_by_iteration(context: ProcessingContext) -> None:
    for number in range(5):
        context.create_asset(f"{number}", content=b"x")

    page, cursor = Asset.paginate(user_id="1", job_id="j", limit=2)
    rest, end = context.paginate_assets(job_id="j", limit=10, cursor=cursor)

    assert [asset.name for asset in (*page, *rest)] == ["0", "1", "2", "3", "4"]
    assert end == ""
    assert [asset.name for asset in Asset.iterate(job_id="j")] == ["0", "1", "2", "3", "4"]


def test_a_content_is_readable_again_after_an_abandoned_iteration(
    context: ProcessingContext,
) -> None:
    asset = context.create_asset("a", content=b"x" * 3_000_000)

    for piece in asset.chunks():
        assert piece
        break

    assert asset.content() == b"x" * 3_000_000


def test_run_node_and_run_workflow_return_their_results(context: ProcessingContext) -> None:
    paints, frames = Paints(id="p"), Frames(id="f")

    result = run_node(paints, context)
    results = run_workflow({frames: {"picture": paints}}, context)

    assert (result.value, result.assets[0].content()) == (b"paint", b"paint")
    assert result.asset_id == result.assets[0].id
    (framed,) = results[frames].assets
    assert framed.content() == b"[paint]"
    assert framed.derived_from == (results[paints].asset_id,)


def test_a_context_records_the_start_and_the_end_of_its_job(context: ProcessingContext) -> None:
    with ProcessingContext(job_id="framed") as job, pytest.raises(UnknownAssetError):
        job.find_asset("nothing")

    assert [event.topic for event in job.history()] == ["job.started", "job.finished"]


def test_a_context_lists_its_nodes_and_records_its_parameters(context: ProcessingContext) -> None:
    class Quiet(BaseNode):
        async def process(self, context: asset_ledger.ProcessingContext) -> None: ...

    with ProcessingContext(job_id="k", parameters={"a": 1}, parent_job_id="p") as job:
        run_node(Quiet(id="n"), job)

    assert [(node.node_id, node.status, node.runs) for node in job.nodes()] == [
        ("n", "completed", 1)
    ]
    first = next(job.history())
    assert (first.data["parameters"], first.data["parent_job_id"]) == ({"a": 1}, "p")


def test_an_installed_ledger_is_used_until_it_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ASSET_LEDGER_URL", raising=False)
    connection = connect(data_dir=tmp_path).install()
    assert Asset.paginate() == ([], "")
    with pytest.raises(FolderLockedError):
        connect(data_dir=tmp_path).install()

    connection.close()

    with pytest.raises(NotConnectedError):
        Asset.paginate()


async def test_the_sync_sdk_works_inside_a_running_event_loop(tmp_path: Path) -> None:
    """As in a notebook."""
    assert asyncio.get_running_loop().is_running()

    with connect(data_dir=tmp_path):
        assert ProcessingContext().create_asset("a", content=b"x").content() == b"x"


def test_the_sync_sdk_has_the_names_and_parameters_of_the_async_one() -> None:
    assert sync.__all__ == asset_ledger.__all__
    for kind in ("Asset", "ProcessingContext", "Connection"):
        async_kind, sync_kind = getattr(asset_ledger, kind), getattr(sync, kind)
        for name, method in inspect.getmembers(async_kind, inspect.isroutine):
            if not name.startswith("_"):
                assert list(inspect.signature(getattr(sync_kind, name)).parameters) == list(
                    inspect.signature(method).parameters
                )


def in_a_thread(call: Callable[[], T]) -> T:
    results: list[T] = []
    thread = Thread(target=lambda: results.append(call()))
    thread.start()
    thread.join()
    return results[0]


def in_a_pool(call: Callable[[], T]) -> T:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


def in_a_thread_of_a_thread(call: Callable[[], T]) -> T:
    return in_a_thread(lambda: in_a_pool(call))


THREADS = pytest.mark.parametrize("apart", [in_a_thread, in_a_pool, in_a_thread_of_a_thread])


def record(name: str) -> list[str]:
    ProcessingContext(job_id="j").create_asset(name, content=b"x")
    return [asset.name for asset in Asset.iterate()]


@THREADS
def test_a_thread_uses_the_ledger_of_the_innermost_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, apart: Apart
) -> None:
    monkeypatch.delenv("ASSET_LEDGER_URL", raising=False)
    with connect(data_dir=tmp_path / "outer"):
        assert apart(lambda: record("a")) == ["a"]
        with connect(data_dir=tmp_path / "inner"):
            assert apart(lambda: record("b")) == ["b"]
        assert apart(lambda: record("c")) == ["a", "c"]
    with pytest.raises(NotConnectedError):
        in_a_pool(lambda: record("d"))


@THREADS
def test_a_thread_of_a_block_does_not_use_the_installed_ledger(
    tmp_path: Path, apart: Apart
) -> None:
    installed = connect(data_dir=tmp_path / "installed").install()
    with connect(data_dir=tmp_path / "block"):
        assert apart(lambda: record("b")) == ["b"]
    assert apart(lambda: record("a")) == ["a"]
    installed.close()


def test_a_thread_with_a_block_of_its_own_uses_that(tmp_path: Path) -> None:
    def work() -> list[str]:
        with connect(data_dir=tmp_path / "own"):
            return record("b") + in_a_pool_of_two_blocks()

    def in_a_pool_of_two_blocks() -> list[str]:
        with pytest.raises(NotConnectedError, match="several threads"):
            in_a_pool(lambda: record("c"))
        return []

    with connect(data_dir=tmp_path / "first"):
        assert in_a_thread(work) == ["b"]
        assert in_a_thread(lambda: record("a")) == ["a"]


def test_a_node_that_starts_a_thread_uses_its_ledger(context: ProcessingContext) -> None:
    class Threaded(BaseNode):
        async def process(self, context: asset_ledger.ProcessingContext) -> list[str]:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(None, record, "a")

    assert run_node(Threaded(id="n"), context).value == ["a"]


SCRIPT = """
from asset_ledger.sync import Asset, connect
connect({url!r}).install()
print(Asset.paginate()[0])
"""


async def test_a_script_without_close_exits_without_a_warning(api: Api) -> None:
    finished = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-W", "always", "-c", SCRIPT.format(url=api.url)],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "[]\n", "")


@pytest.mark.parametrize(
    "call",
    [
        lambda: Asset.paginate(limit=1),
        lambda: list(Asset.iterate(job_id="j")),
        lambda: ProcessingContext().create_asset("a", content=b"x"),
        lambda: run_node(Paints(id="inner"), ProcessingContext()),
    ],
)
def test_a_synchronous_call_in_a_node_is_refused(
    context: ProcessingContext, call: Callable[[], object]
) -> None:
    class Waits(BaseNode):
        async def process(self, context: asset_ledger.ProcessingContext) -> None:
            call()  # which would wait for this node

    with pytest.raises(EventLoopError, match="await the call of the same name"):
        run_node(Waits(id="n"), context)

    assert Asset.paginate() == ([], "")


def test_a_synchronous_call_in_a_thread_of_a_node_works(context: ProcessingContext) -> None:
    class Threaded(BaseNode):
        async def process(self, context: asset_ledger.ProcessingContext) -> int:
            return len((await asyncio.to_thread(Asset.paginate))[0])

    assert run_node(Threaded(id="n"), context).value == 0


FORKING = """
import multiprocessing, os, sys
from asset_ledger import sync
from asset_ledger.errors import EventLoopError

def work():
    try:
        print("assets", len(sync.Asset.paginate()[0]), flush=True)
    except EventLoopError:
        print("refused", flush=True)

door = {sys.argv[1]: sys.argv[2]}
with sync.connect(**door):
    work()
    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join(60)
    print("exit code", child.exitcode, flush=True)
    if os.fork() == 0:
        work()
        sys.exit()  # through the `with` block and the handlers of the exit
    os.wait()
    work()
"""


def in_a_forking_process(*door: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", FORKING, *door],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout.splitlines()


async def test_a_forked_process_asks_the_server_by_itself(api: Api) -> None:
    await api.created()

    lines = await asyncio.to_thread(in_a_forking_process, "url", api.url)

    assert lines == ["assets 1", "assets 1", "exit code 0", "assets 1", "assets 1"]


def test_a_forked_process_cannot_use_the_data_folder_of_its_parent(tmp_path: Path) -> None:
    lines = in_a_forking_process("data_dir", str(tmp_path / "data"))

    assert lines == ["assets 0", "refused", "exit code 0", "refused", "assets 0"]


def test_search_lineage_jobs_and_bulk_deletion(context: ProcessingContext) -> None:
    with context:
        first = context.create_asset("katze.txt", "text/plain", b"1")
        second = context.create_asset("b", content=b"2", derived_from=[first])
    with ProcessingContext(job_id="k") as other:
        other.create_asset("b", content=b"3")

    (found,), _ = Asset.paginate(query="katze")
    (first_job, second_job), _ = sync.Job.paginate()
    compared = sync.Job.get("j").compare(second_job)

    assert (found, found.content()) == (first, b"1")
    assert list(second.lineage(direction="up").assets[:1]) in ([first], [second])
    assert list(sync.Job.iterate(sort="-created_at")) == [second_job, first_job]
    assert compared.first_divergence is not None
    assert compared.first_divergence.a is not None
    assert compared.first_divergence.a.content() in (b"1", b"2")
    assert Asset.count(job_id="j") == 2
    assert set(Asset.delete_matching(2, job_id="j")) == {first.id, second.id}
