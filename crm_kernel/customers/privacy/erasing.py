"""Erases customers: a plan that counts, the same steps carried out, and a receipt without personal data.

Rows of disabled and uninstalled modules go as well, because the steps come from the database and not from code. A bounded
number of statements, whatever the number of rows. The caller authorises, and commits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.customers.events import CustomerErased
from crm_kernel.customers.models import Customer
from crm_kernel.customers.privacy.choices import EMPTIED, ERASE, KEPT, UNLINKED
from crm_kernel.customers.privacy.letting_go import Entry, Way, let_go, planned
from crm_kernel.customers.privacy.mentions import Named, mentions
from crm_kernel.customers.privacy.steps import Step, emptied
from crm_kernel.customers.privacy.subject import CUSTOMER, Fate, Part, SubjectMap
from crm_kernel.errors import Conflict

if TYPE_CHECKING:
    from crm_kernel.customers.privacy.models import Erasure
    from crm_kernel.unit_of_work import UnitOfWork


def erasure_plan(uow: UnitOfWork, customer: Customer, *, known: SubjectMap | None = None) -> list[Entry]:
    """Return what erasing a customer would do, one count per step; entries without rows are left out.

    Raises:
        Conflict: it was merged into another one, which is to be erased instead.
    """
    _refuse_merged(customer)
    return planned(uow, [customer.id], ERASING, known or SubjectMap.read(uow))


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
    return let_go(uow, customer_ids, ERASING, reason=reason, rule=rule, known=known)[0]


def _steps(known: SubjectMap, named: Named) -> Iterator[Step]:
    """Yield what is to be done, in an order in which each step still finds what the later ones delete."""
    parts = known.parts(named.keys)
    yield from mentions(known, named)
    yield from beside(known, parts, [part for part in parts if part.fate is Fate.ERASED or part.personal])
    yield from _referring(known, _uids(parts))
    for part in children_first([part for part in parts if part.fate is Fate.ANONYMISED]):
        statement = sa.update(part.table).where(part.where).values(_nobody(part))
        yield Step(part.table, part.plugin, part.fate, part.where, statement, part.retention or "no_person")
    for part in children_first([part for part in parts if part.fate is Fate.ERASED]):
        yield Step(part.table, part.plugin, part.fate, part.where, sa.delete(part.table).where(part.where))


def beside(known: SubjectMap, parts: Sequence[Part], searched: Sequence[Part]) -> Iterator[Step]:
    """Yield the steps for what tells of the rows without a foreign key: the log, the search, imports and bulk runs.

    Args:
        searched: the parts whose rows the search must forget.
    """
    uids = _uids(parts)
    log, payload = known.tables["audit_log"], known.tables["audit_payload"]
    rows = log.c.record_uid.in_(uids)
    theirs = payload.c.audit_uid.in_(sa.select(log.c.uid).where(rows))
    yield Step(payload, "kernel", EMPTIED, theirs, sa.delete(payload).where(theirs))
    yield Step(log, "kernel", KEPT, rows, why="chain")
    events = known.tables["event"]
    # Of the customers alone: among the ids of all their rows PostgreSQL would look for those of every event.
    theirs = events.c.customer_uid.in_(_uids([part for part in parts if part.table.name == CUSTOMER]))
    yield Step(events, "kernel", KEPT, theirs, why="ids_only")
    yield from _search(known, searched)
    for table, column, personal in known.histories():
        where = table.c[column].in_(uids)
        values = {name: emptied(table.c[name]) for name in personal}
        yield Step(table, known.plugin_of(table.name), EMPTIED, where, sa.update(table).where(where).values(values))


def _referring(known: SubjectMap, uids: sa.CompoundSelect[Any]) -> Iterator[Step]:
    """Yield the steps for other records that name the rows by their ids."""
    attached = {(found.table, found.column) for found in known.attachments()}
    for found in known.references():
        plain = found.points_to == "customer.uid" and found.json_key is None and found.table not in _HANDLED
        if plain and (found.table, found.column) not in attached:
            yield _reference(known, found.table, found.column, found.type_column, uids)


#: Tables with steps of their own.
_HANDLED = frozenset({"audit_log", "event", "search_entry"})


def _search(known: SubjectMap, parts: Sequence[Part]) -> Iterator[Step]:
    entries = known.tables["search_entry"]
    found = [
        sa.and_(
            entries.c.record_type == record_type_of(part.table.name),
            entries.c.record_id.in_(part.ids("id")),
        )
        for part in parts
        if "id" in part.table.c
    ]
    where = sa.or_(*found)
    yield Step(entries, "kernel", Fate.ERASED, where, sa.delete(entries).where(where))


def _reference(known: SubjectMap, name: str, column: str, type_column: str | None, uids: Any) -> Step:
    """Return the step for rows that name an erased record by its id: they are the record's, unless it may be missing."""
    table = known.tables[name]
    where = table.c[column].in_(uids)
    if not table.c[column].nullable:
        return Step(table, known.plugin_of(name), Fate.ERASED, where, sa.delete(table).where(where))
    cleared: dict[str, Any] = {column: None}
    if type_column and table.c[type_column].nullable:
        cleared[type_column] = None
    return Step(table, known.plugin_of(name), UNLINKED, where, sa.update(table).where(where).values(cleared))


def _uids(parts: Sequence[Part]) -> sa.CompoundSelect[Any]:
    return sa.union_all(*(part.ids("uid") for part in parts if "uid" in part.table.c))


def _nobody(part: Part) -> dict[str, Any]:
    """Return the values that take the person out of a row: no key, no custom fields, nothing personal."""
    values: dict[str, Any] = {name: sa.null() for name in part.pointing if part.table.c[name].nullable}
    for name in {*part.personal, "custom"} & set(part.table.c.keys()):
        values[name] = emptied(part.table.c[name])
    return values or {next(iter(part.table.primary_key.columns)).name: next(iter(part.table.primary_key.columns))}


def children_first(parts: Sequence[Part]) -> list[Part]:
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


def _refuse_merged(customer: Customer) -> None:
    if customer.merged_into_id is not None:
        raise Conflict(_("This customer was merged into another one: erase that one, and this one goes with it."))


def record_type_of(table: str) -> str:
    """Return the record type whose rows a table holds; of a module that is not loaded what the names of its tables say."""
    from flask import current_app

    from crm_kernel._internal.runtime import runtime_of

    types = runtime_of(current_app).registry.all("record_types")
    return next((found.name for found in types if found.model.__tablename__ == table), table.replace("_", ".", 1))


ERASING = Way(ERASE, "erased", CustomerErased, _steps)
