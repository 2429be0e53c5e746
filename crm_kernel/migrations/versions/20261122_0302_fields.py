"""Keep custom fields and rules for single fields."""

revision = "20261122_0302"
down_revision = "20261122_0301"
branch_labels = None
depends_on = None
needs_kernel = None


def upgrade() -> None:
    """Change the schema."""


def downgrade() -> None:
    """Change it back."""
