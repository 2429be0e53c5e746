"""``crm settings``: what administrators change while the system runs; file and environment: ``crm config show``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from crm_cli.common import (
    Instance,
    dry_run_option,
    echo_json,
    echo_records,
    instance_options,
    json_option,
    message,
)

if TYPE_CHECKING:
    from crm_kernel.stored_settings.services import State

_NAME = click.argument("name")


@click.group("settings")
def settings() -> None:
    """List settings and change those that may stand in the database."""


@settings.command("list")
@json_option
@instance_options
def list_settings(instance: Instance, as_json: bool) -> None:
    """List every setting with its value and where that comes from; of secrets only whether they are set."""
    from crm_kernel.stored_settings.services import setting_states

    with instance.reading() as uow:
        rows = [_described(state) for state in setting_states(uow)]
    echo_records(as_json, ("setting", "value", "source", "place", "changed_at", "changed_by", "problem"), rows)


@settings.command("set")
@_NAME
@click.argument("value", required=False)
@dry_run_option
@json_option
@instance_options
def set_setting(instance: Instance, name: str, value: str | None, dry_run: bool, as_json: bool) -> None:
    """Put a setting into the database; running servers take it up. Without VALUE it is asked for, or read from stdin.

    Leave VALUE out for secrets: what stands on a command line can be read by others.
    """
    from crm_kernel.stored_settings.services import change_setting, setting_state

    given = _asked(name) if value is None else value
    with instance.writing(dry_run=dry_run) as uow:
        changed = change_setting(uow, name, given)
        found = _described(setting_state(uow, name))
    if as_json:
        echo_json({**found, "changed": changed})
    elif not dry_run:
        message(f"{name} is changed; running servers take it up." if changed else f"{name} was that already.")


@settings.command("reset")
@_NAME
@dry_run_option
@json_option
@instance_options
def reset(instance: Instance, name: str, dry_run: bool, as_json: bool) -> None:
    """Take a setting out of the database: the file or its default count again."""
    from crm_kernel.stored_settings.services import reset_setting

    with instance.writing(dry_run=dry_run) as uow:
        changed = reset_setting(uow, name)
    if as_json:
        echo_json({"setting": name, "changed": changed})
    elif not dry_run:
        message(f"{name} is as the file or its default says." if changed else f"{name} did not stand in the database.")


def _asked(name: str) -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    return str(click.prompt(name, hide_input=True, default="", show_default=False, err=True))


def _described(state: State) -> dict[str, Any]:
    from crm_cli.config import masked

    value = list(state.value) if isinstance(state.value, tuple) else state.value
    shown = "********" if state.declared.secret and state.source != "default" else value
    return {
        "setting": state.declared.name,
        **masked({"value": shown}),
        "source": state.source,
        "place": state.place,
        "changed_at": state.at,
        "changed_by": state.by,
        "kept_in_file": str(state.declared.kept_in_file),
        "problem": state.problem,
    }
