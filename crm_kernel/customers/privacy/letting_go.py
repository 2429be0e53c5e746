"""What erasing and anonymising have in common: whom they concern, the plan that counts, the steps carried out, the receipt.

Knows nothing of what the steps are: a ``Way`` gives them. The caller authorises, and commits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.access.audit import AuditRow, record_audit_many
from crm_kernel.customers.consent.suppression import suppress_customer
from crm_kernel.customers.events import CustomerAnonymised, CustomerErased
from crm_kernel.customers.models import Customer, new_uid
from crm_kernel.customers.privacy.choices import EMPTIED, ERASURE_REASONS, KEPT
from crm_kernel.customers.privacy.digests import erased_digest
from crm_kernel.customers.privacy.holds import holds_of, refuse_held
from crm_kernel.customers.privacy.mentions import Named
from crm_kernel.customers.privacy.models import ErasedSubject, Erasure
from crm_kernel.customers.privacy.subject import CUSTOMER, SubjectMap, with_predecessors
from crm_kernel.errors import InvalidInput
from crm_kernel.web.idempotency.expiry import forget_answers

if TYPE_CHECKING:
    from crm_kernel.customers.privacy.models import LegalHold
    from crm_kernel.customers.privacy.steps import Step
    from crm_kernel.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class Entry:
    """What happens to some rows of one table; a line of the plan and of the receipt."""

    table: str
    module: str
    #: A key of ``choices.FATES``.
    fate: str
    rows: int
    #: A key of ``choices.WHY`` or a module's own words; empty where nothing stays.
    why: str = ""


@dataclass(frozen=True, slots=True)
class Way:
    """One way in which customers go: as a whole, or only what names them."""

    #: A key of ``choices.ACTIONS``; stands on the receipt.
    action: str
    #: What the audit log calls it.
    audited_as: str
    event: type[CustomerErased | CustomerAnonymised]
    #: The steps, in an order in which each still finds what the later ones delete.
    steps: Callable[[SubjectMap, Named], Iterator[Step]]


def planned(uow: UnitOfWork, customer_ids: Collection[int], way: Way, known: SubjectMap) -> list[Entry]:
    """Return what would happen to some customers and those merged into them, one count per step; changes nothing."""
    connection = uow.session.connection()
    steps = way.steps(known, Named.read(uow, with_predecessors(uow, customer_ids)))
    return _filled(_entry(step, connection.execute(step.count()).scalar_one()) for step in steps)


def holds_against(uow: UnitOfWork, customer_ids: Collection[int]) -> list[LegalHold]:
    """Return the legal holds that keep some customers from going: theirs and those of who was merged into them, oldest first."""
    return holds_of(uow, with_predecessors(uow, customer_ids))


def let_go(
    uow: UnitOfWork, customer_ids: Collection[int], way: Way, *, reason: str, rule: str | None, known: SubjectMap | None
) -> tuple[Erasure, Sequence[int]]:
    """Let some customers and those merged into them go, and return the receipt, flushed, with the keys of all of them.

    Raises:
        Conflict: a legal hold keeps one of them.
        InvalidInput: there is no such reason.
    """
    if reason not in ERASURE_REASONS:
        text = _("Found %(found)s, expected one of: %(known)s.", found=reason, known=", ".join(ERASURE_REASONS))
        raise InvalidInput({"reason": [text]})
    uow.session.flush()
    ids = with_predecessors(uow, customer_ids)
    locked = sa.select(Customer).where(Customer.id.in_(ids)).order_by(Customer.id).with_for_update()
    customers = uow.session.scalars(locked).all()
    refuse_held(uow, ids)
    suppressed = sum(len(suppress_customer(uow, one, reason="erased", source="erasure")) for one in customers)
    uids = [one.uid for one in customers]
    uow.session.flush()
    entries = _carried_out(uow, way.steps(known or SubjectMap.read(uow), Named.read(uow, ids)))
    forgotten = forget_answers(uow, uids)
    beside = [
        Entry("idempotency_key", "kernel", EMPTIED, forgotten),
        Entry("suppression", "kernel", KEPT, suppressed, "suppressed"),
    ]
    uow.session.expunge_all()
    return _receipt(uow, uids, [*entries, *_filled(beside)], way, reason, rule), ids


def _carried_out(uow: UnitOfWork, steps: Iterator[Step]) -> list[Entry]:
    connection = uow.session.connection()
    entries = []
    for step in steps:
        result = connection.execute(step.count() if step.statement is None else step.statement)
        entries.append(_entry(step, result.scalar_one() if step.statement is None else result.rowcount))
    return _filled(entries)


def _receipt(
    uow: UnitOfWork, uids: Sequence[UUID], entries: Sequence[Entry], way: Way, reason: str, rule: str | None
) -> Erasure:
    made = Erasure(
        uid=new_uid(), reason=reason, action=way.action, customers=len(uids), rule=rule,
        entries=[asdict(entry) for entry in entries],
        recorded_by=uow.actor.name, created_at=uow.now, updated_at=uow.now,
    )  # fmt: skip
    uow.session.add(made)
    uow.session.flush()
    for uid in uids:
        uow.session.merge(ErasedSubject(digest=erased_digest(uid), erasure_id=made.id, erased_at=uow.now))
        uow.record(way.event(customer_id=uid))
    record_audit_many(uow, CUSTOMER, way.audited_as, [AuditRow(uid, None, {"receipt": str(made.uid)}) for uid in uids])
    uow.session.flush()
    return made


def _entry(step: Step, rows: int) -> Entry:
    return Entry(step.table.name, step.module, str(step.fate), rows, step.why)


def _filled(entries: Collection[Entry] | Iterator[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry.rows]
