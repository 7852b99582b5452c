"""How a browser is to take a content: shown, or saved under its name, and never run.

A ledger's contents come from anywhere. Whatever a browser could run in the API's origin is saved
instead, and sandboxed should somebody show it nevertheless.
"""

import re
from typing import Final
from urllib.parse import quote

_SHOWN: Final = re.compile(r"(?:image|audio|video)/(?!svg)[\w.-]+|text/plain", re.ASCII)
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9 !#$&'()+,.;=@^_`{}~\[\]-]")
_ATTRIBUTE: Final = "!#$&+-.^_`|~"
"""Besides letters and digits, what an extended value need not escape (RFC 8187, 3.2.1)."""


def safety_headers(name: str, content_type: str) -> dict[str, str]:
    """Content-Disposition and its guards, for a content with this name and type."""
    shown = _SHOWN.fullmatch(content_type.partition(";")[0].strip().lower())
    headers = {
        "Content-Disposition": content_disposition("inline" if shown else "attachment", name),
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    return headers if shown else headers | {"Content-Security-Policy": "sandbox"}


def content_disposition(kind: str, name: str) -> str:
    """RFC 6266: the name for everybody in ASCII, and exactly for whoever reads `filename*`."""
    plain = _UNSAFE.sub("_", name)
    exact = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe=_ATTRIBUTE)}"
    return f'{kind}; filename="{plain}"{exact}'
