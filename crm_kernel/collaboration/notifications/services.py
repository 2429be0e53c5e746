"""Tells users things, in the transaction that makes them true; and marks what they have read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask_babel import gettext as _
from uuid_utils.compat import uuid7

from crm_kernel.access import trail
from crm_kernel.access.models import AppUser
from crm_kernel.collaboration.notifications.kinds import DIGESTS, assignment_kind, known_kinds, mail_time
from crm_kernel.collaboration.notifications.models import Notification, NotificationSetting
from crm_kernel.errors import CrmError, InvalidInput, NotFound
from crm_kernel.jobs.services import dialect_insert
from crm_kernel.records.subjects import subject_of

if TYPE_CHECKING:
    from crm_kernel.contributions import NotificationKind
    from crm_kernel.unit_of_work import UnitOfWork

#: Whoever brings in many records at once does not tell each owner of each.
_SILENT_CHANNELS = ("import", "system")


class UnknownNotification(CrmError):
    """Somebody is to be told something of a kind that no loaded module registers."""


def notify(
    uow: UnitOfWork,
    users: Iterable[int],
    kind: str,
    record: Any = None,
    *,
    data: Mapping[str, Any] | None = None,
    dedupe_key: str | None = None,
) -> int:
    """Tell users something with this unit's commit, each in his own way, and return to how many; two statements.

    The one who acts is not told what he did (of a rule that acts for him he is), and inactive users nothing. A receiver who may not see the record when he
    reads does not see the notification either: who is to be told need not be checked before.

    Args:
        users: keys of users.
        kind: name of a ``NotificationKind`` that a loaded module registers.
        record: the record it is about, of any record type; None for none.
        data: JSON-ready facts that the kind's text names, nothing personal.
        dedupe_key: at most 120 characters; told twice to one user under one key, it is stored once.

    Raises:
        UnknownNotification: nobody registers the kind.
    """
    found = known_kinds().get(kind)
    if found is None:
        raise UnknownNotification(f"{kind}: no such kind of notification; known: {', '.join(known_kinds())}")
    receivers = set(users) - ({uow.actor.user_id} if uow.channel != "rule" else set())
    if not receivers:
        return 0
    place = {"subject_type": None, "subject_uid": None} if record is None else subject_of(record).place
    common = {
        "kind": kind,
        **place,
        "actor_name": uow.actor.name[:120],
        "data": dict(data) if data else None,
        "created_at": uow.now,
        "dedupe_key": dedupe_key,
    }
    rows = [{**common, "uid": uuid7(), **way} for way in _ways(uow, found, receivers)]
    if rows:
        insert = dialect_insert(uow)(Notification).values(rows)
        uow.session.execute(insert.on_conflict_do_nothing(index_elements=["user_id", "kind", "dedupe_key"]))
    return len(rows)


def notify_new_owners(uow: UnitOfWork) -> None:
    """Tell users of the records this unit of work gave them; part of its commit. Nothing is asked where no owner changed.

    Told of what people, tokens and background work do; not of imports and of the system's own work.
    """
    if uow.channel in _SILENT_CHANNELS or (uow.actor.user_id is None and uow.channel != "job"):
        return
    for change in list(trail.net_changes(uow.audited.values())):
        owner = change.after.get("owner_id")
        if owner is None or change.action == trail.DELETED or owner == uow.actor.user_id:
            continue
        record = uow.session.get(change.record_type.model, change.key)
        if record is not None:
            kind = assignment_kind(change.record_type.name)
            notify(uow, [owner], kind.name, record, dedupe_key=f"{record.uid}:{uow.request_id}"[:120])


def mark_read(uow: UnitOfWork, uids: Collection[UUID] | None = None) -> int:
    """Mark notifications of the user who acts as read, all of them without ``uids``; return how many were unread."""
    mine = sa.update(Notification).where(Notification.user_id == uow.actor.user_id, Notification.read_at.is_(None))
    if uids is not None:
        mine = mine.where(Notification.uid.in_(uids))
    # What was read here need not be mailed any more.
    done = uow.session.execute(mine.values(read_at=uow.now, mail_due_at=None))
    return int(done.rowcount)  # type: ignore[attr-defined]


def own_notification(uow: UnitOfWork, uid: UUID) -> Notification:
    """Return one notification of the user who acts.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    query = sa.select(Notification).where(Notification.uid == uid, Notification.user_id == uow.actor.user_id)
    found = uow.session.execute(query).scalar_one_or_none()
    if found is None:
        raise NotFound(_("You have no notification with the id %(id)s.", id=uid))
    return found


def save_settings(uow: UnitOfWork, wanted: Mapping[str, Mapping[str, Any]]) -> None:
    """Keep how the user who acts wants to be told: kind → ``in_app`` and ``email``. Kinds that are not named stay.

    Raises:
        InvalidInput: a kind is unknown, or one of its values is none.
    """
    _check_settings(wanted)
    for kind, way in wanted.items():
        values = {"user_id": uow.actor.user_id, "kind": kind, "in_app": way["in_app"], "email": way["email"]}
        insert = dialect_insert(uow)(NotificationSetting).values(values)
        same = ["user_id", "kind"]
        uow.session.execute(insert.on_conflict_do_update(index_elements=same, set_=dict(way)))


def _check_settings(wanted: Mapping[str, Mapping[str, Any]]) -> None:
    kinds, errors = known_kinds(), dict[str, list[str]]()
    for kind, way in wanted.items():
        if kind not in kinds:
            errors[kind] = [_("Unknown kind of notification; known: %(known)s.", known=", ".join(kinds))]
        elif set(way) != {"in_app", "email"} or way["email"] not in DIGESTS or not isinstance(way["in_app"], bool):
            errors[kind] = [_("Expected in_app true or false, and email one of: %(known)s.", known=", ".join(DIGESTS))]
    if errors:
        raise InvalidInput(errors)


def _ways(uow: UnitOfWork, kind: NotificationKind, users: Collection[int]) -> list[dict[str, Any]]:
    """Return for each active user how he is told; those who want neither way are left out. One query."""
    settings = NotificationSetting
    query = (
        sa.select(AppUser.id, AppUser.timezone, settings.in_app, settings.email)
        .outerjoin(settings, sa.and_(settings.user_id == AppUser.id, settings.kind == kind.name))
        .where(AppUser.id.in_(users), AppUser.active)
    )
    found = []
    for user_id, timezone, in_app, email in uow.session.execute(query):
        shown = kind.in_app if in_app is None else in_app
        due = mail_time(email or kind.email, uow.now, timezone)
        if shown or due is not None:
            found.append({"user_id": user_id, "in_app": shown, "mail_due_at": due})
    return found
