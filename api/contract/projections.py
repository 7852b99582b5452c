"""What is said of the tables and of their rebuilds, and what may be asked for."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from asset_ledger.api.contract.shapes import AnswerModel, Time

Hex = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class RebuildIn(BaseModel):
    """How the tables shall be made anew."""

    model_config = ConfigDict(extra="forbid", strict=True)

    dry_run: Annotated[bool, Field(description="Build, compare, and throw away.")] = False


class DigestOut(AnswerModel):
    """The digest of the rows at a position."""

    value: Hex
    position: int


class ServingOut(AnswerModel):
    """The generation that everybody reads."""

    generation: int
    revision: Annotated[str, Field(description="The last migration of its schema.")]
    position: Annotated[int, Field(description="The last event that it reflects.")]
    lag: Annotated[int, Field(description="How many events it lacks.")]
    state: Literal["live", "stalled"]
    error: Annotated[str | None, Field(description="Why it stands still.")]
    rows: Annotated[dict[str, int], Field(description="How many, by table.")]
    digest: Annotated[
        DigestOut | None, Field(description="As it was built, if that was since the start.")
    ]


class BuildingOut(AnswerModel):
    """The generation that is being made, and how far its present step is."""

    generation: int
    position: int
    target: int
    state: Literal["starting", "reading", "comparing", "indexing", "catching-up", "switching"]
    dry_run: bool
    rollback: bool
    started_at: Time


class KeptOut(AnswerModel):
    """The generation that was in use before."""

    generation: int
    revision: str
    position: int
    usable: Annotated[bool, Field(description="It has the schema of this release.")]


class EndedOut(AnswerModel):
    """What became of the last rebuild, or rollback, since the start."""

    generation: int
    result: Literal["switched", "discarded", "cancelled", "failed"]
    error: str | None
    position: Annotated[int | None, Field(description="Where the digest is of.")]
    digest: Hex | None
    others: Annotated[dict[str, Hex], Field(description="Digests of projections not ours.")]
    broken: Annotated[dict[str, str], Field(description="Why one of those was not made.")]
    differences: Annotated[
        int | None, Field(description="Rows that were not what the events make them.")
    ]
    rollback: bool
    started_at: Time
    ended_at: Time


class ProjectionsOut(AnswerModel):
    """The tables: in use, being made, kept."""

    serving: ServingOut
    building: BuildingOut | None
    previous: KeptOut | None
    last: EndedOut | None


class GenerationsOut(AnswerModel):
    """Which two were compared."""

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
    before: Annotated[int, Field(description="How many rows it had.")]
    after: Annotated[int, Field(description="How many rows it has.")]
    added: int
    removed: int
    changed: int
    columns: Annotated[dict[str, int], Field(description="In how many changed rows each differs.")]
    new_columns: list[str]
    lost_columns: list[str]
    rows: Annotated[list[RowOut], Field(description="Some of each kind; long values are cut.")]


class ComparisonOfTablesOut(AnswerModel):
    """What was built, held against what was in use at that position."""

    generations: GenerationsOut
    position: int
    differences: Annotated[int, Field(description="Rows that came, went or changed.")]
    tables: list[TableOut]
    incomparable: Annotated[list[str], Field(description="Files that were not compared, and why.")]


class DiffOut(AnswerModel):
    """The last comparison since the start; null where there was none."""

    compared: ComparisonOfTablesOut | None
