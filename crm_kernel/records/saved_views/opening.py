"""Opens views: finds out which one an address means, and what the list is asked for then; one query for all tabs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.access.policy import visible
from crm_kernel.errors import InvalidInput
from crm_kernel.records.calendars.choosing import calendars_of
from crm_kernel.records.columns import chosen_columns, offered_columns, usual_columns
from crm_kernel.records.plan import TypePlan, plan_of, record_types
from crm_kernel.records.saved_views.models import BOARD, CALENDAR, LIST, SavedView, ViewChoice
from crm_kernel.records.saved_views.services import CALENDAR_ONLY, PAGE_ONLY, pairs_of

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor
    from crm_kernel.records.record_type import RecordType
    from crm_kernel.unit_of_work import UnitOfWork

#: ``view=all``: the plain list, also where a view is the first that is shown.
ALL = "all"
#: Values of ``view`` that are no saved view.
PLAIN = frozenset({"", ALL, LIST, BOARD, CALENDAR})

#: Arguments that say how a page is shown, and limit no rows.
_SHOWN = ("as", "columns", *CALENDAR_ONLY)

Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Opened:
    """A list as its address and the view it names ask for it."""

    #: The whole state of the page: the view's arguments written out, and how the page is shown.
    arguments: tuple[tuple[str, str], ...]
    #: What the list itself is asked for.
    asked: tuple[tuple[str, str], ...]
    #: ``list``, ``board`` or ``calendar``.
    kind: str
    columns: tuple[str, ...]
    view: SavedView | None
    #: All views of the type that the actor sees, by name.
    views: tuple[SavedView, ...]
    #: Key of the view that comes first for the actor, chosen by himself or for all.
    first: int | None
    #: Whether he chose it himself.
    chosen: bool = False
    #: Columns of the view that are gone, or that the actor may not see.
    missing: tuple[str, ...] = ()
    #: Of a calendar: the field it goes by, its span, the day it is about; None for the usual.
    calendar: tuple[str | None, str | None, str | None] = (None, None, None)

    @property
    def changed(self) -> bool:
        """Whether the page shows something else than the view it was opened from."""
        if self.view is None:
            return False
        columns = dict(self.arguments).get("columns")
        same = sorted(self.asked_state) == sorted(pairs_of(self.view.query)) and self.kind == self.view.kind
        if self.kind == CALENDAR and self.calendar[:2] != (self.view.calendar, self.view.span):
            return True
        return not same or bool(columns and columns != ",".join(map(str, self.view.columns or ())))

    @property
    def asked_state(self) -> list[tuple[str, str]]:
        """What a view saved now would hold."""
        return [pair for pair in self.asked if pair[0] not in PAGE_ONLY]


def opened(uow: UnitOfWork, record_type: RecordType, arguments: Pairs) -> Opened:
    """Return the list that an address asks for; without arguments the view that comes first for the actor.

    Raises:
        InvalidInput: it names no view the actor may see, or unknown columns.
    """
    views, first, chosen = _views(uow, record_type)
    given = dict(arguments)
    view = _named(views, given["view"]) if given.get("view", "") not in PLAIN else None
    if not arguments:
        view = next((found for found in views if found.id == first), None)
    own = [pair for pair in arguments if pair[0] not in ("view", "edited")]
    if view is not None:
        own = [*own] if given.get("edited") else _merged(pairs_of(view.query), own)
    plan = plan_of(record_type)
    columns, missing = _columns(plan, uow.actor, given.get("columns"), view)
    kind = _kind(plan, uow.actor, given, view)
    state = _state(view, given, own)
    asked = tuple(pair for pair in own if pair[0] not in _SHOWN)
    by, span = (view.calendar, view.span) if view else (None, None)
    calendar = (given.get("calendar") or by, given.get("span") or span, given.get("day"))
    return Opened(state, asked, kind, columns, view, views, first, chosen, missing, calendar)


def expanded(uow: UnitOfWork, record_type: RecordType, arguments: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the arguments of a list with those of the view they name written out; what else is given goes first.

    ``filter`` and conditions of both hold; ``sort``, ``q`` and ``fields`` replace the view's. Without ``fields`` a view
    that has columns gives those. One query if a view is named.

    Raises:
        InvalidInput: there is no such view of this type, or none the actor may see.
    """
    given = list(arguments)
    named = dict(given).get("view", "")
    own = [pair for pair in given if pair[0] != "view"]
    if named in PLAIN:
        return own
    view = _named(_visible_views(uow, record_type, named), named)
    found = _merged(pairs_of(view.query), own)
    if view.columns and "fields" not in dict(own):
        plan = plan_of(record_type)
        known = offered_columns(plan, uow.actor)
        names = ("extensions" if "." in name else name for name in map(str, view.columns) if name in known)
        found.append(("fields", ",".join(dict.fromkeys(names))))
    return found


def _views(uow: UnitOfWork, record_type: RecordType) -> tuple[tuple[SavedView, ...], int | None, bool]:
    kept = record_types().get("saved_view")
    if kept is None or not uow.actor.may(kept.permission("read")):
        return (), None, False
    mine = sa.and_(ViewChoice.view_id == SavedView.id, ViewChoice.user_id == uow.actor.user_id)
    statement = (
        sa.select(SavedView, ViewChoice.id)
        .outerjoin(ViewChoice, mine)
        .where(SavedView.record_type == record_type.name, visible(uow.actor, kept))
        .order_by(SavedView.name, SavedView.id)
    )
    rows = uow.session.execute(statement).all()
    chosen = next((view.id for view, choice in rows if choice is not None), None)
    for_all = next((view.id for view, _choice in rows if view.default_for_all), None)
    return tuple(view for view, _choice in rows), chosen or for_all, chosen is not None


def _visible_views(uow: UnitOfWork, record_type: RecordType, named: str) -> Sequence[SavedView]:
    kept = record_types().get("saved_view")
    if kept is None or not uow.actor.may(kept.permission("read")) or _uid(named) is None:
        return ()
    wanted = (SavedView.uid == _uid(named), SavedView.record_type == record_type.name)
    return uow.session.scalars(sa.select(SavedView).where(*wanted, visible(uow.actor, kept))).all()


def _named(views: Sequence[SavedView], text: str) -> SavedView:
    uid = _uid(text)
    found = next((view for view in views if view.uid == uid), None)
    if found is None:
        raise InvalidInput({"view": [_("There is no view %(found)s of these records.", found=text[:40])]})
    return found


def _uid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _merged(stored: Pairs, given: Pairs) -> list[tuple[str, str]]:
    """Return both, a parameter that is given replacing the view's; two trees hold together."""
    names = {name for name, _value in given}
    both = [pair for pair in stored if pair[0] not in names or pair[0] == "filter"]
    trees = [value for name, value in (*both, *given) if name == "filter" and value]
    rest = [pair for pair in (*both, *given) if pair[0] != "filter"]
    if len(trees) > 1:
        return [*rest, ("filter", '{"and": [' + ", ".join(trees) + "]}")]
    return [*rest, *(("filter", tree) for tree in trees)]


def _kind(plan: TypePlan, actor: Actor, given: dict[str, str], view: SavedView | None) -> str:
    asked = given.get("as") or (given["view"] if given.get("view") in (LIST, BOARD, CALENDAR) else None)
    kind = asked or (view.kind if view else LIST)
    if kind == CALENDAR:
        return CALENDAR if calendars_of(plan, actor) else LIST
    return BOARD if kind == BOARD and plan.record_type.board is not None else LIST


def _columns(
    plan: TypePlan, actor: Actor, text: str | None, view: SavedView | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if chosen := chosen_columns(plan, actor, text or ""):
        return chosen, ()
    if view is None or not view.columns:
        return usual_columns(plan, actor), ()
    known = offered_columns(plan, actor)
    names = tuple(map(str, view.columns))
    kept = tuple(name for name in names if name in known)
    return kept or usual_columns(plan, actor), tuple(name for name in names if name not in known)


def _state(view: SavedView | None, given: dict[str, str], own: Pairs) -> tuple[tuple[str, str], ...]:
    if view is not None:
        return (("view", str(view.uid)), ("edited", "1"), *own)
    named = given.get("view")
    return ((("view", named),) if named and named in PLAIN else ()) + tuple(own)
