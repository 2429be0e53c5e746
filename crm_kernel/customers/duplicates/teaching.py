"""What the weights of this instance are learnt from: patterns of pairs, strangers, and what people decided."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import sqlalchemy as sa

from crm_kernel.customers.duplicates.comparing import Vector, compare
from crm_kernel.customers.duplicates.models import DuplicateCandidate
from crm_kernel.customers.duplicates.stored import profiles_of
from crm_kernel.customers.duplicates.weights import Decided, Weights, default_weights, learn, with_strangers
from crm_kernel.customers.models import Customer

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Probability of a pair, and the levels it comes from.
Found = tuple[float, Vector]
#: Fewer candidate pairs than this teach nothing.
ENOUGH = 200
#: Customers drawn at random to see how often strangers agree, and pairs made of them.
_SAMPLE, _STRANGERS = 1_000, 20_000


def taught_weights(uow: UnitOfWork, patterns: Mapping[Vector, int], customers: int) -> Weights:
    """Return the weights learnt from the patterns of all candidate pairs, and from decisions."""
    weights = with_strangers(default_weights(customers), _strangers(uow))
    return learn(weights, patterns, customers * (customers - 1) // 2, _decisions(uow))


def _decisions(uow: UnitOfWork) -> dict[Vector, Decided]:
    table = DuplicateCandidate
    counts: dict[Vector, Counter[str]] = defaultdict(Counter)
    for levels, state in uow.session.execute(sa.select(table.levels, table.state).where(table.state != "open")):
        counts[tuple(levels)][state] += 1
    return {vector: Decided(found["merged"], found["dismissed"]) for vector, found in counts.items()}


def _strangers(uow: UnitOfWork) -> Iterator[Vector]:
    """Yield vectors of pairs of customers drawn at random: the same ones as long as the customers are."""
    lowest, highest = uow.session.execute(sa.select(sa.func.min(Customer.id), sa.func.max(Customer.id))).one()
    draw = random.Random(1)
    drawn = {draw.randint(lowest or 0, highest or 0) for _number in range(_SAMPLE)}
    profiles = [profile for _key, profile in sorted(profiles_of(uow, drawn).items())]
    for _number in range(_STRANGERS if len(profiles) > 1 else 0):
        a, b = draw.sample(profiles, 2)
        if a.kind == b.kind:
            yield compare(a, b)
