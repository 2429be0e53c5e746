"""Keep dated rates."""

revision = "20261122_0314"
down_revision = "20261122_0313"
branch_labels = None
depends_on = None
needs_kernel = None


def upgrade() -> None:
    """Change the schema."""


def downgrade() -> None:
    """Change it back."""
