"""What rows about other records are about: a record type's name and a public id, and who may therefore see them.

Touch points, notes, files, tags and notifications name their record this way and not by a foreign key, because it may be
of any type, and its module may be gone: such a row is then shown to nobody and stays.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask_babel import gettext as _

from crm_kernel.access.policy import visible
from crm_kernel.errors import InvalidInput
from crm_kernel.records.confidential import hidden_from
from crm_kernel.records.plan import plan_of, record_types, said_title
from crm_kernel.records.reading import record_of

if TYPE_CHECKING:
    from crm_kernel.access.actor import Actor
    from crm_kernel.records.record_type import RecordType
    from crm_kernel.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class Subject:
    """A record that something is about."""

    record_type: RecordType
    record: Any

    @property
    def place(self) -> dict[str, Any]:
        """The two columns that name it."""
        return {"subject_type": self.record_type.name, "subject_uid": self.record.uid}


def subject_of(record: Any) -> Subject:
    """Return a mapped record with its type.

    Raises:
        LookupError: it is of no record type.
    """
    found = next((t for t in record_types().values() if type(record) is t.model), None)
    if found is None:
        raise LookupError(f"{type(record).__name__} is the model of no record type")
    return Subject(found, record)


def annotated_subject(uow: UnitOfWork, type_name: str, uid: UUID) -> Subject:
    """Return the record that a note, a file or a tag is to be put on; one query.

    Raises:
        InvalidInput: no such type, or none that takes any.
        NotFound: there is no such record, or none the actor may see.
    """
    found = known_subject_type(uow, type_name)
    return Subject(found, record_of(uow, found, uid))


def known_subject_type(uow: UnitOfWork, type_name: str) -> RecordType:
    """Return a record type whose records take notes, files and tags and that the actor may read.

    Raises:
        InvalidInput: no such type.
    """
    found = record_types().get(type_name)
    if found is None or not found.annotated or not uow.actor.may(found.permission("read")):
        known = sorted(t.name for t in annotated_types() if uow.actor.may(t.permission("read")))
        message = _("Found %(found)s, expected one of: %(known)s.", found=type_name[:80], known=", ".join(known))
        raise InvalidInput({"subject_type": [message]})
    return found


def annotated_types() -> list[RecordType]:
    """Return the record types whose records take notes, files and tags."""
    return [found for found in record_types().values() if found.annotated]


def possible_subjects() -> list[RecordType]:
    """Return the record types that a row can be about: all but those that are about others themselves."""
    return [found for found in record_types().values() if not found.about_others]


def seen_subjects(actor: Actor, model: Any, types: Iterable[RecordType]) -> sa.ColumnElement[bool]:
    """Return the predicate over a model with ``subject_type`` and ``subject_uid``: the actor sees what a row is about.

    One EXISTS per record type the actor may read at all. A row about nothing, about a record that is gone or of a type
    that is not among ``types`` is not seen.
    """
    readable = (found for found in types if actor.may(found.permission("read")))
    return sa.or_(sa.false(), *(sa.and_(model.subject_type == t.name, _seen(actor, model, t)) for t in readable))


def titles_of(uow: UnitOfWork, places: Iterable[tuple[str, UUID]]) -> Mapping[tuple[str, UUID], str]:
    """Return (record type, id) → what people call the record, for those the actor sees; one query per type.

    A record whose name the actor may not read is called by its type.
    """
    wanted: dict[str, set[UUID]] = defaultdict(set)
    for name, uid in places:
        wanted[name].add(uid)
    types = record_types()
    return {
        (name, uid): title
        for name, uids in wanted.items()
        if name in types and uow.actor.may(types[name].permission("read"))
        for uid, title in _titles(uow, types[name], sorted(uids))
    }


def _titles(uow: UnitOfWork, record_type: RecordType, uids: Sequence[UUID]) -> list[tuple[UUID, str]]:
    model, plain = record_type.model, str(record_type.label)
    hidden = record_type.title in hidden_from(uow.actor, plan_of(record_type))
    title: Any = sa.literal(plain) if hidden else said_title(record_type)
    rows = uow.session.execute(sa.select(model.uid, title).where(model.uid.in_(uids), visible(uow.actor, record_type)))
    return [(row[0], str(row[1] or plain)) for row in rows]


def _seen(actor: Actor, model: Any, subject: RecordType) -> sa.ColumnElement[bool]:
    rows = sa.exists().where(subject.model.uid == model.subject_uid, visible(actor, subject))
    return rows.correlate(model)
