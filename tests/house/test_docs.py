"""The documents match the code: their sessions run, their tables equal those of the code."""

import re
from dataclasses import fields
from pathlib import Path
from urllib.request import urlopen

import pytest

from asset_ledger.api.cli.commands import COMMANDS
from asset_ledger.api.contract.errors import StalledBodyError
from asset_ledger.api.contract.imports import NDJSON
from asset_ledger.api.contract.openapi import errors_of
from asset_ledger.api.contract.operations import Operation
from asset_ledger.api.contract.parameters import MIN_POSITION, VERSION
from asset_ledger.api.contract.problems import INTERNAL_ERROR, PROBLEMS
from asset_ledger.api.http.app import OPERATIONS
from asset_ledger.api.settings import Settings
from asset_ledger.ledger.domain.event import Event, TaggedEvent
from asset_ledger.ledger.errors import FieldError, LedgerError, ParameterError
from asset_ledger.ledger.log.codec import EVENTS
from asset_ledger.projections.tables.assets import document as asset_document
from tests.builders import created, folded
from tests.house.console import anchors, broken_links, document, mismatches, steps, table
from tests.house.source import ROOT
from tests.journeys.server import serving

DOCUMENTS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))
WITH_SESSIONS = [name for name in DOCUMENTS if steps(document(name))]
PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", *DOCUMENTS]

INDEX = document("docs/README.md")
HTTP = document("docs/http.md")
SETTINGS = document("docs/settings.md")
AUDIT = document("docs/audit.md")
OPERATIONS_PAGE = document("docs/operations.md")

WITHOUT_INPUT = next(entry for entry in OPERATIONS if entry.paths[0] == "/api/projections")

by_operation = pytest.mark.parametrize(
    "operation", OPERATIONS, ids=lambda operation: f"{operation.method} {operation.paths[0]}"
)


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_SESSIONS)
def test_session_prints_what_its_document_shows(name: str, tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        assert mismatches(document(name), server) == []


@pytest.mark.parametrize("name", PAGES)
def test_links_of_a_document_lead_to_files_and_headings(name: str) -> None:
    assert broken_links(name) == []


def test_anchors_are_those_of_headings_outside_of_fences() -> None:
    text = "# A page\n### `GET /api/{id}`\n## data_dir\n```\n# a comment\n```\n"

    assert anchors(text) == {"a-page", "get-apiid", "data_dir"}


def test_index_links_every_page() -> None:
    pages = [path.removeprefix("docs/") for path in DOCUMENTS if path.count("/") == 1]

    assert [page for page in pages if page not in ("README.md", *_links(INDEX))] == []


def test_http_page_has_a_section_for_every_operation() -> None:
    described = re.findall(r"^### `(.+)`$", HTTP, re.MULTILINE)

    assert sorted(described) == sorted(f"{entry.method} {entry.paths[0]}" for entry in OPERATIONS)


def test_http_page_opens_with_the_table_of_operations() -> None:
    rows = [
        (method, re.findall(r"`(.+)`", path)[0], scope.strip("`"))
        for method, path, _, scope in table(HTTP, "method")
    ]
    sections = re.findall(r"^### `(.+)`$", HTTP, re.MULTILINE)

    assert HTTP.index("| method |") < HTTP.index("### ")
    assert sorted(f"{method} {path}" for method, path, _ in rows) == sorted(sections)
    assert sorted(rows) == sorted(
        (entry.method, entry.paths[0], entry.scope or "-") for entry in OPERATIONS
    )


@by_operation
def test_section_of_an_operation_has_its_paths_parameters_and_errors(
    operation: Operation,
) -> None:
    section = HTTP.split(f"### `{operation.method} {operation.paths[0]}`")[1].split("\n##")[0]
    parameters = [f"`{parameter.name}`" for parameter in operation.parameters.all]
    slugs = [f"`{_slug(error)}`" for error in _errors_of_its_own(operation)]

    assert [word for word in (*parameters, *slugs) if word not in section] == []
    assert [path for path in operation.paths if path not in HTTP] == []


@by_operation
def test_section_of_an_operation_has_its_parts_in_order(operation: Operation) -> None:
    section = HTTP.split(f"### `{operation.method} {operation.paths[0]}`")[1].split("\n##")[0]
    parts = re.findall(r"^(Answer|Errors|Example)\b", section, re.MULTILINE)

    assert parts == sorted(set(parts))
    assert operation.scope is None or "Answer" in parts


def test_table_of_problems_equals_the_contract() -> None:
    described = {(row[0].strip("`"), int(row[1])) for row in table(HTTP, "slug")}

    assert described == {
        (known.slug, known.status) for known in (*PROBLEMS.values(), INTERNAL_ERROR)
    }


def test_table_of_fields_equals_those_of_an_asset() -> None:
    described = [name for row in table(HTTP, "field") for name in re.findall(r"\w+", row[0])]

    assert sorted(described) == sorted(asset_document(folded(created())))


def test_settings_page_has_a_row_and_a_section_for_every_setting() -> None:
    rows = [[cell.strip("`") for cell in row[1:4]] for row in table(SETTINGS, "setting")]

    assert re.findall(r"^## (\w+)$", SETTINGS, re.MULTILINE) == list(Settings.model_fields)
    assert rows == [
        [f"--{name.replace('_', '-')}", f"ASSET_LEDGER_{name.upper()}", str(field.default).lower()]
        for name, field in Settings.model_fields.items()
    ]


def test_settings_page_describes_each_setting_as_the_class_does() -> None:
    described = {row[0]: row[5] for row in table(SETTINGS, "setting")}

    assert described == {
        f"[{name}](#{name})": field.description for name, field in Settings.model_fields.items()
    }


def test_table_of_commands_equals_the_command_line() -> None:
    named = [row[0].strip("`").split()[1] for row in table(OPERATIONS_PAGE, "command")]

    assert sorted(named) == sorted(COMMANDS)


def test_operations_page_lists_every_metric_of_a_server(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server, urlopen(f"{server.url}/metrics") as answer:
        families = re.findall(r"^# TYPE (\w+) ", answer.read().decode(), re.MULTILINE)
    listed = "".join(row[0] for row in table(OPERATIONS_PAGE, "name"))

    own = [name for name in families if not name.startswith("asset_ledger_process_")]
    assert len(own) > 5
    assert [name for name in own if f"`{name}`" not in listed] == []


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.TOPIC)
def test_audit_page_describes_every_event_with_its_own_fields(kind: type[Event]) -> None:
    described = {row[0].strip("`"): row[1] for row in table(AUDIT, "topic")}
    envelope = {field.name for field in (*fields(Event), *fields(TaggedEvent))}
    own = [field.name for field in fields(kind) if field.name not in envelope]

    assert [name for name in own if f"`{name}`" not in described[kind.TOPIC]] == []
    assert [name for name in envelope if f"`{name}`" not in AUDIT] == []


def _errors_of_its_own(operation: Operation) -> set[type[LedgerError]]:
    """Return the errors that the page lists at an operation: all but those of every operation."""
    own = {*errors_of(operation)} - {*errors_of(WITHOUT_INPUT), StalledBodyError}
    if NDJSON in operation.takes:
        own -= {FieldError}  # a line with an invalid field is refused alone
    queried = any(each not in (MIN_POSITION, VERSION) for each in operation.parameters.all)
    return own | {*operation.errors} | ({ParameterError} if queried else set())


def _slug(kind: type[LedgerError]) -> str:
    """Return the slug of the nearest class in the table of problems."""
    return next(PROBLEMS[known].slug for known in kind.__mro__ if known in PROBLEMS)


def _links(text: str) -> list[str]:
    """Return the files that a document links to."""
    return re.findall(r"\]\(([^)#]+)", text)
