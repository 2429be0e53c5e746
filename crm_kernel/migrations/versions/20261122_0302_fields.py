"""Keep custom fields and rules for single fields."""

import sqlalchemy as sa
from alembic import op

from crm_kernel import database

revision = "20261122_0302"
down_revision = "20261122_0301"
branch_labels = None
depends_on = None
needs_kernel = None

#: Tables of records and their parts that had no custom fields; ``customer`` had.
TABLES = (
    "address", "api_token", "app_user", "contact_point", "customer_identifier", "exchange_rate", "interaction",
    "product", "relationship", "role", "role_permission", "sale", "sale_line", "team", "user_role",
)  # fmt: skip


def upgrade() -> None:
    """Change the schema."""
    for table in TABLES:
        op.add_column(table, sa.Column("custom", database.Json, nullable=True))
    op.create_table(
        "custom_field",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("record_type", sa.String(length=80), nullable=False),
        sa.Column("name", sa.String(length=50), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("labels", database.Json, nullable=False),
        sa.Column("help", database.Json, nullable=True),
        sa.Column("choices", database.Json, nullable=True),
        sa.Column("target", sa.String(length=80), nullable=True),
        sa.Column("multiline", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("required", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("default", database.Json, nullable=True),
        sa.Column("section", sa.String(length=80), nullable=True),
        sa.Column("position", sa.Integer(), server_default="0", nullable=False),
        sa.Column("listed", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("searchable", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("indexed", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("archived_at", database.UTCDateTime(), nullable=True),
        sa.Column("custom", database.Json, nullable=True),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("updated_at", database.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_custom_field")),
        sa.UniqueConstraint("record_type", "name", name=op.f("uq_custom_field_record_type_name")),
        sa.UniqueConstraint("uid", name=op.f("uq_custom_field_uid")),
    )
    op.create_table(
        "field_rule",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("role_id", database.Key, nullable=False),
        sa.Column("record_type", sa.String(length=80), nullable=False),
        sa.Column("field", sa.String(length=120), nullable=False),
        sa.Column("access", sa.String(length=10), nullable=False),
        sa.Column("custom", database.Json, nullable=True),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("updated_at", database.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["role_id"], ["role.id"], name=op.f("fk_field_rule_role_id_role"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_field_rule")),
        sa.UniqueConstraint("role_id", "record_type", "field", name=op.f("uq_field_rule_role_id_record_type_field")),
        sa.UniqueConstraint("uid", name=op.f("uq_field_rule_uid")),
    )


def downgrade() -> None:
    """Change it back."""
    op.drop_table("field_rule")
    op.drop_table("custom_field")
    for table in reversed(TABLES):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.drop_column("custom")
