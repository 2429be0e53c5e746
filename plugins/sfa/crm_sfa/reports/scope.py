"""What a report is about: pipeline, period of closing, teams; read from URL or command line, turned into SQL and links."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.access.models import Team
from crm_kernel.access.policy import visible
from crm_kernel.errors import InvalidInput, NotFound
from crm_kernel.records.plan import record_type
from crm_sfa.opportunities.models import Opportunity
from crm_sfa.opportunities.queries import seen_by
from crm_sfa.pipelines.choices import OPEN
from crm_sfa.pipelines.models import Pipeline

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportScope:
    """The opportunities a report counts. The period is of the day they closed; open ones have not, and all count."""

    pipeline: UUID | None = None
    closed_from: dt.date | None = None
    #: The last day, included.
    closed_to: dt.date | None = None
    #: Key → public id of the teams, none for all.
    teams: Mapping[int, UUID] | None = None

    def links(self) -> dict[str, str | None]:
        """Return the scope, without its period, as filters of the list of opportunities."""
        teams = ",".join(str(uid) for uid in (self.teams or {}).values())
        return {"pipeline": str(self.pipeline) if self.pipeline else None, "team__in": teams or None}

    def closed_links(self) -> dict[str, str | None]:
        """Return the scope with its period as filters of the list of opportunities."""
        return {**self.links(), "close_date__gte": _iso(self.closed_from), "close_date__lte": _iso(self.closed_to)}


def conditions(uow: UnitOfWork, scope: ReportScope) -> list[sa.ColumnElement[bool]]:
    """Return what limits every query of a report, its period aside: visibility, pipeline, teams."""
    found = [seen_by(uow)]
    if scope.pipeline is not None:
        pipeline = sa.select(Pipeline.id).where(Pipeline.uid == scope.pipeline).scalar_subquery()
        found.append(Opportunity.pipeline_id == pipeline)
    if scope.teams is not None:
        found.append(Opportunity.team_id.in_(scope.teams))
    return found


def in_period(scope: ReportScope) -> list[sa.ColumnElement[bool]]:
    """Return what limits closed opportunities to the scope's period."""
    found = []
    if scope.closed_from is not None:
        found.append(Opportunity.close_date >= scope.closed_from)
    if scope.closed_to is not None:
        found.append(Opportunity.close_date <= scope.closed_to)
    return found


def open_or_in_period(scope: ReportScope) -> sa.ColumnElement[bool]:
    """Return the predicate for queries over open and closed opportunities together."""
    return sa.or_(Opportunity.status == OPEN, sa.and_(sa.true(), *in_period(scope)))


def parse_scope(uow: UnitOfWork, arguments: Mapping[str, str], teams: Sequence[Any]) -> ReportScope:
    """Return the scope that URL arguments ``pipeline``, ``from``, ``to`` and ``team`` spell.

    Args:
        teams: what ``visible_teams`` gave; a team stands for itself and those below it.

    Raises:
        InvalidInput: an argument does not fit; every such one is named.
    """
    errors: dict[str, list[str]] = {}
    pipeline = _id(arguments, "pipeline", errors)
    team = _id(arguments, "team", errors)
    start, end = _day(arguments, "from", errors), _day(arguments, "to", errors)
    if start and end and end < start:
        errors["to"] = [_("%(end)s is before the first day, %(start)s.", end=end, start=start)]
    below = _with_descendants(teams, team) if team else None
    if below is not None and not below:
        errors["team"] = [_("There is no such team.")]
    if errors:
        raise InvalidInput(errors)
    return ReportScope(pipeline=pipeline, closed_from=start, closed_to=end, teams=below)


def visible_teams(uow: UnitOfWork) -> Sequence[Any]:
    """Return the teams the actor may see as rows of ``id, uid, name, parent_id``, by name; one query."""
    statement = sa.select(Team.id, Team.uid, Team.name, Team.parent_id).where(visible(uow.actor, record_type("team")))
    return uow.session.execute(statement.order_by(Team.name)).all()


def pipeline_named(uow: UnitOfWork, name: str) -> UUID:
    """Return the public id of the pipeline of a name, letter case aside; one query.

    Raises:
        NotFound: there is none; the text lists those there are.
    """
    found = dict(uow.session.execute(sa.select(Pipeline.name, Pipeline.uid).order_by(Pipeline.position)).all())
    for known, uid in found.items():
        if known.casefold() == name.casefold():
            return uid
    raise NotFound(
        _("There is no pipeline %(name)s; known: %(known)s.", name=repr(name), known=", ".join(found) or "–")
    )


def _with_descendants(teams: Iterable[Any], wanted: UUID) -> dict[int, UUID]:
    known = {team.id: team for team in teams}
    found = {team.id: team.uid for team in known.values() if team.uid == wanted}
    grown = -1
    while grown != len(found):
        grown = len(found)
        found |= {team.id: team.uid for team in known.values() if team.parent_id in found}
    return found


def _id(arguments: Mapping[str, str], name: str, errors: dict[str, list[str]]) -> UUID | None:
    text = arguments.get(name) or None
    try:
        return UUID(text) if text else None
    except ValueError:
        errors[name] = [_("Found %(found)s, expected an id.", found=text)]
        return None


def _day(arguments: Mapping[str, str], name: str, errors: dict[str, list[str]]) -> dt.date | None:
    text = arguments.get(name) or None
    try:
        return dt.date.fromisoformat(text) if text else None
    except ValueError:
        errors[name] = [_("Found %(found)s, expected a day such as 2027-01-31.", found=text)]
        return None


def _iso(day: dt.date | None) -> str | None:
    return day.isoformat() if day else None
