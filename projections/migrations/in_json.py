"""SQL of the values of an asset that are stored in its JSON only.

The JSON begins with texts of fixed length, so that `substr` finds them without parsing it.
"""

from typing import Final

_ID: Final = "0" * 32
_TIME: Final = "0" * 27
_BEGIN: Final = f'{{"id":"{_ID}","created_at":"{_TIME}","updated_at":"{_TIME}","digest":'


def _text(name: str, value: str) -> str:
    start = _BEGIN.index(f'"{name}":"') + len(f'"{name}":"') + 1
    return f"substr(json, {start}, {len(value)})"


ID: Final = _text("id", _ID)
CREATED_AT: Final = _text("created_at", _TIME)
UPDATED_AT: Final = _text("updated_at", _TIME)
_DIGEST_AT: Final = len(_BEGIN) + 1
DIGEST: Final = (
    f"CASE substr(json, {_DIGEST_AT}, 1) WHEN '\"' THEN substr(json, {_DIGEST_AT + 1}, 71) END"
)
METADATA: Final = "json ->> 'metadata'"
