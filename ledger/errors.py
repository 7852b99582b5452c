"""Everything the ledger refuses, as one tree. No error here knows a status code.

LedgerError
├── RefusedError                 the request is at fault: sending it again changes nothing
│   ├── MalformedBodyError         the body is not what its type says
│   ├── ParameterError             a query parameter is unknown or out of range
│   ├── CursorError                a cursor of another query, or none of ours
│   ├── DigestMismatchError        the bytes are not the ones that were announced
│   ├── UnknownAssetError          no such asset, or somebody else's
│   │   └── UnknownVersionError      the asset has not had so many versions
│   ├── UnknownJobError            no event of the caller's names this job
│   ├── UnknownTileError           the tree has no such tile, or not that wide yet
│   ├── AssetDeletedError          a tombstone: it can be restored, not changed
│   ├── VersionConflictError       somebody else changed it first
│   ├── PreconditionFailedError    it is not at the version that If-Match names
│   ├── JobStateError              the job was started or finished otherwise
│   ├── GenerationError            there is no generation of the tables to go back to
│   ├── TooLargeError              a field, an event or a body above its limit
│   ├── FieldError                 a field has a value that it cannot have
│   └── KeyReusedError             the Idempotency-Key was used for another request
├── UnavailableError             the service is at fault: the same request may succeed later
│   ├── BusyError                  the queue of writes is full
│   ├── OutcomeUnknownError        recorded or not: ask again with the same key
│   ├── StorageFailedError         the disk refused; nothing was recorded
│   │   ├── DiskFullError            ... for want of space
│   │   └── SigningKeyError          the log's own key is not there: no checkpoint can be signed
│   └── ProjectionBehindError            the tables do not reflect that position yet
├── AddressError                 the service cannot listen where it was told to
├── RebuildError                 the tables could not be made anew: those in use stay
├── ProofError                   a proof, a signature or a checkpoint does not hold
└── DataFolderError              the data folder cannot be opened as it is
    ├── FolderLockedError          another process serves it
    ├── CorruptLogError            the log contradicts itself
    ├── NewerSchemaError           made by a later release
    └── PoisonEventError            a stored event that this release cannot read
"""

from collections.abc import Sequence
from typing import Literal


class LedgerError(Exception):
    """The root: catch it to catch whatever this package raises on purpose."""


class RefusedError(LedgerError):
    """The request is at fault: sending it again changes nothing."""

    def __init__(self, message: str, *, errors: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.errors = tuple(errors)


class MalformedBodyError(RefusedError):
    """The body is not what its type says it is."""


class ParameterError(RefusedError):
    """A query parameter is unknown, empty or out of range; `errors` names it."""


class CursorError(RefusedError):
    """The cursor belongs to another query, or is none of ours."""


class DigestMismatchError(RefusedError):
    """The bytes that arrived are not the ones that were announced."""


class UnknownAssetError(RefusedError):
    """No such asset, or somebody else's: both are answered alike."""

    def __init__(self, asset_id: str) -> None:
        super().__init__(f"no asset {asset_id}")
        self.asset_id = asset_id


class UnknownVersionError(UnknownAssetError):
    """The asset is there, and has not had so many versions."""

    def __init__(self, asset_id: str, version: int) -> None:
        RefusedError.__init__(self, f"asset {asset_id} has no version {version}")
        self.asset_id = asset_id


class UnknownJobError(RefusedError):
    """None of the caller's events names this job."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"no job {job_id}")
        self.job_id = job_id


class UnknownTileError(RefusedError):
    """The tree has no such tile, or it is not that wide yet."""

    def __init__(self, tile: str) -> None:
        super().__init__(f"the log has no tile {tile}")
        self.tile = tile


class AssetDeletedError(RefusedError):
    """The asset is a tombstone: it can be restored, not changed."""

    def __init__(
        self, asset_id: str, *, by: str = "", when: str = "", position: int | None = None
    ) -> None:
        super().__init__(f"asset {asset_id} was deleted and accepts no more changes")
        self.asset_id, self.by, self.when, self.position = asset_id, by, when, position


class VersionConflictError(RefusedError):
    """Somebody else changed the asset, or a folder above it, in between."""


class PreconditionFailedError(RefusedError):
    """The asset is not at the version that the caller saw."""

    def __init__(self, asset_id: str, version: int) -> None:
        super().__init__(f"asset {asset_id} is at version {version} by now")
        self.asset_id, self.version = asset_id, version


class JobStateError(RefusedError):
    """The job was already started or finished with other values."""


class GenerationError(RefusedError):
    """There is no generation of the tables to go back to, or not now."""


class TooLargeError(RefusedError):
    """A field, an event or a body is above its limit."""


class FieldError(RefusedError):
    """A field has a value that it cannot have; `errors` names it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}", errors=[(field, message)])


class KeyReusedError(RefusedError):
    """The Idempotency-Key was used before, for another request."""

    def __init__(self, key: str) -> None:
        super().__init__(f"Idempotency-Key {key!r} was used before, for another request")
        self.key = key


class UnavailableError(LedgerError):
    """The service is at fault: the same request may succeed later.

    `retry_after`: in how many seconds, where whoever refused it said so.
    """

    retry_after: float | None = None


class BusyError(UnavailableError):
    """The queue of writes is full; nothing was read and nothing was recorded."""


class OutcomeUnknownError(UnavailableError):
    """The commit failed in a way that leaves open whether it happened."""


class StorageFailedError(UnavailableError):
    """The disk refused, and nothing of this request was recorded."""


class DiskFullError(StorageFailedError):
    """There is no space left; writing resumes by itself once there is."""


class SigningKeyError(StorageFailedError):
    """The key that signs the log's checkpoints is not there, or is another log's."""


class ProjectionBehindError(UnavailableError):
    """The tables do not reflect the position that was asked for yet."""


class AddressError(LedgerError):
    """The service cannot listen where it was told to."""


class RebuildError(LedgerError):
    """The tables could not be made anew; those in use go on."""


class ProofError(LedgerError):
    """A proof, a signature or a checkpoint does not hold; the message says why."""


class DataFolderError(LedgerError):
    """The data folder cannot be opened as it is; the message says what to do."""


class FolderLockedError(DataFolderError):
    """Another process serves this data folder; the message says which."""


class CorruptLogError(DataFolderError):
    """The log contradicts itself: it is not opened, so that nothing builds on it."""


class NewerSchemaError(DataFolderError):
    """The file was made by a later release than this one."""


PoisonCause = Literal["unknown topic", "later version", "broken bytes", "refused by a projection"]


class PoisonEventError(DataFolderError):
    """A stored event that this release cannot read, or that a projection cannot take.

    `reason` may quote what is in the event, which is its owner's business; `cause` does not.
    """

    def __init__(self, position: int, reason: str, cause: PoisonCause = "broken bytes") -> None:
        super().__init__(f"the event at position {position} cannot be read: {reason}")
        self.position, self.reason, self.cause = position, reason, cause
