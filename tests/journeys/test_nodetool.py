"""Import of a NodeTool database, with kills, and through a running server."""

import signal
import sqlite3
from contextlib import suppress
from pathlib import Path

import pytest

from tests.api.imports.nodetool import NodeTool, asset_id, assets_in
from tests.journeys.audit import audit, reading
from tests.journeys.server import Server, program, run, serving, until

pytestmark = pytest.mark.slow


def filled(folder: Path, rows: int) -> NodeTool:
    """Make a NodeTool database with a folder after each 99 assets inside it."""
    nodetool = NodeTool(folder)
    nodetool.rows(
        {
            number: {"content_type": "folder", "parent_id": "1"}
            if number % 100 == 99
            else {"parent_id": asset_id(number // 100 * 100 + 99)}
            for number in range(rows)
        }
    )
    for number in range(rows):
        if number % 100 != 99:
            (nodetool.assets / f"{asset_id(number)}.png").write_bytes(b"%d" % number * 30)
    return nodetool


def command(nodetool: NodeTool, data_dir: Path) -> list[str | Path]:
    files: list[str | Path] = ["--db", nodetool.db, "--assets", nodetool.assets]
    return ["import", "nodetool", *files, "--data-dir", data_dir]


def check_complete(data_dir: Path, rows: int) -> None:
    assets = assets_in(data_dir)
    assert set(assets) == {asset_id(number) for number in range(rows)}
    assert {asset.size for asset in assets.values() if not asset.is_folder} == {30, 60, 90, 120}
    assert len(audit(data_dir)) == rows + 1
    verified = run("verify", "--data-dir", data_dir)
    assert verified.returncode == 0, verified.stdout


def test_an_import_of_ten_thousand_rows_is_complete_after_two_kills(
    tmp_path: Path, data_dir: Path
) -> None:
    nodetool = filled(tmp_path, 10_000)
    for least in (1_000, 4_000):
        with program(*command(nodetool, data_dir)) as importing:
            until(lambda: recorded(data_dir) > least, f"{least} rows were recorded")  # noqa: B023
            importing.kill()
        assert importing.returncode == -signal.SIGKILL
        assert recorded(data_dir) < 10_000

    done = run(*command(nodetool, data_dir))

    assert (done.returncode, done.stderr) == (0, "")
    check_complete(data_dir, 10_000)


def test_an_import_goes_through_the_server_with_the_lock_of_the_folder(
    tmp_path: Path, data_dir: Path
) -> None:
    nodetool = filled(tmp_path, 1_500)
    with serving(data_dir, "--auth", "tokens") as server:
        done = run(*command(nodetool, data_dir))
        second = run(*command(nodetool, data_dir))
        check_stopped(server)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("1,500 rows: 1,500 added")
    assert second.stdout.startswith("1,500 rows: 0 added, 1,500 already known")
    check_complete(data_dir, 1_500)


def check_stopped(server: Server) -> None:
    assert server.stop() == 0
    assert server.errors == ""


def recorded(data_dir: Path) -> int:
    """Return the number of events. The log may be in use."""
    with suppress(sqlite3.Error), reading(data_dir / "ledger.db") as db:
        return int(db.execute("SELECT count(*) FROM event_leaves").fetchone()[0])
    return 0
