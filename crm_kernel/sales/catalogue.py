"""Products and exchange rates: what sales refer to."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa
from flask_babel import gettext as _
from marshmallow import ValidationError

from crm_kernel._internal.rows import IN_LIMIT, among
from crm_kernel.errors import InvalidInput
from crm_kernel.records.bulk_rows import insert_records, slices, update_records
from crm_kernel.records.plan import record_type
from crm_kernel.records.services import ask_plugins
from crm_kernel.records.storing import set_changed
from crm_kernel.sales.models import ExchangeRate, Product
from crm_kernel.sales.money import base_currency
from crm_kernel.sales.schemas import ExchangeRateSchema

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: What there is one rate of.
_DAY = ("from_currency", "to_currency", "valid_on")
#: What a rate says; the source is who says it.
_SAID = (*_DAY, "rate")


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

    Of several who do so at once, each sees what the one before has stored.

    Raises:
        InvalidInput: as for ``add_exchange_rate``, a text is no currency or no rate, or a module refuses it.
    """
    told = {"from_currency": from_currency, "to_currency": to_currency or base_currency(), "rate": rate}
    try:
        data = {**ExchangeRateSchema(only=tuple(told)).load(told), "valid_on": valid_on, "source": None}
    except ValidationError as error:
        raise InvalidInput(cast(dict[str, list[str]], error.messages_dict)) from error
    lock_rates(uow)
    query = sa.select(ExchangeRate).where(*(getattr(ExchangeRate, name) == data[name] for name in _DAY))
    known = uow.session.scalars(query).one_or_none()
    ask_plugins(uow, record_type("exchange_rate"), known, data)
    if known is None:
        return create_exchange_rate(uow, data)
    update_exchange_rate(uow, known, data)
    return known


def lock_rates(uow: UnitOfWork) -> None:
    """Let nobody else write exchange rates until the transaction ends; reading goes on. On SQLite its begin did that.

    For who adds or changes by what is there: call it before the first rate is read, locked or written.
    """
    if uow.session.get_bind().dialect.name == "postgresql":
        # No weaker lock: it would be given beside rows that somebody has locked to change, and each would wait for the other.
        uow.session.execute(sa.text("LOCK TABLE exchange_rate IN EXCLUSIVE MODE"))


def create_exchange_rate(uow: UnitOfWork, data: Mapping[str, Any]) -> ExchangeRate:
    """Create a rate from loaded data and return it, flushed.

    Raises:
        InvalidInput: as for ``add_exchange_rate``.
    """
    row = _settled_rate(data)
    _check_rate(uow, None, row)
    rate = ExchangeRate(created_at=uow.now, updated_at=uow.now, **row)
    uow.session.add(rate)
    uow.session.flush()
    return rate


def create_exchange_rates(uow: UnitOfWork, rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Create rates and return their keys in order; audited and told by whoever calls. One query per 5,000.

    Raises:
        InvalidInput: as for ``add_exchange_rate``, by ``<place>.<field>``.
    """
    settled = [_settled_rate(row) for row in rows]
    _check_rates(uow, [(None, row) for row in settled])
    return insert_records(uow, record_type("exchange_rate"), settled)


def update_exchange_rate(uow: UnitOfWork, rate: ExchangeRate, changes: Mapping[str, Any]) -> None:
    """Correct a rate; sales that were recorded with it keep theirs.

    What is corrected is no longer what its source published: the source is emptied, unless another one is told.

    Raises:
        InvalidInput: as for ``add_exchange_rate``.
    """
    row = _corrected(rate, changes)
    # A form sends the source as it was: that says nothing about the new rate, and the next file would overwrite it.
    if row["source"] == rate.source and _says_other(rate, row):
        row["source"] = None
    _check_rate(uow, rate.id, row)
    _assign(uow, rate, row)


def update_exchange_rates(uow: UnitOfWork, changes: Mapping[int, Mapping[str, Any]]) -> None:
    """Correct rates by key as ``update_exchange_rate`` does; who publishes them tells the source, and that one is kept.

    Two queries per 5,000 rates and one statement per set of columns, and one per rate that loses its source.

    Raises:
        InvalidInput: as for ``add_exchange_rate``, by ``<place in changes>.<field>``.
    """
    stored = _rates_by_key(uow, list(changes))
    rows = {key: _corrected(stored[key], change) for key, change in changes.items()}
    _check_rates(uow, list(rows.items()))
    plain: dict[int, dict[str, Any]] = {}
    for key, row in rows.items():
        rate = stored[key]
        if rate.source is not None and "source" not in changes[key] and _says_other(rate, row):
            _assign(uow, rate, {**row, "source": None})  # nobody told of the source: the session audits it
        elif differing := {name: value for name, value in row.items() if getattr(rate, name) != value}:
            plain[key] = differing
    update_records(uow, record_type("exchange_rate"), plain)


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


def _settled_rate(data: Mapping[str, Any]) -> dict[str, Any]:
    return {**data, "to_currency": data.get("to_currency") or base_currency()}


def _corrected(rate: ExchangeRate, changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: changes.get(name, getattr(rate, name)) for name in (*_SAID, "source")}


def _says_other(rate: ExchangeRate, row: Mapping[str, Any]) -> bool:
    return any(row[name] != getattr(rate, name) for name in _SAID)


def _rates_by_key(uow: UnitOfWork, keys: Sequence[int]) -> dict[int, ExchangeRate]:
    found: dict[int, ExchangeRate] = {}
    for part in slices(keys):
        query = sa.select(ExchangeRate).where(among(uow.session, ExchangeRate.id, part))
        found |= {rate.id: rate for rate in uow.session.scalars(query)}
    return found


def _check_rate(uow: UnitOfWork, key: int | None, row: Mapping[str, Any]) -> None:
    [errors] = _wrong_rates(uow, [(key, row)])
    if errors:
        raise InvalidInput(errors)


def _check_rates(uow: UnitOfWork, rows: Sequence[tuple[int | None, Mapping[str, Any]]]) -> None:
    found = enumerate(_wrong_rates(uow, rows))
    errors = {f"{place}.{name}": messages for place, wrong in found for name, messages in wrong.items()}
    if errors:
        raise InvalidInput(errors)


def _wrong_rates(
    uow: UnitOfWork, rows: Sequence[tuple[int | None, Mapping[str, Any]]]
) -> Iterator[dict[str, list[str]]]:
    """Yield what is wrong with each of some rates, given with their keys, by field; one query per 5,000."""
    days = [_day_of(row) for _key, row in rows]
    holders = _keys_by_day(uow, days)
    # Also the days of those that move away: rows are written one after the other, and the unique key would refuse a swap.
    taken = set(holders)
    for day, (key, row) in zip(days, rows, strict=True):
        errors: dict[str, list[str]] = {}
        if row["from_currency"] == row["to_currency"]:
            errors["to_currency"] = [_("Found the same currency twice, expected two different ones.")]
        if not row["rate"].is_finite() or row["rate"] <= 0:
            errors["rate"] = [_("Found %(found)s, expected more than 0.", found=row["rate"])]
        if day in taken and (key is None or holders.get(day) != key):
            errors["valid_on"] = [_("That day has a rate for these currencies already: change that one.")]
        taken.add(day)
        yield errors


def _day_of(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in _DAY)


def _keys_by_day(uow: UnitOfWork, days: Sequence[tuple[Any, ...]]) -> dict[tuple[Any, ...], int]:
    """Return (currencies, day) → key of the rates that these days have; of others, too."""
    columns = [getattr(ExchangeRate, name) for name in _DAY]
    found: dict[tuple[Any, ...], int] = {}
    for start in range(0, len(days), IN_LIMIT):
        asked = zip(columns, zip(*days[start : start + IN_LIMIT], strict=True), strict=True)
        query = sa.select(*columns, ExchangeRate.id).where(*(column.in_(set(values)) for column, values in asked))
        found |= {tuple(row[:-1]): row[-1] for row in uow.session.execute(query)}
    return found


def _assign(uow: UnitOfWork, record: Any, row: Mapping[str, Any]) -> None:
    if set_changed(record, row):
        record.updated_at = uow.now
        uow.session.flush()
