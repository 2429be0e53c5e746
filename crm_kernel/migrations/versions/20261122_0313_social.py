"""Keep notes, notifications, attachments and tags."""

revision = "20261122_0313"
down_revision = "20261122_0312"
branch_labels = None
depends_on = None
needs_kernel = None


def upgrade() -> None:
    """Change the schema."""


def downgrade() -> None:
    """Change it back."""
