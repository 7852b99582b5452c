"""The settings file: below flags and environment; wrong files are refused in one line."""

from pathlib import Path

import click
import pytest

from asset_ledger.api.cli.flags import settings_from
from asset_ledger.api.cli.options import folder_of
from tests.environment import set_only
from tests.journeys.server import run
from tests.journeys.server import serving as process

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    set_only(monkeypatch, "ASSET_LEDGER_", {})


def written(text: str, name: str = "asset-ledger.toml") -> Path:
    path = Path(name)
    path.write_text(text, "utf-8")
    return path


def test_flag_beats_variable_beats_file_beats_default(monkeypatch: pytest.MonkeyPatch) -> None:
    written('port = 1\nqueue_size = 2\nmin_rate = 3\nlog_level = "debug"\nlog_requests = true')
    monkeypatch.setenv("ASSET_LEDGER_PORT", "10")
    monkeypatch.setenv("asset_ledger_queue_size", "20")
    monkeypatch.setenv("ASSET_LEDGER_MIN_RATE", "")

    settings = settings_from({"port": "100", "host": None})

    assert (settings.port, settings.queue_size, settings.min_rate) == (100, 20, 3)
    assert (settings.log_level, settings.log_requests) == ("debug", True)
    assert settings.host == "127.0.0.1"


def test_a_named_file_is_read_instead_of_that_of_the_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written("port = 1")
    other, third = written("port = 2", "other.toml"), written("port = 3", "third.toml")
    assert settings_from({}).port == 1

    monkeypatch.setenv("ASSET_LEDGER_CONFIG", str(other))
    assert settings_from({}).port == 2
    assert settings_from({}, third).port == 3


@pytest.mark.parametrize("value", ["3", '"3"', '"90d"', '"all"'])
def test_a_number_may_be_a_text(value: str) -> None:
    written(f"retain_versions = {value}")

    assert settings_from({}).retain_versions == value.strip('"')


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("prot = 1", "asset-ledger.toml: prot is not a setting; did you mean port?"),
        ("[server]\nport = 1", "asset-ledger.toml: server is not a setting; did you mean"),
        ("PORT = 1", "asset-ledger.toml: PORT is not a setting; did you mean"),
        ("port = 70000", "asset-ledger.toml: port: Input should be less than or equal to 65535"),
        ("port = [1]", "asset-ledger.toml: port: Input should be a valid integer"),
        ('auth = "none"', "asset-ledger.toml: auth: Input should be 'local', 'tokens' or 'jwt'"),
        ('gc_interval = "soon"', "asset-ledger.toml: gc_interval: must be a duration"),
        ("port = ", "asset-ledger.toml is not TOML: Invalid value (at end of document)"),
        ("port = 1\nport = 2", "asset-ledger.toml is not TOML: Cannot overwrite a value"),
    ],
)
def test_a_wrong_file_is_refused(text: str, complaint: str) -> None:
    written(text)

    with pytest.raises(click.UsageError) as refused:
        settings_from({})

    assert complaint in str(refused.value)


def test_a_file_that_is_not_text_or_not_there_is_refused_in_one_line(tmp_path: Path) -> None:
    Path("asset-ledger.toml").write_bytes(b"\xff\xfe")
    for flags in ((), ("--config", "absent.toml"), ("--config", tmp_path)):
        done = run("serve", *flags)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert run("ls").returncode == 2


def test_commands_find_the_data_folder_in_the_file() -> None:
    assert folder_of(None) == Path("data")
    written('data_dir = "elsewhere"')

    assert folder_of(None) == Path("elsewhere")
    assert folder_of(Path("named")) == Path("named")


def test_serve_reads_the_file(tmp_path: Path) -> None:
    path = written('log_requests = true\nlog_format = "json"', "serve.toml")

    with process(tmp_path / "data", "--config", str(path)) as server:
        assert run("ls", "--url", server.url).returncode == 0
        assert server.stop() == 0
        assert '"operation":"list_assets"' in server.errors
