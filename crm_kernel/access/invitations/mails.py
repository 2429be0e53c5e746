"""The mail of an invitation: a job writes it in the invited person's language, and the database knows the words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask import current_app
from flask_babel import force_locale
from flask_babel import gettext as _

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access.actor import SYSTEM
from crm_kernel.access.invitations.models import Invitation
from crm_kernel.access.invitations.services import MAIL, is_open, link_of
from crm_kernel.access.models import AppUser
from crm_kernel.contributions import Job, JobKind
from crm_kernel.mail.message import Mail
from crm_kernel.mail.transport import MAIL_ATTEMPTS, send_about
from crm_kernel.unit_of_work import reading

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


def jobs() -> list[Job]:
    """Return the job that mails an invitation."""
    return [Job(name=MAIL, handler=mail_invitation, kind=JobKind.OUTSIDE, queue="mail", max_attempts=MAIL_ATTEMPTS)]


def mail_invitation(payload: dict[str, Any]) -> None:
    """Mail the link of an invitation that is still open and was not sent again since.

    Raises:
        MailRefused, MailDelayed, CrmError: as ``send_mail``.
    """
    uid = UUID(payload["invitation"])
    with reading(SYSTEM, channel="job") as uow:
        mail = _mail(uow, uid, payload["sending"])
    if mail is not None:
        send_about(mail, "invitation", uid)


def _mail(uow: UnitOfWork, uid: UUID, sending: int) -> Mail | None:
    found = uow.session.scalars(sa.select(Invitation).where(Invitation.uid == uid)).one_or_none()
    if found is None or found.sending != sending or not is_open(found, uow.now):
        return None
    inviter = uow.session.get(AppUser, found.invited_by_id) if found.invited_by_id else None
    company = runtime_of(current_app).config.company_name
    with force_locale(found.language):
        # Not render_template: what the shell adds to every page needs a request.
        text = current_app.jinja_env.get_template("invitations/mail.txt").render(
            name=found.name, company=company, inviter=inviter.name if inviter else "", link=link_of(found)
        )
        subject = _("Your account at %(company)s", company=company)
        return Mail(recipient=found.email, subject=subject, text=text, key=f"{MAIL}:{uid}:{sending}")
