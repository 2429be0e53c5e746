"""Create pipelines, stages, opportunities and their history."""

import sqlalchemy as sa
from alembic import op

from crm_kernel import database

revision = "20261121_2246"
down_revision = None
branch_labels = ("sfa",)
depends_on = None
#: The least revision of the kernel's tables this one needs, checked before the first statement.
needs_kernel = "20261121_2230"


def upgrade() -> None:
    """Change the schema."""
    op.create_table(
        "sfa_pipeline",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("position", sa.Integer(), server_default="0", nullable=False),
        sa.Column("is_default", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("updated_at", database.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sfa_pipeline")),
        sa.UniqueConstraint("name", name=op.f("uq_sfa_pipeline_name")),
        sa.UniqueConstraint("uid", name=op.f("uq_sfa_pipeline_uid")),
    )
    with op.batch_alter_table("sfa_pipeline", schema=None) as batch_op:
        batch_op.create_index(
            "uq_sfa_pipeline_default",
            ["is_default"],
            unique=True,
            sqlite_where=sa.text("is_default = 1"),
            postgresql_where=sa.text("is_default"),
        )

    op.create_table(
        "sfa_stage",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("pipeline_id", database.Key, nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("position", sa.Integer(), server_default="0", nullable=False),
        sa.Column("category", sa.String(length=10), server_default="open", nullable=False),
        sa.Column("probability", sa.Integer(), server_default="0", nullable=False),
        sa.Column("color", sa.String(length=20), server_default="gray", nullable=False),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("updated_at", database.UTCDateTime(), nullable=False),
        sa.CheckConstraint("category IN ('open', 'won', 'lost')", name=op.f("ck_sfa_stage_category")),
        sa.CheckConstraint("probability BETWEEN 0 AND 100", name=op.f("ck_sfa_stage_probability")),
        sa.ForeignKeyConstraint(
            ["pipeline_id"], ["sfa_pipeline.id"], name=op.f("fk_sfa_stage_pipeline_id_sfa_pipeline"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sfa_stage")),
        sa.UniqueConstraint("pipeline_id", "name", name=op.f("uq_sfa_stage_pipeline_id_name")),
        sa.UniqueConstraint("uid", name=op.f("uq_sfa_stage_uid")),
    )
    with op.batch_alter_table("sfa_stage", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_sfa_stage_pipeline_id_position_id"), ["pipeline_id", "position", "id"], unique=False
        )

    op.create_table(
        "sfa_opportunity",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("uid", database.Uid(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("customer_id", database.Key, nullable=True),
        sa.Column("pipeline_id", database.Key, nullable=False),
        sa.Column("stage_id", database.Key, nullable=False),
        sa.Column("status", sa.String(length=10), server_default="open", nullable=False),
        sa.Column("stage_since", database.UTCDateTime(), nullable=False),
        sa.Column("amount", database.Amount(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=True),
        sa.Column("base_amount", database.Amount(), nullable=True),
        sa.Column("opened_on", sa.Date(), nullable=False),
        sa.Column("close_date", sa.Date(), nullable=True),
        sa.Column("closed_at", database.UTCDateTime(), nullable=True),
        sa.Column("product_id", database.Key, nullable=True),
        sa.Column("region", sa.String(length=120), nullable=True),
        sa.Column("lost_reason", sa.String(length=40), nullable=True),
        sa.Column("lost_note", sa.Text(), nullable=True),
        sa.Column("sale_id", database.Key, nullable=True),
        sa.Column("times_sold", sa.Integer(), server_default="0", nullable=False),
        sa.Column("source", sa.String(length=60), nullable=True),
        sa.Column("external_ref", sa.String(length=255), nullable=True),
        sa.Column("owner_id", database.Key, nullable=True),
        sa.Column("team_id", database.Key, nullable=True),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("updated_at", database.UTCDateTime(), nullable=False),
        sa.CheckConstraint("status IN ('open', 'won', 'lost')", name=op.f("ck_sfa_opportunity_status")),
        sa.CheckConstraint("amount IS NULL OR currency IS NOT NULL", name=op.f("ck_sfa_opportunity_currency")),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customer.id"], name=op.f("fk_sfa_opportunity_customer_id_customer"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["app_user.id"], name=op.f("fk_sfa_opportunity_owner_id_app_user"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["pipeline_id"],
            ["sfa_pipeline.id"],
            name=op.f("fk_sfa_opportunity_pipeline_id_sfa_pipeline"),
            ondelete="RESTRICT",
        ),
        sa.ForeignKeyConstraint(
            ["product_id"], ["product.id"], name=op.f("fk_sfa_opportunity_product_id_product"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["sale_id"], ["sale.id"], name=op.f("fk_sfa_opportunity_sale_id_sale"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["stage_id"], ["sfa_stage.id"], name=op.f("fk_sfa_opportunity_stage_id_sfa_stage"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["team_id"], ["team.id"], name=op.f("fk_sfa_opportunity_team_id_team"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sfa_opportunity")),
        sa.UniqueConstraint("source", "external_ref", name=op.f("uq_sfa_opportunity_source_external_ref")),
        sa.UniqueConstraint("uid", name=op.f("uq_sfa_opportunity_uid")),
    )
    with op.batch_alter_table("sfa_opportunity", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_sfa_opportunity_amount_id"), ["amount", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_sfa_opportunity_close_date_id"), ["close_date", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_sfa_opportunity_created_at_id"), ["created_at", "id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_sfa_opportunity_customer_id_status_id"), ["customer_id", "status", "id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_sfa_opportunity_name_id"), ["name", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_sfa_opportunity_owner_id"), ["owner_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_sfa_opportunity_pipeline_id_stage_id_id"), ["pipeline_id", "stage_id", "id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_sfa_opportunity_product_id"), ["product_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_sfa_opportunity_sale_id"), ["sale_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_sfa_opportunity_stage_id"), ["stage_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_sfa_opportunity_status_close_date_id"), ["status", "close_date", "id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_sfa_opportunity_team_id"), ["team_id"], unique=False)

    op.create_table(
        "sfa_stage_change",
        sa.Column("id", database.Key, nullable=False),
        sa.Column("opportunity_id", database.Key, nullable=False),
        sa.Column("from_stage_id", database.Key, nullable=True),
        sa.Column("to_stage_id", database.Key, nullable=True),
        sa.Column("at", database.UTCDateTime(), nullable=False),
        sa.Column("actor_id", database.Key, nullable=True),
        sa.Column("actor_name", sa.String(length=120), nullable=False),
        sa.Column("seconds", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["actor_id"], ["app_user.id"], name=op.f("fk_sfa_stage_change_actor_id_app_user"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["from_stage_id"],
            ["sfa_stage.id"],
            name=op.f("fk_sfa_stage_change_from_stage_id_sfa_stage"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["opportunity_id"],
            ["sfa_opportunity.id"],
            name=op.f("fk_sfa_stage_change_opportunity_id_sfa_opportunity"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["to_stage_id"],
            ["sfa_stage.id"],
            name=op.f("fk_sfa_stage_change_to_stage_id_sfa_stage"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sfa_stage_change")),
    )
    with op.batch_alter_table("sfa_stage_change", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_sfa_stage_change_opportunity_id_id"), ["opportunity_id", "id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_sfa_stage_change_to_stage_id"), ["to_stage_id"], unique=False)


def downgrade() -> None:
    """Change it back."""
    with op.batch_alter_table("sfa_stage_change", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_sfa_stage_change_to_stage_id"))
        batch_op.drop_index(batch_op.f("ix_sfa_stage_change_opportunity_id_id"))

    op.drop_table("sfa_stage_change")
    with op.batch_alter_table("sfa_opportunity", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_sfa_opportunity_team_id"))
        batch_op.drop_index(batch_op.f("ix_sfa_opportunity_status_close_date_id"))
        batch_op.drop_index(batch_op.f("ix_sfa_opportunity_stage_id"))
        batch_op.drop_index(batch_op.f("ix_sfa_opportunity_sale_id"))
        batch_op.drop_index(batch_op.f("ix_sfa_opportunity_product_id"))
        batch_op.drop_index(batch_op.f("ix_sfa_opportunity_pipeline_id_stage_id_id"))
        batch_op.drop_index(batch_op.f("ix_sfa_opportunity_owner_id"))
        batch_op.drop_index(batch_op.f("ix_sfa_opportunity_name_id"))
        batch_op.drop_index(batch_op.f("ix_sfa_opportunity_customer_id_status_id"))
        batch_op.drop_index(batch_op.f("ix_sfa_opportunity_created_at_id"))
        batch_op.drop_index(batch_op.f("ix_sfa_opportunity_close_date_id"))
        batch_op.drop_index(batch_op.f("ix_sfa_opportunity_amount_id"))

    op.drop_table("sfa_opportunity")
    with op.batch_alter_table("sfa_stage", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_sfa_stage_pipeline_id_position_id"))

    op.drop_table("sfa_stage")
    with op.batch_alter_table("sfa_pipeline", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_sfa_pipeline_default", sqlite_where=sa.text("is_default = 1"), postgresql_where=sa.text("is_default")
        )

    op.drop_table("sfa_pipeline")
