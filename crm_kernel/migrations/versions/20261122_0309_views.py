"""Keep saved views and bulk runs."""

import sqlalchemy as sa
from alembic import op

from crm_kernel import database

revision = "20261122_0309"
down_revision = "20261122_0308"
branch_labels = None
depends_on = None
needs_kernel = None


def upgrade() -> None:
    """Change the schema."""
    op.create_table(
        "saved_view",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("record_type", sa.String(length=80), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("kind", sa.String(length=10), server_default="list", nullable=False),
        sa.Column("query", sa.Text(), server_default="", nullable=False),
        sa.Column("columns", database.Json, nullable=True),
        sa.Column("sharing", sa.String(length=10), server_default="private", nullable=False),
        sa.Column("default_for_all", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("author_id", database.Key, nullable=True),
        sa.Column("team_id", database.Key, nullable=True),
        sa.Column("custom", database.Json, nullable=True),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("updated_at", database.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["author_id"], ["app_user.id"], name=op.f("fk_saved_view_author_id_app_user"), ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["team_id"], ["team.id"], name=op.f("fk_saved_view_team_id_team"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_view")),
        sa.UniqueConstraint("uid", name=op.f("uq_saved_view_uid")),
    )  # fmt: skip
    op.create_index(op.f("ix_saved_view_record_type"), "saved_view", ["record_type"])
    op.create_index(op.f("ix_saved_view_author_id"), "saved_view", ["author_id"])
    op.create_index(op.f("ix_saved_view_team_id"), "saved_view", ["team_id"])
    op.create_table(
        "view_choice",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("user_id", database.Key, nullable=False),
        sa.Column("record_type", sa.String(length=80), nullable=False),
        sa.Column("view_id", database.Key, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["app_user.id"], name=op.f("fk_view_choice_user_id_app_user"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["view_id"], ["saved_view.id"], name=op.f("fk_view_choice_view_id_saved_view"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_view_choice")),
        sa.UniqueConstraint("user_id", "record_type", name=op.f("uq_view_choice_user_id_record_type")),
    )  # fmt: skip
    op.create_index(op.f("ix_view_choice_view_id"), "view_choice", ["view_id"])
    op.create_table(
        "bulk_run",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("record_type", sa.String(length=80), nullable=False),
        sa.Column("what", sa.String(length=60), nullable=False),
        sa.Column("data", database.Json, nullable=True),
        sa.Column("state", sa.String(length=10), server_default="queued", nullable=False),
        sa.Column("author_id", database.Key, nullable=True),
        sa.Column("by_system", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("token_scopes", database.Json, nullable=True),
        sa.Column("undoes_id", database.Key, nullable=True),
        sa.Column("total", sa.Integer(), server_default="0", nullable=False),
        sa.Column("changed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("unchanged", sa.Integer(), server_default="0", nullable=False),
        sa.Column("refused", sa.Integer(), server_default="0", nullable=False),
        sa.Column("finished_at", database.UTCDateTime(), nullable=True),
        sa.Column("custom", database.Json, nullable=True),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("updated_at", database.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["author_id"], ["app_user.id"], name=op.f("fk_bulk_run_author_id_app_user"), ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["undoes_id"], ["bulk_run.id"], name=op.f("fk_bulk_run_undoes_id_bulk_run"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bulk_run")),
        sa.UniqueConstraint("uid", name=op.f("uq_bulk_run_uid")),
    )  # fmt: skip
    op.create_index(op.f("ix_bulk_run_author_id"), "bulk_run", ["author_id"])
    op.create_index(op.f("ix_bulk_run_undoes_id"), "bulk_run", ["undoes_id"])
    op.create_table(
        "bulk_row",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("run_id", database.Key, nullable=False),
        sa.Column("record_uid", database.Uid(), nullable=False),
        sa.Column("outcome", sa.String(length=10), server_default="waiting", nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["bulk_run.id"], name=op.f("fk_bulk_row_run_id_bulk_run"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bulk_row")),
        sa.UniqueConstraint("run_id", "record_uid", name=op.f("uq_bulk_row_run_id_record_uid")),
    )  # fmt: skip
    op.create_index(op.f("ix_bulk_row_run_id_outcome_id"), "bulk_row", ["run_id", "outcome", "id"])


def downgrade() -> None:
    """Change it back."""
    op.drop_table("bulk_row")
    op.drop_table("bulk_run")
    op.drop_table("view_choice")
    op.drop_table("saved_view")
