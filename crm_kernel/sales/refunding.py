"""What told refunds give back: the rate is that of their sale, and the last one takes the rest of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel._internal.rows import IN_LIMIT
from crm_kernel.access.policy import allowed
from crm_kernel.errors import InvalidInput
from crm_kernel.sales.models import Sale
from crm_kernel.sales.money import product, share

if TYPE_CHECKING:
    from crm_kernel.sales.bulk import NewSale
    from crm_kernel.unit_of_work import UnitOfWork

_SUMMED = ("amount", "base_amount", "margin", "base_margin")
#: What the action of the pages and the API asks for, too.
PERMISSION = "sale.refund"


def unpermitted(uow: UnitOfWork, given_back: Sequence[int | None]) -> Iterator[tuple[str, str]]:
    """Yield ``<place>.refund_of`` and why for every sale that the actor may not give back; one query per 5,000.

    The right to import sales is none to refund: each sale that is given back is asked about as the action asks.
    """
    keys = sorted({key for key in given_back if key is not None})
    permitted: set[int] = set()
    for start in range(0, len(keys), IN_LIMIT):
        query = sa.select(Sale).where(Sale.id.in_(keys[start : start + IN_LIMIT]))
        permitted |= {sale.id for sale in uow.session.scalars(query) if allowed(uow.actor, PERMISSION, sale)}
    text = _("%(who)s lacks the permission %(permission)s.", who=uow.actor.name, permission=PERMISSION)
    for place, key in enumerate(given_back):
        if key is not None and key not in permitted:
            yield f"{place}.refund_of", text


def refunds_among(
    uow: UnitOfWork, sales: Sequence[NewSale], given_back: Sequence[int | None]
) -> dict[int, Mapping[str, Any]]:
    """Return place → ``rate``, ``margin``, ``base_amount``, ``base_margin``, ``refund_of_id`` of the sales that give back another.

    A margin that is not told goes back in proportion. The refunded sales are locked: two refunds at a time must not give
    back more than was paid. Two queries per 5,000.

    Args:
        given_back: per sale the key of the one it gives back, None for a sale of its own.

    Raises:
        InvalidInput: by ``<place>.<field>``: a refund of a refund, of another currency, or of more than is left.
    """
    left = _left(uow, sorted({key for key in given_back if key is not None}))
    found: dict[int, Mapping[str, Any]] = {}
    errors: dict[str, list[str]] = {}
    for place, (sale, key) in enumerate(zip(sales, given_back, strict=True)):
        if key is None:
            continue
        field, problem = _problem(sale, left[key])
        if problem:
            errors[f"{place}.{field}"] = [problem]
        else:
            found[place] = _taken(sale, left[key], key)
    if errors:
        raise InvalidInput(errors)
    return found


def _left(uow: UnitOfWork, keys: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Return key → currency, rate and what is left of a sale."""
    found: dict[int, dict[str, Any]] = {}
    names = ("id", "currency", "rate", "refund_of_id", *_SUMMED)
    for start in range(0, len(keys), IN_LIMIT):
        part = keys[start : start + IN_LIMIT]
        query = sa.select(*(getattr(Sale, name) for name in names)).where(Sale.id.in_(part)).with_for_update()
        found |= {row.id: dict(row._mapping) for row in uow.session.execute(query)}
        sums = [sa.func.sum(getattr(Sale, name)) for name in _SUMMED]
        refunded = sa.select(Sale.refund_of_id, *sums).where(Sale.refund_of_id.in_(part)).group_by(Sale.refund_of_id)
        for key, *values in uow.session.execute(refunded):
            _subtract(found[key or 0], dict(zip(_SUMMED, values, strict=True)))
    return found


def _problem(sale: NewSale, left: Mapping[str, Any]) -> tuple[str, str]:
    """Return the wrong field of a refund and why, empty for none."""
    if left["refund_of_id"] is not None:
        return "refund_of", _("This is a refund itself: only a sale can be refunded.")
    if sale.currency != left["currency"]:
        return "currency", _(
            "Found %(found)s, expected that of the sale: %(own)s.", found=sale.currency, own=left["currency"]
        )
    if not 0 < -sale.amount <= left["amount"]:
        text = _(
            "Found %(found)s, expected less than 0 and at least -%(left)s.", found=sale.amount, left=left["amount"]
        )
        return "amount", text
    return "", ""


def _taken(sale: NewSale, left: dict[str, Any], key: int) -> Mapping[str, Any]:
    rate: Decimal = left["rate"]
    whole = -sale.amount == left["amount"]
    margin = _margin(sale, left)
    all_of_it = whole and margin is not None and -margin == left["margin"]
    worth = {
        "rate": rate,
        "margin": margin,
        "base_amount": -left["base_amount"] if whole else product(sale.amount, rate),
        "base_margin": -left["base_margin"] if all_of_it else None if margin is None else product(margin, rate),
        "refund_of_id": key,
    }
    _subtract(left, {"amount": sale.amount, **worth})
    return worth


def _margin(sale: NewSale, left: Mapping[str, Any]) -> Decimal | None:
    """Return the margin that goes back: the told one, else in proportion to what is left, so that all takes the rest."""
    if sale.margin is not None or left["margin"] is None:
        return sale.margin
    return share(left["margin"], sale.amount, left["amount"])


def _subtract(left: dict[str, Any], given: Mapping[str, Any]) -> None:
    """Take what a refund gives back, which is negative, from what is left."""
    for name in _SUMMED:
        if left[name] is not None and given.get(name) is not None:
            left[name] += given[name]
