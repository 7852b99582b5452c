"""The errors of the ledger, as one tree. No error here holds a status code.

LedgerError
├── RefusedError                 the request is wrong: repeating it fails again
│   ├── MalformedBodyError         the body does not have the format of its type
│   ├── ParameterError             a query parameter is unknown or out of range
│   ├── CursorError                the cursor is of another query, or damaged
│   ├── DigestMismatchError        the bytes do not have the announced digest
│   ├── UnknownAssetError          no asset of this user has this id
│   │   └── UnknownVersionError      the asset has no such version
│   ├── UnknownJobError            no event of this user names this job
│   ├── UnknownTileError           the tree has no such tile, or not of this width
│   ├── AssetDeletedError          the asset is a tombstone: it can be restored
│   ├── VersionConflictError       a stream changed between reading and recording
│   ├── ContentCollectedError      the bytes were removed, as nothing retained needed them
│   ├── NotRestorableError         the bytes of the tombstone were collected
│   ├── PreconditionFailedError    the asset is not at the version of If-Match
│   ├── JobStateError              the job's attempts do not allow this
│   ├── GenerationError            this generation of the tables cannot take over now
│   ├── TooLargeError              a field, an event or a body is above its limit
│   ├── FieldError                 a field has an invalid value
│   └── KeyReusedError             the Idempotency-Key was used for another request
├── UnavailableError             the service failed: the same request may succeed later
│   ├── BusyError                  too many writes, or slow reads of a user, wait
│   ├── DeadlineExceededError      a read took too long
│   ├── OutcomeUnknownError        recorded or not: repeat it with the same key
│   ├── ContentDamagedError        the bytes of a content are missing or changed
│   ├── StoreUnavailableError      the store of large contents failed; nothing was recorded
│   ├── TablesDamagedError         a file of the tables is damaged: rebuild it
│   ├── StorageFailedError         the disk failed; nothing was recorded
│   │   ├── MissingBytesError        stored bytes are not there any more
│   │   ├── DiskFullError            the disk has no free space
│   │   ├── LogDamagedError          a page of the log cannot be read
│   │   ├── SigningKeyError          no checkpoint can be signed without the log's key
│   │   └── InspectionError          the folder was restored for inspection: read-only
│   └── ProjectionBehindError      the tables do not reflect that position yet
├── AddressError                 the server cannot listen at the configured address
├── RebuildError                 a rebuild failed: the tables in use stay
├── ProofError                   a proof, a signature or a checkpoint is invalid
└── DataFolderError              the data folder cannot be opened as it is
    ├── FolderLockedError          another process uses it
    ├── CorruptLogError            the log is damaged or was changed
    ├── NewerSchemaError           a later release made it
    └── PoisonEventError           this release cannot read a stored event
"""

from collections.abc import Sequence
from typing import Final, Literal

WITHOUT_MEMORY: Final = (MemoryError, RuntimeError)
"""What Python raises where there is no memory, also for a thread that cannot start. Work that goes
on for ever tries again later."""


class LedgerError(Exception):
    """The base class of every error that this package raises on purpose."""


class RefusedError(LedgerError):
    """The request is wrong: repeating it fails again. `errors` holds (field, message) pairs."""

    def __init__(self, message: str, *, errors: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.errors = tuple(errors)


class MalformedBodyError(RefusedError):
    """The body does not have the format of its content type."""


class ParameterError(RefusedError):
    """A query parameter is unknown, empty or out of range; `errors` names it."""


class CursorError(RefusedError):
    """The cursor belongs to another query, or was not made by this service."""


class DigestMismatchError(RefusedError):
    """The received bytes do not have the announced digest or size."""


class UnknownAssetError(RefusedError):
    """No asset of this user has this id (or name). Another user's asset is reported alike."""

    def __init__(self, asset_id: str) -> None:
        super().__init__(f"this user has no asset {asset_id}: check its id or name, and the user")
        self.asset_id = asset_id


class UnknownVersionError(UnknownAssetError):
    """The asset exists, but has no such version."""

    def __init__(self, asset_id: str, version: int) -> None:
        RefusedError.__init__(
            self, f"asset {asset_id} has no version {version}: see its history for its versions"
        )
        self.asset_id = asset_id


class UnknownJobError(RefusedError):
    """No event of this user names this job, or this attempt of it."""

    def __init__(self, job_id: str, attempt: int | None = None) -> None:
        self.named = f"job {job_id}" if attempt is None else f"attempt {attempt} of job {job_id}"
        super().__init__(f"this user has no {self.named}: check the id, and whose job it is")
        self.job_id = job_id


class UnknownTileError(RefusedError):
    """The tree has no such tile, or the tile is not that wide yet."""

    def __init__(self, tile: str) -> None:
        super().__init__(f"the log has no tile {tile}: check the path and the size of the log")
        self.tile = tile


class AssetDeletedError(RefusedError):
    """The asset is a tombstone: it can be restored, not read or changed."""

    def __init__(
        self, asset_id: str, *, by: str = "", when: str = "", position: int | None = None
    ) -> None:
        super().__init__(f"asset {asset_id} was deleted: restore it to read or change it")
        self.asset_id, self.by, self.when, self.position = asset_id, by, when, position


class ContentCollectedError(RefusedError):
    """The bytes were removed on purpose, after the time for which they are retained."""

    def __init__(self, digest: str, when: str) -> None:
        super().__init__(
            f"the bytes of {digest} were collected at {when}: uploading the same bytes brings them"
            " back"
        )
        self.digest, self.when = digest, when


class NotRestorableError(RefusedError):
    """The asset is a tombstone whose bytes were collected."""

    def __init__(self, asset_id: str, when: str) -> None:
        super().__init__(
            f"asset {asset_id} cannot be restored, as its bytes were collected at {when}: upload"
            " them as a new asset"
        )
        self.asset_id, self.when = asset_id, when


class VersionConflictError(RefusedError):
    """A stream (an asset, a folder above it, a job) changed between reading and recording."""


class PreconditionFailedError(RefusedError):
    """The asset is not at the version that the caller named (If-Match)."""

    def __init__(self, asset_id: str, version: int) -> None:
        super().__init__(
            f"asset {asset_id} is at version {version}, not the expected one:"
            " read it again, then repeat the change"
        )
        self.asset_id, self.version = asset_id, version


class JobStateError(RefusedError):
    """The job's attempts do not allow this start or end, or have not come so far."""


class GenerationError(RefusedError):
    """No previous generation of the tables can be used, or another one was put in use meanwhile."""


class TooLargeError(RefusedError):
    """A field, an event or a body is above its limit."""


class FieldError(RefusedError):
    """A field has an invalid value; `errors` names the field."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}", errors=[(field, message)])


class KeyReusedError(RefusedError):
    """The Idempotency-Key was used before, for another request."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"Idempotency-Key {key!r} was used before, for another request: send a new key"
        )
        self.key = key


class UnavailableError(LedgerError):
    """The service failed: the same request may succeed later.

    `retry_after` is the number of seconds to wait before that, if known.
    """

    retry_after: float | None = None


class BusyError(UnavailableError):
    """Too many writes, or slow reads of this user, wait; nothing of this one was done.

    `which` names the limit, for the metrics.
    """

    def __init__(self, message: str = "", which: str = "") -> None:
        super().__init__(message)
        self.which = which


class DeadlineExceededError(UnavailableError):
    """A read took longer than one read may take."""


class OutcomeUnknownError(UnavailableError):
    """The commit failed, and it is unknown whether the events were recorded."""


class ContentDamagedError(UnavailableError):
    """The bytes of a content are missing, or are not those of its digest."""

    def __init__(self, digest: str, reason: str) -> None:
        super().__init__(
            f"the content {digest} is damaged: {reason}. Upload the same bytes again, or restore it"
            " from a backup"
        )
        self.digest = digest


class StoreUnavailableError(UnavailableError):
    """The store of large contents failed, or did not answer in time; its operator can see why."""

    def __init__(self) -> None:
        super().__init__(
            "the store of large contents failed, and nothing was recorded: retry; if it stays so,"
            " the server's log says why"
        )


class TablesDamagedError(UnavailableError):
    """A file of the tables is damaged. The log has everything that is in it."""

    def __init__(self, file: str, reason: object) -> None:
        super().__init__(
            f"{file} is damaged ({reason}): run asset-ledger rebuild, which makes it"
            " again from the log"
        )
        self.file = file


class StorageFailedError(UnavailableError):
    """The disk failed, and nothing of this request was recorded."""


class MissingBytesError(StorageFailedError):
    """Bytes that were stored are not there any more."""


class DiskFullError(StorageFailedError):
    """The disk is full; writing resumes by itself once it has space."""


class LogDamagedError(StorageFailedError):
    """A page of the log is damaged. Other pages can be read."""

    def __init__(self, file: str, reason: object) -> None:
        super().__init__(
            f"the log is damaged ({file}: {reason}): run asset-ledger verify, then restore a backup"
        )


class SigningKeyError(StorageFailedError):
    """The key that signs the log's checkpoints is missing, unreadable or another log's."""


class InspectionError(StorageFailedError):
    """The folder was restored to an earlier position, and nothing may be recorded in it."""


class ProjectionBehindError(UnavailableError):
    """The tables do not reflect the requested position yet."""


class AddressError(LedgerError):
    """The server cannot listen at the configured address."""


class RebuildError(LedgerError):
    """A rebuild failed; the tables in use stay."""


class ProofError(LedgerError):
    """A proof, a signature or a checkpoint is invalid; the message says why."""


class DataFolderError(LedgerError):
    """The data folder cannot be opened as it is; the message says what to do."""


class FolderLockedError(DataFolderError):
    """Another process uses this data folder; the message says which."""


class CorruptLogError(DataFolderError):
    """The log is damaged or was changed. It is not opened, so that no event follows the damage."""


class NewerSchemaError(DataFolderError):
    """A later release made the file."""


PoisonCause = Literal["unknown topic", "later version", "broken bytes", "refused by a projection"]


class PoisonEventError(DataFolderError):
    """A stored event that this release cannot read, or that a projection cannot apply.

    `reason` may quote private fields of the event; `cause` never does.
    """

    def __init__(self, position: int, reason: str, cause: PoisonCause = "broken bytes") -> None:
        super().__init__(f"the event at position {position} cannot be read: {reason}")
        self.position, self.reason, self.cause = position, reason, cause
