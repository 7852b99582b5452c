"""Users of the SDK: a token acts for its user, and only an admin acts for another user."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from asset_ledger import Asset, ProcessingContext, connect
from asset_ledger.errors import (
    ForbiddenError,
    MissingScopeError,
    UnauthenticatedError,
    UnknownAssetError,
)
from tests.api.calling import ALL, caller, serving_with_tokens
from tests.api.running import Api


@pytest.fixture
async def api(opened_data_dir: Path) -> AsyncIterator[Api]:
    async with serving_with_tokens(opened_data_dir) as api:
        yield api


async def test_a_token_records_for_its_user(api: Api) -> None:
    async with connect(api.url, caller(api, "alice").token):
        context = ProcessingContext(user_id="alice")
        asset = await context.create_asset("a", content=b"x")
        assets, _ = await Asset.paginate(user_id="alice")

    assert (asset.user_id, assets) == ("alice", [asset])


@pytest.mark.parametrize("scopes", [("read", "write"), ("write",)])
@pytest.mark.parametrize("user_id", ["1", "bob", "usage", "../1"])
async def test_a_token_without_admin_cannot_record_for_another_user(
    api: Api, scopes: tuple[str, ...], user_id: str
) -> None:
    before = api.head()
    async with connect(api.url, token=caller(api, "alice", *scopes).token):
        with pytest.raises(MissingScopeError) as refused:
            await ProcessingContext(user_id=user_id).create_asset("a", content=b"x")
        with pytest.raises(ForbiddenError):
            await Asset.paginate(user_id=user_id)
        with pytest.raises(MissingScopeError):
            async with ProcessingContext(user_id=user_id):
                pass

    assert refused.value.scope == "admin"
    assert api.head() == before


@pytest.mark.parametrize("user_id", ["1", "anna", "jörg a/b"])
@pytest.mark.parametrize("scopes", [("read", "write"), ALL])
async def test_a_context_without_a_user_acts_for_the_user_of_the_token(
    api: Api, scopes: tuple[str, ...], user_id: str
) -> None:
    async with connect(api.url, token=caller(api, user_id, *scopes).token):
        async with ProcessingContext(job_id="j") as context:
            asset = await context.create_asset("a", content=b"x")
        assert await context.find_asset(asset.id) == asset
        events = [event async for event in context.history()]

    assert (asset.user_id, asset.parent_id) == (user_id, user_id)
    assert {event.by for event in events} == {user_id}
    assert len(events) == 3


@pytest.mark.parametrize("user_id", ["1", "anna", "jörg a/b"])
async def test_a_context_without_a_user_acts_for_the_user_of_the_folder(
    tmp_path: Path, user_id: str
) -> None:
    async with connect(data_dir=tmp_path, user_id=user_id) as gateway:
        asset = await ProcessingContext().create_asset("a", content=b"x")
        for_bob = ProcessingContext(gateway=gateway.for_user("bob"))

        assert (asset.user_id, asset.parent_id) == (user_id, user_id)
        assert (await for_bob.create_asset("b", content=b"x")).user_id == "bob"


async def test_an_admin_records_for_another_user_and_is_named_in_the_event(api: Api) -> None:
    async with connect(api.url, token=caller(api, "root", *ALL).token):
        context = ProcessingContext(user_id="alice")
        asset = await context.create_asset("a", content=b"x")
        (created,) = await asset.history()

        assert await Asset.paginate() == ([], "")
    async with connect(api.url, token=caller(api, "alice").token):
        assert (await Asset.get(asset.id)).user_id == "alice"
    assert created.by == "root"


async def test_an_asset_of_another_user_is_unknown(api: Api) -> None:
    async with connect(api.url, token=caller(api, "alice").token):
        hers = await ProcessingContext(user_id="alice").create_asset("a", content=b"x")

    async with connect(api.url, token=caller(api, "bob").token):
        with pytest.raises(UnknownAssetError):
            await Asset.get(hers.id)


async def test_an_asset_id_is_refused_as_a_user_id(api: Api) -> None:
    async with connect(api.url, token=caller(api, "alice").token):
        asset = await ProcessingContext(user_id="alice").create_asset("a", content=b"x")

        with pytest.raises(ForbiddenError):
            await Asset.paginate(user_id=asset.id)


async def test_a_token_with_the_scope_write_creates_and_cannot_read(api: Api) -> None:
    async with connect(api.url, token=caller(api, "alice", "write").token):
        asset = await ProcessingContext(user_id="alice").create_asset("a", content=b"x")

        with pytest.raises(MissingScopeError) as refused:
            await Asset.get(asset.id)

    assert (asset.user_id, refused.value.scope) == ("alice", "read")


async def test_a_request_without_a_token_is_refused(api: Api) -> None:
    async with connect(api.url):
        with pytest.raises(UnauthenticatedError):
            await Asset.paginate()


async def test_the_environment_variable_holds_the_token(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSET_LEDGER_URL", api.url)
    monkeypatch.setenv("ASSET_LEDGER_TOKEN", caller(api, "alice").token or "")

    assert await Asset.paginate(user_id="alice") == ([], "")
    async with connect(api.url):
        assert await Asset.paginate(user_id="alice") == ([], "")
