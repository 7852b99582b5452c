"""Collect contents that no retained version of an asset names, as an administrator."""

from typing import Any

import orjson
from aiohttp import web

from asset_ledger.api.contract.collection import (
    CollectIn,
    CollectionOut,
    collected_out,
    plan_out,
    read_retention,
)
from asset_ledger.api.contract.fields import read_as
from asset_ledger.api.contract.operations import operation
from asset_ledger.api.http.answers import json_answer
from asset_ledger.api.http.body import read_optional_json
from asset_ledger.api.http.request import Request
from asset_ledger.ledger.commands.collection_plan import Retention
from asset_ledger.ledger.errors import FieldError


@operation(
    "POST", "/api/collection", answers=CollectionOut, scope="admin", takes=CollectIn, statuses=[200]
)
async def collect(request: Request) -> web.Response:
    """List what a collection would remove; or, with `apply`, remove it."""
    sent: dict[str, Any] = read_as(CollectIn, await read_optional_json(request))
    collecting, retention = request.backend.collect, _retention(request, sent)
    if sent["apply"]:
        document = collected_out(await collecting.run(request.principal.user_id, retention))
    else:
        document = plan_out(await collecting.plan(retention))
    headers = {"Cache-Control": "no-store"}
    return json_answer(orjson.dumps(document), request.backend.feed.head(), headers=headers)


def _retention(request: Request, sent: dict[str, Any]) -> Retention:
    settings = request.backend.settings
    versions = sent.get("retain_versions") or settings.retain_versions
    deleted = sent.get("retain_deleted") or settings.retain_deleted
    for name, text in (("retain_versions", versions), ("retain_deleted", deleted)):
        try:
            read_retention(*((text, "0") if name == "retain_versions" else ("all", text)))
        except ValueError as error:
            raise FieldError(name, str(error)) from error
    return read_retention(versions, deleted)
