"""Records that another one has taken the place of: left out of every list, while their ids go on leading to it.

A record type says so with ``replaced_by``, the attribute that holds the key of the one that took the place. The chain is
always of length one: whoever replaces a replacement moves what pointed at it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa
from flask_babel import gettext as _
from sqlalchemy.orm import aliased

from crm_kernel.access.policy import visible
from crm_kernel.errors import NotFound, Replaced

if TYPE_CHECKING:
    from crm_kernel.records.record_type import RecordType
    from crm_kernel.unit_of_work import UnitOfWork

_SLICE = 400


def named(record_type: RecordType, uids: Collection[UUID]) -> sa.ColumnElement[bool]:
    """Return the predicate over a type's model: it has one of these public ids, or took the place of one that has."""
    model = record_type.model
    itself: sa.ColumnElement[bool] = model.uid.in_(uids)
    if record_type.replaced_by is None:
        return itself
    gone = aliased(model)
    before = sa.select(getattr(gone, record_type.replaced_by)).where(gone.uid.in_(uids))
    return sa.or_(itself, model.id.in_(before.correlate(None)))


def replacements(uow: UnitOfWork, record_type: RecordType, uids: Collection[UUID]) -> dict[UUID, tuple[int, UUID]]:
    """Return the ids among these of replaced records → key and public id of the visible ones in their place.

    One query per 400, none for types without replacements.
    """
    found: dict[UUID, tuple[int, UUID]] = {}
    if record_type.replaced_by is None:
        return found
    model, gone, wanted = record_type.model, aliased(record_type.model), list(uids)
    joined = sa.select(gone.uid, model.id, model.uid).join(model, model.id == getattr(gone, record_type.replaced_by))
    for start in range(0, len(wanted), _SLICE):
        query = joined.where(gone.uid.in_(wanted[start : start + _SLICE]), visible(uow.actor, record_type))
        found |= {old: (key, uid) for old, key, uid in uow.session.execute(query)}
    return found


def missing(uow: UnitOfWork, record_type: RecordType, uid: UUID) -> NotFound:
    """Return the error for a record that is not there, or not for this actor; it leads to the one in its place."""
    found = replacements(uow, record_type, [uid]).get(uid)
    if found is None:
        return not_found(record_type, uid)
    text = _("%(type)s %(id)s was merged into %(other)s.", type=record_type.label, id=uid, other=found[1])
    return Replaced(text, of=uid, by=found[1])


def not_found(record_type: RecordType, uid: UUID) -> NotFound:
    """Return the error for a record that is not there, or not for this actor."""
    return NotFound(_("There is no %(type)s with the id %(id)s.", type=record_type.label, id=uid))
