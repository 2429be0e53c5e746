"""Keep the exchange rate of opportunities and its day."""

import sqlalchemy as sa
from alembic import op

from crm_kernel import database

revision = "20261122_0319"
down_revision = "20261122_0302"
branch_labels = None
depends_on = None
needs_kernel = "20261121_2230"


def upgrade() -> None:
    """Change the schema."""
    op.add_column("sfa_opportunity", sa.Column("rate", database.Rate(), nullable=True))
    op.add_column("sfa_opportunity", sa.Column("rate_on", sa.Date(), nullable=True))


def downgrade() -> None:
    """Change it back."""
    with op.batch_alter_table("sfa_opportunity", schema=None) as batch_op:
        batch_op.drop_column("rate_on")
        batch_op.drop_column("rate")
