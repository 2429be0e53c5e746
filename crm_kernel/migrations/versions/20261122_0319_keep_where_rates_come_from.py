"""Keep where exchange rates come from."""

import sqlalchemy as sa
from alembic import op

revision = "20261122_0319"
down_revision = "20261122_0318"
branch_labels = None
depends_on = None
needs_kernel = None


def upgrade() -> None:
    """Change the schema."""
    op.add_column("exchange_rate", sa.Column("source", sa.String(length=60), nullable=True))


def downgrade() -> None:
    """Change it back."""
    with op.batch_alter_table("exchange_rate", schema=None) as batch_op:
        batch_op.drop_column("source")
