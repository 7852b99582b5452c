"""The exceptions of the SDK: those of the ledger, and these.

LedgerError
├── UnavailableError
│   └── UnreachableError      the ledger could not be reached, or its answer broke off
├── EventLoopError          the call cannot run on this event loop
├── MissingPackageError     an optional package is not installed
├── NotConnectedError       no ledger is connected (use `connect`), or the connection was closed
├── SaveError               the return value of a node could not be saved
└── WorkflowError           the graph has a circle, an id twice, or an unknown input
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
    DeadlineExceededError,
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
    "DeadlineExceededError",
    "DigestMismatchError",
    "DiskFullError",
    "EventLoopError",
    "FieldError",
    "FolderLockedError",
    "ForbiddenError",
    "JobStateError",
    "KeyReusedError",
    "LedgerError",
    "MissingPackageError",
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
    """The ledger could not be reached, or its answer broke off. A write may have been recorded."""


class EventLoopError(LedgerError):
    """A call cannot run on this event loop, or would wait for itself. Nothing was sent."""


class MissingPackageError(LedgerError):
    """An optional package is not installed. The message has the command that installs it."""


class NotConnectedError(LedgerError):
    """No ledger is connected (use `connect`, or set ASSET_LEDGER_URL), or it was closed."""

    def __init__(self, message: str = "this connection was closed: connect again") -> None:
        super().__init__(message)


class SaveError(LedgerError):
    """The return value of a node could not be saved. `__cause__` is the reason, if there is one."""


class WorkflowError(LedgerError):
    """The graph of a workflow has a circle, an id twice, or an unknown input. No node ran."""
