"""Saves views: checked against the fields their author may read, shared no further than he may share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.access.actor import Scope
from crm_kernel.access.grants import read_reach
from crm_kernel.access.models import Team
from crm_kernel.access.policy import authorize
from crm_kernel.errors import CrmError, Forbidden, InvalidInput
from crm_kernel.records.calendars.choosing import calendar_named
from crm_kernel.records.calendars.spans import span_named
from crm_kernel.records.columns import chosen_columns
from crm_kernel.records.plan import plan_of, record_types
from crm_kernel.records.reading import parse_query
from crm_kernel.records.saved_views.models import BOARD, CALENDAR, EVERYONE, TEAM, SavedView, ViewChoice
from crm_kernel.records.storing import set_changed

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor
    from crm_kernel.records.record_type import RecordType
    from crm_kernel.unit_of_work import UnitOfWork

#: Arguments of a calendar's address: the field it goes by, how many days, which.
CALENDAR_ONLY = ("calendar", "span", "day")
#: Arguments of a list's address that are no part of a view: where one is, and how the page is shown.
PAGE_ONLY = ("view", "as", "columns", "edited", "cursor", "limit", "count", "fields", "column", *CALENDAR_ONLY)

Pairs = Sequence[tuple[str, str]]


def create_view(uow: UnitOfWork, data: Mapping[str, Any]) -> SavedView:
    """Save a view of the actor's own.

    Raises:
        InvalidInput: the type is unknown, or conditions or columns name what the actor may not read.
        Forbidden: he may not read the type, or shares further than he may.
    """
    view = SavedView(author_id=uow.actor.user_id, **data)
    _check(uow, view)
    _share(uow, view)
    uow.session.add(view)
    uow.session.flush()
    return view


def update_view(uow: UnitOfWork, view: SavedView, changes: Mapping[str, Any]) -> None:
    """Change a view; its conditions are checked again only when they are among the changes.

    Raises:
        InvalidInput, Forbidden: as for ``create_view``; the record type never changes.
    """
    if changes.get("record_type", view.record_type) != view.record_type:
        raise InvalidInput({"record_type": [_("A view keeps its record type: save a new one.")]})
    changed = set_changed(view, changes)
    if {"query", "columns", "kind", "calendar", "span"} & changes.keys():
        _check(uow, view)
    # A form sends what it does not change along: who sees it already is no further sharing.
    if {"sharing", "default_for_all", "team_id"} & {*changed}:
        _share(uow, view)
    uow.session.flush()


def teams_of(uow: UnitOfWork, author_id: int | None) -> Sequence[int]:
    """Return the keys of the teams that an author's view can be shared with: his own first, then those below it.

    One query for somebody else's view. One without an author is shared with any team by whoever looks after everybody's
    views.
    """
    if author_id == uow.actor.user_id and author_id is not None:
        return uow.actor.team_ids
    if author_id is not None:
        return read_reach(uow.session, author_id).team_ids
    if uow.actor.scope_of("saved_view.update") is Scope.ALL:
        return uow.session.scalars(sa.select(Team.id).order_by(Team.name)).all()
    return uow.actor.team_ids


def may_share(actor: Actor, sharing: str) -> bool:
    """Say whether an actor may let a view of his own be seen by himself alone, his team, or everybody."""
    if sharing == TEAM:
        return bool(actor.team_ids)
    return sharing != EVERYONE or actor.scope_of("saved_view.update") is Scope.ALL


def prefer(uow: UnitOfWork, view: SavedView | None, record_type: RecordType) -> None:
    """Make a view the first that the actor sees of a type; None takes his choice back. Flushed.

    Raises:
        Forbidden: the system has no choice of its own.
    """
    if uow.actor.user_id is None:
        raise Forbidden(_("%(name)s is no user and has no profile.", name=uow.actor.name))
    mine = (ViewChoice.user_id == uow.actor.user_id, ViewChoice.record_type == record_type.name)
    uow.session.execute(sa.delete(ViewChoice).where(*mine))
    if view is not None:
        uow.session.add(ViewChoice(user_id=uow.actor.user_id, record_type=record_type.name, view_id=view.id))
    uow.session.flush()


def pairs_of(query: str) -> list[tuple[str, str]]:
    """Return a view's query as the arguments of its list, without what belongs to a page alone."""
    found = parse_qsl(query.removeprefix("?"), keep_blank_values=False)
    return [pair for pair in found if pair[0] not in PAGE_ONLY]


def _check(uow: UnitOfWork, view: SavedView) -> None:
    record_type = record_types().get(view.record_type)
    if record_type is None:
        known = ", ".join(sorted(record_types()))
        raise InvalidInput(
            {"record_type": [_("Found %(found)s, expected one of: %(known)s.", found=view.record_type, known=known)]}
        )
    authorize(uow.actor, record_type.permission("read"))
    if view.kind == BOARD and record_type.board is None:
        raise InvalidInput({"kind": [_("%(type)s has no board.", type=record_type.label_plural)]})
    if view.kind == CALENDAR:
        calendar_named(plan_of(record_type), uow.actor, view.calendar)
        span_named(view.span)
    pairs = pairs_of(view.query or "")
    try:
        parse_query(record_type, pairs, actor=uow.actor)
        if view.columns:
            view.columns = list(chosen_columns(plan_of(record_type), uow.actor, ",".join(map(str, view.columns))))
    except InvalidInput as error:
        raise InvalidInput(_placed(error)) from error
    view.query = urlencode(pairs)


def _placed(error: InvalidInput) -> dict[str, list[str]]:
    """Return the messages under the view's own field names."""
    found: dict[str, list[str]] = {}
    for path, messages in error.errors.items():
        field, shown = (
            ("columns", list(messages)) if path == "columns" else ("query", [f"{path}: {m}" for m in messages])
        )
        found.setdefault(field, []).extend(shown)
    return found


def _share(uow: UnitOfWork, view: SavedView) -> None:
    for_all = view.sharing == EVERYONE or view.default_for_all
    if for_all and not may_share(uow.actor, EVERYONE):
        raise Forbidden(_("Views for everybody are saved by administrators; share it with your team instead."))
    if view.default_for_all and view.sharing != EVERYONE:
        raise InvalidInput({"default_for_all": [_("Only a view that everybody sees can be everybody’s first.")]})
    if view.sharing == TEAM:
        view.team_id = _team(uow, view)
    else:
        view.team_id = None
    if view.default_for_all:
        _take_over(uow, view)


def _team(uow: UnitOfWork, view: SavedView) -> int:
    """Return the team that a view is shared with: the one that is named, or the author's own."""
    if view.author_id is None and view.team_id is None:
        raise InvalidInput({"team": [_("A view without an author needs its team.")]})
    teams = teams_of(uow, view.author_id)
    if not teams:
        mine = view.author_id == uow.actor.user_id
        raise InvalidInput({"sharing": [_("You are in no team.") if mine else _("Its author is in no team.")]})
    if view.team_id is not None and view.team_id not in teams:
        names = uow.session.scalars(sa.select(Team.name).where(Team.id.in_(teams)).order_by(Team.name))
        raise InvalidInput({"team": [_("Expected a team of the view’s author: %(known)s.", known=", ".join(names))]})
    return view.team_id or teams[0]


def _take_over(uow: UnitOfWork, view: SavedView) -> None:
    """Take the first place from the view that had it: through the session, so that its history tells."""
    others = sa.select(SavedView).where(SavedView.record_type == view.record_type, SavedView.default_for_all)
    for other in uow.session.scalars(others):
        if other is not view:
            other.default_for_all = False


def problem_text(error: CrmError) -> str:
    """Return why a view cannot be shown, as one line."""
    if isinstance(error, InvalidInput):
        return " ".join(f"{path}: {' '.join(messages)}" for path, messages in error.errors.items())
    return str(error)
