"""Takes an import back: changed records get the values they had, created ones are deleted, in chunks, newest first.

What people did since wins: a value somebody changed stays, a record somebody changed or something points at is kept, and
each is told with its reason. A row that is dealt with gets another verdict in the same transaction, so that undoing goes
on where it was killed.
"""

from __future__ import annotations

import datetime as dt
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask import current_app
from flask_babel import gettext as _

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access.field_access import locked_fields
from crm_kernel.access.policy import authorize, visible
from crm_kernel.errors import Conflict, CrmError, InvalidInput
from crm_kernel.records.bulk import update_many
from crm_kernel.records.bulk_rows import attribute_of, current_values, lock_rows
from crm_kernel.records.custom_fields.values import forget_references
from crm_kernel.records.importing import images, runs
from crm_kernel.records.importing.models import ImportRow, ImportRun, RunState
from crm_kernel.records.importing.pointers import changed_since, pointed_at
from crm_kernel.records.importing.restoring import Restoration, restoration_of
from crm_kernel.records.importing.results import Verdict
from crm_kernel.records.importing.savepoints import all_or_nothing
from crm_kernel.records.plan import TypePlan, plan_of, record_types
from crm_kernel.records.record_type import RecordType
from crm_kernel.unit_of_work import UnitOfWork, writing

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor

#: Records taken back per transaction.
CHUNK = 500
DELETED, RESTORED, KEPT = "deleted", "restored", "kept"

_REFUSALS = (CrmError, sa.exc.IntegrityError)


@dataclass(slots=True)
class _Item:
    """One row of the run's ledger on its way back."""

    id: int
    verdict: str
    record_type: str
    uid: UUID
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    problems: list[Any] | None = None


def kept_since(uow: UnitOfWork) -> dt.datetime:
    """Return from when on an import must be, in UTC, for its rows to be kept; those of older ones go at night."""
    return uow.now - dt.timedelta(days=runtime_of(current_app).config.import_days)


def begin_undo(uow: UnitOfWork, uid: UUID) -> ImportRun:
    """Mark a run to be taken back, and return it; ``undo_chunk`` does it. One that is half taken back is gone on with.

    Raises:
        NotFound: there is no such import, or none that the actor may see.
        Forbidden: the actor may not delete the records it created, or not change those it changed.
        Conflict: it has not ended yet, was taken back already, or its rows have expired or are about to: the night would end
            half-way what no job is at work on.
    """
    run = runs.run_of(uow, uid)
    _authorize(uow.actor, run)
    run = runs.locked_run(uow, run.id)
    if run.state == RunState.UNDOING:
        run.failure = None
        return run
    if run.state not in (RunState.DONE, RunState.STOPPED):
        raise Conflict(_("This import cannot be undone: its state is %(state)s.", state=run.state))
    if run.expired_at is not None:
        raise Conflict(_("What this import did is no longer known: its rows have expired."))
    if run.created_at < kept_since(uow):
        raise Conflict(_("This import is too old to be undone: what it did is about to be forgotten."))
    run.state, run.undo, run.failure, run.job_id = RunState.UNDOING, {DELETED: 0, RESTORED: 0, KEPT: 0}, None, None
    return run


def undo(actor: Actor, uid: UUID, *, progress: Callable[[int], None] | None = None, until: float = math.inf) -> bool:
    """Take back a run that ``begin_undo`` marked, chunk by chunk; return whether there is more to do.

    Called with no unit of work open. ``until`` is a time of ``time.monotonic``.
    """
    more = True
    while more and time.monotonic() < until:
        with writing(actor, channel="import", request_id=f"{uid.hex}-undo") as uow:
            found = undo_chunk(uow, uid)
        more = found > 0
        if progress:
            progress(found)
    return more


def undo_chunk(uow: UnitOfWork, uid: UUID) -> int:
    """Take back the next records of a run and return how many were looked at; 0 at the end.

    Raises:
        NotFound, Forbidden: as for ``begin_undo``, whose questions are asked again: it may take days.
    """
    run = runs.locked_run(uow, runs.run_of(uow, uid).id)
    if run.state != RunState.UNDOING:
        return 0
    _authorize(uow.actor, run)
    rows = _next(uow, run, Verdict.UPDATED) or _next(uow, run, Verdict.CREATED)
    if not rows:
        run.state, run.finished_at = RunState.UNDONE, uow.now
        return 0
    updated = rows[0].verdict == Verdict.UPDATED  # as the ledger has it: dealing with a row gives it another verdict
    for record_type, some in _by_type(rows):
        if record_type is None:
            _keep(some, _("Its module is not loaded."))
        elif updated:
            _restore(uow, record_type, some)
        else:
            _delete(uow, (run.request_id, uow.request_id), record_type, some)
    _note(uow, run.id, rows)
    return len(rows)


def kept_rows(uow: UnitOfWork, run: ImportRun, *, limit: int = 100) -> list[ImportRow]:
    """Return what undoing a run has left as it is, with the reasons in ``problems``; one query."""
    query = sa.select(ImportRow).where(ImportRow.run_id == run.id, ImportRow.verdict == KEPT)
    return list(uow.session.scalars(query.order_by(ImportRow.id).limit(limit)))


def withdrawn_by(record_type: RecordType) -> str | None:
    """Return the verb whose permission it takes to undo the creation of a record, None where nobody can.

    What is never deleted (a sale of the ledger) may still be withdrawn by whoever may import it, if the type says how.
    """
    if "delete" in record_type.verbs:
        return "delete"
    return record_type.importing if record_type.services.delete is not None else None


def _authorize(actor: Actor, run: ImportRun) -> None:
    runs.authorize_change(actor, run)
    verbs = {Verdict.CREATED: "delete", Verdict.UPDATED: "update"}
    for counts in run.counts:
        record_type = record_types().get(counts["record_type"])
        for verdict, verb in verbs.items():
            asked = withdrawn_by(record_type) if record_type and verb == "delete" else verb
            if record_type is not None and counts.get(verdict.value) and asked in record_type.granted:
                authorize(actor, record_type.permission(asked))


def _next(uow: UnitOfWork, run: ImportRun, verdict: Verdict) -> list[_Item]:
    """Return the newest rows of a verdict; no record twice, because each change of it is undone by itself."""
    columns = (ImportRow.id, ImportRow.verdict, ImportRow.record_type, ImportRow.record_uid)
    query = sa.select(*columns, ImportRow.before, ImportRow.after)
    query = query.where(ImportRow.run_id == run.id, ImportRow.verdict == verdict.value)
    found: dict[UUID, _Item] = {}
    for row in uow.session.execute(query.order_by(ImportRow.id.desc()).limit(CHUNK)):
        if row.record_uid in found:
            break
        found[row.record_uid] = _Item(*row)
    return list(found.values())


def _note(uow: UnitOfWork, run_id: int, rows: Sequence[_Item]) -> None:
    """Store what became of rows, and the numbers so far."""
    table: Any = ImportRow.__table__
    change = sa.update(table).where(table.c.id == sa.bindparam("the_id"))
    change = change.values(verdict=sa.bindparam("became"), problems=sa.bindparam("why"))
    told = [{"the_id": row.id, "became": row.verdict, "why": row.problems} for row in rows]
    uow.session.connection().execute(change, told)
    run = runs.locked_run(uow, run_id)
    numbers = Counter({KEPT: 0, RESTORED: 0, DELETED: 0, **(run.undo or {})})
    numbers.update(row.verdict for row in rows)
    run.undo = dict(numbers)


def _by_type(rows: Sequence[_Item]) -> Iterator[tuple[RecordType | None, list[_Item]]]:
    known = record_types()
    for name in dict.fromkeys(row.record_type for row in rows):
        yield known.get(name), [row for row in rows if row.record_type == name]


def _reached(uow: UnitOfWork, record_type: RecordType, verb: str, rows: list[_Item]) -> dict[int, _Item]:
    """Return key → row of the records that are here and that the actor may change; the other rows are kept."""
    model = record_type.model
    reach = visible(uow.actor, record_type, verb)
    query = sa.select(model.uid, model.id).where(model.uid.in_([row.uid for row in rows]), reach)
    keys = {row[0]: row[1] for row in uow.session.execute(query)}
    _keep([row for row in rows if row.uid not in keys], _("It is not here any more, or not yours to change."))
    return {keys[row.uid]: row for row in rows if row.uid in keys}


def _restore(uow: UnitOfWork, record_type: RecordType, rows: list[_Item]) -> None:
    plan, by_key = plan_of(record_type), _reached(uow, record_type, "update", rows)
    lock_rows(uow, record_type, list(by_key))  # what changed since is looked at: nobody may change it after that look
    restorations = _restorations(uow, plan, by_key)

    def write(keys: Sequence[int]) -> None:
        values = {key: restorations[key].values for key in keys}
        sides = {key: restorations[key].extensions for key in keys if restorations[key].extensions}
        update_many(uow, record_type, values, extensions=sides)

    for key, reason in _done(uow, list(by_key), write):
        why = reason or _left(restorations[key])
        if why:
            _keep([by_key[key]], why)
        else:
            by_key[key].verdict = RESTORED


def _left(restoration: Restoration) -> str:
    """Return which values of a record stay, and why; empty for none."""
    kept, locked = ", ".join(restoration.kept), ", ".join(restoration.locked)
    told = [_("Changed since, left as it is: %(names)s", names=kept)] if kept else []
    return " ".join(told + ([_("Not yours to write, left as it is: %(names)s", names=locked)] if locked else []))


def _restorations(uow: UnitOfWork, plan: TypePlan, by_key: dict[int, _Item]) -> dict[int, Restoration]:
    pairs = {key: (images.read(row.before or {}), images.read(row.after or {})) for key, row in by_key.items()}
    names = sorted({name for _before, after in pairs.values() for name in after if not name.startswith("extensions.")})
    sides: dict[str, set[str]] = {}
    for name in {name for _before, after in pairs.values() for name in after} - set(names):
        _word, extension, attribute = name.split(".", 2)
        if attribute in plan.extension_fields.get(extension, {}):
            sides.setdefault(extension, set()).add(attribute)
    now = current_values(uow, plan, list(by_key), names, {name: sorted(found) for name, found in sides.items()})
    locked = _locked(uow.actor, plan)
    return {key: restoration_of(plan, before, after, now[key], locked) for key, (before, after) in pairs.items()}


def _locked(actor: Actor, plan: TypePlan) -> set[str]:
    names = locked_fields(actor, plan.record_type.name)
    return {attribute_of(plan.fields[name]) if name in plan.fields else f"extensions.{name}" for name in names}


def _delete(uow: UnitOfWork, requests: tuple[str, str], record_type: RecordType, rows: list[_Item]) -> None:
    verb = withdrawn_by(record_type)
    if verb is None:
        return _keep(rows, _("Records of this type are not deleted."))
    by_key = _reached(uow, record_type, verb, rows)
    lock_rows(uow, record_type, list(by_key))  # as in ``_restore``; nor may a row that would go with them be added
    for key, reason in _in_the_way(uow, requests, record_type, by_key).items():
        _keep([by_key.pop(key)], reason)

    def write(keys: Sequence[int]) -> None:
        forget_references(uow, record_type, list(keys))
        model = record_type.model
        for record in uow.session.scalars(sa.select(model).where(model.id.in_(keys)).order_by(model.id.desc())):
            authorize(uow.actor, record_type.permission(verb), record)
            remove = record_type.services.delete
            if remove:
                remove(uow, record)
            else:
                uow.session.delete(record)
        uow.session.flush()

    for key, reason in _done(uow, list(by_key), write):
        if reason:
            _keep([by_key[key]], reason)
        else:
            by_key[key].verdict = DELETED


def _in_the_way(
    uow: UnitOfWork, requests: tuple[str, str], record_type: RecordType, by_key: dict[int, _Item]
) -> dict[int, str]:
    """Return key → why a record is not deleted; what another one that is kept points at is kept as well."""
    uids = [row.uid for row in by_key.values()]
    changed = changed_since(uow, record_type, uids, requests)
    found = {key: _("Somebody has changed it since.") for key, row in by_key.items() if row.uid in changed}
    while True:
        pointed = pointed_at(uow, record_type, set(by_key) - set(found))
        if not pointed:
            return found
        found |= {key: _("Others point at it: %(what)s", what=label) for key, label in pointed.items()}


def _done(uow: UnitOfWork, keys: list[int], write: Callable[[Sequence[int]], None]) -> list[tuple[int, str]]:
    """Write all at once, or one by one where that is refused; return key → why not, empty for done."""
    if not keys:
        return []
    try:
        with all_or_nothing(uow):
            write(keys)
        return [(key, "") for key in keys]
    except _REFUSALS as error:
        if len(keys) == 1:
            return [(keys[0], _reason(error))]
    return [pair for key in keys for pair in _done(uow, [key], write)]


def _reason(error: Exception) -> str:
    if isinstance(error, InvalidInput):
        return " ".join(f"{path}: {' '.join(texts)}" for path, texts in error.errors.items())
    return _("Others still need it.") if isinstance(error, sa.exc.IntegrityError) else str(error)


def _keep(rows: Sequence[_Item], reason: str) -> None:
    for row in rows:
        row.verdict = KEPT
        row.problems = [{"column": "", "found": "", "expected": str(reason), "sentence": True}]


__all__ = ["DELETED", "KEPT", "RESTORED", "begin_undo", "kept_rows", "kept_since", "undo", "undo_chunk"]
