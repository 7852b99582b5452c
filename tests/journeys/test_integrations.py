"""The blocks of docs/integrations.md, run as they stand against a real server."""

import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest
import yaml

from tests.house.console import document, with_port
from tests.journeys.client import talking
from tests.journeys.server import PATIENCE, Server, serving
from tests.journeys.test_s3_clients import free_port

PAGE = document("docs/integrations.md")
FIRST, *SECTIONS = re.split(r"^## ", PAGE, flags=re.MULTILINE)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)

RECORDED = {
    "curl": "log.txt",
    "A shell": "frame1.txt",
    "Python": "scores.json",
    "boto3": "sample.txt",
    "pandas": "pandas.csv",
    "polars": "polars.parquet",
    "rclone": "rclone.txt",
    "MLflow": "mlflow.txt",
    "OpenLineage": "warehouse/sales.daily",
}
"""The name of an asset that each section records."""

PRINTED = {
    "A notebook": "train-1",
    "Webhooks": "whsec_",
    "Agents": '"key":"evaluate"',
    "Copies elsewhere": "events",
}
"""What sections print that record nothing."""

NOT_RUN = {"NodeTool", "ComfyUI", "Prometheus and Grafana"}
"""Sections without a block that can be run here."""


def titled(section: str) -> str:
    return section.partition("\n")[0]


def script_of(text: str) -> str:
    """Return one shell script for the blocks of a text."""
    parts = []
    for language, block in BLOCK.findall(text):
        if language == "sh":
            parts.append(block)
        elif language == "python":
            parts.append(f"python - <<'END_OF_PYTHON'\n{block}END_OF_PYTHON\n")
    return "".join(parts)


def run_blocks(section: str, server: Server, s3_port: int) -> str:
    """Run the blocks of a section after those of the top of the page; return what they print."""
    script = f"set -e\n{script_of(FIRST)}{script_of(section)}"
    script = with_port(server, script).replace(":9000", f":{s3_port}")
    script = script.replace("example.org/hook", "hooks.invalid/")  # a name that has no address
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=server.data_dir.parent,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
        check=False,
    )
    assert done.returncode == 0, f"{titled(section)}: {done.stdout}{done.stderr}"
    return done.stdout


def scraped() -> list[str]:
    """Return the addresses that the Prometheus of the page scrapes."""
    (block,) = (block for language, block in BLOCK.findall(PAGE) if language == "yaml")
    (config,) = yaml.safe_load(block)["scrape_configs"]
    return [target for each in config["static_configs"] for target in each["targets"]]


def test_every_section_is_known() -> None:
    assert [titled(section) for section in SECTIONS if script_of(section)] == [
        titled(section) for section in SECTIONS if titled(section) not in NOT_RUN
    ]
    assert {*RECORDED, *PRINTED, *NOT_RUN} == {titled(section) for section in SECTIONS}


@pytest.mark.slow
def test_blocks_of_the_page_record_and_print_what_they_say(tmp_path: Path) -> None:
    s3_port = free_port()
    with serving(tmp_path / "data", "--s3-port", str(s3_port)) as server:
        for section in SECTIONS:
            title = titled(section)
            if title in NOT_RUN:
                continue
            printed = run_blocks(section, server, s3_port)
            assert PRINTED.get(title, "") in printed
            if title in RECORDED:
                with talking(server.port) as client:
                    assert client.assets(name=RECORDED[title]), title
        (address,) = scraped()
        with urlopen(f"http://{with_port(server, address)}/metrics") as answer:
            assert b"asset_ledger_" in answer.read()
