"""Our SQL in the dialect of PostgreSQL.

It is written for SQLite, in the subset that `translate` turns into PostgreSQL's, with the help of
the functions in `FUNCTIONS`.
"""

import re
from functools import lru_cache
from typing import Final

_RULES: Final = (
    (r"\bINDEXED BY \w+", ""),  # the planner takes the same index
    (r"\bCROSS JOIN\b", "JOIN"),
    (r"\bjson_each\(", "each_of("),
    (r"\bjson_object\(", "json_build_object("),
    (r"\bjson_array\(", "json_build_array("),
    (r"\bjson_group_array\(", "json_agg("),
    (r"\bjson_quote\(", "to_json("),
    (r"\bjson\(", "as_json("),
    (r"\bgroup_concat\(", "string_agg("),
    (r"\b([\w.]+) (->>?) ", r"\1::json \2 "),
    (r"\b(\w+) IS (lane\d+\.value)", r"(\1 = \2 OR \1 IS NULL AND \2 IS NULL)"),
    (r"(?<=[\s(])\+(?=[a-z])", ""),  # keeps SQLite from using an index
    (r"\bWITHOUT ROWID\b,?|\bSTRICT\b", ""),
    (r"\bINTEGER\b", "BIGINT"),
    (r"\bREAL\b", "DOUBLE PRECISION"),
    (r"\) VIRTUAL\b", ") STORED"),
    (r"\browid\b", "notification_id"),
    (r"^BEGIN IMMEDIATE$", "BEGIN"),
)
_COMPILED: Final = [(re.compile(pattern), to) for pattern, to in _RULES]
_AS_BYTES: Final = " AS BLOB)"
_MARK: Final = re.compile(r"\?(\d*)")
_TOKEN: Final = re.compile(r"--[^\n]*|'[^']*'|\w+|[^\w\s]")
_QUERY: Final = ("SELECT", "WITH", "VALUES")
_NEXT: Final = (
    *("", ")", ",", "WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "UNION", "EXCEPT"),
    *("JOIN", "LEFT", "CROSS", "ON", "USING", "WINDOW"),
)
"""What follows a subquery in FROM that has no name."""

FUNCTIONS: Final = (
    """CREATE OR REPLACE FUNCTION each_of(list text) RETURNS TABLE (key bigint, value text)
        LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 50 AS $$
        SELECT ordinality - 1, item
        FROM jsonb_array_elements_text(list::jsonb) WITH ORDINALITY AS each(item, ordinality) $$""",
    """CREATE OR REPLACE FUNCTION as_json(document text) RETURNS json
        LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT document::json $$""",
    """CREATE OR REPLACE FUNCTION max(a anycompatible, b anycompatible) RETURNS anycompatible
        LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT CASE WHEN a IS NOT NULL AND b IS NOT NULL THEN greatest(a, b) END $$""",
    """CREATE OR REPLACE FUNCTION min(a anycompatible, b anycompatible) RETURNS anycompatible
        LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT CASE WHEN a IS NOT NULL AND b IS NOT NULL THEN least(a, b) END $$""",
    """CREATE OR REPLACE FUNCTION each_of(list json) RETURNS TABLE (key bigint, value text)
        LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 50 AS $$
        SELECT ordinality - 1, item
        FROM json_array_elements_text(list) WITH ORDINALITY AS each(item, ordinality) $$""",
    """CREATE OR REPLACE FUNCTION as_json(document json) RETURNS json
        LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT document $$""",
    """CREATE OR REPLACE FUNCTION instr(text, text) RETURNS integer
        LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT strpos($1, $2) $$""",
    """CREATE OR REPLACE FUNCTION julianday(moment text) RETURNS double precision
        LANGUAGE sql STABLE PARALLEL SAFE AS $$
        SELECT extract(epoch FROM moment::timestamptz)::double precision / 86400 + 2440587.5 $$""",
    """CREATE OR REPLACE FUNCTION strftime(format text, moment text, change text) RETURNS text
        LANGUAGE sql STABLE PARALLEL SAFE AS $$
        SELECT CASE WHEN changed < '0001-01-01' THEN '0000' || substr(changed_text, 5)
            WHEN changed < '10000-01-01' THEN changed_text END
        FROM (SELECT moment::timestamp + change::interval AS changed) AS moved, LATERAL (
            SELECT to_char(changed, CASE format
                WHEN '%Y-%m-%d' THEN 'YYYY-MM-DD'
                WHEN '%Y-%m-%dT%H:%MZ' THEN 'YYYY-MM-DD"T"HH24:MI"Z"' END) AS changed_text
        ) AS written $$""",
)


@lru_cache(maxsize=4_096)
def translate(sql: str) -> bytes:
    """Return a statement in PostgreSQL's dialect, with `$1` for its first question mark.

    It is the same object at each call, so that psycopg, which finds a prepared statement by its
    bytes, hashes them once.
    """
    for pattern, replacement in _COMPILED:
        sql = pattern.sub(replacement, sql)
    sql = _with_names(_to_bytes(sql).replace("BLOB", "BYTEA"))
    last = 0

    def number(mark: re.Match[str]) -> str:
        nonlocal last
        given = int(mark[1] or last + 1)
        last = max(last, given)
        return f"${given}"

    return _MARK.sub(number, sql).encode()


def _with_names(sql: str) -> str:
    """Name the subqueries in FROM that have no name: PostgreSQL demands names before 16."""
    named, is_subquery, done = "", list[bool](), 0
    tokens = [*_TOKEN.finditer(sql), None]
    words = ["" if token is None else token[0].upper() for token in tokens]
    for n, token in enumerate(tokens):
        if words[n] == "(":
            is_subquery.append(words[n - 1] in ("FROM", "JOIN") and words[n + 1] in _QUERY)
        elif token is not None and words[n] == ")" and is_subquery.pop() and words[n + 1] in _NEXT:
            named += f"{sql[done : token.end()]} AS named_{n}"
            done = token.end()
    return named + sql[done:]


def _to_bytes(sql: str) -> str:
    """Replace `CAST(x AS BLOB)`, whose x is text in UTF-8."""
    while (end := sql.find(_AS_BYTES)) >= 0:
        start, depth = end, 1
        while depth:
            start -= 1
            depth += {")": 1, "(": -1}.get(sql[start], 0)
        inner = sql[start + 1 : end]
        head, tail = sql[: start - len("CAST")], sql[end + len(_AS_BYTES) :]
        sql = f"{head}convert_to(CAST({inner} AS text), 'UTF8'){tail}"
    return sql
