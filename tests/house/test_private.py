"""Personal fields have one reader: in an erasable ledger they are stored encrypted.

Whatever looked inside `private` on its own would one day show a stranger's name or a cipher text.
"""

import ast
from collections.abc import Iterator

import pytest

from tests.house.source import PRODUCT, Module, modules, planted

HELPER_AND_CODEC = ("ledger/domain/event.py", "ledger/log/codec.py")


def readers_of_private(module: Module) -> list[str]:
    if str(module.path) in HELPER_AND_CODEC:
        return []
    return [f"{module.path}:{line}" for line in _reads(module.tree)]


def _reads(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        match node:
            case (
                ast.Attribute(attr="private")
                | ast.Subscript(slice=ast.Constant(value="private"))
                | ast.Call(func=ast.Name(id="getattr"), args=[_, ast.Constant(value="private"), *_])
                | ast.Call(
                    func=ast.Attribute(attr="get" | "pop"),
                    args=[ast.Constant(value="private"), *_],
                )
            ):
                yield node.lineno
            case ast.Constant(value=str(text)) if "$.private" in text:
                yield node.lineno
            case ast.MatchClass(kwd_attrs=names) if "private" in names:
                yield node.cls.lineno


def test_only_the_codec_and_the_helper_look_inside_private() -> None:
    assert [reader for module in modules(*PRODUCT) for reader in readers_of_private(module)] == []


@pytest.mark.parametrize(
    "line",
    [
        "name = event.private['name']",
        "name = recorded.event.private.get('name')",
        "body |= body.pop('private')",
        "body = getattr(event, 'private', {})",
        "name = decoded['private']['name']",
        "SQL = \"SELECT state ->> '$.private.name' FROM stored_events\"",
        "match event:\n    case AssetCreated(private=fields):\n        pass",
    ],
)
def test_another_reader_of_private_is_found(line: str) -> None:
    assert readers_of_private(planted("projections/tables/assets.py", line)) != []
    assert readers_of_private(planted("ledger/log/codec.py", line)) == []


@pytest.mark.parametrize(
    "line",
    [
        "name = private_of(event)['name']",
        "class AssetCreated(Event):\n    private: Mapping[str, Json]",
        "event = AssetCreated(private={'name': name})",
        "headers['Cache-Control'] = 'private'",
    ],
)
def test_the_helper_the_definitions_and_a_header_are_let_through(line: str) -> None:
    assert readers_of_private(planted("ledger/domain/asset.py", line)) == []
