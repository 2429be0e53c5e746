"""Who owns a new record, and which team a record belongs to when somebody is made its owner: his, at that time."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

if TYPE_CHECKING:
    from crm_kernel.records.record_type import RecordType
    from crm_kernel.unit_of_work import UnitOfWork


def teams_of(uow: UnitOfWork, owner_ids: Collection[int]) -> dict[int, int | None]:
    """Return user key → team key; one query, none without users."""
    from crm_kernel.access.models import AppUser

    if not owner_ids:
        return {}
    users = sa.inspect(AppUser).local_table
    rows = uow.session.execute(sa.select(users.c.id, users.c.team_id).where(users.c.id.in_(owner_ids)))
    return {row[0]: row[1] for row in rows}


def with_team(uow: UnitOfWork, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``data`` with the team of its ``owner_id``, unless it names a team itself; at most one query."""
    return with_teams(uow, [data])[0]


def with_teams(uow: UnitOfWork, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return rows with the teams of their ``owner_id`` where they name none themselves; at most one query for all."""
    found = [dict(row) for row in rows]
    wanting = [row for row in found if row.get("owner_id") is not None and row.get("team_id") is None]
    teams = teams_of(uow, {row["owner_id"] for row in wanting})
    for row in wanting:
        row["team_id"] = teams.get(row["owner_id"])
    return found


def with_owners(uow: UnitOfWork, record_type: RecordType, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of new records with an owner and his team, if their type has owners; at most one query for all.

    The rule of every path, one record or many: the actor owns what names no owner; an owner that is named as None stays
    none (imported history keeps what is missing, a cleared field is meant); the team is the owner's unless one is named.
    """
    if not record_type.owned:
        return [dict(row) for row in rows]
    return with_teams(uow, [{"owner_id": uow.actor.user_id, **row} for row in rows])
