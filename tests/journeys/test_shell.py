"""Every day at a shell: put, ls, find, get, show, rm, restore, jobs, usage, open."""

import json
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from asset_ledger.api.cli.assets import FILTERS as FLAGS
from asset_ledger.api.contract.assets import FILTERS
from tests.journeys.client import Client
from tests.journeys.server import PATIENCE, PROGRAM, Server, program, run, serving

pytestmark = pytest.mark.slow

Done = subprocess.CompletedProcess[str]


class Shell:
    """Runs commands on one ledger, which flags name."""

    def __init__(self, *flags: str | Path) -> None:
        self.flags = flags

    def __call__(self, *arguments: str | Path, code: int = 0) -> Done:
        done = run(*arguments, *self.flags)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def lines(self, *arguments: str | Path) -> list[list[str]]:
        """Return the cells of each line."""
        return [line.split("\t") for line in self(*arguments).stdout.splitlines()]

    def documents(self, *arguments: str | Path) -> list[Any]:
        return [json.loads(line) for line in self(*arguments, "--ndjson").stdout.splitlines()]

    def outcomes(self, *arguments: str | Path, code: int = 0) -> list[str]:
        """Put, and return the outcome of each file, sorted."""
        return sorted(
            line.split()[0] for line in self("put", *arguments, code=code).stdout.splitlines()
        )


@pytest.fixture(params=["folder", pytest.param("server", marks=pytest.mark.slow)])
def shell(request: pytest.FixtureRequest, data_dir: Path) -> Iterator[Shell]:
    """A new ledger: a data folder, then a server."""
    if request.param == "folder":
        yield Shell("--data-dir", data_dir)
        return
    with serving(data_dir) as server:
        yield Shell("--url", server.url)


@pytest.fixture
def local(data_dir: Path) -> Shell:
    return Shell("--data-dir", data_dir)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder `project` with three files in two folders, an empty file and a link."""
    tree = tmp_path / "project"
    (tree / "tables" / "deep").mkdir(parents=True)
    (tree / "a.txt").write_text("a")
    (tree / "tables" / "7.json").write_text("{}")
    (tree / "tables" / "deep" / "𝄞 Grüße.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tree / "empty").touch()
    (tree / "link").symlink_to(tree / "a.txt")
    return tree


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def test_a_folder_comes_back_as_it_was_put(shell: Shell, tree: Path, tmp_path: Path) -> None:
    put = shell("put", tree, "--job", "j", "--node", "n", "--workflow", "w")
    shell("get", "project", "-o", tmp_path / "whole")
    shell("get", "--job", "j", "-o", tmp_path / "of job")

    assert "1 left out, 4 new" in put.stderr
    assert files(tmp_path / "whole" / "project") == files(tree)
    assert files(tmp_path / "of job" / "project") == files(tree)


def test_a_file_put_again_is_recorded_once(shell: Shell, tree: Path) -> None:
    first = shell.outcomes(tree, "--job", "j")
    again = shell.outcomes(tree, "--job", "j")
    of_any_job = shell.outcomes(tree)
    of_another_job = shell.outcomes(tree, "--job", "k")

    assert (first, again) == (["new"] * 4, ["known"] * 4)
    assert (of_any_job, of_another_job) == (["known"] * 4, ["new"] * 4)
    assert len(shell.lines("find", "--job", "j")) == 4
    assert len(shell.lines("ls", "project")) == 2 * 2 + 1  # and one folder, of no job


def test_a_changed_file_is_a_new_asset_or_with_sync_a_new_version(shell: Shell, tree: Path) -> None:
    shell("put", tree)
    (tree / "a.txt").write_text("changed")
    assert shell.outcomes(tree, "--sync") == ["changed", "known", "known", "known"]
    (tree / "a.txt").write_text("a")
    assert shell.outcomes(tree) == ["known", "known", "known", "new"]

    first, second = shell.documents("find", "--name", "a.txt", "--sort", "created_at")
    assert (first["version"], first["size"]) == (2, len("changed"))
    assert (second["version"], second["size"]) == (1, 1)


def test_a_deleted_file_is_recorded_again(shell: Shell, tree: Path) -> None:
    shell("put", tree)
    shell("rm", "project/a.txt")
    assert shell.outcomes(tree) == ["known", "known", "known", "new"]
    shell("rm", "-r", "project")
    assert shell.outcomes(tree) == ["new"] * 4
    assert shell.outcomes(tree) == ["known"] * 4


@pytest.mark.slow
def test_a_moved_file_or_folder_is_recorded_again(shell: Shell, tree: Path) -> None:
    shell("put", tree)
    shell("put", tree / "a.txt", "--into", "x")
    for _ in range(2):
        shell("mv", "project/a.txt", "/")
        shell("mv", "project/tables", "x")
        assert shell.outcomes(tree) == ["known", "new", "new", "new"]
        assert shell.outcomes(tree) == ["known"] * 4

    assert len(shell.lines("ls", "x")) == 3


def test_another_tag_is_added_to_a_known_file(shell: Shell, tree: Path) -> None:
    path = tree / "a.txt"
    assert shell.outcomes(path, "--tag", "draft") == ["new"]
    assert shell.outcomes(path, "--tag", "final") == ["changed"]
    assert shell.outcomes(path, "--tag", "draft", "--tag", "final") == ["known"]

    (asset,) = shell.documents("find", "--tag", "final")
    assert asset["tags"] == ["draft", "final"]


def test_sources_are_named_by_path(shell: Shell, tree: Path) -> None:
    shell("put", tree)
    shell("put", tree / "a.txt", "--name", "made", "--derived-from", "project/tables/7.json")

    (made,) = shell.documents("find", "--name", "made")
    (source,) = shell.documents("find", "--name", "7.json")
    assert made["derived_from"] == [source["id"]]


def test_standard_input_and_pipes_are_put(shell: Shell) -> None:
    script = 'printf "of stdin" | "$0" put - --name in.txt "$@" && "$0" put <(printf fifo) "$@"'
    done = subprocess.run(
        ["bash", "-c", script, PROGRAM, *shell.flags],
        capture_output=True,
        timeout=PATIENCE,
        check=True,
    )

    shown = done.stdout.decode().split()
    assert shell("get", "in.txt", "-o", "-").stdout == "of stdin"
    assert shell("get", shown[4], "-o", "-").stdout == "fifo"


@pytest.mark.slow
def test_patterns_and_excluded_names(shell: Shell, tree: Path) -> None:
    assert shell.outcomes(f"{tree}/**/*.json") == ["new"]
    assert shell.outcomes(tree, "--exclude", "tables", "--exclude", "*.txt") == ["new"]

    refused = shell("put", f"{tree}/*.nothing", code=2)
    assert refused.stderr.endswith("*.nothing: there is no such file\n")


@pytest.mark.slow
def test_put_into_a_folder(shell: Shell, tree: Path) -> None:
    shell("put", tree / "a.txt", "--into", "x/y")
    shell("put", tree / "empty", "--into", "x")

    assert [name for *_, name in shell.lines("ls", "x")] == ["empty", "y/"]
    assert [name for *_, name in shell.lines("ls", "x/y")] == ["a.txt"]


def test_a_refused_file_is_reported_and_the_others_are_recorded(shell: Shell, tree: Path) -> None:
    (tree / "two\nlines").write_bytes(b"x")
    (tree / os.fsdecode(b"not UTF-8 \xff")).write_bytes(b"x")

    done = shell("put", tree, code=2)

    assert "4 new" in done.stderr
    assert "2 not recorded" in done.stderr
    assert "two\\nlines: name: must not contain control characters" in done.stderr
    assert "its name is not UTF-8: rename it" in done.stderr


def test_an_unreadable_file_is_reported(local: Shell, tree: Path) -> None:
    (tree / "a.txt").chmod(0)
    as_root = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]  # else it reads all

    done = run("put", tree, *local.flags, before=as_root if os.geteuid() == 0 else ())

    assert done.returncode == 2
    assert f"not recorded: {tree / 'a.txt'}: Permission denied" in done.stderr


def test_the_data_folder_is_left_out_of_the_folder_around_it(tree: Path) -> None:
    inner = Shell("--data-dir", tree / "data")
    inner("put", tree / "a.txt")

    done = inner("put", tree)

    assert "is the data folder of a ledger" in done.stderr
    assert not [line for line in inner.lines("find") if line[2] == "ledger.db"]


def test_a_file_that_changes_while_it_is_put_is_whole_or_refused(
    shell: Shell, tmp_path: Path
) -> None:
    path, ended = tmp_path / "growing", threading.Event()
    path.write_bytes(bytes(3 << 20))

    def change() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            with path.open("r+b") as file:
                file.write(b"%09d" % number)

    writer = threading.Thread(target=change)
    writer.start()
    try:
        done = run("put", path, *shell.flags)
    finally:
        ended.set()
        writer.join()

    recorded = shell.documents("find", "--name", "growing")
    if done.returncode == 2:
        assert "growing: it changed while it was sent: put it again" in done.stderr
        assert recorded == []
    else:  # it was read between two changes
        shell("get", recorded[0]["id"], "-o", tmp_path / "whole")
        assert (tmp_path / "whole").stat().st_size == 3 << 20


@pytest.mark.slow
def test_two_at_once_record_each_file_once(server: Server, tree: Path) -> None:
    for number in range(200):
        (tree / f"{number}").write_text(f"{number}")
    started = [program("put", tree, "--url", server.url, "--job", "j") for _ in range(2)]
    for each in started:
        each.communicate(timeout=PATIENCE)

    assert [each.returncode for each in started] == [0, 0]
    assert len(Shell("--url", server.url).lines("find", "--job", "j")) == 204


@pytest.mark.slow
def test_put_that_is_interrupted_goes_on_when_it_is_repeated(shell: Shell, tree: Path) -> None:
    files = 1_500  # more than are put before the signal on a busy machine
    for number in range(files):
        (tree / f"{number}").write_text(f"{number}")
    started = program("put", tree, "--concurrency", "1", *shell.flags)
    assert started.stdout is not None
    started.stdout.readline()
    started.send_signal(signal.SIGINT)
    _, errors = started.communicate(timeout=PATIENCE)
    again = shell.outcomes(tree)

    assert started.returncode == 2
    assert errors.splitlines()[-1] == "asset-ledger: interrupted"
    assert "known" in again
    assert len(shell.lines("find")) == files + 4 + 3


def test_get_refuses_to_replace_other_bytes(shell: Shell, tree: Path, tmp_path: Path) -> None:
    shell("put", tree)
    target = tmp_path / "a.txt"
    shell("get", "project/a.txt", "-o", target)
    assert shell("get", "project/a.txt", "-o", target).stdout.startswith("known")
    target.write_text("mine")

    refused = shell("get", "project/a.txt", "-o", target, code=2)
    assert "it has other bytes: --force replaces it" in refused.stderr
    assert target.read_text() == "mine"

    shell("get", "project/a.txt", "-o", target, "--force")
    assert target.read_text() == "a"


def test_put_and_get_print_json_documents(shell: Shell, tree: Path, tmp_path: Path) -> None:
    put = json.loads(shell("put", tree, "--json").stdout)
    again = shell.documents("put", tree)

    lines = shell.documents("get", "project", "-o", tmp_path / "out")
    whole = json.loads(shell("get", "project", "-o", tmp_path / "out", "--json").stdout)

    assert put["counts"] == {"left out": 1, "new": 4}
    assert [each["outcome"] for each in again] == ["known"] * 4
    assert [each["outcome"] for each in lines] == ["written"] * 4
    assert {each["id"] for each in put["assets"]} == {each["id"] for each in lines}
    assert {Path(each["path"]).read_bytes() for each in lines} == {*files(tree).values()}
    assert (whole["counts"], {each["id"] for each in whole["assets"]}) == (
        {"known": 4},
        {each["id"] for each in lines},
    )
    for flag in ("--json", "--ndjson"):
        refused = shell("get", "project/a.txt", "-o", "-", flag, code=2)
        assert "leave --json and --ndjson out" in refused.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["../out", "/etc/x", "a/../../b", "..", "con.txt", "x" * 255])
def test_no_name_leads_out_of_the_target(
    server: Server, client: Client, tmp_path: Path, name: str
) -> None:
    folder = client.folder(name="..")
    client.created(b"hostile", name=name, parent_id=folder["id"], job_id="j")
    client.created(b"hostile", name=name, job_id="j")

    Shell("--url", server.url)("get", "--job", "j", "-o", tmp_path / "in" / "target")

    assert set(files(tmp_path / "in").values()) == {b"hostile"}
    assert len(files(tmp_path / "in" / "target")) == 2
    assert {path.name for path in tmp_path.iterdir()} <= {"in", "data", "data.stderr"}


@pytest.mark.slow
def test_equal_names_of_one_job_become_two_files(local: Shell, tmp_path: Path) -> None:
    for folder, text in (("first", "one"), ("out", "two")):
        (tmp_path / "same.txt").write_text(text)
        local("put", tmp_path / "same.txt", "--job", "j")
        local("get", "--job", "j", "-o", tmp_path / folder)

    assert files(tmp_path / "first") == {"same.txt": b"one"}
    assert "name the folder" in local("get", "--job", "j", "-o", "-", code=2).stderr
    assert sorted(files(tmp_path / "out").values()) == [b"one", b"two"]


def test_a_damaged_content_is_not_written(local: Shell, data_dir: Path, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(bytes(200_000))
    local("put", large)
    (stored,) = [path for path in (data_dir / "content" / "objects").rglob("*") if path.is_file()]
    stored.chmod(0o600)
    stored.write_bytes(b"x" * 200_000)

    done = local("get", "large", "-o", tmp_path / "copy", code=1)

    assert done.stderr.startswith(f"damaged: {tmp_path / 'copy'}: ")
    assert not (tmp_path / "copy").exists()


def test_find_takes_every_filter_of_the_api() -> None:
    assert list(FLAGS) == [each.name for each in FILTERS]


def test_find_by_filters_and_words(shell: Shell, tree: Path) -> None:
    shell("put", tree, "--job", "j", "--tag", "draft")
    shell("put", tree / "tables" / "7.json", "--job", "k")

    def found(*arguments: str) -> list[str]:
        return sorted(line[2] for line in shell.lines("find", *arguments))

    assert found("--job", "j", "--job", "k", "--type", "application/json") == ["7.json"] * 2
    assert found("json") == ["7.json"] * 2
    assert found("json", "--job", "k") == found("JSON", "--missing", "node_id", "--job", "k")
    assert found("json", "--tag", "draft") == ["7.json"]
    assert found("json", "--in", "project/tables") == ["7.json"]
    assert found("json", "--in", "/") == ["7.json"]
    assert found("--in", "", "--type", "folder") == ["project/"]
    assert found("grüße") == ["𝄞 Grüße.png"]
    assert found("--size-min", "8") == ["𝄞 Grüße.png"]
    assert found("grüße", "--created-after", "1d") == ["𝄞 Grüße.png"]
    assert found("--created-before", "2026-01-31", "--created-before", "1d") == []
    assert "--created-after" in shell("find", "--created-after", "soon", code=2).stderr


def test_show_rm_and_restore(shell: Shell, tree: Path) -> None:
    shell("put", tree)
    shown = json.loads(shell("show", "project/a.txt", "--json").stdout)
    assert [event["topic"] for event in shown["history"]] == ["asset.created"]
    asset_id = shown["asset"]["id"]

    assert "-r deletes all it contains" in shell("rm", "project", code=2).stderr
    deleted = json.loads(shell("rm", "-r", "project", "--json").stdout)["deleted_asset_ids"]
    assert len(deleted) == 7
    assert "was deleted" in shell("show", asset_id, code=2).stderr
    assert len(shell.lines("find", "--deleted", "true")) == 7

    assert shell("restore", deleted[0]).stdout == f"restored  {deleted[0]}  project\n"
    assert f"id            {asset_id}\n" in shell("show", "project/a.txt").stdout


def test_rm_refuses_a_path_of_several_assets(shell: Shell, tree: Path) -> None:
    shell("put", tree / "a.txt", "--job", "j")
    shell("put", tree / "a.txt", "--job", "k")

    assert "several assets are named a.txt" in shell("rm", "a.txt", code=2).stderr


def test_a_name_with_a_slash_is_found_by_path(server: Server, client: Client) -> None:
    folder = client.folder(name="a/b")
    asset = client.created(b"x", name="c/d", parent_id=folder["id"])

    found = Shell("--url", server.url)("show", "a/b/c/d", "--json")

    assert json.loads(found.stdout)["asset"]["id"] == asset["id"]


def test_jobs_and_usage(shell: Shell, tree: Path) -> None:
    shell("put", tree, "--job", "j", "--node", "n")
    shell("put", tree / "a.txt", "--job", "k", "--node", "m")

    assert [line[0] for line in shell.lines("jobs")] == ["k", "j"]
    assert shell.lines("jobs", "--started-after", "7d") == []  # none was started
    assert len(shell.lines("usage", "--created-after", "7d")) == 3
    assert [line[0] for line in shell.lines("jobs", "--prefix", "k", "--node", "m")] == ["k"]
    assert [line[0] for line in shell.lines("jobs", "--sort", "-bytes")] == ["j", "k"]
    assert shell.lines("jobs", "--started-after", "2020-01-01T00:00:00Z") == []
    (of_j,) = shell.documents("jobs", "j")
    assert (of_j["node_id"], of_j["assets"], of_j["bytes"]) == ("n", 4, 11)
    assert json.loads(shell("jobs", "j", "--json").stdout)["job"]["status"] == "untracked"
    assert [line[:3] for line in shell.lines("usage", "--job", "j", "--job", "k")] == [
        ["n", "4", "11"],
        ["m", "1", "1"],
    ]
    by_pair = shell.lines("usage", "--by", "workflow,node", "--tz", "Asia/Tokyo", "--in", ".")
    assert [line[1:3] for line in by_pair] == [["m", "1"], ["", "1"]]
    assert "is not one or two of" in shell("usage", "--by", "node,size", code=2).stderr
    assert "must be a time zone" in shell("usage", "--tz", "Mars", code=2).stderr
    assert "no job nothing" in shell("jobs", "nothing", code=2).stderr


@pytest.mark.slow
def test_assets_are_tagged_and_moved(shell: Shell, tree: Path) -> None:
    shell("put", tree)

    assert shell("tag", "project/a.txt", "--add", "x", "--add", "y").stdout.startswith("tagged  ")
    shell("tag", "project/a.txt", "--remove", "x")
    assert [each["tags"] for each in shell.documents("find", "--tag", "y")] == [["y"]]
    assert shell("mv", "project/a.txt", "/").stdout.startswith("moved  ")
    assert json.loads(shell("mv", "a.txt", "/", "--json").stdout) == {"updated_asset_ids": []}
    assert "is no folder" in shell("mv", "project", "a.txt", code=2).stderr
    assert "name a tag" in shell("tag", "a.txt", code=2).stderr


@pytest.mark.slow
def test_limit_says_that_there_is_more(shell: Shell, tree: Path) -> None:
    shell("put", tree, "--job", "j")

    done = shell("find", "--job", "j", "--limit", "3", "--json")

    assert len(json.loads(done.stdout)["assets"]) == 3
    assert json.loads(done.stdout)["more"] is True
    assert done.stderr == "there are more than 3: --limit prints more\n"
    assert shell("find", "--job", "j", "--limit", "4").stderr == ""


def test_a_folder_that_a_server_has_is_used_through_it(server: Server, tree: Path) -> None:
    through = Shell("--data-dir", server.data_dir)
    through("put", tree, "--job", "j")

    assert len(through.lines("find", "--job", "j")) == 4
    assert through("open").stdout == f"{server.url}/\n"


@pytest.mark.slow
def test_a_folder_whose_server_needs_a_token_says_so(data_dir: Path, tree: Path) -> None:
    with serving(data_dir, "--auth", "tokens") as server:
        refused = run("ls", "--data-dir", data_dir)
        token = run("token", "create", "--user", "eve", "--data-dir", data_dir).stdout.strip()
        named = Shell("--data-dir", data_dir, "--token", token)
        named("put", tree / "a.txt")

        assert refused.returncode == 2
        assert refused.stderr == (
            f"asset-ledger: {data_dir} is served at {server.url}, which needs a token:"
            " add --token\n"
        )
        assert named.documents("ls")[0]["user_id"] == "eve"


def test_address_and_token_come_from_the_environment(data_dir: Path, tree: Path) -> None:
    with serving(data_dir, "--auth", "tokens") as server:
        token = run("token", "create", "--user", "eve", "--data-dir", data_dir).stdout.strip()
        before = ["env", f"ASSET_LEDGER_URL={server.url}", f"ASSET_LEDGER_TOKEN={token}"]
        run("put", tree / "a.txt", before=before)
        listed = run("ls", "--ndjson", before=before)
        of_the_folder = run("ls", "--data-dir", tree / "other", before=before)

    assert json.loads(listed.stdout)["user_id"] == "eve"
    assert "there is no ledger in" in of_the_folder.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", [["ls"], ["put", "file"], ["jobs"], ["get", "a"]])
def test_a_server_that_does_not_run_is_reported_in_one_line(
    tmp_path: Path, command: Sequence[str]
) -> None:
    (tmp_path / "file").touch()
    arguments = [str(tmp_path / "file") if each == "file" else each for each in command]

    done = run(*arguments, "--url", "http://127.0.0.1:9")

    assert (done.returncode, done.stdout) == (2, "")
    assert "cannot reach http://127.0.0.1:9" in done.stderr
    assert len(done.stderr.splitlines()) <= 2


@pytest.mark.slow
@pytest.mark.parametrize("command", [["ls"], ["find"], ["jobs"], ["usage"], ["rm", "a"]])
def test_reading_makes_no_data_folder(tmp_path: Path, command: Sequence[str]) -> None:
    done = run(*command, "--data-dir", tmp_path / "absent")

    assert done.returncode == 2
    assert "there is no ledger in" in done.stderr
    assert not (tmp_path / "absent").exists()


@pytest.mark.parametrize("command", [["find"], ["find", "--ndjson"], ["get", "a.txt", "-o", "-"]])
def test_a_closed_pipe_ends_a_command_quietly(
    local: Shell, tree: Path, command: Sequence[str]
) -> None:
    local("put", tree / "a.txt")
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        done = subprocess.run(
            [PROGRAM, *command, *local.flags],
            stdout=closed,
            stderr=subprocess.PIPE,
            timeout=PATIENCE,
            check=False,
        )

    assert (done.returncode, done.stderr) == (141, b"")


def test_put_into_a_closed_pipe_reports_no_file_as_refused(local: Shell, tree: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        done = subprocess.run(
            [PROGRAM, "put", tree, *local.flags],
            stdout=closed,
            stderr=subprocess.PIPE,
            timeout=PATIENCE,
            check=False,
        )

    assert done.returncode == 141
    assert b"not recorded" not in done.stderr


TABLES = ("find", "ls project", "jobs", "usage --by day,node", "replay {job}", "compare {job} k")


def test_tables_fit_a_terminal_of_80_columns(local: Shell, tree: Path) -> None:
    (tree / ("long " * 40)).write_text("x")
    job = "a-job-with-a-long-name-" * 4
    local("put", tree, "--job", job, "--node", "a node with a long name")
    local("put", tree / "a.txt", "--job", "k")
    flags = " ".join(map(str, local.flags))
    tables = [f"{PROGRAM} {table.format(job=job)} {flags};" for table in TABLES]

    done = subprocess.run(
        ["script", "-qec", f"stty cols 80; {' '.join(tables)} true", "/dev/null"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
        env={**os.environ, "TERM": "dumb", "NO_COLOR": "1"},
    )

    lines = done.stdout.replace("\r", "").splitlines()
    first_words = {line.split()[0] for line in lines if line.strip()}
    assert first_words >= {"id", "job", "day", "position", "status"}
    assert max(map(len, lines)) <= 80
    listed = re.compile(r"^[0-9a-f]{32}  .*  \d{4}-\d\d-\d\d \d\d:\d\d  a.txt", re.MULTILINE)
    assert listed.search("\n".join(lines)), "an id and a time are not folded"


COMPLETIONS = {
    "bash": """
        eval "$(asset-ledger completion bash)"
        COMP_WORDS=(asset-ledger "$@"); COMP_CWORD=$#
        _asset_ledger_completion asset-ledger; echo "asset-ledger ${@:1:$#-1} ${COMPREPLY[*]}"
    """,
    # It completes at a terminal only, which shows what is typed: `re""ady` is not yet `ready`.
    "zsh": r"""
        zmodload zsh/zpty
        zpty terminal zsh -f -i
        zpty -w terminal 'autoload -Uz compinit && compinit -D'
        zpty -w terminal 'eval "$(asset-ledger completion zsh)"; PS1=; echo re""ady'
        zpty -r terminal shown $'*ready*'
        zpty -w -n terminal "asset-ledger $*"$'\t'"; echo en\"\"ded"$'\n'
        zpty -r terminal shown $'*ended*'; print -r -- "$shown"
    """,
    "fish": """
        asset-ledger completion fish | source
        echo asset-ledger $argv[1..-2] (complete -C "asset-ledger $argv" | string split -f 1 \\t)
    """,
}


@pytest.mark.parametrize("shell_name", COMPLETIONS)
@pytest.mark.parametrize(
    ("typed", "completed"), [("usag", "asset-ledger usage"), ("put --jo", "asset-ledger put --job")]
)
def test_a_shell_completes_commands_and_options(
    tmp_path: Path, shell_name: str, typed: str, completed: str
) -> None:
    if shutil.which(shell_name) is None:
        pytest.skip(f"{shell_name} is not installed")
    script = tmp_path / "script"
    script.write_text(COMPLETIONS[shell_name])
    environment = os.environ | {"PATH": f"{PROGRAM.parent}:{os.environ['PATH']}"}

    done = subprocess.run(
        [shell_name, script, *typed.split()],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert completed in " ".join(done.stdout.split()), done.stdout + done.stderr
