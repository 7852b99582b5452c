"""Queries of the tables in this process, with the parameters and the documents of the API."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import orjson

from asset_ledger.api.contract.asset_id import read_asset_id
from asset_ledger.api.contract.assets import COUNT, DELETED, FILTERS, QUERY, SORT
from asset_ledger.api.contract.jobs import (
    COMPARISON,
    JOB_LISTING,
    compared_attempts,
    counted_jobs,
    job_query,
    jobs_per_page,
)
from asset_ledger.api.contract.lineage import DEPTH, DIRECTION
from asset_ledger.api.contract.nodes import NODE_LISTING
from asset_ledger.api.contract.parameters import (
    CURSOR,
    MIN_POSITION,
    PAGE_SIZE,
    Parameter,
    Parameters,
)
from asset_ledger.api.contract.usage import USAGE, usage_query
from asset_ledger.api.sdk.gateway import Document, Query
from asset_ledger.projections.queries.compare import AttemptName
from asset_ledger.projections.queries.job_comparison import STATUSES, comparison_document
from asset_ledger.projections.queries.lineage import lineage_document
from asset_ledger.projections.serving import Projections

_LISTING: Final = Parameters(*FILTERS, DELETED, SORT, PAGE_SIZE, CURSOR, COUNT, QUERY)
_LINEAGE: Final = Parameters(DIRECTION, DEPTH)
_COMPARED: Final = Parameters(*COMPARISON)


def _without_position(parameters: Sequence[Parameter]) -> Parameters:
    """Return the parameters of a read that reflects every event that this process recorded."""
    return Parameters(*(each for each in parameters if each is not MIN_POSITION))


_USAGE: Final = _without_position(USAGE)
_JOBS: Final = _without_position(JOB_LISTING)
_NODES: Final = _without_position(NODE_LISTING)


class TableQueries:
    """The queries of one user. Every method raises ParameterError and CursorError."""

    def __init__(self, projections: Projections, user_id: str) -> None:
        self._tables, self._user_id = projections, user_id

    async def page(self, query: Query, head: int) -> Document:
        """Return `{"assets": [...], "next": "..."}`, with `count` on request.

        With words, the index of words reflects the log up to `head`.
        """
        given, tables = _LISTING.read(query), self._tables
        filters, deleted = _chosen(FILTERS, given), given.get("deleted", "false")
        listed, counted = tables.assets.page, tables.assets.count
        if "query" in given:
            await tables.reach(head, ("search",))
            listed = partial(tables.worded.page, words=given["query"])
            counted = partial(tables.worded.count, words=given["query"])
        page = await listed(
            self._user_id,
            filters=filters,
            sort=given["sort"],
            page_size=given["page_size"],
            cursor=given.get("cursor", ""),
            deleted=deleted,
        )
        found = _page("assets", page.json, page.next)
        if "count" in given:
            number = await counted(self._user_id, filters=filters, deleted=deleted)
            found = {**found, "count": number}
        return found

    async def usage(self, query: Query) -> Document:
        """Return `{"usage": [...], "next": "..."}`."""
        given = _USAGE.read(query)
        page = await self._tables.usage.page(
            usage_query(self._user_id, given),
            page_size=given["page_size"],
            cursor=given.get("cursor", ""),
        )
        return _page("usage", page.json, page.next)

    async def jobs(self, query: Query) -> Document:
        """Return `{"jobs": [...], "next": "..."}`."""
        given, jobs = _JOBS.read(query), self._tables.jobs
        wanted, size = job_query(self._user_id, given), jobs_per_page(given)
        page = await jobs.page(wanted, page_size=size, cursor=given.get("cursor", ""))
        counted = await counted_jobs(jobs, wanted, given.get("count"))
        return {**_page("jobs", page.json, page.next), **counted}

    async def nodes(self, job_id: str, query: Query) -> Document:
        """Return `{"nodes": [...], "next": "..."}` of a job. Raises UnknownJobError."""
        given = _NODES.read(query)
        page = await self._tables.nodes.page(
            self._user_id,
            job_id,
            attempt=given.get("attempt"),
            sort=given["sort"],
            page_size=given["page_size"],
            cursor=given.get("cursor", ""),
        )
        return _page("nodes", page.json, page.next)

    async def compare(self, a: str, b: str, query: Query) -> Document:
        """Return a page of the comparison of two jobs. Raises UnknownJobError."""
        given = _COMPARED.read(query)
        first, second = compared_attempts(given.get("attempt", ()))
        page = await self._tables.comparisons.page(
            self._user_id,
            AttemptName(a, first),
            AttemptName(b, second),
            statuses=given.get("status", STATUSES),
            page_size=given["page_size"],
            cursor=given.get("cursor", ""),
        )
        return _plain(comparison_document(page))

    async def lineage(self, asset_id: str, query: Query) -> Document:
        """Return the sources and derivatives of an asset. Raises UnknownAssetError."""
        given, known_id = _LINEAGE.read(query), read_asset_id(asset_id)
        walk = await self._tables.lineage.of_asset(
            self._user_id, known_id, given["direction"], given["depth"]
        )
        return _plain(lineage_document(known_id, walk))


def _chosen(filters: Sequence[Parameter], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the filters among the parameters of a request."""
    return {each.name: given[each.name] for each in filters if each.name in given}


def _page(name: str, json: bytes, following: str) -> Document:
    return {name: _list(json), "next": following}


def _list(json: bytes) -> list[Any]:
    return list(orjson.loads(b"[%b]" % json))


def _plain(document: Mapping[str, Any]) -> Document:
    """Return a document that may hold fragments of JSON as plain values."""
    return dict(orjson.loads(orjson.dumps(document)))
