"""Everything that the SDK raises on purpose: the ledger's own tree, and these beside it.

LedgerError
├── UnavailableError
│   └── UnreachableError      the ledger could not be reached, or broke off its answer
├── NotConnectedError       there is no ledger to ask: `connect` first, or set ASSET_LEDGER_URL
├── SaveError               what a node returned could not be saved
└── WorkflowError           the nodes depend on each other in a circle
"""

from asset_ledger.api.contract.errors import (
    ForbiddenError,
    MissingScopeError,
    RateLimitedError,
    UnauthenticatedError,
)
from asset_ledger.ledger.errors import (
    AssetDeletedError,
    BusyError,
    CursorError,
    DataFolderError,
    DigestMismatchError,
    DiskFullError,
    FieldError,
    FolderLockedError,
    JobStateError,
    KeyReusedError,
    LedgerError,
    OutcomeUnknownError,
    ParameterError,
    PreconditionFailedError,
    ProjectionBehindError,
    RefusedError,
    StorageFailedError,
    TooLargeError,
    UnavailableError,
    UnknownAssetError,
    UnknownJobError,
    VersionConflictError,
)

__all__ = [
    "AssetDeletedError",
    "BusyError",
    "CursorError",
    "DataFolderError",
    "DigestMismatchError",
    "DiskFullError",
    "FieldError",
    "FolderLockedError",
    "ForbiddenError",
    "JobStateError",
    "KeyReusedError",
    "LedgerError",
    "MissingScopeError",
    "NotConnectedError",
    "OutcomeUnknownError",
    "ParameterError",
    "PreconditionFailedError",
    "ProjectionBehindError",
    "RateLimitedError",
    "RefusedError",
    "SaveError",
    "StorageFailedError",
    "TooLargeError",
    "UnauthenticatedError",
    "UnavailableError",
    "UnknownAssetError",
    "UnknownJobError",
    "UnreachableError",
    "VersionConflictError",
    "WorkflowError",
]


class UnreachableError(UnavailableError):
    """The ledger could not be reached, or its answer broke off. What was asked may be recorded."""


class NotConnectedError(LedgerError):
    """There is no ledger to ask: `connect` to one first, or set ASSET_LEDGER_URL."""


class SaveError(LedgerError):
    """What a node returned could not be saved; the cause, where there is one, is chained."""


class WorkflowError(LedgerError):
    """The nodes of a workflow depend on each other in a circle."""
