"""Takes an uploaded file on its way to become records: kept, given a meaning, rehearsed, started.

A draft of a run belongs to who uploaded the file; what it may do is decided when it gets its meaning, and again whenever a
process takes it on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.access.models import AppUser
from crm_kernel.errors import Conflict, Forbidden, InvalidInput, NotFound
from crm_kernel.records.importing import runs
from crm_kernel.records.importing.jobs import start_import
from crm_kernel.records.importing.mapping import Mapping, plain_mapping
from crm_kernel.records.importing.models import ImportMapping, ImportRow, ImportRun, RunState
from crm_kernel.records.importing.session import ImportSession
from crm_kernel.records.importing.stored_mappings import mapping_as_json
from crm_kernel.records.importing.uploads import drop_upload
from crm_kernel.records.plan import record_types
from crm_kernel.records.record_type import RecordType

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor
    from crm_kernel.unit_of_work import UnitOfWork


def importable_types(actor: Actor) -> list[RecordType]:
    """Return the record types that an actor may create or update from files, in the order of their names."""
    found = [(kind, verb) for kind in record_types().values() if (verb := kind.importing)]
    return [kind for kind, creating in found if any(actor.may(kind.permission(v)) for v in (creating, "update"))]


def refuse_importer(actor: Actor, record_type: RecordType) -> None:
    """Refuse who may not import records of a type.

    Raises:
        Forbidden: he may neither create nor update them, or nobody imports them.
    """
    if record_type not in importable_types(actor):
        raise Forbidden(_("%(who)s may not import %(what)s.", who=actor.name, what=record_type.label_plural))


def draft_run(uow: UnitOfWork, path: Path, record_type: RecordType) -> ImportRun:
    """Store a draft of a run for a file that was kept, and return it, flushed.

    Raises:
        Forbidden: the actor may not import records of this type.
    """
    refuse_importer(uow.actor, record_type)
    scopes = uow.actor.token_scopes
    run = ImportRun(
        state=RunState.DRAFT,
        user_id=uow.actor.user_id,
        actor=uow.actor.name[:120],
        scopes=None if scopes is None else list(scopes),
        channel=uow.channel,
        name=path.name[:200],
        mapping={"record_type": record_type.name},
        folder=str(path.parent.resolve()),
        files=[{"name": path.name, "bytes": path.stat().st_size}],
        uploaded=True,
        checkpoint={},
        counts=[],
        created_at=uow.now,
    )
    uow.session.add(run)
    uow.session.flush()
    return run


def set_mapping(uow: UnitOfWork, run: ImportRun, mapping: Mapping, session: ImportSession) -> None:
    """Give a draft its meaning: a mapping that ``session`` has found to fit the file. What was rehearsed is forgotten.

    Raises:
        Conflict: the run is no draft any more.
        Forbidden: the actor may not write what the mapping gives.
    """
    runs.authorize_change(uow.actor, run)
    session.refuse_unauthorised(uow.actor)
    run = runs.locked_run(uow, run.id)
    if run.state != RunState.DRAFT:
        raise Conflict(_("This import has begun already."))
    run.mapping = mapping_as_json(mapping)
    run.files = runs.digests_of(mapping, Path(run.folder))
    _forget_rows(uow, run, session)


def rehearse_as_it_is(uow: UnitOfWork, run: ImportRun, path: Path) -> bool:
    """Have a file rehearsed whose columns are named as the fields, as those of cards always are; say whether it can be.

    Raises:
        Conflict, Forbidden: as for ``set_mapping``.
    """
    meaning = plain_mapping(path, run.mapping["record_type"])
    try:
        session = ImportSession(meaning, path.parent)
    except InvalidInput:
        return False
    set_mapping(uow, run, meaning, session)
    rehearse(uow, run, session)
    return True


def rehearse(uow: UnitOfWork, run: ImportRun, session: ImportSession) -> None:
    """Have a draft done and taken back in the background, chunk by chunk, for its verdicts."""
    _forget_rows(uow, run, session)
    run.state, run.started_at = RunState.REHEARSING, uow.now
    start_import(uow, run)


def start(uow: UnitOfWork, uid: UUID) -> ImportRun:
    """Have a draft imported in the background, or a stopped run gone on with, and return it.

    Raises:
        NotFound: there is no such import, or none that the actor may see.
        Forbidden: it is somebody else's.
        Conflict: it has no mapping yet, or has ended.
    """
    run = runs.run_of(uow, uid)
    runs.authorize_change(uow.actor, run)
    run = runs.locked_run(uow, run.id)
    if run.state == RunState.STOPPED:
        runs.restart(run)
    elif run.state == RunState.DRAFT and is_mapped(run):
        uow.session.execute(sa.delete(ImportRow).where(ImportRow.run_id == run.id))
        run.counts = [{**counts, **dict.fromkeys(_NUMBERS, 0)} for counts in run.counts]
        run.checkpoint = {"source": 0, "rows": 0}
        run.state, run.started_at, run.finished_at, run.failure = RunState.RUNNING, uow.now, None, None
    else:
        raise Conflict(_("This import cannot be started: its state is %(state)s.", state=run.state))
    start_import(uow, run)
    return run


def stop(uow: UnitOfWork, uid: UUID) -> ImportRun:
    """Stop a run after the chunk at hand, and return it; it can be gone on with.

    Raises:
        NotFound, Forbidden: as for ``start``.
    """
    run = runs.run_of(uow, uid)
    runs.authorize_change(uow.actor, run)
    run = runs.locked_run(uow, run.id)
    if run.state == RunState.REHEARSING:
        run.state, run.finished_at = RunState.DRAFT, uow.now
    else:
        runs.stop_run(uow, run, _("Stopped by %(who)s.", who=uow.actor.name))
    return run


def discard(uow: UnitOfWork, uid: UUID) -> None:
    """Forget a draft: the run, what was rehearsed of it and, after the commit, its uploaded file.

    Raises:
        NotFound, Forbidden: as for ``start``.
        Conflict: it is no draft: what an import did is kept until it expires.
    """
    run = runs.run_of(uow, uid)
    runs.authorize_change(uow.actor, run)
    run = runs.locked_run(uow, run.id)
    if run.state != RunState.DRAFT:
        raise Conflict(_("Only a draft can be discarded: the state of this import is %(state)s.", state=run.state))
    drop_upload(uow, run)
    uow.session.execute(sa.delete(ImportRow).where(ImportRow.run_id == run.id))
    uow.session.delete(run)
    uow.session.flush()


def is_mapped(run: ImportRun) -> bool:
    """Say whether a run has its meaning."""
    return bool(run.mapping.get("sources"))


def saved_mappings(uow: UnitOfWork, record_type: str | None = None) -> list[ImportMapping]:
    """Return the mappings, of a type or of all, that the actor keeps or others share, by name; one query.

    The system, which the command line acts as, sees those of all.
    """
    query = sa.select(ImportMapping).where(_offered(uow.actor))
    if record_type is not None:
        query = query.where(ImportMapping.record_type == record_type)
    return list(uow.session.scalars(query.order_by(ImportMapping.name, ImportMapping.id)))


def keepers(uow: UnitOfWork, kept: Sequence[ImportMapping]) -> dict[int, str]:
    """Return the names of those who keep mappings, by their keys; one query."""
    query = sa.select(AppUser.id, AppUser.name).where(AppUser.id.in_({one.user_id for one in kept}))
    return {row[0]: row[1] for row in uow.session.execute(query)} if kept else {}


def may_delete(actor: Actor, kept: ImportMapping) -> bool:
    """Say whether the actor may delete a mapping: it is his, or he looks after the imports of all."""
    return actor.kind == "system" or kept.user_id == actor.user_id or actor.may(runs.CHANGE_OTHERS)


def delete_mapping(uow: UnitOfWork, uid: UUID, record_type: str | None = None) -> None:
    """Forget a mapping that is kept, of this type if one is named; imports that were made with it keep what they were told.

    Raises:
        NotFound: there is none, or none that is offered to the actor.
        Forbidden: it is somebody else's.
    """
    query = sa.select(ImportMapping).where(ImportMapping.uid == uid, _offered(uow.actor))
    if record_type is not None:
        query = query.where(ImportMapping.record_type == record_type)
    kept = uow.session.scalar(query)
    if kept is None:
        raise NotFound(_("There is no such mapping."))
    if not may_delete(uow.actor, kept):
        raise Forbidden(_("This mapping is kept by %(who)s.", who=keepers(uow, [kept])[kept.user_id]))
    uow.session.delete(kept)
    uow.session.flush()


def _offered(actor: Actor) -> sa.ColumnElement[bool]:
    own = sa.or_(ImportMapping.user_id == (actor.user_id or 0), ImportMapping.shared)
    return sa.true() if actor.kind == "system" else own


def save_mapping(uow: UnitOfWork, name: str, record_type: str, source: dict[str, Any], *, audience: str) -> None:
    """Keep a mapping of the actor under a name, in the place of his own of that name.

    TOML has days and times, JSON writes them as texts.

    Args:
        audience: ``own`` or ``all``.
    """
    own = ImportMapping.user_id == uow.actor.user_id
    same = sa.select(ImportMapping).where(own, ImportMapping.record_type == record_type, ImportMapping.name == name)
    kept = uow.session.scalar(same)
    if kept is None:
        kept = ImportMapping(name=name, record_type=record_type, user_id=uow.actor.user_id or 0, created_at=uow.now)
        uow.session.add(kept)
    kept.source, kept.shared = orjson.loads(orjson.dumps(source)), audience == "all"
    uow.session.flush()


_NUMBERS = ("created", "updated", "unchanged", "skipped", "refused", "review", "left_out")


def _forget_rows(uow: UnitOfWork, run: ImportRun, session: ImportSession) -> None:
    uow.session.execute(sa.delete(ImportRow).where(ImportRow.run_id == run.id))
    run.counts = [result.counts() for result in session.results()]
    run.checkpoint, run.failure, run.finished_at = {"source": 0, "rows": 0}, None, None
