"""Keep what merging customers overwrote."""

revision = "20261122_0306"
down_revision = "20261122_0305"
branch_labels = None
depends_on = None
needs_kernel = None


def upgrade() -> None:
    """Change the schema."""


def downgrade() -> None:
    """Change it back."""
