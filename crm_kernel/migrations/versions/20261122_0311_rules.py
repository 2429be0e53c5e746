"""Keep automation rules and their runs."""

revision = "20261122_0311"
down_revision = "20261122_0310"
branch_labels = None
depends_on = None
needs_kernel = None


def upgrade() -> None:
    """Change the schema."""


def downgrade() -> None:
    """Change it back."""
