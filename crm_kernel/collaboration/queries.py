"""Reads notes: those of one record for its page, and the predicate that every channel asks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from crm_kernel.access.policy import visible
from crm_kernel.collaboration.models import Note, NoteMention
from crm_kernel.records.plan import record_type
from crm_kernel.records.subjects import annotated_types, seen_subjects

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor
    from crm_kernel.records.subjects import Subject
    from crm_kernel.unit_of_work import UnitOfWork


def notes_of(uow: UnitOfWork, subject: Subject, *, limit: int = 20) -> tuple[Sequence[Note], bool]:
    """Return the last notes of a record, newest first, and whether there are older ones; one query."""
    about = (Note.subject_type == subject.record_type.name, Note.subject_uid == subject.record.uid)
    query = sa.select(Note).where(*about, visible(uow.actor, record_type("note"))).order_by(Note.id.desc())
    found = uow.session.scalars(query.limit(limit + 1)).all()
    return found[:limit], len(found) > limit


def mentions_of(uow: UnitOfWork, notes: Sequence[Note]) -> Mapping[int, Sequence[NoteMention]]:
    """Return note key → whom it mentions; one query, none without notes."""
    found: dict[int, list[NoteMention]] = defaultdict(list)
    if notes:
        keys = [note.id for note in notes]
        for row in uow.session.scalars(sa.select(NoteMention).where(NoteMention.note_id.in_(keys))):
            found[row.note_id].append(row)
    return found


def seen_with_subject(model: Any) -> Any:
    """Return the ``visibility`` of a record type whose rows are seen by whoever sees the record they are about."""

    def visibility(actor: Actor) -> sa.ColumnElement[bool]:
        return seen_subjects(actor, model, annotated_types())

    return visibility
