"""The ledger of a command: a server, or a data folder, alone or through the server that has it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import click

from asset_ledger.api.cli.flags import settings_of
from asset_ledger.api.cli.options import Where, database_of, existing_log, folder_of
from asset_ledger.api.cli.output import echo
from asset_ledger.api.cli.remote import ONCE
from asset_ledger.api.contract.errors import UnauthenticatedError
from asset_ledger.api.sdk.client import Client
from asset_ledger.api.sdk.connection import Connection, in_process
from asset_ledger.api.sdk.gateway import Gateway
from asset_ledger.api.sdk.remote import LOCAL_USER, RemoteGateway
from asset_ledger.api.sdk.retry import RETRIES
from asset_ledger.ledger.errors import FolderLockedError
from asset_ledger.ledger.storage.folder_lock import holder_of


@asynccontextmanager
async def open_ledger(where: Where, *, creates: bool = False) -> AsyncIterator[Gateway]:
    """Open the server at `url`, else the data folder, until the block ends.

    A command that `creates` makes an absent folder, and retries calls to a server that it reached
    once. Raises DataFolderError for a folder, UnavailableError for a server.
    """
    data_dir, url, token, user = where
    if url is not None:
        async with _server(url, token, user, retries=creates) as gateway:
            yield gateway
        return
    folder, database = folder_of(data_dir), database_of(data_dir)
    if database is None and not creates:
        existing_log(data_dir)
    if database is not None and creates:
        _warn_of_large_contents(folder)
    opening = Connection(in_process(folder, user or LOCAL_USER, database))
    try:
        gateway = await opening.__aenter__()
    except FolderLockedError as locked:
        async with _holder(folder, locked, token, user, retries=creates) as gateway:
            yield gateway
        return
    try:
        yield gateway
    finally:
        await opening.__aexit__()


def _warn_of_large_contents(folder: Path) -> None:
    if settings_of(folder).content_url is None and address_of(folder) is None:
        text = f"contents of more than 64 KiB stay in {folder}, unless content_url is set"
        echo(text, err=True)


def address_of(folder: Path) -> str | None:
    """Return the address of the server that has a data folder, None if none has it."""
    holder = holder_of(folder)
    return holder.address if holder else None


@asynccontextmanager
async def _server(
    url: str, token: str | None, user: str | None, *, retries: bool
) -> AsyncIterator[Gateway]:
    if retries:
        client = Client(url, token, ONCE)
        try:
            await client.text("/livez")
        finally:
            await client.close()
    gateway = RemoteGateway(url, token, retry=RETRIES if retries else ONCE)
    try:
        yield gateway if user is None else gateway.for_user(user)
    finally:
        await gateway.close()


@asynccontextmanager
async def _holder(
    folder: Path, locked: FolderLockedError, token: str | None, user: str | None, *, retries: bool
) -> AsyncIterator[Gateway]:
    """Call the server that has a folder. Raises `locked` if it has no address."""
    address = address_of(folder)
    if address is None:
        raise locked
    try:
        async with _server(address, token, user, retries=retries) as gateway:
            yield gateway
    except UnauthenticatedError as error:
        raise click.ClickException(
            f"{folder} is served at {address}, which needs a token: add --token"
        ) from error
