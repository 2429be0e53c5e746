"""Keep receipts of erasure, retention rules and preferences."""

import sqlalchemy as sa
from alembic import op

from crm_kernel import database

revision = "20261122_0307"
down_revision = "20261122_0306"
branch_labels = None
depends_on = None
needs_kernel = None


def upgrade() -> None:
    """Change the schema."""
    with op.batch_alter_table("consent", schema=None) as batch_op:
        batch_op.add_column(sa.Column("statement_digest", sa.String(length=64), nullable=True))

    op.create_table(
        "legal_hold",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("customer_id", database.Key, nullable=False),
        sa.Column("reason", sa.String(length=300), nullable=False),
        sa.Column("since", database.UTCDateTime(), nullable=False),
        sa.Column("until", database.UTCDateTime(), nullable=True),
        sa.Column("recorded_by", sa.String(length=120), nullable=False),
        sa.Column("custom", database.Json, nullable=True),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("updated_at", database.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customer.id"], name=op.f("fk_legal_hold_customer_id_customer"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_legal_hold")),
        sa.UniqueConstraint("uid", name=op.f("uq_legal_hold_uid")),
    )
    with op.batch_alter_table("legal_hold", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_legal_hold_created_at_id"), ["created_at", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_legal_hold_customer_id_until"), ["customer_id", "until"], unique=False)

    op.create_table(
        "erasure",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("reason", sa.String(length=20), nullable=False),
        sa.Column("customers", sa.Integer(), nullable=False),
        sa.Column("entries", database.Json, nullable=False),
        sa.Column("rule", sa.String(length=120), nullable=True),
        sa.Column("recorded_by", sa.String(length=120), nullable=False),
        sa.Column("custom", database.Json, nullable=True),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("updated_at", database.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasure")),
        sa.UniqueConstraint("uid", name=op.f("uq_erasure_uid")),
    )
    with op.batch_alter_table("erasure", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_erasure_created_at_id"), ["created_at", "id"], unique=False)

    op.create_table(
        "erased_subject",
        sa.Column("digest", database.Uid(), nullable=False),
        sa.Column("erasure_id", database.Key, nullable=False),
        sa.Column("erased_at", database.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["erasure_id"], ["erasure.id"], name=op.f("fk_erased_subject_erasure_id_erasure"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_erased_subject")),
    )
    with op.batch_alter_table("erased_subject", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_erased_subject_erased_at"), ["erased_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_erased_subject_erasure_id"), ["erasure_id"], unique=False)

    op.create_table(
        "retention_rule",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("condition", sa.Text(), nullable=True),
        sa.Column("months", sa.Integer(), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("last_run_at", database.UTCDateTime(), nullable=True),
        sa.Column("last_erased", sa.Integer(), nullable=True),
        sa.Column("custom", database.Json, nullable=True),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("updated_at", database.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_retention_rule")),
        sa.UniqueConstraint("name", name=op.f("uq_retention_rule_name")),
        sa.UniqueConstraint("uid", name=op.f("uq_retention_rule_uid")),
    )


def downgrade() -> None:
    """Change it back."""
    for table in ("retention_rule", "erased_subject", "erasure", "legal_hold"):
        op.drop_table(table)
    with op.batch_alter_table("consent", schema=None) as batch_op:
        batch_op.drop_column("statement_digest")
