"""``crm doctor``'s look at the mail server: it answers, its certificate is right, it takes user and password."""

from __future__ import annotations

from flask import current_app
from flask_babel import lazy_gettext as _l

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.config import Config
from crm_kernel.contributions import Health, HealthCheck, HealthResult
from crm_kernel.errors import CrmError
from crm_kernel.mail.addresses import can_be_sender
from crm_kernel.mail.smtp import MailServer, tried
from crm_kernel.mail.transport import server_of

#: Longest time that a look takes, twice: connecting, and hanging up.
_SECONDS = 5.0
_HERE = ("localhost", "127.0.0.1", "::1")


def health_checks() -> list[HealthCheck]:
    """Return the check of the mail server."""
    return [HealthCheck(name="kernel.mail", label=_l("Mail server"), run=check_mail)]


def check_mail() -> HealthResult:
    """Say whether mails can be sent; talks to the mail server for ten seconds at most, sends nothing."""
    config = runtime_of(current_app).config
    server = server_of(config)
    if server is None:
        return _unset(config)
    if not can_be_sender(config.mail_sender):
        return HealthResult(
            Health.ERROR, f"mail_sender is {config.mail_sender!r}", "crm settings set mail_sender ADDRESS"
        )
    try:
        tried(server, seconds=_SECONDS)
    except CrmError as error:
        return HealthResult(Health.ERROR, str(error), "mend the settings that begin with mail_: crm settings list")
    return _found(server)


def _unset(config: Config) -> HealthResult:
    if config.mail_host:
        text = "mail_host is set and mail_sender is not: no mail is sent"
        return HealthResult(Health.WARNING, text, "crm settings set mail_sender ADDRESS")
    return HealthResult(Health.OK, "no mail server is set: no mail is sent")


def _found(server: MailServer) -> HealthResult:
    if server.encryption == "none" and server.host not in _HERE:
        text = f"{server.place} answers; mails and password go there in the clear"
        return HealthResult(Health.WARNING, text, "crm settings set mail_encryption starttls")
    return HealthResult(Health.OK, f"{server.place} answers")
