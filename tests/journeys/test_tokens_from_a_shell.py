"""`asset-ledger token`: in the data folder, and through the server that has it."""

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from asset_ledger.ledger.storage.folder_lock import holder_of
from tests.journeys.server import Server, run, serving

pytestmark = pytest.mark.slow


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def server(data_dir: Path) -> Iterator[Server]:
    with serving(data_dir, "--auth", "tokens") as server:
        yield server


def said(*arguments: str | Path) -> str:
    """What the command prints, once it has succeeded."""
    done = run("token", *arguments)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout.strip()


def refused(*arguments: str | Path) -> str:
    """The one line of a command that was refused."""
    done: subprocess.CompletedProcess[str] = run("token", *arguments)
    assert (done.returncode, done.stdout) == (2, ""), done
    return done.stderr


def status(server: Server, token: str, path: str = "/api/assets") -> int:
    asked = Request(server.url + path, headers={"Authorization": f"Bearer {token}"})
    try:
        with urlopen(asked) as answer:
            return int(answer.status)
    except HTTPError as error:
        with error:
            return error.code


def test_a_token_made_before_the_first_start_opens_the_server(data_dir: Path) -> None:
    token = said("create", "--data-dir", data_dir, "--user", "alice")

    with serving(data_dir, "--auth", "tokens") as server:
        assert status(server, token) == 200
        assert status(server, token, "/api/tokens") == 403


def test_the_server_that_has_the_folder_is_asked(server: Server) -> None:
    where = ("--data-dir", server.data_dir)
    made = json.loads(said("create", *where, "--user", "alice", "--scope", "read", "--json"))
    assert (made["user_id"], made["scopes"]) == ("alice", ["read"])
    assert status(server, made["token"]) == 200
    assert json.loads(said("list", *where, "--json"))["id"] == made["id"]

    assert made["id"] in said("revoke", made["id"], *where)

    assert status(server, made["token"]) == 401
    assert "no token 000000000000" in refused("revoke", "000000000000", *where)


def test_an_administrator_elsewhere_names_the_server_and_his_token(server: Server) -> None:
    admin = said("create", "--data-dir", server.data_dir, "--scope", "admin", "--expires", "1h")

    token = said("create", "--url", server.url, "--token", admin, "--user", "bob")

    assert status(server, token) == 200
    assert "not valid" in refused("list", "--url", server.url, "--token", "alt_nonsense")
    assert "admin" in refused("list", "--url", server.url, "--token", token)


def test_commands_that_share_a_secret_all_succeed(server: Server) -> None:
    """Each takes its secret from the lock file, and only one can use the one that it read."""
    users = ["alice", "bob", "carol", "dave"]
    with ThreadPoolExecutor(len(users)) as shells:
        create = ("create", "--data-dir", server.data_dir, "--user")
        tokens = [*shells.map(lambda user: said(*create, user), users)]

    assert [status(server, token) for token in tokens] == [200] * 4


def test_neither_secrets_nor_tokens_are_in_the_servers_log(data_dir: Path) -> None:
    with serving(data_dir, "--auth", "tokens", "--log-level", "debug") as server:
        holder = holder_of(data_dir)
        token = said("create", "--data-dir", data_dir)
        status(server, token)
        status(server, f"{token}x")

        assert holder is not None
        assert [text for text in (holder.secret, token) if text in server.errors] == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--expires", "tomorrow"], "--expires: 'tomorrow' is not a time"),
        (["--expires", "99999999999w"], "too far away"),
        (["--user", "system"], "user_id"),
        (["--scope", "everything"], "everything"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    data_dir: Path, arguments: list[str], complaint: str
) -> None:
    assert complaint in refused("create", "--data-dir", data_dir, *arguments).splitlines()[-1]


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--host", "0.0.0.0"], "--host: without authentication"),
        (["--auth", "jwt"], "--auth: jwt needs"),
        (["--auth", "jwt", "--jwt-key", "tiny"], "shorter than 32 bytes"),
        (["--rate-limit", "often"], "--rate-limit: must be off"),
    ],
)
def test_a_server_that_could_not_know_its_callers_does_not_start(
    data_dir: Path, flags: list[str], complaint: str
) -> None:
    done = run("serve", "--port", "0", "--data-dir", data_dir, *flags)

    assert done.returncode == 2
    assert complaint in done.stderr.splitlines()[-1]
