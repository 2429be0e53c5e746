"""Keep receipts of erasure, retention rules and preferences."""

revision = "20261122_0307"
down_revision = "20261122_0306"
branch_labels = None
depends_on = None
needs_kernel = None


def upgrade() -> None:
    """Change the schema."""


def downgrade() -> None:
    """Change it back."""
