"""Keep import runs and mappings."""

revision = "20261122_0310"
down_revision = "20261122_0309"
branch_labels = None
depends_on = None
needs_kernel = None


def upgrade() -> None:
    """Change the schema."""


def downgrade() -> None:
    """Change it back."""
