"""Let retention rules anonymise, and keep who was."""

import sqlalchemy as sa
from alembic import op

from crm_kernel import database

revision = "20261122_0320"
down_revision = "20261122_0319"
branch_labels = None
depends_on = None
needs_kernel = None


def upgrade() -> None:
    """Change the schema."""
    for table in ("erasure", "retention_rule"):
        op.add_column(table, sa.Column("action", sa.String(length=20), server_default="erase", nullable=False))
    op.create_table(
        "anonymised_customer",
        sa.Column("customer_id", database.Key, autoincrement=False, nullable=False),
        sa.Column("erasure_id", database.Key, nullable=False),
        sa.Column("anonymised_at", database.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"],
            ["customer.id"],
            name=op.f("fk_anonymised_customer_customer_id_customer"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["erasure_id"], ["erasure.id"], name=op.f("fk_anonymised_customer_erasure_id_erasure"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_anonymised_customer")),
    )
    with op.batch_alter_table("anonymised_customer", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_anonymised_customer_erasure_id"), ["erasure_id"], unique=False)


def downgrade() -> None:
    """Change it back."""
    op.drop_table("anonymised_customer")
    for table in ("erasure", "retention_rule"):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.drop_column("action")
