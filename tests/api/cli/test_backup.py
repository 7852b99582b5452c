"""`asset-ledger backup`: create, list and restore, with real folders."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from asset_ledger.api.backup.files import BackupFolder
from asset_ledger.api.backup.prune import prune_backups
from asset_ledger.api.settings import Settings
from tests.api.damage import make_unreadable
from tests.api.running import Api, serving
from tests.journeys.audit import audit, events_in
from tests.journeys.server import LESS, run

pytestmark = pytest.mark.slow

FINE, FOUND, REFUSED = 0, 1, 2
LARGE = b"large" * 100_000
KEYED = {"Idempotency-Key": "try-1"}


async def fill(api: Api, name: str) -> None:
    """Record contents of either size, a retried write and a checkpoint."""
    await api.created(b"small " + name.encode(), name=f"{name}.png", job_id="j")
    await api.created(LARGE + name.encode(), name=f"{name}.bin")
    await api.created(b"shared", name=f"{name} shared")
    await api.upload(b"keyed", name="k", headers=KEYED)
    await api.get("/api/log/checkpoint")


def filled(data_dir: Path, *names: str) -> Path:
    async def record() -> None:
        async with serving(Settings(data_dir=data_dir)) as api:
            for name in names:
                await fill(api, name)

    asyncio.run(record())
    return data_dir


def create(data_dir: Path, dest: Path, *flags: str, code: int = FINE) -> list[Any]:
    done = run("backup", "create", dest, "--data-dir", data_dir, "--json", *flags)
    assert done.returncode == code, done.stdout + done.stderr
    return [orjson.loads(line) for line in done.stdout.splitlines()]


def restore(dest: Path, folder: Path, *flags: str, code: int = FINE) -> list[Any]:
    done = run("backup", "restore", dest, "--data-dir", folder, "--json", *flags)
    assert done.returncode == code, done.stdout + done.stderr
    return [orjson.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return filled(tmp_path_factory.mktemp("original") / "data", "one", "two")


@pytest.fixture(scope="module")
def backed_up(original: Path) -> Path:
    """A folder with one backup of `original`, with its key."""
    dest = original.with_name("backups")
    create(original, dest, "--with-key")
    return dest


@pytest.fixture
def dest(backed_up: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(backed_up, tmp_path / "backups"))


async def test_a_restored_ledger_has_the_same_history_and_replays_retries(
    original: Path, backed_up: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "restored"
    verified, summary = await asyncio.to_thread(restore, backed_up, folder)

    assert events_in(folder) == events_in(original)
    assert verified["contents"] == 6
    assert (summary["restored"], summary["of"], summary["has_key"]) == (8, 8, True)
    async with serving(Settings(data_dir=folder)) as api:
        retry = await api.upload(b"keyed", name="k", headers=KEYED)
        assert retry.headers["Idempotency-Replayed"] == "true"
        found = (await api.get("/api/assets?name=two.bin")).json["assets"]
        content = await api.get(found[0]["get_url"])
        assert content.body == LARGE + b"two"
        assert (await api.get("/api/log/checkpoint")).status == 200
    audit(folder)


async def test_a_backup_beside_a_server_adds_only_what_is_new(data_dir: Path, dest: Path) -> None:
    shutil.rmtree(dest)
    async with serving(Settings(data_dir=data_dir)) as api:
        await fill(api, "one")
        (first,) = await asyncio.to_thread(create, data_dir, dest)
        packs = {path: path.stat().st_size for path in (dest / "content/packs").iterdir()}
        await fill(api, "two")
        (second,) = await asyncio.to_thread(create, data_dir, dest)
        (third,) = await asyncio.to_thread(create, data_dir, dest)

    assert (first["first"], first["events"], first["contents"]) == (1, 5, 4)
    assert (second["first"], second["events"], second["contents"]) == (6, 8, 2)
    assert (third["events"], third["contents"], third["size"]) == (8, 0, 0)
    assert all(path.stat().st_size >= size for path, size in packs.items())
    assert [each["number"] for each in listed(dest)] == [1, 2, 3]
    verified, summary = await asyncio.to_thread(restore, dest, data_dir.with_name("restored"))
    assert (verified["contents"], summary["has_key"]) == (6, False)


def listed(dest: Path) -> list[Any]:
    done = run("backup", "list", dest, "--json")
    assert done.returncode == FINE, done.stderr
    return [orjson.loads(line) for line in done.stdout.splitlines()]


def test_a_backup_holds_the_key_of_its_own_time(data_dir: Path, tmp_path: Path) -> None:
    filled(data_dir, "one")
    create(data_dir, tmp_path / "b", "--with-key")
    assert run("key", "rotate", "--data-dir", data_dir).returncode == FINE
    create(data_dir, tmp_path / "b", "--with-key")

    restore(tmp_path / "b", tmp_path / "new")
    restore(tmp_path / "b", tmp_path / "old", "--upto", "3")

    assert run("verify", "--data-dir", tmp_path / "new").returncode == FINE
    assert run("verify", "--data-dir", tmp_path / "old").returncode == FINE
    assert (tmp_path / "new/checkpoint.key").stat().st_mode & 0o077 == 0


def test_a_backup_without_the_key_is_refused_where_the_key_is_wrong(
    data_dir: Path, tmp_path: Path
) -> None:
    filled(data_dir, "one")
    (data_dir / "checkpoint.key").write_text("no key")

    done = run("backup", "create", tmp_path / "b", "--data-dir", data_dir, "--with-key")

    assert (done.returncode, done.stdout) == (REFUSED, "")
    assert "or make the backup without --with-key" in done.stderr
    create(data_dir, tmp_path / "b")


def lose_object(data_dir: Path) -> None:
    next(path for path in (data_dir / "content/objects").rglob("*") if path.is_file()).unlink()


def change_object(data_dir: Path) -> None:
    path = next(path for path in (data_dir / "content/objects").rglob("*") if path.is_file())
    path.write_bytes(bytes(path.stat().st_size))


def change_pack(data_dir: Path) -> None:
    path = data_dir / "content/packs/00000001.pack"
    path.write_bytes(path.read_bytes().replace(b"small one", b"small ONE"))


def make_object_unreadable(data_dir: Path) -> None:
    make_unreadable(next(p for p in (data_dir / "content/objects").rglob("*") if p.is_file()))


def test_a_content_that_the_disk_cannot_read_keeps_no_other_from_its_backup(
    data_dir: Path, tmp_path: Path
) -> None:
    filled(data_dir, "one", "two")
    make_object_unreadable(data_dir)

    missing, made = create(data_dir, tmp_path / "b", code=FOUND)

    assert missing["reason"] == "cannot be read: Is a directory"
    assert (made["events"], made["contents"]) == (8, 5)


@pytest.mark.parametrize("harm", [lose_object, change_object, change_pack])
async def test_a_damaged_content_is_reported_until_it_is_repaired(
    data_dir: Path, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    async with serving(Settings(data_dir=data_dir)) as api:
        await fill(api, "one")
    harm(data_dir)

    missing, made = await asyncio.to_thread(create, data_dir, tmp_path / "b", code=FOUND)
    assert made["missing"] == {missing["digest"]: missing["size"]}
    await asyncio.to_thread(create, data_dir, tmp_path / "b", code=FOUND)
    async with serving(Settings(data_dir=data_dir)) as api:
        await fill(api, "one")  # the same bytes

    (repaired,) = await asyncio.to_thread(create, data_dir, tmp_path / "b")
    assert repaired["missing"] == {}
    await asyncio.to_thread(restore, tmp_path / "b", tmp_path / "restored")


def test_a_content_that_was_damaged_after_its_backup_is_restored(
    data_dir: Path, tmp_path: Path
) -> None:
    filled(data_dir, "one")
    create(data_dir, tmp_path / "b")
    change_pack(data_dir)
    lose_object(data_dir)

    create(data_dir, tmp_path / "b")

    verified, _ = restore(tmp_path / "b", tmp_path / "restored")
    assert verified["contents"] == 4


def damage_event(dest: Path) -> None:
    path = dest / "backups/00000001/events.ndjson"
    path.write_bytes(path.read_bytes().replace(b'"one.png"', b'"two.png"'))


def lose_event(dest: Path) -> None:
    path = dest / "backups/00000001/events.ndjson"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def damage_manifest(dest: Path) -> None:
    path = dest / "backups/00000001/ledger.json"
    path.write_bytes(path.read_bytes().replace(b'"root": "', b'"root": "AAAA'))


def lose_manifest(dest: Path) -> None:
    (dest / "backups/00000001/ledger.json").unlink()


@pytest.mark.parametrize("harm", [damage_event, lose_event, damage_manifest, lose_manifest])
def test_a_damaged_backup_is_refused_in_one_line(
    dest: Path, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    harm(dest)

    done = run("backup", "restore", dest, "--data-dir", tmp_path / "new")

    assert (done.returncode, done.stdout) == (REFUSED, "")
    assert done.stderr.startswith("asset-ledger: ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "new/ledger.db").exists()


@pytest.mark.parametrize("harm", [lose_object, change_object, make_object_unreadable, change_pack])
def test_a_content_that_the_backup_has_lost_is_a_finding_of_the_restore(
    dest: Path, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    harm(dest)

    finding, *_ = restore(dest, tmp_path / "new", code=FOUND)

    assert finding["what"] == "there is no content with the digest that it names"


@pytest.mark.parametrize("upto", ["5", "{time}"])
async def test_an_earlier_position_is_restored_read_only_until_its_fork_is_accepted(
    original: Path, dest: Path, tmp_path: Path, upto: str
) -> None:
    folder = tmp_path / "earlier"
    time = events_in(original)[4].fields["recorded_at"]
    flags = ["--upto", upto.format(time=time)]

    _, summary = await asyncio.to_thread(restore, dest, folder, *flags)

    assert (summary["restored"], summary["of"]) == (5, 8)
    assert events_in(folder) == events_in(original)[:5]
    async with serving(Settings(data_dir=folder)) as api:
        refused = await api.upload(b"new", name="new")
        assert (refused.status, refused.slug) == (503, "storage-failed")
        assert "read-only: restore it with --accept-fork" in refused.json["detail"]
        assert len((await api.get("/api/assets")).json["assets"]) == 4
        assert (await api.get("/api/log/checkpoint")).status == 503
    await asyncio.to_thread(restore, dest, folder, *flags, "--accept-fork")
    async with serving(Settings(data_dir=folder)) as api:
        await api.created(b"new", name="new")
        events = (await api.get("/api/events?all=true&topic=ledger.forked")).json["events"]
    assert [(each["position"], each["data"]["original_events"]) for each in events] == [(6, 8)]
    assert run("verify", "--data-dir", folder).returncode == FINE
    refused_again = run("backup", "create", dest, "--data-dir", folder)
    assert (refused_again.returncode, refused_again.stdout) == (REFUSED, "")
    assert "Name a new folder" in refused_again.stderr


@pytest.mark.skipif(not LESS, reason="root can write everywhere, and there is no setpriv")
def test_backups_on_a_read_only_disk_are_restored_and_repair(
    original: Path, dest: Path, tmp_path: Path
) -> None:
    harmed = Path(shutil.copytree(original, tmp_path / "harmed"))
    change_pack(harmed)
    for folder in (dest, *(path for path in dest.rglob("*") if path.is_dir())):
        folder.chmod(0o500)

    restored = run("backup", "restore", dest, "--data-dir", tmp_path / "new", before=LESS)
    repaired = run("scrub", "--from", dest, "--data-dir", harmed, before=LESS)

    assert (restored.returncode, repaired.returncode) == (FINE, FINE), restored.stderr
    assert "new has 8 of 8 events" in restored.stdout
    assert "1 repaired; 0 damaged" in repaired.stdout


@pytest.mark.parametrize("command", ["token create", "s3-key create", "key rotate"])
def test_a_folder_for_inspection_records_no_event_of_a_command(
    backed_up: Path, tmp_path: Path, command: str
) -> None:
    folder = tmp_path / "earlier"
    restore(backed_up, folder, "--upto", "5")

    done = run(*command.split(), "--data-dir", folder)

    assert (done.returncode, done.stdout) == (REFUSED, "")
    assert "read-only: restore it with --accept-fork" in done.stderr
    assert done.stderr.count("\n") == 1
    (forked,) = restore(backed_up, folder, "--accept-fork")
    assert forked == {"forked": 6}
    assert [each.topic for each in events_in(folder)[5:]] == ["ledger.forked"]


def test_a_prune_keeps_what_a_backup_needs_that_ends_before_it(
    data_dir: Path, tmp_path: Path
) -> None:
    file, dest = tmp_path / "a.txt", tmp_path / "b"
    file.write_bytes(b"collected, and stored again")

    class RacedFolder(BackupFolder):
        """A folder in which a backup ends just before a prune takes its lock."""

        @contextmanager
        def held(self, _: Path | None = None) -> Iterator[None]:
            create(data_dir, self.root)
            with super().held():
                yield

    def step(*arguments: str | Path) -> None:
        done = run(*arguments, "--data-dir", data_dir)
        assert done.returncode == FINE, done.stderr

    step("put", file)
    create(data_dir, dest)
    step("rm", file.name)
    step("gc", "--apply", "--retain-deleted", "0")
    create(data_dir, dest)
    step("put", file)

    prune_backups(RacedFolder(dest), 1, lambda *_: None)

    verified, _ = restore(dest, tmp_path / "restored")
    assert verified["contents"] == 1


def test_restore_refuses_a_folder_that_is_not_empty(dest: Path, original: Path) -> None:
    done = run("backup", "restore", dest, "--data-dir", original)

    assert (done.returncode, done.stdout) == (REFUSED, "")
    assert "is not empty" in done.stderr


@pytest.mark.parametrize("upto", ["0", "9", "1999-01-01T00:00:00Z", "yesterday"])
def test_restore_refuses_a_position_that_no_backup_has(
    dest: Path, tmp_path: Path, upto: str
) -> None:
    done = run("backup", "restore", dest, "--data-dir", tmp_path / "new", "--upto", upto)

    assert (done.returncode, done.stdout) == (REFUSED, "")
    assert done.stderr.count("\n") == 1


def inside(data_dir: Path, _: Path) -> Path:
    return data_dir / "backups"


def same(data_dir: Path, _: Path) -> Path:
    return data_dir


def foreign(_: Path, tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").touch()
    return tmp_path / "photos"


def other_ledger(_: Path, tmp_path: Path) -> Path:
    create(filled(tmp_path / "other", "one"), tmp_path / "b")
    return tmp_path / "b"


@pytest.mark.parametrize("make", [inside, same, foreign, other_ledger])
def test_create_refuses_a_target_that_is_not_for_backups_of_this_ledger(
    original: Path, tmp_path: Path, make: Callable[[Path, Path], Path]
) -> None:
    target = make(original, tmp_path)

    done = run("backup", "create", target, "--data-dir", original)

    assert (done.returncode, done.stdout) == (REFUSED, "")
    assert done.stderr.count("\n") == 1
    assert not (original / "backups").exists()
