"""After a backup was restored: erases or anonymises again whom it brought back, as many at a time as a retention rule.

Whom a legal hold keeps is left alone and named; the others go all the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa

from crm_kernel.customers.models import Customer
from crm_kernel.customers.privacy import retention
from crm_kernel.customers.privacy.anonymising import anonymise_many, still_anonymous
from crm_kernel.customers.privacy.choices import REAPPLIED
from crm_kernel.customers.privacy.digests import erased_digest
from crm_kernel.customers.privacy.erasing import erase_many
from crm_kernel.customers.privacy.letting_go import holds_against
from crm_kernel.customers.privacy.subject import SubjectMap

if TYPE_CHECKING:
    import datetime as dt

    from crm_kernel.customers.privacy.models import Erasure
    from crm_kernel.unit_of_work import UnitOfWork

_BATCH = 10_000


@dataclass(frozen=True, slots=True)
class Kept:
    """A customer who should have gone again, and what keeps it: the oldest hold in force."""

    customer: UUID
    since: dt.datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Reapplied:
    """What was done again: the receipts, anonymised ones first, and who is kept by a legal hold."""

    receipts: list[Erasure] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)


@dataclass(slots=True)
class _Found:
    """The keys of those whom the lists name, by what is to be done, and who was merged into whom."""

    erasing: set[int] = field(default_factory=set)
    anonymising: set[int] = field(default_factory=set)
    merged_into: dict[int, int] = field(default_factory=dict)


def reapply(uow: UnitOfWork, digests: Collection[UUID], *, anonymised: Collection[UUID] = ()) -> Reapplied:
    """Erase every customer whose id has one of the digests, ``retention.CHUNK`` of them with one receipt.

    Every id is digested once: about 3 s for a million customers. Digests are made with the instance's ``secret_key``: with
    another one, nobody is recognised.

    Args:
        anonymised: digests of those that were only anonymised; they are so again, unless the backup holds them so.
    """
    done = Reapplied()
    if not (digests or anonymised):
        return done
    known = SubjectMap.read(uow)
    found = _recognised(uow, known, set(digests), set(anonymised) - set(digests))
    for keys, carry_out in ((found.anonymising, anonymise_many), (found.erasing, erase_many)):
        for chunk in _chunks(_heads(keys, found.merged_into)):
            free = _without_held(uow, chunk, done.kept)
            if free:
                done.receipts.append(carry_out(uow, free, reason=REAPPLIED, known=known))
    return done


def _recognised(uow: UnitOfWork, known: SubjectMap, to_erase: set[UUID], to_anonymise: set[UUID]) -> _Found:
    found = _Found()
    query = sa.select(Customer.id, Customer.uid, Customer.merged_into_id, still_anonymous(known).label("done"))
    for row in uow.session.execute(query.execution_options(yield_per=_BATCH)):
        digest = erased_digest(row.uid)
        if row.merged_into_id is not None:
            found.merged_into[row.id] = row.merged_into_id
        if digest in to_erase:
            found.erasing.add(row.id)
        elif digest in to_anonymise and not row.done:
            found.anonymising.add(row.id)
    return found


def _heads(keys: set[int], merged_into: Mapping[int, int]) -> list[int]:
    """Leave out those that go with the one they became, if that one goes."""
    return sorted(key for key in keys if keys.isdisjoint(_became(key, merged_into)))


def _became(key: int, merged_into: Mapping[int, int]) -> Iterator[int]:
    while (survivor := merged_into.get(key)) is not None:
        yield (key := survivor)


def _chunks(keys: list[int]) -> Iterator[list[int]]:
    return (keys[start : start + retention.CHUNK] for start in range(0, len(keys), retention.CHUNK))


def _without_held(uow: UnitOfWork, keys: list[int], kept: list[Kept]) -> list[int]:
    """Return those of a chunk that no hold keeps, and note the others; one look unless there is a hold."""
    if not holds_against(uow, keys):
        return keys
    free = []
    for key in keys:
        holds = holds_against(uow, [key])
        if holds:
            uid = uow.session.scalars(sa.select(Customer.uid).where(Customer.id == key)).one()
            kept.append(Kept(uid, holds[0].since, holds[0].reason))
        else:
            free.append(key)
    return free
