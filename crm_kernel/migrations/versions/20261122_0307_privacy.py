"""Keep receipts of erasure, retention rules and preferences."""

import sqlalchemy as sa
from alembic import op

revision = "20261122_0307"
down_revision = "20261122_0306"
branch_labels = None
depends_on = None
needs_kernel = None


def upgrade() -> None:
    """Change the schema."""
    with op.batch_alter_table("consent", schema=None) as batch_op:
        batch_op.add_column(sa.Column("statement_digest", sa.String(length=64), nullable=True))


def downgrade() -> None:
    """Change it back."""
    with op.batch_alter_table("consent", schema=None) as batch_op:
        batch_op.drop_column("statement_digest")
