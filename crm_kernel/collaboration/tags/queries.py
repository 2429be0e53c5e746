"""Reads which records have which tags, and makes them something filters can ask for."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING
from uuid import UUID

import orjson
import sqlalchemy as sa

from crm_kernel.access.policy import visible
from crm_kernel.collaboration.tags.models import Tag, Tagging
from crm_kernel.records.plan import record_type as type_called

if TYPE_CHECKING:
    from crm_kernel.records.record_type import RecordType
    from crm_kernel.unit_of_work import UnitOfWork


def tags_on(uow: UnitOfWork, record_type: RecordType, uids: Collection[UUID]) -> dict[UUID, list[Tag]]:
    """Return record → its tags, by name; one query for all. Asks for tags the actor may see, not for the records."""
    found: dict[UUID, list[Tag]] = {uid: [] for uid in uids}
    query = (
        sa.select(Tagging.subject_uid, Tag)
        .join(Tag, Tag.id == Tagging.tag_id)
        .where(Tagging.subject_type == record_type.name, Tagging.subject_uid.in_(list(uids)))
        .where(visible(uow.actor, type_called("tag")))
        .order_by(Tag.name, Tag.id)
    )
    for uid, tag in uow.session.execute(query) if found else ():
        if tag not in found[uid]:
            found[uid].append(tag)
    return found


def tags_to_choose(
    uow: UnitOfWork, record_type: RecordType, uid: UUID, *, limit: int = 200
) -> tuple[list[Tag], list[str]]:
    """Return a record's tags and the names of those to choose from, each by name; one query for both."""
    on = sa.exists().where(
        Tagging.tag_id == Tag.id, Tagging.subject_type == record_type.name, Tagging.subject_uid == uid
    )
    query = sa.select(Tag, on.label("on")).where(visible(uow.actor, type_called("tag")))
    # The record's own first: the limit is for the others.
    rows = uow.session.execute(query.order_by(sa.desc("on"), Tag.name, Tag.id).limit(limit)).all()
    return [tag for tag, mine in rows if mine], sorted(tag.name for tag, _mine in rows)


def having_tag(tag: Tag) -> str:
    """Return the ``filter`` of a list's address that shows the records with a tag."""
    return orjson.dumps({"has": "tags", "where": {"field": "tag", "op": "eq", "value": str(tag.uid)}}).decode()
