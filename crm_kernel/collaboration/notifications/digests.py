"""Mails users what they have not read: one mail per user, when each of its notifications is due.

A job plans every five minutes; one job per user talks to the mail server, with no transaction open. What was read
meanwhile, or may not be seen any more, is not in the mail. A crash between sending and marking sends a mail twice: no mail
server can tell whether it has it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from babel.dates import format_datetime
from flask import current_app
from flask_babel import force_locale, get_locale, ngettext

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access.acting import actor_for
from crm_kernel.access.actor import SYSTEM
from crm_kernel.access.models import AppUser
from crm_kernel.collaboration.notifications.models import Notification
from crm_kernel.collaboration.notifications.queries import Told, told
from crm_kernel.contributions import Job, JobKind
from crm_kernel.jobs.models import JobRow
from crm_kernel.jobs.services import enqueue
from crm_kernel.mail.message import Mail
from crm_kernel.mail.transport import MAIL_ATTEMPTS, can_send_mail, send_about
from crm_kernel.unit_of_work import reading

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

MAIL = "kernel.mail_digest"
#: What could not be mailed in so many days is not news any more.
STALE_DAYS = 3
#: Users planned at a time; notifications in one mail.
_USERS, _LINES = 500, 50


@dataclass(frozen=True, slots=True)
class _Digest:
    """A mail, None when there is nothing to tell, and the notifications it settles."""

    mail: Mail | None
    settled: Sequence[UUID]


def digest_jobs() -> list[Job]:
    """Return the job that plans the mails, and the one that sends one."""
    return [
        Job(name="kernel.plan_digests", handler=plan_digests, schedule="*/5 * * * *"),
        Job(name=MAIL, handler=mail_digest, kind=JobKind.OUTSIDE, queue="mail", max_attempts=MAIL_ATTEMPTS),
    ]


def plan_digests(uow: UnitOfWork, _payload: dict[str, Any]) -> None:
    """Enqueue one mail for each user to whom something is due; nothing where the instance sends no mail."""
    if not can_send_mail():
        return
    table = Notification
    stale = sa.update(table).where(table.mail_due_at < uow.now - dt.timedelta(days=STALE_DAYS)).values(mail_due_at=None)
    uow.session.execute(stale.execution_options(synchronize_session=False))
    for uid, key in uow.session.execute(_unplanned(uow.now)).all():
        # While the mail server is away there is one more job per news, and not one every five minutes.
        enqueue(uow, MAIL, {"user": str(uid)}, dedupe_key=key, partition=str(uid))


def mail_digest(payload: dict[str, Any]) -> Callable[[UnitOfWork], None] | None:
    """Mail a user what is due to him, and return what marks it as mailed.

    Raises:
        MailRefused, MailDelayed, CrmError: as ``send_mail``.
    """
    uid = UUID(payload["user"])
    with reading(SYSTEM, channel="job") as uow:
        digest = _digest(uow, uid)
    if digest.mail is not None:
        send_about(digest.mail, "user", uid)

    def settle(uow: UnitOfWork) -> None:
        rows = sa.update(Notification).where(Notification.uid.in_(digest.settled)).values(mail_due_at=None)
        uow.session.execute(rows.execution_options(synchronize_session=False))

    return settle if digest.settled else None


def _unplanned(now: dt.datetime) -> sa.Select[UUID, str]:
    """Return id of user and key of job of those to whom something is due that no job, living or dead, is about."""
    table = Notification
    due = (
        sa.select(AppUser.id, AppUser.uid, sa.func.max(table.id).label("newest"))
        .join(table, table.user_id == AppUser.id)
        .where(table.mail_due_at <= now, AppUser.active)
        .group_by(AppUser.id, AppUser.uid)
        .subquery()
    )
    key = sa.cast(due.c.id, sa.String).concat(":").concat(sa.cast(due.c.newest, sa.String))
    planned = sa.exists().where(JobRow.name == MAIL, JobRow.dedupe_key == key)
    return sa.select(due.c.uid, key).where(~planned).order_by(due.c.id).limit(_USERS)


def _digest(uow: UnitOfWork, user_uid: UUID) -> _Digest:
    user = uow.session.scalars(sa.select(AppUser).where(AppUser.uid == user_uid)).first()
    if user is None:
        return _Digest(None, ())
    table = Notification
    due = sa.select(table).where(table.user_id == user.id, table.mail_due_at <= uow.now).order_by(table.id.desc())
    rows = uow.session.scalars(due.limit(_LINES)).all()
    settled = [row.uid for row in rows]
    unread = [row for row in rows if row.read_at is None]
    if not user.active or not unread:
        return _Digest(None, settled)
    uow.actor = actor_for(uow, user)
    with force_locale(user.language):
        shown = told(uow, unread)
        # What is told anew after a crash is the same mail as long as it tells the same.
        key = f"{MAIL}:{user.uid}:{settled[0]}"
        return _Digest(_mail(user, shown, key) if shown else None, settled)


def _mail(user: AppUser, shown: Sequence[Told], key: str) -> Mail:
    config, zone = runtime_of(current_app).config, ZoneInfo(user.timezone)
    base = (config.base_url or f"http://{config.host}:{config.port}").rstrip("/")
    # Not render_template: what the shell adds to every page needs a request.
    text = current_app.jinja_env.get_template("collaboration/digest_mail.txt").render(
        user=user,
        company=config.company_name,
        items=[
            {
                "text": item.text,
                "at": format_datetime(item.created_at, "short", tzinfo=zone, locale=get_locale()),
                "url": f"{base}{item.url}" if item.url else None,
            }
            for item in shown
        ],
        settings_url=f"{base}/notifications/settings",
    )
    subject = ngettext(
        "%(company)s: %(num)d notification",
        "%(company)s: %(num)d notifications",
        len(shown),
        company=config.company_name,
    )
    return Mail(recipient=user.email, subject=subject, text=text, key=key)
