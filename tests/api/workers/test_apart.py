"""A busy server's writes go to a process of its own and come back, and nobody notices."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from asset_ledger.api.settings import Settings
from asset_ledger.ledger.domain.event import Fact
from asset_ledger.ledger.errors import (
    KeyReusedError,
    LedgerError,
    PoisonFactError,
    VersionConflictError,
)
from asset_ledger.ledger.ids import AssetId, new_asset_id
from tests.api.http.test_events import stream, take
from tests.api.running import Api, serving
from tests.api.workers.busy import (
    CALLERS,
    children,
    keep_busy,
    upload_together,
    willing,
)
from tests.builders import command, command_key, created
from tests.journeys.audit import audit
from tests.journeys.server import run


@pytest.fixture
async def api(opened_before: Path) -> AsyncIterator[Api]:
    async with willing(opened_before) as api:
        yield api


def verified(data_dir: Path) -> list[str]:
    done = run("verify", "--data-dir", data_dir)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return done.stdout.splitlines()


async def listed(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = {}
    cursor = ""
    while True:
        page = (await api.get(f"/api/assets?page_size=1000&cursor={cursor}")).json
        found |= {asset["id"]: asset for asset in page["assets"]}
        if not (cursor := page["next"]):
            return found


async def check_kept(api: Api, assets: list[Any]) -> None:
    """Each is in the table, as it was answered, and has its bytes."""
    shown = await listed(api)
    for asset in assets:
        assert shown[asset["id"]] == asset
        content = (await api.get(asset["get_url"])).body
        assert content.startswith(f"{asset['name']}.".encode())
        assert len(content) == asset["size"]


async def job_seqs(api: Api, job_id: str) -> list[int]:
    answer = await api.get(f"/api/jobs/{job_id}/history", Accept="application/x-ndjson")
    return [orjson.loads(line)["job_seq"] for line in answer.body.splitlines()]


async def test_a_busy_server_has_a_process_of_its_own_write_and_loses_nothing(
    data_dir: Path,
) -> None:
    async with willing(data_dir) as api:
        assets = await keep_busy(api, "leaving", job_id="j")
        assert len(children()) == 1
        assets += await upload_together(api, "small", job_id="j")
        assets += await upload_together(api, "large", size=70_000, job_id="j")

        await check_kept(api, assets)
        assert await job_seqs(api, "j") == [*range(1, len(assets) + 1)]
        assert (await api.get("/readyz")).status == 200
        assert len(children()) == 1

    assert children() == []
    assert len(audit(data_dir)) == len(assets) + 1
    assert len(verified(data_dir)) == 5


async def test_a_server_that_is_not_busy_begins_no_process(api: Api) -> None:
    for n in range(2 * CALLERS):
        await api.created(b"one at a time", name=f"{n}")

    assert not api.backend.apart.away
    assert children() == []


async def test_a_server_that_is_to_write_in_a_thread_begins_no_process(data_dir: Path) -> None:
    async with willing(data_dir, writer="thread") as api:
        for n in range(4):
            await upload_together(api, n)

        assert not api.backend.apart.away
        assert children() == []


async def test_a_backend_that_was_not_allowed_to_begins_no_process_after_a_rebuild_either(
    data_dir: Path,
) -> None:
    async with serving(Settings(data_dir=data_dir)) as api:
        api.backend.rebuilds.start()
        ended = await api.backend.rebuilds.wait()
        assert ended is not None
        assert ended.result == "switched"
        for n in range(4):
            await upload_together(api, n)

        assert children() == []


async def test_an_answer_can_be_read_back_at_once(api: Api) -> None:
    """The log and the tables are told of a group before those whose it is."""
    await keep_busy(api)

    async def upload_and_read(n: int) -> None:
        asset = await api.created(b"x", name=f"read {n}")
        asked = f"/api/assets?page_size=1000&sort=-created_at&min_position={asset['position']}"
        answer = await api.get(asked)
        assert asset in answer.json["assets"]
        assert (await api.get(f"/api/assets/{asset['id']}/history")).status == 200

    await asyncio.gather(*(upload_and_read(n) for n in range(CALLERS)))


def unreadable(asset_id: AssetId) -> Fact:
    """A fact that no row can be made of."""
    return created(originator_id=asset_id, derived_from=5)


async def refusals(api: Api) -> list[LedgerError]:
    """What the log itself refuses: all that is decided before is not at stake here."""
    append, asset_id = api.backend.writer.append, new_asset_id()
    await append(command(created(originator_id=asset_id), key=command_key(key=asset_id)))
    refused = [
        command(created(originator_id=asset_id)),
        command(created(originator_id=new_asset_id()), guards={asset_id: 7}),
        command(
            created(originator_id=new_asset_id()), key=command_key(key=asset_id, fingerprint="g")
        ),
        command(unreadable(new_asset_id())),
    ]
    outcomes = await asyncio.gather(*map(append, refused), return_exceptions=True)
    return [outcome for outcome in outcomes if isinstance(outcome, LedgerError)]


async def test_a_refusal_is_the_same_wherever_it_was_decided(api: Api) -> None:
    here = await refusals(api)
    await keep_busy(api)

    there = await refusals(api)

    kinds = [VersionConflictError, VersionConflictError, KeyReusedError, PoisonFactError]
    assert [type(error) for error in here] == [type(error) for error in there] == kinds
    for one, other in zip(here, there, strict=True):
        assert vars(one).keys() == vars(other).keys()
        assert one.__cause__ is None or isinstance(one, PoisonFactError)
    _, _, reused, poison = there
    assert isinstance(reused, KeyReusedError)
    assert str(reused) == f"Idempotency-Key {reused.key!r} was used before, for another request"
    assert isinstance(poison, PoisonFactError)
    assert (poison.position, poison.cause) == (api.head() + 1, "refused by a projection")


async def test_a_refused_command_takes_nobody_along(api: Api) -> None:
    await keep_busy(api)
    before = api.head()

    refused, assets = await asyncio.gather(refusals(api), upload_together(api, "beside"))

    assert len(refused) == 4
    assert api.head() == before + CALLERS + 1
    await check_kept(api, assets)


async def test_a_key_records_once_before_during_and_after(api: Api) -> None:
    async def keyed(key: str) -> tuple[Any, bool]:
        answer = await api.upload(b"once", name=key, headers={"Idempotency-Key": key})
        assert answer.status == 201, answer.body
        return answer.json, "Idempotency-Replayed" in answer.headers

    early, _ = await keyed("early")
    await keep_busy(api)
    late = await asyncio.gather(*(keyed("late") for _ in range(CALLERS)))
    assert await keyed("early") == (early, True)
    async with api.backend.apart.home():
        assert not api.backend.apart.away
        assert await keyed("early") == (early, True)
        assert await keyed("late") == (late[0][0], True)

    assert sorted(replayed for _, replayed in late) == [False] + [True] * (CALLERS - 1)
    names = [asset["name"] for asset in (await listed(api)).values()]
    assert (names.count("early"), names.count("late")) == (1, 1)


async def test_a_checkpoint_is_signed_and_kept_wherever_the_writer_is(api: Api) -> None:
    before = await api.backend.proofs.checkpoint()
    await keep_busy(api)

    apart = await api.backend.proofs.checkpoint()
    assert before.size < apart.size == api.head()
    rotated = await api.backend.proofs.rotate(by="1")
    async with api.backend.apart.home():
        home = await api.backend.proofs.checkpoint()

    assert home.size == apart.size + 1 == rotated.since
    assert (await api.get("/api/log/checkpoint")).status == 200


async def test_of_two_folders_that_move_into_each_other_one_stays(api: Api) -> None:
    await keep_busy(api)

    async def folder() -> str:
        return str((await api.created(None, name="f", content_type="folder"))["id"])

    async def move(asset_id: str, parent_id: str) -> int:
        sent = {"parent_id": parent_id}
        return (await api.call("PUT", f"/api/assets/{asset_id}", json=sent)).status

    for _ in range(8):
        one, other = await folder(), await folder()
        statuses = await asyncio.gather(move(one, other), move(other, one))
        assert min(statuses) == 200
        assert max(statuses) in (400, 409, 422)


async def test_every_kind_of_write_goes_apart(api: Api, data_dir: Path) -> None:
    await keep_busy(api)
    deep = orjson.loads(b'{"a":' * 98 + b"1" + b"}" * 98)
    folder = (await api.created(None, name="folder", content_type="folder"))["id"]
    asset = (await api.created(b"one", name="one", parent_id=folder, job_id="k"))["id"]
    path = f"/api/assets/{asset}"

    async def ask(method: str, path: str, **options: Any) -> Any:
        answer = await api.call(method, path, **options)
        assert answer.status in (200, 201), answer.body
        return answer.json

    await ask("POST", "/api/jobs/k/start")
    await ask("PUT", path, json={"name": "two", "metadata": deep, "tags": ["a"], "duration": 1.5})
    merged = {"Content-Type": "application/merge-patch+json"}
    await ask("PATCH", path, data=b'{"metadata": {"a": null, "b": 1}}', headers=merged)
    await ask("PUT", f"{path}/content", data=b"other bytes")
    assert asset in (await ask("DELETE", f"/api/assets/{folder}"))["deleted_asset_ids"]
    await ask("POST", f"/api/assets/{folder}/restore")
    line = orjson.dumps({"id": "ab" * 16, "name": "imported", "content_base64": "AAAA"})
    kind = {"Content-Type": "application/x-ndjson"}
    await ask("POST", "/api/import", data=line + b"\n", headers=kind)
    await ask("POST", "/api/jobs/k/finish", json={"status": "completed"})

    assert api.backend.apart.away
    shown = (await listed(api))[asset]
    assert (shown["name"], shown["metadata"], shown["size"]) == ("two", {"b": 1}, 11)
    assert await job_seqs(api, "k") == [*range(1, len(await job_seqs(api, "k")) + 1)]
    await api.backend.apart.close()
    assert len(audit(data_dir)) == api.head()


async def test_who_follows_misses_nothing_and_hears_nothing_twice(api: Api, data_dir: Path) -> None:
    async with stream(api, "?all=true") as blocks:
        for round_ in range(2):
            await keep_busy(api, f"leaves {round_}")
            await upload_together(api, f"away {round_}")
            async with api.backend.apart.home():
                await upload_together(api, f"home {round_}")
        last = api.head()
        heard = await take(blocks, last - 1)
        await api.created(name="the next one")
        heard += await take(blocks, 1)

    assert [int(each.id) for each in heard] == [*range(2, last + 2)]
    told = (await api.get("/api/events?all=true&limit=1000")).json["facts"]
    assert [each.data for each in heard][: len(told) - 1] == told[1:]
    await api.backend.apart.close()
    assert len(audit(data_dir)) == last + 1


async def test_at_home_this_process_writes_until_the_block_ends(api: Api) -> None:
    await keep_busy(api)

    async with api.backend.apart.home():
        assert not api.backend.apart.away
        assert children() == []
        for n in range(3):
            await upload_together(api, f"home {n}")
        assert not api.backend.apart.away

    await keep_busy(api, "again")
    assert len(children()) == 1


async def test_who_fails_at_home_does_not_keep_the_writes_there(api: Api) -> None:
    await keep_busy(api)

    with pytest.raises(RuntimeError, match="not today"):
        async with api.backend.apart.home():
            raise RuntimeError("not today")

    await keep_busy(api, "again")
    assert len(children()) == 1


async def test_a_stop_while_the_process_is_only_starting_leaves_none(data_dir: Path) -> None:
    async with willing(data_dir) as api:
        while not children():
            await upload_together(api, api.head())

    assert children() == []
    verified(data_dir)
