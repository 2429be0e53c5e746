<% code = (upgrades or "") + (downgrades or "") %>\
"""${message}."""

% if "sa." in code:
import sqlalchemy as sa
% endif
from alembic import op
% for line in (imports or "").splitlines():
${line}
% endfor
% if "database." in code:

from crm_kernel import database
% endif

revision = "${up_revision}"
down_revision = ${'"%s"' % down_revision if down_revision else None}
branch_labels = ${'("%s",)' % branch_labels[0] if branch_labels else None}
depends_on = None
#: The least revision of the kernel's tables this one needs, checked before the first statement.
needs_kernel = ${'"%s"' % config.attributes["needs_kernel"] if config.attributes["needs_kernel"] else None}


def upgrade() -> None:
    """Change the schema."""
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """Change it back."""
    ${downgrades if downgrades else "pass"}
