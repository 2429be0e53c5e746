"""Keep candidates of duplicates and what was decided."""

revision = "20261122_0303"
down_revision = "20261122_0302"
branch_labels = None
depends_on = None
needs_kernel = None


def upgrade() -> None:
    """Change the schema."""


def downgrade() -> None:
    """Change it back."""
