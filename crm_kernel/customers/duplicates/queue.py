"""Reads about the review queue: open pairs by cluster, as the actor may see them.

A cluster is named by any of its pairs. A pair whose customers he may not both see is not there for him, so that he may
see a part of a cluster.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel._internal.rows import among
from crm_kernel.access.actor import Scope
from crm_kernel.access.policy import visible
from crm_kernel.customers.duplicates.clusters import Link, weakest_of
from crm_kernel.customers.duplicates.models import DuplicateCandidate
from crm_kernel.customers.duplicates.queries import Candidate, candidate_of, may_see, visible_pairs, with_customers
from crm_kernel.customers.models import Customer
from crm_kernel.errors import NotFound
from crm_kernel.records.plan import record_type

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Customers up to which somebody's pairs are found by his customers.
_FEW = 1_000


@dataclass(frozen=True, slots=True)
class Cluster:
    """Customers that may all be one, and the open pairs that say so, the strongest first."""

    #: Of its strongest pair.
    id: UUID
    members: Sequence[Customer]
    pairs: Sequence[Candidate]
    #: Score of the strongest pair, and of the weakest one that is needed to tie all of them.
    score: float
    weakest: float


def open_clusters(
    uow: UnitOfWork, *, limit: int = 50, after: tuple[float, int] | None = None
) -> tuple[list[Cluster], tuple[float, int] | None]:
    """Return the clusters that wait for a decision, the likeliest first, and where the next page begins.

    Three queries for who sees all customers. They walk the index of open pairs from where the page begins, and stop when
    it is full: what a page costs grows with what it shows, not with what waits. Whose roles show him ``_FEW`` customers
    at most, his own or his team's, pays for the pairs of those. Anybody else who does not see all (more of them, or a
    plugin's rule) walks past the pairs that he may not see: the fewer he sees, the nearer to the whole queue.
    """
    own = _few_of(uow)
    walked = uow.session.execute(_leading(uow, after).limit(limit + 1)).all() if own is None else None
    found: Sequence[Any] = _among_own(uow, own or [], after)[: limit + 1] if walked is None else walked
    page = list(found[:limit])
    following = (page[-1].score, page[-1].id) if len(found) > limit else None
    return _described(uow, [_number(row) for row in page]), following


def _few_of(uow: UnitOfWork) -> Sequence[int] | None:
    """Return the keys of the customers that the actor sees, if his roles limit him to own ones and these are few."""
    kind = record_type("customer")
    if uow.actor.scope_of(kind.permission("read")) is Scope.ALL:
        return None
    keys = uow.session.scalars(sa.select(Customer.id).where(visible(uow.actor, kind)).limit(_FEW + 1)).all()
    return keys if len(keys) <= _FEW else None


def _among_own(uow: UnitOfWork, own: Sequence[int], after: tuple[float, int] | None) -> list[Any]:
    """Return what ``_leading`` asks for, of these customers alone, by the index of the pairs' first customers."""
    pair, keys = DuplicateCandidate, set(own)
    # Nothing but the customer is asked for, and nothing ordered: either would invite a walk over the open pairs.
    query = sa.select(pair.id, pair.score, pair.cluster, pair.second_id, pair.state)
    rows = uow.session.execute(query.where(among(uow.session, pair.first_id, own))).all()
    waiting = [row for row in rows if row.second_id in keys and row.state == "open"]
    leads: dict[int, Any] = {}
    for row in sorted(waiting, key=lambda row: (-row.score, -row.id)):
        leads.setdefault(_number(row), row)
    return [row for row in leads.values() if after is None or (row.score, row.id) < after]


def _leading(uow: UnitOfWork, after: tuple[float, int] | None) -> sa.Select[int, float, int | None]:
    """Return the query of the strongest pair of every cluster, among those the actor may see, the strongest first."""
    pair, other = DuplicateCandidate, sa.orm.aliased(DuplicateCandidate)
    # One probe of the index over clusters per pair, of which a cluster has a few dozen at most.
    best = sa.select(other.id).where(other.cluster == pair.cluster, other.state == "open", may_see(uow, other))
    best = best.order_by(other.score.desc(), other.id.desc()).limit(1).correlate(pair)
    leads = sa.or_(pair.cluster.is_(None), pair.id == best.scalar_subquery())
    query = sa.select(pair.id, pair.score, pair.cluster).where(pair.state == "open", may_see(uow, pair), leads)
    if after is not None:
        query = query.where(sa.tuple_(pair.score, pair.id) < sa.tuple_(*after))
    return query.order_by(pair.score.desc(), pair.id.desc())


def _number(row: Any) -> int:
    """Return the number of a pair's cluster; one that no scan has grouped yet is a cluster of its own."""
    return int(row.id if row.cluster is None else row.cluster)


def cluster_of(uow: UnitOfWork, uid: UUID) -> Cluster:
    """Return the cluster of an open pair.

    Raises:
        NotFound: there is no such pair, the actor may not see it, or it is decided.
    """
    row = candidate_of(uow, uid)
    if row.state != "open":
        raise NotFound(_("This was decided already."))
    return _described(uow, [_number(row)])[0]


def _described(uow: UnitOfWork, numbers: Sequence[int]) -> list[Cluster]:
    pair = DuplicateCandidate
    own = sa.or_(pair.cluster.in_(numbers), sa.and_(pair.cluster.is_(None), pair.id.in_(numbers)))
    query = visible_pairs(uow).where(pair.state == "open", own)
    rows = uow.session.scalars(query.order_by(pair.score.desc(), pair.id.desc())).all()
    by_number: dict[int, list[tuple[DuplicateCandidate, Candidate]]] = defaultdict(list)
    for row, candidate in zip(rows, with_customers(uow, rows), strict=True):
        by_number[_number(row)].append((row, candidate))
    return [_cluster(by_number[number]) for number in numbers]


def _cluster(own: Sequence[tuple[DuplicateCandidate, Candidate]]) -> Cluster:
    members = {customer.id: customer for _row, pair in own for customer in (pair.first, pair.second)}
    links = [Link(row.id, row.first_id, row.second_id, row.score) for row, _pair in own]
    pairs = [pair for _row, pair in own]
    return Cluster(pairs[0].id, [members[key] for key in sorted(members)], pairs, pairs[0].score, weakest_of(links))
