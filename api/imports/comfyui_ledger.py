"""A ledger, reached through the SDK, as the recorder of ComfyUI's prompts uses it."""

from collections.abc import Coroutine, Mapping
from contextlib import suppress
from typing import IO, Any, TypeVar

from asset_ledger.api.contract.errors import (
    ForbiddenError,
    MissingScopeError,
    UnauthenticatedError,
)
from asset_ledger.api.imports.comfyui import recording
from asset_ledger.api.imports.comfyui.prompts import Fields
from asset_ledger.api.sdk.content import opened
from asset_ledger.api.sdk.gateway import Document, Gateway
from asset_ledger.api.sdk.portal import run
from asset_ledger.ledger.errors import (
    KeyReusedError,
    RefusedError,
    UnavailableError,
    UnknownJobError,
)

T = TypeVar("T")


class GatewayLedger:
    """A `PromptLedger`. Raises its errors, UnavailableError, and the SDK's errors that
    concern every request."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def job(self, job_id: str) -> Mapping[str, Any] | None:
        """Return a job, None if there is none."""
        with suppress(UnknownJobError):
            return _call(self._gateway.job(job_id))
        return None

    def start(self, job_id: str, fields: Fields) -> None:
        """Record the start of an attempt."""
        _call(self._gateway.start_job(job_id, fields))

    def finish(self, job_id: str, fields: Fields) -> None:
        """Record the end of an attempt."""
        _call(self._gateway.finish_job(job_id, fields))

    def has(self, query: Mapping[str, str]) -> bool:
        """Return whether an asset, live or deleted, matches these filters."""
        filters = {**query, "deleted": "any", "page_size": "1"}
        return bool(_call(self._gateway.page([*filters.items()]))["assets"])

    def create(self, fields: Fields, content: IO[bytes], key: str) -> str | None:
        """Record an asset, and return its id; None if another request used the key before."""
        content.seek(0)
        with suppress(KeyReusedError):
            return str(_call(self._create(fields, content, key))["id"])
        return None

    async def _create(self, fields: Fields, content: IO[bytes], key: str) -> Document:
        async with opened(content) as upload:
            return await self._gateway.create(fields, upload, key=key)


def _call(work: Coroutine[Any, Any, T]) -> T:
    try:
        return run(work)
    except MissingScopeError as error:
        if error.scope != "admin":
            raise
        raise recording.NeedsAdminError(str(error)) from error
    except (UnauthenticatedError, ForbiddenError, KeyReusedError, UnknownJobError):
        raise
    except RefusedError as error:
        if type(error) is RefusedError:  # a proxy's, while it does not reach the ledger
            raise UnavailableError(str(error)) from error
        raise recording.RequestRefusedError(str(error)) from error
