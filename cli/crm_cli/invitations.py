"""``crm users invite`` and ``crm users invitations``: people choose their password themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from crm_cli.common import Instance, dry_run_option, echo_json, echo_records, instance_options, json_option, message
from crm_cli.teams import team_named

if TYPE_CHECKING:
    from crm_kernel.access.invitations.models import Invitation
    from crm_kernel.unit_of_work import UnitOfWork


@click.command("invite")
@click.argument("email")
@click.option("--role", help="Role he gets; needed unless an invitation is sent again or withdrawn.")
@click.option("--name", default="", help="What he is called; he may say something else.")
@click.option("--team", help="Name of the team; it must exist.")
@click.option("--language", help="Language of the mail and of his pages (default: the instance's first).")
@click.option("--again", is_flag=True, help="Send a waiting invitation again: a new link, the earlier one ends.")
@click.option("--withdraw", is_flag=True, help="Take a waiting invitation back.")
@dry_run_option
@json_option
@instance_options
def invite(instance: Instance, email: str, dry_run: bool, as_json: bool, **options: Any) -> None:
    """Invite somebody to choose a password himself, and print the link; it works once, within a week."""
    from crm_kernel.access.invitations import services

    if options["again"] and options["withdraw"]:
        raise click.UsageError("--again and --withdraw exclude each other")
    with instance.writing(dry_run=dry_run) as uow:
        if options["again"] or options["withdraw"]:
            found = services.invitation_to(uow, email)
            (services.withdraw if options["withdraw"] else services.send_again)(uow, found)
        else:
            found = _invited(uow, email, options)
        over = options["withdraw"]
        said = {"id": found.uid, "email": found.email, "expires_at": found.expires_at}
        said["link"] = None if over else services.link_of(found)
    if as_json:
        echo_json(said)
    elif not dry_run:
        message(
            f"The invitation of {said['email']} is withdrawn."
            if over
            else f"{said['email']} is invited: {said['link']}"
        )


def _invited(uow: UnitOfWork, email: str, options: dict[str, Any]) -> Invitation:
    from crm_kernel.access.invitations import services
    from crm_kernel.access.preferences import first_language

    if not options["role"]:
        raise click.UsageError("say what he may do: --role representative")
    team_id = team_named(uow, options["team"]).id if options["team"] else None
    language = options["language"] or first_language()
    return services.invite(
        uow, email=email, role=options["role"], name=options["name"], team_id=team_id, language=language
    )


@click.command("invitations")
@json_option
@instance_options
def invitations(instance: Instance, as_json: bool) -> None:
    """List the newest invitations and what became of them."""
    from crm_kernel.access.invitations import services

    with instance.reading() as uow:
        rows = [
            {
                "email": row.email,
                "role": role,
                "state": services.state_of(row, uow.now),
                "sent_at": row.sent_at,
                "expires_at": row.expires_at,
            }
            for row, role in services.invitations(uow)
        ]
    echo_records(as_json, ("email", "role", "state", "sent_at", "expires_at"), rows)
