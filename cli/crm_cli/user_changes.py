"""What several commands of ``crm users`` share: a change of one user, and how he is shown to a program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crm_cli.common import Instance

if TYPE_CHECKING:
    from collections.abc import Callable

    from crm_kernel.access.models import AppUser
    from crm_kernel.unit_of_work import UnitOfWork


def changed(
    instance: Instance, email: str, change: Callable[[UnitOfWork, AppUser], object], *, dry_run: bool
) -> dict[str, Any]:
    """Do something to the user of an address and return him with his roles."""
    import sqlalchemy as sa

    from crm_kernel.access import services
    from crm_kernel.access.models import Role, UserRole

    with instance.writing(dry_run=dry_run) as uow:
        user = services.user_by_email(uow, email)
        change(uow, user)
        held = sa.select(Role.name).join(UserRole, UserRole.role_id == Role.id).where(UserRole.user_id == user.id)
        found = {**described(user), "roles": list(uow.session.scalars(held.order_by(Role.name)))}
    return found


def described(user: AppUser) -> dict[str, Any]:
    """Return a user as the command line shows him."""
    return {
        "id": user.uid,
        "email": user.email,
        "name": user.name,
        "active": user.active,
        "last_login_at": user.last_login_at,
    }
