"""The OpenAPI description: complete, consistent with the operations, with valid examples."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asset_ledger.api.contract.examples import EXAMPLES
from asset_ledger.api.contract.openapi import errors_of, openapi
from asset_ledger.api.contract.operations import Operation
from asset_ledger.api.contract.problems import PROBLEMS, problem_of
from asset_ledger.api.http.app import OPERATIONS
from tests.api.calling import caller, serving_with_tokens
from tests.api.running import Api

DESCRIPTION = openapi(OPERATIONS, version="1", authenticated=True)
STATIC = Path(__file__).parents[3] / "api" / "http" / "static"

by_operation = pytest.mark.parametrize(
    "entry", OPERATIONS, ids=lambda entry: f"{entry.method} {entry.paths[0]}"
)


def described(entry: Operation) -> Iterator[Any]:
    """Yield the description of the operation under each of its paths."""
    for path in entry.paths:
        plain = path.replace("...}", "}")
        yield DESCRIPTION["paths"][plain][entry.method.lower()]


def test_every_operation_is_described_once_under_each_of_its_paths() -> None:
    found = [(path, method) for path, item in DESCRIPTION["paths"].items() for method in item]
    declared = [(path, each.method) for each in OPERATIONS for path in each.paths]
    ids = [o["operationId"] for item in DESCRIPTION["paths"].values() for o in item.values()]

    assert sorted(found) == sorted((p.replace("...}", "}"), m.lower()) for p, m in declared)
    assert len(set(ids)) == len(ids)


@by_operation
def test_an_operation_is_described_with_its_parameters_and_errors(entry: Operation) -> None:
    for operation in described(entry):
        named = {p["name"] for p in operation["parameters"] if p["in"] == "query"}
        slugs = {
            slug
            for answer in operation["responses"].values()
            for content in answer.get("content", {}).values()
            for slug in content.get("examples", ())
        }

        shown = [each for each in entry.parameters.all if each.described]
        assert named == {each.name for each in shown} | {e.alias for e in shown if e.alias}
        assert slugs == {_slug(kind) for kind in errors_of(entry)}
        assert all(parameter["description"] for parameter in operation["parameters"])
        assert operation["summary"].endswith(".")


def _slug(kind: Any) -> str:
    return problem_of(kind.__new__(kind)).slug


@by_operation
def test_an_operation_declares_its_scope(entry: Operation) -> None:
    for operation in described(entry):
        scopes = [entry.scope] if entry.scope != "any" else []
        assert operation["security"] == ([{"bearer": scopes}] if entry.scope else [])


def test_no_operation_requires_a_token_without_authentication() -> None:
    local = openapi(OPERATIONS, version="1", authenticated=False)

    security = [o["security"] for item in local["paths"].values() for o in item.values()]
    assert all(not needed or {} in needed for needed in security)


def test_every_reference_resolves() -> None:
    def references(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            yield from ([node["$ref"]] if "$ref" in node else [])
            node = list(node.values())
        if isinstance(node, list):
            for child in node:
                yield from references(child)

    for reference in set(references(DESCRIPTION)):
        _, _, kind, name = reference.split("/")
        assert name in DESCRIPTION["components"][kind], reference


@pytest.mark.parametrize("model", EXAMPLES, ids=lambda model: model.__name__)
def test_an_example_is_valid_and_names_every_field_of_an_answer(model: Any) -> None:
    model.model_validate(EXAMPLES[model])

    if model.__name__.endswith("Out") and model.__name__ != "RecordedOut":
        assert set(EXAMPLES[model]) == set(model.model_fields)


@by_operation
def test_every_body_and_every_answer_has_an_example(entry: Operation) -> None:
    shapes = [entry.answers, *(taken for taken in entry.takes.values() if isinstance(taken, type))]

    assert [shape for shape in shapes if shape is not None and shape not in EXAMPLES] == []


def test_every_problem_has_an_example() -> None:
    examples = DESCRIPTION["components"]["examples"]

    assert {slug: (e["value"]["status"], e["value"]["type"]) for slug, e in examples.items()} == {
        problem.slug: (problem.status, f"urn:asset-ledger:{problem.slug}")
        for problem in PROBLEMS.values()
    }


async def test_the_description_states_whether_tokens_are_required(api: Api, tmp_path: Path) -> None:
    local = (await api.get("/openapi.json")).json
    async with serving_with_tokens(tmp_path / "other") as server:
        guarded = (await server.get("/openapi.json")).json

    listing = [d["paths"]["/api/assets"]["get"]["security"] for d in (local, guarded)]
    assert listing == [[{}, {"bearer": ["read"]}], [{"bearer": ["read"]}]]
    assert local["openapi"] == "3.1.0"


async def test_the_docs_page_may_load_only_its_own_files(api: Api) -> None:
    page = await api.get("/docs")
    policy = page.headers["Content-Security-Policy"]
    files = re.findall(r'(?:src|href)="(/docs/[^"]+)"', page.body.decode())

    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert len(files) == 2
    for file in files:
        answer = await api.get(file)
        assert answer.status == 200
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert (await api.get("/docs/docs.html")).slug == "unknown-route"


@pytest.mark.parametrize("path", [*STATIC.iterdir()], ids=lambda path: path.name)
def test_static_files_name_no_other_server_and_inject_no_markup(path: Path) -> None:
    text = path.read_text("utf-8")

    assert re.findall(r"https?://|innerHTML|insertAdjacentHTML|document\.write|eval\(", text) == []
    assert not re.search(r"<script(?![^>]*src=)|\son\w+=|style=", text)


async def test_the_docs_page_is_public_when_data_needs_a_token(data_dir: Path) -> None:
    async with serving_with_tokens(data_dir) as api:
        assert (await api.get("/docs")).status == 200
        assert (await api.get("/api/assets")).status == 401
        assert (await caller(api).get("/api/assets")).status == 200
