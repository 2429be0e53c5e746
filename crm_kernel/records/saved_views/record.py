"""Saved views as a record type: ``/api/views`` and the pages that rename, share and delete them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask import render_template
from flask_babel import lazy_gettext as _l
from markupsafe import Markup
from marshmallow import Schema, validate
from marshmallow import fields as ma

from crm_kernel.access.actor import Scope
from crm_kernel.access.models import Team
from crm_kernel.access.policy import visible
from crm_kernel.records.calendars.choosing import calendars_of
from crm_kernel.records.calendars.spans import SPANS
from crm_kernel.records.fields import Choice, Reference
from crm_kernel.records.plan import plan_of, record_type
from crm_kernel.records.plan import record_types as known_types
from crm_kernel.records.record_type import FormSection, RecordType, Services
from crm_kernel.records.saved_views import services
from crm_kernel.records.saved_views.models import BOARD, CALENDAR, EVERYONE, LIST, PRIVATE, TEAM, SavedView
from crm_kernel.unit_of_work import current_uow

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor
    from crm_kernel.unit_of_work import UnitOfWork

KINDS = {LIST: _l("List"), BOARD: _l("Board"), CALENDAR: _l("Calendar")}
SHARING = {PRIVATE: _l("Only me"), TEAM: _l("A team"), EVERYONE: _l("Everybody")}


def _offered(item: Mapping[str, Any]) -> tuple[str, ...]:
    """Return how far the actor may share a view: with a team where its author is in one."""
    actor, teams = current_uow().actor, _author_teams(item)
    return tuple(name for name in SHARING if (teams if name == TEAM else services.may_share(actor, name)))


def _author_teams(item: Mapping[str, Any]) -> Sequence[int]:
    """Return the keys of the teams of a view's author as its page has it; a new view is the actor's."""
    uow = current_uow()
    if "id" not in item:
        return uow.actor.team_ids
    author = sa.select(SavedView.author_id).where(SavedView.uid == item["id"])
    return services.teams_of(uow, uow.session.scalar(author))


def team_choices(item: Mapping[str, Any]) -> dict[str, str]:
    """Return the teams that a view can be shared with and the actor may read: id → name, the author's own first."""
    uow, keys = current_uow(), _author_teams(item)
    statement = sa.select(Team).where(Team.id.in_(keys), visible(uow.actor, record_type("team")))
    found = sorted(uow.session.scalars(statement), key=lambda team: keys.index(team.id))
    return {str(team.uid): team.name for team in found}


def _type_choices() -> dict[str, str]:
    return dict(sorted(((name, str(found.label)) for name, found in known_types().items()), key=lambda pair: pair[1]))


def _kinds(item: Mapping[str, Any]) -> tuple[str, ...]:
    """Return how a view can be shown; all ways while nobody has said of what records it is."""
    found = known_types().get(item.get("record_type", ""))
    if found is None:
        return tuple(KINDS)
    others = {BOARD: found.board, CALENDAR: calendars_of(plan_of(found), current_uow().actor)}
    return (LIST, *(kind for kind, there in others.items() if there))


def _calendar_choices(item: Mapping[str, Any]) -> dict[str, str]:
    """Return the dates that a view's calendar can go by: field → label."""
    found = known_types().get(item.get("record_type", ""))
    if found is None:
        return {}
    plan = plan_of(found)
    return {name: str(plan.fields[name].label) for name in calendars_of(plan, current_uow().actor)}


def _words(item: Mapping[str, Any]) -> str:
    from crm_kernel.records.pages.view_words import view_words

    return Markup(render_template("records/view_words.html", **view_words(current_uow(), item)))


def _page_words(uow: UnitOfWork, view: SavedView) -> dict[str, Any]:
    from crm_kernel.records.pages.view_words import words_of

    return words_of(uow, view)


def _may_be_first() -> bool:
    return services.may_share(current_uow().actor, EVERYONE)


class SavedViewSchema(Schema):
    """A saved view; ``query`` is what follows ``?`` in the list's address."""

    name = ma.String(required=True, validate=validate.Length(min=1, max=80), metadata={"label": _l("Name")})
    record_type = ma.String(
        required=True,
        metadata={
            "label": _l("Record type"),
            "widget": "choice",
            "options": _type_choices,
            "fixed": True,
            "show_as": "record_type",
        },
    )
    kind = Choice(KINDS, load_default=LIST, metadata={"label": _l("Shown as"), "offered": _kinds})
    calendar = ma.String(
        allow_none=True,
        validate=validate.Length(max=80),
        metadata={
            "label": _l("Date of the calendar"),
            "choose_from": _calendar_choices,
            "code": True,
            "help": _l("Left empty for the usual one."),
        },
    )
    span = Choice(SPANS, allow_none=True, metadata={"label": _l("Span of the calendar"), "code": True})
    query = ma.String(
        validate=validate.Length(max=20_000), metadata={"label": _l("Conditions and order"), "code": True}
    )
    columns = ma.List(ma.String(), allow_none=True, metadata={"label": _l("Columns"), "code": True})
    sharing = Choice(SHARING, load_default=PRIVATE, metadata={"label": _l("Who sees it"), "offered": _offered})
    team = Reference(
        "team",
        attribute="team_id",
        allow_none=True,
        metadata={
            "label": _l("Team"),
            "choose_from": team_choices,
            "help": _l("Which team of the author sees it, where it is shared with one; left empty for his own."),
        },
    )
    default_for_all = ma.Boolean(
        load_default=False,
        metadata={
            "label": _l("First view for everybody"),
            "help": _l("For those who have not chosen a view of their own; administrators only."),
            "asked": _may_be_first,
        },
    )
    author = Reference("user", attribute="author_id", dump_only=True, metadata={"label": _l("Saved by")})


def visible_views(actor: Actor) -> sa.ColumnElement[bool]:
    """Return the predicate: the actor's own views, those of his teams, those for everybody.

    Whoever looks after everybody's views sees all that are shared. A view shared with a team is seen by those who reach
    the team's records.
    """
    if actor.user_id is None and actor.kind == "system":
        return sa.true()
    if actor.scope_of("saved_view.update") is Scope.ALL:
        shared: sa.ColumnElement[bool] = SavedView.sharing != PRIVATE
    else:
        shared = SavedView.sharing == EVERYONE
        if actor.team_ids:
            shared = sa.or_(shared, sa.and_(SavedView.sharing == TEAM, SavedView.team_id.in_(actor.team_ids)))
    return sa.or_(SavedView.author_id == actor.user_id, shared)


def record_types() -> list[RecordType]:
    """Return the record type ``saved_view``."""
    return [
        RecordType(
            name="saved_view",
            model=SavedView,
            schema=SavedViewSchema,
            label=_l("Saved view"),
            label_plural=_l("Saved views"),
            slug="views",
            icon="bookmark",
            columns=("name", "record_type", "kind", "sharing", "team", "default_for_all", "author"),
            filters=("record_type", "sharing", "author", "kind"),
            sorts=("name", "record_type", "created_at"),
            default_sort="name",
            form=(
                FormSection(title=_l("Saved view"), fields=("name", "sharing", "team", "default_for_all")),
                FormSection(title=_l("What it shows"), fields=("record_type", "kind"), words=_words),
                FormSection(title=_l("Calendar"), fields=("calendar", "span"), when=("kind", CALENDAR)),
            ),
            services=Services(create=services.create_view, update=services.update_view),
            author="author_id",
            visibility=visible_views,
            nav_section=None,
            detail_template="records/saved_view.html",
            detail_context=_page_words,
        )
    ]
