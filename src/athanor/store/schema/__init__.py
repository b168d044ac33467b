"""The schema as text, so that a change of it is seen in a review.

`python -m athanor.store.schema URL` opens (and so migrates) a store and prints its schema;
`sqlite.sql` and `postgresql.sql` beside this file are what it printed last. The store's test suite compares
them, and writes both when ATHANOR_WRITE_SCHEMA is set.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, TextClause, text


def dump(conn: Connection) -> str:
    """The schema of an open database, in a fixed order. What belongs to one knowledge base is left out."""
    statements = _sqlite(conn) if conn.dialect.name == "sqlite" else _postgresql(conn)
    return "".join(f"{statement.strip()};\n\n" for statement in statements)


def _sqlite(conn: Connection) -> Iterator[str]:
    rows = conn.execute(
        text("""
            SELECT sql FROM sqlite_master
            WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE 'fts\\_%' ESCAPE '\\'
            ORDER BY type <> 'table', type, name
        """)
    )
    for (statement,) in rows:
        yield "\n".join(line.rstrip() for line in statement.strip().splitlines())


_COLUMNS = """
    SELECT c.relname AS name, string_agg(
        '    ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
            || CASE WHEN d.oid IS NULL THEN '' ELSE ' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid) END
            || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END,
        E',\n' ORDER BY a.attnum) AS columns
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace
    GROUP BY c.relname ORDER BY c.relname
"""
_REST = (
    """
    SELECT format('ALTER TABLE %s ADD CONSTRAINT %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE connamespace = current_schema()::regnamespace AND contype IN ('p', 'u', 'f', 'c')
    ORDER BY contype <> 'p', contype <> 'u', conrelid::regclass::text, conname
    """,
    """
    SELECT replace(pg_get_indexdef(i.indexrelid), current_schema() || '.', '')
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE c.relnamespace = current_schema()::regnamespace
    AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = i.indexrelid AND contype IN ('p', 'u'))
    ORDER BY c.relname
    """,
    """
    SELECT replace(pg_get_functiondef(oid), current_schema() || '.', '')
    FROM pg_proc WHERE pronamespace = current_schema()::regnamespace ORDER BY proname
    """,
    """
    SELECT replace(pg_get_triggerdef(t.oid), current_schema() || '.', '')
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE c.relnamespace = current_schema()::regnamespace AND NOT t.tgisinternal ORDER BY tgname
    """,
    """
    SELECT format('CREATE TEXT SEARCH DICTIONARY %s (TEMPLATE = %s, %s)', dictname, tmplname, dictinitoption)
    FROM pg_ts_dict JOIN pg_ts_template m ON m.oid = dicttemplate
    WHERE dictnamespace = current_schema()::regnamespace ORDER BY dictname
    """,
    """
    SELECT format('CREATE TEXT SEARCH CONFIGURATION %s WITH %s', cfgname,
        string_agg(format('%s = %s', alias, dictname), ', ' ORDER BY alias, mapseqno))
    FROM pg_ts_config c JOIN pg_ts_config_map m ON m.mapcfg = c.oid JOIN pg_ts_dict d ON d.oid = m.mapdict
    JOIN ts_token_type('default') y ON y.tokid = m.maptokentype
    WHERE cfgnamespace = current_schema()::regnamespace GROUP BY cfgname ORDER BY cfgname
    """,
)


def _postgresql(conn: Connection) -> Iterator[str]:
    for row in conn.execute(_escaped(_COLUMNS)):
        yield f"CREATE TABLE {row.name} (\n{row.columns}\n)"
    for query in _REST:
        yield from conn.scalars(_escaped(query))


def _escaped(query: str) -> TextClause:
    # `::` is a cast here, not the start of a parameter.
    return text(query.replace("::", r"\:\:"))
