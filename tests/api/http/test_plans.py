"""Every statement that an answer needs finds its rows by an index."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from asset_ledger.ledger.storage import brief_reader, readers
from asset_ledger.ledger.storage.sqlite import open_reader, read_only
from asset_ledger.projections.queries import assets
from tests.api.running import Api

pytestmark = pytest.mark.in_a_folder("it reads the plans of SQLite")

Statements = set[tuple[Path, str]]


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> Statements:
    """Collect each statement that reads tables, with its file and its values."""
    seen: Statements = set()

    def traced(path: Path, *arguments: object, **options: object) -> sqlite3.Connection:
        db = open_reader(path, *arguments, **options)  # type: ignore[arg-type]
        db.set_trace_callback(lambda sql: seen.add((path, sql)))
        return db

    for module in (brief_reader, readers):
        monkeypatch.setattr(module, "open_reader", traced)
    return seen


SORTS: Final = ("created_at", "-created_at", "name", "-name", "size", "-size")
ASSETS: Final = [
    f"/api/assets?{query}&sort={sort}"
    for sort in SORTS
    for query in (
        "page_size=2",
        "job_id=j",
        "node_id=n&workflow_id=w",
        "job_id=j&node_id=n",
        "workflow_id=w&created_after=2020-01-01T00:00:00Z",
        "parent_id=",
        "content_type=image/",
        "name=a",
        "tag=t",
        "missing=job_id",
        "deleted=true",
        "deleted=any&job_id=j",
        "size_min=1",
        "count=exact",
        "digest=sha256:" + "a" * 64,
    )
]
JOBS: Final = [
    "/api/jobs?page_size=2",
    "/api/jobs?status=completed",
    "/api/jobs?workflow_id=w&sort=-bytes",
    "/api/jobs?node_id=n",
    "/api/jobs?sort=-created_at&started_after=2020-01-01T00:00:00Z",
    "/api/jobs/j",
    "/api/jobs/j/assets",
    "/api/jobs/j/nodes?sort=-seconds",
    "/api/jobs/j/timeline",
    "/api/jobs/j/compare/k",
]
OTHERS: Final = [
    "/api/assets/search?query=a",
    "/api/assets?query=a&job_id=j",
    *(
        f"/api/assets/usage?group_by={group}{rest}"
        for group in ("node_id", "job_id", "workflow_id", "content_type", "day", "day,node_id")
        for rest in ("", "&job_id=j", "&sort=-bytes")
    ),
    *(f"/api/assets/values?field={field}&prefix=a" for field in ("job_id", "node_id", "tag")),
    "/api/assets/{id}",
    "/api/assets/{id}/lineage",
    "/api/assets/{folder}/recursive",
    "/api/assets/by-filename/b",
    "/api/events?job_id=j",
]


IN_MEMORY: Final = re.compile(
    r"SCAN (\(subquery-\d+\)|CONSTANT ROW|\w+ VIRTUAL TABLE INDEX .*|main\.search_heads_config)"
)
"""Steps that read other steps, the values of a request, or the full-text index."""


def scans(file: Path, sql: str) -> list[str]:
    """Return the steps of a statement that read a whole table."""
    with closing(sqlite3.connect(read_only(file), uri=True)) as db:
        steps = [line for *_, line in db.execute(f"EXPLAIN QUERY PLAN {sql}")]
    found = [each for each in steps if each.startswith("SCAN") and not IN_MEMORY.fullmatch(each)]
    return [each for each in found if not is_computed(each.split()[1], sql)]


def is_computed(name: str, sql: str) -> bool:
    """Return whether a name stands for rows of the statement itself, or for its only row."""
    here = rf"\b{name}(\([^)]*\))? AS (MATERIALIZED )?\(|\) AS {name}\b"
    return bool(re.search(here, sql)) or "DESC LIMIT 1" in sql


async def filled(api: Api) -> dict[str, str]:
    """Record two jobs, a folder and a derived asset, and return the ids that paths name."""
    folder = await api.created(None, content_type="folder", name="f")
    given = {"node_id": "n", "workflow_id": "w", "tags": ["t"], "parent_id": folder["id"]}
    first = await api.created(name="a", job_id="k", **given)
    last = await api.created(name="b", job_id="j", derived_from=[first["id"]], **given)
    return {"id": last["id"], "folder": folder["id"]}


@pytest.mark.parametrize("broad", [False, True], ids=["few", "many"])
async def test_every_statement_of_an_answer_uses_an_index(
    broad: bool, api: Api, statements: Statements, monkeypatch: pytest.MonkeyPatch
) -> None:
    if broad:  # lists in another order come from the catalog
        monkeypatch.setattr(assets, "WALK", 0)
    ids = await filled(api)

    for path in [*ASSETS, *JOBS, *OTHERS]:
        answer = await api.call("GET", path.format(**ids))
        assert answer.status == 200 or (broad and answer.status == 400), answer.body

    reads = [each for each in statements if each[1].lstrip().startswith(("SELECT", "WITH"))]
    files = {file.name.removeprefix("projections.") for file, _ in reads}
    assert files >= {"g1.db", "g1.usage.db", "g1.search.db", *(["g1.catalog.db"] if broad else [])}
    assert [(sql, found) for file, sql in reads if (found := scans(file, sql))] == []


async def test_a_statement_without_an_index_is_found(api: Api, statements: Statements) -> None:
    await filled(api)
    await api.call("GET", "/api/assets")
    tables = next(file for file, _ in statements if file.name == "projections.g1.db")

    assert scans(tables, "SELECT 1 FROM assets WHERE size > 3") == ["SCAN assets"]
    assert scans(tables, "SELECT id FROM assets AS e WHERE size > 3") == ["SCAN e"]
