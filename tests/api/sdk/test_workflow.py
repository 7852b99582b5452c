"""`run_workflow`: inputs, sources, concurrency, failures, and the recorded history."""

import asyncio
import threading
from typing import Any

import pytest

from asset_ledger import (
    Asset,
    BaseNode,
    Gateway,
    Graph,
    ProcessingContext,
    UnknownJobError,
    WorkflowError,
    run_node,
    run_workflow,
)


class Noise(BaseNode):
    _auto_save_asset = True

    async def process(self, context: ProcessingContext) -> bytes:
        return b"noise"


class Blur(BaseNode):
    _auto_save_asset = True
    image: bytes

    async def process(self, context: ProcessingContext) -> dict[str, bytes]:
        return {"soft": self.image + b" blurred", "hard": self.image + b" twice"}


class Sheet(BaseNode):
    left: bytes
    right: dict[str, bytes]

    async def process(self, context: ProcessingContext) -> Asset:
        whole = b"|".join([self.left, *self.right.values()])
        return await context.create_asset("sheet.bin", "application/octet-stream", whole)


def three_nodes() -> tuple[Noise, Blur, Sheet]:
    return Noise(id="noise"), Blur(id="blur"), Sheet(id="sheet")


async def run_three(context: ProcessingContext) -> dict[str, tuple[Asset, ...]]:
    noise, blur, sheet = three_nodes()
    graph: Graph = {sheet: {"left": noise, "right": blur}, blur: {"image": noise}}
    return {node.id: tuple(r.assets) for node, r in (await run_workflow(graph, context)).items()}


async def history(gateway: Gateway) -> list[dict[str, Any]]:
    """Return what a run of the three nodes recorded, with names instead of ids and times."""
    context = ProcessingContext(workflow_id="w", job_id="j", gateway=gateway)
    await run_three(context)
    events = [event async for event in context.history()]
    names = {event.asset_id: event.data["name"] for event in events if "name" in event.data}
    shown = []
    for event in events:
        data = dict(event.data)
        if event.topic.startswith("node."):  # random, and measured
            assert data.pop("run")
            assert data.pop("seconds", 1) >= 0
            data.pop("started_at", None)
        data["derived_from"] = [names[source] for source in data.get("derived_from", ())]
        rest = {name: value for name, value in vars(event).items() if name not in ("time", "data")}
        shown.append({**rest, "asset_id": names.get(event.asset_id), "data": data})
    return shown


async def test_the_assets_of_a_node_are_derived_from_the_assets_of_its_inputs(
    context: ProcessingContext,
) -> None:
    made = await run_three(context)

    (noise,), (soft, hard), (sheet,) = made["noise"], made["blur"], made["sheet"]
    assert noise.derived_from == ()
    assert soft.derived_from == hard.derived_from == (noise.id,)
    assert sheet.derived_from == (noise.id, soft.id, hard.id)
    assert await sheet.content() == b"noise|noise blurred|noise twice"
    assert [asset.node_id for asset in (noise, soft, hard, sheet)] == [
        "noise",
        "blur",
        "blur",
        "sheet",
    ]


async def test_both_gateways_record_the_same_history(embedded: Gateway, remote: Gateway) -> None:
    assert await history(embedded) == await history(remote)


async def test_independent_nodes_run_at_the_same_time(
    context: ProcessingContext,
) -> None:
    both_running = asyncio.Barrier(2)

    class Meets(BaseNode):
        async def process(self, context: ProcessingContext) -> None:
            async with asyncio.timeout(30):
                await both_running.wait()

    results = await run_workflow({Meets(): {}, Meets(): {}}, context)

    assert len(results) == 2


async def test_concurrent_nodes_record_their_own_node_ids(context: ProcessingContext) -> None:
    class Makes(BaseNode):
        async def process(self, context: ProcessingContext) -> Asset:
            return await context.create_asset("a", content=self.id.encode())

    nodes = [Makes(id=f"n{number}") for number in range(20)]

    results = await run_workflow({node: {} for node in nodes}, context)

    assert [results[node].value.node_id for node in nodes] == [node.id for node in nodes]


async def test_the_first_failure_cancels_the_other_nodes_and_is_raised(
    context: ProcessingContext,
) -> None:
    cancelled = []

    class Fails(BaseNode):
        async def process(self, context: ProcessingContext) -> None:
            raise ZeroDivisionError("nothing to divide by")

    class Waits(BaseNode):
        x: object

        async def process(self, context: ProcessingContext) -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(self.id)
                raise

    fails, never = Fails(), Waits(id="never")

    with pytest.raises(ZeroDivisionError, match="nothing to divide by"):
        await run_workflow({fails: {}, Waits(id="waits"): {}, never: {"x": fails}}, context)

    assert cancelled == ["waits"]


async def test_a_circle_of_nodes_is_refused_before_any_node_runs(
    context: ProcessingContext,
) -> None:
    one, two = Blur(id="one"), Blur(id="two")

    with pytest.raises(WorkflowError, match=r"one -> two|two -> one"):
        await run_workflow({one: {"image": two}, two: {"image": one}}, context)


class Sync(BaseNode):
    _auto_save_asset = True
    other: bytes

    def process(self, context: ProcessingContext) -> bytes:  # type: ignore[override]
        return threading.current_thread().name.encode()


async def test_a_process_without_async_runs_in_a_thread(context: ProcessingContext) -> None:
    node = Sync(id="sync")

    results = await run_workflow({node: {"other": Noise(id="noise")}}, context)

    assert results[node].value != threading.current_thread().name.encode()
    assert [asset.node_id for asset in results[node].assets] == ["sync"]
    assert node.other == b"noise"


async def test_an_asset_of_a_process_without_async_has_its_node(
    context: ProcessingContext,
) -> None:
    class Returns(BaseNode):
        def process(self, context: ProcessingContext) -> Any:
            return context.create_asset("a", content=b"x")  # a coroutine, which is awaited

    assert (await run_node(Returns(id="n"), context)).assets[0].node_id == "n"


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (lambda a, b: {b: {"imaeg": a}}, "node blur has no input imaeg: declare it in Blur"),
        (lambda a, b: {Noise(id="blur"): {}, b: {"image": a}}, "2 nodes have the id blur"),
        (lambda a, b: {b: {"image": b}}, "in a circle"),
        (lambda a, b: {b: {"image": "noise"}}, "'noise' is no node: name nodes"),
        (lambda a, b: {"blur": {"image": a}}, "'blur' is no node: name nodes"),
    ],
)
async def test_a_wrong_graph_is_refused_before_any_node_runs(
    context: ProcessingContext, graph: Any, message: str
) -> None:
    with pytest.raises(WorkflowError, match=message):
        await run_workflow(graph(Noise(id="noise"), Blur(id="blur")), context)

    with pytest.raises(UnknownJobError):
        _ = [event async for event in context.history()]
