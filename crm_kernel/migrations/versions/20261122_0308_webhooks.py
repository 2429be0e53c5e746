"""Keep webhooks and idempotent answers."""

import sqlalchemy as sa
from alembic import op

from crm_kernel import database

revision = "20261122_0308"
down_revision = "20261122_0307"
branch_labels = None
depends_on = None
needs_kernel = None


def upgrade() -> None:
    """Change the schema."""
    op.create_table(
        "idempotency_key",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("client", sa.String(length=40), nullable=False),
        sa.Column("key_digest", sa.String(length=64), nullable=False),
        sa.Column("user_id", database.Key, nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=True),
        sa.Column("headers", database.Json, nullable=True),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("expires_at", database.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["app_user.id"], name=op.f("fk_idempotency_key_user_id_app_user"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_idempotency_key")),
        sa.UniqueConstraint("client", "key_digest", name=op.f("uq_idempotency_key_client_key_digest")),
    )
    op.create_index(op.f("ix_idempotency_key_expires_at"), "idempotency_key", ["expires_at"], unique=False)
    op.create_index(op.f("ix_idempotency_key_user_id"), "idempotency_key", ["user_id"], unique=False)
    op.create_table(
        "webhook_endpoint",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("url", sa.String(length=2000), nullable=False),
        sa.Column("events", database.Json, nullable=False),
        sa.Column("filter", sa.Text(), nullable=True),
        sa.Column("with_record", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=True),
        sa.Column("user_id", database.Key, nullable=False),
        sa.Column("scopes", database.Json, nullable=True),
        sa.Column("enabled", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("disabled_reason", sa.String(length=20), nullable=True),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("previous_secret", sa.Text(), nullable=True),
        sa.Column("previous_until", database.UTCDateTime(), nullable=True),
        sa.Column("failing_since", database.UTCDateTime(), nullable=True),
        sa.Column("rest_until", database.UTCDateTime(), nullable=True),
        sa.Column("custom", database.Json, nullable=True),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("updated_at", database.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["app_user.id"], name=op.f("fk_webhook_endpoint_user_id_app_user"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_endpoint")),
        sa.UniqueConstraint("uid", name=op.f("uq_webhook_endpoint_uid")),
    )
    op.create_index(
        "ix_webhook_endpoint_enabled",
        "webhook_endpoint",
        ["id"],
        unique=False,
        sqlite_where=sa.text("enabled"),
        postgresql_where=sa.text("enabled"),
    )
    op.create_index(op.f("ix_webhook_endpoint_user_id"), "webhook_endpoint", ["user_id"], unique=False)
    op.create_table(
        "webhook_delivery",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("webhook_id", database.Key, nullable=False),
        sa.Column("event_uid", database.Uid(), nullable=True),
        sa.Column("event_name", sa.String(length=120), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("round", sa.Integer(), server_default="1", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_at", database.UTCDateTime(), nullable=True),
        sa.Column("status", sa.SmallInteger(), nullable=True),
        sa.Column("error", sa.String(length=300), nullable=True),
        sa.Column("milliseconds", sa.Integer(), nullable=True),
        sa.Column("custom", database.Json, nullable=True),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("updated_at", database.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["webhook_id"],
            ["webhook_endpoint.id"],
            name=op.f("fk_webhook_delivery_webhook_id_webhook_endpoint"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_delivery")),
        sa.UniqueConstraint("uid", name=op.f("uq_webhook_delivery_uid")),
        sa.UniqueConstraint("webhook_id", "event_uid", name=op.f("uq_webhook_delivery_webhook_id_event_uid")),
    )
    op.create_index(op.f("ix_webhook_delivery_created_at"), "webhook_delivery", ["created_at"], unique=False)
    op.create_index(
        op.f("ix_webhook_delivery_webhook_id_created_at"),
        "webhook_delivery",
        ["webhook_id", "created_at"],
        unique=False,
    )
    op.create_table(
        "webhook_attempt",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("delivery_id", database.Key, nullable=False),
        sa.Column("at", database.UTCDateTime(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=True),
        sa.Column("milliseconds", sa.Integer(), nullable=True),
        sa.Column("error", sa.String(length=300), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["delivery_id"],
            ["webhook_delivery.id"],
            name=op.f("fk_webhook_attempt_delivery_id_webhook_delivery"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_attempt")),
        sa.UniqueConstraint("uid", name=op.f("uq_webhook_attempt_uid")),
    )
    op.create_index(op.f("ix_webhook_attempt_delivery_id"), "webhook_attempt", ["delivery_id"], unique=False)
    op.create_table(
        "webhook_source",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("kind", sa.String(length=80), nullable=False),
        sa.Column("scheme", sa.String(length=20), nullable=False),
        sa.Column("notes", sa.Text(), nullable=True),
        sa.Column("user_id", database.Key, nullable=False),
        sa.Column("scopes", database.Json, nullable=True),
        sa.Column("enabled", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("token_digest", sa.String(length=64), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("previous_secret", sa.Text(), nullable=True),
        sa.Column("previous_until", database.UTCDateTime(), nullable=True),
        sa.Column("custom", database.Json, nullable=True),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("updated_at", database.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["app_user.id"], name=op.f("fk_webhook_source_user_id_app_user"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_source")),
        sa.UniqueConstraint("token_digest", name=op.f("uq_webhook_source_token_digest")),
        sa.UniqueConstraint("uid", name=op.f("uq_webhook_source_uid")),
    )
    op.create_index(op.f("ix_webhook_source_user_id"), "webhook_source", ["user_id"], unique=False)
    op.create_table(
        "webhook_message",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("source_id", database.Key, nullable=False),
        sa.Column("message_id", sa.String(length=255), nullable=False),
        sa.Column("content_type", sa.String(length=120), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("error", sa.String(length=1000), nullable=True),
        sa.Column("result", sa.String(length=300), nullable=True),
        sa.Column("custom", database.Json, nullable=True),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("updated_at", database.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["source_id"],
            ["webhook_source.id"],
            name=op.f("fk_webhook_message_source_id_webhook_source"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_message")),
        sa.UniqueConstraint("source_id", "message_id", name=op.f("uq_webhook_message_source_id_message_id")),
        sa.UniqueConstraint("uid", name=op.f("uq_webhook_message_uid")),
    )
    op.create_index(op.f("ix_webhook_message_created_at"), "webhook_message", ["created_at"], unique=False)
    op.create_index(
        op.f("ix_webhook_message_source_id_created_at"), "webhook_message", ["source_id", "created_at"], unique=False
    )


def downgrade() -> None:
    """Change it back."""
    op.drop_index(op.f("ix_webhook_message_created_at"), table_name="webhook_message")
    op.drop_index(op.f("ix_webhook_message_source_id_created_at"), table_name="webhook_message")
    op.drop_table("webhook_message")
    op.drop_index(op.f("ix_webhook_source_user_id"), table_name="webhook_source")
    op.drop_table("webhook_source")
    op.drop_index(op.f("ix_webhook_attempt_delivery_id"), table_name="webhook_attempt")
    op.drop_table("webhook_attempt")
    op.drop_index(op.f("ix_webhook_delivery_created_at"), table_name="webhook_delivery")
    op.drop_index(op.f("ix_webhook_delivery_webhook_id_created_at"), table_name="webhook_delivery")
    op.drop_table("webhook_delivery")
    op.drop_index(
        "ix_webhook_endpoint_enabled",
        table_name="webhook_endpoint",
        sqlite_where=sa.text("enabled"),
        postgresql_where=sa.text("enabled"),
    )
    op.drop_index(op.f("ix_webhook_endpoint_user_id"), table_name="webhook_endpoint")
    op.drop_table("webhook_endpoint")
    op.drop_index(op.f("ix_idempotency_key_expires_at"), table_name="idempotency_key")
    op.drop_index(op.f("ix_idempotency_key_user_id"), table_name="idempotency_key")
    op.drop_table("idempotency_key")
