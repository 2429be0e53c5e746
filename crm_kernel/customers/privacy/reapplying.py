"""After a backup was restored: erases again whom it brought back."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa

from crm_kernel.customers.models import Customer
from crm_kernel.customers.privacy.choices import REAPPLIED
from crm_kernel.customers.privacy.digests import erased_digest
from crm_kernel.customers.privacy.erasing import erase_many
from crm_kernel.customers.privacy.models import Erasure

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

_BATCH = 10_000


def reapply(uow: UnitOfWork, digests: Collection[UUID]) -> Erasure | None:
    """Erase every customer whose id has one of the digests, and return the receipt; None when there is none.

    Every id is digested once: about 3 s for a million customers. Digests are made with the instance's ``secret_key``: with
    another one, nobody is recognised.

    Raises:
        Conflict: a legal hold keeps one of them.
    """
    if not digests:
        return None
    query = sa.select(Customer.id, Customer.uid).execution_options(yield_per=_BATCH)
    found = [row.id for row in uow.session.execute(query) if erased_digest(row.uid) in digests]
    return erase_many(uow, found, reason=REAPPLIED) if found else None
