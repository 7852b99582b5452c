"""The custom node for ComfyUI as one file, joined from the modules that the watch uses too."""

import re
from importlib.metadata import version
from importlib.resources import files
from typing import Final

MODULES: Final = ("prompts", "recording", "node")
"""In the order of their imports."""

_HEADING: Final = """\
# Asset Ledger {version} for ComfyUI. Put this file into ComfyUI/custom_nodes, and restart ComfyUI.
#
# It records each output of every finished prompt in the server at ASSET_LEDGER_URL (default:
# http://127.0.0.1:7777), with the token ASSET_LEDGER_TOKEN if it is set. It adds no node, and needs
# nothing but ComfyUI's own Python. `asset-ledger watch comfyui --print-node` printed it.
"""
_OWN_IMPORT: Final = re.compile(r"^from \.\w+ import (?:\([^)]*\)|.*)\n", re.MULTILINE)


def node_file() -> str:
    """Return the modules of the node, one after the other, without imports of each other."""
    folder = files("asset_ledger.api.imports.comfyui")
    sources = (folder.joinpath(f"{name}.py").read_text("utf-8") for name in MODULES)
    heading = _HEADING.format(version=version("asset-ledger"))
    return "\n\n".join([heading, *(_OWN_IMPORT.sub("", source) for source in sources)])
