"""What changes users, teams, roles and tokens. Edges authorise before they call; these check everything else."""

from crm_kernel.access.services.roles import (
    assign_role,
    create_role,
    delete_role,
    ensure_builtin_roles,
    grant,
    revoke,
    role_named,
    unassign_role,
    update_role,
)
from crm_kernel.access.services.teams import create_team, delete_team, update_team
from crm_kernel.access.services.tokens import NewToken, create_token, revoke_token
from crm_kernel.access.services.users import (
    activate_user,
    create_user,
    deactivate_user,
    end_sessions,
    set_password,
    update_user,
    user_by_email,
)

__all__ = [
    "NewToken",
    "activate_user",
    "assign_role",
    "create_role",
    "create_team",
    "create_token",
    "create_user",
    "deactivate_user",
    "delete_role",
    "delete_team",
    "end_sessions",
    "ensure_builtin_roles",
    "grant",
    "revoke",
    "revoke_token",
    "role_named",
    "set_password",
    "unassign_role",
    "update_role",
    "update_team",
    "update_user",
    "user_by_email",
]
