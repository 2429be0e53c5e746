"""Finds the rules that follow the events of a commit, where the outbox knows that some may: one statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from crm_kernel.rules.models import RUN, Rule

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

_TABLE: Any = Rule.__table__
# Core, made once: every commit with several events pays for it.
_WANTED = sa.select(_TABLE.c.uid, _TABLE.c.event).where(
    _TABLE.c.event.in_(sa.bindparam("names", expanding=True)), _TABLE.c.enabled.is_(sa.true())
)


def rule_deliveries(uow: UnitOfWork, events: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of the jobs that run rules for stored events; one query along an index.

    Jobs about one customer run one after the other, in the order of the events.
    """
    names = sorted({event["name"] for event in events})
    wanted: dict[str, list[Any]] = {}
    for rule, name in uow.session.connection().execute(_WANTED, {"names": names}):
        wanted.setdefault(name, []).append(rule)
    return [_job(uow, rule, event) for event in events for rule in wanted.get(event["name"], ())]


def _job(uow: UnitOfWork, rule: Any, event: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "module": "kernel",
        "name": RUN,
        "queue": "rules",
        "priority": 0,
        "event_id": None,
        "payload": {"rule": str(rule), "event": str(event["uid"])},
        "partition": str(event["customer_uid"]) if event["customer_uid"] else None,
        "run_at": uow.now,
        "max_attempts": 10,
        "causation_depth": uow.causation_depth + 1,
        "created_at": uow.now,
    }
