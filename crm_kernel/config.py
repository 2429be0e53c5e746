"""Typed settings from ``crm.toml`` and the environment; an unknown key is an error that names the key and its file.

Order of precedence: environment (``CRM_DATABASE_URL``, ``CRM_SFA__ROTTING_DAYS``), database, file, default. What stands
in the database (``crm settings``) is laid over this when an application is built: ``crm_kernel._internal.settings``.
"""

from __future__ import annotations

import dataclasses
import os
import tomllib
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crm_kernel.config_checks import check_config
from crm_kernel.errors import ConfigError

#: Where the configuration is looked for unless ``--config`` or ``CRM_CONFIG`` says otherwise.
DEFAULT_FILE = "crm.toml"
_PREFIX = "CRM_"
#: Environment variables that other tools of the project read.
_FOREIGN = ("CRM_CONFIG", "CRM_DEBUG", "CRM_TEST_", "CRM_SHARED_DATA", "CRM_BENCH_")
#: Fields of ``Config`` that are no settings.
NO_SETTINGS = ("plugin_settings", "source", "overruled_by", "from_database")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The kernel's settings; those of plugins are in ``plugin_settings``, checked when the plugins are loaded."""

    #: ``sqlite:///relative.db``, ``sqlite:////absolute.db`` or ``postgresql+psycopg://user@host/name``.
    database_url: str = "sqlite:///crm.db"
    #: Signs cookies and links: at least 32 random characters; ``crm init`` writes one.
    secret_key: str = ""
    #: Keys that it replaced, the newest first: still read with, never written with (``crm secrets rotate``).
    previous_secret_keys: tuple[str, ...] = ()
    #: Modules an instance may use when it is created; afterwards the table ``module`` is the truth.
    modules: tuple[str, ...] = ()
    #: Address ``crm serve`` listens on; 0.0.0.0 for every interface.
    host: str = "127.0.0.1"
    #: TCP port it listens on.
    port: int = 8000
    #: Processes that answer requests.
    workers: int = 2
    #: Threads in each of them.
    threads: int = 4
    #: Public address in links that leave the process; never taken from a request's Host header.
    base_url: str = ""
    #: Proxies of one's own in front of the server: so many of the last ``X-Forwarded-*`` entries are believed. 0: none is.
    trusted_proxies: int = 0
    #: Whether cookies are sent over https only; off for a trial on localhost.
    secure_cookies: bool = True
    #: Name shown in the page header and in messages.
    company_name: str = "CRM"
    #: Languages of the user interface, the first is the default.
    languages: tuple[str, ...] = ("en", "fr")
    #: IANA name of the time zone of users who chose none.
    timezone: str = "UTC"
    #: In which order pages show the names of people to users who chose none: ``given-first``, ``family-first``, ``by-language``.
    name_order: str = "given-first"
    #: ISO 3166 code that completes phone numbers written without a country prefix.
    default_region: str = "US"
    #: ISO 4217 code of the currency all base amounts are in; cannot change once sales exist.
    base_currency: str = "USD"
    #: Days beyond which an exchange rate is too old to convert with; 0: the last one holds until there is a newer one.
    rate_days: int = 0
    #: What does background jobs: ``embedded`` (``crm worker`` by itself) or ``celery`` (through a broker; extra ``celery``).
    jobs_engine: str = "embedded"
    #: The broker of Celery: ``amqp://user:password@host:5672//`` or ``redis://host:6379/0``.
    jobs_broker_url: str = ""
    #: Jobs that one ``crm worker`` does at a time.
    job_threads: int = 2
    #: Days after which done and cancelled jobs are deleted.
    job_days: int = 30
    #: Days after which delivered events are deleted; rules cannot be replayed over what is gone.
    event_days: int = 400
    #: Events that may lead from what a person did to what an automation rule does; beyond, rules that feed each other stop.
    #: At most 7.
    rule_depth: int = 3
    #: Days after which the run log of automation rules is deleted.
    rule_days: int = 90
    #: Days for which sessions that have ended are kept.
    session_days: int = 90
    #: Days after which deliveries that wait for a disabled module are cancelled.
    parked_days: int = 180
    #: Address of the stream of ``crm live`` as browsers reach it: ``/live`` behind one proxy, else ``https://…``. Empty: pages
    #: ask every half minute only.
    live_url: str = ""
    #: Folder of attached files, from the folder of ``crm.toml``; all machines of an instance share it.
    files_dir: str = "files"
    #: Megabytes of the largest file that can be attached.
    max_upload_mb: int = 25
    #: Megabytes of files that one user can attach.
    user_files_mb: int = 2_000
    #: Megabytes of files that the instance keeps.
    files_mb: int = 20_000
    #: Hours for which the answer to a request with an ``Idempotency-Key`` is kept and given again.
    idempotency_hours: int = 24
    #: Networks of one's own that requests to foreign addresses (webhooks) may reach: ``10.1.0.0/16``. Everything else that
    #: is not public is refused; plain http and any port are taken there only.
    outbound_trusted_networks: tuple[str, ...] = ()
    #: TCP ports that such requests may use in the public internet.
    outbound_ports: tuple[str, ...] = ("443", "8443")
    #: Days of nothing but failures after which a webhook is switched off.
    webhook_failing_days: int = 5
    #: Days for which deliveries of webhooks and received messages are kept.
    webhook_days: int = 30
    #: The server that takes the mails of the system; empty: none is sent.
    mail_host: str = ""
    #: Its TCP port: 587 for ``starttls``, 465 for ``tls``, 25 for a server of one's own.
    mail_port: int = 587
    #: ``starttls``, ``tls`` (from the first byte) or ``none``.
    mail_encryption: str = "starttls"
    #: Whom to log in as; empty: nobody.
    mail_user: str = ""
    #: With what.
    mail_password: str = ""
    #: The address that mails come from; without one none is sent.
    mail_sender: str = ""
    #: The name beside it; empty: that of the company.
    mail_sender_name: str = ""
    #: Seconds for connecting to the mail server, and again for handing over a mail.
    mail_timeout_seconds: int = 20
    #: Days after which values of imported files are deleted: an import cannot be undone any more.
    import_days: int = 30
    #: Settings of plugins as found: plugin → setting → raw value.
    plugin_settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    #: The file it was read from, for messages.
    source: str = "defaults"
    #: Environment variables that overrule the file, for messages.
    overruled_by: tuple[str, ...] = ()
    #: Settings whose value stands in the database, for messages.
    from_database: tuple[str, ...] = ()

    def replace(self, **changes: Any) -> Config:
        """Return a copy with some settings changed."""
        return dataclasses.replace(self, **changes)

    def place_of(self, setting: str) -> str:
        """Return the setting with where its value comes from: ``port in crm.toml``, ``CRM_PORT in the environment``.

        A module's setting is named in full: ``toybank.default_risk``.
        """
        if self.in_environment(setting):
            return f"{variable_of(setting)} in the environment"
        return f"{setting} in {'the database' if setting in self.from_database else self.source}"

    def in_environment(self, setting: str) -> bool:
        """Say whether an environment variable decides about a setting, whatever file and database say."""
        return variable_of(setting) in self.overruled_by


def variable_of(setting: str) -> str:
    """Return the environment variable of a setting: ``CRM_PORT``, ``CRM_SFA__ROTTING_DAYS``."""
    return _PREFIX + setting.replace(".", "__").upper()


def find_config(explicit: str | Path | None = None, environ: Mapping[str, str] | None = None) -> Path | None:
    """Return the configuration file to read, or None when there is none.

    Raises:
        ConfigError: the file that was asked for does not exist.
    """
    environ = os.environ if environ is None else environ
    asked = explicit or environ.get("CRM_CONFIG")
    path = Path(asked or DEFAULT_FILE)
    if path.is_file():
        return path.resolve()
    if asked:
        raise ConfigError(f"{path}: no such file. Create an instance with: crm init")
    return None


def load_config(path: str | Path | None = None, environ: Mapping[str, str] | None = None) -> Config:
    """Read the settings; a relative SQLite file is resolved against the configuration file's folder.

    Raises:
        ConfigError: unreadable file, unknown key, wrong type or invalid value, named with its source.
    """
    environ = os.environ if environ is None else environ
    file = find_config(path, environ)
    values, plugins = _from_file(file) if file else ({}, {})
    overruled_by = _overlay_environment(values, plugins, environ)
    source = str(file) if file else "environment"
    config = Config(**values, plugin_settings=plugins, source=source, overruled_by=overruled_by)
    check_config(config)
    home = file.parent if file else Path.cwd()
    return config.replace(
        database_url=_anchored(config.database_url, file), files_dir=(home / config.files_dir).as_posix()
    )


def convert(value: Any, kind: Any, place: str) -> Any:
    """Return a raw setting, found at a ``place_of``, as its type: text from the environment or a TOML value.

    Raises:
        ConfigError: it does not fit; the text names the key, what was found and what is expected.
    """
    if typing.get_origin(kind) is tuple:
        items = [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
        if isinstance(items, list | tuple) and all(isinstance(item, str) for item in items):
            return tuple(items)
    elif kind is bool:
        known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
        found = value if isinstance(value, bool) else known.get(str(value).lower())
        if found is not None:
            return found
    elif kind in (int, float) and not isinstance(value, bool):
        try:
            return kind(value)
        except (TypeError, ValueError):
            pass
    elif kind is str and isinstance(value, str):
        return value
    expected = "a list of texts" if typing.get_origin(kind) is tuple else getattr(kind, "__name__", str(kind))
    raise ConfigError(f"{place}: found {value!r}, expected {expected}")


def kernel_fields() -> dict[str, Any]:
    """Return the kernel's settings with their types."""
    hints = typing.get_type_hints(Config)
    return {name: hint for name, hint in hints.items() if name not in NO_SETTINGS}


def _from_file(file: Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    try:
        raw = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{file}: {error}") from error
    fields = kernel_fields()
    plugins = {key: value for key, value in raw.items() if isinstance(value, dict)}
    plain = {key: value for key, value in raw.items() if not isinstance(value, dict)}
    unknown = sorted(plain.keys() - fields.keys())
    if unknown:
        raise ConfigError(f"{file}: unknown key {unknown[0]!r}; known: {', '.join(sorted(fields))}")
    return {key: convert(value, fields[key], f"{key} in {file}") for key, value in plain.items()}, plugins


def _overlay_environment(
    values: dict[str, Any], plugins: dict[str, dict[str, Any]], environ: Mapping[str, str]
) -> tuple[str, ...]:
    fields, read = kernel_fields(), []
    for variable, text in sorted(environ.items()):
        if not variable.startswith(_PREFIX) or variable.startswith(_FOREIGN):
            continue
        key = variable.removeprefix(_PREFIX).lower()
        plugin, separator, setting = key.partition("__")
        if separator:
            plugins.setdefault(plugin, {})[setting] = text
        elif key in fields:
            values[key] = convert(text, fields[key], f"{variable} in the environment")
        else:
            raise ConfigError(f"{variable} in the environment: unknown setting; known: {', '.join(sorted(fields))}")
        read.append(variable)
    return tuple(read)


def _anchored(url: str, file: Path | None) -> str:
    relative = url.removeprefix("sqlite:///")
    if relative == url or relative.startswith("/") or relative in ("", ":memory:"):
        return url
    # Left relative, Flask-SQLAlchemy would look in Flask's instance folder and everybody else in the current one.
    return f"sqlite:///{((file.parent if file else Path.cwd()) / relative).as_posix()}"
