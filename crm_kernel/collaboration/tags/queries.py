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


def known_tags(uow: UnitOfWork, *, limit: int = 200) -> list[str]:
    """Return the names of tags to choose from, by name; one query."""
    query = sa.select(Tag.name).where(visible(uow.actor, type_called("tag"))).order_by(Tag.name, Tag.id)
    return list(uow.session.scalars(query.limit(limit)))


def having_tag(tag: Tag) -> str:
    """Return the ``filter`` of a list's address that shows the records with a tag."""
    return orjson.dumps({"has": "tags", "where": {"field": "tag", "op": "eq", "value": str(tag.uid)}}).decode()
