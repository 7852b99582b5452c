"""The contract of `Gateway`, as tests. A subclass provides the fixture `gateway`."""

import asyncio
import copy
import hashlib
import io
import os
import pickle
import tracemalloc
import wave
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, Any, Unpack

import pytest
from PIL import Image

from asset_ledger import Asset, Gateway, Job, ProcessingContext, events, prove, tree_head
from asset_ledger.api.sdk.asset import GroupBy
from asset_ledger.api.sdk.connection import ambient
from asset_ledger.api.sdk.content import opened
from asset_ledger.api.sdk.record import Filters
from asset_ledger.errors import (
    AssetDeletedError,
    CursorError,
    DigestMismatchError,
    FieldError,
    JobStateError,
    NotConnectedError,
    ParameterError,
    PreconditionFailedError,
    RefusedError,
    TooLargeError,
    UnknownAssetError,
    UnknownJobError,
    VersionConflictError,
)
from asset_ledger.ledger.merkle.proof import check_proof

UNKNOWN_ID = "0" * 32
MIB = 1 << 20


async def in_pieces(content: bytes, length: int = 300_000) -> AsyncIterator[bytes]:
    for start in range(0, len(content), length):
        yield content[start : start + length]


async def zeros(mebibytes: int) -> AsyncIterator[bytes]:
    for _ in range(mebibytes):
        yield bytes(MIB)


class Pipe(io.RawIOBase):
    """A file that cannot be rewound."""

    def __init__(self, content: bytes) -> None:
        self._rest = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._rest.readinto(buffer)


def bytes_of(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


class Shrinking(io.BytesIO):
    """A file that another program cuts short after its size was read."""

    def __init__(self, file: IO[bytes], path: Path, size: int) -> None:
        super().__init__()
        self._file, self._path, self._size = file, path, size

    def read(self, size: int | None = -1) -> bytes:
        return self._file.read(-1 if size is None else size)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        found = self._file.seek(offset, whence)
        if whence == os.SEEK_END:
            os.truncate(self._path, self._size)
        return found


class GatewayContract:
    """Tests for every gateway. Each test starts with an empty ledger of user 1."""

    @pytest.fixture
    def gateway(self) -> Gateway:
        raise LookupError("a subclass provides its own gateway")

    @pytest.fixture
    def context(self, gateway: Gateway) -> ProcessingContext:
        return ProcessingContext(workflow_id="w", job_id="j", gateway=gateway)

    @pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 3 * MIB])
    @pytest.mark.parametrize("kind", ["bytes", "path", "file", "pipe", "iterator"])
    async def test_every_kind_of_source_is_stored_and_read_back(
        self, context: ProcessingContext, tmp_path: Path, kind: str, size: int
    ) -> None:
        whole, path = bytes_of(size), tmp_path / "content"
        path.write_bytes(whole)
        given: Any = {
            "bytes": whole,
            "path": path,
            "file": io.BytesIO(whole),
            "pipe": Pipe(whole),
            "iterator": in_pieces(whole),
        }[kind]

        asset = await context.create_asset("a.bin", "application/octet-stream", given)

        assert asset.size == size
        assert await asset.content() == whole

    async def test_a_large_content_is_streamed_in_constant_memory(
        self, context: ProcessingContext, tmp_path: Path
    ) -> None:
        tracemalloc.start()
        try:
            asset = await context.create_asset("a", content=zeros(48))
            await asset.save(tmp_path / "saved")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

        assert (tmp_path / "saved").stat().st_size == asset.size == 48 * MIB
        assert peak < 24 * MIB

    async def test_an_open_file_is_read_from_its_offset_and_not_closed(
        self, context: ProcessingContext
    ) -> None:
        file = io.BytesIO(b"headbody")
        file.seek(4)

        asset = await context.create_asset("a", content=file)

        assert await asset.content() == b"body"
        assert not file.closed

    @pytest.mark.parametrize("size", [50_000, 300_000, 3_000_000])
    async def test_a_file_that_becomes_shorter_is_refused_at_once(
        self, gateway: Gateway, tmp_path: Path, size: int
    ) -> None:
        context = ProcessingContext(gateway=gateway)
        path = tmp_path / "log"
        path.write_bytes(b"x" * size)

        with path.open("rb") as opened:
            shrinking = Shrinking(opened, path, size // 3)
            async with asyncio.timeout(20):  # a silent connection would be waited for 60 s
                with pytest.raises(ValueError, match="became shorter"):
                    await context.create_asset("log", content=shrinking)

        assert await Asset.paginate(gateway=gateway) == ([], "")

    async def test_a_created_asset_has_the_given_fields(self, context: ProcessingContext) -> None:
        source = await context.create_asset("s", content=b"source")
        folder = await context.create_asset("f", "folder")

        asset = await context.create_asset(
            "bild.png",
            "image/png",
            b"png",
            parent_id=folder.id,
            node_id="n",
            metadata={"prompt": "ein Hund", "deep": [1, None, {"x": 2.5}]},
            tags=["a", "b"],
            derived_from=[source],
        )

        assert (asset.name, asset.content_type, asset.size) == ("bild.png", "image/png", 3)
        assert (asset.workflow_id, asset.job_id, asset.node_id) == ("w", "j", "n")
        assert (asset.parent_id, asset.derived_from) == (folder.id, (source.id,))
        assert asset.metadata == {"prompt": "ein Hund", "deep": [1, None, {"x": 2.5}]}
        assert asset.tags == ("a", "b")
        assert (asset.user_id, asset.version, asset.etag) == ("1", 1, "v1")
        assert folder.is_folder
        assert folder.digest is None

    async def test_a_found_asset_equals_the_created_one(self, context: ProcessingContext) -> None:
        created = await context.create_asset("a", content=b"x", metadata={"b": 1, "a": 2})

        assert await context.find_asset(created.id) == created

    async def test_an_absent_content_type_is_detected_from_the_bytes(
        self, context: ProcessingContext
    ) -> None:
        asset = await context.create_asset("a", content=b"\x89PNG\r\n\x1a\n" + bytes(100))

        assert asset.content_type == "image/png"

    async def test_a_saved_file_leaves_no_partial_file(
        self, context: ProcessingContext, tmp_path: Path
    ) -> None:
        asset = await context.create_asset("a", content=bytes_of(2 * MIB))

        saved = await asset.save(tmp_path / "saved.bin")

        assert saved.read_bytes() == bytes_of(2 * MIB)
        assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["saved.bin"]

    async def test_a_failed_save_keeps_the_old_file_and_leaves_no_partial_file(
        self, context: ProcessingContext, tmp_path: Path
    ) -> None:
        asset = await context.create_asset("a", content=b"x")
        await asset.delete()
        (tmp_path / "before").write_bytes(b"old")

        with pytest.raises(AssetDeletedError):
            await asset.save(tmp_path / "before")

        files = [path for path in tmp_path.iterdir() if path.is_file()]
        assert [path.read_bytes() for path in files] == [b"old"]

    async def test_a_download_returns_an_open_file(self, context: ProcessingContext) -> None:
        asset = await context.create_asset("a", content=bytes_of(2 * MIB))

        with await context.download(asset) as by_asset, await context.download(asset.id) as by_id:
            assert by_asset.read() == by_id.read() == bytes_of(2 * MIB)

    async def test_pages_have_every_asset_once_and_end_with_an_empty_cursor(
        self, context: ProcessingContext
    ) -> None:
        made = [(await context.create_asset(f"{n}", content=b"x")).name for n in range(7)]

        names, cursor, pages = [], "", 0
        while pages == 0 or cursor:
            page, cursor = await context.paginate_assets(limit=3, cursor=cursor)
            names += [asset.name for asset in page]
            pages += 1

        assert (names, pages) == (made, 3)

    async def test_a_filter_takes_one_value_or_a_list(
        self, gateway: Gateway, context: ProcessingContext
    ) -> None:
        for node in ("n1", "n2", "n3"):
            await context.create_asset(node, content=b"x", node_id=node)

        one, _ = await Asset.paginate(node_id="n2", gateway=gateway)
        two = [a.name async for a in Asset.iterate(node_id=["n1", "n3"], gateway=gateway)]

        assert [asset.name for asset in one] == ["n2"]
        assert two == ["n1", "n3"]

    async def test_each_filter_and_sort_selects_the_matching_assets(
        self, gateway: Gateway, context: ProcessingContext
    ) -> None:
        small = await context.create_asset("small", content=b"x", tags=["a", "b"])
        large = await context.create_asset("large", content=b"x" * 100, tags=["b"])
        gone = await context.create_asset("gone", content=b"y")
        await gone.delete()

        async def found(**filters: Unpack[Filters]) -> list[str]:
            return [asset.name async for asset in Asset.iterate(gateway=gateway, **filters)]

        assert await found(name="small") == await found(tag=["a"]) == ["small"]
        assert await found(digest=large.digest) == await found(size_min=2) == ["large"]
        assert await found(size_max=1, tag="b") == ["small"]
        assert await found(sort="-size") == ["large", "small"]
        assert await found(created_after=large.created_at) == ["large"]
        assert await found(created_before=large.created_at.isoformat()) == ["small"]
        assert await found(deleted="true") == ["gone"]
        assert await found(deleted="any", sort="name") == ["gone", "large", "small"]
        assert small.created_at <= large.created_at

    async def test_deleting_a_folder_returns_the_ids_of_its_contents(
        self, context: ProcessingContext
    ) -> None:
        folder = await context.create_asset("f", "folder")
        inner = await context.create_asset("a", content=b"x", parent_id=folder.id)

        assert set(await folder.delete()) == {folder.id, inner.id}
        assert await folder.delete() == []

    async def test_reading_a_deleted_asset_raises_with_time_user_and_position(
        self, context: ProcessingContext
    ) -> None:
        asset = await context.create_asset("a", content=b"x")
        await asset.delete()

        with pytest.raises(AssetDeletedError) as refused:
            await context.find_asset(asset.id)
        with pytest.raises(AssetDeletedError):
            await asset.content()

        assert (refused.value.asset_id, refused.value.by) == (asset.id, "1")
        assert refused.value.when > asset.created_at.isoformat()[:19]
        assert refused.value.position is not None
        assert refused.value.position > asset.position

    @pytest.mark.parametrize("asset_id", [UNKNOWN_ID, "", "usage", "../health", "a/b", "\0"])
    async def test_reading_an_unknown_asset_raises_with_its_id(
        self, context: ProcessingContext, asset_id: str
    ) -> None:
        with pytest.raises(UnknownAssetError) as refused:
            await context.find_asset(asset_id)

        assert refused.value.asset_id == asset_id

    async def test_reading_the_content_of_a_folder_raises(self, context: ProcessingContext) -> None:
        folder = await context.create_asset("f", "folder")

        with pytest.raises(UnknownAssetError, match="has no content"):
            await folder.content()

    @pytest.mark.parametrize(
        ("fields", "named"),
        [
            ({"name": ""}, "name"),
            ({"name": "a\0b"}, "name"),
            ({"name": 7}, "name"),
            ({"content_type": "nonsense"}, "content_type"),
            ({"metadata": {"a": object()}}, "metadata"),
            ({"metadata": {1: 2}}, "metadata"),
            ({"metadata": {"a": 2**64}}, "metadata"),
            ({"tags": ["a", "a"]}, "tags"),
            ({"parent_id": "nowhere"}, "parent_id"),
            ({"parent_id": UNKNOWN_ID}, "parent_id"),
            ({"derived_from": [UNKNOWN_ID]}, "derived_from"),
            ({"node_id": "\udcff"}, "node_id"),
        ],
    )
    async def test_creating_with_an_invalid_field_raises_with_its_name(
        self, context: ProcessingContext, fields: dict[str, Any], named: str
    ) -> None:
        with pytest.raises(FieldError) as refused:
            await context.create_asset(**{"name": "a", "content": b"x", **fields})

        assert [name for name, _ in refused.value.errors] == [named]
        assert refused.value.errors[0][1]

    async def test_creating_with_too_much_metadata_raises(self, context: ProcessingContext) -> None:
        with pytest.raises(TooLargeError):
            await context.create_asset("a", content=b"x", metadata={"a": "x" * 40_000})

    @pytest.mark.parametrize("content", ["text", 7, io.StringIO("text")])
    async def test_creating_with_an_invalid_content_raises(
        self, context: ProcessingContext, content: Any
    ) -> None:
        with pytest.raises(TypeError):
            await context.create_asset("a", content=content)

    async def test_creating_from_a_missing_path_raises_an_oserror(
        self, context: ProcessingContext, tmp_path: Path
    ) -> None:
        with pytest.raises(FileNotFoundError):
            await context.create_asset("a", content=tmp_path / "missing")

    @pytest.mark.parametrize(
        ("parameters", "error"),
        [
            ({"job_id": ""}, ParameterError),
            ({"limit": 0}, ParameterError),
            ({"sort": "colour"}, ParameterError),
            ({"colour": "red"}, ParameterError),
            ({"cursor": "none of ours"}, CursorError),
            ({"user_id": ""}, ParameterError),
            ({"user_id": "system"}, ParameterError),
            ({"user_id": "a\nb"}, ParameterError),
            ({"user_id": "\udcff"}, ParameterError),
        ],
    )
    async def test_listing_with_an_invalid_parameter_raises(
        self, gateway: Gateway, parameters: dict[str, Any], error: type[RefusedError]
    ) -> None:
        with pytest.raises(error):
            await Asset.paginate(gateway=gateway, **parameters)

    async def test_a_parameter_error_has_the_name_and_the_message(self, gateway: Gateway) -> None:
        with pytest.raises(ParameterError) as refused:
            await Asset.paginate(gateway=gateway, limit=0)

        ((name, message),) = refused.value.errors
        assert name == "page_size"
        assert message in str(refused.value)

    async def test_a_cursor_is_refused_with_other_filters(
        self, gateway: Gateway, context: ProcessingContext
    ) -> None:
        for n in range(3):
            await context.create_asset(f"{n}", content=b"x", node_id="n")
        _, cursor = await Asset.paginate(gateway=gateway, limit=1, node_id="n")

        with pytest.raises(CursorError):
            await Asset.paginate(gateway=gateway, limit=1, node_id="m", cursor=cursor)

    @pytest.mark.parametrize("user_id", ["2", "jörg", " a/b ", "100%"])
    async def test_assets_recorded_for_another_user_are_theirs_and_name_the_caller(
        self, gateway: Gateway, user_id: str
    ) -> None:
        async with ProcessingContext(user_id=user_id, job_id="j", gateway=gateway) as context:
            asset = await context.create_asset("a", content=b"x", parent_id=user_id)
        renamed = await asset.update(name="b")
        events = [*await asset.history(), *[event async for event in context.history()]]

        assert (asset.user_id, asset.parent_id) == (user_id, user_id)
        assert {event.by for event in events} == {"1"}
        assert await Asset.paginate(gateway=gateway, user_id=user_id) == ([renamed], "")
        assert await (await context.find_asset(asset.id)).content() == b"x"

    async def test_assets_of_another_user_are_unknown_to_the_caller(self, gateway: Gateway) -> None:
        asset = await ProcessingContext(user_id="2", gateway=gateway).create_asset(
            "a", content=b"x"
        )

        with pytest.raises(UnknownAssetError):
            await ProcessingContext(gateway=gateway).find_asset(asset.id)
        assert await Asset.paginate(gateway=gateway) == ([], "")
        assert await Asset.paginate(gateway=asset.gateway, user_id="1") == ([], "")

    async def test_proof_of_a_job_holds_and_has_every_event(
        self, context: ProcessingContext, gateway: Gateway
    ) -> None:
        made = [await context.create_asset(f"{n}", content=b"x") for n in range(3)]
        await made[0].update(name="other")
        history = [event["position"] async for event in gateway.job_history("j")]
        later = [event["position"] async for event in gateway.job_history("j", after=history[0])]

        proof = await gateway.job_proof("j")

        _, events = check_proof(proof, proof["key"])
        assert [event.position for event in events] == history
        assert later == history[1:]
        with pytest.raises(UnknownJobError):
            await gateway.job_proof("none")

    async def test_a_job_history_yields_its_events_in_log_order(
        self, context: ProcessingContext
    ) -> None:
        first = await context.create_asset("1", content=b"1", node_id="n")
        second = await context.create_asset("2", content=b"2")
        await first.delete()

        events = [event async for event in context.history()]

        assert [(event.topic, event.asset_id) for event in events] == [
            ("asset.created", first.id),
            ("asset.created", second.id),
            ("asset.deleted", first.id),
        ]
        assert [event.job_seq for event in events] == [1, 2, 3]
        assert {(event.job_id, event.workflow_id, event.by) for event in events} == {
            ("j", "w", "1")
        }
        assert events[0].data["name"] == "1"
        assert events[0].node_id == "n"
        assert events[0].time <= events[1].time <= events[2].time

    async def test_an_asset_history_yields_its_events_after_a_deletion(
        self, context: ProcessingContext
    ) -> None:
        asset = await context.create_asset("a", content=b"x")
        await asset.delete()

        events = await asset.history()

        assert [event.topic for event in events] == ["asset.created", "asset.deleted"]
        assert {event.asset_id for event in events} == {asset.id}

    async def test_an_update_changes_the_label_and_not_the_bytes(
        self, context: ProcessingContext
    ) -> None:
        asset = await context.create_asset(
            "a", "text/plain", b"x", metadata={"a": 1, "b": 2}, tags=["t"]
        )
        folder = await context.create_asset("f", "folder")

        changed = await asset.update(
            name="b", parent_id=folder.id, metadata={"a": None, "c": 3}, tags=None, duration=1.5
        )

        assert (changed.name, changed.parent_id, changed.version) == ("b", folder.id, 2)
        assert (changed.metadata, changed.tags, changed.duration) == ({"b": 2, "c": 3}, (), 1.5)
        assert (changed.digest, changed.content_type) == (asset.digest, "text/plain")
        assert (asset.name, asset.version) == ("a", 1)
        assert await context.find_asset(asset.id) == changed
        home = await changed.update(parent_id=None, metadata=None, duration=None)
        assert (home.parent_id, home.metadata, home.duration) == ("1", None, None)

    async def test_an_update_if_unchanged_raises_after_another_update(
        self, context: ProcessingContext
    ) -> None:
        asset = await context.create_asset("a", content=b"x")
        await asset.update(name="another's", if_unchanged=True)

        with pytest.raises(PreconditionFailedError) as refused:
            await asset.update(name="mine", if_unchanged=True)

        assert (refused.value.asset_id, refused.value.version) == (asset.id, 2)
        assert (await asset.update(name="mine")).version == 3

    async def test_an_invalid_update_raises(self, context: ProcessingContext) -> None:
        asset = await context.create_asset("a", content=b"x")

        with pytest.raises(FieldError) as refused:
            await asset.update(name="", tags=["b", "b"])
        with pytest.raises(UnknownAssetError):
            await replace(asset, id=UNKNOWN_ID).update(name="")
        await asset.delete()
        with pytest.raises(AssetDeletedError):
            await asset.update(name="b")

        assert {name for name, _ in refused.value.errors} <= {"name", "tags"}

    async def test_restoring_a_folder_restores_its_contents(
        self, context: ProcessingContext
    ) -> None:
        folder = await context.create_asset("f", "folder")
        inner = await context.create_asset("a", content=b"x", parent_id=folder.id)
        await folder.delete()

        restored = await folder.restore()

        assert (restored.id, restored.version) == (folder.id, 3)
        assert await (await context.find_asset(inner.id)).content() == b"x"
        with pytest.raises(UnknownAssetError):
            await replace(folder, id=UNKNOWN_ID).restore()

    async def test_many_assets_are_changed_and_restored_at_once(
        self, gateway: Gateway, context: ProcessingContext
    ) -> None:
        folder = await context.create_asset("f", "folder")
        made = [await context.create_asset(name, tags=["old"]) for name in "abc"]
        ids = [each.id for each in made]

        changed = await Asset.update_many(
            ids, add_tags=["new"], remove_tags=["old"], parent_id=folder.id, gateway=gateway
        )
        assert changed == ids
        assert await Asset.update_many(ids[:1], add_tags=["new"], gateway=gateway) == []
        inside = await Asset.count(parent_id=folder.id, tag="new", id=ids[:2], gateway=gateway)
        assert inside == 2
        for each in ids[:2]:
            await gateway.delete(each)
        assert await Asset.restore_many(ids, gateway=gateway) == ids[:2]
        with pytest.raises(UnknownAssetError):
            await Asset.update_many([UNKNOWN_ID], add_tags=["x"], gateway=gateway)
        with pytest.raises(FieldError):
            await Asset.update_many(ids, gateway=gateway)

    async def test_usage_is_summed_for_each_node(
        self, gateway: Gateway, context: ProcessingContext
    ) -> None:
        for node, size in (("n1", 10), ("n2", 5), ("n2", 7), (None, 1)):
            await context.create_asset("a", content=bytes(size), node_id=node)

        rows = await Asset.usage(group_by="node_id", job_id="j", gateway=gateway)
        most, *_ = await Asset.usage(job_id="j", sort="-count", limit=1, gateway=gateway)

        found = [(row.key, row.count, row.bytes, row.largest) for row in rows]
        assert found == [("n2", 2, 12, 7), ("n1", 1, 10, 10), (None, 1, 1, 1)]
        assert most.key == "n2"
        assert most.first_seen is not None
        assert most.last_seen is not None
        assert most.first_seen <= most.last_seen
        assert await Asset.usage(job_id="another", gateway=gateway) == []
        pairs = await Asset.usage(
            group_by=("day", "node_id"),
            tz="Europe/Berlin",
            sort="-bytes",
            job_id="j",
            size_min=2,
            gateway=gateway,
        )
        assert [(row.subkey, row.count) for row in pairs] == [("n2", 2), ("n1", 1)]
        with pytest.raises(ParameterError):
            await Asset.usage(group_by="day", tz="Mars", gateway=gateway)
        with pytest.raises(ParameterError):
            await Asset.usage(group_by="colour", gateway=gateway)  # type: ignore[arg-type]

    async def test_usage_includes_each_write_that_returned_before(
        self, gateway: Gateway, context: ProcessingContext
    ) -> None:
        async def count(group_by: GroupBy, key: str) -> int:
            rows = await Asset.usage(group_by=group_by, gateway=gateway)
            return sum(row.count for row in rows if row.key == key)

        for number in range(10):
            asset = await context.create_asset("a", "text/plain", b"x", node_id="n")
            assert await count("node_id", "n") == number + 1
            await asset.update(content_type="image/png")
            assert await count("content_type", "image/png") == 1
            await asset.delete()
            assert await count("node_id", "n") == number
            await asset.restore()
            assert await count("node_id", "n") == number + 1
            await asset.update(content_type="text/plain")

    async def test_usage_includes_a_run_that_returned_before(
        self, gateway: Gateway, context: ProcessingContext
    ) -> None:
        for number in range(10):
            run = {"node_id": f"n{number}", "run": "r", "workflow_id": None, "attempt": None}
            await gateway.start_node("j", run)
            end = {"node_id": f"n{number}", "run": "r", "status": "failed", "seconds": 2.0}
            await gateway.finish_node("j", end)

            rows = await Asset.usage(group_by="node_id", gateway=gateway)
            assert len([row for row in rows if row.failed == 1]) == number + 1

    async def test_reading_a_content_checks_its_digest_and_version(
        self, gateway: Gateway, context: ProcessingContext
    ) -> None:
        asset = await context.create_asset("a", content=b"x")

        with pytest.raises(DigestMismatchError, match="was recorded"):
            await replace(asset, digest="sha256:" + "0" * 64).content()
        with pytest.raises(UnknownAssetError):
            await replace(asset, version=7).content()

    async def test_the_history_of_an_unknown_asset_raises(self, context: ProcessingContext) -> None:
        asset = await context.create_asset("a", content=b"x")

        with pytest.raises(UnknownAssetError):
            await replace(asset, id=UNKNOWN_ID).history()

    async def test_a_context_records_the_start_and_the_end_of_its_job(
        self, gateway: Gateway
    ) -> None:
        async with ProcessingContext(workflow_id="w", gateway=gateway) as context:
            await context.create_asset("a", content=b"x")

        events = [event async for event in context.history()]

        assert [event.topic for event in events] == ["job.started", "asset.created", "job.finished"]
        assert {(event.workflow_id, event.job_id) for event in events} == {("w", context.job_id)}
        assert events[-1].data["status"] == "completed"
        assert events[-1].data["events"] == 3

    async def test_a_failed_job_records_its_error(self, gateway: Gateway) -> None:
        context = ProcessingContext(gateway=gateway)

        with pytest.raises(ZeroDivisionError):
            async with context:
                raise ZeroDivisionError("a\nb\0c\udcff" + "!" * 100_000)

        *_, last = [event async for event in context.history()]
        assert last.data["status"] == "failed"
        assert last.data["error"].startswith("ZeroDivisionError: a\nbc?!!!")

    async def test_a_cancelled_job_is_recorded_as_cancelled(self, gateway: Gateway) -> None:
        context, began = ProcessingContext(gateway=gateway), asyncio.Event()

        async def job() -> None:
            async with context:
                began.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(job())
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        *_, last = [event async for event in context.history()]
        assert last.data["status"] == "cancelled"

    async def test_a_second_context_of_a_running_job_joins_its_attempt(
        self, gateway: Gateway
    ) -> None:
        async with ProcessingContext(job_id="j", workflow_id="w", gateway=gateway) as first:
            async with ProcessingContext(job_id="j", workflow_id="w", gateway=gateway) as second:
                pass
            other = ProcessingContext(job_id="j", workflow_id="another", attempt=1, gateway=gateway)
            with pytest.raises(JobStateError, match="with other values"):
                await other.__aenter__()

        assert (first.attempt, second.attempt) == (1, 1)
        assert [event.topic async for event in second.history()] == ["job.started", "job.finished"]

    async def test_a_context_begins_the_next_attempt_after_each_failure(
        self, gateway: Gateway
    ) -> None:
        for failure in (ZeroDivisionError, asyncio.CancelledError, ZeroDivisionError):
            with pytest.raises(failure):
                async with ProcessingContext(job_id="j", gateway=gateway):
                    raise failure
        async with ProcessingContext(job_id="j", gateway=gateway) as last:
            asset = await last.create_asset("a", content=b"x")

        assert (last.attempt, asset.attempt) == (4, 4)
        job = await gateway.job("j")
        for number in (1, 2, 4):
            events = [event async for event in last.history(attempt=number)]
            assert [event.topic for event in events][:: len(events) - 1] == [
                "job.started",
                "job.finished",
            ]
            assert {event.attempt for event in events} == {number}
        with pytest.raises(UnknownJobError):
            await anext(last.history(attempt=5))
        ends = [each["status"] for each in job["attempts"]]
        assert ends == ["failed", "cancelled", "failed", "completed"]
        assert (job["attempt"], job["status"], job["error"]) == (4, "completed", None)

    async def test_a_completed_job_is_refused_before_its_work_unless_attempt_is_new(
        self, gateway: Gateway
    ) -> None:
        async with ProcessingContext(job_id="j", attempt="new", gateway=gateway):
            pass
        work = []

        with pytest.raises(JobStateError, match='pass attempt="new" to run it again'):
            async with ProcessingContext(job_id="j", gateway=gateway):
                work.append("done")
        async with ProcessingContext(job_id="j", attempt="new", gateway=gateway) as again:
            with pytest.raises(JobStateError, match="end attempt 2, then begin attempt 3"):
                await ProcessingContext(job_id="j", attempt="new", gateway=gateway).__aenter__()

        assert (work, again.attempt) == ([], 2)

    async def test_an_asset_of_an_attempt_that_ended_is_late(self, gateway: Gateway) -> None:
        with pytest.raises(ZeroDivisionError):
            async with ProcessingContext(job_id="j", gateway=gateway) as first:
                raise ZeroDivisionError
        async with ProcessingContext(job_id="j", gateway=gateway) as second:
            late = await first.create_asset("late", content=b"1")
            await second.create_asset("in time", content=b"2")

        events = [event async for event in second.history() if event.topic == "asset.created"]
        assert [(event.attempt, event.late) for event in events] == [(1, True), (2, False)]
        assert late.attempt == 1
        found, _ = await first.paginate_assets(job_id="j", attempt=2)
        assert [asset.name for asset in found] == ["in time"]

    async def test_a_refused_job_end_does_not_hide_the_failure_of_the_block(
        self, gateway: Gateway
    ) -> None:
        async with ProcessingContext(job_id="j", gateway=gateway):
            pass

        with pytest.raises(ZeroDivisionError) as failed:
            async with ProcessingContext(job_id="j", attempt=1, gateway=gateway):
                raise ZeroDivisionError

        assert "the end of job j was not recorded" in failed.value.__notes__[0]

    @pytest.mark.parametrize("job_id", ["..", ".", "a/b", "j?x=1#y", "ü %2F", "start"])
    async def test_a_job_id_may_have_any_characters(self, gateway: Gateway, job_id: str) -> None:
        async with ProcessingContext(job_id=job_id, gateway=gateway) as context:
            await context.create_asset("a", content=b"x")

        events = [event async for event in context.history()]
        assert [event.job_id for event in events] == [job_id] * 3
        assert len([a async for a in Asset.iterate(job_id=job_id, gateway=gateway)]) == 1

    async def test_the_history_of_an_unknown_job_raises_with_its_id(self, gateway: Gateway) -> None:
        context = ProcessingContext(job_id="what/ever?", gateway=gateway)

        with pytest.raises(UnknownJobError) as refused:
            _ = [event async for event in context.history()]

        assert refused.value.job_id == "what/ever?"

    async def test_concurrent_creates_are_all_recorded(
        self, gateway: Gateway, context: ProcessingContext
    ) -> None:
        made = await asyncio.gather(
            *(context.create_asset(f"{n}", content=b"%d" % n) for n in range(50))
        )

        found = [asset async for asset in Asset.iterate(gateway=gateway)]
        assert {asset.id for asset in found} == {asset.id for asset in made}
        assert len(found) == 50

    async def test_a_search_finds_words_in_names_and_metadata(
        self, gateway: Gateway, context: ProcessingContext
    ) -> None:
        named = await context.create_asset("Große Katze.txt", "text/plain", b"x")
        noted = await context.create_asset(
            "b.bin", content=b"x", metadata={"prompt": "eine KATZE, groß"}
        )

        found = [asset async for asset in Asset.iterate(query="katze groß", gateway=gateway)]
        texts, _ = await Asset.paginate(query="katze", content_type="text/", gateway=gateway)

        assert found == [named, noted]
        assert texts == [named]
        assert await Asset.count(query="katze", size_min=2, gateway=gateway) == 0
        with pytest.raises(ParameterError):
            await Asset.paginate(query="", gateway=gateway)

    async def test_lineage_walks_up_and_down(self, context: ProcessingContext) -> None:
        first = await context.create_asset("1", content=b"1")
        second = await context.create_asset("2", content=b"2", derived_from=[first])
        third = await context.create_asset("3", content=b"3", derived_from=[second])

        both, up = await second.lineage(), await third.lineage(direction="up", depth=1)

        assert {asset.id for asset in both.assets} == {first.id, second.id, third.id}
        assert {tuple(edge) for edge in both.edges} == {
            (first.id, second.id),
            (second.id, third.id),
        }
        assert ({asset.id for asset in up.assets}, up.truncated) == ({second.id, third.id}, True)
        with pytest.raises(UnknownAssetError):
            await replace(first, id=UNKNOWN_ID).lineage()

    async def test_jobs_are_read_listed_and_compared(self, gateway: Gateway) -> None:
        for job_id, content in (("a", b"one"), ("b", b"two")):
            async with ProcessingContext(
                job_id=job_id, workflow_id="w", gateway=gateway
            ) as context:
                await context.create_asset("same", content=b"x", node_id="n")
                await context.create_asset("other", content=content, node_id="n")

        a, b = [job async for job in Job.iterate(workflow_id="w", gateway=gateway)]
        (last,), cursor = await Job.paginate(sort="-created_at", limit=1, gateway=gateway)
        compared = await a.compare("b")

        assert (a.job_id, a.status, a.assets, a.bytes) == ("a", "completed", 2, 4)
        assert last == b == await Job.get("b", gateway=gateway)
        assert cursor
        assert compared.counts == {"same": 1, "different": 1, "only_a": 0, "only_b": 0}
        assert compared.first_divergence is not None
        assert compared.first_divergence.a is not None
        assert compared.first_divergence.b is not None
        assert await compared.first_divergence.a.content() == b"one"
        assert await compared.first_divergence.b.content() == b"two"
        pages = await gateway.compare("a", "b", [("page_size", "1"), ("status", "same")])
        assert ([row["name"] for row in pages["rows"]], pages["next"]) == (["same"], "")
        assert (await gateway.compare("a", "b", [("page_size", "1")]))["next"]
        assert await Job.paginate(status="failed", gateway=gateway) == ([], "")
        with pytest.raises(UnknownJobError):
            await a.compare("nothing")
        with pytest.raises(UnknownJobError):
            await Job.get("nothing", gateway=gateway)

    async def test_matching_assets_are_counted_and_deleted(
        self, gateway: Gateway, context: ProcessingContext
    ) -> None:
        for number in range(3):
            await context.create_asset(f"{number}", content=b"x", tags=["old"])
        kept = await context.create_asset("kept", content=b"x")

        assert await Asset.count(gateway=gateway) == 4
        assert await Asset.count(tag="old", name=["0", "1"], gateway=gateway) == 2
        with pytest.raises(VersionConflictError):
            await Asset.delete_matching(2, tag="old", gateway=gateway)
        with pytest.raises(FieldError):
            await Asset.delete_matching(0, gateway=gateway)
        assert len(await Asset.delete_matching(3, tag="old", gateway=gateway)) == 3
        assert await Asset.paginate(gateway=gateway) == ([kept], "")

    async def test_a_placeholder_has_the_pixels_of_the_whole_picture(
        self, context: ProcessingContext
    ) -> None:
        picture, text = io.BytesIO(), await context.create_asset("t", "text/plain", b"text")
        Image.new("RGB", (2000, 1000)).save(picture, "PNG")
        asset = await context.create_asset("p.png", "image/png", picture.getvalue())

        found = await asset.placeholder()

        assert (found["width"], found["height"], found["version"]) == (2000, 1000, 1)
        assert found["id"] == asset.id
        assert found["thumbhash"]
        with pytest.raises(RefusedError, match="no thumbnail"):
            await text.placeholder()

    async def test_peaks_follow_the_loudness_of_a_sound(self, context: ProcessingContext) -> None:
        sound = io.BytesIO()
        with wave.open(sound, "wb") as written:
            written.setparams((1, 2, 8000, 0, "NONE", ""))
            written.writeframes(bytes(8192) + bytes([0, 64]) * 4096)
        asset = await context.create_asset("s.wav", "audio/wav", sound.getvalue())

        assert await asset.peaks(count=4) == {"duration": 1.024, "peaks": [0, 0, 0.5, 0.5]}
        with pytest.raises(RefusedError):
            await asset.peaks(count=4_000)
        with pytest.raises(RefusedError, match="no loudness"):
            await (await context.create_asset("t", "text/plain", b"text")).peaks()

    async def test_a_thumbnail_is_a_small_webp(self, context: ProcessingContext) -> None:
        buffer = io.BytesIO()
        Image.new("RGB", (2_000, 1_000), "red").save(buffer, format="png")
        asset = await context.create_asset("red.png", "image/png", buffer.getvalue())
        text = await context.create_asset("a.txt", "text/plain", b"a")

        thumbnail = Image.open(io.BytesIO(await asset.thumbnail()))

        assert (thumbnail.format, max(thumbnail.size)) == ("WEBP", 512)
        with pytest.raises(RefusedError):
            await text.thumbnail()
        with pytest.raises(UnknownAssetError):
            await (await context.create_asset("f", "folder")).thumbnail()

    async def test_a_content_is_replaced_and_checked(
        self, gateway: Gateway, context: ProcessingContext
    ) -> None:
        asset = await context.create_asset("a", "text/plain", b"before")

        async with opened(b"after") as content:
            digest = f"sha256:{hashlib.sha256(b'after').hexdigest()}"
            changed = await gateway.replace(asset.id, content, digest)
            with pytest.raises(DigestMismatchError):
                await gateway.replace(asset.id, content, "sha256:" + "0" * 64)

        assert (changed["version"], changed["content_type"]) == (2, "text/plain")
        assert await (await context.find_asset(asset.id)).content() == b"after"
        assert await asset.content() == b"before"

    async def test_new_bytes_are_a_new_version_of_an_unchanged_asset(
        self, context: ProcessingContext, tmp_path: Path
    ) -> None:
        asset = await context.create_asset("a", "text/plain", b"before")
        file = tmp_path / "after"
        file.write_bytes(b"after")

        changed = await asset.replace(file, if_unchanged=True)
        again = await changed.replace(io.BytesIO(b"later"))
        with pytest.raises(PreconditionFailedError):
            await asset.replace(b"mine", if_unchanged=True)

        assert (changed.version, changed.size, again.version) == (2, 5, 3)
        assert (await asset.content(), await changed.content()) == (b"before", b"after")
        assert await (await context.find_asset(asset.id)).content() == b"later"

    async def test_new_bytes_of_what_has_none_are_refused(self, context: ProcessingContext) -> None:
        folder = await context.create_asset("f", "folder")
        asset = await context.create_asset("a", content=b"x")
        await asset.delete()

        with pytest.raises(FieldError):
            await folder.replace(b"x")
        with pytest.raises(AssetDeletedError):
            await asset.replace(b"y")
        with pytest.raises(UnknownAssetError):
            await replace(asset, id=UNKNOWN_ID).replace(b"y")
        with pytest.raises(FileNotFoundError):
            await folder.replace(Path("/nowhere/at/all"))

    async def test_a_create_with_the_key_of_another_returns_its_asset(
        self, gateway: Gateway
    ) -> None:
        made = [await gateway.create({"name": "a"}, None, key="a key") for _ in range(2)]

        assert made[0] == made[1]

    async def test_records_are_copied_pickled_and_made_plain(
        self, gateway: Gateway, context: ProcessingContext
    ) -> None:
        async with context:
            asset = await context.create_asset(
                "a", content=b"x", metadata={"a": [1, None]}, tags=["t"]
            )
        asset = await context.find_asset(asset.id)
        job = await Job.get("j", gateway=gateway)

        for record in (asset, job):
            assert pickle.loads(pickle.dumps(record)) == record
            assert copy.copy(record) == copy.deepcopy(record) == record
            assert {*asdict(record)} == {*record.to_dict(), "gateway"}
            assert len(repr(record)) < 120
        assert asset.to_dict().items() <= (await gateway.find(asset.id)).items()
        assert job.to_dict().items() <= (await gateway.job("j")).items()
        assert await copy.deepcopy(asset).content() == b"x"

    async def test_an_unpickled_asset_uses_the_connected_ledger(
        self, context: ProcessingContext
    ) -> None:
        asset = pickle.loads(pickle.dumps(await context.create_asset("a", content=b"x")))

        assert await asset.content() == b"x"  # the fixture connects the ledger
        token = ambient.set(None)
        with pytest.raises(NotConnectedError):
            await asset.content()
        ambient.reset(token)

    async def test_events_are_yielded_once_in_the_order_of_the_log_and_as_they_are_recorded(
        self, gateway: Gateway
    ) -> None:
        async with ProcessingContext(job_id="j", gateway=gateway) as context:
            first = await context.create_asset("a", content=b"1", node_id="n")
        found = events(after=0, gateway=gateway)
        seen = [await anext(found) for _ in range(3)]
        assert [event.topic for event in seen] == ["job.started", "asset.created", "job.finished"]

        waiting = asyncio.create_task(anext(found))
        await asyncio.sleep(0)
        await first.update(name="b")
        assert (await waiting).topic == "asset.described"
        await found.aclose()

        resumed = events(after=seen[1].position, gateway=gateway)
        assert [(await anext(resumed)).topic for _ in range(2)] == [
            "job.finished",
            "asset.described",
        ]
        await resumed.aclose()

    @pytest.mark.parametrize(
        ("filters", "topics"),
        [
            ({"job_id": "j"}, ["job.started", "asset.created", "asset.created", "job.finished"]),
            ({"node_id": "n"}, ["asset.created"]),
            ({"topic": ["job.finished", "job.started"]}, ["job.started", "job.finished"]),
            ({"job_id": "k", "attempt": 1}, ["asset.created"]),
            ({"all_users": True, "topic": "ledger.opened"}, ["ledger.opened"]),
        ],
    )
    async def test_events_match_every_filter(
        self, gateway: Gateway, filters: dict[str, Any], topics: list[str]
    ) -> None:
        async with ProcessingContext(job_id="j", gateway=gateway) as context:
            await context.create_asset("a", content=b"1", node_id="n")
            await context.create_asset("b", content=b"2")
        await ProcessingContext(job_id="k", gateway=gateway).create_asset("c", content=b"3")

        async with aclosing(events(after=0, gateway=gateway, **filters)) as found:
            assert [(await anext(found)).topic for _ in topics] == topics

    async def test_events_begin_at_the_first_step_without_a_position(
        self, gateway: Gateway
    ) -> None:
        context = ProcessingContext(job_id="j", gateway=gateway)
        old = await context.create_asset("old", content=b"x")
        async with aclosing(events(gateway=gateway)) as found:
            waiting = asyncio.create_task(anext(found))
            new = set()
            while not waiting.done():  # the iterator may not have begun yet
                new.add((await context.create_asset("new", content=b"x")).id)
                await asyncio.sleep(0.01)
        assert (await waiting).asset_id in new - {old.id}

    @pytest.mark.parametrize("wrong", [{"topic": "asset.eaten"}, {"asset_id": "x"}, {"after": -1}])
    async def test_events_refuse_a_wrong_filter(
        self, gateway: Gateway, wrong: dict[str, Any]
    ) -> None:
        with pytest.raises(ParameterError):
            await anext(events(gateway=gateway, **wrong))

    async def test_assets_are_proven_under_a_new_or_a_kept_checkpoint(
        self, gateway: Gateway
    ) -> None:
        context = ProcessingContext(gateway=gateway)
        first = await context.create_asset("a", content=b"1")
        kept = await tree_head(gateway=gateway)
        later = await context.create_asset("b", content=b"2")
        await later.delete()

        proof = await prove([later.id, first], gateway=gateway)
        older = await prove([later, first], size=kept["size"], gateway=gateway)

        head = await tree_head(gateway=gateway)
        (checkpoint, events), (early, proven) = [check_proof(p, p["key"]) for p in (proof, older)]
        assert (checkpoint.size, early.size) == (head["size"], kept["size"]) == (4, 2)
        assert b64decode(head["root"]) == checkpoint.root
        assert [event.position for event in events] == [3, 4, 2]
        assert [event.position for event in proven] == [2]

    @pytest.mark.parametrize(
        ("ids", "size", "error"),
        [
            ([UNKNOWN_ID], None, UnknownAssetError),
            (["x"], None, UnknownAssetError),
            ([], None, FieldError),
            ([UNKNOWN_ID] * 1_001, None, FieldError),
            ([UNKNOWN_ID], 9, ParameterError),
        ],
    )
    async def test_an_impossible_proof_is_refused(
        self, gateway: Gateway, ids: list[str], size: int | None, error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            await prove(ids, size=size, gateway=gateway)
