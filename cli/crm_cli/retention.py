"""``crm privacy retention``: rules for how long customers are kept, planned with first and carried out when asked."""

from __future__ import annotations

from dataclasses import asdict
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
    yes_option,
)

if TYPE_CHECKING:
    from crm_kernel.customers.privacy.models import RetentionRule
    from crm_kernel.unit_of_work import UnitOfWork


@click.group("retention")
def retention() -> None:
    """Rules for how long customers are kept without anything happening."""


@retention.command("list")
@json_option
@instance_options
def list_rules(instance: Instance, as_json: bool) -> None:
    """List the rules."""
    columns = ("name", "action", "months", "condition", "active", "last_run_at", "last_erased")
    with instance.reading() as uow:
        rows = [{"id": rule.uid, **{name: getattr(rule, name) for name in columns}} for rule in _rules(uow)]
    echo_records(as_json, columns, rows)


@retention.command("plan")
@click.argument("name", required=False)
@json_option
@instance_options
def plan(instance: Instance, name: str | None, as_json: bool) -> None:
    """Say how many customers each rule is about now; with NAME, what that rule would do, table by table.

    Changes nothing. With NAME every row about these customers is counted.
    """
    from crm_kernel.customers.privacy.retention import idle_number, rule_plan

    if name is not None:
        with instance.reading() as uow:
            entries = [asdict(entry) for entry in rule_plan(uow, _rule(uow, name))]
        echo_records(as_json, ("table", "module", "fate", "rows", "why"), entries)
        return
    with instance.reading() as uow:
        rows = [
            {
                "id": rule.uid, "name": rule.name, "action": rule.action, "active": rule.active,
                "customers": idle_number(uow, rule),
            }
            for rule in _rules(uow)
        ]  # fmt: skip
    echo_records(as_json, ("name", "action", "active", "customers"), rows)


@retention.command("run")
@click.argument("name")
@yes_option
@dry_run_option
@json_option
@instance_options
def run(instance: Instance, name: str, assume_yes: bool, dry_run: bool, as_json: bool) -> None:
    """Erase or anonymise the customers that the rule NAME is about, active or not.

    Without --yes nothing is changed: it is only said how many they are.
    """
    from crm_kernel.customers.privacy.retention import idle_number

    carried_out = assume_yes and not dry_run
    with instance.reading() as uow:
        rule = _rule(uow, name)
        shown = {"rule": name, "action": rule.action, "customers": idle_number(uow, rule)}
    if carried_out:
        shown["customers"] = _carry_out(instance, name)
    if as_json:
        echo_json({**shown, "carried_out": carried_out})
    else:
        message(f"{name} ({shown['action']}): {shown['customers']} customers.")
    if not carried_out:
        message(
            f"Dry run: nothing was changed. Table by table: crm privacy retention plan {name!r}. To do it: add --yes"
        )


def _carry_out(instance: Instance, name: str) -> int:
    """Carry out a rule, a transaction and a receipt per chunk, and return the number of customers."""
    from crm_kernel.customers.privacy.retention import CHUNK, run_rule

    with instance.writing() as uow:
        chunk = run_rule(uow, _rule(uow, name), limit=CHUNK)
    number = chunk.customers
    while chunk.place is not None:
        with instance.writing() as uow:
            chunk = run_rule(uow, _rule(uow, name), limit=CHUNK, after=chunk.place)
        number += chunk.customers
    return number


def _rules(uow: UnitOfWork) -> list[RetentionRule]:
    import sqlalchemy as sa

    from crm_kernel.customers.privacy.models import RetentionRule

    return list(uow.session.scalars(sa.select(RetentionRule).order_by(RetentionRule.name)))


def _rule(uow: UnitOfWork, name: str) -> RetentionRule:
    from crm_kernel.errors import NotFound

    found = next((rule for rule in _rules(uow) if rule.name == name), None)
    if found is None:
        raise NotFound(f"no rule is called {name}. See: crm privacy retention list")
    return found
