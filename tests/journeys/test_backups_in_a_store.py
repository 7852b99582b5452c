"""Backups in a real object store: incremental, after kills, and with the layout of a folder."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import obstore
import pytest
from click.testing import CliRunner
from obstore.store import S3Store

from asset_ledger.api.backup.objects import Objects
from asset_ledger.api.cli import cli
from asset_ledger.ledger.content import packs
from tests.environment import set_only
from tests.journeys.audit import events_in
from tests.journeys.server import Server, program, run, serving, until
from tests.s3 import S3, serving_s3

pytestmark = pytest.mark.slow

MIB = 1 << 20
RANDOM = Random("store")


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with serving_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(autouse=True)
def _credentials(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    set_only(monkeypatch, "AWS_", s3.environment)


def upload(server: Server, *sizes: int) -> list[str]:
    """Upload contents of these sizes with the command line; return the ids of the assets."""
    files = []
    for number, size in enumerate(sizes):
        files.append(server.data_dir.with_name(f"{len(events_in(server.data_dir))}-{number}.bin"))
        files[-1].write_bytes(RANDOM.randbytes(size))
    done = run("put", *files, "--url", server.url, "--json")
    assert done.returncode == 0, done.stderr
    return [asset["id"] for asset in json.loads(done.stdout)["assets"]]


def create(data_dir: Path, dest: str | Path, *flags: str) -> Any:
    done = run("backup", "create", dest, "--data-dir", data_dir, "--json", *flags)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def names_in(prefix: str) -> dict[str, int]:
    """Return the names and sizes of the objects under a prefix."""
    store = S3Store("backups", prefix=prefix, client_options={"allow_http": True})
    return {each["path"]: each["size"] for page in obstore.list(store) for each in page}


def files_in(folder: Path) -> dict[str, int]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != "lock")
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in found}


def restored(dest: str | Path, folder: Path) -> Path:
    """Restore the newest backup, which ends with a check of everything. Return the folder."""
    done = run("backup", "restore", dest, "--data-dir", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_backups_in_a_store_are_incremental_and_those_of_a_folder(
    tmp_path: Path, data_dir: Path
) -> None:
    url, folder = "s3://backups/nightly", tmp_path / "backups"
    with serving(data_dir) as server:
        upload(server, 10, 70_000, 20 * MIB)
        first = [create(data_dir, dest, "--with-key") for dest in (url, folder)]
        upload(server, 11, 80_000)
        second = [create(data_dir, dest) for dest in (url, folder)]
        third = create(data_dir, url)

    for remote, local in (first, second):
        assert {**remote, "made_at": ""} == {**local, "made_at": ""}
    assert (first[0]["contents"], second[0]["contents"], third["contents"]) == (3, 2, 0)
    remote = {name for name in names_in("nightly") if not name.startswith("backups/00000003")}
    assert remote == {name for name in files_in(folder) if not name.endswith(("-wal", "-shm"))}
    listed = run("backup", "list", url)
    assert [line[0] for line in listed.stdout.splitlines()] == ["1", "2", "3"]
    copy = restored(url, tmp_path / "copy")
    assert events_in(copy) == events_in(data_dir)
    assert (copy / "checkpoint.key").exists()


@pytest.mark.parametrize("where", ["s3://backups/large", "folder"])
def test_contents_of_a_store_are_copied_into_a_backup_in_a_store(
    tmp_path: Path, data_dir: Path, where: str
) -> None:
    content_url = where if ":" in where else str(tmp_path / where)
    url = f"s3://backups/copied-{where[:2]}"
    with serving(data_dir, "--content-url", content_url) as server:
        upload(server, 0, 10, 70_000, 20 * MIB)
        assert create(data_dir, url)["contents"] == 4
    large = [size for name, size in names_in(url.rpartition("/")[2]).items() if "objects/" in name]
    assert sorted(large) == [70_000, 20 * MIB]

    copy = restored(url, tmp_path / "copy")
    assert events_in(copy) == events_in(data_dir)


@pytest.mark.parametrize("size", [0, 3 * MIB, 40 * MIB])
def test_an_object_is_there_once_all_of_its_pieces_are_read(size: int) -> None:
    objects = Objects("s3://backups/pieces")
    pieces = [bytes(MIB)] * (size // MIB)

    def broken() -> Iterator[bytes]:
        yield from pieces
        raise OSError("the disk failed")

    with pytest.raises(OSError, match="the disk failed"):
        objects.write("object", size, broken())
    assert objects.size("object") is None
    objects.write("object", size, iter(pieces))
    assert objects.size("object") == size
    objects.delete("object")


@pytest.mark.parametrize("with_server", [True, False])
def test_damage_is_repaired_from_a_store(data_dir: Path, with_server: bool) -> None:
    url = f"s3://backups/repairs-{with_server}"
    with serving(data_dir) as server:
        upload(server, 10, 70_000, 9 * MIB, 0)
        create(data_dir, url)
        upload(server, 80_000)
        if not with_server:
            assert server.stop() == 0
        for path in sorted((data_dir / "content").rglob("*")):
            if path.is_file() and path.parent.name != "uploads":
                path.write_bytes(b"damaged")
        done = run("scrub", "--from", url, "--data-dir", data_dir, "--json")

    reports = [json.loads(line) for line in done.stdout.splitlines()]
    outcomes = [each["reason"] for each in reports if "repaired" in each and "reason" in each]
    assert sorted(map(str, outcomes)) == ["None"] * 4 + ["the backup does not have it"]
    assert (reports[-1]["repaired"], reports[-1]["damaged"]) == (4, 1)


def test_killed_backup_to_a_store_is_completed_by_the_next(tmp_path: Path, data_dir: Path) -> None:
    url = "s3://backups/killed"
    with serving(data_dir) as server:
        upload(server, *([5] * 5 + [9 * MIB] * 5))
        for steps in (0, 2):
            kill_after(steps, url, data_dir)
        upload(server, 6)
        create(data_dir, url)

    copy = restored(url, tmp_path / "copy")
    assert events_in(copy) == events_in(data_dir)


def kill_after(steps: int, url: str, data_dir: Path) -> None:
    """Start a backup, and kill it after it has stored a number of objects, or ended."""
    with program("backup", "create", url, "--data-dir", data_dir) as command:
        until(
            lambda: command.poll() is not None or len(names_in("killed")) > steps, "it got this far"
        )
        command.kill()
    assert command.returncode in (0, -signal.SIGKILL)


def test_pruned_backups_lack_only_what_older_ones_need(tmp_path: Path, data_dir: Path) -> None:
    dests: list[str | Path] = ["s3://backups/pruned", tmp_path / "backups"]
    with serving(data_dir) as server:
        deleted = upload(server, MIB, *([60_000] * 8))
        upload(server, 2 * MIB, 50_000)
        for dest in dests:
            create(data_dir, dest)
        assert run("rm", *deleted, "--url", server.url).returncode == 0
        assert server.stop() == 0
    done = run("gc", "--apply", "--retain-deleted", "0", "--data-dir", data_dir)
    assert done.returncode == 0, done.stderr

    for dest in dests:
        create(data_dir, dest)
        assert pruned(dest, 2) == {"events": 0, "contents": 0, "size": 0}
        done = pruned(dest, 1)
        assert (done["contents"], done["size"]) == (9, MIB + 480_000)
        left = names_in("pruned") if isinstance(dest, str) else files_in(dest)
        assert sum(size for name, size in left.items() if "objects/" in name) == 2 * MIB
        assert sum(size for name, size in left.items() if "packs/" in name) < 60_000
        copy = restored(dest, tmp_path / f"copy{len(left)}-{isinstance(dest, str)}")
        assert events_in(copy) == events_in(data_dir)
    assert pruned(dests[0], 1)["contents"] == 0
    assert create(data_dir, dests[0])["contents"] == 0


def test_a_prune_of_many_packs_keeps_what_it_moves(
    tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, gone = "s3://backups/many-packs", list[str]()
    monkeypatch.setattr(packs, "PACK_SIZE", 1)  # each backup begins a pack
    with serving(data_dir) as server:
        for _ in range(10):
            gone += upload(server, *([60_000] * 10))[1:]
            made = CliRunner().invoke(cli, ["backup", "create", url, "--data-dir", str(data_dir)])
            assert made.exit_code == 0, made.output
        assert run("rm", *gone, "--url", server.url).returncode == 0
        assert server.stop() == 0
    assert run("gc", "--apply", "--retain-deleted", "0", "--data-dir", data_dir).returncode == 0
    create(data_dir, url)
    assert sum("packs/" in name for name in names_in("many-packs")) == 10

    assert pruned(url, 1)["contents"] == 90

    assert sum("packs/" in name for name in names_in("many-packs")) == 1
    restored(url, tmp_path / "copy")


def pruned(dest: str | Path, keep: int) -> Any:
    done = run("backup", "prune", dest, "--keep", str(keep), "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_refusals_of_a_store_are_one_line(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (data_dir, tmp_path / "other"):
        with serving(folder) as server:
            upload(server, 5)
    create(data_dir, "s3://backups/refused")

    other = run("backup", "create", "s3://backups/refused", "--data-dir", tmp_path / "other")
    unknown = run("backup", "create", "ftp://backups/x", "--data-dir", data_dir)
    absent = run("backup", "list", "s3://absent/x")
    empty = run("backup", "restore", "s3://backups/empty", "--data-dir", tmp_path / "copy")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    wrong = run("backup", "list", "s3://backups/refused")

    for done, text in (
        (other, "another ledger"),
        (unknown, "s3://"),
        (empty, "no complete backup"),
        (absent, "bucket does not exist"),
        (wrong, "signature"),
    ):
        assert done.returncode == 2, done.stderr
        assert text in done.stderr
        assert done.stderr.count("\n") == 1
