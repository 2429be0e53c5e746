"""Records sales and refunds in the one ledger: once each, exact, with the rate and the base amount of that day."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID, uuid4

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel._internal.rows import add_once
from crm_kernel.customers.models import Customer, new_uid
from crm_kernel.errors import Conflict, InvalidInput
from crm_kernel.records.ownership import with_team
from crm_kernel.sales.choices import CHANNELS
from crm_kernel.sales.events import SaleRecorded
from crm_kernel.sales.models import Sale, SaleLine
from crm_kernel.sales.money import LARGEST, local_day, product, rate_on, rounded, share

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

KERNEL = "kernel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One position of a sale, in the sale's currency; up to four decimals each."""

    description: str
    quantity: Decimal = Decimal(1)
    unit_price: Decimal
    #: Discounts included; quantity × unit price if not given.
    amount: Decimal | None = None
    #: Key of the product.
    product_id: int | None = None

    def total(self) -> Decimal:
        """Return what the line comes to."""
        return product(self.quantity, self.unit_price) if self.amount is None else self.amount


def record_sale(
    uow: UnitOfWork,
    *,
    title: str,
    amount: Decimal,
    currency: str,
    channel: str,
    source_plugin: str,
    external_ref: str,
    customer: Customer | None = None,
    occurred_at: dt.datetime | None = None,
    margin: Decimal | None = None,
    owner_id: int | None = None,
    team_id: int | None = None,
    lines: Sequence[Line] = (),
) -> Sale:
    """Record a sale and return it, flushed; the same one told again is returned as it was recorded first.

    Args:
        amount, margin: in ``currency``, up to four decimals; a return without a known sale is negative.
        source_plugin, external_ref: who tells, and the key there: the pair is stored once.
        customer: None for an anonymous sale.
        occurred_at: aware; now if not given. Its day in the company's time zone decides the exchange rate.
        owner_id, team_id: the rep who sold, and the team (the rep's if not given).
        lines: must add up to ``amount``.

    Raises:
        InvalidInput: the channel or currency is unknown, amounts do not add up or are too exact, or there is no rate.
    """
    when = occurred_at or uow.now
    check_sale(title=title, amount=amount, margin=margin, channel=channel, lines=lines)
    known = _known(uow, source_plugin, external_ref)
    if known is not None:
        return known
    rate = rate_on(uow, currency, local_day(when))
    row = {
        "title": " ".join(title.split())[:300],
        "customer_id": customer.id if customer else None,
        "occurred_at": when,
        "channel": channel,
        "source_plugin": source_plugin,
        "external_ref": external_ref,
        "currency": currency,
        "amount": amount,
        "rate": rate,
        "base_amount": in_base(amount, rate),
        "margin": margin,
        "base_margin": None if margin is None else in_base(margin, rate),
        "owner_id": owner_id,
        "team_id": _team(uow, owner_id, team_id),
        "refund_of_id": None,
    }
    return _store(uow, row, customer, lines=lines)


def refund_sale(
    uow: UnitOfWork,
    sale: Sale,
    *,
    amount: Decimal | None = None,
    external_ref: str | None = None,
    source_plugin: str = KERNEL,
    occurred_at: dt.datetime | None = None,
) -> Sale:
    """Record that a sale was given back, wholly or in part, and return the refund: a sale with negative amounts.

    The rate is that of the sale, and the last refund takes the rest, so that a wholly refunded sale sums to exactly zero
    in both currencies. The margin goes back in proportion.

    Args:
        amount: what is given back, positive, in the sale's currency; all that is left if not given.
        external_ref: key of the refund at its source; told twice it is stored once. A new one if not given.

    Raises:
        Conflict: the sale is a refund itself, or nothing is left of it.
        InvalidInput: the amount is not positive, too exact, or more than is left.
    """
    reference = external_ref or f"refund:{uuid4()}"
    uow.session.refresh(sale, with_for_update=True)  # two refunds at a time must not give back more than was paid
    known = _known(uow, source_plugin, reference)
    if known is not None:
        return known
    left = _left_of(uow, sale)
    given = left.amount if amount is None else amount
    _check_refund(given, left.amount)
    row = {
        **{name: getattr(sale, name) for name in _CARRIED},
        **_refunded(sale, given, left),
        "occurred_at": occurred_at or uow.now,
        "source_plugin": source_plugin,
        "external_ref": reference,
        "refund_of_id": sale.id,
    }
    customer = uow.session.get(Customer, sale.customer_id) if sale.customer_id else None
    return _store(uow, row, customer, refund_of=sale.uid)


_CARRIED = ("title", "customer_id", "channel", "currency", "rate", "owner_id", "team_id")


@dataclass(frozen=True, slots=True)
class _Left:
    """What is left of a sale after its refunds."""

    amount: Decimal
    base_amount: Decimal
    margin: Decimal | None
    base_margin: Decimal | None


def _left_of(uow: UnitOfWork, sale: Sale) -> _Left:
    if sale.refund_of_id is not None or sale.amount <= 0:
        raise Conflict(_("This is a refund itself: only a sale can be refunded."))
    table = Sale
    sums = (sa.func.sum(column) for column in (table.amount, table.base_amount, table.margin, table.base_margin))
    row = uow.session.execute(sa.select(*sums).where(table.refund_of_id == sale.id)).one()
    left = _Left(
        sale.amount + (row[0] or 0),
        sale.base_amount + (row[1] or 0),
        None if sale.margin is None else sale.margin + (row[2] or 0),
        None if sale.base_margin is None else sale.base_margin + (row[3] or 0),
    )
    if left.amount <= 0:
        raise Conflict(_("This sale was wholly refunded already."))
    return left


def _refunded(sale: Sale, given: Decimal, left: _Left) -> dict[str, Any]:
    if given == left.amount:
        parts = {name: getattr(left, name) for name in ("amount", "base_amount", "margin", "base_margin")}
    else:
        margin = None if sale.margin is None else share(sale.margin, given, sale.amount)
        parts = {
            "amount": given,
            "base_amount": product(given, sale.rate),
            "margin": margin,
            "base_margin": None if margin is None else product(margin, sale.rate),
        }
    return {name: None if value is None else -value for name, value in parts.items()}


def _check_refund(given: Decimal, left: Decimal) -> None:
    if not given.is_finite() or given != rounded(given) or not 0 < given <= left:
        message = _(
            "Found %(found)s, expected more than 0 and at most %(left)s, with four decimals.", found=given, left=left
        )
        raise InvalidInput({"amount": [message]})


def check_sale(*, title: str, amount: Decimal, margin: Decimal | None, channel: str, lines: Sequence[Line]) -> None:
    """Refuse a sale that cannot be recorded as it is told.

    Raises:
        InvalidInput: naming every wrong field.
    """
    errors: dict[str, list[str]] = {}
    if not title.strip():
        errors["title"] = [_("A sale needs a title: what was sold?")]
    if channel not in CHANNELS:
        known = ", ".join(CHANNELS)
        errors["channel"] = [_("Found %(found)s, expected one of: %(known)s.", found=channel, known=known)]
    for name, value in (("amount", amount), ("margin", margin)):
        if value is not None and _unstorable(value):
            errors[name] = [_too_exact(value)]
    if wrong := [value for line in lines for value in _unstorable_of(line)]:
        errors["lines"] = [_too_exact(value) for value in wrong]
    if lines and not errors and sum(line.total() for line in lines) != amount:
        total = sum(line.total() for line in lines)
        errors["lines"] = [_("Add up to %(total)s, expected the amount %(amount)s.", total=total, amount=amount)]
    if errors:
        raise InvalidInput(errors)


def _unstorable(value: Decimal) -> bool:
    return not value.is_finite() or abs(value) > LARGEST or value != rounded(value)


def _unstorable_of(line: Line) -> list[Decimal]:
    wrong = [value for value in (line.quantity, line.unit_price) if _unstorable(value)]
    return wrong or [value for value in (line.total(),) if _unstorable(value)]


def _too_exact(value: Decimal) -> str:
    return str(_("Found %(found)s, expected a number with at most four decimals.", found=value))


def in_base(amount: Decimal, rate: Decimal) -> Decimal:
    """Return an amount in the base currency.

    Raises:
        InvalidInput: it is more than the ledger holds.
    """
    base = product(amount, rate)
    if abs(base) > LARGEST:
        message = _("Is %(found)s in the base currency: more than the ledger holds.", found=base)
        raise InvalidInput({"amount": [message]})
    return base


def _team(uow: UnitOfWork, owner_id: int | None, team_id: int | None) -> int | None:
    team: int | None = with_team(uow, {"owner_id": owner_id, "team_id": team_id})["team_id"]
    return team


def _known(uow: UnitOfWork, source: str, reference: str) -> Sale | None:
    query = sa.select(Sale).where(Sale.source_plugin == source, Sale.external_ref == reference)
    return uow.session.execute(query).scalar_one_or_none()


def _store(
    uow: UnitOfWork,
    row: dict[str, Any],
    customer: Customer | None,
    *,
    lines: Sequence[Line] = (),
    refund_of: UUID | None = None,
) -> Sale:
    common = {"created_at": uow.now, "updated_at": uow.now}
    sale, new = add_once(
        uow.session,
        Sale(uid=new_uid(), **common, **row),
        lambda: _known(uow, row["source_plugin"], row["external_ref"]),
    )
    if not new:  # somebody else recorded it between our look and our write
        return cast(Sale, sale)
    for position, line in enumerate(lines, 1):
        own = {name: getattr(line, name) for name in ("product_id", "description", "quantity", "unit_price")}
        uow.session.add(SaleLine(sale_id=sale.id, position=position, amount=line.total(), **common, **own))
    uow.session.flush()
    uow.record(
        SaleRecorded(
            sale_id=sale.uid,
            customer_id=customer.uid if customer else None,
            channel=sale.channel,
            source_plugin=sale.source_plugin,
            base_amount=sale.base_amount,
            refund_of_id=refund_of,
        )
    )
    return cast(Sale, sale)
