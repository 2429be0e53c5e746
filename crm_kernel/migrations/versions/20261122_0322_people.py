"""Let admins change the times of schedules, and users choose in which order the names of people stand."""

import sqlalchemy as sa
from alembic import op

revision = "20261122_0322"
down_revision = "20261122_0320"
branch_labels = None
depends_on = None
needs_kernel = None


def upgrade() -> None:
    """Change the schema."""
    op.add_column("job_schedule", sa.Column("own_time", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("app_user", sa.Column("name_order", sa.String(length=20), nullable=True))


def downgrade() -> None:
    """Change it back."""
    for table, column in (("app_user", "name_order"), ("job_schedule", "own_time")):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.drop_column(column)
