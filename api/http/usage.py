"""Count live assets and their bytes, by node, job, workflow, content type or day."""

from aiohttp import web

from asset_ledger.api.contract.operations import operation
from asset_ledger.api.contract.shapes import UsagePage
from asset_ledger.api.contract.usage import USAGE, usage_query
from asset_ledger.api.http.answers import json_answer, next_link
from asset_ledger.api.http.request import Request


@operation(
    "GET",
    "/api/assets/usage",
    answers=UsagePage,
    scope="read",
    parameters=USAGE,
    projections=("usage", "tables"),
)
async def get_usage(request: Request) -> web.Response:
    """Return each group of live assets: count, bytes, largest size, first and last creation."""
    values = request.parameters
    query = usage_query(request.user_id, values)
    page = await request.projections.usage.page(
        query, page_size=values["page_size"], cursor=values.get("cursor", "")
    )
    parts = (",".join(query.group_by).encode(), page.json, page.next.encode())
    body = b'{"group_by":"%b","usage":[%b],"next":"%b"}' % parts
    return json_answer(body, page.position, headers=next_link(request, page.next))
