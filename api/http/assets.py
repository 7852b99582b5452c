"""Operations on assets: record, list, read, delete.

The path of a page: `list_assets` here, `AssetQueries.page`, `AssetQuery.of` (checks the request),
`page_statement` (the SQL), `AsyncReaders.rows`, `BriefReader.rows`.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import orjson
from aiohttp import web

from asset_ledger.api.contract.assets import (
    FIELDS_IN_THE_QUERY,
    FIELDS_OF_ANY_BODY,
    FILTERS,
    LISTING,
    PURGE,
)
from asset_ledger.api.contract.operations import JSON, operation
from asset_ledger.api.contract.parameters import AS_OF, MAX_PAGE, MIN_POSITION, VERSION, refuse
from asset_ledger.api.contract.shapes import AssetOut, AssetPage, DeletedOut, RecordedOut
from asset_ledger.api.contract.upload import RAW, UPLOADS
from asset_ledger.api.http.answers import (
    VARY,
    answer_json,
    asset_etag,
    json_answer,
    minimal,
    next_link,
    write_answer,
    write_headers,
)
from asset_ledger.api.http.kept import Answer
from asset_ledger.api.http.lines import LINES, lines_answer
from asset_ledger.api.http.proofs import with_receipt
from asset_ledger.api.http.request import Request
from asset_ledger.api.http.searching import search_headers
from asset_ledger.api.http.upload import Upload
from asset_ledger.ledger.commands.collection_plan import Retention
from asset_ledger.ledger.errors import (
    AssetDeletedError,
    DigestMismatchError,
    PreconditionFailedError,
    UnknownAssetError,
    VersionConflictError,
)
from asset_ledger.ledger.log.event_log import Tag
from asset_ledger.ledger.reading.replay import Replay
from asset_ledger.projections.queries.as_of import PastQuery
from asset_ledger.projections.queries.assets import AssetRow
from asset_ledger.projections.queries.pages import Page
from asset_ledger.projections.tables.assets import document_json, home_document

Filters = Mapping[str, Sequence[str]]


@operation(
    "POST",
    "/api/assets",
    answers=RecordedOut,
    errors=[DigestMismatchError],
    scope="write",
    parameters=FIELDS_OF_ANY_BODY,
    takes=UPLOADS,
    statuses=[201, 202],
    headers=["Prefer"],
)
async def create_asset(request: Request) -> web.Response:
    """Record a new asset: a file with its fields, a folder, or metadata without a file."""
    return await _created(request)


@operation(
    "POST",
    "/api/assets/content",
    answers=RecordedOut,
    errors=[DigestMismatchError],
    scope="write",
    parameters=FIELDS_IN_THE_QUERY,
    takes=RAW,
    statuses=[201, 202],
    headers=["Prefer", "Repr-Digest", "Content-Digest"],
)
async def create_asset_from_content(request: Request) -> web.Response:
    """Record a new asset: the body is its content, and its fields are query parameters."""
    return await _created(request, raw=True)


async def _created(request: Request, *, raw: bool = False) -> web.Response:
    proven = request.prefers("return=receipt")
    if proven:  # else a missing key would be an error after the asset was recorded
        await request.proofs.check_key()
    with request.slot():
        async with Upload(request) as upload:
            receipt = await request.ledger.create.asset(
                request.call(), *await upload.receive(raw=raw)
            )
    headers = {
        "Location": f"/api/assets/{receipt.asset.id}",
        "ETag": asset_etag(receipt.asset.version),
        **write_headers(receipt),
    }
    status = 202 if receipt.behind else 201
    if status == 201 and request.prefers("return=minimal"):
        return minimal(receipt.position, status=status, headers=headers)
    body = document_json(receipt.asset).encode()
    if proven:
        body, applied = await with_receipt(request, body, receipt.position)
        headers |= applied
    return json_answer(body, receipt.position, status=status, headers=headers)


@operation(
    "GET",
    "/api/assets",
    answers=AssetPage,
    scope="read",
    parameters=LISTING,
    gives=[JSON, LINES],
    may_be_kept=True,
)
async def list_assets(request: Request) -> web.StreamResponse:
    """List the user's live assets that match every filter: a page, or all of them as NDJSON."""
    return await assets_answer(request)


async def assets_answer(request: Request, **fixed: Sequence[str]) -> web.StreamResponse:
    """Return the assets that the query selects, in the format of `Accept`.

    `fixed` are filters set by the path.
    """
    values, filters = request.parameters, request.filters(FILTERS) | fixed
    position = await request.as_of()
    headers = {VARY: "Accept"} | (await search_headers(request) if "query" in values else {})
    read = partial(_page, request, filters, position)
    if request.accepts(LINES):
        if "count" in values:
            raise refuse("count", "cannot be combined with NDJSON: count the lines")
        return await lines_answer(request, read, headers)
    count = b',"count":%d' % await _count(request, filters, position) if "count" in values else b""
    page = await read(values.get("cursor", ""))  # last: it is large, and a count may wait
    body = b'{"assets":[%b],"next":"%b"%b}' % (page.json, page.next.encode(), count)
    answer = Answer(body, page.position, next_link(request, page.next) | headers)
    if page.is_exact and not count:
        request.keep(answer)
    return answer_json(request, answer)


async def _page(request: Request, filters: Filters, position: int | None, cursor: str) -> Page:
    """Return the page at a cursor. As NDJSON, where all pages are sent, it is as long as can be."""
    size = MAX_PAGE if request.accepts(LINES) else request.parameters["page_size"]
    if position is not None:
        return await _page_as_of(request, filters, position, size, cursor)
    values, projections = request.parameters, request.projections
    listed = projections.assets.page
    if "query" in values:
        listed = partial(projections.worded.page, words=values["query"])
    return await listed(
        request.user_id,
        filters=filters,
        sort=values["sort"],
        page_size=size,
        cursor=cursor,
        deleted=values.get("deleted", "false"),
    )


async def _count(request: Request, filters: Filters, position: int | None) -> int:
    if position is not None:
        raise refuse("count", "cannot be combined with as_of: leave out one of them")
    values, projections = request.parameters, request.projections
    counted = projections.assets.count
    if "query" in values:
        counted = partial(projections.worded.count, words=values["query"])
    return await counted(request.user_id, filters=filters, deleted=values.get("deleted", "false"))


async def _page_as_of(
    request: Request, filters: Filters, position: int, size: int, cursor: str
) -> Page:
    values, user_id = request.parameters, request.user_id
    if "query" in values:
        raise refuse("query", "cannot be combined with as_of: leave out one of them")
    query = PastQuery.of(
        user_id,
        filters,
        values["sort"],
        size,
        cursor,
        values.get("deleted", "false"),
    )
    found, edge = await request.ledger.replay(
        Replay.assets_of_tag,
        Tag(user_id, query.kind, query.value),
        query.after,
        query.size + 1,
        upto=position,
        matches=query.matches,
    )
    return query.page(found, edge, position)


@operation(
    "GET",
    "/api/assets/{id}",
    answers=AssetOut,
    errors=[UnknownAssetError, AssetDeletedError],
    scope="read",
    parameters=[VERSION, MIN_POSITION, AS_OF],
    statuses=[200, 304],
    headers=["If-None-Match"],
    may_be_kept=True,
)
async def get_asset(request: Request) -> web.Response:
    """Return an asset as it is now, or as it was; the user's id names the home folder."""
    if request.path_values["id"] == request.user_id:
        return await _home(request)
    position = await request.as_of()
    if position is not None:
        asset = await request.ledger.replay(
            Replay.asset_as_of, request.user_id, request.asset_id, position
        )
        return json_answer(document_json(asset).encode(), position)
    found = await request.projections.assets.find(request.user_id, request.asset_id)
    version = request.parameters.get("version", found.version)
    if version != found.version:
        found = found._replace(json=await json_of_version(request, found), version=version)
    elif "version" not in request.parameters:
        request.keep(answer_of(found))
    return asset_answer(request, found)


async def _home(request: Request) -> web.Response:
    home = home_document(request.user_id, await request.ledger.replay(Replay.recorded_at, 1))
    return json_answer(orjson.dumps(home), request.projections.position)


def answer_of(row: AssetRow) -> Answer:
    """Return the answer with an asset."""
    return Answer(row.json, row.position, {"ETag": asset_etag(row.version)})


def asset_answer(request: Request, row: AssetRow) -> web.Response:
    """Return an asset, or 304 if the client has this version already."""
    return answer_json(request, answer_of(row))


async def json_of_version(request: Request, found: AssetRow) -> bytes:
    """Return the JSON of an asset at the `version` of the query, by default the current one.

    Raises UnknownVersionError.
    """
    version = request.parameters.get("version", found.version)
    if version == found.version:
        return found.json
    asset = await request.ledger.replay(
        Replay.asset_at_version, request.user_id, request.asset_id, version
    )
    return document_json(asset).encode()


@operation(
    "DELETE",
    "/api/assets/{id}",
    answers=DeletedOut,
    errors=[UnknownAssetError, VersionConflictError, PreconditionFailedError],
    scope="write",
    parameters=[PURGE],
    headers=["If-Match"],
)
async def delete_asset(request: Request) -> web.Response:
    """Delete an asset; a folder with its contents. On a deleted folder: what is left in it."""
    purge = request.parameters.get("purge") == "true"
    if purge:
        request.principal.require("admin")
    with request.slot():
        deletion = await request.ledger.delete.asset(request.call(), request.asset_id)
    if purge:
        await request.projections.reach(await request.ledger.replay(Replay.head))
        found = await request.projections.assets.deleted_with(request.user_id, request.asset_id)
        await request.backend.collect.run(request.principal.user_id, Retention(), frozenset(found))
    body = orjson.dumps({"deleted_asset_ids": list(deletion.ids)})
    return write_answer(body, deletion)
