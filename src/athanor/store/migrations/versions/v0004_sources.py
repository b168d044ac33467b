"""Sources that bases are kept in step with: who registered them, their names' prefix, and their failures.

Frozen: it says what the schema was, not what `tables` says today.
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_STATEMENTS = """
ALTER TABLE sync_sources ADD COLUMN principal TEXT;
ALTER TABLE sync_sources ADD COLUMN prefix TEXT DEFAULT '' NOT NULL;
ALTER TABLE sync_sources ADD COLUMN failures INTEGER DEFAULT '0' NOT NULL;
ALTER TABLE sync_sources ADD COLUMN error TEXT DEFAULT '' NOT NULL
"""


def upgrade() -> None:
    """Add the columns."""
    for statement in _STATEMENTS.split(";"):
        op.execute(statement)
