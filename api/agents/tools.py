"""What each tool does: it calls the ledger, and returns an answer of a bounded size."""

from collections import defaultdict
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any, Final, NamedTuple

from asset_ledger.api.agents.answers import MAX_ANSWER, asset_row, chosen, fitted
from asset_ledger.api.agents.arguments import (
    CompareArguments,
    JobArguments,
    LineageArguments,
    ReplayArguments,
    SearchArguments,
    UsageArguments,
)
from asset_ledger.api.sdk.gateway import Document, Gateway
from asset_ledger.api.sdk.wire import query_of, segment

_JOB: Final = (
    *("job_id", "status", "attempt", "workflow_id", "parent_job_id", "started_at", "finished_at"),
    *("assets", "bytes", "error"),
)
_NODE: Final = (
    *("node_id", "status", "runs", "running", "failed", "seconds", "longest", "assets", "bytes"),
    "error",
)
_EVENT: Final = ("position", "time", "topic", "by", "node_id", "asset_id", "attempt")
_GROUP: Final = (
    *("key", "subkey", "count", "bytes", "largest", "first_seen", "last_seen", "runs", "failed"),
    "seconds",
)


_RUNS: Final = ("runs", "failed", "seconds")
"""Fields of a group that say nothing while no run was recorded."""


class Access(NamedTuple):
    """An open ledger, and the address of its console, if a server has it."""

    gateway: Gateway
    console: str | None

    def link(self, path: str) -> dict[str, str]:
        """Return the address of a page of the console as a field."""
        return {} if self.console is None else {"console": f"{self.console}{path}"}


async def search(access: Access, given: SearchArguments) -> str:
    """Return assets that match filters."""

    async def fetch(limit: int) -> Mapping[str, Any]:
        page = await access.gateway.page(_query(given, limit))
        return {"assets": [asset_row(each) for each in page["assets"]], **_next(page)}

    return await fitted(given.limit, fetch)


async def job(access: Access, given: JobArguments) -> str:
    """Return jobs, or one with its nodes."""
    if given.job_id is not None:
        return await _one_job(access, given.job_id, given)

    async def fetch(limit: int) -> Mapping[str, Any]:
        page = await access.gateway.jobs(_query(given, limit))
        return {"jobs": [chosen(each, _JOB) for each in page["jobs"]], **_next(page)}

    return await fitted(given.limit, fetch)


async def _one_job(access: Access, job_id: str, given: JobArguments) -> str:
    found = await access.gateway.job(job_id)
    shown = chosen(found, _JOB) | chosen(found, ["parameters"], 1_000)

    async def fetch(limit: int) -> Mapping[str, Any]:
        query = query_of({"page_size": limit, "cursor": given.cursor or ""})
        page = await access.gateway.nodes(job_id, query)
        nodes = [chosen(each, _NODE) for each in page["nodes"]]
        link = access.link(f"/jobs/{segment(job_id)}")
        return {"job": shown, "nodes": nodes, **_next(page), **link}

    return await fitted(given.limit, fetch)


async def replay(access: Access, given: ReplayArguments) -> str:
    """Return events of a job."""
    history = access.gateway.job_history(given.job_id, given.attempt, given.after)
    events: list[Document] = []
    async with aclosing(history):
        async for event in history:
            data = {"data": chosen(event["data"], event["data"])}
            events.append(chosen(event, _EVENT) | chosen(data, data, 1_000))
            if len(events) > given.limit:
                break

    async def fetch(limit: int) -> Mapping[str, Any]:
        shown, link = events[:limit], access.link(f"/jobs/{segment(given.job_id)}")
        more = {"next_after": shown[-1]["position"]} if len(events) > limit else {}
        return {"events": shown, **more, **link}

    return await fitted(given.limit, fetch)


async def compare(access: Access, given: CompareArguments) -> str:
    """Return where the assets of two jobs differ."""

    async def fetch(limit: int) -> Mapping[str, Any]:
        statuses = ("different", "only_a", "only_b")
        options = {"status": statuses, "page_size": limit, "cursor": given.cursor or ""}
        page = await access.gateway.compare(given.a, given.b, query_of(options))
        known = {name: page[name] for name in ("attempt_a", "attempt_b", "counts")}
        link = access.link(f"/jobs/{segment(given.a)}?view=compare&with={segment(given.b)}")
        return {**known, "rows": [_compared(row) for row in page["rows"]], **_next(page), **link}

    return await fitted(given.limit, fetch)


def _compared(row: Document) -> dict[str, Any]:
    sides = {name: chosen(row[name], ("id", "size", "digest")) for name in "ab" if row[name]}
    return chosen(row, ("status", "node_id", "name", "nth")) | sides


async def usage(access: Access, given: UsageArguments) -> str:
    """Return numbers, bytes and runs by group."""

    async def fetch(limit: int) -> Mapping[str, Any]:
        page = await access.gateway.usage(_query(given, limit))
        about = chosen(given.model_dump(), ("group_by", "created_after", "created_before"))
        rows = [{"key": None, **_group(each)} for each in page["usage"]]
        return {**about, "usage": rows, **_next(page)}

    return await fitted(given.limit, fetch)


def _group(row: Document) -> dict[str, Any]:
    return chosen(row, _GROUP if row["runs"] else [name for name in _GROUP if name not in _RUNS])


async def lineage(access: Access, given: LineageArguments) -> str:
    """Return what an asset was made from, and what was made from it, the nearest first."""
    query = query_of({"direction": given.direction, "depth": given.depth})
    found = await access.gateway.lineage(given.asset_id, query)
    assets = {each["id"]: each for each in found["nodes"]}
    nearest = _nearest(found["root"], found["edges"])

    async def fetch(limit: int) -> Mapping[str, Any]:
        shown = nearest[:limit]
        edges = [[each["from"], each["to"]] for each in found["edges"]]
        return {
            "assets": [asset_row(assets[each]) for each in shown if each in assets],
            "edges_from_to": [edge for edge in edges if {*edge} <= {*shown}],
            "found": len(assets),
            "truncated": found["truncated"] or len(shown) < len(nearest),
            **access.link(f"/?open={found['root']}"),
        }

    return await fitted(min(len(nearest), MAX_ANSWER // 100), fetch)


def _nearest(root: str, edges: list[Document]) -> list[str]:
    """Return the ids of a graph by their distance from the root."""
    beside = defaultdict(list)
    for edge in edges:
        beside[edge["from"]].append(edge["to"])
        beside[edge["to"]].append(edge["from"])
    order = dict.fromkeys([root])
    for each in (ids := [root]):
        new = [other for other in beside[each] if other not in order]
        order.update(dict.fromkeys(new))
        ids += dict.fromkeys(new)
    return list(order)


def _query(
    given: SearchArguments | JobArguments | UsageArguments, limit: int
) -> list[tuple[str, str]]:
    sent = given.model_dump(exclude_none=True) | {"page_size": limit}
    del sent["limit"]
    return query_of(sent)


def _next(page: Document) -> dict[str, Any]:
    return {"next": page["next"]} if page["next"] else {}
