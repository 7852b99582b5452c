"""`asset-ledger token` on a data folder, and through the server that holds its lock."""

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


def output(*arguments: str | Path) -> str:
    """Run the command successfully, and return its output."""
    done = run("token", *arguments)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout.strip()


def refused(*arguments: str | Path) -> str:
    """Run a command that is refused, and return its error."""
    done: subprocess.CompletedProcess[str] = run("token", *arguments)
    assert (done.returncode, done.stdout) == (2, ""), done
    return done.stderr


def status(server: Server, token: str, path: str = "/api/assets") -> int:
    request = Request(server.url + path, headers={"Authorization": f"Bearer {token}"})
    try:
        with urlopen(request) as answer:
            return int(answer.status)
    except HTTPError as error:
        with error:
            return error.code


def test_a_token_created_before_the_first_start_is_accepted(data_dir: Path) -> None:
    token = output("create", "--data-dir", data_dir, "--user", "alice")

    with serving(data_dir, "--auth", "tokens") as server:
        assert status(server, token) == 200
        assert status(server, token, "/api/tokens") == 403


def test_token_commands_on_a_served_folder_go_through_its_server(server: Server) -> None:
    where = ("--data-dir", server.data_dir)
    made = json.loads(output("create", *where, "--user", "alice", "--scope", "read", "--json"))
    assert (made["user_id"], made["scopes"]) == ("alice", ["read"])
    assert status(server, made["token"]) == 200
    assert json.loads(output("list", *where, "--json"))["id"] == made["id"]

    assert made["id"] in output("revoke", made["id"], *where)

    assert status(server, made["token"]) == 401
    assert "no token 000000000000" in refused("revoke", "000000000000", *where)


def test_an_admin_token_creates_tokens_over_http(server: Server) -> None:
    admin = output("create", "--data-dir", server.data_dir, "--scope", "admin", "--expires", "1h")

    token = output("create", "--url", server.url, "--token", admin, "--user", "bob")

    assert status(server, token) == 200
    invalid = refused("list", "--url", server.url, "--token", "alt_nonsense")
    assert "unknown, expired or revoked" in invalid
    assert "admin" in refused("list", "--url", server.url, "--token", token)


def test_concurrent_token_commands_all_succeed(server: Server) -> None:
    """They read the same secret from the lock file, and only one of them can use it."""
    users = ["alice", "bob", "carol", "dave"]
    with ThreadPoolExecutor(len(users)) as shells:
        create = ("create", "--data-dir", server.data_dir, "--user")
        tokens = [*shells.map(lambda user: output(*create, user), users)]

    assert [status(server, token) for token in tokens] == [200] * 4


def test_the_server_log_has_no_secret_and_no_token(data_dir: Path) -> None:
    with serving(data_dir, "--auth", "tokens", "--log-level", "debug") as server:
        holder = holder_of(data_dir)
        token = output("create", "--data-dir", data_dir)
        status(server, token)
        status(server, f"{token}x")

        assert holder is not None
        assert [text for text in (holder.secret, token) if text in server.errors] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--expires", "tomorrow"], "--expires: 'tomorrow' is not a time"),
        (["--expires", "99999999999w"], "too far away"),
        (["--user", "system"], "user_id"),
        (["--scope", "everything"], "everything"),
    ],
)
def test_an_invalid_token_option_is_refused_in_one_line(
    data_dir: Path, arguments: list[str], message: str
) -> None:
    assert message in refused("create", "--data-dir", data_dir, *arguments).splitlines()[-1]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--host", "0.0.0.0"], "--host: without authentication"),
        (["--auth", "jwt"], "--auth: jwt needs"),
        (["--auth", "jwt", "--jwt-key", "tiny"], "shorter than 32 bytes"),
        (["--rate-limit", "often"], "--rate-limit: must be off"),
    ],
)
def test_a_server_with_unsafe_authentication_settings_does_not_start(
    data_dir: Path, flags: list[str], message: str
) -> None:
    done = run("serve", "--port", "0", "--data-dir", data_dir, *flags)

    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]
