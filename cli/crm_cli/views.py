"""``crm views``: see saved views, carry them to another instance, choose which one comes first, remove them."""

from __future__ import annotations

import json
from typing import IO, Any

import click

from crm_cli.common import (
    Instance,
    confirm,
    dry_run_option,
    echo_done,
    echo_json,
    echo_records,
    echo_table,
    instance_options,
    json_option,
    yes_option,
)

_COLUMNS = ("id", "record_type", "name", "kind", "sharing", "team", "default_for_all", "author")
_view_argument = click.argument("view", metavar="VIEW")
_type_option = click.option("--type", "record_type", metavar="TYPE", help="Only views of these records.")


@click.group("views")
def views() -> None:
    """See saved views, carry them to another instance, set what comes first."""


@views.command("list")
@_type_option
@json_option
@instance_options
def list_views(instance: Instance, record_type: str | None, as_json: bool) -> None:
    """List the saved views of all users, by record type and name."""
    from crm_kernel.records.saved_views.exchange import described_views

    with instance.reading() as uow:
        rows = described_views(uow, record_type)
    echo_records(as_json, _COLUMNS, rows)


@views.command("show")
@_view_argument
@json_option
@instance_options
def show(instance: Instance, view: str, as_json: bool) -> None:
    """Show one VIEW (its name or id): conditions, order, columns, who sees it."""
    from crm_kernel.records.saved_views.exchange import view_called

    with instance.reading() as uow:
        facts = _shown(uow, view_called(uow, view))
    if as_json:
        echo_json(facts)
    else:
        echo_table(("fact", "value"), facts.items())


@views.command("export")
@_type_option
@instance_options
def export(instance: Instance, record_type: str | None) -> None:
    """Print saved views as JSON, for: crm views import FILE"""
    from crm_kernel.records.saved_views.exchange import described_views

    with instance.reading() as uow:
        rows = described_views(uow, record_type)
    echo_json([{name: value for name, value in row.items() if name != "id"} for row in rows])


@views.command("import")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@dry_run_option
@json_option
@instance_options
def take(instance: Instance, file: IO[str], dry_run: bool, as_json: bool) -> None:
    """Create or change the views of FILE (- for standard input): all of them or none.

    A view of the same records, name and author is changed. Each is written as its author, with his permissions.
    """
    from crm_kernel.records.saved_views.exchange import take_views

    given = _views_in(file)
    with instance.writing(dry_run=dry_run) as uow:
        counts = take_views(uow, given)
    text = f"{counts['created']} views created, {counts['changed']} changed."
    echo_done(counts, text, as_json=as_json, dry_run=dry_run)


@views.command("default")
@_view_argument
@click.option("--user", "email", metavar="EMAIL", help="For this user alone; without it for all who chose none.")
@click.option("--off", is_flag=True, help="It comes first no more.")
@dry_run_option
@json_option
@instance_options
def default(instance: Instance, view: str, email: str | None, off: bool, dry_run: bool, as_json: bool) -> None:
    """Make a VIEW what a list shows first."""
    from crm_kernel.records.plan import record_type
    from crm_kernel.records.saved_views.exchange import view_called
    from crm_kernel.records.services import update_record

    with instance.writing(dry_run=dry_run) as uow:
        found = view_called(uow, view)
        if email is not None:
            _prefer(uow, found, email, off=off)
        else:
            change = {"default_for_all": not off}
            update_record(uow, record_type("saved_view"), found.uid, change, version=found.version)
        shown = _shown(uow, found)
    text = f"{shown['name']} comes first {'no more' if off else 'now'}."
    echo_done(shown, text, as_json=as_json, dry_run=dry_run)


@views.command("delete")
@_view_argument
@dry_run_option
@yes_option
@json_option
@instance_options
def delete(instance: Instance, view: str, dry_run: bool, assume_yes: bool, as_json: bool) -> None:
    """Delete a VIEW."""
    from crm_kernel.records.plan import record_type
    from crm_kernel.records.saved_views.exchange import view_called
    from crm_kernel.records.services import delete_record

    if not dry_run:
        confirm(f"Delete the view {view}?", assume_yes=assume_yes)
    with instance.writing(dry_run=dry_run) as uow:
        found = view_called(uow, view)
        shown = _shown(uow, found)
        delete_record(uow, record_type("saved_view"), found.uid, version=found.version)
    echo_done(shown, f"{shown['name']} is deleted.", as_json=as_json, dry_run=dry_run)


def _shown(uow: Any, view: Any) -> dict[str, Any]:
    from crm_kernel.access.models import AppUser, Team
    from crm_kernel.records.saved_views.exchange import described

    author = uow.session.get(AppUser, view.author_id) if view.author_id else None
    team = uow.session.get(Team, view.team_id) if view.team_id else None
    return described(view, author.email if author else None, team.name if team else None)


def _prefer(uow: Any, view: Any, email: str, *, off: bool) -> None:
    from crm_kernel.access.acting import actor_of
    from crm_kernel.access.services import user_by_email
    from crm_kernel.records.plan import record_type
    from crm_kernel.records.reading import record_of
    from crm_kernel.records.saved_views.services import prefer

    actor = actor_of(uow, user_by_email(uow, email).id)
    if actor is None:
        raise click.UsageError(f"--user {email}: this user is deactivated")
    uow.actor = actor
    # A view that he does not see would be a list that he cannot open.
    seen = record_of(uow, record_type("saved_view"), view.uid)
    prefer(uow, None if off else seen, record_type(view.record_type))


def _views_in(file: IO[str]) -> list[dict[str, Any]]:
    try:
        found = json.load(file)
    except ValueError as error:
        raise click.UsageError(f"not valid JSON: {error}") from error
    if not isinstance(found, list):
        raise click.UsageError("expected a JSON list of views, as printed by: crm views export")
    return found
