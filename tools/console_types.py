"""Write the console's types of the API from the contract's models.

    .venv/bin/python -m tools.console_types        # writes api/http/web/core/types.d.ts

Promise: the types have exactly the fields of the models. The suite compares the file with them.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from asset_ledger.api.contract.session import SessionOut
from asset_ledger.api.contract.shapes import (
    AssetOut,
    AttemptOut,
    EventOut,
    JobOut,
    LineageOut,
    ListedJobOut,
    ProofOut,
    ProvenEventOut,
    TombstoneOut,
    UsageOut,
)

FILE: Final = Path(__file__).resolve().parent.parent / "api/http/web/core/types.d.ts"

TYPES: Final[Mapping[str, Sequence[type[BaseModel]]]] = {
    "Asset": (AssetOut, TombstoneOut),
    "Job": (JobOut, ListedJobOut),
    "Attempt": (AttemptOut,),
    "LedgerEvent": (EventOut,),
    "UsageRow": (UsageOut,),
    "Session": (SessionOut,),
    "Proof": (ProofOut,),
    "ProofEvent": (ProvenEventOut,),
    "Lineage": (LineageOut,),
}
"""The types of the console and their models. A field that one of them lacks may be absent."""

_NAMES: Final = {model.__name__: name for name, models in TYPES.items() for model in models}
_SIMPLE: Final = {"integer": "number"} | {n: n for n in ("string", "number", "boolean", "null")}

Schema = Mapping[str, Any]


def types() -> str:
    """Return the whole file."""
    head = "// The shapes of the API, known to every module. Written by tools/console_types.py.\n"
    return head + "".join(_interface(name, models) for name, models in TYPES.items())


def _interface(name: str, models: Sequence[type[BaseModel]]) -> str:
    schemas = [model.model_json_schema(mode="serialization") for model in models]
    fields = {k: each for schema in schemas for k, each in schema["properties"].items()}
    always = set.intersection(*(set(schema["required"]) for schema in schemas))
    known = {k: each for schema in schemas for k, each in schema.get("$defs", {}).items()}
    lines = (line for k, each in fields.items() for line in _field(k, each, k in always, known))
    return f"interface {name} {{\n{''.join(lines)}}}\n"


def _field(name: str, schema: Schema, always: bool, known: Schema) -> Iterator[str]:
    if about := schema.get("description"):
        yield f"  /** {about} */\n"
    yield f"  {name}{'' if always else '?'}: {_type(schema, known)};\n"


def _type(schema: Schema, known: Schema) -> str:
    """Return a JSON schema as a type of TypeScript."""
    match schema:
        case {"$ref": reference}:
            return _named(reference.rpartition("/")[2], known)
        case {"const": value}:
            return json.dumps(value)
        case {"enum": values}:
            return " | ".join(map(json.dumps, values))
        case {"anyOf": choices}:
            return " | ".join(dict.fromkeys(_type(each, known) for each in choices))
        case {"type": "array", "items": items}:
            inner = _type(items, known)
            return f"({inner})[]" if " | " in inner else f"{inner}[]"
        case {"type": "object"}:
            return _object(schema, known)
        case {"type": kind}:
            return _SIMPLE[kind]
    return "any"


def _named(model: str, known: Schema) -> str:
    """Return the name of a type, or the type where the console has no name for it."""
    return _NAMES.get(model) or _type(known[model], known)


def _object(schema: Schema, known: Schema) -> str:
    if "properties" not in schema:
        values = schema.get("additionalProperties", True)
        return f"Record<string, {'any' if values is True else _type(values, known)}>"
    fields = schema["properties"].items()
    always = schema.get("required", ())
    parts = (f"{k}{'' if k in always else '?'}: {_type(v, known)}" for k, v in fields)
    return f"{{ {'; '.join(parts)} }}"


def main() -> int:
    """Write the file."""
    FILE.write_text(types(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
