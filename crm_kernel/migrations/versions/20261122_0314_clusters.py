"""Keep what the scan for duplicates compares, and which pairs are reviewed together."""

import sqlalchemy as sa
from alembic import op

from crm_kernel import database

revision = "20261122_0314"
down_revision = "20261122_0313"
branch_labels = None
depends_on = None
needs_kernel = None

_TEXTS = (
    "given", "family", "words", "birth", "street", "numbers", "postcode", "city", "region", "country", "emails",
    "phones", "identifiers",
)  # fmt: skip


def upgrade() -> None:
    """Change the schema."""
    op.create_table(
        "duplicate_profile",
        sa.Column("customer_id", database.Key, autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in _TEXTS),
        sa.ForeignKeyConstraint(
            ["customer_id"],
            ["customer.id"],
            name=op.f("fk_duplicate_profile_customer_id_customer"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_duplicate_profile")),
    )
    op.create_table(
        "duplicate_block",
        sa.Column("key", database.Key, autoincrement=False, nullable=False),
        sa.Column("customers", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_duplicate_block")),
    )
    op.create_table(
        "duplicate_term",
        sa.Column("comparison", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("term", sa.Text(), nullable=False),
        sa.Column("customers", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("comparison", "term", name=op.f("pk_duplicate_term")),
    )
    op.add_column("duplicate_candidate", sa.Column("cluster", database.Key, nullable=True))
    op.create_index(op.f("ix_duplicate_candidate_cluster"), "duplicate_candidate", ["cluster"], unique=False)


def downgrade() -> None:
    """Change it back."""
    op.drop_index(op.f("ix_duplicate_candidate_cluster"), table_name="duplicate_candidate")
    with op.batch_alter_table("duplicate_candidate") as batch:
        batch.drop_column("cluster")
    for name in ("duplicate_term", "duplicate_block", "duplicate_profile"):
        op.drop_table(name)
