"""Teams and their tree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.access.models import AppUser, Team
from crm_kernel.access.services.checks import Errors, checked_name, known_only, refuse_taken
from crm_kernel.access.services.limits import refuse_beyond_team
from crm_kernel.errors import Conflict

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


def create_team(uow: UnitOfWork, *, name: str, parent_id: int | None = None) -> Team:
    """Create a team, flushed.

    Raises:
        InvalidInput: the name is empty or taken, or there is no such parent.
    """
    errors = Errors()
    team = Team(name=_checked_name(uow, errors, name), parent_id=_checked_parent(uow, errors, parent_id))
    errors.refuse()
    uow.session.add(team)
    uow.session.flush()
    return team


def update_team(uow: UnitOfWork, team: Team, changes: Mapping[str, Any]) -> None:
    """Change a team's name or parent.

    Raises:
        InvalidInput: a field is unknown or wrong, or the team would come to stand below itself.
        Forbidden: it would come to stand below the actor's own, and he does not reach it himself.
    """
    known_only(changes, frozenset({"name", "parent_id"}))
    errors, clean = Errors(), dict(changes)
    if "name" in changes:
        clean["name"] = _checked_name(uow, errors, changes["name"], besides=team.id)
    if "parent_id" in changes:
        _checked_parent(uow, errors, changes["parent_id"])
        if changes["parent_id"] in descendants_of(uow, team.id):
            errors.add("parent", _("A team cannot stand below itself."))
        if changes["parent_id"] in uow.actor.team_ids:
            refuse_beyond_team(uow.actor, uow.actor.grants, team.id)
    errors.refuse()
    for attribute, value in clean.items():
        setattr(team, attribute, value)
    uow.session.flush()


def delete_team(uow: UnitOfWork, team: Team) -> None:
    """Delete a team that nobody belongs to; records of the team keep their owner and lose the team.

    Raises:
        Conflict: it still has members or teams below it.
    """
    members = sa.select(sa.func.count()).select_from(AppUser).where(AppUser.team_id == team.id)
    below = sa.select(sa.func.count()).select_from(Team).where(Team.parent_id == team.id)
    people, teams = uow.session.execute(sa.select(members.scalar_subquery(), below.scalar_subquery())).one()
    if people or teams:
        text = _(
            "%(name)s still has %(people)s members and %(teams)s teams below it.",
            name=team.name,
            people=people,
            teams=teams,
        )
        raise Conflict(text)
    uow.session.delete(team)
    uow.session.flush()


def descendants_of(uow: UnitOfWork, team_id: int) -> set[int]:
    """Return the keys of a team and all below it; one query."""
    tree = sa.select(Team.id).where(Team.id == team_id).cte("tree", recursive=True)
    tree = tree.union(sa.select(Team.id).join(tree, Team.parent_id == tree.c.id))
    return set(uow.session.execute(sa.select(tree.c.id)).scalars())


def _checked_name(uow: UnitOfWork, errors: Errors, name: str, *, besides: int = 0) -> str:
    found = checked_name(errors, name, longest=120)
    message = _("There is a team %(name)s already.", name=found)
    refuse_taken(uow, errors, Team.name, found, message=message, besides=besides)
    return found


def _checked_parent(uow: UnitOfWork, errors: Errors, parent_id: int | None) -> int | None:
    if parent_id is not None and uow.session.get(Team, parent_id) is None:
        errors.add("parent", _("There is no such team."))
    return parent_id
