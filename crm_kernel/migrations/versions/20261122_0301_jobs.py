"""Give jobs queues, priorities, progress and schedules."""

import sqlalchemy as sa
from alembic import op

from crm_kernel import database

revision = "20261122_0301"
down_revision = "20261121_2230"
branch_labels = None
depends_on = None
needs_kernel = None

_READY = {"sqlite_where": sa.text("state = 0"), "postgresql_where": sa.text("state = 0")}


def upgrade() -> None:
    """Change the schema."""
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.add_column(sa.Column("queue", sa.String(length=40), server_default="default", nullable=False))
        batch_op.add_column(sa.Column("priority", sa.SmallInteger(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("progress", database.Json, nullable=True))
        batch_op.add_column(sa.Column("place", sa.SmallInteger(), nullable=True))
    op.drop_index("ix_job_due", table_name="job", **_READY)
    op.create_index("ix_job_due", "job", ["module", "queue", "priority", "name", "run_at", "id"], **_READY)
    op.create_table(
        "job_queue",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("paused", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("per_minute", sa.Integer(), nullable=True),
        sa.Column("burst", sa.Integer(), server_default="1", nullable=False),
        sa.Column("spent_until", database.UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_job_queue")),
    )
    op.create_table(
        "job_schedule",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("name", sa.String(length=160), nullable=False),
        sa.Column("module", sa.String(length=40), nullable=False),
        sa.Column("job", sa.String(length=120), nullable=False),
        sa.Column("payload", database.Json, nullable=False),
        sa.Column("cron", sa.String(length=120), nullable=False),
        sa.Column("timezone", sa.String(length=64), server_default="site", nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("user_id", database.Key, nullable=True),
        sa.Column("paused", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("next_at", database.UTCDateTime(), nullable=False),
        sa.Column("last_at", database.UTCDateTime(), nullable=True),
        sa.Column("last_job_id", database.Key, nullable=True),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["app_user.id"], name=op.f("fk_job_schedule_user_id_app_user"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job_schedule")),
        sa.UniqueConstraint("name", name=op.f("uq_job_schedule_name")),
        sa.UniqueConstraint("uid", name=op.f("uq_job_schedule_uid")),
    )
    with op.batch_alter_table("job_schedule", schema=None) as batch_op:
        batch_op.create_index(
            "ix_job_schedule_next",
            ["next_at"],
            unique=False,
            sqlite_where=sa.text("NOT paused"),
            postgresql_where=sa.text("NOT paused"),
        )
        batch_op.create_index(batch_op.f("ix_job_schedule_user_id"), ["user_id"], unique=False)


def downgrade() -> None:
    """Change it back."""
    op.drop_table("job_schedule")
    op.drop_table("job_queue")
    op.drop_index("ix_job_due", table_name="job", **_READY)
    op.create_index("ix_job_due", "job", ["module", "run_at", "id"], **_READY)
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.drop_column("place")
        batch_op.drop_column("progress")
        batch_op.drop_column("priority")
        batch_op.drop_column("queue")
