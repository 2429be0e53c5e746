"""Totals over the sales ledger. Only base amounts are summed: 50 USD and 50 EUR are never 100 of anything."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from crm_kernel.access.models import AppUser, Team
from crm_kernel.access.policy import visible
from crm_kernel.customers.models import Customer
from crm_kernel.database import Amount
from crm_kernel.records.plan import record_type
from crm_kernel.sales.models import Sale
from crm_kernel.sales.money import base_currency

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: What sales can be grouped by; times are in UTC.
GROUPS = ("year", "quarter", "month", "channel", "source_plugin", "owner", "team", "customer")


@dataclass(frozen=True, slots=True)
class SalesTotal:
    """The sales of one group; amounts in the base currency, refunds taken off."""

    #: Name of the group → value: 2017, ``2017-Q2``, ``2017-03``, a channel, or (id, name), None for none.
    group: Mapping[str, Any]
    #: How many sales, refunds not counted.
    count: int
    base_amount: Decimal
    #: Over the sales whose margin is known.
    base_margin: Decimal


@dataclass(frozen=True, slots=True)
class CustomerSales:
    """What one customer has bought, in the base currency."""

    count: int
    base_amount: Decimal
    last_year: Decimal
    first_at: dt.datetime | None
    last_at: dt.datetime | None
    #: Whether some were made in another currency, and are converted at the rate of their day.
    converted: bool = False


def sales_by(
    uow: UnitOfWork, *groups: str, since: dt.datetime | None = None, until: dt.datetime | None = None
) -> list[SalesTotal]:
    """Return the totals of the sales the actor may see, by any of ``GROUPS``, in the groups' order; one query.

    Without groups one total of all. ``since`` is included, ``until`` is not.

    Raises:
        ValueError: a group is not one of ``GROUPS``.
    """
    unknown = [name for name in groups if name not in GROUPS]
    if unknown:
        raise ValueError(f"sales_by({unknown[0]!r}): expected groups of {', '.join(GROUPS)}")
    parts = {name: _columns(uow, name) for name in groups}
    columns = [column for part in parts.values() for column in part]
    query = _joined(sa.select(*columns, *_totals()), groups).where(visible(uow.actor, record_type("sale")))
    if since is not None:
        query = query.where(Sale.occurred_at >= since)
    if until is not None:
        query = query.where(Sale.occurred_at < until)
    rows = uow.session.execute(query.group_by(*columns).order_by(*columns) if columns else query)
    return [_total(parts, row) for row in rows]


def sales_of(uow: UnitOfWork, customer: Customer) -> CustomerSales:
    """Return the totals of one customer's sales that the actor may see; one query."""
    year_ago = uow.now - dt.timedelta(days=365)
    recent = sa.func.sum(sa.case((Sale.occurred_at >= year_ago, Sale.base_amount), else_=sa.literal(0, Amount)))
    query = sa.select(*_totals(), recent, sa.func.min(Sale.occurred_at), sa.func.max(Sale.occurred_at))
    query = query.add_columns(sa.func.count(sa.case((Sale.currency != base_currency(), 1))))
    query = query.where(Sale.customer_id == customer.id, visible(uow.actor, record_type("sale")))
    row = uow.session.execute(query).one()
    zero = Decimal(0)
    return CustomerSales(row[0], row[1] or zero, row[3] or zero, row[4], row[5], row[6] > 0)


def _totals() -> tuple[Any, ...]:
    sold = sa.func.count(sa.case((Sale.refund_of_id.is_(None), Sale.id)))
    return sold, sa.func.sum(Sale.base_amount), sa.func.sum(Sale.base_margin)


def _columns(uow: UnitOfWork, group: str) -> tuple[Any, ...]:
    if group in ("year", "quarter", "month"):
        moment = Sale.occurred_at if uow.session.get_bind().dialect.name == "sqlite" else _in_utc()
        month = sa.extract("month", moment)
        finer = {"year": (), "quarter": ((month + 2) / 3,), "month": (month,)}[group]
        return (sa.extract("year", moment), *(sa.cast(sa.func.floor(value), sa.Integer) for value in finer))
    if group in ("channel", "source_plugin"):
        return (getattr(Sale, group),)
    model: Any = {"owner": AppUser, "team": Team, "customer": Customer}[group]
    return (model.display_name if group == "customer" else model.name, model.uid)


def _in_utc() -> Any:
    # timestamptz is taken apart in the session's time zone, which is the server's.
    return sa.type_coerce(sa.func.timezone("UTC", Sale.occurred_at), sa.DateTime())


def _joined(query: sa.Select[Any], groups: Sequence[str]) -> sa.Select[Any]:
    query = query.select_from(Sale)
    joins: tuple[tuple[str, type[Any], Any], ...] = (
        ("owner", AppUser, Sale.owner_id),
        ("team", Team, Sale.team_id),
        ("customer", Customer, Sale.customer_id),
    )
    for name, model, key in joins:
        if name in groups:
            query = query.outerjoin(model, model.id == key)
    return query


def _total(parts: Mapping[str, tuple[Any, ...]], row: sa.Row[Any]) -> SalesTotal:
    group, place = {}, 0
    for name, columns in parts.items():
        group[name] = _value(name, row[place : place + len(columns)])
        place += len(columns)
    count, amount, margin = row[place:]
    return SalesTotal(group, count, amount or Decimal(0), margin or Decimal(0))


def _value(name: str, values: Sequence[Any]) -> Any:
    if name == "year":
        return int(values[0])
    if name == "quarter":
        return f"{int(values[0])}-Q{int(values[1])}"
    if name == "month":
        return f"{int(values[0])}-{int(values[1]):02}"
    if name in ("channel", "source_plugin"):
        return values[0]
    identity: tuple[UUID, str] | None = None if values[1] is None else (values[1], values[0])
    return identity
