"""The files in `deploy/`: they name settings, metrics, commands and files that exist."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import click
import pytest
import yaml

from asset_ledger.api.cli.commands import COMMANDS
from asset_ledger.api.cli.flags import settings_from
from asset_ledger.api.environment import KNOWN
from tests.house.source import ROOT, tracked
from tests.journeys.server import run, serving

DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text("utf-8")
COMPOSE: Any = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
UNITS = sorted(path.name for path in DEPLOY.glob("*.service"))
TEXTS = {path.name: path.read_text("utf-8") for path in DEPLOY.rglob("*") if path.is_file()}

METRIC = re.compile(r"\basset_ledger_[a-z_]+\b")
DERIVED = re.compile(r"_(?:bucket|count|sum)$")


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of all metrics of a server that has a backup, and an issuer of JWTs."""
    data_dir = tmp_path_factory.mktemp("deploy") / "data"
    flags = ("--auth", "jwt", "--jwt-issuer", "http://127.0.0.1:9")
    with serving(data_dir, *flags) as server:
        backup = run("backup", "create", data_dir.with_name("b"), "--data-dir", data_dir)
        assert backup.returncode == 0
        with urlopen(f"{server.url}/metrics") as answer:
            return set(re.findall(r"^# TYPE (\w+) ", answer.read().decode(), re.MULTILINE))


@pytest.mark.parametrize("name", ["alerts.yml", "dashboard.json"])
def test_every_metric_that_is_watched_exists(name: str, metrics: set[str]) -> None:
    named = set(METRIC.findall(TEXTS[name]))

    assert len(named) > 10
    assert {each for each in named if DERIVED.sub("", each) not in metrics} == set()


def test_a_metric_that_does_not_exist_is_found(metrics: set[str]) -> None:
    assert "asset_ledger_damaged" not in metrics


def test_every_alert_says_what_happened() -> None:
    (group,) = yaml.safe_load(TEXTS["alerts.yml"])["groups"]

    for rule in group["rules"]:
        assert rule["annotations"]["summary"].endswith("."), rule
        assert rule["labels"]["severity"] in ("critical", "warning")


def test_every_panel_of_the_dashboard_is_on_its_own_place() -> None:
    panels = json.loads(TEXTS["dashboard.json"])["panels"]
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]

    assert len({*places}) == len(places) > 10
    assert len({panel["id"] for panel in panels}) == len(panels)


def variables(name: str) -> set[str]:
    return {found for found in re.findall(r"\bASSET_LEDGER_\w+", TEXTS[name]) if found[-1] != "_"}


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_every_variable_is_a_setting(name: str) -> None:
    assert variables(name) - {"ASSET_LEDGER_"} <= KNOWN


def test_the_settings_file_is_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KNOWN:
        monkeypatch.delenv(name, raising=False)

    settings = settings_from({}, DEPLOY / "asset-ledger.toml")

    assert settings.auth == "tokens"


def test_the_environment_of_the_image_and_of_compose_is_valid(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in KNOWN:
        monkeypatch.delenv(name, raising=False)
    image = dict(re.findall(r"(ASSET_LEDGER_\w+)=(\S+)", DOCKERFILE))
    for name, value in {**image, **COMPOSE["services"]["ledger"]["environment"]}.items():
        monkeypatch.setenv(name, value)

    settings = settings_from({})

    assert (str(settings.data_dir), settings.host, settings.auth) == ("/data", "0.0.0.0", "tokens")


def copied() -> Iterator[str]:
    """Yield each path that the Dockerfile copies from the repository."""
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE):
        yield from line.split()[:-1]


def test_the_image_copies_files_that_are_tracked_and_not_ignored() -> None:
    paths = tracked()
    ignored = TEXTS["Dockerfile.dockerignore"].splitlines()

    for each in copied():
        assert any(path == each or path.startswith(f"{each}/") for path in paths), each
        assert f"!{each}" in ignored
    assert {"ledger", "projections", "api", "asset_ledger", "requirements.lock"} <= {*copied()}


def test_the_image_copies_what_links_of_the_product_lead_to() -> None:
    links = [ROOT / path for path in tracked() if (ROOT / path).is_symlink()]
    targets = {path.resolve().relative_to(ROOT).parts[0] for path in links}

    assert {"api", "integrations"} <= targets <= {*copied()}


def test_the_image_runs_without_root_and_has_a_health_check() -> None:
    final = DOCKERFILE.rsplit("\nFROM ", 1)[1]

    assert re.search(r"^USER 10001:10001$", final, re.MULTILINE)
    assert "/readyz" in final.split("HEALTHCHECK")[1]


def test_every_service_of_ours_is_read_only_without_privileges() -> None:
    for name in ("ledger", "backup"):
        service = COMPOSE["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_files_that_compose_mounts_exist_and_its_volumes_are_declared() -> None:
    for service in COMPOSE["services"].values():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            assert source in COMPOSE["volumes"] or (DEPLOY / source).is_file(), source


def commands(text: str) -> Iterator[str]:
    yield from re.findall(r"asset-ledger ([a-z]+)\b", text)


@pytest.mark.parametrize("name", ["compose.yaml", *UNITS, "alerts.yml"])
def test_every_command_that_is_named_exists(name: str) -> None:
    named = {*commands(TEXTS[name])} - {"does"}

    assert named <= {*COMMANDS}, name


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_runs_a_command_that_parses(name: str) -> None:
    (line,) = re.findall(r"^ExecStart=\S+/asset-ledger (.+)$", TEXTS[name], re.MULTILINE)

    done = run(*line.split()[: 2 if line.startswith("backup") else 1], "--help")

    assert done.returncode == 0
    assert "NoNewPrivileges=yes" in TEXTS[name]
    assert "ProtectSystem=strict" in TEXTS[name]


def test_folders_that_the_units_write_to_are_made() -> None:
    unit = TEXTS["asset-ledger.service"]
    lines = r"^(State|Cache)Directory=(\S+)$"
    folders = {"State": "/var/lib", "Cache": "/var/cache"}
    made = {f"{folders[kind]}/{name}" for kind, name in re.findall(lines, unit, re.MULTILINE)}
    made |= {*re.findall(r"^# install --directory .*?(/\S+)$", unit, re.MULTILINE)}

    backup = TEXTS["asset-ledger-backup.service"]
    (written,) = re.findall(r"^ReadWritePaths=(.+)$", backup, re.MULTILINE)

    assert {*written.split()} == made


def test_a_wrong_settings_file_would_be_refused(tmp_path: Path) -> None:
    text = TEXTS["asset-ledger.toml"].replace("gc_interval", "gc_intervall")
    (tmp_path / "a.toml").write_text(text)

    with pytest.raises(click.UsageError, match="gc_intervall is not a setting"):
        settings_from({}, tmp_path / "a.toml")
