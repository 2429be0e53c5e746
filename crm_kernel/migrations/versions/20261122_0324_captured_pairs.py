"""Tell pairs of duplicates that a message from outside made: the nightly scan leaves them to people."""

import sqlalchemy as sa
from alembic import op

revision = "20261122_0324"
down_revision = "20261122_0323"
branch_labels = None
depends_on = None
needs_kernel = None


def upgrade() -> None:
    """Change the schema."""
    op.add_column("duplicate_candidate", sa.Column("captured", sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    """Change it back."""
    with op.batch_alter_table("duplicate_candidate", schema=None) as batch_op:
        batch_op.drop_column("captured")
