"""Goes on with an import that is stored: after a kill, after a stop, or turn by turn in the background.

A process keeps its opened files between two turns; whoever else takes the run on opens them anew and passes over what
is imported already. Every turn asks again what the one who began it may do.
"""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask import current_app
from flask_babel import force_locale

from crm_kernel.access.actor import SYSTEM
from crm_kernel.errors import DatabaseUnavailable, NotFound
from crm_kernel.records.custom_fields.current import learn_fields
from crm_kernel.records.importing import runs
from crm_kernel.records.importing.engine import Driver, Mode, Progress, patient_collector, stopped_text
from crm_kernel.records.importing.models import ImportRun, RunState
from crm_kernel.records.importing.results import ImportResult, Reporter
from crm_kernel.records.importing.session import ImportSession
from crm_kernel.records.importing.stored_mappings import mapping_from_json
from crm_kernel.unit_of_work import UnitOfWork, reading, writing

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor

#: Key of ``app.extensions``: the drivers that wait for their next turn in this process.
_WAITING = "crm_imports"


def resume(
    uid: UUID, *, actor: Actor, progress: Progress | None = None, report: Reporter | None = None
) -> ImportResult:
    """Go on with a stopped or killed import where its last committed chunk ended, and return all it did.

    It acts as whoever began it, with what that one may do now. Called with no unit of work open.

    Raises:
        NotFound: there is no such import, or none that the actor may see.
        Forbidden: the actor may not go on with it, or who began it may not (any more).
        Conflict: it is done, or taken back.
        InvalidInput: its files are gone or others; else as for ``import_folder``.
    """
    learn_fields(actor)
    with reading(actor) as uow:
        run = runs.run_of(uow, uid)
        runs.authorize_change(actor, run)
        runs.refuse_ended(run)
        driver = driver_of(uow, run, progress, report)
    with patient_collector():
        with driver.unit() as uow:
            runs.restart(runs.locked_run(uow, driver.run))
        driver.in_chunks()
    return driver.result


def driver_of(
    uow: UnitOfWork, run: ImportRun, progress: Progress | None = None, report: Reporter | None = None
) -> Driver:
    """Return what goes on with a stored run, its files opened and passed over to the checkpoint; reads only."""
    mapping = mapping_from_json(run.mapping)
    runs.refuse_changed_files(run, mapping)
    session = ImportSession(mapping, Path(run.folder))
    actor = runs.actor_of_run(uow, run)
    session.refuse_unauthorised(actor)
    place = runs.place_of(run)
    if run.state == RunState.REHEARSING:
        session.rehearse()
    session.go_to(uow, place)
    result = ImportResult(run.request_id, run.name, Mode.CHUNKS.value, runs.results_of(run, session))
    return Driver(session, actor, result, progress, report, run=run.id, reached=place, errand=runs.errand_of(run))


def take_turn(uid: UUID, until: float = math.inf) -> bool:
    """Go on with a run in the background until a time of ``time.monotonic``; return whether there may be more to do.

    What is wrong with the import itself stops it and is kept in the run. Called with no unit of work open.

    Raises:
        DatabaseUnavailable: the database does not answer: to be tried again.
    """
    learn_fields(SYSTEM)
    try:
        driver = _driver_in_turn(uid)
    except DatabaseUnavailable:
        raise
    except Exception as error:
        # Whatever it is, nobody would take the run on: it must not say that it is running. Discarded: nothing to do.
        with suppress(NotFound), writing(SYSTEM, channel="import", request_id=uid.hex) as uow:
            runs.stop_run(uow, runs.locked_run(uow, runs.run_of(uow, uid).id), stopped_text(None, error))
        return False
    if driver is None:
        return False
    with patient_collector(), force_locale(driver.actor.language):  # refusals are for whoever began it
        more = driver.in_chunks(until)
    if more:
        _waiting()[uid] = driver
    return more


def _driver_in_turn(uid: UUID) -> Driver | None:
    """Return what goes on with a run, None if nobody is to.

    What this process has kept may be of another errand by now: others can have stopped the run and begun it anew.
    """
    with reading(SYSTEM) as uow:
        _drop_ended(uow)
        kept = _waiting().pop(uid, None)
        run = runs.run_of(uow, uid)
        if not runs.is_under_way(run):
            return None
        if kept is not None and (kept.reached, kept.errand) == (runs.place_of(run), runs.errand_of(run)):
            kept.act_as(runs.actor_of_run(uow, run))
            return kept
        driver = driver_of(uow, run)
    driver.passing = (DatabaseUnavailable,)
    return driver


def _drop_ended(uow: UnitOfWork) -> None:
    """Forget what waits for runs that nobody goes on with: opened files and all keys met so far. One query."""
    waiting = _waiting()
    known = list(waiting)
    query = sa.select(ImportRun.uid).where(ImportRun.uid.in_(known), ImportRun.state.in_(runs.UNDER_WAY))
    for uid in set(known) - set(uow.session.scalars(query)) if known else ():
        waiting.pop(uid, None)


def _waiting() -> dict[UUID, Driver]:
    found: dict[Any, Driver] = current_app.extensions.setdefault(_WAITING, {})
    return found
