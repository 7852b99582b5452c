"""Every licence in the locks is allowed, and the bill of materials has every component."""

import json
from pathlib import Path

import pytest

from tools import licences
from tools.licences import DEV, EXCEPTIONS, RUNTIME, is_allowed, licence_of, pins, refused
from tools.sbom import bill
from tools.vendor import LOCK


def test_every_package_of_an_installation_has_an_allowed_licence() -> None:
    assert [*refused(RUNTIME)] == []


def test_every_package_of_the_tools_has_an_allowed_licence_or_is_an_exception() -> None:
    assert [*refused(DEV, EXCEPTIONS)] == []


def test_every_library_of_the_console_has_an_allowed_licence() -> None:
    libraries = json.loads(LOCK.read_text("utf-8"))["packages"]

    assert [each["name"] for each in libraries if not is_allowed(each["license"])] == []


def test_no_exception_is_part_of_an_installation() -> None:
    assert not EXCEPTIONS.keys() & pins(RUNTIME).keys()
    assert {name: licence_of(name) for name in EXCEPTIONS} == EXCEPTIONS


def test_a_licence_that_is_not_allowed_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "a.lock"
    lock.write_text("pymerkle==7.0.0 \\\nno-such-package==1 \\\naiohttp==3.14.5 \\\nclick==8 \\\n")
    named = {"pymerkle": "GPL-3.0-or-later", "aiohttp": "Apache-2.0 AND MIT", "click": None}

    def licence(name: str) -> str | None:
        return named[name] if name in named else licence_of(name)

    monkeypatch.setattr(licences, "licence_of", licence)

    assert [*refused(lock)] == [
        "pymerkle has the licence GPL-3.0-or-later",
        "no-such-package is not installed: its licence is unknown",
        "click does not say its licence",
    ]


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("Apache-2.0 AND MIT", True),
        ("MPL-2.0 AND (GPL-3.0-only OR MIT)", True),
        ("GPL-3.0-only OR MIT", True),
        ("MIT AND GPL-3.0-only", False),
        ("MIT AND (GPL-3.0-only OR AGPL-3.0-only)", False),
        ("AGPL-3.0-or-later", False),
        ("", False),
    ],
)
def test_an_expression_is_allowed_part_by_part(expression: str, allowed: bool) -> None:
    assert is_allowed(expression) == allowed


def test_the_bill_has_every_package_with_version_hashes_and_licence() -> None:
    components = {each["purl"]: each for each in bill()["components"]}
    libraries = json.loads(LOCK.read_text("utf-8"))["packages"]

    assert len(components) == len(pins(RUNTIME)) + len(libraries)
    for name, version in pins(RUNTIME).items():
        found = components[f"pkg:pypi/{name}@{version}"]
        assert found["hashes"]
        assert found["licenses"][0]["expression"] == licence_of(name)


def test_the_bill_is_the_same_each_time() -> None:
    assert bill() == bill()
