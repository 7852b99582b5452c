"""A real server of Azure Blob Storage, Microsoft's Azurite, in a folder of its own."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.journeys.server import PATIENCE, until
from tests.npm import installed

PACKAGES: Final = Path(__file__).with_name("azurite")
CONTAINER: Final = "assets"
ACCOUNT: Final = "devstoreaccount1"
KEY: Final = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
"""The account that Azurite has, and its key, which are public."""


@dataclass(frozen=True)
class Azure:
    """A running server with one container, `assets`."""

    endpoint: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables that clients of Azure read."""
        return {
            "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": KEY,
            "AZURE_STORAGE_USE_EMULATOR": "true",
            "AZURITE_BLOB_STORAGE_URL": self.endpoint,
        }


@contextmanager
def serving_azure(folder: Path) -> Iterator[Azure]:
    """Start a server, and kill it after the block. Skips the test where npm cannot install it."""
    program = installed(PACKAGES, folder / "azurite")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    command: list[str | Path] = [
        *("node", program / "node_modules/azurite/dist/src/blob/main.js"),
        *("--location", folder / "files", "--blobPort", str(port), "--silent"),
        *("--skipApiVersionCheck", "--disableTelemetry"),
    ]
    with ExitStack() as stack:
        log = folder / "log"
        out = stack.enter_context(log.open("wb"))
        process = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
        stack.callback(process.wait, PATIENCE)
        stack.callback(process.kill)
        until(lambda: b"successfully listens" in log.read_bytes(), "Azurite listens")
        account = f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};"
        account += f"BlobEndpoint={endpoint}/{ACCOUNT}"
        make: list[str | Path] = ["node", program / "make_container.js", account, CONTAINER]
        subprocess.run(make, check=True, timeout=PATIENCE)
        yield Azure(endpoint)
