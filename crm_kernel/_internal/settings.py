"""Lays the settings that stand in the database over the configuration, and checks those of the loaded plugins.

Precedence: environment, database, file, default. A value in the database that no longer fits (a module has changed its
declaration, the ``secret_key`` is another one) is left out with a warning and the file counts: who mends it needs a server.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from crm_kernel._internal.modules import SettingRow, missing_file
from crm_kernel._internal.runtime import Runtime
from crm_kernel.config import Config, convert, kernel_fields
from crm_kernel.config_checks import check_config
from crm_kernel.database import READ_ONLY, make_engine
from crm_kernel.errors import ConfigError, DatabaseUnavailable
from crm_kernel.records.sealing import keys_of, unseal_with

log = logging.getLogger("crm.config")

#: Beginning of the rows of ``setting`` that hold a setting's value; the others are the kernel's own marks.
ROWS = "value:"

#: The row that keeps the key of digests apart, sealed; no setting, so that nobody changes it.
DIGEST_SECRET = "digest_secret"

#: The kernel's settings that may stand in the database. What is not here decides about the machine or is needed before
#: the database is read: crm_kernel.stored_settings.declared says why.
IN_DATABASE = (
    "company_name", "base_url", "live_url", "languages", "timezone", "name_order", "default_region", "rate_days", "job_days",
    "session_days", "event_days", "parked_days", "rule_depth", "rule_days", "idempotency_hours", "webhook_failing_days", "webhook_days", "import_days",
    "max_upload_mb", "user_files_mb", "files_mb",
    "mail_host", "mail_port", "mail_encryption", "mail_user", "mail_password", "mail_sender", "mail_sender_name",
    "mail_timeout_seconds",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stored:
    """A setting as its row keeps it: a JSON value, or a sealed text, since when and by whom."""

    value: Any
    sealed: bool = False
    at: str = ""
    by: str = ""


def stored_settings(config: Config) -> dict[str, Stored]:
    """Return name → row of every setting in the database; nothing where there is none yet.

    Raises:
        DatabaseUnavailable: the database cannot be reached.
    """
    if missing_file(config) is not None:
        return {}
    engine = make_engine(config.database_url)
    try:
        with engine.connect().execution_options(**{READ_ONLY: True}) as connection:
            if not sa.inspect(connection).has_table(SettingRow.__tablename__):
                return {}
            return read_settings(connection)
    except sa.exc.SQLAlchemyError as error:
        reason = " ".join(str(getattr(error, "orig", error)).split())
        raise DatabaseUnavailable(f"{config.place_of('database_url')}: {reason}") from error
    finally:
        engine.dispose()


def read_settings(connection: sa.Connection) -> dict[str, Stored]:
    """Return name → row of every setting in the database; one query."""
    wanted = sa.select(SettingRow.name, SettingRow.value).where(SettingRow.name.startswith(ROWS, autoescape=True))
    return {row.name.removeprefix(ROWS): Stored(**row.value) for row in connection.execute(wanted)}


def laid_over(config: Config, stored: Mapping[str, Stored]) -> Config:
    """Return the configuration with the kernel's settings of the database, where no environment variable decides."""
    for name in IN_DATABASE:
        if name in stored and not config.in_environment(name):
            try:
                config = with_value(config, name, opened(name, stored[name], keys_of(config)))
            except ConfigError as error:
                log.warning("the setting in the database is not used: %s", error)
    return config


def with_value(config: Config, name: str, raw: Any) -> Config:
    """Return the configuration with one of the kernel's settings as it stands, or is to stand, in the database.

    Raises:
        ConfigError: the value does not fit.
    """
    changed = config.replace(from_database=(*config.from_database, name))
    changed = changed.replace(**{name: convert(raw, kernel_fields()[name], changed.place_of(name))})
    check_config(changed)
    return changed


def opened(name: str, row: Stored, keys: Sequence[str]) -> Any:
    """Return the value of a row, unsealed.

    Raises:
        ConfigError: it was sealed with another ``secret_key``.
    """
    if not row.sealed:
        return row.value
    try:
        return unseal_with(keys, str(row.value), bound_to=seal_of(name)).decode()
    except ValueError as error:
        raise ConfigError(
            f"{name} in the database: encrypted with another secret_key. Set it again: crm settings set {name}"
        ) from error


def digest_secret(config: Config, stored: Mapping[str, Stored]) -> str:
    """Return the key of digests: the one kept apart, else the oldest of the previous keys, else ``secret_key``.

    So it is the same before, while and after ``secret_key`` is replaced. One kept apart that cannot be opened is not used:
    older suppressions then recognise nobody, and ``crm doctor`` says so.
    """
    if DIGEST_SECRET in stored:
        try:
            return str(opened(DIGEST_SECRET, stored[DIGEST_SECRET], keys_of(config)))
        except ConfigError:
            log.error("the key of digests was encrypted with another secret_key: see crm doctor")
    return (config.secret_key, *config.previous_secret_keys)[-1]


def seal_of(name: str) -> tuple[str, str]:
    """Return what a secret setting's text is bound to: no other setting can be given it."""
    return ("setting", name)


def plugin_settings(runtime: Runtime, stored: Mapping[str, Stored] | None = None) -> dict[str, Any]:
    """Return setting name → typed value, defaults included.

    A section of a module that is not loaded is kept inert with a warning: disabling must not break the start.

    Raises:
        ConfigError: a loaded plugin does not know the setting, or the value is of the wrong type.
    """
    declared = {setting.name: setting for setting in runtime.registry.all("settings")}
    values = {name: setting.default for name, setting in declared.items()}
    for plugin, section in runtime.config.plugin_settings.items():
        if plugin not in runtime.manager.names:
            log.warning("settings of [%s] in %s are not used: the module is not loaded", plugin, runtime.config.source)
            continue
        for key, raw in section.items():
            name = f"{plugin}.{key}"
            if name not in declared:
                known = ", ".join(sorted(n for n in declared if n.startswith(f"{plugin}."))) or "none"
                raise ConfigError(f"{runtime.config.place_of(name)}: unknown setting; known: {known}")
            values[name] = convert(raw, declared[name].type, runtime.config.place_of(name))
    return {**values, **_of_database(runtime, declared, stored or {})}


def _of_database(runtime: Runtime, declared: Mapping[str, Any], stored: Mapping[str, Stored]) -> dict[str, Any]:
    found = {}
    for name in declared.keys() & stored.keys():
        if runtime.config.in_environment(name):
            continue
        try:
            raw = opened(name, stored[name], keys_of(runtime.config))
            found[name] = convert(raw, declared[name].type, f"{name} in the database")
        except ConfigError as error:
            log.warning("the setting in the database is not used: %s", error)
    return found
