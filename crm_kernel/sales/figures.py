"""What the ledger holds in all: sales, lines, customers and products, what was given back, what nobody is named for.

Counted in the database, so that a history brought from files can be compared with what the files say. Amounts of several
currencies stand beside each other; only base amounts are summed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from crm_kernel.access.policy import visible
from crm_kernel.database import Amount
from crm_kernel.records.plan import record_type
from crm_kernel.sales.models import Sale, SaleLine
from crm_kernel.sales.money import base_currency

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Bits in half of a stored amount.
_HALF = 32


@dataclass(frozen=True, slots=True)
class LedgerFigures:
    """Numbers of sales and lines, and what they come to."""

    sales: int
    lines: int
    #: Different customers and products that the sales name.
    customers: int
    products: int
    #: Sales of a negative amount, and their lines.
    given_back: int
    lines_given_back: int
    #: Sales that name no customer, and their lines.
    anonymous: int
    lines_anonymous: int
    #: ISO 4217 → sum in that currency, refunds taken off.
    amounts: Mapping[str, Decimal]
    base_currency: str
    base_amount: Decimal


def ledger_figures(uow: UnitOfWork, *, source: str | None = None, reference: str | None = None) -> LedgerFigures:
    """Return the figures of the sales the actor may see; three queries.

    Args:
        source: only sales of this source.
        reference: only sales whose reference in the source starts so.
    """
    chosen = [visible(uow.actor, record_type("sale"))]
    if source is not None:
        chosen.append(Sale.source_plugin == source)
    if reference is not None:
        chosen.append(Sale.external_ref.startswith(reference, autoescape=True))
    sales = uow.session.execute(sa.select(*_counts(Sale.customer_id)).where(*chosen)).one()
    joined = sa.select(*_counts(SaleLine.product_id)).select_from(SaleLine).join(Sale, Sale.id == SaleLine.sale_id)
    lines = uow.session.execute(joined.where(*chosen)).one()
    amounts = _amounts(uow, chosen)
    return LedgerFigures(
        sales=sales[0],
        lines=lines[0],
        customers=sales[1],
        products=lines[1],
        given_back=sales[2],
        lines_given_back=lines[2],
        anonymous=sales[3],
        lines_anonymous=lines[3],
        amounts={currency: amount for currency, (amount, _base) in amounts.items()},
        base_currency=base_currency(),
        base_amount=sum((base for _amount, base in amounts.values()), Decimal(0)),
    )


def _counts(named: Any) -> tuple[Any, ...]:
    """Return how many rows there are, what they name, how many are given back, and how many are nobody's."""
    rows = sa.func.count()
    return (
        rows,
        sa.func.count(named.distinct()),
        rows.filter(Sale.amount < 0),
        rows.filter(Sale.customer_id.is_(None)),
    )


def _amounts(uow: UnitOfWork, chosen: list[Any]) -> dict[str, tuple[Decimal, Decimal]]:
    columns = (*_halves(Sale.amount), *_halves(Sale.base_amount))
    query = sa.select(Sale.currency, *columns).where(*chosen)
    found = uow.session.execute(query.group_by(Sale.currency).order_by(Sale.currency))
    return {currency: (_joined(*sums[:2]), _joined(*sums[2:])) for currency, *sums in found}


def _halves(column: Any) -> tuple[Any, Any]:
    """Return the sums of the upper and the lower half of an amount's units: SQLite sums no further than 64 bits."""
    units = sa.type_coerce(column, sa.BigInteger)
    return sa.func.sum(units.bitwise_rshift(sa.literal(_HALF, sa.Integer))), sa.func.sum(
        units.bitwise_and(2**_HALF - 1)
    )


def _joined(upper: int, lower: int) -> Decimal:
    return Decimal((int(upper) << _HALF) + int(lower)).scaleb(-Amount.decimals)
