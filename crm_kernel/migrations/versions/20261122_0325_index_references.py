"""Let every custom field that refers to a record have its index; the upgrade makes those that are missing."""

import sqlalchemy as sa
from alembic import op

revision = "20261122_0325"
down_revision = "20261122_0324"
branch_labels = None
depends_on = None
needs_kernel = None


def upgrade() -> None:
    """Change the rows."""
    fields = sa.table("custom_field", sa.column("kind", sa.String), sa.column("indexed", sa.Boolean))
    op.execute(sa.update(fields).where(fields.c.kind == "reference").values(indexed=True))


def downgrade() -> None:
    """Leave them: an index more changes nothing."""
