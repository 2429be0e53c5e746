"""Seal the audit log."""

import sqlalchemy as sa
from alembic import op

from crm_kernel import database

revision = "20261122_0305"
down_revision = "20261122_0304"
branch_labels = None
depends_on = None
needs_kernel = None


def upgrade() -> None:
    """Change the schema."""
    op.create_table(
        "audit_seal",
        sa.Column("number", database.Key, autoincrement=False, nullable=False),
        sa.Column("audit_id", database.Key, nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit_seal")),
        sa.UniqueConstraint("audit_id", name=op.f("uq_audit_seal_audit_id")),
    )
    op.create_table(
        "audit_head",
        sa.Column("id", database.Key, autoincrement=False, nullable=False),
        sa.Column("number", database.Key, nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("signature", sa.LargeBinary(length=32), nullable=False),
        sa.Column("sealed_at", database.UTCDateTime(), nullable=False),
        sa.Column("settled_id", database.Key, nullable=False),
        sa.Column("mark_id", database.Key, nullable=True),
        sa.Column("mark_holders", database.Json, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_head")),
    )


def downgrade() -> None:
    """Change it back."""
    op.drop_table("audit_head")
    op.drop_table("audit_seal")
