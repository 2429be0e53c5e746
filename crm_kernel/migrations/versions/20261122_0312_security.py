"""Keep log-ins and second factors."""

import sqlalchemy as sa
from alembic import op

from crm_kernel import database

revision = "20261122_0312"
down_revision = "20261122_0311"
branch_labels = None
depends_on = None
needs_kernel = None


def upgrade() -> None:
    """Change the schema."""
    with op.batch_alter_table("app_user") as batch_op:
        batch_op.add_column(sa.Column("totp_counter", sa.BigInteger(), nullable=True))
    with op.batch_alter_table("role") as batch_op:
        batch_op.add_column(sa.Column("second_factor", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_table(
        "user_session",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("user_id", database.Key, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("identity", sa.String(length=80), nullable=False),
        sa.Column("method", sa.String(length=30), nullable=False),
        sa.Column("device", sa.String(length=255), nullable=False),
        sa.Column("address", sa.String(length=45), nullable=False),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("seen_at", database.UTCDateTime(), nullable=False),
        sa.Column("ended_at", database.UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["app_user.id"], name=op.f("fk_user_session_user_id_app_user"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_session")),
        sa.UniqueConstraint("digest", name=op.f("uq_user_session_digest")),
        sa.UniqueConstraint("uid", name=op.f("uq_user_session_uid")),
    )
    op.create_index(op.f("ix_user_session_user_id"), "user_session", ["user_id"])
    # Nothing could write the table that was there.
    op.drop_table("webauthn")
    _create_webauthn(
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("synced", sa.Boolean(), nullable=False),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("last_used_at", database.UTCDateTime(), nullable=True),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        sa.UniqueConstraint("uid", name=op.f("uq_webauthn_uid")),
    )


def downgrade() -> None:
    """Change it back."""
    op.drop_table("webauthn")
    _create_webauthn(
        sa.Column("sign_count", sa.Integer(), nullable=False),
        sa.Column("extensions", sa.String(length=255), nullable=True),
        sa.Column("device_type", sa.String(length=64), nullable=False),
        sa.Column("backup_state", sa.Boolean(), nullable=False),
        sa.Column("usage", sa.String(length=64), nullable=False),
        sa.Column("lastuse_datetime", database.UTCDateTime(), nullable=False),
    )
    op.drop_table("user_session")
    with op.batch_alter_table("role") as batch_op:
        batch_op.drop_column("second_factor")
    with op.batch_alter_table("app_user") as batch_op:
        batch_op.drop_column("totp_counter")


def _create_webauthn(*columns: sa.Column | sa.UniqueConstraint) -> None:
    op.create_table(
        "webauthn",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("user_id", database.Key, nullable=False),
        sa.Column("credential_id", sa.LargeBinary(length=1024), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("transports", database.Json, nullable=True),
        sa.Column("name", sa.String(length=64), nullable=False),
        *columns,
        sa.ForeignKeyConstraint(
            ["user_id"], ["app_user.id"], name=op.f("fk_webauthn_user_id_app_user"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webauthn")),
        sa.UniqueConstraint("credential_id", name=op.f("uq_webauthn_credential_id")),
    )
    op.create_index(op.f("ix_webauthn_user_id"), "webauthn", ["user_id"])
