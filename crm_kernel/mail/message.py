"""What a mail is, as the parts of the kernel write it, and what it is on the wire.

No header takes a control character: an older Python lets a newline begin a header of its own (CVE-2026-1299).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from typing import ClassVar

from flask_babel import gettext as _

from crm_kernel.database import utcnow
from crm_kernel.errors import N_, CrmError
from crm_kernel.jobs.handlers import Undeliverable
from crm_kernel.mail.addresses import can_be_sender, has_controls, needs_utf8, parted

#: A mail is 7-bit on the wire, whatever its text: no server has to offer more.
_ASCII = policy.SMTP.clone(cte_type="7bit")
_UTF8 = policy.SMTPUTF8.clone(cte_type="7bit")


class MailRefused(CrmError, Undeliverable):
    """A mail can never be sent as it is, or the server says so: trying again would not help, its job is a dead letter."""

    status: ClassVar[int] = 422
    title: ClassVar[str] = N_("Mail refused")


class MailDelayed(CrmError):
    """A mail was not taken for now: nobody answered, or the server asks to come again; its job tries later."""

    status: ClassVar[int] = 502
    title: ClassVar[str] = N_("Mail not sent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One mail to one person."""

    recipient: str
    subject: str
    text: str
    #: What it is about, so that trying again sends the same mail and not a second one: it becomes the Message-ID.
    key: str
    #: The same as HTML, where there is any.
    html: str = ""


@dataclass(frozen=True, slots=True)
class Sender:
    """Whom a mail is from."""

    address: str
    name: str = ""


def on_the_wire(address: str) -> str:
    """Return an address as the server is told it: its domain as name servers know it.

    Raises:
        MailRefused: it is no address.
    """
    parts = parted(address)
    if parts is None:
        raise MailRefused(_("No mail can be sent to an address that is written so."))
    return "@".join(parts)


def composed(mail: Mail, sender: Sender) -> bytes:
    """Return the mail as it is handed over, its lines ended by CR LF.

    Raises:
        MailRefused: the recipient or the subject cannot stand in a header, or the text is not Unicode.
        MailDelayed: the sender cannot; that is a matter of settings, and nobody's mail is to be lost by it.
    """
    sent_by = _checked(sender)
    rules = _UTF8 if needs_utf8(mail.recipient) else _ASCII
    message = EmailMessage(policy=rules)
    try:
        for name, value in _headers(mail, sent_by).items():
            message[name] = value
        message.set_content(mail.text, cte="quoted-printable")
        if mail.html:
            message.add_alternative(mail.html, subtype="html", cte="quoted-printable")
        return message.as_bytes()
    except (ValueError, LookupError) as error:  # what headers and encodings of the standard library raise
        raise MailRefused(_("This mail cannot be written: %(error)s", error=type(error).__name__)) from error


def _checked(sender: Sender) -> Address:
    parts = parted(sender.address)
    if parts is None or not can_be_sender(sender.address) or has_controls(sender.name):
        message = _(
            "Nothing can be sent as %(sender)s: mend mail_sender, such as crm@example.com, and mail_sender_name."
        )
        raise MailDelayed(message % {"sender": repr(sender.address)})
    return Address(sender.name, *parts)


def _headers(mail: Mail, sender: Address) -> dict[str, object]:
    to_local, _at, to_domain = on_the_wire(mail.recipient).rpartition("@")
    return {
        "From": sender,
        "To": Address("", to_local, to_domain),
        "Subject": _plain(mail.subject),
        "Date": utcnow(),
        "Message-ID": f"<{hashlib.sha256(mail.key.encode()).hexdigest()[:32]}@{sender.domain}>",
        # Absence notes and other machines answer people only (RFC 3834).
        "Auto-Submitted": "auto-generated",
    }


def _plain(text: str) -> str:
    if has_controls(text):
        raise MailRefused(_("A line break or another control character has no place in the head of a mail."))
    return text
