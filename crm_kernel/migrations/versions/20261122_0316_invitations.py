"""Keep invitations."""

import sqlalchemy as sa
from alembic import op

from crm_kernel import database

revision = "20261122_0316"
down_revision = "20261122_0315"
branch_labels = None
depends_on = None
needs_kernel = None


def upgrade() -> None:
    """Change the schema."""
    op.create_table(
        "invitation",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("name", sa.String(length=120), server_default="", nullable=False),
        sa.Column("role_id", database.Key, nullable=False),
        sa.Column("team_id", database.Key, nullable=True),
        sa.Column("language", sa.String(length=10), nullable=False),
        sa.Column("invited_by_id", database.Key, nullable=True),
        sa.Column("sending", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("sent_at", database.UTCDateTime(), nullable=False),
        sa.Column("expires_at", database.UTCDateTime(), nullable=False),
        sa.Column("accepted_at", database.UTCDateTime(), nullable=True),
        sa.Column("withdrawn_at", database.UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["invited_by_id"], ["app_user.id"], name=op.f("fk_invitation_invited_by_id_app_user"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["role_id"], ["role.id"], name=op.f("fk_invitation_role_id_role"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["team_id"], ["team.id"], name=op.f("fk_invitation_team_id_team"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invitation")),
        sa.UniqueConstraint("uid", name=op.f("uq_invitation_uid")),
    )
    for column in ("email", "role_id", "team_id", "invited_by_id"):
        op.create_index(op.f(f"ix_invitation_{column}"), "invitation", [column])
    waiting = sa.text("accepted_at IS NULL AND withdrawn_at IS NULL")
    op.create_index(
        "uq_invitation_waiting", "invitation", ["email"], unique=True, sqlite_where=waiting, postgresql_where=waiting
    )


def downgrade() -> None:
    """Change it back."""
    op.drop_table("invitation")
