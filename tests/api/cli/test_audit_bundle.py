"""An audit bundle, checked by its verifier in an isolated Python."""

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

pytestmark = pytest.mark.slow

FINE, FAILED, REFUSED = 0, 1, 2
NO_JOB = "asset-ledger: user 1 has no job k: check the id, or name the owner with --user\n"


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
    """A folder with a ledger `data` and the `bundle.zip` of its job. Tests must not change it."""

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
    """An unpacked bundle of the job, for one test."""
    return unpacked(made / "bundle.zip", tmp_path / "bundle")


def verified(bundle: Path, *arguments: str | Path) -> tuple[int, str]:
    """Run verify.py in an isolated Python, without our packages. Return exit code and output."""
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


def test_a_bundle_holds_and_names_what_it_does_not_prove(bundle: Path, made: Path) -> None:
    code, printed = verified(bundle, "--key", key_of(made / "data"))

    assert code == FINE
    assert "4 events are in that log" in printed
    assert "3 files are the ones that the events name" in printed
    assert "nothing is shown about events after position 6" in printed
    assert printed.endswith("The bundle holds.\n")


def test_a_zip_is_verified_without_unpacking(bundle: Path, made: Path) -> None:
    assert verified(bundle, made / "bundle.zip")[0] == FINE


def test_a_changed_file_is_refused(bundle: Path) -> None:
    file = min((bundle / "files").iterdir())
    file.write_bytes(b"changed" + file.read_bytes())

    code, printed = verified(bundle)

    assert code == FAILED
    assert "the file was changed" in printed


def test_a_missing_and_an_added_file_are_refused(bundle: Path) -> None:
    min((bundle / "files").iterdir()).rename(bundle / "files" / ("0" * 64))

    code, printed = verified(bundle)

    assert code == FAILED
    assert "the file is missing" in printed
    assert "no event names these files" in printed


def test_a_forged_event_is_refused(bundle: Path) -> None:
    def forge(proof: Any) -> None:
        leaf = base64.b64decode(proof["events"][0]["leaf"])
        proof["events"][0]["leaf"] = base64.b64encode(leaf.replace(b"a.txt", b"b.txt")).decode()

    change(bundle, "proof.json", forge)

    assert verified(bundle) == (
        FAILED,
        verified(bundle)[1].splitlines()[0]
        + "\nWRONG  event 2: is not what the log has at this position\nThe bundle does NOT hold.\n",
    )


def test_a_bundle_without_one_of_its_events_is_refused(bundle: Path) -> None:
    change(bundle, "proof.json", lambda proof: proof["events"].pop(1))

    code, printed = verified(bundle)

    assert code == FAILED
    assert "job_seq is not 1, 2, 3 ... without a hole: [1, 3, 4]" in printed


def test_a_bundle_without_its_last_event_has_a_note(bundle: Path) -> None:
    change(bundle, "proof.json", lambda proof: proof["events"].pop())

    assert "attempt 1 was not finished: its end may be missing here" in verified(bundle)[1]


def test_a_changed_checkpoint_is_refused(bundle: Path) -> None:
    def forge(proof: Any) -> None:
        proof["checkpoint"] = proof["checkpoint"].replace("\n6\n", "\n7\n")

    change(bundle, "proof.json", forge)

    assert "the signature of the checkpoint does not hold" in verified(bundle)[1]
    assert verified(bundle)[0] == FAILED


async def test_the_key_or_checkpoint_of_another_log_is_refused(
    bundle: Path, tmp_path: Path
) -> None:
    async with serving(Settings(data_dir=tmp_path / "other")) as api:
        note = (await api.get("/api/log/checkpoint")).body.decode()
    other = key_of(tmp_path / "other")

    code, printed = verified(bundle, "--key", other)
    assert (code, "the checkpoint is of" in printed) == (FAILED, True)

    change(bundle, "proof.json", lambda proof: proof.update(checkpoint=note, key=other))
    code, printed = verified(bundle)
    assert (code, "its path does not fit a tree of 1 events" in printed) == (FAILED, True)


@pytest.fixture
async def rotated(tmp_path: Path) -> tuple[Path, str]:
    """An unpacked bundle of a job with a key rotation between its events, and the first key."""
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


def test_a_bundle_with_key_rotations_holds_under_the_first_and_the_last_key(
    rotated: tuple[Path, str], tmp_path: Path
) -> None:
    bundle, first = rotated
    for key in (("--key", first), ("--key", key_of(tmp_path / "data")), ()):
        code, printed = verified(bundle, *key)

        assert (code, printed.count("the key was rotated by event")) == (FINE, 2), printed


def test_a_missing_or_forged_key_rotation_is_refused(
    rotated: tuple[Path, str],
) -> None:
    bundle, first = rotated
    whole = (bundle / "proof.json").read_bytes()

    def forge(proof: Any) -> None:
        leaf = base64.b64decode(proof["rotations"][0]["leaf"])
        forged = leaf.replace(b'"old_signature":"', b'"old_signature":"AAAA', 1)
        proof["rotations"][0]["leaf"] = base64.b64encode(forged).decode()

    def move(proof: Any) -> None:
        proof["rotations"][0]["position"] += 1

    def replace(proof: Any) -> None:
        proof["rotations"][0] = proof["events"][0]

    for edit, reason in (
        (lambda proof: proof["rotations"].pop(), "was not signed with this key"),
        (lambda proof: proof["rotations"].pop(0), "was not signed with this key"),
        (forge, ""),
        (move, "is not what the log has at this position"),
        (replace, "is not a rotation of this log's key"),
    ):
        change(bundle, "proof.json", edit)
        code, printed = verified(bundle, "--key", first)
        assert (code, reason in printed) == (FAILED, True), printed
        (bundle / "proof.json").write_bytes(whole)


def test_a_bundle_with_a_damaged_proof_is_refused_without_a_traceback(bundle: Path) -> None:
    (bundle / "proof.json").write_text("[]", "utf-8")

    assert verified(bundle)[0] == FAILED


async def test_a_bundle_from_a_server_lacks_deleted_contents(tmp_path: Path) -> None:
    async with serving(Settings(data_dir=tmp_path / "data")) as api:
        asset = await record_a_job(api)
        await api.call("DELETE", f"/api/assets/{asset['id']}")
        output = tmp_path / "bundle.zip"
        done = await in_thread("audit-bundle", "j", "-o", str(output), "--url", api.url)

    assert (done.returncode, done.stderr) == (FINE, "")
    assert done.stdout.count("left out, because its asset is deleted: sha256:") == 2
    code, printed = verified(unpacked(output, tmp_path / "bundle"))
    assert code == FINE
    assert printed.count("the bundle was made without the file sha256:") == 2


@pytest.mark.parametrize("auth", ["local", "tokens"])
async def test_a_bundle_from_a_folder_gets_a_new_checkpoint_from_the_folders_server(
    tmp_path: Path, auth: Literal["local", "tokens"]
) -> None:
    folder, output = tmp_path / "data", tmp_path / "b.zip"
    async with serving(Settings(data_dir=folder)) as api:
        await record_a_job(api)
    async with serving(Settings(data_dir=folder, auth=auth)) as api:
        api.backend.lock.announce(api.url)
        done = await in_thread("audit-bundle", "j", "-o", str(output), "--data-dir", str(folder))
        repeated = await in_thread(
            "audit-bundle", "j", "-o", str(output), "--data-dir", str(folder)
        )

    assert (done.returncode, done.stderr) == (FINE, "")
    assert (repeated.returncode, repeated.stdout) == (FINE, done.stdout)
    code, printed = verified(unpacked(output, tmp_path / "bundle"), "--key", key_of(folder))
    assert (code, "4 events are in that log" in printed) == (FINE, True)


async def test_a_folder_is_refused_while_its_server_does_not_listen(tmp_path: Path) -> None:
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

    assert (done.returncode, done.stderr) == (REFUSED, NO_JOB)
    assert not (tmp_path / "b.zip").exists()


def call_absent(digest: str) -> Callable[[Any], None]:
    def edit(manifest: Any) -> None:
        manifest["absent"].append(digest)

    return edit


def test_a_file_that_the_manifest_calls_absent_must_not_be_there(bundle: Path) -> None:
    for file in sorted((bundle / "files").iterdir()):
        change(bundle, "manifest.json", call_absent(f"sha256:{file.name}"))

        code, output = verified(bundle)

        assert code == FAILED
        assert f"sha256:{file.name}: the manifest calls it absent, and the file is there" in output
        change(bundle, "manifest.json", lambda manifest: manifest["absent"].clear())


def test_an_absent_file_must_be_named_by_an_event(bundle: Path) -> None:
    change(bundle, "manifest.json", call_absent("sha256:" + "0" * 64))

    code, output = verified(bundle)

    assert code == FAILED
    assert "no event names it" in output


@pytest.mark.parametrize(
    "command", [("audit-bundle", "j"), ("export", "prov", "j"), ("export", "openlineage", "j")]
)
@pytest.mark.parametrize("mode", [None, 0o644, 0o666])
def test_an_exported_file_is_private(
    made: Path, tmp_path: Path, command: tuple[str, ...], mode: int | None
) -> None:
    output = tmp_path / "out"
    if mode is not None:
        output.write_bytes(b"before")
        output.chmod(mode)

    done = run(*command, "-o", output, "--data-dir", made / "data")

    assert (done.returncode, done.stderr) == (FINE, "")
    assert output.stat().st_mode & 0o777 == 0o600


async def record_runs(folder: Path) -> None:
    """Record a job with a run that fails after the job, and a run that never ends."""
    async with serving(Settings(data_dir=folder)) as api:
        path, failed = "/api/jobs/j/nodes", {"status": "failed", "error": "e", "seconds": 1.5}
        await api.call("POST", f"{path}/start", json={"node_id": "n"})
        await api.call("POST", f"{path}/start", json={"node_id": "m"})
        await api.call("POST", "/api/jobs/j/finish", json={"status": "failed"})
        late = await api.call("POST", f"{path}/finish", json={"node_id": "n", **failed})
        assert late.status == 200


def test_a_bundle_and_a_replay_have_the_runs_of_nodes(tmp_path: Path) -> None:
    asyncio.run(record_runs(tmp_path / "data"))

    done = run("audit-bundle", "j", "-o", tmp_path / "b.zip", "--data-dir", tmp_path / "data")
    replayed = run("replay", "j", "--data-dir", tmp_path / "data")

    assert (done.returncode, done.stderr) == (FINE, "")
    code, output = verified(unpacked(tmp_path / "b.zip", tmp_path / "bundle"))
    assert (code, "The bundle holds." in output) == (FINE, True)
    topics = ["node.started", "node.started", "job.finished", "node.finished"]
    assert [word for word in replayed.stdout.split() if word in topics] == topics
    assert "status=failed" in replayed.stdout
    assert "error=e" in replayed.stdout
