"""Recognises whom something that came in is about, where nobody is there to be asked: with the matcher of forms and imports.

Surely one customer: it is his. Anything less makes a new customer, and a pair with each whom he may be for the review queue,
where people decide. What is surely about several is about one of them only while the queue holds them for one already: so
the same person who writes again before anybody has decided does not become a further customer each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from crm_kernel._internal.rows import insert_rows
from crm_kernel.customers.duplicates.clusters import regroup
from crm_kernel.customers.duplicates.comparing import compare
from crm_kernel.customers.duplicates.loading import load_profiles
from crm_kernel.customers.duplicates.models import DuplicateCandidate
from crm_kernel.customers.duplicates.queries import Similar, similar_customers
from crm_kernel.customers.models import Customer, new_uid
from crm_kernel.records.likely import SURE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crm_kernel.unit_of_work import UnitOfWork

_PAIRS: Any = DuplicateCandidate.__table__


@dataclass(frozen=True, slots=True)
class Recognised:
    """Whom a payload is about, as far as the actor may know."""

    #: Who it surely is, or None.
    customer: Customer | None
    #: All whom it may describe, the likeliest first; ``customer`` is one of them.
    likely: Sequence[Similar]

    @property
    def alone(self) -> bool:
        """Whether nobody else comes into question: what an import asks for before it changes anybody."""
        return self.customer is not None and len(self.likely) == 1


def recognise(uow: UnitOfWork, payload: Mapping[str, Any]) -> Recognised:
    """Return whom a payload as for ``create_customer`` is about, among the customers that the actor sees.

    Sure is what imports take for sure: ``SURE`` at least, and not doubtful. Costs what ``similar_customers`` does and two
    indexed queries at most.
    """
    likely = similar_customers(uow, payload)
    sure = [one for one in likely if one.probability >= SURE and not one.doubtful]
    known = _customers(uow, sure)
    keys = [known[one.id].id for one in sure if one.id in known]
    chosen = _tied(uow, keys) if len(keys) > 1 else next(iter(keys), None)
    return Recognised(next((one for one in known.values() if one.id == chosen), None), likely)


def propose(uow: UnitOfWork, customer: Customer, likely: Sequence[Similar]) -> int:
    """Put a new customer into the review queue, with each of those he may be, and return how many pairs these are.

    The nightly scan leaves them there while they look alike to whom forms ask: it asks for more of the pairs it finds. Costs
    a fixed number of statements, however many pairs.
    """
    others = {one.id: one for one in _customers(uow, likely).values()}
    known, keys = {one.id: one.probability for one in likely}, [customer.id, *others]
    profiles = load_profiles(uow, keys)
    own = profiles[customer.id]
    rows = [
        {
            "uid": new_uid(),
            "first_id": min(key, customer.id),
            "second_id": max(key, customer.id),
            "score": known[other.uid],
            "levels": list(compare(profiles[key], own)),
            "state": "open",
            "captured": True,
            "found_at": uow.now,
        }
        for key, other in others.items()
        if key in profiles
    ]
    insert_rows(uow.session, _PAIRS, rows)
    regroup(uow, keys)
    return len(rows)


def _customers(uow: UnitOfWork, likely: Sequence[Similar]) -> dict[Any, Customer]:
    """Return public id → customer of those that ``similar_customers`` told of, who are visible therefore."""
    if not likely:
        return {}
    query = sa.select(Customer).where(Customer.uid.in_([one.id for one in likely]))
    return {customer.uid: customer for customer in uow.session.scalars(query)}


def _tied(uow: UnitOfWork, keys: Sequence[int]) -> int | None:
    """Return the first customer whom open pairs of the queue tie to all the others, or None."""
    pair = _PAIRS.c
    query = sa.select(pair.first_id, pair.second_id).where(
        pair.first_id.in_(keys), pair.second_id.in_(keys), pair.state == "open"
    )
    ties = {frozenset(found) for found in uow.session.connection().execute(query)}
    return next((one for one in keys if all({one, other} in ties for other in keys if other != one)), None)
