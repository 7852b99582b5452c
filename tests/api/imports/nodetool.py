"""A NodeTool database and its folder of contents for tests, and reads of the imported ledger."""

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from click.testing import CliRunner, Result

from asset_ledger import sync
from asset_ledger.api.cli import cli

COLUMNS: Final = {
    "id": "TEXT PRIMARY KEY",
    **dict.fromkeys(("user_id", "workflow_id", "parent_id", "name", "content_type"), "TEXT"),
    "metadata": "JSON",
    "created_at": "DATETIME",
    "duration": "REAL",
    "size": "INTEGER",
    **dict.fromkeys(("node_id", "job_id"), "TEXT"),
    "updated_at": "DATETIME",
    "external_path": "TEXT",
}
JOB_COLUMNS: Final = (
    *("id", "user_id", "job_type", "workflow_id", "status", "graph", "params", "started_at"),
    *("finished_at", "completed_at", "failed_at", "updated_at", "error", "error_message", "cost"),
)
NEWER_COLUMNS: Final = ("node_id", "job_id", "size", "updated_at", "external_path")


def asset_id(number: int) -> str:
    return f"{number:032x}"


class NodeTool:
    """A database `nodetool.sqlite3` and a folder `assets` beside it."""

    def __init__(self, folder: Path, *, without: tuple[str, ...] = ()) -> None:
        self.db, self.assets = folder / "nodetool.sqlite3", folder / "assets"
        self.assets.mkdir()
        self._columns = {name: kind for name, kind in COLUMNS.items() if name not in without}
        columns = ", ".join(f"{name} {kind}" for name, kind in self._columns.items())
        self.run(f"CREATE TABLE nodetool_assets ({columns})")

    def run(self, sql: str, rows: list[list[Any]] | None = None) -> None:
        with sqlite3.connect(self.db) as db:
            db.executemany(sql, [[]] if rows is None else rows)
        db.close()

    def row(self, number: int, content: bytes | None = b"content", **fields: Any) -> str:
        """Insert a row, and write its file if it has a content. Return the row's id."""
        self.rows({number: fields})
        identity = str(fields.get("id", asset_id(number)))
        if content is not None and fields.get("content_type") != "folder":
            folder = self.assets / str(fields.get("user_id", "1"))
            folder.mkdir(exist_ok=True)
            (folder / f"{identity}.png").write_bytes(content)
        return identity

    def rows(self, rows: Mapping[int, Mapping[str, Any]]) -> None:
        """Insert rows without files."""
        marks = ", ".join("?" for _ in self._columns)
        filled = [self._filled(number, fields) for number, fields in rows.items()]
        self.run(f"INSERT INTO nodetool_assets VALUES ({marks})", filled)

    def jobs(self, *jobs: Mapping[str, Any], columns: Sequence[str] = JOB_COLUMNS) -> None:
        """Create the table of jobs, and insert rows."""
        self.run(f"CREATE TABLE nodetool_jobs ({', '.join(columns)})")
        usual = {"user_id": "1", "workflow_id": "w", "started_at": "2024-05-01T11:00:00.000Z"}
        rows = [[{**usual, **job}.get(name) for name in columns] for job in jobs]
        self.run(f"INSERT INTO nodetool_jobs VALUES ({', '.join('?' for _ in columns)})", rows)

    def _filled(self, number: int, fields: Mapping[str, Any]) -> list[Any]:
        usual = {
            "id": asset_id(number),
            "user_id": "1",
            "parent_id": "1",
            "name": f"{number}.png",
            "content_type": "image/png",
            "created_at": f"2024-05-01T12:00:{number % 60:02}.000Z",
        }
        return [{**usual, **fields}.get(name) for name in self._columns]

    def folder(self, number: int, **fields: Any) -> str:
        return self.row(number, **{"content_type": "folder", "name": f"folder {number}", **fields})

    def imported(self, data_dir: Path, *options: str, code: int = 0) -> list[str]:
        """Import into a data folder, check the exit code, and return the printed lines."""
        result = self.run_import(data_dir, *options)
        assert result.exit_code == code, (result.output, result.exception)
        return result.stdout.splitlines()

    def run_import(self, data_dir: Path, *options: str) -> Result:
        where = ["--db", str(self.db), "--assets", str(self.assets), "--data-dir", str(data_dir)]
        return CliRunner().invoke(cli, ["import", "nodetool", *where, *options])


def assets_in(data_dir: Path, user_id: str = "1") -> dict[str, sync.Asset]:
    """Return the live assets of a user, by id."""
    with sync.connect(data_dir=data_dir, user_id=user_id):
        return {asset.id: asset for asset in sync.Asset.iterate()}


def content_of(data_dir: Path, identity: str) -> bytes:
    with sync.connect(data_dir=data_dir):
        return sync.Asset.get(identity).content()
