"""Run a graph of nodes, each when its inputs are ready, independent nodes at the same time."""

import asyncio
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter

from asset_ledger.api.sdk.asset import Asset
from asset_ledger.api.sdk.context import ProcessingContext
from asset_ledger.api.sdk.errors import WorkflowError
from asset_ledger.api.sdk.node import BaseNode, Result, run_node

Graph = Mapping[BaseNode, Mapping[str, BaseNode]]
"""For each node, its inputs: the name of an attribute, and the node whose value is set on it."""


async def run_workflow(graph: Graph, context: ProcessingContext) -> dict[BaseNode, Result]:
    """Run each node after the nodes of its inputs, and return a result for each node.

    The assets of a node are derived from the assets of its inputs. The first failure cancels the
    other nodes and is raised. Raises WorkflowError for a circle.
    """
    runs: dict[BaseNode, asyncio.Task[Result]] = {}
    try:
        async with asyncio.TaskGroup() as group:
            for node in _order(graph):
                inputs = {name: runs[source] for name, source in graph.get(node, {}).items()}
                runs[node] = group.create_task(_run(node, inputs, context))
    except BaseExceptionGroup as failures:  # the other failures follow from the first
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
