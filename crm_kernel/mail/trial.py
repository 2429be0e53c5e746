"""The test message: what an administrator sends to see whether mails arrive."""

from __future__ import annotations

from uuid import uuid4

from flask import current_app
from flask_babel import gettext as _

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.mail.message import Mail
from crm_kernel.mail.transport import send_mail


def send_trial(recipient: str) -> str:
    """Send a test message in the current language and return what the mail server said; no transaction may be open.

    Raises:
        MailRefused, MailDelayed, CrmError: as ``send_mail``.
    """
    company = runtime_of(current_app).config.company_name
    text = current_app.jinja_env.get_template("mail/trial.txt").render(company=company)
    subject = _("%(company)s: a test message", company=company)
    return send_mail(Mail(recipient=recipient, subject=subject, text=text, key=f"trial:{uuid4()}"))
