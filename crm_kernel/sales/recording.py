"""Records the sales that files tell, with all their fields; modules tell theirs by ``record_sale`` and ``record_sales``."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.errors import InvalidInput
from crm_kernel.sales.bulk import NewSale, check_sales, insert_sales, known_keys
from crm_kernel.sales.models import Product, Sale
from crm_kernel.sales.money import base_currency, local_day, rates_and_reasons
from crm_kernel.sales.refunding import refunds_among, unpermitted
from crm_kernel.sales.services import KERNEL, Line

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


def create_sales(uow: UnitOfWork, rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Record sales from loaded data and return their keys in order; audited and told by whoever calls.

    A currency that is not told is the base one, an amount the sum of the lines, a line's description the product's name.

    Raises:
        InvalidInput: by ``<place>.<field>``; a reference is known at its source already, the actor may not refund the sale
            that is given back, else as for ``record_sale`` and ``refund_sale``.
    """
    sales = _described(uow, [_told(row) for row in rows])
    check_sales(sales)
    _refuse(_amounts_missing(rows, sales))
    _refuse(_known(uow, sales))
    given_back = [row.get("refund_of_id") for row in rows]
    _refuse(unpermitted(uow, given_back))
    refunds = refunds_among(uow, sales, given_back)
    rates = _rates(uow, [(place, sale) for place, sale in enumerate(sales) if place not in refunds])
    return [row["id"] for row in insert_sales(uow, sales, refunds, rates)]


def withdraw_sale(uow: UnitOfWork, sale: Sale) -> None:
    """Delete a sale with its lines: only the undoing of an import does, of what that import recorded."""
    uow.session.delete(sale)


def _told(row: Mapping[str, Any]) -> NewSale:
    lines = tuple(_line(part) for part in row.get("lines") or ())
    amount = row.get("amount")
    return NewSale(
        title=row["title"],
        amount=sum((line.total() for line in lines), Decimal(0)) if amount is None else amount,
        currency=row.get("currency") or base_currency(),
        channel=row["channel"],
        source_plugin=row.get("source_plugin") or KERNEL,
        external_ref=row.get("external_ref") or f"sale:{uuid4()}",
        customer_id=row.get("customer_id"),
        occurred_at=row.get("occurred_at"),
        margin=row.get("margin"),
        owner_id=row.get("owner_id"),
        team_id=row.get("team_id"),
        lines=lines,
    )


def _line(part: Mapping[str, Any]) -> Line:
    return Line(
        description=part.get("description") or "",
        quantity=part.get("quantity", Decimal(1)),
        unit_price=part["unit_price"],
        amount=part.get("amount"),
        product_id=part.get("product_id"),
    )


def _described(uow: UnitOfWork, sales: Sequence[NewSale]) -> list[NewSale]:
    """Return the sales with a description on every line: the product's name, else what the sale is called."""
    silent = {line.product_id for sale in sales for line in sale.lines if not line.description and line.product_id}
    names: dict[int, str] = {}
    if silent:
        query = sa.select(Product.id, Product.name).where(Product.id.in_(silent))
        names = {row[0]: row[1] for row in uow.session.execute(query)}

    def named(sale: NewSale, line: Line) -> Line:
        return line if line.description else replace(line, description=names.get(line.product_id or 0) or sale.title)

    return [replace(sale, lines=tuple(named(sale, line) for line in sale.lines)) for sale in sales]


def _amounts_missing(rows: Sequence[Mapping[str, Any]], sales: Sequence[NewSale]) -> Iterator[tuple[str, str]]:
    for place, (row, sale) in enumerate(zip(rows, sales, strict=True)):
        if row.get("amount") is None and not sale.lines:
            yield f"{place}.amount", _("Say the amount, or the lines it is the sum of.")


def _known(uow: UnitOfWork, sales: Sequence[NewSale]) -> Iterator[tuple[str, str]]:
    seen = set(known_keys(uow, sales))
    for place, sale in enumerate(sales):
        if sale.source in seen:
            text = _(
                "%(reference)s of %(source)s is recorded already.",
                reference=sale.external_ref,
                source=sale.source_plugin,
            )
            yield f"{place}.external_ref", text
        seen.add(sale.source)


def _rates(uow: UnitOfWork, sales: Sequence[tuple[int, NewSale]]) -> Mapping[tuple[str, dt.date], Decimal]:
    """Return (currency, day) → rate of sales with their places; as many queries as ``rates_and_reasons``.

    Raises:
        InvalidInput: by ``<place>.currency``.
    """
    days = {place: (sale.currency, local_day(sale.occurred_at or uow.now)) for place, sale in sales}
    rates, missing = rates_and_reasons(uow, set(days.values()))
    _refuse((f"{place}.currency", missing[day]) for place, day in days.items() if day in missing)
    return rates


def _refuse(problems: Iterator[tuple[str, str]]) -> None:
    errors: dict[str, list[str]] = {}
    for path, text in problems:
        errors.setdefault(path, []).append(text)
    if errors:
        raise InvalidInput(errors)
