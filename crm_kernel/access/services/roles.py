"""Roles, what they grant, and who holds them; the four roles that every instance starts with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask import current_app
from flask_babel import gettext as _

from crm_kernel._internal.runtime import EXTENSION
from crm_kernel.access.actor import Scope, matches
from crm_kernel.access.models import AppUser, Role, RolePermission, UserRole
from crm_kernel.access.oidc.role_lines import refuse_named
from crm_kernel.access.services.checks import Errors, checked_name, known_only, refuse_taken
from crm_kernel.access.services.limits import (
    refuse_beyond,
    refuse_beyond_fields,
    refuse_beyond_role,
    refuse_over,
    refuse_taking,
)
from crm_kernel.errors import N_, Conflict, InvalidInput, NotFound

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

ADMINISTRATOR = "administrator"

#: The roles an instance starts with: name → (description, grants). A narrow ``*`` never makes an administrator: on
#: types without an owner it allows reading only (``grants.effective_grants``). Customers are the company's: everybody
#: reads them all, a representative changes those of his team, a manager all, so that somebody can give a customer that
#: nobody looks after to somebody. What happened with a customer is written by whoever was there.
BUILTIN: Mapping[str, tuple[str, Mapping[str, Scope]]] = {
    ADMINISTRATOR: (N_("May do everything."), {"*": Scope.ALL}),
    "manager": (
        N_("Everything of the own team and those below it; all customers."),
        {
            "*": Scope.TEAM,
            "customer.read": Scope.ALL,
            "customer.create": Scope.ALL,
            "customer.update": Scope.ALL,
            "customer.merge": Scope.ALL,
            "customer.export": Scope.ALL,
            "interaction.*": Scope.ALL,
            "relationship.*": Scope.ALL,
            "consent.create": Scope.ALL,
            "consent.export": Scope.ALL,
        },
    ),
    "representative": (
        N_("The own records; reads all customers and changes those of the team."),
        {
            "*": Scope.OWN,
            "customer.read": Scope.ALL,
            "customer.create": Scope.ALL,
            "customer.update": Scope.TEAM,
            "customer.merge": Scope.TEAM,
            "interaction.read": Scope.ALL,
            "interaction.create": Scope.ALL,
            "relationship.read": Scope.ALL,
            "relationship.create": Scope.ALL,
            "relationship.update": Scope.ALL,
            "consent.create": Scope.ALL,
        },
    ),
    "reader": (N_("Reads everything and changes nothing."), {"*.read": Scope.ALL}),
}

#: What the four say of themselves, stored in English and shown in the reader's language.
BUILTIN_DESCRIPTIONS = frozenset(description for description, _grants in BUILTIN.values())

#: A permission or a pattern of permissions.
PATTERN = re.compile(r"(\*|[a-z][a-z0-9_]*)(\.(\*|[a-z][a-z0-9_]*))*\Z")


def ensure_builtin_roles(uow: UnitOfWork) -> list[Role]:
    """Create those of the four built-in roles that are missing; roles that exist keep the grants they have."""
    known = set(uow.session.execute(sa.select(Role.name)).scalars())
    return [_create_builtin(uow, name, *what) for name, what in BUILTIN.items() if name not in known]


def create_role(uow: UnitOfWork, *, name: str, description: str = "", second_factor: bool = False) -> Role:
    """Create a role that grants nothing yet, flushed.

    Raises:
        InvalidInput: the name is empty, too long or taken.
    """
    errors = Errors()
    clean = _checked_name(uow, errors, name)
    role = Role(name=clean, description=description.strip()[:255], second_factor=second_factor)
    errors.refuse()
    uow.session.add(role)
    uow.session.flush()
    return role


def update_role(uow: UnitOfWork, role: Role, changes: Mapping[str, Any]) -> None:
    """Change a role's name or description, or whether it asks for a second factor.

    Raises:
        InvalidInput: a field is unknown or wrong.
        Conflict: a built-in role is to be renamed, or one that a log-in provider names.
        Forbidden: the role gives more than the actor has himself.
    """
    known_only(changes, frozenset({"name", "description", "second_factor"}))
    refuse_beyond_role(uow, role)
    if role.builtin and changes.get("name", role.name) != role.name:
        raise Conflict(_("%(name)s is built in and keeps its name.", name=role.name))
    errors, clean = Errors(), dict(changes)
    if "name" in changes:
        clean["name"] = _checked_name(uow, errors, changes["name"], besides=role.id)
        if clean["name"] != role.name:
            refuse_named(uow, role)
    if "description" in changes:
        clean["description"] = changes["description"].strip()[:255]
    errors.refuse()
    for attribute, value in clean.items():
        setattr(role, attribute, value)
    uow.session.flush()


def delete_role(uow: UnitOfWork, role: Role) -> None:
    """Delete a role that nobody holds.

    Raises:
        Conflict: it is built in, somebody holds it, or a log-in provider names it.
        Forbidden: the role gives more than the actor has himself.
    """
    refuse_beyond_role(uow, role)
    if role.builtin:
        raise Conflict(_("%(name)s is built in and cannot be deleted.", name=role.name))
    holders = sa.select(sa.func.count()).select_from(UserRole).where(UserRole.role_id == role.id)
    number = uow.session.execute(holders).scalar_one()
    if number:
        raise Conflict(
            _("%(number)s users hold the role %(name)s: take it from them first.", number=number, name=role.name)
        )
    refuse_named(uow, role)
    uow.session.delete(role)
    uow.session.flush()


def grant(uow: UnitOfWork, role: Role, permission: str, scope: Scope = Scope.ALL) -> None:
    """Let a role's holders use a permission or pattern as far as ``scope``, in place of what it said before.

    Raises:
        InvalidInput: malformed, or no permission of the loaded modules; names ``permission``.
        Forbidden: the actor does not reach that far himself, or not as far as the role did; or it would open a field that
            his own roles restrict.
        Conflict: it would narrow what administrators may do.
    """
    _refuse_unknown(permission)
    refuse_beyond(uow.actor, {permission: scope})
    refuse_beyond_fields(uow, role, {permission: scope})
    _keep_everything(role, permission, scope)
    found = _grant_of(uow, role, permission)
    if found is None:
        uow.session.add(RolePermission(role_id=role.id, permission=permission, scope=int(scope)))
    else:
        refuse_taking(uow.actor, permission, Scope(found.scope))
        found.scope = int(scope)
    uow.session.flush()


def revoke(uow: UnitOfWork, role: Role, permission: str) -> None:
    """Take a permission or pattern from a role; holds from the next request on.

    Raises:
        NotFound: the role has no such grant (it may have it through a wider pattern).
        Conflict: it would narrow what administrators may do.
        Forbidden: the actor does not reach that far himself.
    """
    _keep_everything(role, permission, None)
    found = _grant_of(uow, role, permission)
    if found is None:
        raise NotFound(_("The role %(role)s has no grant %(permission)s.", role=role.name, permission=permission))
    refuse_taking(uow.actor, permission, Scope(found.scope))
    uow.session.delete(found)
    uow.session.flush()


def assign_role(uow: UnitOfWork, user: AppUser, role: Role) -> None:
    """Give a user a role and end his sessions; nothing happens if he has it.

    Raises:
        Forbidden: the role gives more than the actor has himself, or the user may do what he may not.
    """
    if _holding_of(uow, user, role) is None:
        refuse_over(uow, user)
        refuse_beyond_role(uow, role, team_id=user.team_id)
        uow.session.add(UserRole(user_id=user.id, role_id=role.id))
        user.session_epoch = (user.session_epoch or 0) + 1
        uow.session.flush()


def unassign_role(uow: UnitOfWork, user: AppUser, role: Role) -> None:
    """Take a role from a user and end his sessions.

    Raises:
        NotFound: he does not hold it.
        Conflict: he is the last active administrator.
        Forbidden: he may do what the actor may not.
    """
    refuse_over(uow, user)
    held = _holding_of(uow, user, role)
    if held is None:
        raise NotFound(_("%(user)s does not hold the role %(role)s.", user=user.name, role=role.name))
    if role.name == ADMINISTRATOR and user.active:
        keep_one_administrator(uow, user)
    uow.session.delete(held)
    user.session_epoch += 1
    uow.session.flush()


def keep_one_administrator(uow: UnitOfWork, leaving: AppUser) -> None:
    """Refuse to lose the last active administrator; two queries.

    Raises:
        Conflict: the user is the only one.
    """
    # Two who go at once each saw the other still there; whoever comes second waits here and counts again.
    lock_administrators(uow)
    if set(uow.session.execute(administrators()).scalars()) == {leaving.id}:
        raise Conflict(_("%(name)s is the last active administrator: make somebody else one first.", name=leaving.name))


def lock_administrators(uow: UnitOfWork) -> None:
    """Let whoever may be about to shut out the last administrator go one by one, until the commit; one query."""
    uow.session.execute(sa.select(Role.id).where(Role.name == ADMINISTRATOR).with_for_update(key_share=True))


def administrators() -> sa.Select[int]:
    """Return the query for the keys of the active administrators."""
    held = sa.select(UserRole.user_id).join(Role, Role.id == UserRole.role_id).where(Role.name == ADMINISTRATOR)
    return sa.select(AppUser.id).where(AppUser.active, AppUser.id.in_(held))


def role_named(uow: UnitOfWork, name: str) -> Role:
    """Return a role by name; one query.

    Raises:
        NotFound: there is none; the text lists those there are.
    """
    found = uow.session.execute(sa.select(Role).where(Role.name == name)).scalar_one_or_none()
    if found is None:
        known = ", ".join(uow.session.execute(sa.select(Role.name).order_by(Role.name)).scalars())
        raise NotFound(_("There is no role %(name)s; known: %(known)s.", name=name, known=known or _("none")))
    return found


def _keep_everything(role: Role, permission: str, scope: Scope | None) -> None:
    """Refuse to take ``*`` from administrators: nobody could give it back."""
    if role.name == ADMINISTRATOR and permission == "*" and scope is not Scope.ALL:
        raise Conflict(_("The role %(role)s keeps “*” at all: nobody could give it back.", role=role.name))


def _create_builtin(uow: UnitOfWork, name: str, description: str, grants: Mapping[str, Scope]) -> Role:
    role = Role(name=name, description=description, builtin=True)
    uow.session.add(role)
    uow.session.flush()
    for permission, scope in grants.items():
        uow.session.add(RolePermission(role_id=role.id, permission=permission, scope=int(scope)))
    uow.session.flush()
    return role


def _grant_of(uow: UnitOfWork, role: Role, permission: str) -> RolePermission | None:
    wanted = sa.select(RolePermission).where(RolePermission.role_id == role.id, RolePermission.permission == permission)
    return uow.session.execute(wanted).scalar_one_or_none()


def _holding_of(uow: UnitOfWork, user: AppUser, role: Role) -> UserRole | None:
    wanted = sa.select(UserRole).where(UserRole.user_id == user.id, UserRole.role_id == role.id)
    return uow.session.execute(wanted).scalar_one_or_none()


def _refuse_unknown(permission: str) -> None:
    if not PATTERN.match(permission):
        message = _(
            "Found %(found)s, expected a permission such as customer.read, sfa.*, *.read or *.", found=permission
        )
        raise InvalidInput({"permission": [message]})
    runtime = current_app.extensions.get(EXTENSION)
    known = runtime.registry.permissions() if runtime else {}
    if permission != "*" and known and not any(matches(permission, name) for name in known):
        message = _("%(found)s covers no permission of the loaded modules.", found=permission)
        raise InvalidInput({"permission": [message]})


def _checked_name(uow: UnitOfWork, errors: Errors, name: str, *, besides: int = 0) -> str:
    found = checked_name(errors, name, longest=80)
    message = _("There is a role %(name)s already.", name=found)
    refuse_taken(uow, errors, Role.name, found, message=message, besides=besides)
    return found
