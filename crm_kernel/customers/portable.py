"""Writes contact points for other instances: a number typed without its country would be another number elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from crm_kernel.customers.choices import PHONE_CHANNELS
from crm_kernel.customers.models import ContactPoint
from crm_kernel.customers.values.phones import international

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

_SLICE = 5_000


def portable_points(uow: UnitOfWork, points: Sequence[dict[str, Any]]) -> None:
    """Write numbers among exported contact points with their country; others, and those that have it, stay as typed.

    What a number means was settled when it was stored: the default region of today is not asked. One query per 5,000
    numbers without a country, none if there are none.
    """
    bare = {point["id"]: point for point in points if _is_bare(point)}
    for uid, normalized in _normalized(uow, list(bare)):
        bare[uid]["value"] = international(normalized)


def _is_bare(point: dict[str, Any]) -> bool:
    return point.get("channel") in PHONE_CHANNELS and not str(point["value"]).startswith("+")


def _normalized(uow: UnitOfWork, uids: Sequence[UUID]) -> Iterator[tuple[UUID, str]]:
    for start in range(0, len(uids), _SLICE):
        query = sa.select(ContactPoint.uid, ContactPoint.value_normalized)
        for row in uow.session.execute(query.where(ContactPoint.uid.in_(uids[start : start + _SLICE]))):
            yield row[0], row[1]
