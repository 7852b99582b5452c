"""The command line with a ledger in PostgreSQL: each command works, or says what to do instead."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.journeys.server import run
from tests.postgres import SEALED, Postgres

psycopg = pytest.importorskip("psycopg", reason="the extra postgresql is not installed")

PASSWORD = "sw0rdfish"
LARGE = b"large" * 30_000

NOWHERE = {
    f"postgresql://u:{PASSWORD}@127.0.0.1:1/x": "start PostgreSQL, or correct --database-url",
    f"postgresql://u:{PASSWORD}%zz@127.0.0.1/x": "as %XX",
    f"postgresql://u:{PASSWORD}@{PASSWORD}@127.0.0.1/x": "as %XX",
    f"postgresql://u:{PASSWORD}/{PASSWORD}@127.0.0.1/x": "as %XX",
    f"mysql://u:{PASSWORD}@127.0.0.1/x": "such as postgresql://user@host/database",
}


def refusal(done: "CompletedProcess[str]") -> str:
    """Return the one line of a refused command."""
    assert (done.returncode, done.stdout) == (2, ""), done
    (line,) = done.stderr.splitlines()
    assert line.startswith("asset-ledger: ")
    return line


@pytest.mark.slow
@pytest.mark.parametrize("url", NOWHERE)
def test_an_address_without_a_database_is_refused_without_its_password(
    url: str, tmp_path: Path
) -> None:
    done = run("serve", "--port", "0", "--database-url", url, "--data-dir", tmp_path / "data")

    assert NOWHERE[url] in refusal(done)
    assert PASSWORD not in done.stderr
    assert not (tmp_path / "data").exists()


@contextmanager
def database(postgres: Postgres, locale: str = "LC_COLLATE 'C'") -> Iterator[str]:
    postgres.execute(f"CREATE DATABASE odd TEMPLATE template0 {locale}")
    try:
        yield postgres.url("odd")
    finally:
        postgres.drop("odd")


ODD = [
    ("LC_COLLATE 'C.UTF-8'", "", "lists need C and UTF8: create one with createdb"),
    ("ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'", "", "the encoding LATIN1"),
    ("LC_COLLATE 'C'", "CREATE SCHEMA g1", "has a schema g1 of another program"),
    ("LC_COLLATE 'C'", "CREATE SCHEMA ledger", "has a schema ledger of another program"),
    ("LC_COLLATE 'C'", "CREATE EXTENSION pg_trgm", "pg_trgm in its schema public"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("locale", "sql", "expected"), ODD)
def test_a_database_that_can_have_no_ledger_is_refused_in_one_line(
    postgres: Postgres, tmp_path: Path, locale: str, sql: str, expected: str
) -> None:
    with database(postgres, locale) as url:
        if sql:
            postgres.execute(sql, "odd")
        done = run("serve", "--port", "0", "--database-url", url, "--data-dir", tmp_path / "data")

        assert expected in refusal(done)
    assert not (tmp_path / "data").exists()


@pytest.mark.slow
def test_what_is_no_ledger_of_this_folder_is_refused(postgres: Postgres, tmp_path: Path) -> None:
    absent = postgres.url("nowhere")
    assert "create one with createdb" in refusal(run("verify", "--database-url", absent))
    with postgres.database() as url, postgres.database() as other:
        here = ("--database-url", url)
        assert "there is no ledger in the database" in refusal(run("replay", "j", *here))
        for folder, place in (("first", url), ("second", other)):
            run("token", "create", "--database-url", place, "--data-dir", tmp_path / folder)
        run("token", "create", "--data-dir", tmp_path / "own")

        taken = run("serve", *here, "--data-dir", tmp_path / "own")
        wrong = run("ls", *here, "--data-dir", tmp_path / "second")
        forgotten = run("serve", "--data-dir", tmp_path / "first")

    assert "has a ledger of its own" in refusal(taken)
    assert "belongs to the ledger in the database" in refusal(wrong)
    assert "name it with --database-url" in refusal(forgotten)


@pytest.mark.slow
def test_every_command_works_with_a_database_or_says_what_to_do(
    postgres: Postgres, tmp_path: Path
) -> None:
    store, file = tmp_path / "store", tmp_path / "large.bin"
    file.write_bytes(LARGE)
    with postgres.database() as url:
        environment = {"ASSET_LEDGER_DATABASE_URL": url, "ASSET_LEDGER_CONTENT_URL": str(store)}
        before = ("env", *(f"{name}={value}" for name, value in environment.items()))

        def ran(*arguments: str | Path) -> "CompletedProcess[str]":
            return run(*arguments, "--data-dir", tmp_path / "data", before=before)

        def out(*arguments: str | Path) -> str:
            done = ran(*arguments)
            assert (done.returncode, done.stderr) == (0, ""), done
            return done.stdout

        assert "new" in out("put", file, "--job", "j", "--node", "n")
        assert "large.bin" in out("ls")
        out("get", "--job", "j", "-o", tmp_path / "got")
        assert (tmp_path / "got" / "large.bin").read_bytes() == LARGE
        assert "asset.created" in out("replay", "j", "--json")
        assert out("tail", "--after", "0", "--count", "1", "--json").count("\n") == 1
        assert "contents" in out("gc")
        assert "generation 2" in out("rebuild")
        key_id = out("s3-key", "create").split("\n")[0].partition("=")[2]
        assert key_id in out("token", "list")
        hook = out("hook", "add", "https://hooks.example.org", "--json").split('"id":"')[1][:12]
        assert hook in out("hook", "list", "--json")
        assert hook in out("hook", "remove", hook)
        assert "checkpoints are signed by" in out("key", "rotate")
        assert out("key", "list").count("\n") == 2
        assert '"entity"' in out("export", "prov", "j")
        assert "1 contents (150,000 bytes)" in out("export", "ledger", tmp_path / "exported")
        assert out("verify").count("; digest ") == 2
        assert "events in the database" in out("doctor", "--port", "0")
        pointers = {
            ("backup", "create", tmp_path / "backup"): "docs/scaling.md",
            ("scrub",): "use verify",
            ("audit-bundle", "j", "-o", tmp_path / "zip"): "--url",
            ("import", "ledger", tmp_path / "exported"): "leave the database out",
        }
        for arguments, expected in pointers.items():
            assert expected in refusal(ran(*arguments))
        run("token", "create", "--data-dir", tmp_path / "own", before=before[:1])
        kept = run("verify", "--data-dir", tmp_path / "own", "--no-tables", before=before)
        assert "read 2 events" in kept.stdout  # the folder on the command line has its own ledger


@pytest.mark.slow
def test_a_wrong_password_is_refused_and_not_printed(postgres: Postgres, tmp_path: Path) -> None:
    postgres.execute(f"CREATE ROLE {SEALED} LOGIN PASSWORD 'another one'")
    url = postgres.url("postgres").replace("user=postgres", f"user={SEALED}&password={PASSWORD}")

    done = run("serve", "--port", "0", "--database-url", url, "--data-dir", tmp_path / "data")

    assert "set the right one in the address, PGPASSWORD or ~/.pgpass" in refusal(done)
    assert PASSWORD not in done.stderr


def test_a_database_without_its_driver_is_refused(tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    absent.mkdir()
    (absent / "sitecustomize.py").write_text(
        "import importlib.util as u; f = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'psycopg' else f(name, *a)\n"
    )
    path = f"PYTHONPATH={absent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    done = run("verify", "--database-url", "postgresql:///x", before=("env", path))

    assert "install asset-ledger[postgresql]" in refusal(done)
