"""What opportunities tell the kernel: their sales and refunds, what they are worth in the base currency, touch points."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import sqlalchemy as sa

from crm_kernel.customers.models import Customer
from crm_kernel.errors import Conflict, InvalidInput
from crm_kernel.sales.bulk import NewSale, record_sales
from crm_kernel.sales.models import Product, Sale
from crm_kernel.sales.money import base_currency, base_quotes_on, local_day
from crm_kernel.sales.services import Line, in_base, record_sale, refund_sale
from crm_kernel.touchpoints.services import record_interaction
from crm_sfa.opportunities.models import Opportunity
from crm_sfa.pipelines.choices import WON

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

__all__ = [
    "base_currency", "convert_many", "lacks_sale", "record_win", "record_wins", "refund_win",
    "tell_timeline", "value",
]  # fmt: skip

#: Who tells the ledger and the timeline.
SOURCE = "sfa"


def value(uow: UnitOfWork, opportunity: Opportunity) -> None:
    """Set what an opportunity is worth in the base currency, at the rate of the day it closed, else of today.

    Nothing without an amount, and without a known rate while it is open; at most three queries.

    Raises:
        InvalidInput: it is more than the ledger holds.
    """
    opportunity.base_amount = opportunity.rate = opportunity.rate_on = None
    if opportunity.amount is None or opportunity.currency is None:
        return
    pair = (opportunity.currency, _rate_day(uow, opportunity.closed_at))
    quote = base_quotes_on(uow, {pair}).get(pair)
    if quote is not None:
        opportunity.base_amount = in_base(opportunity.amount, quote.rate)
        opportunity.rate, opportunity.rate_on = quote.rate, pair[1]


def convert_many(uow: UnitOfWork, rows: Sequence[dict[str, Any]], problems: dict[str, list[str]]) -> list[int]:
    """Set ``base_amount``, ``rate`` and ``rate_on`` of many rows; return the places of those whose rate is not known; one query per currency.

    Rows that are worth more than the ledger holds are added to ``problems`` as ``<place>.amount``.
    """
    pairs = [(row["currency"], _rate_day(uow, row["closed_at"])) for row in rows]
    quotes = base_quotes_on(uow, {pair for pair, row in zip(pairs, rows, strict=True) if row["amount"] is not None})
    missing = []
    for place, (pair, row) in enumerate(zip(pairs, rows, strict=True)):
        known = row["amount"] is not None and pair in quotes
        try:
            row["base_amount"] = in_base(row["amount"], quotes[pair].rate) if known else None
            row["rate"], row["rate_on"] = (quotes[pair].rate, pair[1]) if known else (None, None)
        except InvalidInput as error:
            problems.update({f"{place}.{path}": messages for path, messages in error.errors.items()})
        if row["amount"] is not None and not known:
            missing.append(place)
    return missing


def lacks_sale(opportunity: Opportunity) -> bool:
    """Say whether an opportunity is won, has an amount, and has no sale yet."""
    return opportunity.status == WON and opportunity.amount is not None and opportunity.sale_id is None


def row_of(opportunity: Opportunity) -> dict[str, Any]:
    """Return an opportunity as the mapping of its columns."""
    return {column.key: getattr(opportunity, column.key) for column in sa.inspect(Opportunity).column_attrs}


def record_win(uow: UnitOfWork, opportunity: Opportunity) -> None:
    """Record the sale of a won opportunity that has an amount; the base amount is then the sale's, for good.

    Raises:
        InvalidInput: no exchange rate is known for its currency.
    """
    names = _product_names(uow, [opportunity.product_id]) if opportunity.product_id else {}
    told = _as_sale(row_of(opportunity), names)
    customer_id = told.pop("customer_id")
    sale = record_sale(uow, **told, customer=uow.session.get(Customer, customer_id) if customer_id else None)
    opportunity.sale_id, opportunity.base_amount = sale.id, sale.base_amount
    opportunity.rate, opportunity.rate_on = sale.rate, local_day(sale.occurred_at)
    opportunity.times_sold += 1


def record_wins(uow: UnitOfWork, rows: Sequence[Mapping[str, Any]]) -> None:
    """Record the sales of many won opportunities, those without an amount left out; rows are columns of the table.

    Raises:
        InvalidInput: no exchange rate is known for the currency of one of them.
    """
    sold = [row for row in rows if row["amount"] is not None]
    if not sold:
        return
    products = {row["product_id"] for row in sold if row["product_id"]}
    names = _product_names(uow, products) if products else {}
    sales = record_sales(uow, [NewSale(**_as_sale(row, names)) for row in sold])
    table = cast(sa.Table, Opportunity.__table__)
    key, sale = sa.bindparam("key", type_=sa.BigInteger), sa.bindparam("sale", type_=sa.BigInteger)
    statement = table.update().where(table.c.id == key).values(sale_id=sale, times_sold=table.c.times_sold + 1)
    pairs = [{"key": row["id"], "sale": sale_id} for row, sale_id in zip(sold, sales, strict=True)]
    uow.session.connection().execute(statement, pairs)


def refund_win(uow: UnitOfWork, opportunity: Opportunity) -> None:
    """Refund what is left of the opportunity's sale, if it has one, and let it go."""
    sale = uow.session.get(Sale, opportunity.sale_id) if opportunity.sale_id else None
    opportunity.sale_id = None
    if sale is None or sale.amount <= 0:
        return
    with contextlib.suppress(Conflict):  # somebody refunded it already, in the ledger itself
        refund_sale(uow, sale, source_plugin=SOURCE, external_ref=f"{sale.external_ref}:refund")


def tell_timeline(uow: UnitOfWork, opportunity: Opportunity, kind: str, body: str | None = None) -> None:
    """Record a touch point on the customer's timeline, about the opportunity and under its name; nothing without a customer.

    What happened is the kind: the record type has its words in every language.
    """
    customer = uow.session.get(Customer, opportunity.customer_id) if opportunity.customer_id else None
    if customer is None:
        return
    record_interaction(
        uow,
        customer,
        kind=kind,
        channel="other",
        direction="internal",
        summary=opportunity.name,
        body=body,
        source_plugin=SOURCE,
        occurred_at=opportunity.closed_at,
        subject_type="sfa.opportunity",
        subject_uid=opportunity.uid,
    )


def _as_sale(row: Mapping[str, Any], names: Mapping[int, str]) -> dict[str, Any]:
    """Return a won opportunity in the words of the ledger, its customer aside."""
    amount, product_id = row["amount"], row["product_id"]
    line = Line(description=names.get(product_id, row["name"]), unit_price=amount, product_id=product_id)
    return {
        "title": row["name"],
        "amount": amount,
        "currency": row["currency"],
        "channel": "rep",
        "source_plugin": SOURCE,
        "external_ref": _reference(row["uid"], row.get("times_sold", 0)),
        "customer_id": row["customer_id"],
        "occurred_at": row["closed_at"],
        "owner_id": row["owner_id"],
        "team_id": row["team_id"],
        "lines": [line] if product_id else [],
    }


def _product_names(uow: UnitOfWork, keys: Collection[int]) -> dict[int, str]:
    query = sa.select(Product.id, Product.name).where(Product.id.in_(keys))
    return {row[0]: row[1] for row in uow.session.execute(query)}


def _reference(uid: UUID, times_sold: int) -> str:
    """Return the key of a sale in the ledger: the opportunity's id, with a number from its second sale on."""
    return str(uid) if times_sold == 0 else f"{uid}:{times_sold + 1}"


def _rate_day(uow: UnitOfWork, closed_at: dt.datetime | None) -> dt.date:
    return local_day(closed_at or uow.now)
