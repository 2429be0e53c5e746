"""``crm rates``: exchange rates by hand and as the European Central Bank publishes them, and which one holds on a day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from crm_cli.common import (
    Instance,
    confirm,
    dry_run_option,
    echo_json,
    echo_records,
    instance_options,
    json_option,
    message,
    yes_option,
)

if TYPE_CHECKING:
    import datetime as dt

    from crm_kernel.sales.models import ExchangeRate
    from crm_kernel.sales.publishing import Stored
    from crm_kernel.sales.revaluing import Worth

_DAY = click.DateTime(("%Y-%m-%d",))
_WORTH = ("record_type", "currency", "count", "amount", "before", "unvalued", "oldest", "after", "rate")
_COLUMNS = ("from_currency", "to_currency", "rate", "valid_on", "source")
_since = click.option("--since", type=_DAY, help="Leave earlier days out.")


@click.group("rates")
def rates() -> None:
    """See, set and import exchange rates; amounts are converted with the latest one that is not after their day."""


@rates.command("list")
@click.option("--currency", metavar="CODE", help="Only those from or into this currency.")
@_since
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=1000, show_default=True, help="How many at most.")
@json_option
@instance_options
def list_rates(instance: Instance, currency: str | None, since: dt.datetime | None, limit: int, as_json: bool) -> None:
    """List exchange rates, the latest day first: one unit of the first currency is RATE units of the second."""
    import sqlalchemy as sa

    from crm_kernel.sales.models import ExchangeRate

    query = sa.select(ExchangeRate).order_by(ExchangeRate.valid_on.desc(), ExchangeRate.from_currency, ExchangeRate.id)
    if currency is not None:
        code = currency.upper()
        query = query.where(sa.or_(ExchangeRate.from_currency == code, ExchangeRate.to_currency == code))
    if since is not None:
        query = query.where(ExchangeRate.valid_on >= since.date())
    with instance.reading() as uow:
        found = uow.session.scalars(query.limit(limit)).all()
        rows = [_rate(row) for row in found]
    echo_records(as_json, _COLUMNS, rows)


@rates.command("show")
@click.argument("currency")
@click.option("--on", "day", type=_DAY, help="The day it is asked for; today, if not given.")
@json_option
@instance_options
def show(instance: Instance, currency: str, day: dt.datetime | None, as_json: bool) -> None:
    """Show what one unit of CURRENCY is worth in the base currency on a day, and where that comes from."""
    from crm_kernel.sales.money import base_currency, base_quotes_on, local_day, rate_on

    with instance.reading() as uow:
        on, code = day.date() if day else local_day(uow.now), currency.upper()
        rate_on(uow, code, on)  # its refusal says what is missing
        found = base_quotes_on(uow, [(code, on)])[code, on]
        facts = {
            "from_currency": code,
            "to_currency": base_currency(),
            "on": on,
            "rate": _plain(found.rate),
            "valid_on": found.day,
            "how": f"cross over {found.over}" if found.over else found.how,
        }
    if as_json:
        echo_json(facts)
    else:
        echo_records(False, tuple(facts), [facts])


@rates.command("set")
@click.argument("currency")
@click.argument("rate")
@click.option("--to", metavar="CODE", help="The other currency; the base currency, if not given.")
@click.option("--on", "day", type=_DAY, help="From which day on; today, if not given.")
@dry_run_option
@json_option
@instance_options
def set_rate(
    instance: Instance,
    currency: str,
    rate: str,
    to: str | None,
    day: dt.datetime | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Say that one unit of CURRENCY is RATE units of the other; a rate of that day is replaced."""
    from crm_kernel.sales.catalogue import set_exchange_rate
    from crm_kernel.sales.money import local_day

    with instance.writing(dry_run=dry_run) as uow:
        on = day.date() if day else local_day(uow.now)
        made = _rate(set_exchange_rate(uow, from_currency=currency, to_currency=to, rate=rate, valid_on=on))
    if as_json:
        echo_json(made)
    else:
        verb = "would be" if dry_run else "is"
        message(f"From {on} on, 1 {made['from_currency']} {verb} {made['rate']} {made['to_currency']}.")


@rates.command("import")
@click.argument("file", type=click.File("rb"))
@_since
@dry_run_option
@json_option
@instance_options
def import_rates(instance: Instance, file: Any, since: dt.datetime | None, dry_run: bool, as_json: bool) -> None:
    """Import a FILE of the European Central Bank: its XML, its CSV, or the ZIP around that, of a day or of years.

    Days that have such a rate already are corrected; rates that somebody entered or corrected stay. For other files use
    crm import FILE --record exchange_rate.
    """
    _store(instance, file.read(), since, dry_run=dry_run, as_json=as_json)


@rates.command("fetch")
@click.argument("which", type=click.Choice(["latest", "quarter", "all"]), default="latest")
@_since
@dry_run_option
@json_option
@instance_options
def fetch(instance: Instance, which: str, since: dt.datetime | None, dry_run: bool, as_json: bool) -> None:
    """Get the rates of the European Central Bank from its site and import them; for a daily timer, after 16:00 CET.

    The latest ones, those of the last ninety days (quarter), or all since 1999.
    """
    from crm_kernel.outbound import policy_of
    from crm_kernel.sales.publishing import fetch_ecb

    with instance.app().app_context():
        content = fetch_ecb(which, policy_of())
    _store(instance, content, since, dry_run=dry_run, as_json=as_json)


@rates.command("worth")
@click.option("--on", "day", type=_DAY, help="At the rates of this day; today, if not given.")
@json_option
@instance_options
def worth(instance: Instance, day: dt.datetime | None, as_json: bool) -> None:
    """Show what open records are worth in the base currency, as it is kept and at the rates of a day."""
    from crm_kernel.sales.money import local_day
    from crm_kernel.sales.revaluing import worths

    with instance.reading() as uow:
        found = worths(uow, day.date() if day else local_day(uow.now))
        rows = [_described(entry) for entry in found]
    echo_records(as_json, _WORTH, rows)


@rates.command("revalue")
@click.option("--on", "day", type=_DAY, help="At the rates of this day; today, if not given.")
@yes_option
@dry_run_option
@json_option
@instance_options
def revalue(instance: Instance, day: dt.datetime | None, assume_yes: bool, dry_run: bool, as_json: bool) -> None:
    """Value open records anew at the rates of a day, in the background; closed ones keep the worth of theirs."""
    from crm_kernel.jobs.queries import job_uid
    from crm_kernel.sales.money import local_day
    from crm_kernel.sales.revaluing import start_revaluation, worths

    with instance.reading() as uow:
        on = day.date() if day else local_day(uow.now)
        rows = [_described(entry) for entry in worths(uow, on)]
    if not as_json:
        echo_records(False, _WORTH, rows)
    if not dry_run:
        confirm(f"Value these anew at the rates of {on}?", assume_yes=assume_yes)
    with instance.writing(dry_run=dry_run) as uow:
        job = job_uid(uow, start_revaluation(uow, on))
    if as_json:
        echo_json({"on": on, "job": None if dry_run else job, "worths": rows})
    elif not dry_run:
        message(f"Job {job} does it: crm jobs show {job}")


def _rate(row: ExchangeRate) -> dict[str, Any]:
    return {"id": row.uid, **{name: _plain(getattr(row, name)) for name in _COLUMNS}}


def _described(entry: Worth) -> dict[str, Any]:
    same = ("record_type", "currency", "count", "unvalued", "oldest")
    facts = {name: getattr(entry, name) for name in same}
    figures = {name: _plain(getattr(entry, name)) for name in ("amount", "before", "after")}
    return {**facts, **figures, "rate": _plain(entry.quote.rate) if entry.quote else None}


def _store(instance: Instance, content: bytes, since: dt.datetime | None, *, dry_run: bool, as_json: bool) -> None:
    from crm_kernel.sales.ecb import read_ecb
    from crm_kernel.sales.publishing import store_published

    with instance.app().app_context():
        published = read_ecb(content)  # before anything is locked
    with instance.writing(dry_run=dry_run) as uow:
        found = store_published(uow, published, since=since.date() if since else None)
    if as_json:
        echo_json(found)
    else:
        message(_summary(found, "would be " if dry_run else ""))


def _summary(found: Stored, would_be: str) -> str:
    text = f"{found.added} rates {would_be}added, {found.changed} {would_be}changed, {found.unchanged} as they were"
    text += f", {found.kept} entered by hand kept" if found.kept else ""
    text += f"; the latest day is {found.latest}" if found.latest else ""
    return text + (f". Not known here: {', '.join(found.unknown)}." if found.unknown else ".")


def _plain(value: Any) -> Any:
    """Return a rate without the zeros behind it."""
    from decimal import Decimal

    return f"{value.normalize():f}" if isinstance(value, Decimal) else value
