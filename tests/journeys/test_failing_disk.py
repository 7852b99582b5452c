"""A disk that fails: while a kind of write is refused, `/readyz` answers 503 with the reason."""

import os
from pathlib import Path
from typing import Any, Final

import pytest

from tests.journeys.audit import audit
from tests.journeys.client import Client, Reply, talking
from tests.journeys.faults import Faults, needs_faults
from tests.journeys.server import serving, until

pytestmark = [pytest.mark.slow, needs_faults]

SMALL: Final = 1_000
LARGE: Final = 200_000

LASTING: Final = [
    ("sync /packs/", SMALL),
    ("write /packs/", SMALL),
    ("sync /ledger.db", SMALL),
    ("write /ledger.db", SMALL),
    ("sync /objects", LARGE),
]
"""Calls after whose failure nothing of this size is written until a restart."""
PASSING: Final = [("sync /content/tmp/", LARGE), ("write /content/tmp/", LARGE)]
"""Calls whose failure is that of one upload."""


@pytest.fixture
def faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Faults:
    return Faults(tmp_path, monkeypatch)


def upload(client: Client, size: int) -> Reply:
    return client.upload(os.urandom(size), name="a")


def readiness(client: Client) -> tuple[int, list[Any]]:
    """Return the status of `/readyz`, and the reasons of the parts that it needs."""
    answer = client.get("/readyz")
    parts = [part for part in answer.json["parts"] if not part.get("optional")]
    return answer.status, [part["reason"] for part in parts if not part["ok"]]


def read_only(client: Client) -> bool:
    return b"asset_ledger_read_only 1.0" in client.get("/metrics").body


@pytest.mark.parametrize(("fault", "size"), LASTING)
def test_readiness_and_writes_agree_after_an_error_of_the_disk(
    tmp_path: Path, faults: Faults, fault: str, size: int
) -> None:
    data_dir = tmp_path / "data"
    with serving(data_dir) as server, talking(server.port) as client:
        before = client.created(os.urandom(size))
        assert readiness(client) == (200, [])
        with faults.failing(fault):
            first = upload(client, size)
        second = upload(client, size)

        assert first.status == second.status == 503
        assert second.slug == "storage-failed"
        assert "until a restart" in second.json["detail"]
        status, reasons = readiness(client)
        assert (status, read_only(client)) == (503, True)
        assert reasons == [second.json["detail"]]
        assert client.get(before["get_url"]).status == 200
        server.kill()
    with serving(data_dir) as server, talking(server.port) as client:
        assert readiness(client) == (200, [])
        assert upload(client, size).status == 201
        assert not read_only(client)
    audit(data_dir)


@pytest.mark.parametrize(("fault", "size"), PASSING)
def test_one_failed_upload_leaves_the_server_ready(
    tmp_path: Path, faults: Faults, fault: str, size: int
) -> None:
    with serving(tmp_path / "data") as server, talking(server.port) as client:
        with faults.failing(fault):
            failed = upload(client, size)

        assert (failed.status, failed.slug) == (503, "storage-failed")
        assert upload(client, size).status == 201
        assert (readiness(client), read_only(client)) == ((200, []), False)


def test_tables_that_cannot_be_written_make_the_server_not_ready_until_they_can(
    tmp_path: Path, faults: Faults
) -> None:
    with serving(tmp_path / "data") as server, talking(server.port) as client:
        client.created()
        with faults.failing("write /projections.g1.db"):
            behind = upload(client, SMALL)
            status, reasons = readiness(client)

        assert (behind.status, behind.headers["Ledger-Projection"]) == (202, "behind")
        assert status == 503
        assert ["disk I/O error" in reason for reason in reasons] == [True]
        until(lambda: readiness(client) == (200, []), "the tables follow the log again")
        assert upload(client, SMALL).status == 201
        assert len(client.assets()) == 3
