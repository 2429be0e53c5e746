"""What was recorded and what a worker would do about it, without a worker: for tests of events and jobs."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import sqlalchemy as sa
from flask import has_app_context

if TYPE_CHECKING:
    from flask import Flask

    from crm_kernel.events import Event


def recorded(app: Flask, names: Collection[str] = ()) -> list[Event]:
    """Return the events stored so far and those of the open unit of work, oldest first.

    Args:
        names: only events of these wire names; all if empty. Events of plugins that are not loaded are left out.

    Raises:
        LookupError: no loaded plugin has an event of that name.
    """
    from crm_kernel._internal.runtime import runtime_of
    from crm_kernel.events.models import StoredEvent

    known = runtime_of(app).registry.records["events"]
    for name in sorted(set(names) - known.keys()):
        raise LookupError(f"event {name!r}: no loaded plugin has it; there are: {', '.join(sorted(known))}")
    statement = sa.select(StoredEvent.name, StoredEvent.payload).order_by(StoredEvent.id)
    stored = [known[row.name].from_json(row.payload) for row in _rows(app, statement) if row.name in known]
    return [event for event in [*stored, *_pending()] if not names or event.name in names]


def deliver(app: Flask) -> int:
    """Run everything that is due until nothing is, and return how many jobs were begun.

    Failed ones wait for their retry, as in production: call it again later, or look at the table ``job``.
    """
    from crm_kernel.jobs.runner import Runner

    return Runner(app, "test").drain()


def _rows(
    app: Flask, statement: sa.Select[tuple[str, dict[str, object]]]
) -> list[sa.Row[tuple[str, dict[str, object]]]]:
    from crm_kernel.database import READ_ONLY, db

    # A connection of its own: the test may have a unit of work open, whose session must not be touched.
    with app.app_context(), db.engine.connect().execution_options(**{READ_ONLY: True}) as connection:
        return list(connection.execute(statement).all())


def _pending() -> list[Event]:
    from flask import g

    uow = g.get("crm_uow") if has_app_context() else None
    return list(uow.events) if uow is not None else []
