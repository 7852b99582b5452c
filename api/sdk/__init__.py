"""The Python SDK: record assets, run nodes and query a ledger, over HTTP or in this process.

    from asset_ledger import Asset, BaseNode, ProcessingContext, connect

`asset_ledger.api.sdk.sync` has the same names for code without `await`.
"""

from asset_ledger.api.sdk.asset import Asset
from asset_ledger.api.sdk.connection import Connection, connect
from asset_ledger.api.sdk.context import ProcessingContext
from asset_ledger.api.sdk.encoded import Output
from asset_ledger.api.sdk.errors import (
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
from asset_ledger.api.sdk.following import events
from asset_ledger.api.sdk.found import ComparedAssets, Comparison, Lineage
from asset_ledger.api.sdk.gateway import Gateway
from asset_ledger.api.sdk.job import Job
from asset_ledger.api.sdk.listing import Listing
from asset_ledger.api.sdk.node import BaseNode, Result, run_node
from asset_ledger.api.sdk.proving import prove, tree_head
from asset_ledger.api.sdk.record import Event, NodeSummary, Usage
from asset_ledger.api.sdk.workflow import Graph, run_workflow

__all__ = [
    "Asset",
    "AssetDeletedError",
    "BaseNode",
    "ComparedAssets",
    "Comparison",
    "Connection",
    "Event",
    "FieldError",
    "ForbiddenError",
    "Gateway",
    "Graph",
    "Job",
    "LedgerError",
    "Lineage",
    "Listing",
    "NodeSummary",
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
    "events",
    "prove",
    "run_node",
    "run_workflow",
    "tree_head",
]
