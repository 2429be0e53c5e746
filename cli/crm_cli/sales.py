"""``crm sales``: what the ledger of sales holds."""

from __future__ import annotations

from dataclasses import asdict
from decimal import Decimal
from typing import Any

import click

from crm_cli.common import Instance, echo_json, echo_table, instance_options, json_option


@click.group("sales")
def sales() -> None:
    """See what the ledger of sales holds."""


@sales.command("report")
@click.option("--source", metavar="NAME", help="Only sales of this source: a module, or another system.")
@click.option("--reference", metavar="TEXT", help="Only sales whose reference in the source starts so.")
@json_option
@instance_options
def report(instance: Instance, source: str | None, reference: str | None, as_json: bool) -> None:
    """Count sales, lines, customers, products, what was given back and what is anonymous, and sum the amounts.

    Each currency has its own sum; the last one is in the base currency. Compare it with what an imported file holds.
    """
    from crm_kernel.sales.figures import ledger_figures

    with instance.reading() as uow:
        found = {
            name: _plain(value)
            for name, value in asdict(ledger_figures(uow, source=source, reference=reference)).items()
        }
    if as_json:
        echo_json(found)
        return
    amounts = found.pop("amounts")
    lines = [*found.items(), *((f"amount in {currency}", amount) for currency, amount in amounts.items())]
    echo_table(["figure", "value"], lines, title="Sales report")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(amount) for name, amount in value.items()}
    return f"{value:f}" if isinstance(value, Decimal) else value
