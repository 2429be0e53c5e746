"""``crm records``: what the records of a type can be asked, one change for many of them, and changes of single ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from uuid import UUID

import click

from crm_cli.common import (
    Instance,
    confirm,
    dry_run_option,
    echo_done,
    echo_json,
    echo_table,
    instance_options,
    json_option,
    message,
    yes_option,
)
from crm_cli.record_changes import COMMANDS, json_object
from crm_cli.records import AS, acting, pair

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor
    from crm_kernel.records.bulk_actions.asking import Change, Chosen
    from crm_kernel.records.record_type import RecordType


@click.group("records")
def records() -> None:
    """Show, create, change and delete records of any type, one or many; list what they can be filtered by."""


@records.command("fields")
@click.argument("record_type", metavar="TYPE")
@AS
@json_option
@instance_options
def fields(instance: Instance, record_type: str, email: str | None, as_json: bool) -> None:
    """List the fields and relations that filters of a type know, with their operators.

    TYPE is a name such as customer or sfa.opportunity. Use them with: crm export TYPE --where JSON
    """
    from crm_kernel.records.catalogue import catalogue_of, described
    from crm_kernel.records.plan import plan_of
    from crm_kernel.records.plan import record_type as named

    with instance.app().app_context():
        found = described(catalogue_of(plan_of(named(record_type)), acting(email)))
    if as_json:
        echo_json(found)
        return
    rows = [(f["name"], f["label"], f["kind"], " ".join(f["operators"])) for f in found["fields"]]
    rows += [
        (r["name"], r["label"], "relation", " ".join(["has", *(f"sum:{name}" for name in r["sums"])]))
        for r in found["relations"]
    ]
    echo_table(("name", "label", "kind", "operators"), rows)


@records.command("bulk")
@click.argument("record_type", metavar="TYPE")
@click.option("--filter", "filters", multiple=True, metavar="FIELD=VALUE", help="As in a list's address.")
@click.option("--where", metavar="JSON", help="A filter tree of what this lists: crm records fields TYPE")
@click.option("--all", "everything", is_flag=True, help="All records of the type.")
@click.option("--set", "values", multiple=True, metavar="FIELD=VALUE", help="Set a field; an empty value empties it.")
@click.option("--do", "action", metavar="ACTION", help="Run an action of the type, or delete.")
@click.option("--data", metavar="JSON", help="What the action asks for.")
@click.option("--tag", "tags", multiple=True, metavar="NAME", help="Put a tag on.")
@click.option("--untag", "untags", multiple=True, metavar="NAME", help="Take a tag off.")
@AS
@dry_run_option
@yes_option
@json_option
@instance_options
def bulk(
    instance: Instance,
    record_type: str,
    filters: tuple[str, ...],
    where: str | None,
    everything: bool,
    values: tuple[str, ...],
    action: str | None,
    data: str | None,
    tags: tuple[str, ...],
    untags: tuple[str, ...],
    email: str | None,
    dry_run: bool,
    assume_yes: bool,
    as_json: bool,
) -> None:
    """Change, tag, delete or act on all records that conditions match, in the background.

    The records are written down when the run starts. Changed fields and tags can be taken back for 30 days: crm records undo RUN
    """
    from crm_kernel.records.bulk_actions.asking import Change, chosen_in
    from crm_kernel.records.plan import record_type as named

    tagging = {"add": list(tags), "remove": list(untags)} if tags or untags else {}
    if [bool(values), bool(action), bool(tagging)].count(True) != 1:
        raise click.UsageError("say what to do: --set FIELD=VALUE, --tag NAME, --untag NAME, or --do ACTION")
    changes = {name: value or None for name, value in map(pair, values)}
    change = Change("tags" if tagging else action or "update", tagging or changes or json_object(data))
    body = {"query": urlencode([pair(text) for text in filters]), "filter": json_object(where), "all": everything}
    with instance.app().app_context():
        wanted, chosen, actor = named(record_type), chosen_in(body), acting(email)
        found = _previewed(actor, wanted, change, chosen)
        if not dry_run:
            confirm(f"{change.what} {found['count']} records of {record_type}?", assume_yes=assume_yes)
            found |= _started(actor, wanted, change, chosen)
    done = "Dry run: nothing was changed." if dry_run else f"Run {found['run']} is started."
    message(f"{found['count']} records. {done}")
    if as_json:
        echo_json(found)
        return
    for row in found["sample"]:
        click.echo(f"{row['id']}  {row['title']}  {row['refused'] or 'possible'}")


@records.command("undo")
@click.argument("run", type=click.UUID)
@AS
@dry_run_option
@yes_option
@json_option
@instance_options
def undo(instance: Instance, run: UUID, email: str | None, dry_run: bool, assume_yes: bool, as_json: bool) -> None:
    """Take a bulk run back, in the background: former values return where nobody changed them since."""
    from crm_kernel.records.bulk_actions import services
    from crm_kernel.records.plan import record_type
    from crm_kernel.records.reading import record_of
    from crm_kernel.unit_of_work import reading, writing

    with instance.app().app_context():
        actor = acting(email)
        with reading(actor, channel="cli") as uow:
            number = record_of(uow, record_type("bulk_run"), run).changed
        found: dict[str, Any] = {"run": None, "count": number}
        if dry_run:
            message(f"Dry run: the changes of {number} records would be taken back.")
        else:
            confirm(f"Take back the change of {number} records?", assume_yes=assume_yes)
            with writing(actor, channel="cli") as uow:
                found["run"] = services.undo(uow, record_of(uow, record_type("bulk_run"), run)).uid
    echo_done(found, f"Run {found['run']} is started.", as_json=as_json, dry_run=dry_run)


def _previewed(actor: Actor, record_type: RecordType, change: Change, chosen: Chosen) -> dict[str, Any]:
    from crm_kernel.records.bulk_actions.services import preview
    from crm_kernel.unit_of_work import writing

    with writing(actor, channel="cli") as uow:
        return preview(uow, record_type, change, chosen)


def _started(actor: Actor, record_type: RecordType, change: Change, chosen: Chosen) -> dict[str, Any]:
    from crm_kernel.records.bulk_actions.services import start
    from crm_kernel.unit_of_work import writing

    with writing(actor, channel="cli") as uow:
        run = start(uow, record_type, change, chosen)
        return {"run": run.uid, "total": run.total}


for _command in COMMANDS:
    records.add_command(_command)
