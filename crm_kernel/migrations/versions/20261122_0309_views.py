"""Keep saved views and bulk runs."""

revision = "20261122_0309"
down_revision = "20261122_0308"
branch_labels = None
depends_on = None
needs_kernel = None


def upgrade() -> None:
    """Change the schema."""


def downgrade() -> None:
    """Change it back."""
