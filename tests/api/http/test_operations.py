"""The table of operations: shapes of answers, declared fields, and routes."""

from typing import Any

import pytest

from asset_ledger.api.contract.assets import FIELDS_IN_THE_QUERY, FILTERS, AssetIn
from asset_ledger.api.contract.errors import MethodNotAllowedError, UnknownRouteError
from asset_ledger.api.contract.operations import Operation, operation
from asset_ledger.api.contract.parameters import Parameters
from asset_ledger.api.contract.problems import problem_of
from asset_ledger.api.http.app import OPERATIONS
from asset_ledger.api.http.routes import Routes
from asset_ledger.projections.queries.asset_query import FILTERS as FILTERS_OF_THE_TABLE
from tests.api.running import Answer, Api


def by_name(name: str) -> Operation:
    return next(entry for entry in OPERATIONS if entry.handler.__name__ == name)


def shaped(name: str, answer: Answer) -> Any:
    """Return the JSON of the answer after validating it against the operation's model."""
    shape = by_name(name).answers
    assert shape is not None
    shape.model_validate(answer.json)
    return answer.json


async def test_answers_about_assets_have_the_declared_shape(api: Api) -> None:
    full = await api.upload(
        b"x",
        node_id="n",
        job_id="j",
        tags=["t"],
        duration=2,
        metadata={"a": 1},
        made_at="2020-01-01T00:00:00Z",
    )
    asset = shaped("create_asset", full)
    shaped("create_asset", await api.upload(None, name="f", content_type="folder"))
    shaped("create_asset", await api.upload(b"y", name="d", derived_from=[asset["id"]]))
    path = f"/api/assets/{asset['id']}"

    shaped("get_asset", await api.get(path))
    assert len(shaped("list_assets", await api.get("/api/assets"))["assets"]) == 3
    assert shaped("delete_asset", await api.call("DELETE", path))["deleted_asset_ids"]
    assert len(shaped("get_job_history", await api.get("/api/jobs/j/history"))["events"]) == 2
    assert len(shaped("get_asset_history", await api.get(f"{path}/history"))["events"]) == 2


async def test_answers_to_changes_have_the_declared_shape(api: Api) -> None:
    asset = await api.created(b"x", name="a")
    path = f"/api/assets/{asset['id']}"

    shaped("update_asset", await api.call("PUT", path, json={"data": "y", "duration": 1}))
    shaped("patch_asset", await api.call("PATCH", path, json={"metadata": {"a": 1}, "tags": None}))
    await api.call("DELETE", path)
    listed = await api.get("/api/assets?deleted=any&count=exact&sort=-size")
    assert shaped("list_assets", listed)["count"] == 1
    shaped("restore_asset", await api.call("POST", f"{path}/restore"))
    shaped("get_asset", await api.get("/api/assets/1"))


async def test_proofs_have_the_declared_shape(api: Api) -> None:
    receipt = {"Prefer": "return=receipt"}
    asset = shaped("create_asset", await api.upload(b"x", job_id="j", headers=receipt))

    assert asset["receipt"]["events"]
    shaped("get_asset_proof", await api.get(f"/api/assets/{asset['id']}/proof"))
    shaped("get_job_proof", await api.get("/api/jobs/j/proof"))
    shaped("get_consistency", await api.get("/api/log/proof?first=1&second=2"))


async def test_answers_about_jobs_have_the_declared_shape(api: Api) -> None:
    await api.upload(b"x", job_id="j")
    start = {"workflow_id": "w", "parent_job_id": "p", "parameters": {"steps": [1, 2.5, None]}}

    shaped("start_job", await api.call("POST", "/api/jobs/j/start", json=start))
    shaped("finish_job", await api.call("POST", "/api/jobs/j/finish", json={"status": "failed"}))
    shaped("get_job", await api.get("/api/jobs/j"))
    shaped("compare_jobs", await api.get("/api/jobs/j/compare/j"))
    assert len(shaped("list_events", await api.get("/api/events"))["events"]) == 3
    assert len(shaped("list_jobs", await api.get("/api/jobs"))["jobs"]) == 1
    assert len(shaped("list_job_assets", await api.get("/api/jobs/j/assets"))["assets"]) == 1


@pytest.mark.parametrize("entry", OPERATIONS, ids=lambda entry: f"{entry.method} {entry.paths[0]}")
def test_every_operation_declares_its_summary_errors_and_scope(entry: Operation) -> None:
    assert entry.summary.endswith((".", "all."))
    assert all(problem_of(kind.__new__(kind)).status < 600 for kind in entry.errors)
    changes = entry.writes and entry.handler.__name__ not in (
        "download_assets",
        "prove_assets",
    )  # its body is only a list of ids
    scopes = ("write", "admin") if changes else ("read", "audit", "admin")
    public = ["/health", "/livez", "/readyz", "/metrics", "/openapi.json", "/docs", "/docs/{file}"]
    public += ["/", "/web/{digest}/{file...}"]
    if entry.paths[0].startswith("/api/uploads"):  # a sender of bytes may ask for their offset
        assert entry.scope == (None if entry.method == "OPTIONS" else "write")
    elif entry.paths[0] == "/api/session":  # a token in the body, a cookie, or any scope
        assert entry.scope == ("any" if entry.method == "GET" else None)
    else:
        assert entry.scope in scopes or (entry.scope is None and entry.paths[0] in public)
    assert all(parameter.about for parameter in entry.parameters.all)


def test_the_filters_of_the_api_equal_those_of_the_table() -> None:
    assert {parameter.name for parameter in FILTERS} == set(FILTERS_OF_THE_TABLE)


def test_every_asset_field_is_also_a_query_parameter() -> None:
    assert {parameter.name for parameter in FIELDS_IN_THE_QUERY} == set(AssetIn.model_fields)


def entry(method: Any, path: str, **options: Any) -> Operation:
    async def handler(request: Any) -> None:
        """Do nothing."""

    return operation(method, path, **options)(handler)


def test_literal_routes_win_over_templates_in_any_order() -> None:
    asset, usage, thumb = (
        entry("GET", "/assets/{id}"),
        entry("GET", "/assets/usage"),
        entry("GET", "/assets/{id}/thumb", aliases=["/assets/{id}/small"]),
    )
    name = entry("GET", "/assets/by-name/{name}")
    routes = Routes([asset, thumb, name, usage])

    assert routes.find("GET", "/assets/usage") == (usage, {})
    assert routes.find("HEAD", "/assets/usage/") == (usage, {})
    assert routes.find("GET", "/assets/x") == (asset, {"id": "x"})
    assert routes.find("GET", "/assets/by-name/thumb") == (name, {"name": "thumb"})
    assert routes.find("GET", "/assets/x/thumb/") == (thumb, {"id": "x"})
    assert routes.find("GET", "/assets/a%2Fb/small") == (thumb, {"id": "a/b"})


def test_an_open_ended_route_matches_all_remaining_segments() -> None:
    tile, entries, top = (
        entry("GET", "/log/tile/{tile...}"),
        entry("GET", "/log/tile/entries/{index...}"),
        entry("GET", "/log/{name}"),
    )
    routes = Routes([tile, entries, top])

    assert routes.find("GET", "/log/tile/0/x001/002.p/3") == (tile, {"tile": "0/x001/002.p/3"})
    assert routes.find("GET", "/log/tile/0") == (tile, {"tile": "0"})
    assert routes.find("GET", "/log/tile/entries/x001/002") == (entries, {"index": "x001/002"})
    assert routes.find("GET", "/log/tile") == (top, {"name": "tile"})
    for path in ("/log", "/", "/log/tile//", "/other/tile/0/000"):
        with pytest.raises(UnknownRouteError):
            routes.find("GET", path)


def test_a_route_refuses_another_method_and_lists_the_allowed_methods() -> None:
    routes = Routes([entry("GET", "/a/{id}"), entry("DELETE", "/a/{id}"), entry("POST", "/a")])

    with pytest.raises(MethodNotAllowedError) as refused:
        routes.find("PUT", "/a/1")
    with pytest.raises(UnknownRouteError):
        routes.find("GET", "/a//")  # an id cannot be empty

    assert refused.value.allowed == ("DELETE", "GET", "HEAD")


def test_parameters_have_defaults_without_a_query() -> None:
    parameters = by_name("list_assets").parameters

    assert parameters.read([]) == parameters.defaults == {"sort": "created_at", "page_size": 100}
    assert Parameters().read([]) == {}
