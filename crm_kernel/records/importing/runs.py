"""Keeps the record of an import: begins it, notes every chunk in the chunk's own transaction, ends it.

The checkpoint commits with the rows it speaks of: whatever kills the process, a run that goes on neither loses a row nor
writes one twice. Two processes cannot do one run: each chunk locks it and compares its checkpoint.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import sqlalchemy as sa
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from crm_kernel._internal.rows import insert_rows
from crm_kernel.access.acting import actor_of
from crm_kernel.access.actor import SYSTEM, Scope
from crm_kernel.access.field_access import hidden_fields
from crm_kernel.contributions import Permission
from crm_kernel.errors import Conflict, Forbidden, InvalidInput, NotFound
from crm_kernel.records.importing import images
from crm_kernel.records.importing.models import ImportRow, ImportRun, RunState
from crm_kernel.records.importing.results import NOT_TAKEN, Outcome, RowError, SourceResult
from crm_kernel.records.importing.session import ImportSession, Place, path_of
from crm_kernel.records.importing.stored_mappings import mapping_as_json

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor
    from crm_kernel.records.importing.mapping import Mapping
    from crm_kernel.records.importing.results import ImportResult
    from crm_kernel.unit_of_work import UnitOfWork

#: States in which chunks are to be done.
UNDER_WAY = (RunState.RUNNING, RunState.REHEARSING)
#: Whether a run is only rehearsed, when it was begun, and what its columns mean.
Errand = tuple[bool, "dt.datetime | None", dict[str, Any]]

#: May see the imports of others; and undo, stop and resume them.
READ_OTHERS, CHANGE_OTHERS = "import.read", "import.update"


def permissions() -> list[Permission]:
    """Return what may be granted over imports; everybody has his own."""
    return [
        Permission(name=READ_OTHERS, label=_l("Imports of others: see")),
        Permission(name=CHANGE_OTHERS, label=_l("Imports of others: undo, stop, go on")),
    ]


class TakenOver(Conflict):
    """Another process goes on with the run that this one had begun."""


def begin_run(uow: UnitOfWork, mapping: Mapping, folder: Path, result: ImportResult) -> ImportRun:
    """Store a run that is about to import the files of a folder, and return it, flushed."""
    run = ImportRun(
        uid=UUID(result.run_id),
        state=RunState.RUNNING,
        user_id=uow.actor.user_id,
        actor=uow.actor.name[:120],
        scopes=None if uow.actor.token_scopes is None else list(uow.actor.token_scopes),
        channel=uow.channel,
        name=mapping.name[:200],
        mapping=mapping_as_json(mapping),
        folder=str(folder.resolve()),
        files=digests_of(mapping, folder),
        checkpoint={"source": 0, "rows": 0},
        counts=[source.counts() for source in result.sources],
        created_at=uow.now,
        started_at=uow.now,
    )
    uow.session.add(run)
    uow.session.flush()
    return run


def digests_of(mapping: Mapping, folder: Path) -> list[dict[str, Any]]:
    """Return name, SHA-256 and size of every file that a mapping reads from a folder; those that are missing aside."""
    paths = [path for spec in mapping.sources if (path := path_of(spec, folder)) is not None]
    return [{"name": path.name, "sha256": _digest(path), "bytes": path.stat().st_size} for path in paths]


def refuse_changed_files(run: ImportRun, mapping: Mapping) -> None:
    """Refuse to go on with files that are not those the run began with.

    Raises:
        InvalidInput: naming the file.
    """
    found = {file["name"]: file["sha256"] for file in digests_of(mapping, Path(run.folder))}
    for file in run.files:
        if found.get(file["name"]) != file["sha256"]:
            message = _("it is not the file that this import began with: import it anew.")
            raise InvalidInput({file["name"]: [message]})


def place_of(run: ImportRun) -> Place:
    """Return how far a run is."""
    return Place(int(run.checkpoint.get("source", 0)), int(run.checkpoint.get("rows", 0)))


def errand_of(run: ImportRun) -> Errand:
    """Return what whoever does a run was asked to do: a draft that is stopped may be given another meaning, and begun anew."""
    return run.state == RunState.REHEARSING, run.started_at, run.mapping


def locked_run(uow: UnitOfWork, key: int) -> ImportRun:
    """Return a run, locked until the unit of work ends; one query.

    Raises:
        NotFound: it was discarded meanwhile: a draft may be, while others wait for its lock.
    """
    query = sa.select(ImportRun).where(ImportRun.id == key).with_for_update()
    run = uow.session.scalars(query.execution_options(populate_existing=True)).one_or_none()
    if run is None:
        raise NotFound(_("There is no such import."))
    return run


def is_under_way(run: ImportRun) -> bool:
    """Say whether chunks of a run are to be done."""
    return run.state in UNDER_WAY


def refuse_stranger(run: ImportRun, place: Place, errand: Errand | None) -> None:
    """Refuse a chunk of a run that somebody else has taken on meanwhile, or that was begun anew.

    Raises:
        TakenOver: its checkpoint is not where this process left it, or something else is asked for.
    """
    if (place_of(run), errand_of(run)) != (place, errand):
        raise TakenOver(_("Another process goes on with this import."))


def refuse_ended(run: ImportRun) -> None:
    """Refuse to go on with a run that has come to its end.

    Raises:
        Conflict: it is done or taken back.
    """
    if run.state not in (RunState.RUNNING, RunState.STOPPED):
        raise Conflict(_("This import is not to be gone on with: its state is %(state)s.", state=run.state))


def restart(run: ImportRun) -> None:
    """Let a stopped run go on."""
    refuse_ended(run)
    run.state, run.failure, run.finished_at = RunState.RUNNING, None, None


def stop_run(uow: UnitOfWork, run: ImportRun, failure: str) -> None:
    """End a run before its last row; it can be resumed. A rehearsal makes a draft of it again: nothing of it is in."""
    if is_under_way(run):
        state = RunState.DRAFT if run.state == RunState.REHEARSING else RunState.STOPPED
        run.state, run.failure, run.finished_at = state, failure, uow.now


def end_run(uow: UnitOfWork, run: ImportRun) -> None:
    """Note that the last row is done; a rehearsal makes a draft of the run again."""
    done = run.state == RunState.RUNNING
    run.state = RunState.DONE if done else RunState.DRAFT
    run.finished_at = uow.now


def note_chunk(uow: UnitOfWork, run: ImportRun, source: int, outcome: Outcome) -> None:
    """Store what became of a chunk's rows, and the counts so far; one statement for all rows."""
    results = [SourceResult.from_counts(counts) for counts in run.counts]
    results[source].add(outcome.verdicts, outcome.errors, outcome.warnings)
    run.counts = [result.counts() for result in results]
    insert_rows(uow.session, cast(sa.Table, ImportRow.__table__), list(_rows(run.id, source, outcome)))


def note_place(run: ImportRun, place: Place) -> None:
    """Move the checkpoint; in the transaction of the rows it speaks of."""
    run.checkpoint = {"source": place.source, "rows": place.rows}


def run_of(uow: UnitOfWork, uid: UUID) -> ImportRun:
    """Return a run that the actor may see: his own, or anybody's with the permission ``import.read``.

    Raises:
        NotFound: there is none.
    """
    run = uow.session.scalar(sa.select(ImportRun).where(ImportRun.uid == uid, _visible(uow.actor)))
    if run is None:
        raise NotFound(_("There is no such import."))
    return run


def recent_runs(uow: UnitOfWork, *, limit: int = 50, before: UUID | None = None) -> list[ImportRun]:
    """Return runs that the actor may see, newest first; those older than ``before``. One query."""
    query = sa.select(ImportRun).where(_visible(uow.actor)).order_by(ImportRun.id.desc()).limit(limit)
    if before is not None:
        query = query.where(ImportRun.id < sa.select(ImportRun.id).where(ImportRun.uid == before).scalar_subquery())
    return list(uow.session.scalars(query))


def may_change(actor: Actor, run: ImportRun) -> bool:
    """Say whether the actor may resume, stop or undo a run: it is his, or he looks after all."""
    own = actor.kind == "system" or (actor.user_id is not None and run.user_id == actor.user_id)
    return own or actor.may(CHANGE_OTHERS)


def may_read_file(actor: Actor, run: ImportRun) -> bool:
    """Say whether the actor may read rows of a run's files, which nobody has filtered: his own run's, else of what he sees whole.

    What is wrong with a row may name the record that it seems to be about: who sees only some of them reads no rows of others.
    """
    if actor.kind == "system" or (actor.user_id is not None and run.user_id == actor.user_id):
        return True
    types = {source.get("record_type") for source in run.mapping.get("sources", ())} | {run.mapping.get("record_type")}
    return may_change(actor, run) and all(_sees_whole(actor, str(name)) for name in types if name)


def _sees_whole(actor: Actor, name: str) -> bool:
    return actor.scope_of(f"{name}.read") is Scope.ALL and not hidden_fields(actor, name)


def authorize_file(actor: Actor, run: ImportRun) -> None:
    """Refuse who may not read rows of a run's files.

    Raises:
        Forbidden: it is somebody else's.
    """
    if not may_read_file(actor, run):
        raise Forbidden(_("This is an import of %(who)s.", who=run.actor))


def authorize_change(actor: Actor, run: ImportRun) -> None:
    """Refuse who may not resume, stop or undo a run.

    Raises:
        Forbidden: it is somebody else's.
    """
    if not may_change(actor, run):
        raise Forbidden(_("This is an import of %(who)s.", who=run.actor))


def actor_of_run(uow: UnitOfWork, run: ImportRun) -> Actor:
    """Return who a run acts as, with what he may do now; two queries.

    Raises:
        Forbidden: the user was deactivated.
    """
    return actor_by_key(uow, run.user_id, run.scopes)


def actor_by_key(uow: UnitOfWork, user_id: int | None, scopes: Sequence[str] | None) -> Actor:
    """Return the actor of a user's key within a token's limits, the system without one; two queries.

    Raises:
        Forbidden: the user was deactivated.
    """
    actor = SYSTEM if user_id is None else actor_of(uow, user_id, scopes=scopes)
    if actor is None:
        raise Forbidden(_("The account of who asked for this was deactivated."))
    return actor


def results_of(run: ImportRun, session: ImportSession) -> list[SourceResult]:
    """Return the numbers of a run's sources so far."""
    if len(run.counts) != len(session.runs):
        return session.results()
    return [SourceResult.from_counts(counts) for counts in run.counts]


def _visible(actor: Actor) -> sa.ColumnElement[bool]:
    if actor.kind == "system" or actor.may(READ_OTHERS):
        return sa.true()
    return ImportRun.user_id == (actor.user_id or 0)


def _rows(run: int, source: int, outcome: Outcome) -> Iterator[dict[str, Any]]:
    for row in outcome.written:
        yield {
            "run_id": run,
            "verdict": row.verdict.value,
            "source": source,
            "number": row.row,
            "record_type": row.record_type,
            "record_uid": row.uid,
            "before": None if row.before is None else images.written(row.before),
            "after": None if row.after is None else images.written(row.after),
            "problems": None,
        }
    for (number, verdict), errors in _by_row([*outcome.errors, *outcome.warnings]).items():
        yield _row(run, verdict, source, number, [_problem(error) for error in errors])
    for told, settled, _errors in outcome.told():
        if settled not in NOT_TAKEN:  # those are among the errors
            yield _row(run, settled.value, source, told.number, None)


def _row(run: int, verdict: str, source: int, number: int, problems: list[Any] | None) -> dict[str, Any]:
    """Return a row of the ledger that tells of no record."""
    rest = {"record_type": "", "record_uid": None, "before": None, "after": None, "problems": problems}
    return {"run_id": run, "verdict": verdict, "source": source, "number": number, **rest}


def _by_row(errors: Sequence[RowError]) -> dict[tuple[int, str], list[RowError]]:
    found: dict[tuple[int, str], list[RowError]] = {}
    for error in errors:
        found.setdefault((error.row, error.verdict), []).append(error)
    return found


def _problem(error: RowError) -> dict[str, Any]:
    return {"column": error.column, "found": error.found, "expected": error.expected, "sentence": error.sentence}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
