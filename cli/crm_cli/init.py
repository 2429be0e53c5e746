"""``crm init``: a new instance: its settings, its database, its roles, its first admin."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from crm_cli.common import confirm, dry_run_option, echo_json, json_option, message, progress, yes_option
from crm_kernel.config import DEFAULT_FILE, Config, load_config
from crm_kernel.errors import Conflict, CrmError, InvalidInput, NotFound


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the new instance is to be."""

    folder: Path
    settings: dict[str, Any]
    modules: tuple[str, ...]
    admin_email: str | None
    admin_name: str | None

    @property
    def file(self) -> Path:
        """The configuration file to write."""
        return self.folder / DEFAULT_FILE


@click.command("init")
@click.argument("folder", default=".", type=click.Path(file_okay=False, path_type=Path))
@click.option("--modules", default="", help="Modules to enable, comma-separated: sfa,bank.")
@click.option(
    "--database-url", default="sqlite:///crm.db", show_default=True, help="Or postgresql+psycopg://user@host/db."
)
@click.option("--admin-email", help="Address of the first administrator.")
@click.option("--admin-name", help="His name (default: the part of the address before @).")
@click.option("--company-name", default="CRM", show_default=True, help="Shown in the page header.")
@click.option(
    "--base-url", default="http://127.0.0.1:8000", show_default=True, help="Public address, for links in mails."
)
@click.option("--base-currency", default="USD", show_default=True, help="ISO 4217; cannot change once sales exist.")
@click.option("--default-region", default="US", show_default=True, help="ISO 3166; for phone numbers without prefix.")
@click.option("--timezone", default="UTC", show_default=True, help="Of users who chose none; an IANA name.")
@yes_option
@dry_run_option
@json_option
def init(
    folder: Path,
    modules: str,
    admin_email: str | None,
    admin_name: str | None,
    assume_yes: bool,
    dry_run: bool,
    as_json: bool,
    **settings: str,
) -> None:
    """Create an instance in FOLDER: crm.toml with a random secret, the database, roles and the first admin.

    The password of the first admin is made here and printed once. When a step fails, nothing is left behind.
    """
    names = tuple(name.strip() for name in modules.split(",") if name.strip())
    wanted = Wanted(folder.resolve(), settings, names, admin_email, admin_name)
    _check(wanted)
    if admin_email is None and not assume_yes and not dry_run and sys.stdin.isatty():
        wanted = replace(wanted, admin_email=click.prompt("E-mail of the first administrator", err=True))
    if dry_run:
        _show(wanted, None, as_json)
        message("Dry run: nothing was changed.")
        return
    if wanted.folder.is_dir() and any(wanted.folder.iterdir()) and sys.stdin.isatty():
        confirm(f"{wanted.folder} is not empty. Create the instance there?", assume_yes=assume_yes)
    _show(wanted, create_instance(wanted), as_json)


def create_instance(wanted: Wanted) -> str | None:
    """Create the instance; return the password that was made for its administrator, if there is one.

    Raises:
        CrmError: a step failed; the files that were written are removed again.
    """
    from crm_kernel._internal import lifecycle

    with _removed_on_failure(wanted):
        config = _write_config(wanted)
        with progress("Creating the instance", 3 + len(wanted.modules)) as advance:
            lifecycle.upgrade_database(config, [], report=lambda step: advance(1))
            if wanted.modules:
                lifecycle.enable(config, wanted.modules)
                advance(len(wanted.modules))
            password = _create_access(config, wanted)
            advance(2)
    return password


def _check(wanted: Wanted) -> None:
    from crm_kernel._internal.discovery import installed_plugins
    from crm_kernel.customers.values.emails import normalize_email
    from crm_kernel.customers.values.errors import ValueProblem

    if wanted.file.exists():
        raise Conflict(f"{wanted.file} exists already: this is an instance. See: crm doctor")
    installed = installed_plugins()
    for name in wanted.modules:
        if name not in installed:
            known = ", ".join(installed) or "none"
            raise NotFound(
                f"module {name}: no installed distribution provides it: install its wheel first. Installed: {known}"
            )
    if wanted.admin_email is not None:
        try:
            normalize_email(wanted.admin_email)
        except ValueProblem as problem:
            raise InvalidInput({"--admin-email": [problem.template.format(**problem.params)]}) from problem


def _write_config(wanted: Wanted) -> Config:
    try:
        wanted.folder.mkdir(parents=True, exist_ok=True)
        # Made readable for nobody else from the first byte: it holds the secret key, and perhaps a password.
        fd = os.open(wanted.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise CrmError(
            f"{error.filename or wanted.file}: {error.strerror}. Choose a folder that can be written"
        ) from error
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(config_text(wanted))
    return load_config(wanted.file)


def config_text(wanted: Wanted) -> str:
    """Return the content of crm.toml."""
    values = {"secret_key": secrets.token_urlsafe(48), **wanted.settings, "modules": list(wanted.modules)}
    lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in values.items()]
    secure = "true" if str(wanted.settings["base_url"]).startswith("https://") else "false"
    return "\n".join(
        [
            "# Settings of this instance; every one can also come from the environment: CRM_PORT=9000.",
            "# Keep this file to yourself: whoever has the secret key can log in as anybody.",
            *lines,
            "# Cookies are sent over https only; false is for a trial on this machine.",
            f"secure_cookies = {secure}",
            "",
        ]
    )


def _create_access(config: Config, wanted: Wanted) -> str | None:
    from crm_cli.users import new_password
    from crm_kernel.access import services
    from crm_kernel.access.actor import SYSTEM
    from crm_kernel.access.services.roles import ADMINISTRATOR
    from crm_kernel.app import create_app
    from crm_kernel.unit_of_work import writing

    password = new_password() if wanted.admin_email else None
    with create_app(config).app_context(), writing(SYSTEM, channel="cli") as uow:
        services.ensure_builtin_roles(uow)
        if wanted.admin_email:
            services.create_user(
                uow,
                email=wanted.admin_email,
                name=wanted.admin_name or wanted.admin_email.partition("@")[0],
                password=password,
                language=config.languages[0],
                timezone=config.timezone,
                roles=[ADMINISTRATOR],
            )
    return password


@contextmanager
def _removed_on_failure(wanted: Wanted) -> Iterator[None]:
    before = set(wanted.folder.iterdir()) if wanted.folder.is_dir() else None
    try:
        yield
    except BaseException:
        for path in set(wanted.folder.iterdir()) - (before or set()) if wanted.folder.is_dir() else ():
            if path.is_file():
                path.unlink()
        if before is None and wanted.folder.is_dir() and not any(wanted.folder.iterdir()):
            wanted.folder.rmdir()
        raise


def _show(wanted: Wanted, password: str | None, as_json: bool) -> None:
    if as_json:
        admin = {"email": wanted.admin_email, "password": password} if wanted.admin_email else None
        echo_json({"config": wanted.file, "modules": wanted.modules, "admin": admin, **wanted.settings})
        return
    click.echo(f"config: {wanted.file}")
    click.echo(f"database: {wanted.settings['database_url']}")
    click.echo(f"modules: {', '.join(wanted.modules) or 'none'}")
    if wanted.admin_email:
        click.echo(f"admin: {wanted.admin_email}")
        if password:
            click.echo(f"password: {password}")
            message("The password is not shown again; a new one: crm users reset-password")
    elif not as_json:
        message(
            "No administrator yet: crm users create EMAIL --role administrator (crm demo load makes one of its own)"
        )
