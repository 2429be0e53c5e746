"""``crm sfa``: the module's commands. Heavy imports are inside the functions: ``crm --help`` stays fast."""

from __future__ import annotations

import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click
from crm_cli.common import Instance, echo_json, echo_table, instance_options, json_option

if TYPE_CHECKING:
    import datetime as dt

    from crm_kernel.unit_of_work import UnitOfWork
    from crm_sfa.reports.scope import ReportScope

_DAY = click.DateTime(formats=["%Y-%m-%d"])


@click.group("sfa")
def cli() -> None:
    """Sales figures: pipelines, opportunities, win rates."""


@cli.command("report")
@click.option("--pipeline", metavar="NAME", help="Only the opportunities of this pipeline.")
@click.option("--from", "start", type=_DAY, metavar="DAY", help="Only what closed on this day or later.")
@click.option("--to", "end", type=_DAY, metavar="DAY", help="Only what closed on this day or before.")
@json_option
@instance_options
def report(
    instance: Instance, pipeline: str | None, start: dt.datetime | None, end: dt.datetime | None, as_json: bool
) -> None:
    """Print what was won, lost and is open, with rates, and the won value by region, quarter and representative.

    Amounts are in the base currency. The period is of the day of closing; open opportunities always count.
    """
    if start and end and end < start:
        raise click.UsageError(f"--to {end:%Y-%m-%d} is before --from {start:%Y-%m-%d}")
    from crm_sfa.reports.queries import pipeline_report

    with instance.reading() as uow:
        found = pipeline_report(uow, _scope(uow, pipeline, start, end))
    if as_json:
        echo_json(_numbers(found))
    else:
        echo_table(["figure", "value"], _lines(found), title="Pipeline report")


def _scope(uow: UnitOfWork, pipeline: str | None, start: dt.datetime | None, end: dt.datetime | None) -> ReportScope:
    from crm_sfa.reports.scope import ReportScope, pipeline_named

    return ReportScope(
        pipeline=pipeline_named(uow, pipeline) if pipeline else None,
        closed_from=start.date() if start else None,
        closed_to=end.date() if end else None,
    )


def _numbers(value: Any) -> Any:
    """Return amounts as JSON numbers: whole ones without decimals. Nothing is computed with them any more."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {name: _numbers(found) for name, found in value.items()}
    return value


def _lines(found: dict[str, Any]) -> list[tuple[str, Any]]:
    lines: list[tuple[str, Any]] = []
    for name, value in found.items():
        if isinstance(value, dict):
            lines += [(f"{name}: {part}", _text(amount)) for part, amount in value.items()]
        else:
            lines.append((name, _text(value)))
    return lines


def _text(value: Any) -> Any:
    if not isinstance(value, Decimal):
        return value
    # Thousands are set apart for people only: the next program in a pipe takes 1,200.00 for two numbers, or for none.
    return f"{value:,.2f}" if sys.stdout.isatty() else f"{value:.2f}"
