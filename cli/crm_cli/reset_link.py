"""``crm users reset-link``: what a user gets who forgot his password where no mail is sent."""

from __future__ import annotations

import click

from crm_cli.common import Instance, dry_run_option, echo_json, instance_options, json_option, message


@click.command("reset-link")
@click.argument("email")
@dry_run_option
@json_option
@instance_options
def reset_link(instance: Instance, email: str, dry_run: bool, as_json: bool) -> None:
    """Print a link on which a user sets a new password, for a day; his password and his sessions stay until then."""
    from crm_kernel.access import services
    from crm_kernel.access.reset import made_reset_link

    with instance.writing(dry_run=dry_run) as uow:
        user = services.user_by_email(uow, email)
        link, address = made_reset_link(uow, user), user.email
    if as_json:
        echo_json({"email": address, "link": None if dry_run else link})
    elif not dry_run:
        click.echo(link)
        message(f"Whoever opens this link within a day sets the password of {address}: give it to nobody else.")
