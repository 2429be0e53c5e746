"""Which settings of the right type make no sense, by themselves or beside others."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from crm_kernel.errors import ConfigError
from crm_kernel.mail.addresses import can_be_sender, has_controls

if TYPE_CHECKING:
    from crm_kernel.config import Config

_MEGABYTES = ("max_upload_mb", "user_files_mb", "files_mb")
#: The orders in which the names of people may be shown; ``records.names`` says what each is called.
NAME_ORDERS = ("given-first", "family-first", "by-language")
#: Most events that may lead to what a rule does: jobs further on are dead letters (``jobs.handlers``), before a rule says why it stops.
MOST_RULE_DEPTH = 7
#: How the mail server may be talked to.
MAIL_ENCRYPTIONS = ("starttls", "tls", "none")
#: Settings that are numbers of something: none of it would be no setting.
_AT_LEAST_ONE = (
    "job_threads",
    "job_days",
    "session_days",
    "event_days",
    "parked_days",
    "rule_depth",
    "rule_days",
    "import_days",
    "idempotency_hours",
    "webhook_failing_days",
    "webhook_days",
    "mail_timeout_seconds",
)


def check_config(config: Config) -> None:
    """Refuse values that are of the right type and make no sense.

    Raises:
        ConfigError: naming the setting, where it stands, what was found and what is expected.
    """
    if config.secret_key and len(config.secret_key) < 32:
        raise ConfigError(f"{config.place_of('secret_key')}: {len(config.secret_key)} characters, expected at least 32")
    if any(len(key) < 32 for key in config.previous_secret_keys):
        raise ConfigError(f"{config.place_of('previous_secret_keys')}: expected keys of at least 32 characters")
    for setting in ("port", "mail_port"):
        if not 0 < getattr(config, setting) < 65536:
            raise ConfigError(f"{config.place_of(setting)}: found {getattr(config, setting)}, expected 1 to 65535")
    if config.trusted_proxies < 0:
        raise ConfigError(
            f"{config.place_of('trusted_proxies')}: found {config.trusted_proxies}, expected 0 (nobody is believed) or "
            "the number of proxies in front"
        )
    if config.jobs_engine not in ("embedded", "celery"):
        raise ConfigError(
            f"{config.place_of('jobs_engine')}: found {config.jobs_engine!r}, expected embedded or celery"
        )
    if config.jobs_engine == "celery" and not config.jobs_broker_url:
        raise ConfigError(f"{config.place_of('jobs_broker_url')}: missing, expected the broker, for example amqp://…")
    for setting in (*_AT_LEAST_ONE, *_MEGABYTES):
        if getattr(config, setting) < 1:
            raise ConfigError(f"{config.place_of(setting)}: found {getattr(config, setting)}, expected 1 or more")
    if config.rule_depth > MOST_RULE_DEPTH:
        raise ConfigError(
            f"{config.place_of('rule_depth')}: found {config.rule_depth}, expected at most {MOST_RULE_DEPTH}: what comes "
            "after longer chains of events is a dead letter"
        )
    if config.rate_days < 0:
        raise ConfigError(f"{config.place_of('rate_days')}: found {config.rate_days}, expected 0 (any age) or days")
    if config.name_order not in NAME_ORDERS:
        raise ConfigError(
            f"{config.place_of('name_order')}: found {config.name_order!r}, expected one of {', '.join(NAME_ORDERS)}"
        )
    _check_mail(config)
    _check_outbound(config)
    if not config.languages:
        raise ConfigError(f"{config.place_of('languages')}: empty, expected at least one")


def _check_mail(config: Config) -> None:
    if config.mail_encryption not in MAIL_ENCRYPTIONS:
        known = ", ".join(MAIL_ENCRYPTIONS)
        raise ConfigError(
            f"{config.place_of('mail_encryption')}: found {config.mail_encryption!r}, expected one of {known}"
        )
    if config.mail_sender and not can_be_sender(config.mail_sender):
        raise ConfigError(
            f"{config.place_of('mail_sender')}: found {config.mail_sender!r}, expected an address alone such as "
            "crm@example.com (its name is mail_sender_name)"
        )
    # Without a name of its own, the sender is called as the company.
    for setting in ("mail_sender_name", "company_name"):
        if has_controls(getattr(config, setting)):
            found = getattr(config, setting)
            raise ConfigError(f"{config.place_of(setting)}: found {found!r}, expected a name on one line")


def _check_outbound(config: Config) -> None:
    for port in config.outbound_ports:
        if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise ConfigError(f"{config.place_of('outbound_ports')}: found {port!r}, expected numbers from 1 to 65535")
    for network in config.outbound_trusted_networks:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise ConfigError(
                f"{config.place_of('outbound_trusted_networks')}: {error}; expected such as 10.1.0.0/16"
            ) from error
