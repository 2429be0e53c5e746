"""Global search: records the actor may see whose words start with those typed, or are nearly those, type by type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flask import url_for
from flask_babel import gettext as _

from crm_kernel.errors import InvalidInput
from crm_kernel.records.hits import Asked, Hits, first_hits
from crm_kernel.records.pages.presenting import record_url
from crm_kernel.records.plan import record_types
from crm_kernel.records.small_types import Entry, hits_among, small_types

if TYPE_CHECKING:
    from crm_kernel.records.record_type import RecordType
    from crm_kernel.unit_of_work import UnitOfWork

#: Records shown per type.
PER_TYPE = 10
#: Records shown when one type alone is looked into.
OF_ONE_TYPE = 50


def search_everywhere(
    uow: UnitOfWork, text: str, *, limit: int = PER_TYPE, only: str | None = None
) -> list[dict[str, Any]]:
    """Return ``{"type", "items": [{"id", "title", "url"}], "more"}`` per record type with hits, in the types' order.

    Only types the actor may read are asked, each with the actor's visibility; ``more`` is the address of the list with
    all hits where there may be others.

    Args:
        only: name of the one record type to look into.

    Raises:
        InvalidInput: the actor can search no type of that name.
    """
    groups, wanted = [], _wanted(uow, only)
    small = small_types(uow, wanted)
    for record_type in wanted:
        hits = _hits(Asked.of(uow, record_type, text, limit), small)
        items = [{"id": uid, "title": title, "url": record_url(record_type, uid)} for uid, title in hits.items()]
        if items:
            more = url_for(f"{record_type.endpoint}_list", q=text) if len(items) == limit else None
            groups.append({"type": record_type, "items": items, "more": more})
    return groups


def searchable_types(uow: UnitOfWork) -> list[RecordType]:
    """Return the record types that the actor can search, in their lasting order."""
    return [
        record_type
        for record_type in record_types().values()
        if record_type.search and uow.actor.may(record_type.permission("read"))
    ]


def _wanted(uow: UnitOfWork, only: str | None) -> list[RecordType]:
    known = searchable_types(uow)
    if not only:
        return known
    found = [record_type for record_type in known if record_type.name == only]
    if not found:
        names = ", ".join(record_type.name for record_type in known) or "–"
        raise InvalidInput({"type": [_("Found %(found)s, expected one of: %(known)s.", found=only[:80], known=names)]})
    return found


def _hits(asked: Asked, small: Mapping[str, Sequence[Entry]]) -> Hits:
    if not asked.words:
        return {}
    entries = small.get(asked.record_type.name)
    return first_hits(asked, forgiving=True) if entries is None else hits_among(asked, entries)
