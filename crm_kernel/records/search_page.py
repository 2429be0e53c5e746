"""Global search: records the actor may see whose words start with those typed, or are nearly those; two queries a type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from crm_kernel.access.policy import visible
from crm_kernel.records.pages.presenting import record_url
from crm_kernel.records.plan import record_types, title_column
from crm_kernel.records.search import matching
from crm_kernel.records.typos import similar_records

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: Records shown per type.
PER_TYPE = 10
#: With fewer hits, names that are spelt a little otherwise are looked for as well.
FEW = 3


def search_everywhere(uow: UnitOfWork, text: str, *, limit: int = PER_TYPE) -> list[dict[str, Any]]:
    """Return ``{"type", "items": [{"id", "title", "url"}]}`` per record type with hits, in the types' order.

    Only types the actor may read are asked, each with the actor's visibility.
    """
    groups = []
    for record_type in record_types().values():
        if not record_type.search or not uow.actor.may(record_type.permission("read")):
            continue
        model, title = record_type.model, title_column(record_type)
        statement = (
            sa.select(model.uid, title)
            .where(matching(uow.actor, record_type, text), visible(uow.actor, record_type))
            .order_by(title, model.id)
            .limit(limit)
        )
        rows = [(uid, str(found)) for uid, found in uow.session.execute(statement)]
        if len(rows) < FEW:
            known = {uid for uid, _title in rows}
            rows += [row for row in similar_records(uow, record_type, text, limit=limit) if row[0] not in known]
        items = [{"id": uid, "title": found, "url": record_url(record_type, uid)} for uid, found in rows[:limit]]
        if items:
            groups.append({"type": record_type, "items": items})
    return groups
