"""Decides about pairs of duplicates."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from flask_babel import gettext as _

from crm_kernel.access.policy import authorize
from crm_kernel.customers.duplicates.models import DuplicateCandidate
from crm_kernel.customers.duplicates.queries import candidate_of
from crm_kernel.customers.models import Customer
from crm_kernel.errors import Conflict

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
    if row.state == "merged":
        raise Conflict(_("These two customers were merged already."))
    if row.state == "open":
        row.state, row.decided_at, row.decided_by = "dismissed", uow.now, uow.actor.name
        uow.session.flush()
    return row
