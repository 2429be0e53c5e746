"""``crm records``: what the records of a type can be asked."""

from __future__ import annotations

import click

from crm_cli.common import Instance, echo_json, echo_table, instance_options, json_option
from crm_cli.records import acting


@click.group("records")
def records() -> None:
    """Show what record types can be filtered by."""


@records.command("fields")
@click.argument("record_type", metavar="TYPE")
@click.option("--as", "email", metavar="EMAIL", help="As this user sees them (default: the system).")
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
