"""The cost of a change of an asset with many versions: events decoded, not time."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest

from asset_ledger.ledger.log.codec import Codec
from asset_ledger.ledger.log.reader import SqlLogReader
from asset_ledger.ledger.reading.event_filter import MAX_BYTES
from asset_ledger.ledger.reading.replay import LONG
from tests.api.running import Answer, Api

VERSIONS: Final = 3 * LONG

pytestmark = pytest.mark.slow

Change = Callable[[Api, str, int], Awaitable[Answer]]


async def rename(api: Api, path: str, number: int) -> Answer:
    return await api.call("PUT", path, json={"name": f"name-{number}"})


async def replace(api: Api, path: str, number: int) -> Answer:
    return await api.call("PUT", path, json={"data": f"content {number}"})


async def delete_or_restore(api: Api, path: str, number: int) -> Answer:
    if number % 2:
        return await api.call("POST", f"{path}/restore")
    return await api.call("DELETE", path)


@pytest.mark.parametrize("change", [rename, replace, delete_or_restore])
async def test_a_change_reads_no_more_events_when_its_asset_has_more_versions(
    api: Api, monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    path = f"/api/assets/{(await api.created())['id']}"
    decoded: list[int] = []
    count_decoded(monkeypatch, decoded)

    for number in range(VERSIONS):
        decoded.append(0)
        answer = await change(api, path, number)
        assert answer.status < 300, answer.body

    assert max(decoded[-LONG:]) <= max(decoded[LONG : 2 * LONG]), decoded


async def test_the_events_of_an_asset_are_read_in_pieces(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/api/assets/{(await api.created())['id']}"
    for number in range(2, 81):
        metadata = {"number": number, "text": "a" * 30_000}
        assert (await api.call("PUT", path, json={"metadata": metadata})).status == 200
    sizes: list[int] = []
    stream = SqlLogReader.stream

    def measured(*arguments: Any, **options: Any) -> Any:
        found = stream(*arguments, **options)
        sizes.append(sum(len(each.state) for each in found))
        return found

    monkeypatch.setattr(SqlLogReader, "stream", measured)
    versions = (2, 34, 35, 36, 69, 70, 71, 79)
    found = [(await api.get(f"{path}?version={version}")).json for version in versions]
    unknown = await api.get(f"{path}?version=81")

    assert [(each["version"], each["metadata"]["number"]) for each in found] == [
        (version, version) for version in versions
    ]
    assert unknown.status == 404
    assert max(sizes) < MAX_BYTES + 40_000 < sum(sizes)


def count_decoded(monkeypatch: pytest.MonkeyPatch, decoded: list[int]) -> None:
    """Add to the last number of `decoded` how many events the log decodes."""
    decode = Codec.decode

    def counted(codec: Codec, *arguments: Any) -> Any:
        if decoded:
            decoded[-1] += 1
        return decode(codec, *arguments)

    monkeypatch.setattr(Codec, "decode", counted)
