"""`asset-ledger doctor`: a line for each check, with what to do."""

import asyncio
import json
import shutil
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from asset_ledger.api.cli.checkup import file_system
from asset_ledger.api.settings import Settings
from tests.api.damage import content_file, flip
from tests.api.running import serving
from tests.journeys.server import run
from tests.journeys.server import serving as process

pytestmark = pytest.mark.slow

FINE, FAILED = 0, 1
LARGE = b"large" * 100_000


def doctor(
    data_dir: Path, *flags: str | Path, code: int = FINE, before: list[str] | None = None
) -> dict[str, Any]:
    """Return the checks by name."""
    done = run(
        *("doctor", "--json", "--port", "0", "--data-dir", data_dir, *flags), before=before or []
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert done.stderr == ""
    return {each["name"]: each for each in map(orjson.loads, done.stdout.splitlines())}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data_dir = tmp_path_factory.mktemp("original") / "data"

    async def record() -> None:
        async with serving(Settings(data_dir=data_dir)) as api:
            await api.created(LARGE)

    asyncio.run(record())
    return data_dir


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "data"))


def test_a_ledger_that_is_backed_up_is_fine_beside_its_server(folder: Path) -> None:
    with process(folder) as server:
        assert run("backup", "create", folder.with_name("b"), "--data-dir", folder).returncode == 0
        found = doctor(folder)

    assert {each["state"] for each in found.values()} == {"ok"}, found
    assert {*found} >= {"versions", "folder", "disk", "clock", "port", "key", "backup", "ledger"}
    assert server.url in found["port"]["what"]
    assert f"2 events in {folder.with_name('b')}" in found["backup"]["what"]


def test_a_new_folder_has_warnings_only(tmp_path: Path) -> None:
    found = doctor(tmp_path / "new")

    assert {name for name, each in found.items() if each["state"] != "ok"} == {"folder", "ledger"}
    assert not (tmp_path / "new").exists()


def test_a_folder_that_others_can_enter_is_a_warning(folder: Path) -> None:
    folder.chmod(0o755)

    assert doctor(folder)["folder"]["todo"].endswith(f"chmod 700 {folder}")


def test_a_file_instead_of_the_folder_fails(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    found = doctor(tmp_path / "file", code=FAILED)

    assert found["folder"]["state"] == "failed"


def test_a_port_in_use_fails(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = doctor(folder, "--port", str(port), code=FAILED)

    assert found["port"]["what"] == f"127.0.0.1, port {port}: Address already in use"


def test_a_missing_key_fails_with_what_to_do(folder: Path) -> None:
    (folder / "checkpoint.key").unlink()

    assert "restore" in doctor(folder, code=FAILED)["key"]["todo"]


def test_a_key_that_others_can_read_fails(folder: Path) -> None:
    (folder / "checkpoint.key").chmod(0o644)

    assert doctor(folder, code=FAILED)["key"]["todo"] == f"chmod 600 {folder}/checkpoint.key"


def test_a_missing_backup_and_an_old_one_are_warnings(folder: Path) -> None:
    assert doctor(folder)["backup"]["what"] == "no backup was made"

    made_at = datetime.now(UTC) - timedelta(days=3)
    note = {"made_at": made_at.isoformat(), "target": "b", "events": 2}
    (folder / "backup.json").write_text(json.dumps(note))
    old = doctor(folder)["backup"]
    assert (old["state"], old["what"]) == ("warning", "2 events in b, 72.0 hours ago")
    (folder / "backup.json").write_text("{")
    assert doctor(folder)["backup"]["what"] == "no backup was made"


def test_a_content_that_a_scrub_found_damaged_fails(folder: Path) -> None:
    flip(100)(content_file(folder, True))
    assert run("scrub", "--data-dir", folder).returncode == 1

    found = doctor(folder, code=FAILED)["scrub"]

    assert found["what"].startswith("1 damaged: sha256:")


def test_a_damaged_log_fails_in_one_line(folder: Path) -> None:
    (folder / "ledger.db").write_bytes(b"x" * 100_000)

    assert doctor(folder, code=FAILED)["ledger"]["state"] == "failed"


def test_a_clock_behind_the_last_event_fails(folder: Path) -> None:
    log = folder / "ledger.db"
    data = log.read_bytes()
    year = datetime.now(UTC).strftime('"recorded_at":"%Y-').encode()
    log.write_bytes(data.replace(year, b'"recorded_at":"2999-'))

    assert "Set the clock right" in doctor(folder, code=FAILED)["clock"]["todo"]


def test_tokens_without_a_token_are_a_warning(folder: Path) -> None:
    assert doctor(folder, "--auth", "tokens")["tokens"]["todo"] == "asset-ledger token create"
    assert run("token", "create", "--data-dir", folder, "--scope", "read").returncode == 0
    assert "tokens" not in doctor(folder, "--auth", "tokens")


def test_a_misspelt_variable_and_an_open_file_of_settings_are_warnings(
    folder: Path, tmp_path: Path
) -> None:
    config = tmp_path / "settings.toml"
    config.write_text(f'jwt_key = "{"s" * 40}"')
    config.chmod(0o644)

    found = doctor(folder, "--config", config)
    misspelt = run("doctor", "--data-dir", folder, before=["env", "ASSET_LEDGER_PROT=1"])

    assert found["settings"]["todo"] == f"chmod 600 {config}"
    assert "ASSET_LEDGER_PROT is not a setting: did you mean ASSET_LEDGER_PORT?" in misspelt.stdout


def test_invalid_settings_are_refused_in_one_line(folder: Path, tmp_path: Path) -> None:
    config = tmp_path / "settings.toml"
    config.write_text("prot = 1")

    done = run("doctor", "--config", config)

    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)


@pytest.mark.parametrize(
    ("folder", "kind"),
    [("/srv/data", "nfs4"), ("/srv", "ext4"), ("/srv/data2", "ext4"), ("/mnt/my disk/x", "cifs")],
)
def test_the_file_system_is_that_of_the_nearest_mount(
    tmp_path: Path, folder: str, kind: str
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "22 21 0:40 / /srv/data rw shared:1 - nfs4 host:/x rw\n"
        "23 21 0:41 / /mnt/my\\040disk rw - cifs //host/x rw\n"
    )

    assert file_system(Path(folder), mounts) == kind
    assert file_system(Path(folder), tmp_path / "absent") == "unknown"
