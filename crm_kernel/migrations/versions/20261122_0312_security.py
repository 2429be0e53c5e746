"""Keep settings, second factors and sessions."""

revision = "20261122_0312"
down_revision = "20261122_0311"
branch_labels = None
depends_on = None
needs_kernel = None


def upgrade() -> None:
    """Change the schema."""


def downgrade() -> None:
    """Change it back."""
