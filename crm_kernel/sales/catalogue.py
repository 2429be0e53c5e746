"""Products and exchange rates: what sales refer to."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa
from flask_babel import gettext as _
from marshmallow import ValidationError

from crm_kernel._internal.rows import IN_LIMIT
from crm_kernel.errors import InvalidInput
from crm_kernel.records.bulk_rows import insert_records
from crm_kernel.records.plan import record_type
from crm_kernel.sales.models import ExchangeRate, Product
from crm_kernel.sales.money import base_currency
from crm_kernel.sales.schemas import ExchangeRateSchema

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: What a rate says; the source is who says it.
_SAID = ("from_currency", "to_currency", "rate", "valid_on")


def create_product(uow: UnitOfWork, data: Mapping[str, Any]) -> Product:
    """Create a product and return it, flushed; a price without a currency is in the base currency.

    Raises:
        InvalidInput: the SKU is taken.
    """
    row = dict(data)
    _settle_product(uow, row, None)
    product = Product(created_at=uow.now, updated_at=uow.now, **row)
    uow.session.add(product)
    uow.session.flush()
    return product


def create_products(uow: UnitOfWork, rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Create products and return their keys in order; audited and told by whoever calls. One query per 5,000.

    Raises:
        InvalidInput: as for ``create_product``, by ``<place>.sku``.
    """
    skus = [row["sku"] for row in rows]
    taken: set[str] = set()
    for start in range(0, len(skus), IN_LIMIT):
        taken |= set(uow.session.scalars(sa.select(Product.sku).where(Product.sku.in_(skus[start : start + IN_LIMIT]))))
    errors: dict[str, list[str]] = {}
    settled = []
    for place, row in enumerate(rows):
        if row["sku"] in taken:
            errors[f"{place}.sku"] = [_taken(row["sku"])]
        taken.add(row["sku"])
        settled.append(_priced(row))
    if errors:
        raise InvalidInput(errors)
    return insert_records(uow, record_type("product"), settled)


def update_product(uow: UnitOfWork, product: Product, changes: Mapping[str, Any]) -> None:
    """Change a product; sales keep the prices they were made at.

    Raises:
        InvalidInput: as for ``create_product``.
    """
    row = {name: changes.get(name, getattr(product, name)) for name in ("sku", "unit_price", "currency")} | dict(
        changes
    )
    _settle_product(uow, row, product.id)
    _assign(uow, product, row)


def add_exchange_rate(
    uow: UnitOfWork, *, from_currency: str, rate: Decimal, valid_on: dt.date, to_currency: str | None = None
) -> ExchangeRate:
    """Add a rate: from that day one unit of ``from_currency`` is ``rate`` units of ``to_currency`` (the base one).

    Raises:
        InvalidInput: the currencies are the same, or that day has a rate already.
    """
    data = {"from_currency": from_currency, "rate": rate, "valid_on": valid_on, "to_currency": to_currency}
    return create_exchange_rate(uow, data)


def set_exchange_rate(
    uow: UnitOfWork, *, from_currency: str, rate: str, valid_on: dt.date, to_currency: str | None = None
) -> ExchangeRate:
    """Add a rate, or replace that of the day, from texts as people write them; return it, flushed.

    Raises:
        InvalidInput: as for ``add_exchange_rate``, or a text is no currency or no rate.
    """
    told = {"from_currency": from_currency, "to_currency": to_currency or base_currency(), "rate": rate}
    try:
        data = {**ExchangeRateSchema(only=tuple(told)).load(told), "valid_on": valid_on, "source": None}
    except ValidationError as error:
        raise InvalidInput(cast(dict[str, list[str]], error.messages_dict)) from error
    table = ExchangeRate
    same = sa.select(table).where(
        table.from_currency == data["from_currency"],
        table.to_currency == data["to_currency"],
        table.valid_on == valid_on,
    )
    known = uow.session.scalars(same).one_or_none()
    if known is None:
        return create_exchange_rate(uow, data)
    update_exchange_rate(uow, known, data)
    return known


def create_exchange_rate(uow: UnitOfWork, data: Mapping[str, Any]) -> ExchangeRate:
    """Create a rate from loaded data and return it, flushed.

    Raises:
        InvalidInput: as for ``add_exchange_rate``.
    """
    row = {**data, "to_currency": data.get("to_currency") or base_currency()}
    _check_rate(uow, row, None)
    rate = ExchangeRate(created_at=uow.now, updated_at=uow.now, **row)
    uow.session.add(rate)
    uow.session.flush()
    return rate


def update_exchange_rate(uow: UnitOfWork, rate: ExchangeRate, changes: Mapping[str, Any]) -> None:
    """Correct a rate; sales that were recorded with it keep theirs.

    What is corrected is no longer what its source published: the source is emptied, unless another one is told.

    Raises:
        InvalidInput: as for ``add_exchange_rate``.
    """
    row = {name: changes.get(name, getattr(rate, name)) for name in (*_SAID, "source")}
    _check_rate(uow, row, rate.id)
    # A form sends the source as it was: that says nothing about the new rate, and the next file would overwrite it.
    if row["source"] == rate.source and any(row[name] != getattr(rate, name) for name in _SAID):
        row["source"] = None
    _assign(uow, rate, row)


def _settle_product(uow: UnitOfWork, row: dict[str, Any], own_id: int | None) -> None:
    query = sa.select(Product.id).where(Product.sku == row["sku"])
    if uow.session.execute(query).scalar() not in (None, own_id):
        raise InvalidInput({"sku": [_taken(row["sku"])]})
    row.update(_priced(row))


def _taken(sku: str) -> str:
    return str(_("%(sku)s is another product's number already.", sku=sku))


def _priced(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a product's values with the currency of its price: the base one, where none is told."""
    unpriced = row.get("unit_price") is None or row.get("currency")
    return dict(row) if unpriced else {**row, "currency": base_currency()}


def _check_rate(uow: UnitOfWork, row: Mapping[str, Any], own_id: int | None) -> None:
    errors: dict[str, list[str]] = {}
    if row["from_currency"] == row["to_currency"]:
        errors["to_currency"] = [_("Found the same currency twice, expected two different ones.")]
    if not row["rate"].is_finite() or row["rate"] <= 0:
        errors["rate"] = [_("Found %(found)s, expected more than 0.", found=row["rate"])]
    table = ExchangeRate
    query = sa.select(table.id).where(
        table.from_currency == row["from_currency"],
        table.to_currency == row["to_currency"],
        table.valid_on == row["valid_on"],
    )
    if uow.session.execute(query).scalar() not in (None, own_id):
        errors["valid_on"] = [_("That day has a rate for these currencies already: change that one.")]
    if errors:
        raise InvalidInput(errors)


def _assign(uow: UnitOfWork, record: Any, row: Mapping[str, Any]) -> None:
    changed = {name: value for name, value in row.items() if getattr(record, name) != value}
    for name, value in changed.items():
        setattr(record, name, value)
    if changed:
        record.updated_at = uow.now
        uow.session.flush()
