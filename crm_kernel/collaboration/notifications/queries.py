"""Reads the notifications of the user who acts: only those about records that he may see now."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask import current_app, has_request_context, url_for

from crm_kernel.collaboration.notifications.kinds import known_kinds, text_of
from crm_kernel.collaboration.notifications.models import Notification, NotificationSetting
from crm_kernel.records.plan import record_types
from crm_kernel.records.subjects import possible_subjects, seen_subjects, titles_of

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor
    from crm_kernel.unit_of_work import UnitOfWork

#: Unread ones are counted up to here: the bell then shows "99+".
COUNT_LIMIT = 99


@dataclass(frozen=True, slots=True)
class Told:
    """One notification as it is shown, in the reader's language."""

    id: UUID
    kind: str
    text: str
    icon: str
    created_at: dt.datetime
    read_at: dt.datetime | None
    subject_type: str | None
    subject_id: UUID | None
    #: The page of what it is about; None for nothing.
    url: str | None

    @property
    def unread(self) -> bool:
        """Whether it still counts."""
        return self.read_at is None


@dataclass(frozen=True, slots=True)
class ToldPage:
    """One page of notifications, newest first."""

    items: Sequence[Told]
    #: Give it as ``before`` for the next page; None at the end.
    earlier: UUID | None


def notifications_of(uow: UnitOfWork, *, before: UUID | None = None, limit: int = 30) -> ToldPage:
    """Return one page of the notifications of the user who acts; one query, and one per record type on the page.

    ``before`` is the id of the last one of the page before it; ids are in order of time.
    """
    table = Notification
    query = sa.select(table).where(*_mine(uow.actor))
    if before is not None:
        query = query.where(table.id < sa.select(table.id).where(table.uid == before).scalar_subquery())
    rows = uow.session.scalars(query.order_by(table.id.desc()).limit(limit + 1)).all()
    shown = rows[:limit]
    return ToldPage(told(uow, shown), shown[-1].uid if len(rows) > limit else None)


def unread_count(uow: UnitOfWork) -> int:
    """Return how many notifications the user who acts has not read, up to ``COUNT_LIMIT`` + 1; one query."""
    unread = sa.select(sa.literal(1)).where(*_mine(uow.actor), Notification.read_at.is_(None)).limit(COUNT_LIMIT + 1)
    return uow.session.execute(sa.select(sa.func.count()).select_from(unread.subquery())).scalar_one()


def told(uow: UnitOfWork, rows: Sequence[Notification]) -> list[Told]:
    """Return notifications as the actor reads them; what he may not see is left out. One query per record type."""
    places = [(row.subject_type, row.subject_uid) for row in rows if row.subject_type and row.subject_uid]
    titles = titles_of(uow, places)
    return [
        _told(row, titles.get((row.subject_type or "", row.subject_uid or row.uid)))
        for row in rows
        if row.subject_type is None or (row.subject_type, row.subject_uid) in titles
    ]


def settings_of(uow: UnitOfWork) -> list[dict[str, Any]]:
    """Return each kind with how the user who acts is told of it: ``kind``, ``label``, ``in_app``, ``email``; one query."""
    query = sa.select(NotificationSetting).where(NotificationSetting.user_id == uow.actor.user_id)
    own = {row.kind: row for row in uow.session.scalars(query)}
    return [
        {
            "kind": kind.name,
            "label": str(kind.label),
            "in_app": own[kind.name].in_app if kind.name in own else kind.in_app,
            "email": own[kind.name].email if kind.name in own else kind.email,
        }
        for kind in known_kinds().values()
    ]


def visible_notifications(actor: Actor) -> sa.ColumnElement[bool]:
    """Return the predicate over ``Notification``: it is about nothing, or about what the actor may see."""
    return sa.or_(Notification.subject_type.is_(None), seen_subjects(actor, Notification, possible_subjects()))


def _mine(actor: Actor) -> tuple[Any, ...]:
    return (Notification.user_id == actor.user_id, Notification.in_app, visible_notifications(actor))


def _told(row: Notification, title: str | None) -> Told:
    kind = known_kinds().get(row.kind)
    return Told(
        id=row.uid,
        kind=row.kind,
        text=text_of(row.kind, actor=row.actor_name, title=title, data=row.data),
        icon=kind.icon if kind else "bell",
        created_at=row.created_at,
        read_at=row.read_at,
        subject_type=row.subject_type,
        subject_id=row.subject_uid,
        url=address_of(row),
    )


def address_of(row: Notification) -> str | None:
    """Return the page that a notification leads to, at the part of it that its kind names."""
    found = record_types().get(row.subject_type or "")
    if found is None:
        return None
    kind = known_kinds().get(row.kind)
    anchor = f"#{kind.anchor}" if kind and kind.anchor else ""
    endpoint = f"{found.endpoint}_detail"
    if has_request_context():
        return url_for(endpoint, uid=row.subject_uid) + anchor
    return str(current_app.url_map.bind("localhost").build(endpoint, {"uid": row.subject_uid})) + anchor  # for a mail
