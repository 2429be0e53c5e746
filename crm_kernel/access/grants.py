"""What a user may do and which teams he reaches: read from his roles, kept per process until anybody's access changes.

Every change of a user's team, a role, a grant or the team tree writes a new access generation in the same transaction;
every request reads the generation together with the user, so a revocation holds from the next request on, in every
process, and an unchanged base costs no second query.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.dialects import postgresql, sqlite

from crm_kernel._internal.modules import SettingRow
from crm_kernel._internal.runtime import EXTENSION
from crm_kernel.access.actor import Grants, Scope, matches
from crm_kernel.access.field_access import FieldRules, combined
from crm_kernel.access.models import AppUser, FieldRule, Role, RolePermission, Team, UserRole

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from crm_kernel._internal.registry import Registry

#: Row of ``setting`` that holds the access generation: a random text, new with every change.
GENERATION = "access.generation"
#: Users kept per process; beyond it the memory starts anew.
_LIMIT = 10_000

#: Marks, in place of a record type, the rows of roles that ask for a second factor.
_SECOND_FACTOR = "*"

#: The access generation as a subquery for the statement that finds the user.
generation_column = (
    sa.select(SettingRow.value).where(SettingRow.name == GENERATION).scalar_subquery().label("access_generation")
)


@dataclass(frozen=True, slots=True)
class Reach:
    """A user's grants (pattern → scope) and teams: his own first, then those below it."""

    grants: Mapping[str, Scope]
    team_ids: tuple[int, ...]
    #: Record type → field → what the roles leave of it.
    field_rules: FieldRules = field(default_factory=dict)
    #: Whether a role of his asks for a second factor.
    second_factor: bool = False


@dataclass(slots=True)
class ReachCache:
    """The reaches of one generation; one per application."""

    _held: tuple[str, dict[int, Reach]] = ("", {})

    def get(self, session: Session, generation: Any, user_id: int) -> Reach:
        """Return a user's reach: from memory if the generation is the one held, else by one query."""
        key = generation.get("id", "") if isinstance(generation, Mapping) else ""
        held_key, reaches = self._held
        if held_key != key or len(reaches) > _LIMIT:
            reaches = {}
            self._held = (key, reaches)
        # Without a generation nothing tells when to forget.
        found = reaches.get(user_id) if key else None
        if found is None:
            found = reaches[user_id] = read_reach(session, user_id)
        return found


def read_reach(session: Session, user_id: int) -> Reach:
    """Return what a user's roles and team give; one query."""
    grants: dict[str, Scope] = {}
    teams: list[int] = []
    by_role: dict[int, dict[str, Scope]] = {}
    rules: dict[int, dict[tuple[str, str], str]] = {}
    second_factor = False
    for pattern, scope, team_id, role_id, record_type, name in session.execute(_REACH, {"user_id": user_id}):
        if record_type == _SECOND_FACTOR:
            second_factor = True
        elif record_type is not None:
            rules.setdefault(role_id, {})[record_type, name] = pattern
        elif pattern is None:
            teams.append(team_id)
        else:
            grants[pattern] = max(Scope(scope), grants.get(pattern, Scope.OWN))
            by_role.setdefault(role_id, {})[pattern] = Scope(scope)
    # Ordered by depth, hence the user's own team comes first; a cycle would repeat some.
    return Reach(
        Grants(_effective(grants)),
        tuple(dict.fromkeys(teams)),
        combined(rules, by_role) if rules else {},
        second_factor,
    )


def effective_grants(grants: Mapping[str, Scope], registry: Registry) -> dict[str, Scope]:
    """Return grants as they really reach, narrow wildcards spelt out.

    OWN and TEAM speak of records with an owner, or with an author (touch points), who then changes what he wrote. On a
    type without either (products, pipelines, users) such a grant allows reading only, and a permission of no record type
    needs ALL (unless what it opens limits itself): otherwise ``*`` at OWN would make everybody an admin.
    """
    wide = {pattern: scope for pattern, scope in grants.items() if scope is Scope.ALL}
    narrow = {pattern: scope for pattern, scope in grants.items() if scope is not Scope.ALL}
    found: dict[str, Scope] = dict(wide)
    for record_type in registry.all("record_types") if narrow else ():
        for permission in map(record_type.permission, record_type.granted):
            scope = max((s for pattern, s in narrow.items() if matches(pattern, permission)), default=None)
            reads = permission.endswith(".read")
            if scope is not None and (record_type.owned or (record_type.author and not reads)):
                found[permission] = max(scope, found.get(permission, scope))
            elif scope is not None and reads:
                found[permission] = Scope.ALL
    for listed in registry.all("permissions") if narrow else ():
        if listed.limits_itself and any(matches(pattern, listed.name) for pattern in narrow):
            found[listed.name] = Scope.ALL
    return found


def raise_generation(session: Session) -> None:
    """Make every process forget the reaches it holds, from this transaction's commit on.

    Called by itself when the session flushes a change of users, teams, roles or grants; bulk statements call it.
    """
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    value = {"id": uuid4().hex}
    statement = insert(SettingRow).values(name=GENERATION, value=value)
    session.connection().execute(statement.on_conflict_do_update(index_elements=["name"], set_={"value": value}))


def watch_access(session: Session, _context: Any = None) -> None:
    """Raise the generation when a flush changed who may do what; attached to the session's ``after_flush``."""
    if any(_changes_access(session, found) for part in (session.new, session.dirty, session.deleted) for found in part):
        raise_generation(session)


def _changes_access(session: Session, found: Any) -> bool:
    if isinstance(found, AppUser):
        return found in session.new or sa.inspect(found).attrs.team_id.history.has_changes()
    return isinstance(found, Team | Role | UserRole | RolePermission | FieldRule)


def _effective(grants: Mapping[str, Scope]) -> Mapping[str, Scope]:
    runtime = current_app.extensions.get(EXTENSION)
    return effective_grants(grants, runtime.registry) if runtime else dict(grants)


def _reach_statement() -> sa.CompoundSelect[Any]:
    user_id = sa.bindparam("user_id", type_=AppUser.id.type)
    own = sa.select(AppUser.team_id.label("id"), sa.literal(0).label("depth")).where(AppUser.id == user_id)
    below = own.where(AppUser.team_id.is_not(None)).cte("reach", recursive=True)
    # The depth only bounds a cycle that a hand-made UPDATE may have left; the service refuses one.
    below = below.union(
        sa.select(Team.id, below.c.depth + 1).join(below, Team.parent_id == below.c.id).where(below.c.depth < 50)
    )
    nothing = (sa.literal(0).label("role_id"), sa.null().label("record_type"), sa.null().label("field"))
    teams = sa.select(
        sa.null().label("permission"), below.c.depth.label("scope"), below.c.id.label("team_id"), *nothing
    )
    held = UserRole.user_id == user_id
    grants = (
        sa.select(
            RolePermission.permission,
            RolePermission.scope,
            sa.literal(0).label("team_id"),
            UserRole.role_id,
            *nothing[1:],
        )
        .join(UserRole, UserRole.role_id == RolePermission.role_id)
        .where(held)
    )
    rules = (
        sa.select(
            FieldRule.access, sa.literal(0), sa.literal(0), UserRole.role_id, FieldRule.record_type, FieldRule.field
        )
        .join(UserRole, UserRole.role_id == FieldRule.role_id)
        .where(held)
    )
    factor = (
        sa.select(
            sa.literal(""), sa.literal(0), sa.literal(0), UserRole.role_id, sa.literal(_SECOND_FACTOR), sa.literal("")
        )
        .join(Role, UserRole.role_id == Role.id)
        .where(held, Role.second_factor)
    )
    both = sa.union_all(grants, rules, factor, teams).subquery()
    return sa.select(both).order_by(both.c.scope, both.c.team_id)  # type: ignore[return-value]


_REACH = _reach_statement()
