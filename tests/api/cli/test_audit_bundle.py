"""An audit bundle, checked by nothing but Python: what holds, what is refused, and why."""

import asyncio
import base64
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from asset_ledger.api.settings import Settings
from tests.api.cli.test_cli import in_thread
from tests.api.running import Api, serving
from tests.journeys.server import run

FINE, FAILED, REFUSED = 0, 1, 2


async def record_a_job(api: Api) -> dict[str, Any]:
    """A job of two contents under three digests, one of them replaced, and its end."""
    asset = await api.created(b"first", name="a.txt", node_id="n", job_id="j")
    await api.created(bytes(range(256)) * 300, name="large.bin", node_id="n", job_id="j")
    new = {"data": base64.b64encode(b"second").decode(), "data_encoding": "base64"}
    assert (await api.call("PUT", f"/api/assets/{asset['id']}", json=new)).status == 200
    await api.created(b"of another job", name="b.txt")
    await api.call("POST", "/api/jobs/j/finish", json={"status": "completed"})
    return dict(asset)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a ledger `data` with the job, and of its `bundle.zip`: nobody changes either."""

    async def record(folder: Path) -> None:
        async with serving(Settings(data_dir=folder)) as api:
            await record_a_job(api)

    home = tmp_path_factory.mktemp("made")
    asyncio.run(record(home / "data"))
    done = run("audit-bundle", "j", "-o", home / "bundle.zip", "--data-dir", home / "data")
    assert (done.returncode, done.stderr) == (FINE, "")
    return home


@pytest.fixture
def bundle(made: Path, tmp_path: Path) -> Path:
    """An unpacked bundle of the job, of one's own."""
    return unpacked(made / "bundle.zip", tmp_path / "bundle")


def judged(bundle: Path, *arguments: str | Path) -> tuple[int, str]:
    """What verify.py says: an isolated Python, so that nothing of ours is at hand."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", bundle / "verify.py", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def unpacked(bundle: Path, folder: Path) -> Path:
    with zipfile.ZipFile(bundle) as packed:
        packed.extractall(folder)
    return folder


def change(bundle: Path, file: str, edit: Callable[[Any], None]) -> None:
    document = json.loads((bundle / file).read_bytes())
    edit(document)
    (bundle / file).write_text(json.dumps(document), "utf-8")


def key_of(folder: Path) -> str:
    return run("key", "list", "--data-dir", folder).stdout.split()[-1]


def test_a_bundle_holds_and_says_what_it_does_not_show(bundle: Path, made: Path) -> None:
    code, said = judged(bundle, "--key", key_of(made / "data"))

    assert code == FINE
    assert "4 events are in that log" in said
    assert "3 files are the ones that the events name" in said
    assert "nothing is shown about events after position 6" in said
    assert said.endswith("The bundle holds.\n")


def test_the_zip_itself_can_be_checked(bundle: Path, made: Path) -> None:
    assert judged(bundle, made / "bundle.zip")[0] == FINE


def test_a_changed_file_is_refused(bundle: Path) -> None:
    file = min((bundle / "files").iterdir())
    file.write_bytes(b"changed" + file.read_bytes())

    code, said = judged(bundle)

    assert code == FAILED
    assert "the file was changed" in said


def test_a_missing_and_an_added_file_are_refused(bundle: Path) -> None:
    min((bundle / "files").iterdir()).rename(bundle / "files" / ("0" * 64))

    code, said = judged(bundle)

    assert code == FAILED
    assert "the file is missing" in said
    assert "no event names these files" in said


def test_a_forged_event_is_refused(bundle: Path) -> None:
    def forge(proof: Any) -> None:
        leaf = base64.b64decode(proof["events"][0]["leaf"])
        proof["events"][0]["leaf"] = base64.b64encode(leaf.replace(b"a.txt", b"b.txt")).decode()

    change(bundle, "proof.json", forge)

    assert judged(bundle) == (
        FAILED,
        judged(bundle)[1].splitlines()[0]
        + "\nWRONG  event 2: is not what the log has at this position\nThe bundle does NOT hold.\n",
    )


def test_an_event_left_out_is_refused(bundle: Path) -> None:
    change(bundle, "proof.json", lambda proof: proof["events"].pop(1))

    code, said = judged(bundle)

    assert code == FAILED
    assert "job_seq is not 1, 2, 3 ... without a hole: [1, 3, 4]" in said


def test_an_end_left_out_shows(bundle: Path) -> None:
    change(bundle, "proof.json", lambda proof: proof["events"].pop())

    assert "the job was not finished: its end may be missing here" in judged(bundle)[1]


def test_a_checkpoint_that_was_changed_is_refused(bundle: Path) -> None:
    def forge(proof: Any) -> None:
        proof["checkpoint"] = proof["checkpoint"].replace("\n6\n", "\n7\n")

    change(bundle, "proof.json", forge)

    assert "the signature of the checkpoint does not hold" in judged(bundle)[1]
    assert judged(bundle)[0] == FAILED


async def test_another_logs_key_or_checkpoint_is_refused(bundle: Path, tmp_path: Path) -> None:
    async with serving(Settings(data_dir=tmp_path / "other")) as api:
        note = (await api.get("/api/log/checkpoint")).body.decode()
    other = key_of(tmp_path / "other")

    code, said = judged(bundle, "--key", other)
    assert (code, "the checkpoint is of" in said) == (FAILED, True)

    change(bundle, "proof.json", lambda proof: proof.update(checkpoint=note, key=other))
    code, said = judged(bundle)
    assert (code, "its path does not fit a tree of 1 events" in said) == (FAILED, True)


@pytest.fixture
async def rotated(tmp_path: Path) -> tuple[Path, str]:
    """An unpacked bundle of a job in the middle of which the key was changed, and the first key."""
    folder = tmp_path / "data"
    async with serving(Settings(data_dir=folder)) as api:
        first = (await api.get("/api/log/key")).json["keys"][0]["key"]
        await api.created(b"before", job_id="j")
        for _ in range(2):
            await api.get("/api/log/checkpoint")
            await api.call("POST", "/api/log/key/rotate")
        await api.created(b"after", job_id="j")
        await record_a_job(api)
    done = run("audit-bundle", "j", "-o", tmp_path / "bundle.zip", "--data-dir", folder)
    assert (done.returncode, done.stderr) == (FINE, "")
    return unpacked(tmp_path / "bundle.zip", tmp_path / "bundle"), first


def test_a_bundle_over_a_change_of_the_key_holds_under_the_key_of_before(
    rotated: tuple[Path, str], tmp_path: Path
) -> None:
    bundle, first = rotated
    for key in (("--key", first), ("--key", key_of(tmp_path / "data")), ()):
        code, said = judged(bundle, *key)

        assert (code, said.count("the key was changed by event")) == (FINE, 2), said


def test_a_change_of_the_key_that_is_left_out_or_forged_is_refused(
    rotated: tuple[Path, str],
) -> None:
    bundle, first = rotated
    whole = (bundle / "proof.json").read_bytes()

    def forged(proof: Any) -> None:
        leaf = base64.b64decode(proof["rotations"][0]["leaf"])
        thief = leaf.replace(b'"old_signature":"', b'"old_signature":"AAAA', 1)
        proof["rotations"][0]["leaf"] = base64.b64encode(thief).decode()

    def moved(proof: Any) -> None:
        proof["rotations"][0]["position"] += 1

    def another(proof: Any) -> None:
        proof["rotations"][0] = proof["events"][0]

    for edit, reason in (
        (lambda proof: proof["rotations"].pop(), "was not signed with this key"),
        (lambda proof: proof["rotations"].pop(0), "was not signed with this key"),
        (forged, ""),
        (moved, "is not what the log has at this position"),
        (another, "what should be a change of this log's key is none"),
    ):
        change(bundle, "proof.json", edit)
        code, said = judged(bundle, "--key", first)
        assert (code, reason in said) == (FAILED, True), said
        (bundle / "proof.json").write_bytes(whole)


def test_garbage_is_refused_without_a_traceback(bundle: Path) -> None:
    (bundle / "proof.json").write_text("[]", "utf-8")

    assert judged(bundle)[0] == FAILED


async def test_a_server_gives_the_same_bundle_but_for_what_was_deleted(tmp_path: Path) -> None:
    async with serving(Settings(data_dir=tmp_path / "data")) as api:
        asset = await record_a_job(api)
        await api.call("DELETE", f"/api/assets/{asset['id']}")
        output = tmp_path / "bundle.zip"
        done = await in_thread("audit-bundle", "j", "-o", str(output), "--url", api.url)

    assert (done.returncode, done.stderr) == (FINE, "")
    assert done.stdout.count("not in it, for its asset is deleted: sha256:") == 2
    code, said = judged(unpacked(output, tmp_path / "bundle"))
    assert code == FINE
    assert said.count("the bundle comes without sha256:") == 2


@pytest.mark.parametrize("auth", ["local", "tokens"])
async def test_the_server_that_has_the_folder_signs_what_no_checkpoint_covers(
    tmp_path: Path, auth: Literal["local", "tokens"]
) -> None:
    folder, output = tmp_path / "data", tmp_path / "b.zip"
    async with serving(Settings(data_dir=folder)) as api:
        await record_a_job(api)
    async with serving(Settings(data_dir=folder, auth=auth)) as api:
        api.backend.lock.announce(api.url)
        done = await in_thread("audit-bundle", "j", "-o", str(output), "--data-dir", str(folder))
        again = await in_thread("audit-bundle", "j", "-o", str(output), "--data-dir", str(folder))

    assert (done.returncode, done.stderr) == (FINE, "")
    assert (again.returncode, again.stdout) == (FINE, done.stdout)
    code, said = judged(unpacked(output, tmp_path / "bundle"), "--key", key_of(folder))
    assert (code, "4 events are in that log" in said) == (FINE, True)


async def test_a_folder_whose_server_does_not_listen_is_refused(tmp_path: Path) -> None:
    async with serving(Settings(data_dir=tmp_path / "data")) as api:
        await api.created(b"x", job_id="j")
        command = ("audit-bundle", "j", "-o", tmp_path / "b.zip", "--data-dir", tmp_path / "data")
        refused = run(*command)
        await api.get("/api/log/checkpoint")
        done = run(*command)

    assert refused.returncode == REFUSED
    assert "is in use by process" in refused.stderr
    assert done.returncode == FINE


def test_an_unknown_job_is_refused(made: Path, tmp_path: Path) -> None:
    done = run("audit-bundle", "k", "-o", tmp_path / "b.zip", "--data-dir", made / "data")

    reason = "this user has no job k: check its id and the user (--user, or the token's)"
    assert (done.returncode, done.stderr) == (REFUSED, f"asset-ledger: {reason}\n")
    assert not (tmp_path / "b.zip").exists()
