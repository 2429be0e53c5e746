"""Merges two customers and takes merges back: one transaction each, every row that changes kept.

Which rows, the data map says, also of modules that are disabled or uninstalled. The statements do not grow with the
rows of a customer, only with the tables and with rows that stand in each other's way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from crm_kernel.access.audit import AuditRow, record_audit_many
from crm_kernel.access.field_access import refuse_locked
from crm_kernel.access.policy import authorize
from crm_kernel.customers.events import CustomersMerged, CustomersUnmerged
from crm_kernel.customers.merging.book import Book
from crm_kernel.customers.merging.checks import lock_both, refuse_out_of_order, refuse_unfit, refuse_unknown
from crm_kernel.customers.merging.fields import SOURCE, TARGET, chosen_attributes, merged_values, values_of
from crm_kernel.customers.merging.giving import Giver
from crm_kernel.customers.merging.models import MergeRun
from crm_kernel.customers.merging.permissions import keep_refusals, standing_of
from crm_kernel.customers.merging.rows import (
    demote,
    forget_words,
    give_all,
    refuse_circles,
    settle_pairs,
    untie,
)
from crm_kernel.customers.merging.undoing import Undoer
from crm_kernel.customers.models import Customer, new_uid
from crm_kernel.customers.services import update_customer
from crm_kernel.data_map.columns import customer_columns
from crm_kernel.records.plan import plan_of, record_type
from crm_kernel.records.search import index_records

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

_NO_CHOICES: Mapping[str, str] = {}


def merge(
    uow: UnitOfWork,
    source: Customer,
    target: Customer,
    choices: Mapping[str, str] = _NO_CHOICES,
    *,
    versions: tuple[int | None, int | None] = (None, None),
) -> MergeRun:
    """Let ``source`` become ``target``, which stays, and return the run, flushed.

    What names the source then names the target, in every module's tables; its id leads there. The target keeps its
    values and takes those it lacks, or those that ``choices`` give: field name (as the API has it; ``cf_…`` for a
    custom field, ``bank.risk`` for an extension's) → ``source`` or ``target``. Of two permissions the stricter stays.

    Args:
        versions: of source and target as the caller read them; None for any.

    Raises:
        Forbidden: the actor may not merge one of them, or may not write a field that was chosen.
        InvalidInput: they are one customer or of two kinds, or a choice is unknown.
        Conflict: one was merged already, or a tie or a module's table stands in the way.
        StaleVersion: one was changed since it was read.
    """
    for customer in (source, target):
        authorize(uow.actor, "customer.merge", customer)
    lock_both(uow, source, target)
    refuse_unfit(source, target, versions)
    own, others = chosen_attributes(source.kind, choices)
    refuse_locked(uow.actor, "customer", [name for name, choice in choices.items() if choice == SOURCE])
    refuse_unknown(others)
    run = MergeRun(uid=new_uid(), source_id=source.id, target_id=target.id, merged_at=uow.now, counts={}, steps=[],
                   merged_by=uow.actor.name[:120])  # fmt: skip
    uow.session.add(run)
    uow.session.flush()
    standing = standing_of(uow, (source, target))
    _merge_rows(uow, run, source, target, own, others, standing)
    uow.record(CustomersMerged(customer_id=target.uid, merged_id=source.uid, run_id=run.uid))
    _audit(uow, run, source, target, "merged")
    return run


def unmerge(uow: UnitOfWork, run: MergeRun) -> MergeRun:
    """Take a merge back and return the run, whose ``since`` says what stayed otherwise than it was before.

    Every column is as it was but ``version`` and ``updated_at``, which move forward. Rows written to the survivor since,
    and values changed since, stay.

    Raises:
        Forbidden: the actor may not merge one of the two.
        Conflict: it was taken back already, or a later merge of the survivor must be taken back first.
    """
    source, target = (uow.session.get_one(Customer, key) for key in (run.source_id, run.target_id))
    for customer in (source, target):
        authorize(uow.actor, "customer.merge", customer)
    lock_both(uow, source, target)
    uow.session.refresh(run, with_for_update=True)
    refuse_out_of_order(uow, run)
    uow.session.flush()
    since = Undoer(uow, run).undo()
    _advance(uow, target)
    uow.session.expire_all()
    run.state, run.unmerged_at, run.unmerged_by = "unmerged", uow.now, uow.actor.name[:120]
    run.since = {table: dict(counts) for table, counts in since.items()}
    index_records(uow, record_type("customer"), [source.id, target.id])
    uow.record(CustomersUnmerged(customer_id=target.uid, merged_id=source.uid, run_id=run.uid))
    _audit(uow, run, source, target, "unmerged")
    uow.session.flush()
    return run


def _merge_rows(
    uow: UnitOfWork,
    run: MergeRun,
    source: Customer,
    target: Customer,
    own: Mapping[str, str],
    others: Mapping[str, str],
    standing: Any,
) -> None:
    columns = customer_columns(uow)
    book = Book(uow, run.id, [*(c.table for c in columns), "person", "organization", "search_entry", "consent"])
    giver = Giver(book)
    rows = _raw(book, source.id), _raw(book, target.id)
    _fill(uow, book, source, target, own, others)
    demote(giver, source.id, target.id)
    untie(giver, source.id, target.id)
    settle_pairs(giver, source.id, target.id)
    extensions = _chosen_of_extensions(book, {SOURCE: source.id, TARGET: target.id}, others)
    give_all(giver, columns, *rows)
    for table, values in extensions:
        giver.change(table, next(iter(table.primary_key)) == target.id, values)
    refuse_circles(book.connection, target.id)
    forget_words(giver, source.id)
    uow.session.expire_all()
    keep_refusals(uow, book, run.uid, target, standing)
    giver.change(book.table("customer"), book.table("customer").c.id == source.id, {"merged_into_id": target.id})
    _advance(uow, target)
    uow.session.expire_all()
    run.counts, run.steps = {table: dict(found) for table, found in book.counts.items()}, book.steps
    index_records(uow, record_type("customer"), [target.id])
    uow.session.flush()


def _fill(
    uow: UnitOfWork,
    book: Book,
    source: Customer,
    target: Customer,
    own: Mapping[str, str],
    others: Mapping[str, str],
) -> None:
    """Write the target's fields through the service that all changes go through, and keep what they were."""
    from crm_kernel.records.services import ask_plugins

    tables = [book.table(name) for name in ("customer", "person", "organization")]
    before = [_row(book, table, target.id) for table in tables]
    changes = merged_values(source.kind, values_of(uow, source), values_of(uow, target), own)
    custom = {**(source.custom or {}), **(target.custom or {})}
    owners = {SOURCE: source.custom or {}, TARGET: target.custom or {}}
    custom |= {name: owners[choice].get(name) for name, choice in others.items() if "." not in name}
    ask_plugins(uow, record_type("customer"), target, changes)
    target.custom = {name: value for name, value in custom.items() if value is not None}
    update_customer(uow, target, changes)
    uow.session.flush()
    for table, old in zip(tables, before, strict=True):
        _keep(book, table, old, _row(book, table, target.id))


def _keep(book: Book, table: sa.Table, old: Any, new: Any) -> None:
    if new is None:
        return
    if old is None:
        book.created(table, [new])
        return
    names = [name for name in new if name not in ("version", "updated_at") and new[name] != old[name]]
    if names:
        book.changed(table, [(new, {name: old[name] for name in names}, {name: new[name] for name in names})])


def _row(book: Book, table: sa.Table, key: int) -> Any:
    row = book.connection.execute(sa.select(table).where(next(iter(table.primary_key)) == key)).first()
    return None if row is None else dict(row._mapping)


def _chosen_of_extensions(
    book: Book, owners: Mapping[str, int], others: Mapping[str, str]
) -> list[tuple[sa.Table, dict[str, Any]]]:
    """Return the extension values that were chosen, read before rows go; a value chosen to be none is none.

    Args:
        owners: ``source`` and ``target`` → key of the customer.
    """
    found = []
    plan = plan_of(record_type("customer"))
    for extension in plan.extensions:
        fields, table = plan.extension_fields[extension.name], book.table(_table_of(extension.model))
        chosen = {name.partition(".")[2]: choice for name, choice in others.items()
                  if name.partition(".")[0] == extension.name}  # fmt: skip
        rows = {choice: _row(book, table, owners[choice]) or {} for choice in set(chosen.values())}
        values = {}
        for name, choice in chosen.items():
            column = fields[name].field.attribute or name
            if column in rows[choice] or (column in table.c and table.c[column].nullable):
                values[column] = rows[choice].get(column)
        if values:
            found.append((table, values))
    return found


def _table_of(model: type[Any]) -> str:
    return str(sa.inspect(model).local_table.name)


def _raw(book: Book, key: int) -> Any:
    table = book.table("customer")
    return book.connection.execute(sa.select(table.c.id, table.c.uid).where(table.c.id == key)).one()


def _advance(uow: UnitOfWork, customer: Customer) -> None:
    """Raise the version: whoever read the customer before must read it again."""
    table: Any = Customer.__table__
    values = {"version": table.c.version + 1, "updated_at": uow.now}
    uow.session.connection().execute(sa.update(table).where(table.c.id == customer.id).values(values))


def _audit(uow: UnitOfWork, run: MergeRun, source: Customer, target: Customer, action: str) -> None:
    told = {"merge_run": run.uid}
    rows = [
        AuditRow(source.uid, None, {**told, "merged_into": target.uid}),
        AuditRow(target.uid, None, {**told, "merged": source.uid}),
    ]
    record_audit_many(uow, "customer", action, rows)
