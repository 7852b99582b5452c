"""The custom node for ComfyUI as one file, joined from the modules that the watch uses too."""

import re
from importlib.resources import files
from typing import Final

MODULES: Final = ("prompts", "recording", "node")
"""In the order of their imports."""

_HEADING: Final = "# Put this file into ComfyUI/custom_nodes.\n"
_OWN_IMPORT: Final = re.compile(r"^from \.\w+ import (?:\([^)]*\)|.*)\n", re.MULTILINE)


def node_file() -> str:
    """Return the modules of the node, one after the other, without imports of each other."""
    folder = files("asset_ledger.api.imports.comfyui")
    sources = (folder.joinpath(f"{name}.py").read_text("utf-8") for name in MODULES)
    return "\n\n".join([_HEADING, *(_OWN_IMPORT.sub("", source) for source in sources)])
