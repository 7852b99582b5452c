"""The request and response models of the operations on projections."""

from typing import Annotated, Any, Literal

from pydantic import Field

from asset_ledger.api.contract.fields import StrictModel
from asset_ledger.api.contract.shapes import AnswerModel, Time

Hex = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class RebuildIn(StrictModel):
    """The options of a rebuild."""

    dry_run: Annotated[bool, Field(description="Build, compare, then discard.")] = False


class DigestOut(AnswerModel):
    """The digest of all rows at a position."""

    value: Hex
    position: int


class ServingOut(AnswerModel):
    """The generation that queries read."""

    generation: int
    revision: Annotated[str, Field(description="The last migration of its schema.")]
    position: Annotated[int, Field(description="The last event that it reflects.")]
    lag: Annotated[int, Field(description="How many events it has not applied.")]
    state: Literal["live", "stalled"]
    error: Annotated[str | None, Field(description="Why it stalled.")]
    rows: Annotated[dict[str, int], Field(description="Number of rows by table.")]
    digest: Annotated[
        DigestOut | None, Field(description="When it was built; null: before the server started.")
    ]


class BuildingOut(AnswerModel):
    """The generation that is being built, and the progress of its current step."""

    generation: int
    position: int
    target: int
    state: Literal["starting", "reading", "comparing", "indexing", "catching-up", "switching"]
    dry_run: bool
    rollback: bool
    started_at: Time


class PreviousOut(AnswerModel):
    """The previous generation."""

    generation: int
    revision: str
    position: int
    usable: Annotated[bool, Field(description="It has the schema of this release.")]


class LastRebuildOut(AnswerModel):
    """The result of the last rebuild or rollback since the server started."""

    generation: int
    result: Literal["switched", "discarded", "cancelled", "failed"]
    error: str | None
    position: Annotated[int | None, Field(description="The position of the digest.")]
    digest: Hex | None
    others: Annotated[dict[str, Hex], Field(description="Digests of installed projections.")]
    broken: Annotated[dict[str, str], Field(description="Why an installed one failed.")]
    differences: Annotated[
        int | None, Field(description="Rows that differed from what the events give.")
    ]
    rollback: bool
    started_at: Time
    ended_at: Time


class ProjectionsOut(AnswerModel):
    """The generations of tables: in use, being built, previous."""

    serving: ServingOut
    building: BuildingOut | None
    previous: PreviousOut | None
    last: LastRebuildOut | None


class GenerationsOut(AnswerModel):
    """The two generations that were compared."""

    before: int
    after: int


class ColumnOut(AnswerModel):
    """A value before and after."""

    before: Any
    after: Any


class RowOut(AnswerModel):
    """A row that differs."""

    change: Literal["added", "removed", "changed"]
    key: dict[str, Any]
    columns: dict[str, ColumnOut]


class TableOut(AnswerModel):
    """A table in two generations."""

    table: str
    before: Annotated[int, Field(description="Number of rows before.")]
    after: Annotated[int, Field(description="Number of rows after.")]
    added: int
    removed: int
    changed: int
    columns: Annotated[dict[str, int], Field(description="Changed rows by column.")]
    new_columns: list[str]
    lost_columns: list[str]
    rows: Annotated[list[RowOut], Field(description="Some of each kind; long values are cut.")]


class ComparisonOfTablesOut(AnswerModel):
    """The comparison of a new generation with the one in use, at one position."""

    generations: GenerationsOut
    position: int
    differences: Annotated[int, Field(description="Rows added, removed or changed.")]
    tables: list[TableOut]
    incomparable: Annotated[list[str], Field(description="Files that were not compared, and why.")]


class DiffOut(AnswerModel):
    """The last comparison since the server started; null without one."""

    compared: ComparisonOfTablesOut | None
