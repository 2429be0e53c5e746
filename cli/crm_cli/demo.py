"""``crm demo``: a believable company to look at, from the parts that the kernel and the modules contribute."""

from __future__ import annotations

import datetime as dt
import json
import os
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import click

from crm_cli.common import (
    Instance,
    confirm,
    dry_run_option,
    echo_json,
    instance_options,
    json_option,
    message,
    progress,
    yes_option,
)
from crm_kernel.errors import CrmError, NotFound

if TYPE_CHECKING:
    from flask import Flask

    from crm_kernel.config import Config

#: The account that ``demo load`` makes; its password is random and stands in ``LOGIN_FILE``.
EMAIL = "admin@demo.example"
LOGIN_FILE = "demo-login.json"


@click.group("demo")
def demo() -> None:
    """Fill the instance with a demo company and show how to log in to it."""


@demo.command("load")
@click.option("--seed", default=20260101, show_default=True, help="The same seed gives the same company.")
@click.option("--today", type=click.DateTime(["%Y-%m-%d"]), help="The day the company's history ends (default: today).")
@yes_option
@dry_run_option
@json_option
@instance_options
def load(
    instance: Instance, seed: int, today: dt.datetime | None, assume_yes: bool, dry_run: bool, as_json: bool
) -> None:
    """Load the demo data of the kernel and the enabled modules, each part in a unit of work of its own.

    A part that was loaded already is left out, so a second run after an interruption goes on where the first ended.
    """
    config = instance.config()
    if not dry_run:
        confirm(f"Load invented customers into {config.source}?", assume_yes=assume_yes)
    now = today.replace(hour=12, tzinfo=dt.UTC) if today else dt.datetime.now(dt.UTC)
    parts = load_parts(instance.app(), seed=seed, now=now, dry_run=dry_run)
    login = None if dry_run else _ensure_login(instance, config)
    if as_json:
        echo_json({"parts": parts, "login": login})
    else:
        for name, state in parts.items():
            click.echo(f"{name}: {state}")
    message("Dry run: nothing was changed." if dry_run else "Loaded. How to log in: crm demo show")


@demo.command("show")
@json_option
@instance_options
def show(instance: Instance, as_json: bool) -> None:
    """Show the address and the log-in of the demo company."""
    config = instance.config()
    file = _login_file(config)
    if not file.is_file():
        raise NotFound(f"{file}: no demo company here. Load one: crm demo load")
    login = json.loads(file.read_text(encoding="utf-8"))
    if as_json:
        echo_json(login)
        return
    click.echo(f"  address    {login['url']}")
    click.echo(f"  e-mail     {login['email']}")
    click.echo(f"  password   {login['password']}")


def load_parts(app: Flask, *, seed: int, now: dt.datetime, dry_run: bool = False) -> dict[str, str]:
    """Load every registered ``DemoData`` in order; return part → ``loaded``, ``loaded before`` or ``would be loaded``.

    A part sees the rows of those before it. Its random numbers depend on the seed and its own name only, so that
    enabling another module does not change it.
    """
    from crm_kernel._internal.runtime import runtime_of

    records = runtime_of(app).registry.all("demo_data")
    if not records:
        raise CrmError("no enabled module brings demo data. See: crm modules list")
    states = {}
    with progress("Loading the demo company", len(records)) as advance:
        for record in records:
            states[record.name] = _load_part(app, record, Random(f"{seed}:{record.name}"), now, dry_run=dry_run)
            advance(1)
    return states


def _load_part(app: Flask, record: Any, random: Random, now: dt.datetime, *, dry_run: bool) -> str:
    from crm_kernel._internal.modules import SettingRow
    from crm_kernel.access.actor import SYSTEM
    from crm_kernel.unit_of_work import reading, writing

    mark = f"demo.{record.name}"
    if dry_run:
        # The parts build on each other's rows, which a rehearsal of one at a time would not have.
        with app.app_context(), reading(SYSTEM, channel="cli") as uow:
            return "loaded before" if uow.session.get(SettingRow, mark) else "would be loaded"
    with app.app_context(), writing(SYSTEM, channel="cli") as uow:
        if uow.session.get(SettingRow, mark):
            return "loaded before"
        record.load(uow, random, now)
        uow.session.add(SettingRow(name=mark, value={"at": now.isoformat()}))
    return "loaded"


def _ensure_login(instance: Instance, config: Config) -> dict[str, str]:
    from crm_cli.users import new_password
    from crm_kernel.access import services
    from crm_kernel.access.services.roles import ADMINISTRATOR

    file = _login_file(config)
    if file.is_file():
        return dict(json.loads(file.read_text(encoding="utf-8")))
    password = new_password()
    with instance.writing() as uow:
        services.ensure_builtin_roles(uow)
        try:
            services.set_password(uow, services.user_by_email(uow, EMAIL), password)
        except NotFound:
            services.create_user(uow, email=EMAIL, name="Ada Demo", password=password, roles=[ADMINISTRATOR])
    login = {"url": config.base_url or f"http://{config.host}:{config.port}", "email": EMAIL, "password": password}
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
        json.dump(login, stream, indent=2)
    return login


def _login_file(config: Config) -> Path:
    source = Path(config.source)
    return (source.parent if source.is_file() else Path.cwd()) / LOGIN_FILE
