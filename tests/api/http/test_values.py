"""Suggestions: the most frequent values of a field."""

from pathlib import Path
from typing import Any

import pytest

from tests.api.calling import caller, serving_with_tokens
from tests.api.http.test_operations import shaped
from tests.api.running import Api

ASSETS: Any = [
    {"name": "a.png", "node_id": "draw", "job_id": "j1", "tags": ["red", "pet"]},
    {"name": "a.png", "node_id": "draw", "job_id": "j2", "tags": ["red"], "workflow_id": "w"},
    {"name": "b.txt", "node_id": "drawer", "job_id": "j2", "content_type": "text/plain"},
    {"name": "ü%_.txt", "node_id": "scale", "content_type": "text/plain"},
    {"name": "gone", "node_id": "gone", "tags": ["gone"], "job_id": "gone"},
]


@pytest.fixture
async def made(api: Api) -> None:
    assets = [await api.created(b"x", **fields) for fields in ASSETS]
    await api.call("DELETE", f"/api/assets/{assets[-1]['id']}")


async def values(api: Api, parameters: str) -> list[tuple[str, int]]:
    answer = await api.get(f"/api/assets/values?{parameters}&min_position={api.head()}")
    assert answer.status == 200, answer.body
    found = shaped("list_values", answer)["values"]
    return [(each["value"], each["count"]) for each in found]


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ("field=node_id", [("draw", 2), ("drawer", 1), ("scale", 1)]),
        ("field=node_id&prefix=draw", [("draw", 2), ("drawer", 1)]),
        ("field=node_id&limit=1", [("draw", 2)]),
        ("field=job_id", [("j2", 2), ("j1", 1)]),
        ("field=workflow_id&prefix=w", [("w", 1)]),
        ("field=content_type&prefix=text/", [("text/plain", 2)]),
        ("field=tag", [("red", 2), ("pet", 1)]),
        ("field=tag&prefix=p", [("pet", 1)]),
        ("field=name", [("a.png", 2), ("b.txt", 1), ("ü%_.txt", 1)]),
        ("field=name&prefix=%C3%BC%25_", [("ü%_.txt", 1)]),
        ("field=name&prefix=A", []),
        ("field=node_id&job_id=j2", [("draw", 1), ("drawer", 1)]),
        ("field=name&node_id=draw&tag=pet", [("a.png", 1)]),
        ("field=job_id&missing=job_id", []),
        ("field=tag&workflow_id=w&prefix=r", [("red", 1)]),
    ],
)
async def test_values_of_a_field_are_counted_and_most_frequent_first(
    api: Api, parameters: str, expected: list[tuple[str, int]]
) -> None:
    assert await values(api, parameters) == expected


@pytest.mark.parametrize(
    "parameters", ["field=size", "prefix=", "limit=0", "limit=101", "size_min=x", "page_size=1"]
)
async def test_invalid_parameters_are_refused(api: Api, parameters: str) -> None:
    assert (await api.get(f"/api/assets/values?{parameters}")).slug == "bad-parameter"


@pytest.mark.parametrize("field", ["node_id", "name", "tag"])
async def test_values_of_another_user_are_not_counted(opened_data_dir: Path, field: str) -> None:
    async with serving_with_tokens(opened_data_dir) as api:
        alice, bob = caller(api, "alice"), caller(api, "bob")
        await alice.created(name="secret", node_id="secret", tags=["secret"])

        path = f"/api/assets/values?field={field}&min_position={api.head()}"
        answers = [(await each.get(path)).json["values"] for each in (bob, alice)]

        assert answers == [[], [{"value": "secret", "count": 1}]]
