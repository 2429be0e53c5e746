"""``crm rules``: see automation rules, let them run or rest, and ask what they would have done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from crm_cli.common import (
    Instance,
    dry_run_option,
    echo_done,
    echo_json,
    echo_records,
    echo_table,
    instance_options,
    json_option,
    message,
)

if TYPE_CHECKING:
    import datetime as dt

    from crm_kernel.rules.models import Rule
    from crm_kernel.unit_of_work import UnitOfWork

_COLUMNS = ("id", "name", "record_type", "event", "cron", "enabled", "runs_as", "problem")
_OUTCOMES = click.Choice(["done", "not_matched", "failed", "loop", "inert"])
_rule_argument = click.argument("rule", metavar="RULE")


@click.group("rules")
def rules() -> None:
    """See automation rules, let them run or rest, replay past events."""


@rules.command("list")
@click.option("--enabled", is_flag=True, help="Only those that run.")
@json_option
@instance_options
def list_rules(instance: Instance, enabled: bool, as_json: bool) -> None:
    """List the rules by name, with why one cannot run."""
    import sqlalchemy as sa

    from crm_kernel.rules.models import Rule

    query = sa.select(Rule).order_by(Rule.name, Rule.id)
    with instance.reading() as uow:
        found = uow.session.scalars(query.where(Rule.enabled) if enabled else query)
        rows = [_described(uow, rule) for rule in found]
    echo_records(as_json, _COLUMNS, rows)


@rules.command("show")
@_rule_argument
@json_option
@instance_options
def show(instance: Instance, rule: str, as_json: bool) -> None:
    """Show one RULE (its name or id): when, if, then, as whom."""
    from crm_kernel.rules.presenting import condition_text

    with instance.reading() as uow:
        found = _find(uow, rule)
        facts = {
            **_described(uow, found),
            "description": found.description,
            "timezone": found.timezone,
            "condition": found.condition,
            "condition_in_words": condition_text(uow, found.record_type, found.condition),
            "actions": found.actions,
            "version": found.version,
        }
    if as_json:
        echo_json(facts)
    else:
        echo_table(("fact", "value"), facts.items())


@rules.command("runs")
@_rule_argument
@click.option("--outcome", type=_OUTCOMES, help="Only these.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="How many at most.")
@json_option
@instance_options
def runs(instance: Instance, rule: str, outcome: str | None, limit: int, as_json: bool) -> None:
    """List what a RULE did for which record, and why it did not, newest first."""
    from crm_kernel.rules.api import described_run
    from crm_kernel.rules.presenting import runs_of

    with instance.reading() as uow:
        found = runs_of(uow, _find(uow, rule), limit=limit, outcome=outcome)
        rows = [described_run(uow, run) for run in found]
    echo_records(as_json, ("id", "at", "record_type", "record", "outcome", "why"), rows)


@rules.command("enable")
@_rule_argument
@dry_run_option
@json_option
@instance_options
def enable(instance: Instance, rule: str, dry_run: bool, as_json: bool) -> None:
    """Let a RULE run from now on, as whoever changed it last, or as the system where it says so."""
    from crm_kernel.rules.services import enable_rule

    with instance.writing(dry_run=dry_run) as uow:
        found = _find(uow, rule)
        enable_rule(uow, found)
        described = _described(uow, found)
    echo_done(described, f"{described['name']} runs from now on.", as_json=as_json, dry_run=dry_run)


@rules.command("disable")
@_rule_argument
@dry_run_option
@json_option
@instance_options
def disable(instance: Instance, rule: str, dry_run: bool, as_json: bool) -> None:
    """Let a RULE rest."""
    from crm_kernel.rules.services import disable_rule

    with instance.writing(dry_run=dry_run) as uow:
        found = _find(uow, rule)
        disable_rule(uow, found)
        described = _described(uow, found)
    echo_done(described, f"{described['name']} rests.", as_json=as_json, dry_run=dry_run)


@rules.command("dry-run")
@_rule_argument
@click.argument("record", type=click.UUID)
@json_option
@instance_options
def dry_run(instance: Instance, rule: str, record: UUID, as_json: bool) -> None:
    """Say what a RULE would do with a RECORD (an id) now; everything is taken back."""
    from crm_kernel.rules.api import described_rehearsal
    from crm_kernel.rules.replaying import rehearse

    with instance.writing() as uow:
        found = described_rehearsal(rehearse(uow, _find(uow, rule), record))
    if as_json:
        echo_json(found)
        return
    if not found["matched"]:
        message("The condition does not hold: nothing would happen.")
    elif found["refused"]:
        message(f"The condition holds, and an action would be refused: {found['refused']}")
    rows = [
        (c["record_type"], c["action"], v["field"], v["before"], v["after"])
        for c in found["changes"]
        for v in c["values"]
    ]
    echo_table(("record type", "action", "field", "before", "after"), rows)


@rules.command("replay")
@_rule_argument
@click.option(
    "--since", required=True, type=click.DateTime(("%Y-%m-%d", "%Y-%m-%dT%H:%M:%S")), help="From then on, UTC."
)
@click.option("--apply", "really", is_flag=True, help="Let it run for the events that fit and are not done yet.")
@json_option
@instance_options
def replay(instance: Instance, rule: str, since: dt.datetime, really: bool, as_json: bool) -> None:
    """Say what a RULE would have done for past events, by what its records are today; without effects.

    With --apply it runs for those that fit, in the background: what it has done for an event is not done again.
    """
    import datetime as dt

    from crm_kernel.rules.api import described_replay
    from crm_kernel.rules.replay_jobs import apply_replay
    from crm_kernel.rules.replaying import replay as replayed
    from crm_kernel.rules.telling import told_replay

    aware = since.replace(tzinfo=dt.UTC)
    with instance.reading() as uow:
        wanted = _find(uow, rule)
        result = replayed(uow, wanted, aware)
        found, told = described_replay(result), told_replay(uow, wanted, result)
    if really and result.counted:
        # Counting takes long: only what enqueues the one job writes.
        with instance.writing() as uow:
            apply_replay(uow, _find(uow, rule), result.counted)
    if as_json:
        echo_json({**found, "applied": really})
        return
    for text in told:
        click.echo(text)
    if found["months"]:
        echo_table(("month", "times"), found["months"].items())
        echo_table(("id", "for example"), [(record["id"], record["title"]) for record in found["sample"]])
    begun = really and result.counted
    message("It runs in the background, the oldest event first." if begun else "Nothing was changed.")


def _described(uow: UnitOfWork, rule: Rule) -> dict[str, Any]:
    from crm_kernel.rules.presenting import problem
    from crm_kernel.rules.principals import principal_of

    actor = principal_of(uow, rule)
    same = ("name", "record_type", "event", "cron", "enabled")
    facts = {name: getattr(rule, name) for name in same}
    return {"id": rule.uid, **facts, "runs_as": actor.name if actor else None, "problem": problem(uow, rule)}


def _find(uow: UnitOfWork, text: str) -> Rule:
    """Return the rule of a name or id.

    Raises:
        NotFound: there is none.
        Conflict: several have the name.
    """
    import sqlalchemy as sa

    from crm_kernel.errors import Conflict, NotFound
    from crm_kernel.rules.models import Rule

    try:
        wanted = Rule.uid == UUID(text)
    except ValueError:
        wanted = Rule.name == text
    found = uow.session.scalars(sa.select(Rule).where(wanted).limit(2)).all()
    if not found:
        raise NotFound(f"rule {text!r}: there is none. List them with: crm rules list")
    if len(found) > 1:
        raise Conflict(f"rule {text!r}: several have this name; use the id. List them with: crm rules list")
    return found[0]
