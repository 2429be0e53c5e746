"""Keep consents and suppressions."""

import datetime as dt

import sqlalchemy as sa
from alembic import op
from uuid_utils.compat import uuid7

from crm_kernel import database

revision = "20261122_0304"
down_revision = "20261122_0303"
branch_labels = None
depends_on = None
needs_kernel = None

#: The purposes every instance starts with: code, label, what it is for, rule, whether customers choose it.
PURPOSES = (
    ("service", "Service messages", "Answers, orders, appointments, security.", "always", False),
    ("marketing", "News and offers", "Newsletters, offers and invitations.", "opt_in", True),
    ("survey", "Surveys", "Questions about products and service.", "opt_out", True),
)


def upgrade() -> None:
    """Change the schema."""
    op.create_table(
        "purpose",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("code", sa.String(length=60), nullable=False),
        sa.Column("label", sa.String(length=120), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("rule", sa.String(length=20), server_default="opt_in", nullable=False),
        sa.Column("double_opt_in", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("public", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("statement", sa.Text(), nullable=True),
        sa.Column("statement_version", sa.String(length=60), nullable=True),
        sa.Column("custom", database.Json, nullable=True),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("updated_at", database.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_purpose")),
        sa.UniqueConstraint("code", name=op.f("uq_purpose_code")),
        sa.UniqueConstraint("uid", name=op.f("uq_purpose_uid")),
    )
    _add_purposes()
    op.create_table(
        "suppression",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("channel", sa.String(length=20), nullable=False),
        sa.Column("value_digest", database.Uid(), nullable=False),
        sa.Column("reason", sa.String(length=20), nullable=False),
        sa.Column("since", database.UTCDateTime(), nullable=False),
        sa.Column("until", database.UTCDateTime(), nullable=True),
        sa.Column("source", sa.String(length=60), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("recorded_by", sa.String(length=120), nullable=False),
        sa.Column("custom", database.Json, nullable=True),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("updated_at", database.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_suppression")),
        sa.UniqueConstraint("uid", name=op.f("uq_suppression_uid")),
    )
    with op.batch_alter_table("suppression", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_suppression_created_at_id"), ["created_at", "id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_suppression_value_digest_channel"), ["value_digest", "channel"], unique=False
        )

    op.create_table(
        "consent",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("customer_id", database.Key, nullable=False),
        sa.Column("channel", sa.String(length=20), nullable=False),
        sa.Column("purpose", sa.String(length=60), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("basis", sa.String(length=30), nullable=False),
        sa.Column("source", sa.String(length=60), nullable=False),
        sa.Column("external_ref", sa.String(length=255), nullable=True),
        sa.Column("captured_at", database.UTCDateTime(), nullable=False),
        sa.Column("valid_from", database.UTCDateTime(), nullable=False),
        sa.Column("valid_to", database.UTCDateTime(), nullable=True),
        sa.Column("double_opt_in_at", database.UTCDateTime(), nullable=True),
        sa.Column("confirms_id", database.Key, nullable=True),
        sa.Column("contact_point_id", database.Key, nullable=True),
        sa.Column("statement", sa.Text(), nullable=True),
        sa.Column("form", sa.String(length=120), nullable=True),
        sa.Column("form_version", sa.String(length=60), nullable=True),
        sa.Column("ip", sa.String(length=45), nullable=True),
        sa.Column("user_agent", sa.String(length=300), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("recorded_by", sa.String(length=120), nullable=False),
        sa.Column("custom", database.Json, nullable=True),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("updated_at", database.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["confirms_id"], ["consent.id"], name=op.f("fk_consent_confirms_id_consent"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["contact_point_id"],
            ["contact_point.id"],
            name=op.f("fk_consent_contact_point_id_contact_point"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customer.id"], name=op.f("fk_consent_customer_id_customer"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["purpose"], ["purpose.code"], name=op.f("fk_consent_purpose_purpose"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent")),
        sa.UniqueConstraint("confirms_id", name=op.f("uq_consent_confirms_id")),
        sa.UniqueConstraint("source", "external_ref", name=op.f("uq_consent_source_external_ref")),
        sa.UniqueConstraint("uid", name=op.f("uq_consent_uid")),
    )
    with op.batch_alter_table("consent", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_consent_contact_point_id"), ["contact_point_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_consent_customer_id_captured_at_id"), ["customer_id", "captured_at", "id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_consent_purpose_channel_customer_id_captured_at_id"),
            ["purpose", "channel", "customer_id", "captured_at", "id"],
            unique=False,
        )

    op.create_table(
        "suppression_match",
        sa.Column("contact_point_id", database.Key, autoincrement=False, nullable=False),
        sa.Column("suppression_id", database.Key, autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["contact_point_id"],
            ["contact_point.id"],
            name=op.f("fk_suppression_match_contact_point_id_contact_point"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["suppression_id"],
            ["suppression.id"],
            name=op.f("fk_suppression_match_suppression_id_suppression"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("contact_point_id", "suppression_id", name=op.f("pk_suppression_match")),
    )
    with op.batch_alter_table("suppression_match", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_suppression_match_suppression_id"), ["suppression_id"], unique=False)


def _add_purposes() -> None:
    now = dt.datetime.now(dt.UTC)
    names = ("code", "label", "description", "rule", "public")
    table = sa.table(
        "purpose",
        sa.column("uid", database.Uid()),
        sa.column("created_at", database.UTCDateTime()),
        sa.column("updated_at", database.UTCDateTime()),
        *(sa.column(name) for name in names),
    )
    common = {"created_at": now, "updated_at": now}
    op.bulk_insert(table, [{"uid": uuid7(), **common, **dict(zip(names, row, strict=True))} for row in PURPOSES])


def downgrade() -> None:
    """Change it back."""
    with op.batch_alter_table("suppression_match", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_suppression_match_suppression_id"))

    op.drop_table("suppression_match")
    with op.batch_alter_table("consent", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_consent_purpose_channel_customer_id_captured_at_id"))
        batch_op.drop_index(batch_op.f("ix_consent_customer_id_captured_at_id"))
        batch_op.drop_index(batch_op.f("ix_consent_contact_point_id"))

    op.drop_table("consent")
    with op.batch_alter_table("suppression", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_suppression_value_digest_channel"))
        batch_op.drop_index(batch_op.f("ix_suppression_created_at_id"))

    op.drop_table("suppression")
    op.drop_table("purpose")
