"""``crm secrets``: what is kept encrypted, after ``secret_key`` was replaced."""

from __future__ import annotations

from dataclasses import asdict

import click

from crm_cli.common import (
    ExitCode,
    Instance,
    dry_run_option,
    echo_records,
    instance_options,
    json_option,
    message,
    yes_option,
)


@click.group("secrets")
def secrets() -> None:
    """Encrypt what is kept encrypted with another key."""


@secrets.command("rotate")
@yes_option
@dry_run_option
@json_option
@instance_options
def rotate(instance: Instance, assume_yes: bool, dry_run: bool, as_json: bool) -> None:
    """Encrypt every kept secret anew with secret_key; what previous_secret_keys opens is read with these.

    Without --yes nothing is changed: it is only said how many they are. All in one transaction. Exit code 6 when some can be
    read with none of the keys: they stay as they are.
    """
    from crm_kernel.stored_settings.rotating import rotate_secrets

    carried_out = assume_yes and not dry_run
    with instance.writing(dry_run=not carried_out) as uow:
        found = rotate_secrets(uow)
    echo_records(as_json, ("what", "rotated", "current", "unreadable", "fix"), [asdict(result) for result in found])
    if not carried_out:
        message("Dry run: nothing was changed. To do it: add --yes")
    if any(result.unreadable for result in found):
        raise click.exceptions.Exit(ExitCode.FINDINGS)
