"""Records many sales at once: the same rules as one at a time, a fraction of the cost. For imports of history.

Told by one ``RecordsBulkChanged`` per call instead of one ``SaleRecorded`` per sale; audited like every bulk change.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa

from crm_kernel._internal.rows import IN_LIMIT, insert_rows, reserve_keys
from crm_kernel.access.audit import AuditRow, record_audit_many
from crm_kernel.customers.models import new_uid
from crm_kernel.errors import InvalidInput
from crm_kernel.records.events import RecordsBulkChanged
from crm_kernel.records.ownership import with_teams
from crm_kernel.sales.models import Sale, SaleLine
from crm_kernel.sales.money import local_day, rates_on
from crm_kernel.sales.services import Line, check_sale, in_base

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSale:
    """A sale to be recorded; the fields mean what the arguments of ``record_sale`` do, customers are keys."""

    title: str
    amount: Decimal
    currency: str
    channel: str
    source_plugin: str
    external_ref: str
    customer_id: int | None = None
    occurred_at: dt.datetime | None = None
    margin: Decimal | None = None
    owner_id: int | None = None
    team_id: int | None = None
    lines: Sequence[Line] = ()

    @property
    def source(self) -> tuple[str, str]:
        """What identifies it: a sale told twice is stored once."""
        return self.source_plugin, self.external_ref


def record_sales(uow: UnitOfWork, sales: Sequence[NewSale]) -> list[int]:
    """Record sales and return their keys in order; one that is known already is left as it was recorded first.

    All or none. Costs about eight statements per call, one more per foreign currency and per 5,000 sales.

    Raises:
        InvalidInput: by ``<place>.<field>``; under ``currency`` alone when a rate is not known.
    """
    check_sales(sales)
    known = known_keys(uow, sales)
    new = {sale.source: sale for sale in reversed(sales) if sale.source not in known}
    fresh = [new[source] for source in dict.fromkeys(sale.source for sale in sales) if source in new]
    if fresh:
        known |= _insert(uow, fresh)
    return [known[sale.source] for sale in sales]


def check_sales(sales: Sequence[NewSale]) -> None:
    """Refuse sales that cannot be recorded as they are told.

    Raises:
        InvalidInput: by ``<place>.<field>``.
    """
    errors: dict[str, list[str]] = {}
    for place, sale in enumerate(sales):
        try:
            check_sale(title=sale.title, amount=sale.amount, margin=sale.margin, channel=sale.channel, lines=sale.lines)
        except InvalidInput as error:
            errors |= {f"{place}.{field}": messages for field, messages in error.errors.items()}
    if errors:
        raise InvalidInput(errors)


def known_keys(uow: UnitOfWork, sales: Sequence[NewSale]) -> dict[tuple[str, str], int]:
    """Return (source, reference) → key of those that are recorded already; one query per source and 5,000."""
    found: dict[tuple[str, str], int] = {}
    by_plugin: dict[str, list[str]] = {}
    for sale in sales:
        by_plugin.setdefault(sale.source_plugin, []).append(sale.external_ref)
    for plugin, references in by_plugin.items():
        for start in range(0, len(references), IN_LIMIT):
            part = references[start : start + IN_LIMIT]
            query = sa.select(Sale.external_ref, Sale.id).where(
                Sale.source_plugin == plugin, Sale.external_ref.in_(part)
            )
            found |= {(plugin, row[0]): row[1] for row in uow.session.execute(query)}
    return found


def insert_sales(
    uow: UnitOfWork,
    sales: Sequence[NewSale],
    refunds: Mapping[int, Mapping[str, Any]] | None = None,
    rates: Mapping[tuple[str, dt.date], Decimal] | None = None,
) -> list[dict[str, Any]]:
    """Insert checked sales with their lines and return their rows in order; audits nothing and tells nobody.

    Args:
        refunds: place → ``rate``, ``margin``, ``base_amount``, ``base_margin`` and ``refund_of_id`` of what gives back another sale.
        rates: (currency, day) → rate of all others, as ``rates_on`` returns them; asked for if not given.

    Raises:
        InvalidInput: by ``<place>.<field>``, or under ``currency`` alone when a rate is not known.
    """
    given = refunds or {}
    moments = [sale.occurred_at or uow.now for sale in sales]
    days = [(sale.currency, local_day(when)) for sale, when in zip(sales, moments, strict=True)]
    if rates is None:
        rates = rates_on(uow, {day for place, day in enumerate(days) if place not in given})
    owned = with_teams(uow, [{"owner_id": sale.owner_id, "team_id": sale.team_id} for sale in sales])
    table = cast(sa.Table, Sale.__table__)
    keys = reserve_keys(uow.session, table, len(sales))
    rows = []
    for place, (key, sale, when, owner) in enumerate(zip(keys, sales, moments, owned, strict=True)):
        worth = given.get(place) or _worth(place, sale, rates[days[place]])
        rows.append({"id": key, **_common(uow), **_row(sale, when, owner), **worth})
    insert_rows(uow.session, table, rows)
    insert_rows(uow.session, cast(sa.Table, SaleLine.__table__), _lines(uow, keys, sales))
    return rows


def _insert(uow: UnitOfWork, sales: Sequence[NewSale]) -> dict[tuple[str, str], int]:
    rows = insert_sales(uow, sales)
    record_audit_many(uow, "sale", "created", [AuditRow(row["uid"], None, _audited(row)) for row in rows])
    uow.record(RecordsBulkChanged(run_id=uow.request_id, record_type="sale", changed_at=uow.now, created=len(rows)))
    return {sale.source: row["id"] for row, sale in zip(rows, sales, strict=True)}


def _worth(place: int, sale: NewSale, rate: Decimal) -> dict[str, Any]:
    """Return the columns that say what a sale is worth in the base currency."""
    try:
        return {
            "rate": rate,
            "base_amount": in_base(sale.amount, rate),
            "base_margin": None if sale.margin is None else in_base(sale.margin, rate),
            "refund_of_id": None,
        }
    except InvalidInput as error:
        raise InvalidInput({f"{place}.{field}": messages for field, messages in error.errors.items()}) from error


def _row(sale: NewSale, when: dt.datetime, owner: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "title": " ".join(sale.title.split())[:300],
        "customer_id": sale.customer_id,
        "occurred_at": when,
        "channel": sale.channel,
        "source_plugin": sale.source_plugin,
        "external_ref": sale.external_ref,
        "currency": sale.currency,
        "amount": sale.amount,
        "margin": sale.margin,
        "owner_id": owner["owner_id"],
        "team_id": owner["team_id"],
    }


def _lines(uow: UnitOfWork, keys: Sequence[int], sales: Sequence[NewSale]) -> list[dict[str, Any]]:
    return [
        {
            **_common(uow),
            "sale_id": key,
            "position": position,
            "product_id": line.product_id,
            "description": line.description,
            "quantity": line.quantity,
            "unit_price": line.unit_price,
            "amount": line.total(),
        }
        for key, sale in zip(keys, sales, strict=True)
        for position, line in enumerate(sale.lines, 1)
    ]


def _common(uow: UnitOfWork) -> dict[str, Any]:
    return {"uid": new_uid(), "version": 1, "created_at": uow.now, "updated_at": uow.now}


def _audited(row: Mapping[str, Any]) -> dict[str, Any]:
    left_out = ("id", "uid", "version", "created_at", "updated_at")
    return {name: value for name, value in row.items() if name not in left_out and value is not None}
