"""The gateway: teams, scopes and limits of keys, the ledger's columns, traces in one row, stored responses.

Frozen: it says what the schema was, not what `tables` says today. Spans of before are not carried over.
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_STATEMENTS = """
CREATE TABLE teams (
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    limits {json} NOT NULL,
    created_at {double} NOT NULL,
    CONSTRAINT pk_teams PRIMARY KEY (id),
    CONSTRAINT uq_teams_name UNIQUE (name)
);
ALTER TABLE principals ADD COLUMN team TEXT CONSTRAINT fk_principals_team REFERENCES teams (id);
ALTER TABLE keys ADD COLUMN scopes {json} DEFAULT '{{}}' NOT NULL;
ALTER TABLE keys ADD COLUMN limits {json} DEFAULT '{{}}' NOT NULL;
ALTER TABLE keys ADD COLUMN record_content BOOLEAN DEFAULT FALSE NOT NULL;
ALTER TABLE keys ADD COLUMN replaced_by TEXT;
ALTER TABLE requests ADD COLUMN written_tokens BIGINT DEFAULT '0' NOT NULL;
ALTER TABLE requests ADD COLUMN reasoning_tokens BIGINT DEFAULT '0' NOT NULL;
ALTER TABLE requests ADD COLUMN duration {double} DEFAULT '0' NOT NULL;
ALTER TABLE requests ADD COLUMN "key" TEXT;
ALTER TABLE requests ADD COLUMN team TEXT;
ALTER TABLE requests ADD COLUMN target TEXT DEFAULT '' NOT NULL;
ALTER TABLE requests ADD COLUMN cache TEXT DEFAULT '' NOT NULL;
ALTER TABLE requests ADD COLUMN saved {double} DEFAULT '0' NOT NULL;
DROP TABLE spans;
CREATE TABLE traces (
    trace TEXT NOT NULL,
    at {double} NOT NULL,
    spans TEXT NOT NULL,
    CONSTRAINT pk_traces PRIMARY KEY (trace)
);
CREATE INDEX ix_traces_at ON traces (at);
CREATE TABLE contents (
    trace TEXT NOT NULL,
    at {double} NOT NULL,
    request TEXT NOT NULL,
    answer TEXT NOT NULL,
    CONSTRAINT pk_contents PRIMARY KEY (trace)
);
CREATE INDEX ix_contents_at ON contents (at);
CREATE TABLE responses (
    id TEXT NOT NULL,
    principal TEXT NOT NULL,
    previous TEXT,
    created_at {double} NOT NULL,
    expires_at {double} NOT NULL,
    body {json} NOT NULL,
    items {json} NOT NULL,
    CONSTRAINT pk_responses PRIMARY KEY (id)
);
CREATE INDEX ix_responses_expires_at ON responses (expires_at);
CREATE TABLE cache_shadows (
    id TEXT NOT NULL,
    route TEXT NOT NULL,
    embedder TEXT NOT NULL,
    similarity {double} NOT NULL,
    same INTEGER NOT NULL,
    at {double} NOT NULL,
    CONSTRAINT pk_cache_shadows PRIMARY KEY (id)
);
CREATE INDEX ix_cache_shadows_route_embedder ON cache_shadows (route, embedder)
"""

_TYPES = {
    "sqlite": {"double": "DOUBLE", "json": "JSON"},
    "postgresql": {"double": "DOUBLE PRECISION", "json": "JSONB"},
}


def upgrade() -> None:
    """Add what the gateway needs."""
    for statement in _STATEMENTS.format(**_TYPES[op.get_bind().dialect.name]).split(";"):
        op.execute(statement)
