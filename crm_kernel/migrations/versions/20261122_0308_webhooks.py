"""Keep webhooks and idempotent answers."""

revision = "20261122_0308"
down_revision = "20261122_0307"
branch_labels = None
depends_on = None
needs_kernel = None


def upgrade() -> None:
    """Change the schema."""


def downgrade() -> None:
    """Change it back."""
