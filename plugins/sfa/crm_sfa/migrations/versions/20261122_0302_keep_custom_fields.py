"""Keep the values of custom fields."""

import sqlalchemy as sa
from alembic import op

from crm_kernel import database

revision = "20261122_0302"
down_revision = "20261121_2246"
branch_labels = None
depends_on = None
needs_kernel = "20261121_2230"

TABLES = ("sfa_opportunity", "sfa_pipeline", "sfa_stage")


def upgrade() -> None:
    """Change the schema."""
    for table in TABLES:
        op.add_column(table, sa.Column("custom", database.Json, nullable=True))


def downgrade() -> None:
    """Change it back."""
    for table in reversed(TABLES):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.drop_column("custom")
