"""``crm config``: the settings that file and environment give; those in the database: ``crm settings``."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import click

from crm_cli.common import Instance, echo_json, echo_records, instance_options, json_option

#: Names that hold secrets, whoever declares them: a module that is not loaded cannot say so itself.
_SECRET = re.compile(r"secret|password|passwd|token|key", re.IGNORECASE)


@click.group("config")
def config() -> None:
    """Show the settings of file and environment."""


@config.command("show")
@json_option
@instance_options
def show(instance: Instance, as_json: bool) -> None:
    """Show every setting of file and environment; secrets are masked. With the database's: crm settings list."""
    found = masked(dataclasses.asdict(instance.config()))
    del found["from_database"]
    if as_json:
        echo_json(found)
        return
    plugins = found.pop("plugin_settings")
    rows = [{"setting": name, "value": value} for name, value in found.items()]
    rows += [
        {"setting": f"{p}.{name}", "value": value} for p, section in plugins.items() for name, value in section.items()
    ]
    echo_records(False, ("setting", "value"), rows)


def masked(values: dict[str, Any]) -> dict[str, Any]:
    """Return settings with secrets replaced: names that say so, and passwords inside addresses."""
    return {name: _masked(name, value) for name, value in values.items()}


def _masked(name: str, value: Any) -> Any:
    from crm_kernel._internal.masking import MASK, without_passwords

    if isinstance(value, dict):
        return masked(value)
    if isinstance(value, list | tuple) and value and _SECRET.search(name):
        return MASK
    if isinstance(value, str):
        return MASK if value and _SECRET.search(name) else without_passwords(value)
    return value
