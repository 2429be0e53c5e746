"""Keep what merging customers overwrote."""

import sqlalchemy as sa
from alembic import op

from crm_kernel import database

revision = "20261122_0306"
down_revision = "20261122_0305"
branch_labels = None
depends_on = None
needs_kernel = None


def upgrade() -> None:
    """Change the schema."""
    op.add_column("data_map", sa.Column("type_column", sa.String(length=120), nullable=True))
    op.add_column("data_map", sa.Column("json_key", sa.String(length=120), nullable=True))
    op.create_table(
        "merge_run",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("source_id", database.Key, nullable=False),
        sa.Column("target_id", database.Key, nullable=False),
        sa.Column("state", sa.String(length=20), server_default="merged", nullable=False),
        sa.Column("merged_at", database.UTCDateTime(), nullable=False),
        sa.Column("merged_by", sa.String(length=120), nullable=False),
        sa.Column("unmerged_at", database.UTCDateTime(), nullable=True),
        sa.Column("unmerged_by", sa.String(length=120), nullable=True),
        sa.Column("counts", database.Json, nullable=False),
        sa.Column("steps", database.Json, nullable=False),
        sa.Column("since", database.Json, nullable=True),
        sa.ForeignKeyConstraint(
            ["source_id"], ["customer.id"], name=op.f("fk_merge_run_source_id_customer"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["target_id"], ["customer.id"], name=op.f("fk_merge_run_target_id_customer"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_merge_run")),
        sa.UniqueConstraint("uid", name=op.f("uq_merge_run_uid")),
    )
    for column in ("source_id", "target_id", "merged_at"):
        op.create_index(op.f(f"ix_merge_run_{column}"), "merge_run", [column])
    op.create_table(
        "merge_item",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("run_id", database.Key, nullable=False),
        sa.Column("table_name", sa.String(length=120), nullable=False),
        sa.Column("action", sa.String(length=10), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("row_id", database.Key, nullable=True),
        sa.Column("row_key", database.Json, nullable=True),
        sa.Column("before", database.Json, nullable=True),
        sa.Column("after", database.Json, nullable=True),
        sa.ForeignKeyConstraint(
            ["run_id"], ["merge_run.id"], name=op.f("fk_merge_item_run_id_merge_run"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_merge_item")),
    )
    op.create_index(op.f("ix_merge_item_run_id_step_id"), "merge_item", ["run_id", "step", "id"])
    op.drop_index(op.f("ix_customer_merged_into_id"), "customer")
    merged = sa.text("merged_into_id IS NOT NULL")
    op.create_index(
        op.f("ix_customer_merged_into_id"),
        "customer",
        ["merged_into_id"],
        sqlite_where=merged,
        postgresql_where=merged,
    )


def downgrade() -> None:
    """Change it back."""
    op.drop_index(op.f("ix_customer_merged_into_id"), "customer")
    op.create_index(op.f("ix_customer_merged_into_id"), "customer", ["merged_into_id"])
    op.drop_table("merge_item")
    op.drop_table("merge_run")
    with op.batch_alter_table("data_map") as batch_op:
        batch_op.drop_column("json_key")
        batch_op.drop_column("type_column")
