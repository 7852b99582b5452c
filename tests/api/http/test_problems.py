"""The table of problems: status, slug and document of each error."""

import re

import pytest

from asset_ledger.api.contract import errors as http_errors
from asset_ledger.api.contract.errors import FieldsError, MethodNotAllowedError, NoContentError
from asset_ledger.api.contract.problems import (
    INTERNAL_ERROR,
    PROBLEMS,
    problem_document,
    problem_of,
)
from asset_ledger.ledger import errors as ledger_errors
from asset_ledger.ledger.errors import (
    AssetDeletedError,
    DiskFullError,
    KeyReusedError,
    LedgerError,
    ParameterError,
    RefusedError,
    UnavailableError,
)

GROUPS = (LedgerError, RefusedError, UnavailableError)


def every_error() -> list[type[LedgerError]]:
    modules = (ledger_errors, http_errors)
    found = [value for module in modules for value in vars(module).values()]
    kinds = {k for k in found if isinstance(k, type) and issubclass(k, LedgerError)}
    return sorted(kinds - set(GROUPS), key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", every_error())
def test_every_refusal_and_unavailability_is_in_the_table(kind: type[LedgerError]) -> None:
    for_callers = issubclass(kind, RefusedError | UnavailableError)

    assert (problem_of(kind.__new__(kind)) is not INTERNAL_ERROR) == for_callers


def test_no_two_errors_share_a_slug() -> None:
    slugs = [problem.slug for problem in PROBLEMS.values()]

    assert len(set(slugs)) == len(slugs)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", slug) for slug in slugs)


@pytest.mark.parametrize("kind", PROBLEMS)
def test_refusals_have_a_4xx_status_and_other_problems_5xx(kind: type[LedgerError]) -> None:
    status = PROBLEMS[kind].status

    assert status // 100 == (4 if issubclass(kind, RefusedError) else 5)


def test_a_more_specific_error_has_its_own_problem() -> None:
    assert problem_of(DiskFullError()).status == 507
    assert problem_of(NoContentError("x")).slug == "unknown-asset"


def test_an_unforeseen_error_shows_only_the_request_id() -> None:
    document = problem_document(RuntimeError("the password is 123"), "abc")

    assert (document["status"], document["type"]) == (500, "urn:asset-ledger:internal-error")
    assert "password" not in str(document)
    assert "abc" in document["detail"]


def test_parameters_and_fields_are_named_under_different_keys() -> None:
    parameter = problem_document(ParameterError("x", errors=[("a", "b")]), "id")
    fields = problem_document(FieldsError([("a", "b"), ("c", "d")]), "id")

    assert parameter["errors"] == [{"parameter": "a", "message": "b"}]
    assert fields["errors"] == [
        {"field": "a", "message": "b"},
        {"field": "c", "message": "d"},
    ]
    assert fields["detail"] == "a: b; c: d"


def test_a_deleted_asset_problem_shows_user_time_and_position() -> None:
    error = AssetDeletedError("x", by="1", when="2026-01-01T00:00:00.000000Z", position=7)

    document = problem_document(error, "id")

    assert document["deleted_by"] == "1"
    assert document["deleted_at"] == "2026-01-01T00:00:00.000000Z"
    assert document["position"] == 7


def test_a_problem_document_is_always_valid_utf8() -> None:
    document = problem_document(ParameterError("x\udcff", errors=[("\udcff", "\udcff")]), "id")

    str(document).encode()
    assert document["detail"] == "x\\udcff"


def test_a_method_error_lists_the_allowed_methods() -> None:
    error = MethodNotAllowedError("PUT", ["GET", "HEAD"])

    assert str(error) == "PUT is not allowed here: use GET, HEAD"
    assert KeyReusedError("k").key == "k"
