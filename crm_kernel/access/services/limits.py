"""Nobody gives what he does not have, and nobody changes the account of somebody who may do more than he.

Whoever may change roles would otherwise make himself administrator in two steps, and whoever may set passwords, or change
addresses, would log in as one. The system itself holds everything, so commands are not limited.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.access.actor import Actor, Scope, matches
from crm_kernel.access.field_access import HIDDEN, opens
from crm_kernel.access.grants import Reach, read_reach
from crm_kernel.access.models import AppUser, FieldRule, Role, RolePermission, UserRole
from crm_kernel.errors import Forbidden

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


def covers(actor: Actor, permission: str, scope: Scope) -> bool:
    """Say whether an actor himself holds a permission, or all that a pattern stands for, at least that far.

    A pattern also stands for the permissions of modules to come: only a pattern that contains it covers it.
    """
    if "*" not in permission:
        held = actor.scope_of(permission)
        return held is not None and held >= scope
    limits = actor.token_scopes
    if limits is not None and not any(matches(limit, permission) for limit in limits):
        return False
    return any(reach >= scope and matches(pattern, permission) for pattern, reach in actor.grants.items())


def refuse_beyond(actor: Actor, grants: Mapping[str, Scope]) -> None:
    """Refuse to hand on grants that the actor does not hold himself.

    Raises:
        Forbidden: naming them.
    """
    beyond = sorted(permission for permission, scope in grants.items() if not covers(actor, permission, scope))
    if beyond:
        message = _("%(who)s cannot give what he does not have: %(permissions)s.")
        raise Forbidden(message % {"who": actor.name, "permissions": ", ".join(beyond)})


def refuse_taking(actor: Actor, permission: str, scope: Scope) -> None:
    """Refuse to take from a role, or to narrow, a grant that the actor does not hold himself.

    Raises:
        Forbidden: naming it.
    """
    if not covers(actor, permission, scope):
        message = _("%(who)s cannot take what he does not have: %(permissions)s.")
        raise Forbidden(message % {"who": actor.name, "permissions": permission})


def refuse_taking_fields(uow: UnitOfWork, role: Role) -> None:
    """Refuse to take fields from a role that grants more than the actor holds himself; one query.

    Raises:
        Forbidden: naming what.
    """
    for permission, scope in _grants_of(uow, role).items():
        refuse_taking(uow.actor, permission, scope)


def refuse_beyond_role(uow: UnitOfWork, role: Role, *, team_id: int | None = None) -> None:
    """Refuse to hand on a role with grants, or with fields, that the actor does not have himself; two queries at most.

    Args:
        team_id: the team of whoever gets it.

    Raises:
        Forbidden: naming them.
    """
    grants = _grants_of(uow, role)
    refuse_beyond(uow.actor, grants)
    refuse_beyond_team(uow.actor, grants, team_id)
    refuse_beyond_fields(uow, role, grants)


def refuse_beyond_team(actor: Actor, grants: Mapping[str, Scope], team_id: int | None) -> None:
    """Refuse to let grants at ``team`` reach a team that the actor does not reach himself. No query.

    Raises:
        Forbidden: he reaches neither the team nor all records.
    """
    if team_id is None or team_id in actor.team_ids:
        return
    if any(scope is Scope.TEAM and not covers(actor, name, Scope.ALL) for name, scope in grants.items()):
        raise Forbidden(_("%(who)s cannot give the reach of a team that he does not reach himself.", who=actor.name))


def refuse_over(uow: UnitOfWork, user: AppUser) -> None:
    """Refuse to act on the account of somebody who may do, or see, what the actor may not; his own is his. One query.

    Records of the user count as well: who reaches his team's only does not become the owner of another team's.

    Raises:
        Forbidden: the user's roles reach further than the actor's.
    """
    actor = uow.actor
    if actor.kind == "user" and actor.user_id == user.id:
        return
    reach = read_reach(uow.session, user.id)
    over = any(not covers(actor, name, _needed(actor, reach, scope)) for name, scope in reach.grants.items())
    if over or _sees_more(actor, reach):
        message = _("%(name)s may do what %(who)s may not: only somebody who may do as much changes this account.")
        raise Forbidden(message % {"name": user.name, "who": actor.name})


def refuse_over_each(uow: UnitOfWork, users: sa.Select[int]) -> None:
    """Do the same for many, given as a query for their keys; one query, and one for each team and set of roles among them.

    Raises:
        Forbidden: naming one whose roles reach further than the actor's.
    """
    if covers(uow.actor, "*", Scope.ALL) and not uow.actor.field_rules:
        return
    held = sa.select(AppUser.id, AppUser.team_id, UserRole.role_id).outerjoin(UserRole, UserRole.user_id == AppUser.id)
    roles: dict[tuple[int, int | None], set[int]] = {}
    for user_id, team_id, role_id in uow.session.execute(held.where(AppUser.id.in_(users)).order_by(AppUser.id)):
        roles.setdefault((user_id, team_id), set()).add(role_id)
    if uow.actor.kind == "user":
        roles = {who: found for who, found in roles.items() if who[0] != uow.actor.user_id}
    # Who is of the same team and has the same roles may do the same: one of them answers for all.
    alike = {(team_id, frozenset(found)): user_id for (user_id, team_id), found in roles.items()}
    for user_id in alike.values():
        refuse_over(uow, uow.session.get_one(AppUser, user_id))


def refuse_beyond_fields(uow: UnitOfWork, role: Role, grants: Mapping[str, Scope]) -> None:
    """Refuse grants that open a field by a role whose rules leave more of it than the actor has; no query without rules.

    Of several roles the most open counts: whoever holds such a role beside his own would see what these hide.

    Raises:
        Forbidden: naming the fields.
    """
    if not uow.actor.field_rules:
        return
    rules = sa.select(FieldRule.record_type, FieldRule.field, FieldRule.access).where(FieldRule.role_id == role.id)
    left = {(record_type, field): access for record_type, field, access in uow.session.execute(rules)}
    beyond = sorted(
        f"{record_type}.{field}"
        for record_type, own in uow.actor.field_rules.items()
        for field, access in own.items()
        if opens(grants, record_type, left.get((record_type, field)), hidden=access == HIDDEN)
    )
    if beyond:
        message = _("%(who)s cannot give what he does not have: %(permissions)s.")
        raise Forbidden(message % {"who": uow.actor.name, "permissions": ", ".join(beyond)})


def limit_on_user(uow: UnitOfWork, _verb: str, user: AppUser) -> None:
    """Refuse what every service that changes a user refuses: the ``limit`` of the record type.

    Raises:
        Forbidden: the user's roles reach further than the actor's.
    """
    refuse_over(uow, user)


def limit_on_role(uow: UnitOfWork, verb: str, role: Role) -> None:
    """Refuse what the services that change a role refuse; single grants go by what is granted, so of them nothing is said.

    Raises:
        Forbidden: the role gives more than the actor has himself.
    """
    if verb in ("update", "delete"):
        refuse_beyond_role(uow, role)
    elif verb == "restrict_field":
        refuse_taking_fields(uow, role)


def _grants_of(uow: UnitOfWork, role: Role) -> dict[str, Scope]:
    query = sa.select(RolePermission.permission, RolePermission.scope).where(RolePermission.role_id == role.id)
    return {permission: Scope(scope) for permission, scope in uow.session.execute(query)}


def _needed(actor: Actor, reach: Reach, scope: Scope) -> Scope:
    """Return how far an actor must reach himself to reach every record that a scope gives somebody else."""
    if scope is not Scope.ALL and reach.team_ids and set(reach.team_ids) <= set(actor.team_ids):
        return Scope.TEAM
    return Scope.ALL


def _sees_more(actor: Actor, reach: Reach) -> bool:
    """Say whether somebody sees, or writes, a field that is hidden from the actor, or locked."""
    return any(
        opens(reach.grants, record_type, reach.field_rules.get(record_type, {}).get(field), hidden=access == HIDDEN)
        for record_type, own in actor.field_rules.items()
        for field, access in own.items()
    )
