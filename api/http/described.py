"""The OpenAPI document of a server, as bytes."""

from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version

import orjson

from asset_ledger.api.contract.openapi import openapi
from asset_ledger.api.contract.operations import Operation


class Description:
    """The document of these operations, made when it is asked for first."""

    def __init__(self, operations: Sequence[Operation], *, authenticated: bool) -> None:
        self._operations, self._authenticated = operations, authenticated

    @cached_property
    def json(self) -> bytes:
        """The OpenAPI document."""
        document = openapi(
            self._operations, version=version("asset-ledger"), authenticated=self._authenticated
        )
        return orjson.dumps(document)
