"""``crm teams``: the teams people belong to, and which of them stands below which."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

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
    from crm_kernel.access.models import Team
    from crm_kernel.unit_of_work import UnitOfWork


@click.group("teams")
def teams() -> None:
    """List and create teams; whoever belongs to one also reaches the records of those below it."""


@teams.command("list")
@json_option
@instance_options
def list_teams(instance: Instance, as_json: bool) -> None:
    """List the teams by name, with the team above each and the number of its members."""
    import sqlalchemy as sa

    from crm_kernel.access.models import AppUser, Team

    above = sa.orm.aliased(Team)
    members = sa.select(sa.func.count()).where(AppUser.team_id == Team.id).scalar_subquery()
    query = sa.select(Team.uid, Team.name, above.name, members).outerjoin(above, above.id == Team.parent_id)
    with instance.reading() as uow:
        found = uow.session.execute(query.order_by(Team.name)).all()
    rows = [{"id": uid, "name": name, "parent": parent, "members": count} for uid, name, parent, count in found]
    echo_records(as_json, ("name", "parent", "members"), rows)


@teams.command("create")
@click.argument("name")
@click.option("--parent", metavar="NAME", help="The team it stands below, whose members reach its records.")
@dry_run_option
@json_option
@instance_options
def create(instance: Instance, name: str, parent: str | None, dry_run: bool, as_json: bool) -> None:
    """Create a team; put people into it with: crm users create EMAIL --team NAME."""
    from crm_kernel.access import services

    with instance.writing(dry_run=dry_run) as uow:
        above = team_named(uow, parent) if parent is not None else None
        made = services.create_team(uow, name=name, parent_id=above.id if above else None)
        created = {"id": made.uid, "name": made.name, "parent": above.name if above else None}
    if as_json:
        echo_json(created)
    elif not dry_run:
        message(f"There is a team {created['name']} now.")


def team_named(uow: UnitOfWork, name: str) -> Team:
    """Return the team of this name.

    Raises:
        NotFound: there is none; the text names those there are, and the command that makes one.
    """
    import sqlalchemy as sa

    from crm_kernel.access.models import Team
    from crm_kernel.errors import NotFound

    found = uow.session.scalar(sa.select(Team).where(Team.name == name))
    if found is None:
        known = ", ".join(uow.session.scalars(sa.select(Team.name).order_by(Team.name))) or "none"
        raise NotFound(f"There is no team {name}; known: {known}. Create it: crm teams create {shlex.quote(name)}")
    return found
