"""Let a saved view be a calendar, and find titles by their first letters."""

import sqlalchemy as sa
from alembic import op

revision = "20261122_0317"
down_revision = "20261122_0316"
branch_labels = None
depends_on = None
needs_kernel = None

#: No model describes it: PostgreSQL's holds an expression.
_TITLE_START = {
    "sqlite": "CREATE INDEX ix_search_entry_start ON search_entry (record_type, title, record_id)",
    "postgresql": "CREATE INDEX ix_search_entry_start ON search_entry"
    ' (record_type, (substr(title, 1, 16) COLLATE "C"), record_id)',
}


def upgrade() -> None:
    """Change the schema."""
    op.add_column("saved_view", sa.Column("calendar", sa.String(length=80), nullable=True))
    op.add_column("saved_view", sa.Column("span", sa.String(length=10), nullable=True))
    op.execute(_TITLE_START[op.get_bind().dialect.name])


def downgrade() -> None:
    """Change it back."""
    op.execute("DROP INDEX ix_search_entry_start")
    op.drop_column("saved_view", "span")
    op.drop_column("saved_view", "calendar")
