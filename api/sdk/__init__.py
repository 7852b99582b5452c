"""The Python side of the ledger: what workflow code imports, without a server and without HTTP.

    from asset_ledger import Asset, BaseNode, ProcessingContext, connect

`api.sdk.sync` has the same names for code that does not await.
"""

from api.sdk.asset import Asset
from api.sdk.connection import Connection, connect
from api.sdk.context import ProcessingContext
from api.sdk.errors import (
    AssetDeletedError,
    FieldError,
    ForbiddenError,
    LedgerError,
    NotConnectedError,
    RefusedError,
    SaveError,
    TooLargeError,
    UnavailableError,
    UnknownAssetError,
    UnknownJobError,
    UnreachableError,
    WorkflowError,
)
from api.sdk.gateway import Gateway
from api.sdk.node import BaseNode, Result, run_node
from api.sdk.record import Fact, Usage
from api.sdk.results import Output
from api.sdk.workflow import Graph, run_workflow

__all__ = [
    "Asset",
    "AssetDeletedError",
    "BaseNode",
    "Connection",
    "Fact",
    "FieldError",
    "ForbiddenError",
    "Gateway",
    "Graph",
    "LedgerError",
    "NotConnectedError",
    "Output",
    "ProcessingContext",
    "RefusedError",
    "Result",
    "SaveError",
    "TooLargeError",
    "UnavailableError",
    "UnknownAssetError",
    "UnknownJobError",
    "UnreachableError",
    "Usage",
    "WorkflowError",
    "connect",
    "run_node",
    "run_workflow",
]
