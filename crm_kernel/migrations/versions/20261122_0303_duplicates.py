"""Keep candidates of duplicates and what was decided."""

import sqlalchemy as sa
from alembic import op

from crm_kernel import database

revision = "20261122_0303"
down_revision = "20261122_0302"
branch_labels = None
depends_on = None
needs_kernel = None


def upgrade() -> None:
    """Change the schema."""
    op.create_table(
        "duplicate_key",
        sa.Column("key", database.Key, autoincrement=False, nullable=False),
        sa.Column("customer_id", database.Key, autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customer.id"], name=op.f("fk_duplicate_key_customer_id_customer"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key", "customer_id", name=op.f("pk_duplicate_key")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_duplicate_key_customer_id"), "duplicate_key", ["customer_id"], unique=False)
    op.create_table(
        "duplicate_candidate",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("first_id", database.Key, nullable=False),
        sa.Column("second_id", database.Key, nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("levels", database.Json, nullable=False),
        sa.Column("state", sa.String(length=20), server_default="open", nullable=False),
        sa.Column("found_at", database.UTCDateTime(), nullable=False),
        sa.Column("decided_at", database.UTCDateTime(), nullable=True),
        sa.Column("decided_by", sa.String(length=120), nullable=True),
        sa.CheckConstraint("first_id < second_id", name=op.f("ck_duplicate_candidate_ordered")),
        sa.ForeignKeyConstraint(
            ["first_id"], ["customer.id"], name=op.f("fk_duplicate_candidate_first_id_customer"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["second_id"], ["customer.id"], name=op.f("fk_duplicate_candidate_second_id_customer"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_duplicate_candidate")),
        sa.UniqueConstraint("first_id", "second_id", name=op.f("uq_duplicate_candidate_first_id_second_id")),
        sa.UniqueConstraint("uid", name=op.f("uq_duplicate_candidate_uid")),
    )
    op.create_index(op.f("ix_duplicate_candidate_second_id"), "duplicate_candidate", ["second_id"], unique=False)
    op.create_index(
        op.f("ix_duplicate_candidate_state_score_id"), "duplicate_candidate", ["state", "score", "id"], unique=False
    )
    # Which customers changed since the last scan.
    op.create_index(op.f("ix_customer_updated_at_id"), "customer", ["updated_at", "id"], unique=False)


def downgrade() -> None:
    """Change it back."""
    op.drop_index(op.f("ix_customer_updated_at_id"), table_name="customer")
    op.drop_table("duplicate_candidate")
    op.drop_table("duplicate_key")
