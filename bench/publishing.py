"""Durable publishing of events against the bare inserts of the same two rows: one transaction each, in turns.

The bare loop writes a row of ``event`` and the row of ``job`` that delivers it, by Core, and commits. Ours opens a unit of
work, records the event, finds its subscriber, keeps the customer's order, and stores both with the commit.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID, uuid4

from bench.rounds import medians

if TYPE_CHECKING:
    from flask import Flask

#: Ours must reach this part of the bare inserts per second.
FLOOR = 0.5
#: Events per round.
_EACH = 200


@dataclass(frozen=True, slots=True)
class Published:
    """Events per second, ours and the bare loop's."""

    ours: float
    bare: float

    @property
    def ratio(self) -> float:
        """Ours as a part of the bare loop's."""
        return self.ours / self.bare


def measure(url: str, *, rounds: int = 7) -> Published:
    """Return the medians of interleaved rounds on a migrated database."""
    from crm_kernel.database import db

    app = _app(url)
    with app.app_context():
        engine = db.engine
    customer = uuid4()
    seconds = medians(
        {"ours": lambda: publish(app, customer), "bare": lambda: insert(engine, customer)}, rounds=rounds, each=_EACH
    )
    return Published(1 / seconds["ours"], 1 / seconds["bare"])


def publish(app: Flask, customer: UUID) -> None:
    """Publish one event in a unit of work of its own."""
    from crm_kernel.access.actor import SYSTEM
    from crm_kernel.unit_of_work import writing

    with app.app_context(), writing(SYSTEM) as uow:
        uow.record(_event()(customer_id=customer, label="bench"))


def insert(engine: Any, customer: UUID) -> None:
    """Write the same two rows by hand."""
    import sqlalchemy as sa
    from uuid_utils.compat import uuid7

    from crm_kernel.events.models import StoredEvent
    from crm_kernel.jobs.models import JobRow

    now = dt.datetime.now(dt.UTC)
    row = {
        "uid": uuid7(),
        "name": "bench.happened",
        "version": 1,
        "occurred_at": now,
        "payload": {"customer_id": str(customer), "label": "bench"},
        "customer_uid": customer,
        "actor": "system",
        "channel": "system",
        "request_id": uuid4().hex,
        "causation_depth": 0,
    }
    with engine.begin() as connection:
        key = connection.execute(sa.insert(StoredEvent), row).inserted_primary_key[0]
        job = {
            "module": "bench",
            "name": "bench.take",
            "queue": "default",
            "priority": 0,
            "event_id": key,
            "payload": {},
            "partition": str(customer),
            "run_at": now,
            "max_attempts": 10,
            "causation_depth": 1,
            "created_at": now,
        }
        connection.execute(sa.insert(JobRow), job)


def _app(url: str) -> Flask:
    from crm_kernel._internal.registry import gather
    from crm_kernel._internal.runtime import runtime_of
    from crm_kernel.contributions import Subscriber
    from crm_kernel.plugin import Plugin, hookimpl
    from crm_kernel.testing.apps import build

    class BenchPlugin(Plugin):
        """One event and one subscriber."""

        name = "bench"

        @hookimpl
        def crm_register_events(self) -> list[type[Any]]:
            """Return the event."""
            return [_event()]

        @hookimpl
        def crm_register_subscribers(self) -> list[Subscriber]:
            """Return its subscriber."""
            return [Subscriber(name="bench.take", event=_event(), handler=lambda uow, event: None)]

    app = build(url, ())
    runtime = runtime_of(app)
    runtime.manager.register("bench", BenchPlugin())
    runtime.registry.accept(gather(runtime.manager, "bench"))
    return app


_EVENTS: list[type[Any]] = []


def _event() -> type[Any]:
    if not _EVENTS:
        from crm_kernel.events import Event

        @dataclass(frozen=True, slots=True, kw_only=True)
        class Happened(Event):
            """Something happened to a customer."""

            name: ClassVar[str] = "bench.happened"
            customer_id: UUID
            label: str

        _EVENTS.append(Happened)
    return _EVENTS[0]
