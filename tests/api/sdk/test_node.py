"""`run_node`: what it saves of a return value, under which names, and what it does not save."""

import asyncio
import io
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from asset_ledger import (
    Asset,
    BaseNode,
    Gateway,
    Output,
    ProcessingContext,
    Result,
    SaveError,
    run_node,
)
from asset_ledger.errors import FieldError

PNG = b"\x89PNG\r\n\x1a\n" + bytes(32)


class Returns(BaseNode):
    """Returns what `make` returns, and saves it."""

    _auto_save_asset = True

    def __init__(self, make: Callable[[], Any], *, id: str = "n") -> None:
        super().__init__(id=id)
        self.make = make

    async def process(self, context: ProcessingContext) -> Any:
        return self.make()


class Quiet(Returns):
    _auto_save_asset = False


async def saved(context: ProcessingContext, make: Callable[[], Any]) -> Result:
    return await run_node(Returns(make), context)


async def test_returned_bytes_are_saved_with_node_name_and_type(
    context: ProcessingContext,
) -> None:
    result = await saved(context, lambda: PNG)

    (asset,) = result.assets
    assert (asset.name, asset.content_type) == ("Returns_n.png", "image/png")
    assert (asset.node_id, asset.job_id, asset.workflow_id) == ("n", "j", "w")
    assert await asset.content() == PNG
    assert result.value == PNG
    assert result.asset_id == asset.id


async def test_returned_bytes_of_unknown_type_are_saved_as_bin(context: ProcessingContext) -> None:
    (asset,) = (await saved(context, lambda: bytearray(b"?"))).assets

    assert (asset.name, asset.content_type) == ("Returns_n.bin", "application/octet-stream")


async def test_each_entry_of_a_returned_dict_or_list_is_saved(context: ProcessingContext) -> None:
    result = await saved(
        context, lambda: {"mask": PNG, "tiles": [b"a", (b"b",)], "score": 0.5, "why": "text"}
    )

    assert [asset.name for asset in result.assets] == [
        "Returns_n_mask.png",
        "Returns_n_tiles_1.bin",
        "Returns_n_tiles_2_1.bin",
        "Returns_n_score.json",
        "Returns_n_why.txt",
    ]


async def test_a_returned_path_is_saved_under_its_file_name(
    context: ProcessingContext, tmp_path: Path
) -> None:
    def write() -> Path:
        path = tmp_path / "report.txt"
        path.write_text("done")
        return path

    (asset,) = (await saved(context, write)).assets

    assert (asset.name, asset.content_type, asset.size) == ("report.txt", "text/plain", 4)


@pytest.mark.parametrize("rewinds", [True, False])
async def test_a_returned_open_file_is_saved_from_its_start(
    context: ProcessingContext, tmp_path: Path, rewinds: bool
) -> None:
    def write() -> Any:
        if not rewinds:
            return Unseekable(PNG)
        buffer = io.BytesIO()
        buffer.write(PNG)
        return buffer

    (asset,) = (await saved(context, write)).assets

    assert asset.name == ("Returns_n.png" if rewinds else "Returns_n.bin")
    assert await asset.content() == PNG


async def test_a_returned_open_file_keeps_its_file_name(
    context: ProcessingContext, tmp_path: Path
) -> None:
    with (tmp_path / "take.wav").open("w+b") as file:
        file.write(b"sound")

        (asset,) = (await saved(context, lambda: file)).assets

    assert (asset.name, asset.content_type) == ("take.wav", "audio/x-wav")


async def test_a_returned_object_is_saved_as_its_to_asset_output(
    context: ProcessingContext,
) -> None:
    class Picture:
        def to_asset(self) -> Output:
            return Output(lambda: PNG, "holiday.png", "image/png", {"iso": 100}, ("sea",))

    (asset,) = (await saved(context, Picture)).assets

    assert (asset.name, asset.metadata, asset.tags) == ("holiday.png", {"iso": 100}, ("sea",))


async def test_an_output_without_a_name_is_named_after_the_node(context: ProcessingContext) -> None:
    class Picture:
        def to_asset(self) -> Output:
            return Output(PNG, content_type="image/png")

    (asset,) = (await saved(context, lambda: {"front": Picture()})).assets

    assert asset.name == "Returns_n_front.png"


async def test_a_returned_asset_is_not_saved_again(
    context: ProcessingContext, embedded: Gateway
) -> None:
    class Makes(BaseNode):
        _auto_save_asset = True

        async def process(self, context: ProcessingContext) -> Asset:
            return await context.create_asset("own.png", "image/png", PNG)

    result = await run_node(Makes(id="m"), context)

    assert [asset.name for asset in result.assets] == ["own.png"]
    assert result.value == result.assets[0]
    assert result.assets[0].node_id == "m"
    assert [a.name async for a in Asset.iterate(gateway=embedded)] == ["own.png"]


async def test_a_node_without_the_flag_saves_nothing(
    context: ProcessingContext, embedded: Gateway
) -> None:
    result = await run_node(Quiet(lambda: PNG), context)

    assert result == Result(PNG, ())
    assert result.asset_id is None
    assert await Asset.paginate(gateway=embedded) == ([], "")


async def test_a_direct_call_of_process_saves_nothing(
    context: ProcessingContext, embedded: Gateway
) -> None:
    assert await Returns(lambda: PNG).process(context) == PNG

    assert await Asset.paginate(gateway=embedded) == ([], "")


async def test_a_file_older_than_the_run_is_not_read(context: ProcessingContext) -> None:
    with pytest.raises(SaveError, match="was there before the node ran"):
        await saved(context, lambda: Path(__file__))


async def test_a_returned_link_is_not_followed(context: ProcessingContext, tmp_path: Path) -> None:
    def link() -> Path:
        (tmp_path / "link").symlink_to(__file__)
        return tmp_path / "link"

    with pytest.raises(SaveError, match="is not a regular file"):
        await saved(context, link)


async def test_a_missing_file_fails_the_run(context: ProcessingContext, tmp_path: Path) -> None:
    with pytest.raises(SaveError, match="cannot be read"):
        await saved(context, lambda: tmp_path / "missing")


async def test_a_value_of_an_unsupported_type_fails_the_run(context: ProcessingContext) -> None:
    with pytest.raises(SaveError, match="cannot save a value of type object"):
        await saved(context, object)


async def test_a_refused_save_fails_the_run(context: ProcessingContext) -> None:
    with pytest.raises(SaveError, match="control characters") as failed:
        await saved(context, lambda: {"a\0b": b"x"})

    assert isinstance(failed.value.__cause__, FieldError)


async def test_a_failed_save_is_reported_with_on_save_error_report(
    embedded: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    context = ProcessingContext(job_id="j", gateway=embedded, on_save_error="report")

    class Breaks:
        def to_asset(self) -> bytes:
            raise RuntimeError("out of paint")

    with caplog.at_level(logging.ERROR):
        result = await saved(context, lambda: [b"good", object(), Breaks(), {"\0": b""}, b"too"])

    assert [asset.name for asset in result.assets] == ["Returns_n_1.bin", "Returns_n_5.bin"]
    assert len(result.errors) == 3
    assert "out of paint" in str(result.errors[1])
    assert isinstance(result.errors[1].__cause__, RuntimeError)
    assert len(caplog.records) == 3


async def test_the_exception_of_a_node_is_raised(context: ProcessingContext) -> None:
    with pytest.raises(ZeroDivisionError):
        await saved(context, lambda: 1 / 0)


async def test_a_saved_output_is_derived_from_the_given_assets(context: ProcessingContext) -> None:
    first, second = (await saved(context, lambda: [b"1", b"2"])).assets

    result = await run_node(Returns(lambda: b"3"), context, derived_from=[first, second.id, first])

    assert result.assets[0].derived_from == (first.id, second.id)


async def test_explicit_arguments_of_create_asset_win_over_the_running_node(
    context: ProcessingContext,
) -> None:
    class Chooses(BaseNode):
        async def process(self, context: ProcessingContext) -> Asset:
            return await context.create_asset("a", content=b"x", node_id="another", derived_from=[])

    source = await context.create_asset("s", content=b"s")
    result = await run_node(Chooses(), context, derived_from=[source])

    assert (result.assets[0].node_id, result.assets[0].derived_from) == ("another", ())


async def test_a_base_node_has_a_unique_id_and_no_process(context: ProcessingContext) -> None:
    assert BaseNode().id != BaseNode().id
    assert (BaseNode.auto_save_asset(), Returns.auto_save_asset()) == (False, True)
    with pytest.raises(NotImplementedError, match=r"BaseNode has no process\(\)"):
        await run_node(BaseNode(), context)


class TestOptionalPackages:
    """Values of Pillow and numpy, if they are installed."""

    async def test_a_pillow_image_is_saved_as_png(self, context: ProcessingContext) -> None:
        image = imported("PIL.Image").new("RGBA", (4, 3), "red")

        (asset,) = (await saved(context, lambda: image)).assets

        assert (asset.name, asset.content_type) == ("Returns_n.png", "image/png")
        assert (await asset.content()).startswith(b"\x89PNG")

    async def test_a_pillow_image_is_saved_as_tiff_if_png_cannot_hold_it(
        self, context: ProcessingContext
    ) -> None:
        image = imported("PIL.Image").new("CMYK", (4, 3))

        (asset,) = (await saved(context, lambda: image)).assets

        assert (asset.name, asset.content_type) == ("Returns_n.tiff", "image/tiff")

    async def test_a_numpy_array_is_saved_as_npy(self, context: ProcessingContext) -> None:
        numpy = imported("numpy")
        array = numpy.arange(6, dtype="float32").reshape(2, 3)

        (asset,) = (await saved(context, lambda: array)).assets

        with await context.download(asset) as file:
            assert (numpy.load(file) == array).all()
        assert (asset.name, asset.content_type) == ("Returns_n.npy", "application/x-npy")

    async def test_a_numpy_array_of_objects_is_refused(self, context: ProcessingContext) -> None:
        array = imported("numpy").array([object()])

        with pytest.raises(SaveError, match="allow_pickle"):
            await saved(context, lambda: array)


def imported(name: str) -> ModuleType:
    pytest.importorskip(name, reason=f"{name} is not installed: the SDK works without it")
    return sys.modules[name]


class Unseekable(io.BytesIO):
    def seekable(self) -> bool:
        return False


class Fails(BaseNode):
    def __init__(self, failure: BaseException) -> None:
        super().__init__(id="fails")
        self.failure = failure

    async def process(self, context: ProcessingContext) -> None:
        raise self.failure


@pytest.fixture(params=["embedded", "remote"])
def either(request: pytest.FixtureRequest) -> ProcessingContext:
    """A context of a ledger in process, and of one over HTTP."""
    gateway: Gateway = request.getfixturevalue(request.param)
    return ProcessingContext(
        workflow_id="w",
        job_id="j",
        parameters={"steps": 20},
        parent_job_id="parent",
        gateway=gateway,
    )


async def test_each_run_of_a_node_is_recorded(either: ProcessingContext) -> None:
    async with either:
        for _ in range(2):
            await run_node(Returns(lambda: b"four"), either)

    (node,) = await either.nodes()
    assert (node.node_id, node.status, node.runs, node.failed) == ("n", "completed", 2, 0)
    assert (node.assets, node.bytes, node.error) == (2, 8, None)
    assert node.longest is not None
    assert node.seconds >= node.longest >= 0
    events = [event async for event in either.history()]
    assert [event.topic for event in events] == [
        "job.started",
        *["node.started", "asset.created", "node.finished"] * 2,
        "job.finished",
    ]
    assert events[0].data["parameters"] == {"steps": 20}
    assert events[0].data["parent_job_id"] == "parent"


@pytest.mark.parametrize(
    ("make", "status", "error"),
    [
        (lambda: ValueError("no\0 input \ud800"), "failed", "ValueError: no input ?"),
        (MemoryError, "failed", "MemoryError: "),
        (asyncio.CancelledError, "cancelled", None),
    ],
)
async def test_an_exception_that_leaves_a_node_is_recorded_and_names_the_node(
    either: ProcessingContext, make: Callable[[], BaseException], status: str, error: str | None
) -> None:
    failure = make()
    with pytest.raises(type(failure)) as raised:
        await run_node(Fails(failure), either)

    assert raised.value is failure
    assert "in node fails of job j" in failure.__notes__
    (node,) = await either.nodes()
    assert (node.status, node.error) == (status, error)


async def test_a_failed_job_names_the_node_that_failed(either: ProcessingContext) -> None:
    with pytest.raises(ValueError, match="no"):
        async with either:
            await run_node(Fails(ValueError("no")), either)

    *_, last = [event async for event in either.history()]
    assert last.data["error"] == "ValueError: no\nin node fails of job j"


async def test_nodes_of_many_pages_are_listed_once(context: ProcessingContext) -> None:
    gateway = context.user_gateway
    for number in range(5):
        await gateway.finish_node("j", {"node_id": f"n{number}", "status": "completed"})
    page = await gateway.nodes("j", [("page_size", "2")])
    more = await gateway.nodes("j", [("page_size", "3"), ("cursor", page["next"])])

    assert [node.node_id for node in await context.nodes()] == [
        node["node_id"] for node in (*page["nodes"], *more["nodes"])
    ]
    assert more["next"] == ""


async def test_a_claimed_time_of_a_run_is_recorded_in_process(context: ProcessingContext) -> None:
    gateway, named = context.user_gateway, {"node_id": "n"}
    await gateway.start_node("j", {**named, "made_at": "2020-01-01T00:00:00Z"})
    await gateway.finish_node(
        "j", {**named, "made_at": "2020-01-01T00:00:09Z", "status": "completed"}
    )

    (node,) = await context.nodes()
    assert (node.seconds, str(node.finished_at)) == (9.0, "2020-01-01 00:00:09+00:00")
