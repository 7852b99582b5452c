"""The command line: what commands print, on which stream, and their exit codes."""

import asyncio
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from asset_ledger.api.cli.commands import COMMANDS
from asset_ledger.api.cli.options import DEFAULT_FOLDER
from asset_ledger.api.cli.serve import serve
from asset_ledger.api.sdk.job import Job
from asset_ledger.api.sdk.remote import RemoteGateway
from asset_ledger.api.settings import Settings
from asset_ledger.ledger.merkle.proof import check_proof
from tests.api.running import Api, serving
from tests.journeys.client import talking
from tests.journeys.server import LESS, PATIENCE, Server, program, run
from tests.journeys.unreadable import append_unreadable_event
from tests.projections.packages import plant

FINE, FOUND, REFUSED = 0, 1, 2

TOMORROW = (
    "--expires: 'tomorrow' is not a time: write a span such as 90d, or a time with its zone,"
    " 2030-01-31T12:00:00Z; see asset-ledger token create --help"
)


async def record_a_job(api: Api) -> None:
    for node in ("load", "save"):
        await api.created(name=f"{node}.png", node_id=node, job_id="job_456", workflow_id="w")
    asset = await api.created(name="a mistake.png", node_id="save", job_id="job_456")
    await api.call("DELETE", f"/api/assets/{asset['id']}")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with one job's four events and without a server."""

    async def record(folder: Path) -> None:
        async with serving(Settings(data_dir=folder)) as api:
            await record_a_job(api)

    folder = tmp_path_factory.mktemp("recorded") / "data"
    asyncio.run(record(folder))
    return folder


@pytest.fixture
def folder(recorded: Path, tmp_path: Path) -> Path:
    """A copy of that data folder for one test."""
    return shutil.copytree(recorded, tmp_path / "data")


def no_job(job_id: str, user: int = 1) -> str:
    advice = "check the id, or name the owner with --user"
    return f"asset-ledger: user {user} has no job {job_id}: {advice}\n"


def replayed(folder: Path) -> list[dict[str, object]]:
    done = run("replay", "job_456", "--json", "--data-dir", folder)
    assert (done.returncode, done.stderr) == (FINE, "")
    return [orjson.loads(line) for line in done.stdout.splitlines()]


async def test_replay_lists_a_jobs_events_in_order(folder: Path) -> None:
    events = replayed(folder)

    assert [event["position"] for event in events] == [2, 3, 4, 5]
    assert [event["job_seq"] for event in events] == [1, 2, 3, 4]
    assert [event["topic"] for event in events] == ["asset.created"] * 3 + ["asset.deleted"]
    assert [event["node_id"] for event in events] == ["load", "save", "save", "save"]
    assert {event["by"] for event in events} == {"1"}


async def test_replay_prints_one_line_an_event(folder: Path) -> None:
    done = run("replay", "job_456", "--data-dir", folder)

    assert done.returncode == FINE
    assert "position" in done.stdout
    (line,) = [line for line in done.stdout.splitlines() if "a mistake.png" in line]
    for part in ("asset.created", "save", "size=7", "name=a mistake.png"):
        assert part in line


async def test_replay_needs_no_tables(folder: Path) -> None:
    before = replayed(folder)
    for table in folder.glob("projections.*"):
        table.unlink()

    assert replayed(folder) == before
    assert not list(folder.glob("projections.*"))


async def test_replay_prints_the_events_of_the_api_while_a_server_runs(tmp_path: Path) -> None:
    async with serving(Settings(data_dir=tmp_path / "data")) as api:
        await record_a_job(api)

        events = replayed(tmp_path / "data")

        assert events == (await api.get("/api/jobs/job_456/history")).json["events"]


@pytest.mark.parametrize(
    ("arguments", "user"), [(("no_such_job",), 1), (("job_456", "--user", "2"), 2)]
)
async def test_replay_of_a_job_of_another_user_names_the_option_user(
    folder: Path, arguments: tuple[str, ...], user: int
) -> None:
    done = run("replay", *arguments, "--data-dir", folder)

    assert (done.returncode, done.stdout) == (REFUSED, "")
    assert done.stderr == no_job(arguments[0], user)


async def test_a_rebuild_has_the_same_digest_every_time(folder: Path) -> None:
    first, second = (run("rebuild", "--json", "--data-dir", folder) for _ in range(2))

    assert (first.returncode, second.returncode) == (FINE, FINE)
    one, other = orjson.loads(first.stdout), orjson.loads(second.stdout)
    assert one["digest"] == other["digest"]
    assert (one["position"], other["position"]) == (5, 5)
    assert other["generation"] == one["generation"] + 1


async def test_a_rebuild_prints_its_events_and_its_digest(folder: Path) -> None:
    done = run("rebuild", "--data-dir", folder)

    assert "holds all 5 events; its digest is " in done.stdout


async def test_the_projection_of_a_package_is_rebuilt_and_verified(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(tmp_path / "site")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))

    rebuilt = run("rebuild", "--data-dir", folder)
    verified = run("verify", "--data-dir", folder)

    assert (rebuilt.returncode, verified.returncode) == (FINE, FINE)
    (line,) = [line for line in rebuilt.stdout.splitlines() if line.startswith("seen: ")]
    assert f"projections.g2.seen.db up to event 5; digest {line.split()[-1]}" in verified.stdout


async def test_a_rebuild_exits_with_1_and_builds_the_rest_when_a_packages_projection_is_broken(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(tmp_path / "site", "")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))

    rebuilt = run("rebuild", "--data-dir", folder)
    verified = run("verify", "--data-dir", folder)

    assert (rebuilt.returncode, verified.returncode) == (FOUND, FOUND)
    assert "holds all 5 events" in rebuilt.stdout
    assert "asset-ledger: seen was not built: AttributeError" in rebuilt.stderr
    assert "seen as a whole: AttributeError" in verified.stdout


@pytest.mark.slow
async def test_a_rebuild_stops_at_an_unreadable_event_until_the_event_is_skipped(
    folder: Path,
) -> None:
    poison = append_unreadable_event(folder)

    refused = run("rebuild", "--data-dir", folder)
    skipped = run("rebuild", "--data-dir", folder, "--skip", str(poison), "--because", "a test")
    repeated = run("rebuild", "--data-dir", folder)

    assert (refused.returncode, refused.stdout) == (REFUSED, "")
    assert f"event at position {poison} cannot be read: this release has no topic" in refused.stderr
    assert (skipped.returncode, repeated.returncode) == (FINE, FINE)
    assert f"event {poison} is skipped by jobs, assets, lineage, usage, search" in skipped.stderr
    assert skipped.stdout.split()[-1] == repeated.stdout.split()[-1]
    assert run("verify", "--data-dir", folder).returncode == FINE


@pytest.mark.parametrize("options", [("--skip", "5"), ("--because", "a test")])
def test_an_event_is_skipped_only_with_a_reason(folder: Path, options: tuple[str, ...]) -> None:
    done = run("rebuild", "--data-dir", folder, *options)

    assert (done.returncode, done.stdout) == (REFUSED, "")
    assert "--skip and --because go together" in done.stderr


def test_an_event_is_not_skipped_when_no_projection_is_stuck_before_it(folder: Path) -> None:
    done = run("rebuild", "--data-dir", folder, "--skip", "2", "--because", "a test")

    assert (done.returncode, done.stdout) == (REFUSED, "")
    assert "no projection stopped at event" in done.stderr


@pytest.mark.parametrize("command", [("serve", "--port", "0"), ("rebuild",)])
@pytest.mark.slow
async def test_a_folder_in_use_is_refused_with_the_process_that_has_it(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    async with serving(Settings(data_dir=tmp_path / "data")):
        done = run(*command, "--data-dir", tmp_path / "data")

    assert (done.returncode, done.stdout) == (REFUSED, "")
    assert done.stderr.startswith("asset-ledger: ")
    assert "is in use by process" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", [("replay", "j"), ("rebuild",)])
def test_a_missing_folder_is_refused_and_not_created(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    done = run(*command, "--data-dir", tmp_path / "nowhere")

    assert done.returncode == REFUSED
    assert "name its folder with --data-dir" in done.stderr
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (("--host", "0.0.0.0"), "without authentication"),
        (("--port", "65536"), "--port"),
        (("--queue-size", "0"), "--queue-size"),
        (("--log-level", "loud"), "--log-level"),
        (("--cors-origins", "*"), "--cors-origins"),
    ],
)
def test_an_invalid_setting_is_refused_by_name(
    tmp_path: Path, flags: tuple[str, ...], complaint: str
) -> None:
    done = run("serve", *flags, "--data-dir", tmp_path / "data")

    assert done.returncode == REFUSED
    assert complaint in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["serv"], "No such command 'serv'; see asset-ledger --help"),
        (["replay"], "Missing argument 'JOB_ID'; see asset-ledger replay --help"),
        (
            ["token", "revoke", "--loud"],
            "No such option '--loud'; see asset-ledger token revoke --help",
        ),
        (["token", "create", "--expires", "tomorrow"], TOMORROW),
    ],
)
def test_a_usage_error_is_one_line_that_names_the_help(arguments: list[str], line: str) -> None:
    done = run(*arguments)

    assert (done.returncode, done.stdout) == (REFUSED, "")
    assert done.stderr == f"asset-ledger: {line}\n"


@pytest.mark.parametrize(
    "damage", [b"no database" * 1000, b"\0" * 4096, b"SQLite format 3\0" + b"\xff" * 5000]
)
@pytest.mark.slow
async def test_a_damaged_log_is_refused_with_a_remedy(folder: Path, damage: bytes) -> None:
    (folder / "ledger.db").write_bytes(damage)

    done = run("serve", "--port", "0", "--data-dir", folder)

    assert done.returncode == REFUSED
    assert "ledger.db: " in done.stderr
    assert "restore the data folder from a backup" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_address_in_use_is_refused_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run("serve", "--port", port, "--data-dir", tmp_path / "data")

    assert done.returncode == REFUSED
    assert len(done.stderr.splitlines()) == 1
    assert f"127.0.0.1:{port}" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "unused"),
    [
        (["--help"], ["aiohttp", "eventsourcing", "rich"]),
        (["replay", "--help"], ["aiohttp", "eventsourcing", "rich", "pydantic", "asyncio"]),
    ],
)
def test_help_loads_no_modules_of_the_server(arguments: list[str], unused: list[str]) -> None:
    check = (
        f"import sys, asset_ledger.api.cli as cli; sys.argv[1:] = {arguments}\n"
        "try: cli.main()\n"
        f"finally: print([m for m in {unused} if m in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True, timeout=60
    )

    assert "Usage: " in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "command", [["token", "list", "--url"], ["replay", "j", "--url"], ["witness"]]
)
def test_an_invalid_address_is_refused_in_one_line(command: list[str]) -> None:
    done = run(*command, "foo")

    assert done.returncode == REFUSED
    assert "'foo' is not a server's address: write it as http://127.0.0.1:7777" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("job", "line"), [("\udcff", "asset-ledger: '\\udcff' is not UTF-8\n"), ("a\nb", no_job("a b"))]
)
async def test_an_unknown_job_of_any_characters_is_refused_in_one_line(
    folder: Path, job: str, line: str
) -> None:
    done = run("replay", job, "--data-dir", folder)

    assert (done.returncode, done.stderr) == (REFUSED, line)


async def test_an_output_that_cannot_be_written_is_refused_in_one_line(
    folder: Path, tmp_path: Path
) -> None:
    output = tmp_path / "nowhere" / "bundle.zip"

    done = run("audit-bundle", "job_456", "-o", output, "--data-dir", folder)

    assert done.returncode == REFUSED
    assert done.stderr == f"asset-ledger: {output}: No such file or directory\n"


@pytest.mark.skipif(not LESS, reason="root can write everywhere, and there is no setpriv")
async def test_a_read_only_folder_is_refused_with_a_remedy(folder: Path) -> None:
    folder.chmod(0o500)

    refusals = [run(*verb, "--data-dir", folder, before=LESS) for verb in (["verify"], ["tail"])]

    assert {done.returncode for done in refusals} == {REFUSED}
    assert {done.stderr.partition(":")[0] for done in refusals} == {"asset-ledger"}
    assert all("use a copy that can be written to" in done.stderr for done in refusals)
    assert [len(done.stderr.splitlines()) for done in refusals] == [1, 1]


def test_every_setting_is_a_flag_of_serve() -> None:
    shown = [option.name for option in serve.params if not getattr(option, "hidden", False)]

    assert shown == ["config", *Settings.model_fields]


def test_every_command_of_the_table_is_in_the_help() -> None:
    listed = run("--help").stdout

    for name, (_, summary) in COMMANDS.items():
        assert re.search(f"\n  {name} +{re.escape(summary)}\n", listed)


def test_help_and_completion_import_no_command() -> None:
    completing = {"_ASSET_LEDGER_COMPLETE": "bash_complete", "COMP_CWORD": "1"}

    assert imported_by("--help") == set()
    assert imported_by("", COMP_WORDS="asset-ledger ver", **completing) == set()
    assert imported_by("head --help") == {"asset_ledger.api.cli.prove"}


def imported_by(words: str, **variables: str) -> set[str]:
    """Return the modules of commands that a command line imports."""
    code = (
        "import atexit, sys; from asset_ledger.api.cli import main; sys.argv[0] = 'asset-ledger';"
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr)); main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words.split()],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    modules = {target.partition(":")[0] for target, _ in COMMANDS.values()}
    return {f"asset_ledger.api.cli.{name}" for name in modules} & set(done.stderr.split())


def test_the_default_folder_equals_the_default_of_the_settings() -> None:
    assert Settings.model_fields["data_dir"].default == DEFAULT_FOLDER


@pytest.mark.slow
async def test_assets_are_proven_at_a_shell(folder: Path) -> None:
    """From a folder, and from the server that has it; under a kept checkpoint, and a new one."""
    head = orjson.loads(run("head", "--json", "--data-dir", folder).stdout)
    lines = run("head", "--data-dir", folder).stdout
    asset = orjson.loads(run("find", "--ndjson", "--data-dir", folder).stdout.splitlines()[0])
    async with serving(Settings(data_dir=folder)) as api:
        await api.created(b"later")
        where = ("--url", api.url)
        by_id = await asyncio.to_thread(run, "prove", asset["id"], *where)
        by_path = await asyncio.to_thread(run, "prove", asset["name"], "--size", "5", *where)
        absent = await asyncio.to_thread(run, "prove", "no such file", *where)

    assert f"size                {head['size']}\n" in lines
    assert head["size"] == 5
    for done, size in ((by_id, 6), (by_path, 5)):
        proof = orjson.loads(done.stdout)
        checkpoint, events = check_proof(proof, proof["key"])
        assert (checkpoint.size, len(events)) == (size, 1)
    assert (absent.returncode, absent.stdout) == (REFUSED, "")
    assert absent.stderr.startswith("asset-ledger: there is no asset no such file")


@pytest.mark.slow
async def test_replay_stops_at_a_position_or_a_time(folder: Path) -> None:
    time = replayed(folder)[1]["time"]

    by_position = run("replay", "job_456", "--json", "--as-of", "3", "--data-dir", folder)
    by_time = run("replay", "job_456", "--json", "--as-of", str(time), "--data-dir", folder)
    invalid = run("replay", "job_456", "--as-of", "tuesday", "--data-dir", folder)

    assert by_position.stdout.splitlines() == by_time.stdout.splitlines()
    assert len(by_position.stdout.splitlines()) == 2
    assert (invalid.returncode, invalid.stdout) == (REFUSED, "")
    assert "--as-of must be a position, or a time" in invalid.stderr


@pytest.mark.slow
async def test_replay_prints_the_same_through_a_server(tmp_path: Path) -> None:
    async with serving(Settings(data_dir=tmp_path / "data")) as api:
        await record_a_job(api)

        local = replayed(tmp_path / "data")
        remote = await in_thread("replay", "job_456", "--json", "--url", api.url, "--token", "t")
        unknown = await in_thread("replay", "unknown", "--url", api.url)
        early = await in_thread("replay", "job_456", "--json", "--as-of", "2", "--url", api.url)

    assert [orjson.loads(line) for line in remote.stdout.splitlines()] == local
    reason = "this user has no job unknown: check the id, and whose job it is"
    assert (unknown.returncode, unknown.stderr) == (REFUSED, f"asset-ledger: {reason}\n")
    assert len(early.stdout.splitlines()) == 1


def test_an_unreachable_server_is_reported_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    done = run("replay", "j", "--url", url)

    assert done.returncode == REFUSED
    assert done.stderr.startswith(f"asset-ledger: cannot reach {url}: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
async def test_compare_follows_the_pages_of_long_jobs(tmp_path: Path) -> None:
    long = {"text": "x" * 30_000}
    async with serving(Settings(data_dir=tmp_path / "data")) as api:
        for number in range(80):
            for job in ("a", "b"):
                await api.created(b"1", name=str(number), job_id=job, metadata=long)
        page = (await api.get("/api/jobs/a/compare/b?page_size=1000")).json
        remote = orjson.loads(
            (await in_thread("compare", "a", "b", "--json", "--url", api.url)).stdout
        )
        gateway = RemoteGateway(api.url)
        compared = await (await Job.get("a", gateway=gateway)).compare("b")
        await gateway.close()
    local = orjson.loads(run("compare", "a", "b", "--json", "--data-dir", tmp_path / "data").stdout)

    assert 0 < len(page["rows"]) < 80
    assert page["next"]
    assert [row["name"] for row in remote["rows"]] == [str(number) for number in range(80)]
    assert remote == local
    assert [row.name for row in compared.rows] == [row["name"] for row in remote["rows"]]


@pytest.mark.slow
async def test_compare_prints_the_differences_of_two_jobs(tmp_path: Path) -> None:
    async with serving(Settings(data_dir=tmp_path / "data")) as api:
        for job in ("a", "b", "c"):
            await api.created(b"1", name="x.png", node_id="load", job_id=job)
            last = b"3" if job == "b" else b"2"
            await api.created(last, name="y.png", node_id="save", job_id=job)
        answer = (await api.get("/api/jobs/a/compare/b")).json
        remote = await in_thread("compare", "a", "b", "--json", "--url", api.url)

    alike = run("compare", "a", "c", "--data-dir", tmp_path / "data")
    differ = run("compare", "a", "b", "--data-dir", tmp_path / "data")
    as_json = run("compare", "a", "b", "--json", "--data-dir", tmp_path / "data")
    unknown = run("compare", "a", "unknown", "--data-dir", tmp_path / "data")

    assert (alike.returncode, alike.stdout) == (
        FINE,
        "same 2  different 0  only in a 0  only in b 0\n",
    )
    assert (differ.returncode, as_json.returncode, remote.returncode) == (1, 1, 1)
    (line,) = [line for line in differ.stdout.splitlines() if "y.png" in line]
    assert "different" in line
    assert "save" in line
    assert "x.png" not in differ.stdout
    assert orjson.loads(as_json.stdout) == orjson.loads(remote.stdout) == answer
    assert (unknown.returncode, unknown.stderr) == (REFUSED, no_job("unknown"))


async def in_thread(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command while this process serves."""
    return await asyncio.to_thread(run, *arguments)


async def test_tail_prints_recorded_events_and_new_ones(tmp_path: Path) -> None:
    async with serving(Settings(data_dir=tmp_path / "data")) as api:
        await record_a_job(api)
        for where in (("--url", api.url), ("--data-dir", str(tmp_path / "data"))):
            head = api.head()
            options = ("--after", "3", "--job", "job_456", "--json", "--count", str(head - 2))
            following = asyncio.create_task(in_thread("tail", *options, *where))
            await api.created(job_id="job_456")

            done = await following

            events = [orjson.loads(line) for line in done.stdout.splitlines()]
            assert (done.returncode, done.stderr) == (FINE, "")
            assert [event["position"] for event in events] == list(range(4, head + 2))
            assert events == (await api.get("/api/events?after=3&job_id=job_456")).json["events"]


async def test_tail_prints_one_line_an_event(folder: Path) -> None:
    done = run(
        "tail", "--after", "0", "--topic", "asset.deleted", "--count", "1", "--data-dir", folder
    )
    invalid = run("tail", "--topic", "asset", "--data-dir", folder)

    (line,) = done.stdout.splitlines()
    assert "asset.deleted" in line
    assert "job=job_456" in line
    assert (invalid.returncode, len(invalid.stderr.splitlines())) == (REFUSED, 1)
    assert "must be one of asset.content_replaced" in invalid.stderr


@pytest.mark.slow
def test_tail_reconnects_to_a_restarted_server(tmp_path: Path) -> None:
    server = Server(tmp_path / "data")
    try:
        server.start()
        with talking(server.port) as client:
            client.created(job_id="j")
        options = ("--after", "0", "--json", "--count", "2", "--url", server.url)
        with program("tail", *options) as following:
            assert following.stdout is not None
            first = orjson.loads(following.stdout.readline())
            port = str(server.port)
            server.stop()
            server = Server(tmp_path / "data", "--port", port)
            server.start()
            with talking(server.port) as client:
                client.created(job_id="j")
            second = orjson.loads(following.stdout.readline())
            assert following.wait(PATIENCE) == FINE
    finally:
        server.close()

    assert [first["position"], second["position"]] == [2, 3]


@pytest.mark.slow
async def test_a_job_is_exported_as_prov_and_openlineage(folder: Path) -> None:
    prov = run("export", "prov", "job_456", "--data-dir", folder)
    file = folder.with_name("events.json")
    openlineage = run("export", "openlineage", "job_456", "--data-dir", folder, "-o", file)
    unknown = run("export", "prov", "unknown", "--data-dir", folder)

    document = orjson.loads(prov.stdout)
    assert len(document["wasGeneratedBy"]) == 3
    assert len(document["wasInvalidatedBy"]) == 1
    assert openlineage.stdout == ""
    events = [orjson.loads(line) for line in file.read_bytes().splitlines()]
    assert [event["job"]["name"] for event in events if event["eventType"] == "START"] == [
        "w",
        "w.load",
        "w.save",
    ]
    assert (unknown.returncode, unknown.stderr) == (REFUSED, no_job("unknown"))


def test_a_token_with_scopes_is_made_without_a_server(tmp_path: Path) -> None:
    where = ("--data-dir", tmp_path / "data", "--json")

    made = run("token", "create", "--scope", "read", "--scope", "audit", *where)

    assert made.returncode == 0, made.stderr
    assert orjson.loads(made.stdout)["scopes"] == ["read", "audit"]


def test_put_that_reaches_no_server_prints_only_the_reason(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    with socket.socket() as bound:  # no program listens there
        bound.bind(("127.0.0.1", 0))
        done = run("put", tmp_path / "a.txt", "--url", f"http://127.0.0.1:{bound.getsockname()[1]}")

    assert (done.returncode, done.stdout) == (REFUSED, "")
    assert done.stderr.startswith("asset-ledger: cannot reach ")
