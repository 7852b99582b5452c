"""A workflow: nodes that feed each other, run at the same time where they can be. No engine."""

import asyncio
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter

from asset_ledger.api.sdk.asset import Asset
from asset_ledger.api.sdk.context import ProcessingContext
from asset_ledger.api.sdk.errors import WorkflowError
from asset_ledger.api.sdk.node import BaseNode, Result, run_node

Graph = Mapping[BaseNode, Mapping[str, BaseNode]]
"""Each node, and from which node each of its inputs comes, by the attribute that it is set on."""


async def run_workflow(graph: Graph, context: ProcessingContext) -> dict[BaseNode, Result]:
    """Run each node once those that feed it are done; what it makes is derived from their assets.

    The first failure cancels the other nodes and is raised. Raises WorkflowError for a circle.
    """
    runs: dict[BaseNode, asyncio.Task[Result]] = {}
    try:
        async with asyncio.TaskGroup() as group:
            for node in _order(graph):
                inputs = {name: runs[source] for name, source in graph.get(node, {}).items()}
                runs[node] = group.create_task(_run(node, inputs, context))
    except BaseExceptionGroup as failures:  # those that waited for it failed with the first
        raise failures.exceptions[0] from None
    return {node: run.result() for node, run in runs.items()}


async def _run(
    node: BaseNode, inputs: Mapping[str, asyncio.Task[Result]], context: ProcessingContext
) -> Result:
    sources: list[Asset] = []
    for name, run in inputs.items():
        result = await run
        setattr(node, name, result.value)
        sources += result.assets
    return await run_node(node, context, derived_from=sources)


def _order(graph: Graph) -> list[BaseNode]:
    try:
        return list(TopologicalSorter({n: i.values() for n, i in graph.items()}).static_order())
    except CycleError as error:
        circle = " -> ".join(node.id for node in error.args[1])
        raise WorkflowError(f"the nodes depend on each other in a circle: {circle}") from error
