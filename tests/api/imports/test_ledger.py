"""`asset-ledger export ledger` and `import ledger`: a whole ledger, byte for byte."""

import asyncio
import base64
import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from asset_ledger.api.cli import cli
from asset_ledger.api.imports.errors import SourceError
from asset_ledger.api.imports.ledger import import_ledger
from asset_ledger.api.settings import Settings
from asset_ledger.ledger.errors import CorruptLogError, DataFolderError
from asset_ledger.ledger.progress import Progress, no_progress
from asset_ledger.ledger.storage.data_folder import UNFINISHED
from tests.api.running import serving
from tests.journeys.audit import audit
from tests.journeys.tampering import without_triggers

LARGE = b"large" * 100_000
KEYED = {"Idempotency-Key": "try-1"}
TABLES = ("stored_events", "event_leaves", "event_tags", "command_keys", "job_heads", "checkpoints")


async def fill(data_dir: Path) -> None:
    """Events of every kind, contents of either size, a retried write and a checkpoint."""
    async with serving(Settings(data_dir=data_dir)) as api:
        await api.call("POST", "/api/jobs/j/start", json={"parameters": {"text": "Ünïcödé 😀"}})
        folder = await api.created(None, name="f", content_type="folder")
        asset = await api.created(b"small", name="a.png", job_id="j", parent_id=folder["id"])
        await api.created(LARGE, name="b.bin", job_id="j", derived_from=[asset["id"]])
        await api.created(b"small", name="again", metadata={"a": [1.5, None, "ü"]}, tags=["t"])
        await api.upload(b"keyed", name="k", headers=KEYED)
        await api.call("PUT", f"/api/assets/{asset['id']}", json={"data": "other", "name": "c"})
        await api.call("DELETE", f"/api/assets/{folder['id']}")
        await api.get("/api/log/checkpoint")
        await api.call("POST", "/api/jobs/j/finish", json={"status": "failed", "error": "e"})


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data_dir = tmp_path_factory.mktemp("original") / "data"
    asyncio.run(fill(data_dir))
    return data_dir


@pytest.fixture(scope="module")
def export(original: Path) -> Path:
    result = command("export", "ledger", original.with_name("export"), "--data-dir", original)
    assert result.exit_code == 0, result.output
    return original.with_name("export")


@pytest.fixture
def copy_of_export(export: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(export, tmp_path / "export"))


def command(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def imported(export: Path, data_dir: Path) -> Result:
    return command("import", "ledger", export, "--data-dir", data_dir)


def rows(data_dir: Path, table: str) -> list[Any]:
    with sqlite3.connect(data_dir / "ledger.db") as db:
        found = db.execute(
            f"SELECT rowid, * FROM {table}" if table == TABLES[0] else f"SELECT * FROM {table}"
        ).fetchall()
    db.close()
    return found


def left_in(data_dir: Path) -> set[str]:
    return {path.name for path in data_dir.iterdir()} - {"lock"}


def change(file: Path, number: int, edit: Callable[[dict[str, Any]], Any]) -> None:
    """Edit the object on a line, counted from 1."""
    lines = file.read_bytes().splitlines(keepends=True)
    document = json.loads(lines[number - 1])
    edit(document)
    lines[number - 1] = json.dumps(document).encode() + b"\n"
    file.write_bytes(b"".join(lines))


def test_an_imported_ledger_has_the_same_bytes(
    original: Path, export: Path, data_dir: Path
) -> None:
    result = imported(export, data_dir)

    assert result.exit_code == 0, result.output
    assert all(rows(data_dir, table) == rows(original, table) for table in TABLES)
    manifest = json.loads((export / "ledger.json").read_bytes())
    assert f"root {manifest['root']}" in result.output
    assert left_in(data_dir) <= {"content", "ledger.db", "ledger.db-wal", "ledger.db-shm"}


async def test_an_imported_ledger_serves_signs_and_replays_retries(
    original: Path, export: Path, data_dir: Path
) -> None:
    await import_ledger(export, data_dir, no_progress)
    shutil.copy(original / "checkpoint.key", data_dir)

    async with serving(Settings(data_dir=data_dir)) as api:
        found = (await api.get("/api/assets?deleted=any&sort=size")).json["assets"]
        retry = await api.upload(b"keyed", name="k", headers=KEYED)
        large = (await api.get(f"/api/assets/{found[-1]['id']}/content")).body
        note = await api.get("/api/log/checkpoint")

    assert (len(found), large, note.status) == (5, LARGE, 200)
    assert retry.headers["Idempotency-Replayed"] == "true"
    audit(data_dir)
    assert command("verify", "--data-dir", data_dir).exit_code == 0


async def test_an_imported_ledger_signs_nothing_without_its_key(
    export: Path, data_dir: Path
) -> None:
    result = await asyncio.to_thread(imported, export, data_dir)

    async with serving(Settings(data_dir=data_dir)) as api:
        answer = await api.get("/api/log/proof?first=1&second=2")
        refused = await api.upload(b"x", headers={"Prefer": "return=receipt"})

    assert f"copy checkpoint.key to {data_dir}" in result.output
    assert (answer.status, refused.slug) == (200, "storage-failed")


def test_an_export_is_private_and_has_no_secrets(original: Path, export: Path) -> None:
    key = (original / "checkpoint.key").read_bytes()

    written = [path for path in export.rglob("*") if path.is_file()]
    assert all(path.stat().st_mode & 0o77 == 0 for path in (export, *written))
    assert not any(key in path.read_bytes() for path in written)
    assert not {"checkpoint.key"} & {path.name for path in written}


async def test_a_ledger_is_exported_while_its_server_runs(tmp_path: Path) -> None:
    async with serving(Settings(data_dir=tmp_path / "data")) as api:
        await api.created(b"x")
        export = ("export", "ledger", tmp_path / "out", "--data-dir", tmp_path / "data", "--json")
        result = await asyncio.to_thread(command, *export)

    assert json.loads(result.output)["events"] == 2
    assert (await import_ledger(tmp_path / "out", tmp_path / "in", no_progress)).contents == 1


def test_an_export_of_an_imported_ledger_is_identical(
    export: Path, data_dir: Path, tmp_path: Path
) -> None:
    imported(export, data_dir)
    command("export", "ledger", tmp_path / "copy", "--data-dir", data_dir)

    names = [path.relative_to(export) for path in export.rglob("*") if path.is_file()]
    assert all((export / n).read_bytes() == (tmp_path / "copy" / n).read_bytes() for n in names)


DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "an event's leaf": (
        lambda export: change(export / "events.ndjson", 3, altered_leaf),
        "events.ndjson is damaged in line 3: its leaf and its other fields differ",
    ),
    "an event's data": (
        lambda export: change(
            export / "events.ndjson", 4, lambda event: event["data"].update(name="mine")
        ),
        "events.ndjson is damaged in line 4: its leaf and its other fields differ",
    ),
    "an event's owner": (
        lambda export: change(export / "events.ndjson", 4, lambda event: event.update(by="2")),
        "events.ndjson is damaged in line 4: its leaf and its other fields differ",
    ),
    "no leaf": (
        lambda export: change(export / "events.ndjson", 2, lambda event: event.pop("leaf")),
        "events.ndjson is damaged in line 2: its leaf cannot be read",
    ),
    "half a line": (
        lambda export: cut(export / "events.ndjson", 200),
        "events.ndjson is damaged in line 12: it does not end with a newline",
    ),
    "lines cut off": (
        lambda export: drop_last_lines(export / "events.ndjson", 2),
        "events.ndjson ends after line 10; it had 12",
    ),
    "no line at all": (
        lambda export: (export / "contents.ndjson").write_bytes(b""),
        "contents.ndjson ends after line 0; it had 4",
    ),
    "an event dropped": (
        lambda export: drop_line(export / "events.ndjson", 5),
        "events.ndjson is damaged in line 5: its leaf and its other fields differ",
    ),
    "no JSON": (
        lambda export: (export / "events.ndjson").write_bytes(b"\x00" * 99 + b"\n"),
        "events.ndjson is damaged in line 1",
    ),
    "a small content": (
        lambda export: change(export / "contents.ndjson", 1, altered_bytes),
        "contents.ndjson is damaged in line 1: sha256:",
    ),
    "a large content": (
        lambda export: flip(next(path for path in export.rglob("objects/*/*/*"))),
        "has other bytes",
    ),
    "a large content cut off": (
        lambda export: cut(next(path for path in export.rglob("objects/*/*/*")), 1),
        "has other bytes",
    ),
    "a large content gone": (
        lambda export: shutil.rmtree(export / "objects"),
        "cannot be read",
    ),
    "a key": (
        lambda export: change(export / "keys.ndjson", 1, lambda key: key.update(last=99)),
        "keys.ndjson is damaged: its bytes are not those of the export",
    ),
    "a key of other events": (
        lambda export: forge_key(export, first=3, last=3),
        "no event names the key 'try-1'",
    ),
    "a key of another request": (
        lambda export: forge_key(export, fingerprint="0" * 64),
        "no event names the key 'try-1'",
    ),
    "a key of another operation": (
        lambda export: forge_key(export, operation="delete-asset"),
        "no event names the key 'try-1'",
    ),
    "a key of events that are not there": (
        lambda export: forge_key(export, last=99),
        "has events that are not there",
    ),
    "a pipe for the events": (
        lambda export: pipe(export / "events.ndjson"),
        "it is not a file",
    ),
    "a pipe for the manifest": (lambda export: pipe(export / "ledger.json"), "it is not a file"),
    "a pipe for a large content": (
        lambda export: pipe(next(path for path in export.rglob("objects/*/*/*"))),
        "it is not a file",
    ),
    "a checkpoint": (
        lambda export: change(export / "checkpoints.ndjson", 1, altered_note),
        "checkpoints.ndjson is damaged in line 1",
    ),
    "no manifest": (
        lambda export: (export / "ledger.json").unlink(),
        "this is not a complete export",
    ),
    "half a manifest": (lambda export: cut(export / "ledger.json", 50), "ledger.json is damaged"),
    "another format": (
        lambda export: manifest(export, format="other/2"),
        "is of the format other/2, not of asset-ledger-export/1",
    ),
    "another root": (
        lambda export: manifest(export, root=base64.b64encode(bytes(32)).decode()),
        "events.ndjson is damaged in line 12: there are 12 with the root",
    ),
    "another log": (
        lambda export: manifest(export, log_id="0" * 32),
        "events.ndjson is damaged in line 1: it does not open the log",
    ),
    "a missing file": (lambda export: (export / "keys.ndjson").unlink(), "cannot be read"),
    "a file that is not named": (
        lambda export: manifest(export, files={}),
        "it does not name contents.ndjson",
    ),
}


def pipe(file: Path) -> None:
    """Put a named pipe, which has no writer, in the place of a file."""
    file.unlink()
    os.mkfifo(file)


def forge_key(export: Path, **changed: Any) -> None:
    """Change an idempotency key, and the manifest with it."""
    change(export / "keys.ndjson", 1, lambda key: key.update(changed))
    files = json.loads((export / "ledger.json").read_bytes())["files"]
    manifest(export, files={**files, "keys.ndjson": of(export, "keys.ndjson")})


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_export_is_refused_with_its_place_and_leaves_nothing(
    copy_of_export: Path, data_dir: Path, name: str
) -> None:
    damage, message = DAMAGES[name]
    damage(copy_of_export)

    refusal = imported(copy_of_export, data_dir).exception

    assert isinstance(refusal, SourceError)
    assert message in str(refusal)
    assert not data_dir.exists() or left_in(data_dir) == set()


def test_an_export_that_lacks_a_content_is_refused(copy_of_export: Path, data_dir: Path) -> None:
    digest = json.loads(drop_line(copy_of_export / "contents.ndjson", 1))["digest"]
    files = json.loads((copy_of_export / "ledger.json").read_bytes())["files"]
    manifest(
        copy_of_export, files={**files, "contents.ndjson": of(copy_of_export, "contents.ndjson")}
    )

    refusal = imported(copy_of_export, data_dir).exception

    assert f"{digest} is not among the contents" in str(refusal)


def test_import_and_export_refuse_a_folder_with_files(
    original: Path, export: Path, tmp_path: Path
) -> None:
    before = rows(original, "stored_events")

    assert isinstance(imported(export, original).exception, DataFolderError)
    result = command("export", "ledger", export, "--data-dir", original)

    assert isinstance(result.exception, DataFolderError)
    assert rows(original, "stored_events") == before


async def test_an_import_into_a_folder_in_use_names_the_process(
    export: Path, data_dir: Path
) -> None:
    async with serving(Settings(data_dir=data_dir)):
        result = await asyncio.to_thread(imported, export, data_dir)

    assert "is in use by process" in str(result.exception)


@pytest.mark.parametrize("step", ["importing contents", "importing events"])
async def test_an_interrupted_import_is_not_served_and_can_go_on(
    original: Path, export: Path, data_dir: Path, step: str
) -> None:
    with pytest.raises(KeyboardInterrupt):
        await import_ledger(export, data_dir, interrupted_at(step))
    assert UNFINISHED in left_in(data_dir)
    with pytest.raises(DataFolderError, match="was interrupted: run it again"):
        async with serving(Settings(data_dir=data_dir)):
            pass

    await import_ledger(export, data_dir, no_progress)

    assert rows(data_dir, "stored_events") == rows(original, "stored_events")


async def test_an_import_goes_on_after_a_kill_during_the_creation_of_its_log(
    original: Path, export: Path, data_dir: Path
) -> None:
    data_dir.mkdir()
    (data_dir / UNFINISHED).touch()
    (data_dir / f"{UNFINISHED}-journal").touch()  # SQLite has one until the file is in WAL mode

    await import_ledger(export, data_dir, no_progress)

    assert rows(data_dir, "stored_events") == rows(original, "stored_events")


async def test_an_interrupted_import_refuses_another_export(
    export: Path, data_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        await import_ledger(export, data_dir, interrupted_at("importing events"))
    await fill(tmp_path / "other")
    out = ("export", "ledger", tmp_path / "out", "--data-dir", tmp_path / "other")
    await asyncio.to_thread(command, *out)

    with pytest.raises(SourceError, match="is not the export that was interrupted here"):
        await import_ledger(tmp_path / "out", data_dir, no_progress)


@pytest.mark.parametrize("kind", ["BLOB", "TEXT"])
def test_a_tampered_ledger_is_not_exported(original: Path, tmp_path: Path, kind: str) -> None:
    data = Path(shutil.copytree(original, tmp_path / "data"))
    with without_triggers(data / "ledger.db") as db:
        changed = f"CAST(replace(state, 'a.png', 'x.png') AS {kind})"
        db.execute(f"UPDATE stored_events SET state = {changed} WHERE rowid = 4")

    result = command("export", "ledger", tmp_path / "out", "--data-dir", data)

    assert isinstance(result.exception, CorruptLogError)
    assert "event 4 was changed" in str(result.exception)
    assert not (tmp_path / "out" / "ledger.json").exists()


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_a_ledger_with_a_missing_or_changed_content_is_not_exported(
    original: Path, tmp_path: Path, damage: str
) -> None:
    data = Path(shutil.copytree(original, tmp_path / "data"))
    (large,) = data.rglob("objects/*/*/*")
    large.unlink() if damage == "gone" else flip(large)

    result = command("export", "ledger", tmp_path / "out", "--data-dir", data)

    assert isinstance(result.exception, CorruptLogError)
    assert "which event 5 names" in str(result.exception)


def interrupted_at(step: str) -> Progress:
    """Return a progress that raises KeyboardInterrupt at the first report of a step."""

    def interrupt(reported: str, done: int, total: int) -> None:
        if reported == step:
            raise KeyboardInterrupt

    return interrupt


def altered_leaf(event: dict[str, Any]) -> None:
    leaf = base64.b64decode(event["leaf"])
    event["leaf"] = base64.b64encode(leaf.replace(b'"by":"1"', b'"by":"2"')).decode()


def altered_bytes(content: dict[str, Any]) -> None:
    content["bytes"] = base64.b64encode(b"other").decode()


def altered_note(checkpoint: dict[str, Any]) -> None:
    origin, size, _, *rest = checkpoint["note"].split("\n")
    other = base64.b64encode(bytes(32)).decode()
    checkpoint["note"] = "\n".join([origin, size, other, *rest])


def cut(file: Path, count: int) -> None:
    file.write_bytes(file.read_bytes()[:-count])


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def drop_last_lines(file: Path, count: int) -> None:
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:-count]))


def drop_line(file: Path, number: int) -> bytes:
    lines = file.read_bytes().splitlines(keepends=True)
    dropped = lines.pop(number - 1)
    file.write_bytes(b"".join(lines))
    return dropped


def manifest(export: Path, **changed: Any) -> None:
    path = export / "ledger.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **changed}))


def of(export: Path, name: str) -> dict[str, Any]:
    content = (export / name).read_bytes()
    return {"lines": content.count(b"\n"), "sha256": sha256(content).hexdigest()}


async def test_an_import_carries_tokens_and_their_revocations(tmp_path: Path) -> None:
    made = {}
    for name in ("kept", "revoked"):
        create = ("token", "create", "--data-dir", tmp_path / "data", "--user", name, "--json")
        made[name] = json.loads((await asyncio.to_thread(command, *create)).output)
    revoke = ("token", "revoke", made["revoked"]["id"], "--data-dir", tmp_path / "data")
    await asyncio.to_thread(command, *revoke)
    export = ("export", "ledger", tmp_path / "out", "--data-dir", tmp_path / "data")
    await asyncio.to_thread(command, *export)
    await import_ledger(tmp_path / "out", tmp_path / "in", no_progress)

    async with serving(Settings(data_dir=tmp_path / "in", auth="tokens")) as api:
        answers = [
            await api.get("/api/assets", Authorization=f"Bearer {each['token']}")
            for each in made.values()
        ]

    assert [answer.status for answer in answers] == [200, 401]
