"""Forgotten passwords: the link that lets a user set a new one.

The link goes out by a job, where the instance can send mails; else an admin prints it (``crm users reset-link``). Its host
is the configured ``base_url``, never the request's Host header, which anybody can forge. A job is stored for whatever
address is typed, so that neither the time nor the answer of the page says who is a user.
"""

from __future__ import annotations

import datetime as dt
import hmac
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask import current_app
from flask_babel import force_locale
from flask_babel import gettext as _
from flask_security import MailUtil
from flask_security.recoverable import generate_reset_password_token

from crm_kernel.access.actor import SYSTEM
from crm_kernel.access.audit import AuditRow, record_audit_many
from crm_kernel.access.models import AppUser
from crm_kernel.contributions import Job, JobKind
from crm_kernel.jobs.services import enqueue
from crm_kernel.mail.message import Mail
from crm_kernel.mail.transport import MAIL_ATTEMPTS, send_about
from crm_kernel.unit_of_work import reading
from crm_kernel.web.addresses import public_address

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

MAIL = "kernel.mail_reset"
_PAUSE_SECONDS = 300
#: How long a link is good for (Flask-Security's own default); who asked longer ago gets none any more.
_GOOD_FOR = dt.timedelta(days=1)


def jobs() -> list[Job]:
    """Return the job that mails a reset link."""
    return [Job(name=MAIL, handler=mail_reset, kind=JobKind.OUTSIDE, queue="mail", max_attempts=MAIL_ATTEMPTS)]


def reset_link(user: AppUser) -> str:
    """Return a link on which the user can set a new password; valid for a day, until the password changes.

    Needs an application context, no request.
    """
    token = generate_reset_password_token(user)  # type: ignore[no-untyped-call]
    return public_address("security.reset_password", token=token)


def made_reset_link(uow: UnitOfWork, user: AppUser) -> str:
    """Return such a link for an admin to hand over, and note that it was made."""
    record_audit_many(uow, "user", "reset_link_made", [AuditRow(user.uid)])
    return reset_link(user)


def ask_for_reset(uow: UnitOfWork, email: str) -> None:
    """Mail the user of an address a reset link, once in five minutes; for nobody's the same statements are run.

    Args:
        email: an address in its stored form.
    """
    found = uow.session.scalar(sa.select(AppUser.uid).where(AppUser.email == email))
    asked = f"{found or _nobody(email)}:{int(uow.now.timestamp()) // _PAUSE_SECONDS}"
    enqueue(uow, MAIL, {"asked": asked, "until": (uow.now + _GOOD_FOR).isoformat()}, dedupe_key=asked)


def mail_reset(payload: dict[str, Any]) -> None:
    """Mail a user his link, unless nobody is meant, he may not log in, or he asked for it more than a day ago.

    Raises:
        MailRefused, MailDelayed, CrmError: as ``send_mail``.
    """
    asked = str(payload["asked"])
    uid = UUID(asked.partition(":")[0])
    with reading(SYSTEM, channel="job") as uow:
        mail = None if _is_late(uow, payload) else _mail(uow, uid, asked)
    if mail is not None:
        send_about(mail, "user", uid)


class NoMail(MailUtil):
    """Keeps Flask-Security from sending mail of its own."""

    def send_mail(self, *_arguments: Any, **_context: Any) -> None:
        """Send nothing: ``mail_reset`` does what is needed."""


def _nobody(email: str) -> UUID:
    """Return the id of a user whom nobody is; always the same for one address, so that the pause holds for it, too."""
    secret = str(current_app.config["SECRET_KEY"]).encode()
    return UUID(bytes=hmac.digest(secret, email.encode(), "sha256")[:16])


def _is_late(uow: UnitOfWork, payload: dict[str, Any]) -> bool:
    until = payload.get("until")  # an older version stored none
    return until is not None and dt.datetime.fromisoformat(until) < uow.now


def _mail(uow: UnitOfWork, uid: UUID, asked: str) -> Mail | None:
    user = uow.session.scalars(sa.select(AppUser).where(AppUser.uid == uid)).one_or_none()
    if user is None or not user.active:
        return None
    with force_locale(user.language):
        # Not render_template: what the shell adds to every page needs a request.
        text = current_app.jinja_env.get_template("access/reset_mail.txt").render(user=user, link=reset_link(user))
        return Mail(recipient=user.email, subject=_("Set a new password"), text=text, key=f"{MAIL}:{asked}")
