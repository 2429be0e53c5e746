"""Erases customers: a plan that counts, the same steps carried out, and a receipt without personal data.

Rows of disabled and uninstalled modules go as well, because the steps come from the database and not from code. A bounded
number of statements, whatever the number of rows. The caller authorises, and commits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.access.audit import AuditRow, record_audit_many
from crm_kernel.customers.consent.suppression import suppress_customer
from crm_kernel.customers.events import CustomerErased
from crm_kernel.customers.models import Customer, new_uid
from crm_kernel.customers.privacy.choices import EMPTIED, ERASURE_REASONS, KEPT, UNLINKED
from crm_kernel.customers.privacy.digests import erased_digest
from crm_kernel.customers.privacy.holds import refuse_held
from crm_kernel.customers.privacy.models import ErasedSubject, Erasure
from crm_kernel.customers.privacy.subject import CUSTOMER, Fate, Part, SubjectMap, with_predecessors
from crm_kernel.errors import Conflict, InvalidInput
from crm_kernel.web.idempotency.expiry import forget_answers

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: What stands where a text was and none may be missing.
BLANK = "–"


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
class _Step:
    """One statement, and the rows it is about."""

    table: sa.Table
    module: str
    fate: str
    where: sa.ColumnElement[bool]
    #: None for rows that stay as they are.
    statement: Any = None
    why: str = ""

    def count(self) -> sa.Select[Any]:
        return sa.select(sa.func.count()).select_from(self.table).where(self.where)


def erasure_plan(uow: UnitOfWork, customer: Customer, *, known: SubjectMap | None = None) -> list[Entry]:
    """Return what erasing a customer would do, one count per step; entries without rows are left out.

    Raises:
        Conflict: it was merged into another one, which is to be erased instead.
    """
    _refuse_merged(customer)
    ids = with_predecessors(uow, [customer.id])
    found = known or SubjectMap.read(uow)
    connection = uow.session.connection()
    counted = [_entry(step, connection.execute(step.count()).scalar_one()) for step in _steps(found, ids)]
    return [entry for entry in counted if entry.rows]


def erase(uow: UnitOfWork, customer: Customer, *, reason: str = "request") -> Erasure:
    """Erase a customer, those merged into it, and all that is about them; return the receipt, flushed.

    Its addresses and numbers stay suppressed by their digests. What the session holds is stale afterwards and let go.

    Args:
        reason: a key of ``choices.ERASURE_REASONS``.

    Raises:
        Conflict: a legal hold keeps it, or it was merged into another one.
        InvalidInput: there is no such reason.
    """
    _refuse_merged(customer)
    return erase_many(uow, [customer.id], reason=reason)


def erase_many(
    uow: UnitOfWork,
    customer_ids: Collection[int],
    *,
    reason: str,
    rule: str | None = None,
    known: SubjectMap | None = None,
) -> Erasure:
    """Erase several customers with one receipt; statements as for one, and two per address of theirs.

    Raises:
        Conflict, InvalidInput: as for ``erase``.
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
    entries = _carry_out(uow, known or SubjectMap.read(uow), ids)
    forgotten = forget_answers(uow, uids)
    if forgotten:
        entries.append(Entry("idempotency_key", "kernel", EMPTIED, forgotten))
    if suppressed:
        entries.append(Entry("suppression", "kernel", KEPT, suppressed, "suppressed"))
    uow.session.expunge_all()
    return _receipt(uow, uids, entries, reason, rule)


def _carry_out(uow: UnitOfWork, known: SubjectMap, ids: Sequence[int]) -> list[Entry]:
    connection = uow.session.connection()
    entries = []
    for step in _steps(known, ids):
        result = connection.execute(step.count() if step.statement is None else step.statement)
        entries.append(_entry(step, result.scalar_one() if step.statement is None else result.rowcount))
    return [entry for entry in entries if entry.rows]


def _receipt(uow: UnitOfWork, uids: Sequence[UUID], entries: Sequence[Entry], reason: str, rule: str | None) -> Erasure:
    made = Erasure(
        uid=new_uid(), reason=reason, customers=len(uids), entries=[asdict(entry) for entry in entries], rule=rule,
        recorded_by=uow.actor.name, created_at=uow.now, updated_at=uow.now,
    )  # fmt: skip
    uow.session.add(made)
    uow.session.flush()
    for uid in uids:
        uow.session.merge(ErasedSubject(digest=erased_digest(uid), erasure_id=made.id, erased_at=uow.now))
        uow.record(CustomerErased(customer_id=uid))
    record_audit_many(uow, CUSTOMER, "erased", [AuditRow(uid, None, {"receipt": str(made.uid)}) for uid in uids])
    uow.session.flush()
    return made


def _steps(known: SubjectMap, ids: Sequence[int]) -> Iterator[_Step]:
    """Yield what is to be done, in an order in which each step still finds what the later ones delete."""
    parts = known.parts(ids)
    uids = _uids(parts)
    yield from _beside(known, parts, uids)
    for part in _children_first([part for part in parts if part.fate is Fate.ANONYMISED]):
        statement = sa.update(part.table).where(part.where).values(_nobody(part))
        yield _Step(part.table, part.plugin, part.fate, part.where, statement, part.retention or "no_person")
    for part in _children_first([part for part in parts if part.fate is Fate.ERASED]):
        yield _Step(part.table, part.plugin, part.fate, part.where, sa.delete(part.table).where(part.where))


def _beside(known: SubjectMap, parts: Sequence[Part], uids: sa.CompoundSelect[Any]) -> Iterator[_Step]:
    """Yield the steps for what names the rows without a foreign key: the log, the search, other records."""
    log, payload = known.tables["audit_log"], known.tables["audit_payload"]
    rows = log.c.record_uid.in_(uids)
    theirs = payload.c.audit_uid.in_(sa.select(log.c.uid).where(rows))
    yield _Step(payload, "kernel", EMPTIED, theirs, sa.delete(payload).where(theirs))
    yield _Step(log, "kernel", KEPT, rows, why="chain")
    events = known.tables["event"]
    yield _Step(events, "kernel", KEPT, events.c.customer_uid.in_(uids), why="ids_only")
    yield from _search(known, parts)
    for table, column, personal in known.histories():
        where = table.c[column].in_(uids)
        values = {name: _empty(table.c[name]) for name in personal}
        yield _Step(table, known.plugin_of(table.name), EMPTIED, where, sa.update(table).where(where).values(values))
    attached = {(found.table, found.column) for found in known.attachments()}
    for found in known.references():
        plain = found.points_to == "customer.uid" and found.json_key is None and found.table not in _HANDLED
        if plain and (found.table, found.column) not in attached:
            yield _reference(known, found.table, found.column, found.type_column, uids)


#: Tables with steps of their own.
_HANDLED = frozenset({"audit_log", "event", "search_entry"})


def _search(known: SubjectMap, parts: Sequence[Part]) -> Iterator[_Step]:
    entries = known.tables["search_entry"]
    names = _type_names()
    found = [
        sa.and_(
            entries.c.record_type == names.get(part.table.name, part.table.name.replace("_", ".", 1)),
            entries.c.record_id.in_(part.ids("id")),
        )
        for part in parts
        if "id" in part.table.c and part.fate is Fate.ERASED
    ]
    where = sa.or_(*found)
    yield _Step(entries, "kernel", Fate.ERASED, where, sa.delete(entries).where(where))


def _reference(known: SubjectMap, name: str, column: str, type_column: str | None, uids: Any) -> _Step:
    """Return the step for rows that name an erased record by its id: they are the record's, unless it may be missing."""
    table = known.tables[name]
    where = table.c[column].in_(uids)
    if not table.c[column].nullable:
        return _Step(table, known.plugin_of(name), Fate.ERASED, where, sa.delete(table).where(where))
    cleared: dict[str, Any] = {column: None}
    if type_column and table.c[type_column].nullable:
        cleared[type_column] = None
    return _Step(table, known.plugin_of(name), UNLINKED, where, sa.update(table).where(where).values(cleared))


def _uids(parts: Sequence[Part]) -> sa.CompoundSelect[Any]:
    return sa.union_all(*(part.ids("uid") for part in parts if "uid" in part.table.c))


def _nobody(part: Part) -> dict[str, Any]:
    """Return the values that take the person out of a row: no key, no custom fields, nothing personal."""
    values: dict[str, Any] = {name: sa.null() for name in part.pointing if part.table.c[name].nullable}
    for name in {*part.personal, "custom"} & set(part.table.c.keys()):
        values[name] = _empty(part.table.c[name])
    return values or {next(iter(part.table.primary_key.columns)).name: next(iter(part.table.primary_key.columns))}


def _empty(column: sa.Column[Any]) -> Any:
    if column.nullable:
        return sa.null()
    return {} if isinstance(column.type, sa.JSON) else BLANK


def _children_first(parts: Sequence[Part]) -> list[Part]:
    """Order rows so that none is deleted while another still refers to it, by a key or by being attached to it."""
    ordered: list[Part] = []

    def visit(part: Part, path: tuple[Part, ...]) -> None:
        if any(part is known for known in (*ordered, *path)):
            return
        for other in parts:
            targets = {key.target_fullname.rpartition(".")[0] for key in other.table.foreign_keys}
            if part.table.name in targets:
                visit(other, (*path, part))
        ordered.append(part)

    # Attached rows come last and go first: they are found by the rows they are attached to.
    for part in reversed(parts):
        visit(part, ())
    return ordered


def _entry(step: _Step, rows: int) -> Entry:
    return Entry(step.table.name, step.module, str(step.fate), rows, step.why)


def _refuse_merged(customer: Customer) -> None:
    if customer.merged_into_id is not None:
        raise Conflict(_("This customer was merged into another one: erase that one, and this one goes with it."))


def _type_names() -> dict[str, str]:
    from flask import current_app

    from crm_kernel._internal.runtime import runtime_of

    types = runtime_of(current_app).registry.all("record_types")
    return {record_type.model.__tablename__: record_type.name for record_type in types}
