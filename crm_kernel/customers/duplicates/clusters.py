"""Pairs that are reviewed together: customers that several pairs tie into one.

Connected components, the strongest pair first, with two limits that keep them from chaining into one giant: no cluster
has more than ``MOST`` customers, and none holds two that somebody said are two. A pair that would break a limit stays a
cluster of its own. A cluster's number is the lowest key of its pairs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from crm_kernel._internal.rows import among
from crm_kernel.customers.duplicates.models import DuplicateCandidate

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Customers of one cluster at most.
MOST = 10
_PAIRS: Any = DuplicateCandidate.__table__


@dataclass(frozen=True, slots=True)
class Link:
    """One open pair: its key, its customers, how probable it is."""

    id: int
    first: int
    second: int
    score: float


class _Groups:
    """Customers tied so far; each knows the members of its group."""

    def __init__(self, apart: Collection[tuple[int, int]]) -> None:
        self._members: dict[int, set[int]] = {}
        self._apart = apart

    def members(self, customer: int) -> set[int]:
        return self._members.setdefault(customer, {customer})

    def may_join(self, one: set[int], other: set[int]) -> bool:
        if len(one) + len(other) > MOST:
            return False
        return not any((min(pair), max(pair)) in self._apart for pair in product(one, other))

    def join(self, one: set[int], other: set[int]) -> None:
        one |= other
        for customer in other:
            self._members[customer] = one


def clusters_of(links: Iterable[Link], apart: Collection[tuple[int, int]] = ()) -> dict[int, int]:
    """Return key of the pair → number of its cluster.

    Args:
        apart: pairs of customers (lower key first) that somebody said are two.
    """
    groups, kept = _Groups(apart), defaultdict[int, list[Link]](list)
    numbers: dict[int, int] = {}
    for link in sorted(links, key=lambda link: (-link.score, link.id)):
        one, other = groups.members(link.first), groups.members(link.second)
        if one is not other and not groups.may_join(one, other):
            numbers[link.id] = link.id
            continue
        if one is not other:
            groups.join(one, other)
        kept[link.first].append(link)
    by_group: dict[int, list[Link]] = defaultdict(list)
    for customer, own in kept.items():
        by_group[id(groups.members(customer))].extend(own)
    for own in by_group.values():
        lowest = min(link.id for link in own)
        numbers |= dict.fromkeys((link.id for link in own), lowest)
    return numbers


def weakest_of(links: Sequence[Link]) -> float:
    """Return the score of the weakest pair that is needed to tie all customers of a cluster into one."""
    groups, weakest = _Groups(()), 1.0
    for link in sorted(links, key=lambda link: -link.score):
        one, other = groups.members(link.first), groups.members(link.second)
        if one is not other:
            groups.join(one, other)
            weakest = link.score
    return weakest


def group_all(uow: UnitOfWork) -> None:
    """Give every open pair its cluster; writes only what changes. One pass over the queue."""
    _group(uow, sa.true())


def regroup(uow: UnitOfWork, customers: Collection[int]) -> None:
    """Give the pairs of these customers, and those they are grouped with, their clusters anew: after a decision.

    Reads only those, by indexes: a handful, however long the queue.
    """
    about = sa.or_(among(uow.session, _PAIRS.c.first_id, customers), among(uow.session, _PAIRS.c.second_id, customers))
    uow.session.flush()
    touched = sa.select(_PAIRS.c.cluster).where(about, _PAIRS.c.cluster.is_not(None)).distinct()
    # Read first: PostgreSQL finds neither branch of "or in a subquery" by an index.
    numbers = uow.session.connection().scalars(touched).all()
    _group(uow, sa.or_(about, among(uow.session, _PAIRS.c.cluster, numbers)))


def _group(uow: UnitOfWork, which: sa.ColumnElement[bool]) -> None:
    table, connection = _PAIRS, uow.session.connection()
    columns = (table.c.id, table.c.first_id, table.c.second_id, table.c.score, table.c.cluster)
    rows = connection.execute(sa.select(*columns).where(which, _OPEN)).all()
    if not rows:
        return
    links = [Link(row.id, row.first_id, row.second_id, row.score) for row in rows]
    numbers = clusters_of(links, _apart(uow, links))
    moved = [{"the_id": row.id, "number": numbers[row.id]} for row in rows if row.cluster != numbers[row.id]]
    if moved:
        change = sa.update(table).where(table.c.id == sa.bindparam("the_id"))
        connection.execute(change.values(cluster=sa.bindparam("number")), moved)
        uow.session.expire_all()


def _apart(uow: UnitOfWork, links: Iterable[Link]) -> set[tuple[int, int]]:
    """Return those pairs of the customers at hand that somebody said are two."""
    customers = sorted({customer for link in links for customer in (link.first, link.second)})
    ends = (_PAIRS.c.first_id, _PAIRS.c.second_id)
    query = sa.select(*ends).where(*(among(uow.session, end, customers) for end in ends), _PAIRS.c.state == "dismissed")
    return {(first, second) for first, second in uow.session.connection().execute(query)}


_OPEN = _PAIRS.c.state == "open"
