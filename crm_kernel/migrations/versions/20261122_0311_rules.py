"""Keep automation rules and their runs."""

import sqlalchemy as sa
from alembic import op

from crm_kernel import database

revision = "20261122_0311"
down_revision = "20261122_0310"
branch_labels = None
depends_on = None
needs_kernel = None


def upgrade() -> None:
    """Change the schema."""
    op.create_table(
        "rule",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("enabled", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("record_type", sa.String(length=80), nullable=False),
        sa.Column("event", sa.String(length=120), nullable=True),
        sa.Column("cron", sa.String(length=120), nullable=True),
        sa.Column("timezone", sa.String(length=60), server_default="site", nullable=False),
        sa.Column("condition", database.Json, nullable=True),
        sa.Column("actions", database.Json, nullable=False),
        sa.Column("principal_id", database.Key, nullable=True),
        sa.Column("as_system", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("schedule_uid", database.Uid(), nullable=True),
        sa.Column("owner_id", database.Key, nullable=True),
        sa.Column("team_id", database.Key, nullable=True),
        sa.Column("custom", database.Json, nullable=True),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("updated_at", database.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["app_user.id"], name=op.f("fk_rule_owner_id_app_user"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["principal_id"], ["app_user.id"], name=op.f("fk_rule_principal_id_app_user"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["team_id"], ["team.id"], name=op.f("fk_rule_team_id_team"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rule")),
        sa.UniqueConstraint("uid", name=op.f("uq_rule_uid")),
    )
    with op.batch_alter_table("rule", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_rule_event_enabled"), ["event", "enabled"], unique=False)
        batch_op.create_index(batch_op.f("ix_rule_owner_id"), ["owner_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_rule_principal_id"), ["principal_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_rule_team_id"), ["team_id"], unique=False)

    op.create_table(
        "rule_run",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("rule_id", database.Key, nullable=False),
        sa.Column("rule_version", sa.Integer(), nullable=False),
        sa.Column("record_type", sa.String(length=80), nullable=False),
        sa.Column("record_uid", database.Uid(), nullable=False),
        sa.Column("cause_uid", database.Uid(), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("details", database.Json, nullable=True),
        sa.Column("causation_depth", sa.Integer(), nullable=False),
        sa.Column("at", database.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["rule_id"], ["rule.id"], name=op.f("fk_rule_run_rule_id_rule"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rule_run")),
        sa.UniqueConstraint(
            "rule_id", "record_uid", "cause_uid", name=op.f("uq_rule_run_rule_id_record_uid_cause_uid")
        ),
        sa.UniqueConstraint("uid", name=op.f("uq_rule_run_uid")),
    )
    with op.batch_alter_table("rule_run", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_rule_run_at"), ["at"], unique=False)
        batch_op.create_index(batch_op.f("ix_rule_run_record_uid_id"), ["record_uid", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_rule_run_rule_id_id"), ["rule_id", "id"], unique=False)


def downgrade() -> None:
    """Change it back."""
    with op.batch_alter_table("rule_run", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_rule_run_rule_id_id"))
        batch_op.drop_index(batch_op.f("ix_rule_run_record_uid_id"))
        batch_op.drop_index(batch_op.f("ix_rule_run_at"))

    op.drop_table("rule_run")
    with op.batch_alter_table("rule", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_rule_team_id"))
        batch_op.drop_index(batch_op.f("ix_rule_principal_id"))
        batch_op.drop_index(batch_op.f("ix_rule_owner_id"))
        batch_op.drop_index(batch_op.f("ix_rule_event_enabled"))

    op.drop_table("rule")
