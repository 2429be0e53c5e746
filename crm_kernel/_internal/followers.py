"""Who follows an event beside its subscribers: automation rules and outgoing webhooks, which people change at any time.

The insert of an event answers that itself: what was committed before it is seen as a query after it would see it, no
process keeps a list that could be stale, and where nobody follows, as nearly always, no query is paid for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa

from crm_kernel.events.models import StoredEvent
from crm_kernel.events.webhooks.models import ENDPOINT
from crm_kernel.rules.models import Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.sql.dml import ReturningInsert

_EVENT = cast(sa.Table, StoredEvent.__table__)
_RULE = cast(sa.Table, Rule.__table__)


@dataclass(frozen=True, slots=True)
class Followers:
    """Which kinds of followers some events may have; of those that have none, nobody need ask."""

    rules: bool = True
    webhooks: bool = True


def insert_event(connection: sa.Connection, row: Mapping[str, Any]) -> tuple[int, Followers]:
    """Insert one event and return its key, with the kinds of followers there are; one statement."""
    key, rules, webhooks = connection.execute(_insert(), {**row, "followed": row["name"]}).one()
    return key, Followers(bool(rules), bool(webhooks))


@cache
def _insert() -> ReturningInsert[Any]:
    """Return the statement, made once: every commit with one event pays for it."""
    return sa.insert(_EVENT).returning(
        _EVENT.c.id,
        # By a parameter of its own: SQLAlchemy writes no table before a column here, and both tables have a ``name``.
        sa.select(_RULE.c.id).where(_RULE.c.event == sa.bindparam("followed"), _RULE.c.enabled).exists(),
        sa.select(ENDPOINT.c.id).where(ENDPOINT.c.enabled).exists(),
    )
