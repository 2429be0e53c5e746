"""Every setting there is, with its words: the kernel's and those of the loaded modules, and why some stay in the file."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import current_app
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.config import Config, kernel_fields
from crm_kernel.config_checks import MAIL_ENCRYPTIONS
from crm_kernel.contributions import Setting
from crm_kernel.errors import NotFound
from crm_kernel.records.names import ORDERS
from crm_kernel.stored_settings import checks

_EARLY = _l("It is needed before the database is read.")
_START = _l("It is read before the server starts.")
_TRUST = _l("It decides what is trusted: whoever runs the machine says it.")
_MACHINE = _l("It belongs to the machine.")

#: Settings of the kernel that stay in the file or the environment → why.
KEPT_IN_FILE: dict[str, Any] = {
    "database_url": _EARLY,
    "secret_key": _EARLY,
    "previous_secret_keys": _EARLY,
    "modules": _l("It is read once, when the instance is created; afterwards: crm modules."),
    "host": _START,
    "port": _START,
    "workers": _START,
    "threads": _START,
    "job_threads": _START,
    "jobs_engine": _START,
    "jobs_broker_url": _START,
    "files_dir": _MACHINE,
    "trusted_proxies": _TRUST,
    "secure_cookies": _TRUST,
    "outbound_trusted_networks": _TRUST,
    "outbound_ports": _TRUST,
    "base_currency": _l("It cannot change once sales exist."),
}
#: Settings of the kernel that may stand in the database → label, what it means.
WORDS: dict[str, tuple[Any, Any]] = {
    "company_name": (_l("Company name"), _l("Shown in the page header and in messages.")),
    "base_url": (_l("Public address"), _l("In links that leave the system. Passkeys are bound to its host: they do not work under another one.")),
    "live_url": (_l("Address of live news"), _l("Of the stream of crm live as browsers reach it: /live behind one proxy, else https://… Empty: pages ask every half minute only.")),
    "languages": (_l("Languages"), _l("Of the user interface, separated by commas; the first is the default.")),
    "timezone": (_l("Time zone"), _l("Of users who chose none; an IANA name such as Europe/Paris.")),
    "name_order": (_l("Names of people"), _l("In which order pages show them to users who chose none.")),
    "default_region": (_l("Region"), _l("ISO 3166 code that completes phone numbers written without a country prefix.")),
    "rate_days": (_l("Exchange rates hold for (days)"), _l("An older rate is not used to convert; 0: the last one holds until there is a newer one.")),
    "job_days": (_l("Keep jobs for (days)"), _l("Done and cancelled jobs are deleted after so many days.")),
    "session_days": (_l("Keep sessions for (days)"), _l("Sessions that have ended are deleted after so many days.")),
    "event_days": (_l("Keep events for (days)"), _l("Delivered events are deleted after so many days; rules cannot be replayed over what is gone.")),
    "parked_days": (_l("Keep parked deliveries for (days)"), _l("Deliveries that wait for a disabled module are cancelled after so many days.")),
    "rule_depth": (_l("Depth of rules"), _l("Events that may lead from what a person did to what an automation rule does.")),
    "rule_days": (
        _l("Keep the run log of rules for (days)"),
        _l("The run log of automation rules is deleted after so many days; what was done for an event, with the event."),
    ),
    "idempotency_hours": (_l("Keep answers to idempotency keys for (hours)"), _l("The answer to a request with an Idempotency-Key is kept and given again for so long.")),
    "webhook_failing_days": (_l("Switch failing webhooks off after (days)"), _l("A webhook is switched off after so many days of nothing but failures.")),
    "webhook_days": (_l("Keep webhook deliveries for (days)"), _l("Deliveries of webhooks and received messages are kept for so many days.")),
    "import_days": (_l("Keep the values of imports for (days)"), _l("Values of imported files are deleted after so many days: the import cannot be undone any more.")),
    "max_upload_mb": (_l("Largest file, in megabytes"), _l("Of those that can be attached.")),
    "user_files_mb": (_l("Files of one user, in megabytes"), ""),
    "files_mb": (_l("Files of all users, in megabytes"), ""),
    "mail_host": (_l("Mail server"), _l("Name of the server that takes the mails of the system; empty: none is sent. Who decides it reads the links in them.")),
    "mail_port": (_l("Port of the mail server"), _l("587 for starttls, 465 for tls, 25 for a server of one's own.")),
    "mail_encryption": (_l("Encryption to the mail server"), _l("starttls: before anything is said; tls: from the first byte; none: for a server on the same machine only.")),
    "mail_user": (_l("User at the mail server"), _l("Empty: no log-in.")),
    "mail_password": (_l("Password at the mail server"), ""),
    "mail_sender": (_l("Address of the sender"), _l("The address that mails come from; without one none is sent.")),
    "mail_sender_name": (_l("Name of the sender"), _l("Empty: the company name.")),
    "mail_timeout_seconds": (_l("Patience with the mail server, in seconds"), _l("For connecting, and again for handing over a mail.")),
}  # fmt: skip
_CHECKS: dict[str, Callable[[Any], None]] = {
    "company_name": checks.said,
    "base_url": checks.web_address,
    "live_url": checks.live_address,
    "languages": checks.known_languages,
    "timezone": checks.known_timezone,
    "default_region": checks.known_region,
    "mail_host": checks.host_name,
    "mail_sender": checks.sender_address,
    "mail_sender_name": checks.header_text,
}

_CHOICES: dict[str, tuple[str, ...]] = {"name_order": tuple(ORDERS), "mail_encryption": MAIL_ENCRYPTIONS}


@dataclass(frozen=True, slots=True)
class Declared:
    """One setting with its words and rules, whoever declares it."""

    name: str
    type: Any
    default: Any
    label: Any
    help: Any = ""
    secret: bool = False
    choices: tuple[Any, ...] = ()
    check: Callable[[Any], None] | None = None
    #: Why it cannot stand in the database; empty where it can.
    kept_in_file: Any = ""
    #: The module that declares it.
    module: str = "kernel"


def declared_settings() -> list[Declared]:
    """Return the kernel's settings, those that can be changed first, then the modules' in their order."""
    return [*_kernel(), *(_of_module(setting) for setting in runtime_of(current_app).registry.all("settings"))]


def declared_setting(name: str) -> Declared:
    """Return one setting.

    Raises:
        NotFound: neither the kernel nor a loaded module declares it.
    """
    found = next((setting for setting in declared_settings() if setting.name == name), None)
    if found is None:
        raise NotFound(_("No loaded module declares the setting %(name)s. See: crm settings list", name=name))
    return found


def _kernel() -> list[Declared]:
    types = kernel_fields()
    defaults = {field.name: field.default for field in dataclasses.fields(Config)}
    changeable = [
        Declared(
            name,
            types[name],
            defaults[name],
            label,
            text,
            secret=name in SECRET,
            choices=_CHOICES.get(name, ()),
            check=_CHECKS.get(name),
        )
        for name, (label, text) in WORDS.items()
    ]
    kept = [
        Declared(name, types[name], defaults[name], name, secret=name in SECRET, kept_in_file=why)
        for name, why in KEPT_IN_FILE.items()
    ]
    return [*changeable, *kept]


#: The kernel's settings whose value nobody is shown; addresses lose their password (``crm config show``).
SECRET = ("secret_key", "previous_secret_keys", "mail_password")


def _of_module(setting: Setting) -> Declared:
    return Declared(
        name=setting.name,
        type=setting.type,
        default=setting.default,
        label=setting.label,
        help=setting.help,
        secret=setting.secret,
        choices=setting.choices,
        check=setting.check,
        module=setting.name.partition(".")[0],
    )
