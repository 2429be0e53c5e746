"""``crm config``: the settings in force and where they come from."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import click

from crm_cli.common import Instance, echo_json, echo_records, instance_options, json_option

_MASK = "********"
_PASSWORD_IN_URL = re.compile(r"(?<=://)([^:/@]*):[^@]*@")
#: Names that hold secrets, whoever declares them: a module that is not loaded cannot say so itself.
_SECRET = re.compile(r"secret|password|passwd|token|key", re.IGNORECASE)


@click.group("config")
def config() -> None:
    """Show the settings in force."""


@config.command("show")
@json_option
@instance_options
def show(instance: Instance, as_json: bool) -> None:
    """Show every setting with its value; secrets are masked."""
    found = masked(dataclasses.asdict(instance.config()))
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
    if isinstance(value, dict):
        return masked(value)
    if isinstance(value, str):
        return _MASK if value and _SECRET.search(name) else _PASSWORD_IN_URL.sub(rf"\1:{_MASK}@", value)
    return value
