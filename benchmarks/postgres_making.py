"""The table of assets in PostgreSQL, made from the log by its projection and by one SQL statement.

Promise: the floor makes the same rows, JSON and indexes as the product.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from asset_ledger.ledger.reading.feed import Feed
from asset_ledger.projections.runtime.bulk import fill_new
from asset_ledger.projections.runtime.migrate import migrate
from asset_ledger.projections.runtime.runner import Runner
from asset_ledger.projections.runtime.table_schemas import PostgresDatabase, TableSchemas
from asset_ledger.projections.tables.assets import Assets
from benchmarks.machine import BenchmarkError

FLOOR: Final = """
    INSERT INTO assets (seq, user_id, workflow_id, node_id, job_id, parent_id, name, content_type,
        size, tags, derived_from, duration, version, position, attempt, json)
    SELECT made.position, s.user_id, s.workflow_id, s.node_id, s.job_id, s.parent_id, p.name,
        s.content_type, s.size, j.tags::text, j.derived_from::text, p.duration, made.version,
        made.position, j.attempt, row_to_json(j)::text
    FROM (SELECT notification_id AS position, originator_version AS version,
            encode(uuid_send(originator_id), 'hex') AS id, convert_from(state, 'UTF8') AS state
        FROM ledger.stored_events WHERE topic = 'asset.created') AS made,
        json_to_record(made.state::json) AS s (user_id text, workflow_id text, node_id text,
            job_id text, parent_id text, content_type text, size bigint, digest text,
            recorded_at text, made_at text, derived_from json, attempt bigint, private json),
        json_to_record(s.private) AS p (name text, tags json, metadata json,
            duration double precision),
        LATERAL (SELECT made.id, coalesce(s.made_at, s.recorded_at) AS created_at,
            s.recorded_at AS updated_at, s.digest, s.user_id, s.workflow_id,
            coalesce(s.parent_id, s.user_id) AS parent_id, p.name, s.content_type, s.size,
            p.metadata, '/api/assets/' || made.id || '/content' AS get_url,
            NULL::text AS thumb_url, p.duration, s.node_id, s.job_id,
            'v' || made.version AS etag, made.version, made.position,
            coalesce(p.tags, '[]') AS tags, coalesce(s.derived_from, '[]') AS derived_from,
            coalesce(s.attempt, 1) AS attempt) AS j
    ORDER BY made.position
"""


@contextmanager
def empty_table(store: TableSchemas) -> Iterator[PostgresDatabase]:
    """Make the table of assets without rows, and drop it after the block."""
    number = store.next_number()
    database = store.open(number, [Assets()])
    try:
        migrate(database)
        yield database
    finally:
        database.close()
        store.remove(number)


def by_events(database: PostgresDatabase, feed: Feed) -> int:
    """The product. Return the number of events."""
    runner = Runner(database, feed)
    fill_new(runner)
    runner.catch_up()
    if runner.error:
        raise runner.error
    return runner.position


def by_sql(database: PostgresDatabase) -> int:
    """The floor: one SQL statement for the rows, then the indexes. Return the number of rows."""
    db, indexes = database.write, database.indexes()
    db.execute("SET synchronous_commit = off")
    for name, _ in indexes:
        db.execute(f"DROP INDEX {name}")
    db.execute(FLOOR)
    for _, sql in indexes:
        db.execute(sql)
    db.execute("ANALYZE assets")
    ((made,),) = db.execute("SELECT count(*) FROM assets").fetchall()
    return int(made)


def compare(store: TableSchemas, feed: Feed) -> int:
    """Return the number of rows. Raise BenchmarkError unless the floor's are the product's."""
    with empty_table(store) as product, empty_table(store) as floor:
        by_events(product, feed)
        made = by_sql(floor)
        for one, other in ((product.name, floor.name), (floor.name, product.name)):
            rows = f"SELECT * FROM {one}.assets EXCEPT SELECT * FROM {other}.assets"
            if row := floor.write.execute(rows).fetchone():
                raise BenchmarkError(f"a row is only in {one}: {row}")
    return made
