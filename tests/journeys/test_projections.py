"""Projection tables are made from the log again: after loss, damage, kills or a restored backup."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.audit import audit, current_tables, tables_digest
from tests.journeys.client import Client, talking
from tests.journeys.server import Server, program, run, until
from tests.journeys.write_lock import write_locked


def record_history(client: Client) -> None:
    """Record assets with every field, a folder and deletions."""
    folder = client.folder(job_id="j", metadata={"b": [1, 2.5, None], "a": "ü"})
    for number in range(20):
        client.created(
            bytes(number),
            name=f"{number} \U0001f600.png",
            content_type="image/png",
            node_id=f"n{number % 3}",
            job_id="j" if number % 2 else None,
            workflow_id="w" if number % 5 else None,
            parent_id=folder["id"] if number % 4 else None,
            tags=["one", "zwei"][: number % 3],
            duration=number / 4 if number % 3 else None,
        )
    for asset in client.assets(node_id="n1")[:3]:
        assert client.delete(f"/api/assets/{asset['id']}").status == 200


def remove_tables(data_dir: Path) -> None:
    for path in data_dir.glob("projections.g*.db*"):
        path.unlink()


def rebuilt(data_dir: Path) -> Any:
    """Run `asset-ledger rebuild`, and return its report."""
    done = run("rebuild", "--json", "--data-dir", data_dir)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_a_start_rebuilds_deleted_tables_with_the_same_rows(
    server: Server, client: Client, data_dir: Path
) -> None:
    record_history(client)
    shown = client.assets()
    assert server.stop() == 0
    live = tables_digest(data_dir / "projections.g1.db")
    remove_tables(data_dir)

    server.start()

    with talking(server.port) as client:
        assert client.assets() == shown
    assert tables_digest(current_tables(data_dir)) == live
    audit(data_dir)


@pytest.mark.slow
def test_a_rebuild_has_the_digest_of_the_tables_filled_by_the_server(
    server: Server, client: Client, data_dir: Path
) -> None:
    record_history(client)
    shown = client.assets()
    assert server.stop() == 0
    live = tables_digest(data_dir / "projections.g1.db")

    first, second = rebuilt(data_dir), rebuilt(data_dir)
    remove_tables(data_dir)
    third = rebuilt(data_dir)

    assert [report["digest"] for report in (first, second, third)] == [live] * 3
    assert {report["position"] for report in (first, second, third)} == {len(audit(data_dir))}
    assert (first["generation"], second["generation"]) == (2, 3)
    server.start()
    with talking(server.port) as client:
        assert client.assets() == shown


@pytest.mark.slow
def test_a_killed_rebuild_changes_no_table_in_use(
    server: Server, client: Client, data_dir: Path
) -> None:
    for _ in range(50):
        record_history(client)
    shown = client.assets()
    assert server.stop() == 0

    for step in range(1, 9):
        with program("rebuild", "--data-dir", data_dir) as rebuild:
            time.sleep(0.3 + step / 20)  # another moment of the rebuild for each step
            rebuild.kill()

    server.start()
    with talking(server.port) as client:
        assert client.assets() == shown
    audit(data_dir)
    assert server.stop() == 0
    assert rebuilt(data_dir)["digest"] == tables_digest(current_tables(data_dir))


@pytest.mark.slow
def test_a_job_replays_without_tables_and_without_a_server(
    server: Server, client: Client, data_dir: Path
) -> None:
    record_history(client)
    history = client.history("j")
    assert server.stop() == 0
    remove_tables(data_dir)

    replayed = run("replay", "j", "--json", "--data-dir", data_dir)

    assert [json.loads(line) for line in replayed.stdout.splitlines()] == history
    assert [event["job_seq"] for event in history] == list(range(1, len(history) + 1))
    assert run("replay", "unknown", "--data-dir", data_dir).returncode == 2


@pytest.mark.slow
def test_a_start_rebuilds_the_tables_after_a_backup_was_restored(
    server: Server, client: Client, data_dir: Path, tmp_path: Path
) -> None:
    record_history(client)
    shown, history = client.assets(), client.history("j")
    assert server.stop() == 0
    backup = shutil.copy(data_dir / "ledger.db", tmp_path / "backup.db")
    server.start()
    with talking(server.port) as client:
        client.created(name="after the backup", job_id="j")
        client.delete(f"/api/assets/{shown[0]['id']}")
    assert server.stop() == 0

    shutil.copy(backup, data_dir / "ledger.db")
    server.start()

    with talking(server.port) as client:
        assert client.assets() == shown
        assert client.history("j") == history
        audit(data_dir)
        client.created(name="another after the backup", job_id="j")
        assert len(client.assets()) == len(shown) + 1
    assert "rebuilding the tables" in server.errors
    audit(data_dir)


@pytest.mark.slow
def test_a_start_rebuilds_tables_of_another_history_of_the_same_length(
    server: Server, client: Client, data_dir: Path, tmp_path: Path
) -> None:
    """The log ends at the position of the tables, and its last event is another one."""
    client.created(name="common")
    assert server.stop() == 0
    backup = shutil.copy(data_dir / "ledger.db", tmp_path / "backup.db")
    for name in ("other", "current"):
        shutil.copy(backup, data_dir / "ledger.db")
        server.start()
        with talking(server.port) as client:
            client.created(name=name)
        assert server.stop() == 0
        shutil.copy(current_tables(data_dir), tmp_path / f"{name}.db")
    remove_tables(data_dir)
    shutil.copy(tmp_path / "other.db", data_dir / "projections.g1.db")

    server.start()

    with talking(server.port) as client:
        assert [asset["name"] for asset in client.assets()] == ["common", "current"]
    audit(data_dir)


@pytest.mark.slow
def test_a_start_rebuilds_tables_in_a_damaged_file(
    server: Server, client: Client, data_dir: Path
) -> None:
    record_history(client)
    shown = client.assets()
    assert server.stop() == 0
    (data_dir / "projections.g1.db").write_bytes(b"nothing of a database " * 1_000)

    server.start()

    with talking(server.port) as client:
        assert client.assets() == shown
    audit(data_dir)


@pytest.mark.slow
def test_a_write_with_locked_tables_is_accepted_as_behind(
    server: Server, client: Client, data_dir: Path
) -> None:
    with write_locked(data_dir / "projections.g1.db"):
        reply = client.upload(b"small", "k", name="a.bin", job_id="j")
        assert (reply.status, reply.headers["Ledger-Projection"]) == (202, "behind")
        assert client.assets() == []
        assert client.get("/api/assets?min_position=2").slug == "projection-behind"
        assert [event["asset_id"] for event in client.history("j")] == [reply.json["id"]]

    until(lambda: client.assets() == [reply.json], "the tables have caught up")
    assert client.upload(b"small", "k", name="a.bin", job_id="j").status == 201
    audit(data_dir)
