"""A change of a role's grants: read from a form, done or rehearsed, and told as who gains and who loses what."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa
from flask import current_app

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access.actor import Grants, Scope
from crm_kernel.access.grants import effective_grants
from crm_kernel.access.models import AppUser, Role, RolePermission, UserRole
from crm_kernel.access.services.roles import grant, revoke
from crm_kernel.unit_of_work import rehearse

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Holders whose rights a preview computes and names.
MOST_HOLDERS = 500


@dataclass(frozen=True, slots=True)
class Effect:
    """What a change means for one permission: names of users who reach further afterwards, or less far."""

    permission: str
    gain: tuple[str, ...]
    lose: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a change of a role would mean for those who hold it."""

    effects: Sequence[Effect]
    #: Users who gain something, who lose something; other roles may give the same already.
    gaining: int
    losing: int
    holders: int


def own_grants(uow: UnitOfWork, role: Role) -> dict[str, Scope]:
    """Return what a role says itself, pattern → scope; one query."""
    query = sa.select(RolePermission.permission, RolePermission.scope).where(RolePermission.role_id == role.id)
    return {name: Scope(scope) for name, scope in uow.session.execute(query.order_by(RolePermission.permission))}


def changes_between(before: Mapping[str, Scope], after: Mapping[str, Scope | None]) -> dict[str, Scope | None]:
    """Return what is to be granted (a scope) or revoked (None) for ``before`` to say ``after``, where that names it."""
    return {name: scope for name, scope in after.items() if before.get(name) != scope}


def apply(uow: UnitOfWork, role: Role, changes: Mapping[str, Scope | None]) -> None:
    """Grant and revoke; each is checked by the service that does it.

    Raises:
        Forbidden, Conflict, InvalidInput: as ``grant`` and ``revoke`` say.
    """
    for permission, scope in changes.items():
        if scope is None:
            revoke(uow, role, permission)
        else:
            grant(uow, role, permission, scope)


def outcome_of(uow: UnitOfWork, role: Role, changes: Mapping[str, Scope | None]) -> Outcome:
    """Rehearse a change and return what its holders would gain and lose; three queries, however many they are.

    Raises:
        Forbidden, Conflict, InvalidInput: as ``grant`` and ``revoke`` say.
    """
    rehearse(uow, lambda: apply(uow, role, changes))
    names = _holders(uow, role)
    held = _roles_of(uow, names)
    before = _grants_of(uow, {role.id, *(one for roles in held.values() for one in roles)})
    own = {**before[role.id], **changes}
    after = {**before, role.id: {name: scope for name, scope in own.items() if scope is not None}}
    # What somebody may do follows from which roles he holds, and most hold the same.
    kinds = {roles: (_reach(before, roles), _reach(after, roles)) for roles in set(held.values())}
    effects = []
    for permission in sorted(runtime_of(current_app).registry.permissions()):
        moved = {roles: _rank(late, permission) - _rank(early, permission) for roles, (early, late) in kinds.items()}
        gain, lose = [k for k in names if moved[held[k]] > 0], [k for k in names if moved[held[k]] < 0]
        if gain or lose:
            effects.append((permission, gain, lose))
    return Outcome(
        [Effect(p, tuple(names[k] for k in gain), tuple(names[k] for k in lose)) for p, gain, lose in effects],
        len({key for _p, gain, _lose in effects for key in gain}),
        len({key for _p, _gain, lose in effects for key in lose}),
        len(names),
    )


def commands_of(role: str, changes: Mapping[str, Scope | None]) -> list[str]:
    """Return the commands that do the same."""
    about = shlex.quote(role)
    return [
        f"crm roles revoke {about} {shlex.quote(permission)}"
        if scope is None
        else f"crm roles grant {about} {shlex.quote(permission)} --scope {scope.name.lower()}"
        for permission, scope in changes.items()
    ]


def _holders(uow: UnitOfWork, role: Role) -> dict[int, str]:
    held = sa.select(AppUser.id, AppUser.name).join(UserRole, UserRole.user_id == AppUser.id)
    rows = uow.session.execute(held.where(UserRole.role_id == role.id).order_by(AppUser.name).limit(MOST_HOLDERS))
    return dict(rows.all())


def _roles_of(uow: UnitOfWork, users: Iterable[int]) -> dict[int, frozenset[int]]:
    found: dict[int, set[int]] = {}
    held = sa.select(UserRole.user_id, UserRole.role_id).where(UserRole.user_id.in_(list(users)))
    for user_id, role_id in uow.session.execute(held):
        found.setdefault(user_id, set()).add(role_id)
    return {user_id: frozenset(roles) for user_id, roles in found.items()}


def _grants_of(uow: UnitOfWork, roles: Iterable[int]) -> dict[int, dict[str, Scope]]:
    found: dict[int, dict[str, Scope]] = {role_id: {} for role_id in roles}
    query = sa.select(RolePermission.role_id, RolePermission.permission, RolePermission.scope)
    for role_id, name, scope in uow.session.execute(query.where(RolePermission.role_id.in_(list(found)))):
        found[role_id][name] = Scope(scope)
    return found


def _reach(grants: Mapping[int, Mapping[str, Scope]], roles: frozenset[int]) -> Grants:
    """Return how far holders of all these roles reach; no query."""
    together: dict[str, Scope] = {}
    for role_id in roles:
        for name, scope in grants[role_id].items():
            together[name] = max(scope, together.get(name, scope))
    return Grants(effective_grants(together, runtime_of(current_app).registry))


def _rank(reach: Grants, permission: str) -> int:
    return int(reach.widest(permission) or 0)
