"""The statements of the product, recorded as it sends them, and sent again by psycopg alone.

Promise: the floor sends the same statements with the same values, in the same pipelines and
transactions, to a database in the same state.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import psycopg

from asset_ledger.ledger.log import postgres as postgres_log
from asset_ledger.ledger.storage import postgres
from asset_ledger.ledger.storage.postgres_sql import translate

Step = Callable[["psycopg.Connection[Any]", ExitStack], object]


class Recording(postgres.PostgresConnection):
    """A connection that notes what it is asked to send."""

    steps: list[Step]

    def begin(self) -> int:
        self.steps.append(lambda db, _: db.execute(b"BEGIN"))
        return super().begin()

    def commit(self, begun: int) -> None:
        self.steps.append(lambda db, _: db.execute(b"COMMIT"))
        super().commit(begun)

    @contextmanager
    def pipeline(self) -> Iterator[Any]:
        with self._noted("pipeline"), super().pipeline() as pipeline:
            yield pipeline

    @contextmanager
    def transaction(self) -> Iterator[postgres.PostgresConnection]:
        with self._noted("transaction"), super().transaction() as db:
            yield db

    @contextmanager
    def _noted(self, kind: str) -> Iterator[None]:
        entered = ExitStack()
        self.steps.append(lambda db, _: entered.enter_context(getattr(db, kind)()))
        yield
        self.steps.append(lambda _, __: entered.close())

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Any:
        text = translate(sql)
        values = parameters or None
        self.steps.append(lambda db, _: db.execute(text, values, binary=True))
        return super().execute(sql, parameters)

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        text = translate(sql)
        self.steps.append(lambda db, _: db.cursor().executemany(text, rows))
        super().execute_many(sql, rows)


@contextmanager
def recording() -> Iterator[list[Step]]:
    """Yield the steps that connections of logs opened in the block take."""
    steps: list[Step] = []
    kind = type("Recorded", (Recording,), {"steps": steps})
    with patch.object(postgres_log, "PostgresConnection", kind):
        yield steps


def replay(db: "psycopg.Connection[Any]", steps: Sequence[Step], events: int) -> int:
    """Send the statements again. Return how many events they insert, which the caller knows."""
    with ExitStack() as stack:
        for step in steps:
            step(db, stack)
    return events
