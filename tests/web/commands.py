"""The commands that the console offers to copy."""

import json
import os
import subprocess
from typing import Final

from tests.journeys.browser import Page

NAME: Final = json.dumps("Copy as curl")


async def copied_command(page: Page, within: str) -> str:
    """Click the first "Copy as curl" within an element; return the command that it copies."""
    await page.run("navigator.clipboard.writeText = async (text) => void (globalThis.text = text)")
    buttons = f"[...document.querySelectorAll({json.dumps(f'{within} button')})]"
    button = f"{buttons}.find((each) => (each.ariaLabel ?? each.textContent).trim() === {NAME})"
    return str(await page.once(button, f"({button}.click(), globalThis.text)"))


def output(command: str, **variables: str) -> str:
    """Return what a command prints in a shell."""
    environment = {**os.environ, **variables}
    shell = ["bash", "-c", command]
    done = subprocess.run(shell, check=True, capture_output=True, text=True, env=environment)
    return done.stdout
