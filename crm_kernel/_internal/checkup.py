"""The checks of ``crm doctor`` and of the page "Health", and those that the kernel and the modules register.

Every check stands alone: what one finds is never the end of the others. Only the database is asked once for all: when it
does not answer, that is one finding, and what needs it is not checked.
"""

from __future__ import annotations

import shutil
import socket
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from crm_kernel.config import Config
from crm_kernel.errors import CrmError

if TYPE_CHECKING:
    from flask import Flask

#: The first patch of each Python version that refuses newlines in mail headers (CVE-2026-1299).
MAIL_HEADER_FIX = {(3, 11): 15, (3, 12): 13, (3, 13): 12, (3, 14): 3}
_LOW_DISK_BYTES = 500 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check: ``health`` is ``ok``, ``warning``, ``error``, or ``skipped`` when it could not be made."""

    name: str
    health: str
    message: str
    fix: str = ""


#: A check that needs the settings.
Check = Callable[[Config], Iterator[Finding]]


def findings(load: Callable[[], Config], *, app: Flask | None = None) -> list[Finding]:
    """Run every check and return what each found, in a lasting order; takes a second or two, needs no transaction.

    Args:
        load: reads the settings; what it refuses is a finding.
        app: a running application, whose registered checks are run; without one, one is built of what loads.
    """
    found = [python_version(sys.version_info[:3])]
    try:
        config = load()
    except CrmError as error:
        return [*found, Finding("settings", "error", str(error), "mend the file, or: crm init")]
    found.append(Finding("settings", "ok", config.source))
    checks = CHECKS if app is None else {**CHECKS, "registered checks": lambda _config: registered_in(app)}
    for name, check in checks.items():
        skipped = name in NEED_DATABASE and not _answers(found)
        found += [_not_checked(name)] if skipped else _isolated(name, check, config)
    return found


def _answers(found: Sequence[Finding]) -> bool:
    return any(finding.name == "database" and finding.health == "ok" for finding in found)


def _not_checked(name: str) -> Finding:
    return Finding(name, "skipped", "not checked: the database does not answer", "mend what “database” says first")


def python_version(version: Sequence[int]) -> Finding:
    """Check the interpreter: old patches let a newline into a mail header."""
    shown = ".".join(map(str, version))
    patch = MAIL_HEADER_FIX.get((version[0], version[1]))
    if patch is not None and version[2] < patch:
        fixed = f"{version[0]}.{version[1]}.{patch}"
        text = f"{shown} accepts newlines in mail headers (CVE-2026-1299); the CRM refuses them itself"
        return Finding("python", "warning", text, f"upgrade Python to {fixed}")
    return Finding("python", "ok", shown)


def _secret_key(config: Config) -> Iterator[Finding]:
    if not config.secret_key:
        yield Finding("secret key", "error", f"{config.place_of('secret_key')} is missing", "crm init writes one")
        return
    from crm_kernel._internal.sealed import is_guessable

    if is_guessable(config.secret_key):
        text = (
            f"{config.place_of('secret_key')} can be guessed: it has hardly a character that differs, or repeats itself"
        )
        yield Finding(
            "secret key", "error", text, "make one: python -c 'import secrets; print(secrets.token_urlsafe(48))'"
        )
        return
    file = Path(config.source)
    if file.is_file() and file.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        text = f"{file} can be read by other users of this machine"
        yield Finding("secret key", "warning", text, f"chmod 600 {file}")
    else:
        yield Finding("secret key", "ok", "set")


def _database(config: Config) -> Iterator[Finding]:
    from crm_kernel._internal.lifecycle import store

    with store.reading_rows(config) as connection:
        kind = connection.dialect.name
    yield Finding("database", "ok", f"{kind} answers")
    yield from _isolated("database writable", _writable, config)


def _writable(config: Config) -> Iterator[Finding]:
    from crm_kernel.migrations import running

    with running.migration_connection(config) as connection, connection.begin() as transaction:
        connection.exec_driver_sql("CREATE TABLE crm_doctor_probe (id INTEGER)")
        transaction.rollback()
    yield Finding("database writable", "ok", "yes")


def _migrations(config: Config) -> Iterator[Finding]:
    from crm_kernel._internal import migrations

    rows = migrations.status(config)
    late = [row for row in rows if row.state not in ("current", "empty", "orphaned", "unused")]
    for row in late:
        yield Finding("migrations", "error", f"{row.branch} is {row.state} (at {row.current or 'none'})", row.hint)
    if not late:
        yield Finding("migrations", "ok", f"{sum(row.state == 'current' for row in rows)} branches at their heads")


def _modules(config: Config) -> Iterator[Finding]:
    from crm_kernel._internal.lifecycle import module_states, stored_failure

    states = module_states(config)
    failed = [state for state in states if state.state == "failed"]
    for state in failed:
        ways = f"crm modules disable {state.name}, or crm serve --skip-failed"
        yield Finding("modules", "error", f"{state.name}: {state.reason}", ways)
    if not failed:
        loaded = [state.name for state in states if state.state == "loaded"]
        yield Finding("modules", "ok", f"loaded: {', '.join(loaded) or 'none'}")
    failure = stored_failure(config)
    if failure is not None:
        yield Finding(
            "modules", "error", f"the server could not take up the newest set: {failure['reason']}", "crm modules list"
        )


def _orphans(config: Config) -> Iterator[Finding]:
    from crm_kernel._internal.lifecycle import orphans, store

    with store.reading_rows(config) as connection:
        found = orphans(connection)
    for name, tables in found.items():
        text = f"{len(tables)} tables of {name} are kept, its code is gone"
        yield Finding("orphans", "warning", text, f"install the wheel of {name} again, or: crm modules purge {name}")
    if not found:
        yield Finding("orphans", "ok", "none")


def _dead_letters(config: Config) -> Iterator[Finding]:
    import sqlalchemy as sa

    from crm_kernel._internal.lifecycle import store
    from crm_kernel.jobs.models import JobRow, JobState

    if _kernel_is_behind(config):
        yield _without_tables("dead letters")
        return
    with store.reading_rows(config) as connection:
        dead = connection.execute(
            sa.select(sa.func.count()).where(JobRow.state == sa.literal_column(str(int(JobState.DEAD))))
        ).scalar_one()
    if dead:
        yield Finding("dead letters", "warning", f"{dead} deliveries or jobs gave up", "crm jobs list --state dead")
    else:
        yield Finding("dead letters", "ok", "none")


def _sealed(config: Config) -> Iterator[Finding]:
    from crm_kernel._internal.lifecycle import store
    from crm_kernel._internal.sealed import kept_secrets
    from crm_kernel.records.sealing import keys_of

    if _kernel_is_behind(config):
        yield _without_tables("encrypted values")
        return
    with store.reading_rows(config) as connection:
        found = kept_secrets(connection, keys_of(config))
    for kept in found:
        if kept.unreadable:
            text = f"{kept.unreadable} of {kept.total} {kept.what} were encrypted with another secret_key"
            yield Finding(
                "encrypted values",
                "error",
                text,
                f"put the secret_key back as it was, or the one before into previous_secret_keys; else: {kept.fix}",
            )
    if not any(kept.unreadable for kept in found):
        yield Finding("encrypted values", "ok", f"{sum(kept.total for kept in found)} can be read")


def _disk(config: Config) -> Iterator[Finding]:
    path = (
        Path(config.database_url.removeprefix("sqlite:///")) if config.database_url.startswith("sqlite") else Path.cwd()
    )
    folder = path if path.is_dir() else path.parent
    free = shutil.disk_usage(folder).free
    health = "ok" if free > _LOW_DISK_BYTES else "error"
    yield Finding(
        "disk", health, f"{free // (1024 * 1024)} MB free in {folder}", "" if health == "ok" else "free some space"
    )


def _port(config: Config) -> Iterator[Finding]:
    with socket.socket() as probe:
        probe.settimeout(1)
        taken = probe.connect_ex((config.host, config.port)) == 0
    text = f"{config.host}:{config.port} " + ("answers: a server runs there" if taken else "is free")
    yield Finding("port", "ok", text)


def _registered(config: Config) -> Iterator[Finding]:
    """Run the checks of the kernel and the modules that load; the others are findings of ``modules``."""
    from crm_kernel._internal.lifecycle import store
    from crm_kernel._internal.lifecycle.inspection import inspect_modules
    from crm_kernel.app import create_app

    if _kernel_is_behind(config):
        yield _without_tables("registered checks")
        return
    with store.reading_rows(config) as connection:
        enabled = [row.name for row in store.stored_modules(connection).values() if row.state == "enabled"]
    # Only what loads in a child process is loaded here: a plugin that ends its interpreter must not end ours.
    sound = inspect_modules(config, enabled).loaded if enabled else ()
    yield from registered_in(create_app(config, modules=sound, skip_failed=True))


def registered_in(app: Flask) -> Iterator[Finding]:
    """Run the checks that the kernel and the modules of an application register."""
    for check in app.extensions["crm"].registry.all("health_checks"):
        try:
            with app.app_context():
                result = check.run()
            yield Finding(check.name, str(result.health), result.message, result.fix)
        except Exception as error:  # a module's check may fail in any way
            yield Finding(check.name, "error", f"the check itself failed: {type(error).__name__}: {error}")


def _kernel_is_behind(config: Config) -> bool:
    from crm_kernel._internal import migrations

    return migrations.status(config)[0].state != "current"


def _without_tables(name: str) -> Finding:
    return Finding(name, "skipped", "not checked: the kernel's tables are not at their head", "crm db upgrade")


#: The checks that need settings, in the order they are shown.
CHECKS: dict[str, Check] = {
    "secret key": _secret_key,
    "database": _database,
    "migrations": _migrations,
    "modules": _modules,
    "orphans": _orphans,
    "dead letters": _dead_letters,
    "encrypted values": _sealed,
    "disk": _disk,
    "port": _port,
    "registered checks": _registered,
}
#: Those that are not made while the database does not answer.
NEED_DATABASE = frozenset({"migrations", "modules", "orphans", "dead letters", "encrypted values", "registered checks"})


def _isolated(name: str, check: Check, config: Config) -> list[Finding]:
    found: list[Finding] = []
    try:
        found.extend(check(config))
    except CrmError as error:
        found.append(Finding(name, "error", str(error)))
    except Exception as error:  # doctor must report what it cannot check, whatever it is
        found.append(Finding(name, "error", f"could not be checked: {type(error).__name__}: {error}"))
    return found
