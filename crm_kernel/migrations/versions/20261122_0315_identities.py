"""Keep identity providers and the accounts there that users log in with."""

import sqlalchemy as sa
from alembic import op

from crm_kernel import database

revision = "20261122_0315"
down_revision = "20261122_0314"
branch_labels = None
depends_on = None
needs_kernel = None


def upgrade() -> None:
    """Change the schema."""
    op.create_table(
        "identity_provider",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("issuer", sa.String(length=500), nullable=False),
        sa.Column("client_id", sa.String(length=255), nullable=False),
        sa.Column("client_secret", sa.Text(), nullable=True),
        sa.Column("scopes", sa.String(length=255), server_default="openid email profile", nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("link_by_email", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("create_users", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("role_claim", sa.String(length=120), server_default="", nullable=False),
        sa.Column("role_map", sa.Text(), server_default="", nullable=False),
        sa.Column("default_role", sa.String(length=80), server_default="", nullable=False),
        sa.Column("factor_values", sa.String(length=255), server_default="", nullable=False),
        sa.Column("custom", database.Json, nullable=True),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("updated_at", database.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity_provider")),
        sa.UniqueConstraint("name", name=op.f("uq_identity_provider_name")),
        sa.UniqueConstraint("uid", name=op.f("uq_identity_provider_uid")),
    )
    op.create_table(
        "user_identity",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("user_id", database.Key, nullable=False),
        sa.Column("provider_id", database.Key, nullable=False),
        sa.Column("issuer", sa.String(length=500), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("last_used_at", database.UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["app_user.id"], name=op.f("fk_user_identity_user_id_app_user"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["provider_id"], ["identity_provider.id"], name=op.f("fk_user_identity_provider_id_identity_provider"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_identity")),
        sa.UniqueConstraint("issuer", "subject", name=op.f("uq_user_identity_issuer_subject")),
        sa.UniqueConstraint("uid", name=op.f("uq_user_identity_uid")),
    )  # fmt: skip
    op.create_index(op.f("ix_user_identity_user_id"), "user_identity", ["user_id"])
    op.create_index(op.f("ix_user_identity_provider_id"), "user_identity", ["provider_id"])


def downgrade() -> None:
    """Change it back."""
    op.drop_table("user_identity")
    op.drop_table("identity_provider")
