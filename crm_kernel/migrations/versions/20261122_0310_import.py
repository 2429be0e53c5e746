"""Keep import runs and mappings."""

import sqlalchemy as sa
from alembic import op

from crm_kernel import database

revision = "20261122_0310"
down_revision = "20261122_0309"
branch_labels = None
depends_on = None
needs_kernel = None


def upgrade() -> None:
    """Change the schema."""
    op.create_table(
        "import_run",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("state", sa.String(length=20), server_default="draft", nullable=False),
        sa.Column("user_id", database.Key, nullable=True),
        sa.Column("actor", sa.String(length=120), nullable=False),
        sa.Column("scopes", database.Json, nullable=True),
        sa.Column("channel", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("mapping", database.Json, nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("files", database.Json, nullable=False),
        sa.Column("uploaded", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("checkpoint", database.Json, nullable=False),
        sa.Column("counts", database.Json, nullable=False),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("started_at", database.UTCDateTime(), nullable=True),
        sa.Column("finished_at", database.UTCDateTime(), nullable=True),
        sa.Column("job_id", database.Key, nullable=True),
        sa.Column("undo", database.Json, nullable=True),
        sa.Column("expired_at", database.UTCDateTime(), nullable=True),
        sa.Column("expired_rows", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["app_user.id"], name=op.f("fk_import_run_user_id_app_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_run")),
        sa.UniqueConstraint("uid", name=op.f("uq_import_run_uid")),
    )
    op.create_index(op.f("ix_import_run_user_id_id"), "import_run", ["user_id", "id"], unique=False)
    op.create_index(op.f("ix_import_run_created_at"), "import_run", ["created_at"], unique=False)
    op.create_table(
        "import_row",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("run_id", database.Key, nullable=False),
        sa.Column("verdict", sa.String(length=10), nullable=False),
        sa.Column("source", sa.SmallInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("record_type", sa.String(length=80), nullable=False),
        sa.Column("record_uid", database.Uid(), nullable=True),
        sa.Column("before", database.Json, nullable=True),
        sa.Column("after", database.Json, nullable=True),
        sa.Column("problems", database.Json, nullable=True),
        sa.ForeignKeyConstraint(
            ["run_id"], ["import_run.id"], name=op.f("fk_import_row_run_id_import_run"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_row")),
    )
    op.create_index(op.f("ix_import_row_run_id_verdict_id"), "import_row", ["run_id", "verdict", "id"], unique=False)
    op.create_table(
        "import_mapping",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("record_type", sa.String(length=80), nullable=False),
        sa.Column("source", database.Json, nullable=False),
        sa.Column("user_id", database.Key, nullable=False),
        sa.Column("shared", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["app_user.id"], name=op.f("fk_import_mapping_user_id_app_user"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_mapping")),
        sa.UniqueConstraint("user_id", "record_type", "name", name=op.f("uq_import_mapping_user_id_record_type_name")),
        sa.UniqueConstraint("uid", name=op.f("uq_import_mapping_uid")),
    )
    op.create_index(op.f("ix_import_mapping_record_type"), "import_mapping", ["record_type"], unique=False)


def downgrade() -> None:
    """Change it back."""
    op.drop_table("import_mapping")
    op.drop_table("import_row")
    op.drop_table("import_run")
