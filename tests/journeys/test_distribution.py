"""The wheel and the sdist: one package, the same files, and a working ledger once installed."""

import re
import sysconfig
import tarfile
from pathlib import Path
from typing import Final
from zipfile import ZipFile

import pytest

from tests.distribution import (
    LINKED,
    Distributions,
    build,
    copy_sources,
    install,
    make_environment,
    run_build,
    try_out,
)
from tests.house.source import PRODUCT, ROOT
from tests.house.test_deploy import copied

pytestmark = pytest.mark.slow

INFO: Final = "asset_ledger-0.2.0.dist-info"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    place = tmp_path_factory.mktemp("distribution")
    return build(place / "dist", place)


def files_of(wheel: Path) -> dict[str, bytes]:
    with ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def provide_dependencies(python: Path) -> None:
    """Give an environment the dependencies of this one, without the network.

    Python does not read a `.pth` file in a folder that a `.pth` file names, so our editable install
    is not visible.
    """
    (packages,) = python.parents[1].glob("lib/*/site-packages")
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n", "utf-8")


def test_the_wheel_installs_one_package(made: Distributions) -> None:
    assert {name.split("/")[0] for name in files_of(made.wheel)} == {"asset_ledger", INFO}


def test_the_wheel_holds_every_file_of_the_product(made: Distributions) -> None:
    folders = (*PRODUCT, *LINKED)
    files = (path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file())
    paths = {path.relative_to(ROOT).as_posix() for path in files if path.suffix != ".pyc"}
    places = (re.sub("^integrations/", "api/imports/", path) for path in paths)
    expected = {f"asset_ledger/{place.removeprefix('asset_ledger/')}" for place in places}

    assert {name for name in files_of(made.wheel) if INFO not in name} == expected


def test_neither_archive_contains_a_link(made: Distributions) -> None:
    with ZipFile(made.wheel) as wheel:
        assert [each for each in wheel.infolist() if each.external_attr >> 28 == 0o12] == []
    with tarfile.open(made.sdist) as sdist:
        assert [each for each in sdist if not (each.isfile() or each.isdir())] == []


def test_the_sdist_builds_the_same_wheel(made: Distributions, tmp_path: Path) -> None:
    with tarfile.open(made.sdist) as sdist:
        sdist.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    run_build(source, tmp_path / "rebuilt", "--wheel")

    assert files_of(tmp_path / "rebuilt" / made.wheel.name) == files_of(made.wheel)


def test_the_files_that_the_image_copies_build_the_same_wheel(
    made: Distributions, tmp_path: Path
) -> None:
    copy_sources(copied(), tmp_path / "source")
    run_build(tmp_path / "source", tmp_path / "rebuilt", "--wheel")

    assert files_of(tmp_path / "rebuilt" / made.wheel.name) == files_of(made.wheel)


def test_a_build_prints_no_warning_of_setuptools(made: Distributions) -> None:
    assert "!!" not in made.printed, made.printed


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_an_installed_ledger_works_beside_modules_with_the_names_of_its_packages(
    made: Distributions, tmp_path: Path, kind: str
) -> None:
    python = make_environment(tmp_path / "environment", provide_dependencies)
    install(python, getattr(made, kind))

    try_out(python, tmp_path / "project")
