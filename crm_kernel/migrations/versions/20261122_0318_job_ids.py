"""Give jobs a public id, and say whose they are."""

import sqlalchemy as sa
from alembic import op

from crm_kernel import database

revision = "20261122_0318"
down_revision = "20261122_0317"
branch_labels = None
depends_on = None
needs_kernel = None

_OWNED = {"sqlite_where": sa.text("user_id IS NOT NULL"), "postgresql_where": sa.text("user_id IS NOT NULL")}

_FILL = {
    "postgresql": "UPDATE job SET uid = gen_random_uuid()",
    "sqlite": "UPDATE job SET uid = randomblob(16)",
}


def upgrade() -> None:
    """Change the schema."""
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.add_column(sa.Column("uid", database.Uid(), nullable=True))
        batch_op.add_column(sa.Column("user_id", database.Key, nullable=True))
    # By the database itself: there may be millions of jobs. Random ones, because what is old is listed by its key.
    op.execute(_FILL[op.get_bind().dialect.name])
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.alter_column("uid", existing_type=database.Uid(), nullable=False)
        batch_op.create_unique_constraint(op.f("uq_job_uid"), ["uid"])
        batch_op.create_foreign_key(
            op.f("fk_job_user_id_app_user"), "app_user", ["user_id"], ["id"], ondelete="SET NULL"
        )
    op.create_index("ix_job_user_id", "job", ["user_id", "id"], **_OWNED)


def downgrade() -> None:
    """Change it back."""
    op.drop_index("ix_job_user_id", table_name="job", **_OWNED)
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.drop_constraint(op.f("fk_job_user_id_app_user"), type_="foreignkey")
        batch_op.drop_constraint(op.f("uq_job_uid"), type_="unique")
        batch_op.drop_column("user_id")
        batch_op.drop_column("uid")
