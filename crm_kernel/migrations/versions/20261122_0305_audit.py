"""Seal the audit log."""

revision = "20261122_0305"
down_revision = "20261122_0304"
branch_labels = None
depends_on = None
needs_kernel = None


def upgrade() -> None:
    """Change the schema."""


def downgrade() -> None:
    """Change it back."""
