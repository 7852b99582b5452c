"""The software bill of materials, in CycloneDX 1.6: `python -m tools.sbom FILE`.

It has what an installation runs: the packages of requirements.lock with their hashes and licences,
and the libraries of the console. The same sources give the same bytes.
"""

import base64
import hashlib
import json
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from tools.licences import ROOT, RUNTIME, licence_of, pins
from tools.vendor import LOCK

_HASHED: Final = re.compile(
    r"^([\w.-]+)==[^\n]*\n((?:    --hash=sha256:[0-9a-f]{64}.*\n?)+)", re.MULTILINE
)
_HASH: Final = re.compile(r"sha256:([0-9a-f]{64})")
_ALGORITHMS: Final = {"sha512": "SHA-512", "sha384": "SHA-384", "sha256": "SHA-256"}


def bill() -> dict[str, Any]:
    """Return the document."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    components = [*_packages(), *_libraries()]
    name, version = project["name"], project["version"]
    reference = f"pkg:pypi/{name}@{version}"
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": reference,
                "name": name,
                "version": version,
                "purl": reference,
                **_licensed(project["license"]),
            }
        },
        "components": components,
        "dependencies": [{"ref": reference, "dependsOn": [each["bom-ref"] for each in components]}],
    }
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).digest()
    return {**document, "serialNumber": f"urn:uuid:{UUID(bytes=digest[:16], version=4)}"}


def _packages() -> Iterator[dict[str, Any]]:
    hashes = {name: _HASH.findall(found) for name, found in _HASHED.findall(RUNTIME.read_text())}
    for name, version in pins(RUNTIME).items():
        purl = f"pkg:pypi/{name}@{version}"
        yield {
            "type": "library",
            "bom-ref": purl,
            "name": name,
            "version": version,
            "purl": purl,
            "hashes": [{"alg": "SHA-256", "content": each} for each in hashes[name]],
            **_licensed(licence_of(name)),
        }


def _libraries() -> Iterator[dict[str, Any]]:
    """Yield the libraries of the console, whose lock has the integrity of each archive."""
    for package in json.loads(LOCK.read_text("utf-8"))["packages"]:
        purl = f"pkg:npm/{package['name'].replace('@', '%40')}@{package['version']}"
        algorithm, _, value = package["integrity"].partition("-")
        digest = base64.b64decode(value).hex()
        yield {
            "type": "library",
            "bom-ref": purl,
            "name": package["name"],
            "version": package["version"],
            "purl": purl,
            "hashes": [{"alg": _ALGORITHMS[algorithm], "content": digest}],
            **_licensed(package.get("license")),
        }


def _licensed(expression: str | None) -> Mapping[str, Any]:
    return {"licenses": [{"expression": expression}]} if expression else {}


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(bill(), indent=2) + "\n", "utf-8")
