"""The response of `/readyz`."""

from typing import Annotated

from pydantic import Field

from asset_ledger.api.contract.shapes import AnswerModel, Time


class PartOut(AnswerModel):
    """One part of the server. The other members depend on which part it is."""

    name: Annotated[
        str,
        Field(
            description="`committer`, `disk`, `contents`, `log`, `scrub`, `descriptors`, `clock`,"
            " `server` (while it stops), `keys` (that JWTs are verified with), or `projection` and"
            " its name."
        ),
    ]
    ok: bool
    reason: Annotated[str | None, Field(description="Why it is not ok; null if it is.")] = None
    waiting: Annotated[int, Field(description="Writes in the queue.")] = 0
    damaged: Annotated[
        int, Field(description="Contents, or parts of the log, that were found damaged.")
    ] = 0
    oldest_check: Annotated[
        Time | None,
        Field(
            description="When the content or part of the log was read again that was not for the"
            " longest time; null before the first."
        ),
    ] = None
    free_bytes: Annotated[int, Field(description="Free space on the disk of the data folder.")] = 0
    free: Annotated[int, Field(description="Files and connections that can be opened.")] = 0
    position: Annotated[int, Field(description="The last event that the projection reflects.")] = 0
    lag: Annotated[int, Field(description="How many events the projection has not applied.")] = 0
    optional: Annotated[bool, Field(description="`ready` does not depend on it.")] = False


class ReadyOut(AnswerModel):
    """Whether everything works, and the state of each part."""

    ready: bool
    parts: list[PartOut]
