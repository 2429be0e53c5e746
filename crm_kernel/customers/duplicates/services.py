"""Decides about pairs of duplicates."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING
from uuid import UUID

from flask_babel import gettext as _

from crm_kernel.access.policy import authorize
from crm_kernel.customers.duplicates.clusters import regroup
from crm_kernel.customers.duplicates.models import DuplicateCandidate
from crm_kernel.customers.duplicates.queries import candidate_of
from crm_kernel.customers.duplicates.queue import Cluster, cluster_of
from crm_kernel.customers.merging.fields import SOURCE, TARGET
from crm_kernel.customers.merging.models import MergeRun
from crm_kernel.customers.merging.services import merge
from crm_kernel.customers.models import Customer
from crm_kernel.errors import Conflict, InvalidInput

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


def dismiss_duplicate(uow: UnitOfWork, uid: UUID) -> DuplicateCandidate:
    """Say that two customers are two, and return the pair: it is never proposed again, and the weights learn from it.

    Saying it twice changes nothing.

    Raises:
        NotFound: there is no such pair, or the actor may not see both customers.
        Forbidden: the actor may not change both customers.
        Conflict: they were merged meanwhile.
    """
    row = candidate_of(uow, uid)
    for key in (row.first_id, row.second_id):
        authorize(uow.actor, "customer.update", uow.session.get_one(Customer, key))
    uow.session.refresh(row, with_for_update=True)  # a merge that is just being committed comes first
    if row.state == "merged":
        raise Conflict(_("These two customers were merged already."))
    if row.state == "open":
        row.state, row.decided_at, row.decided_by = "dismissed", uow.now, uow.actor.name
        uow.session.flush()
        regroup(uow, (row.first_id, row.second_id))
    return row


def dismiss_cluster(uow: UnitOfWork, uid: UUID) -> list[DuplicateCandidate]:
    """Say of every pair of a cluster that its customers are two, and return the pairs, dismissed.

    Of two members that are no pair, because they hardly look alike or the actor may not see both, nothing is said.

    Raises:
        NotFound: there is no open pair of this id, or the actor may not see both customers.
        Forbidden: the actor may not change one of the customers.
    """
    return [dismiss_duplicate(uow, pair.id) for pair in cluster_of(uow, uid).pairs]


def merge_cluster(
    uow: UnitOfWork,
    uid: UUID,
    keep: UUID,
    sources: Collection[UUID] | None = None,
    *,
    values: Mapping[str, UUID] = MappingProxyType({}),
    versions: Mapping[UUID, int] = MappingProxyType({}),
) -> list[MergeRun]:
    """Let customers of a cluster become the one that stays, and return the runs: all of them, or none.

    Each is a merge of its own that can be taken back, the last first. Pairs with customers that are left out stay open.

    Args:
        uid: of any pair of the cluster.
        sources: those that go; all the others if not given.
        values: field → the customer whose value stays; without one, that of the survivor, else the first there is.
        versions: of the customers as the caller read them.

    Raises:
        NotFound, Forbidden, Conflict, StaleVersion: as for ``merge``.
        InvalidInput: a customer is not of this cluster, none would go, or a value is of one that is left out.
    """
    return merge_members(uow, cluster_of(uow, uid), keep, sources, values=values, versions=versions)


def merge_members(
    uow: UnitOfWork,
    found: Cluster,
    keep: UUID,
    sources: Collection[UUID] | None = None,
    *,
    values: Mapping[str, UUID] = MappingProxyType({}),
    versions: Mapping[UUID, int] = MappingProxyType({}),
) -> list[MergeRun]:
    """Do ``merge_cluster`` with a cluster that was read already, in this unit of work."""
    members = {member.uid: member for member in found.members}
    going = members.keys() - {keep} if sources is None else set(sources) - {keep}
    errors = {}
    if keep not in members:
        errors["keep"] = [_("This customer is not one of those that look alike.")]
    if not going or not going <= members.keys():
        errors["sources"] = [_("Expected some of the customers that look alike, besides the one that stays.")]
    left_out = [name for name, chosen in values.items() if chosen not in going | {keep}]
    errors |= {f"values.{name}": [_("Its value is that of a customer that is left out.")] for name in left_out}
    if errors:
        raise InvalidInput(errors)
    target, runs = members[keep], list[MergeRun]()
    keys = {member.id for member in found.members}
    for source in sorted((members[one] for one in going), key=lambda member: member.id):
        # The survivor's version moves forward with every merge: only the first can tell whether somebody changed it.
        expected = versions.get(source.uid), None if runs else versions.get(keep)
        # A value that was chosen comes with its own customer, and those merged before and after it leave it alone.
        choices = {name: SOURCE if chosen == source.uid else TARGET for name, chosen in values.items()}
        runs.append(merge(uow, source, target, choices, versions=expected))
    regroup(uow, keys)
    return runs
