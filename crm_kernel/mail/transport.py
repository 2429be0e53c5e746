"""The seam between who writes mails and what sends them: the mail server of the settings, or what a test puts there."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

from flask import Flask, current_app
from flask_babel import gettext as _

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access.actor import SYSTEM
from crm_kernel.access.audit import record_access
from crm_kernel.errors import CrmError
from crm_kernel.mail.message import Mail, MailRefused, Sender
from crm_kernel.mail.smtp import Lines, MailServer, deliver

if TYPE_CHECKING:
    from crm_kernel.config import Config

#: How often a job tries to hand over a mail: about three days, as mail servers do; at first soon, then about every hour.
MAIL_ATTEMPTS = 75
#: Sends a mail and returns what its server said; raises ``MailRefused`` or ``MailDelayed``. No transaction is open.
MailTransport = Callable[[Mail], str]
_TRANSPORT, _LINES = "crm_mail_transport", "crm_mail_lines"


def use_mail_transport(app: Flask, transport: MailTransport | None) -> None:
    """Let an application send its mails in another way than by the server of the settings; None takes that back."""
    app.extensions[_TRANSPORT] = transport


def mail_transport() -> MailTransport | None:
    """Return what sends mails, or None where the instance has no mail server."""
    found: MailTransport | None = current_app.extensions.get(_TRANSPORT)
    if found is not None:
        return found
    server = server_of(runtime_of(current_app).config)
    return None if server is None else partial(deliver, server=server, lines=_lines())


def can_send_mail() -> bool:
    """Say whether the instance can send mails; talks to nobody."""
    return mail_transport() is not None


def send_mail(mail: Mail) -> str:
    """Send a mail and return what the server said; for ``outside`` jobs: no transaction may be open.

    Raises:
        MailRefused: it can never be sent as it is.
        MailDelayed: it was not taken for now.
        CrmError: the instance has no mail server.
    """
    transport = mail_transport()
    if transport is None:
        raise CrmError(_("No mail can be sent: this instance has no mail server. Set mail_host and mail_sender."))
    return transport(mail)


def send_about(mail: Mail, record_type: str, uid: UUID) -> str:
    """Do the same, and note in the history of a record when the mail to it was refused for good.

    Raises:
        MailRefused, MailDelayed, CrmError: as ``send_mail``.
    """
    try:
        return send_mail(mail)
    except MailRefused as refused:
        record_access(
            SYSTEM,
            action="mail_refused",
            record_type=record_type,
            channel="job",
            record_uid=uid,
            details={"reason": str(refused)},
        )
        raise


def server_of(config: Config) -> MailServer | None:
    """Return the mail server of the settings, or None where they name none or nobody to send as."""
    if not config.mail_host or not config.mail_sender:
        return None
    return MailServer(
        host=config.mail_host,
        port=config.mail_port,
        encryption=config.mail_encryption,
        user=config.mail_user,
        password=config.mail_password,
        sender=Sender(config.mail_sender, config.mail_sender_name or config.company_name),
        timeout_seconds=config.mail_timeout_seconds,
    )


def hang_up(app: Flask) -> None:
    """Close the connections that an application keeps to its mail server; called when a process ends."""
    lines: Lines | None = app.extensions.get(_LINES)
    if lines is not None:
        lines.close()


def _lines() -> Lines:
    lines: Lines = current_app.extensions.setdefault(_LINES, Lines())
    return lines
