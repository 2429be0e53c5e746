"""Forgotten passwords: the link that lets a user set a new one.

The link goes out by mail when a transport is registered; else an admin prints it (``crm users reset-link``). Its host
is the configured ``base_url``, never the request's Host header, which anybody can forge.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flask import Flask, current_app, render_template
from flask_babel import gettext as _
from flask_security import MailUtil
from flask_security.recoverable import generate_reset_password_token

from crm_kernel.unit_of_work import current_uow
from crm_kernel.web.addresses import public_address

if TYPE_CHECKING:
    from crm_kernel.access.models import AppUser

log = logging.getLogger("crm.access")

#: Sends a mail: ``transport(recipient, subject, text)``; called after the commit.
MailTransport = Callable[[str, str, str], None]
_TRANSPORT = "crm_mail_transport"


def use_mail_transport(app: Flask, transport: MailTransport) -> None:
    """Let the application send reset links by mail."""
    app.extensions[_TRANSPORT] = transport


def can_send_mail() -> bool:
    """Say whether a mail transport is registered."""
    return _TRANSPORT in current_app.extensions


def mail_transport() -> MailTransport | None:
    """Return what sends mails, or None where nothing does."""
    found: MailTransport | None = current_app.extensions.get(_TRANSPORT)
    return found


def reset_link(user: AppUser) -> str:
    """Return a link on which the user can set a new password; valid for a day, until the password changes.

    Needs an application context, no request.
    """
    return _link(generate_reset_password_token(user))  # type: ignore[no-untyped-call]


def send_reset_link(_sender: Any, user: AppUser, reset_token: str, **_context: Any) -> None:
    """Send the link after the commit, if there is a way to; attached to Flask-Security's signal."""
    transport: MailTransport | None = current_app.extensions.get(_TRANSPORT)
    if transport is None:
        log.warning("a reset link for user %s was asked for, but no mail can be sent: crm users reset-link", user.uid)
        return
    subject = _("Set a new password")
    text = render_template("access/reset_mail.txt", user=user, link=_link(reset_token))
    recipient = user.email
    current_uow().after_commit(lambda: transport(recipient, subject, text))


class NoMail(MailUtil):
    """Keeps Flask-Security from sending mail of its own."""

    def send_mail(self, *_arguments: Any, **_context: Any) -> None:
        """Send nothing: ``send_reset_link`` does what is needed."""


def _link(token: str) -> str:
    return public_address("security.reset_password", token=token)
