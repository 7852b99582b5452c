"""Run a graph of nodes, each when its inputs are ready, independent nodes at the same time."""

import asyncio
import inspect
from collections import Counter
from collections.abc import Iterable, Mapping
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
    other nodes and is raised. Raises WorkflowError before any node runs: for a circle, for two
    nodes with one id, for an input that is no attribute of its node, for what is no node.
    """
    _check_nodes(graph)
    order = _order(graph)
    _check_ids(order)
    _check_inputs(graph)
    runs: dict[BaseNode, asyncio.Task[Result]] = {}
    try:
        async with asyncio.TaskGroup() as group:
            for node in order:
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


def _check_nodes(graph: Graph) -> None:
    for node, inputs in graph.items():
        for each in (node, *inputs.values()):
            if not isinstance(each, BaseNode):
                raise WorkflowError(f"{each!r} is no node: name nodes, as in {{b: {{'image': a}}}}")


def _order(graph: Graph) -> list[BaseNode]:
    try:
        return list(TopologicalSorter({n: i.values() for n, i in graph.items()}).static_order())
    except CycleError as error:
        circle = " -> ".join(node.id for node in error.args[1])
        raise WorkflowError(f"the nodes depend on each other in a circle: {circle}") from error


def _check_ids(nodes: Iterable[BaseNode]) -> None:
    for node_id, number in Counter(node.id for node in nodes).items():
        if number > 1:
            raise WorkflowError(f"{number} nodes have the id {node_id}: give each its own")


def _check_inputs(graph: Graph) -> None:
    for node, inputs in graph.items():
        for name in inputs:
            if not _has(node, name):
                raise WorkflowError(
                    f"node {node.id} has no input {name}: declare it in {type(node).__name__}"
                )


def _has(node: BaseNode, name: str) -> bool:
    """Return whether a node has an attribute, or its class declares one: `image: bytes`."""
    declared = (inspect.get_annotations(kind) for kind in type(node).__mro__)
    return hasattr(node, name) or any(name in names for names in declared)
