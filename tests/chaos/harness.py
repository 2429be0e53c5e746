"""A small application with nothing but events and jobs, for the tests of the job runner and for worker processes.

It is loaded by path from the conftest files, and imported by the worker scripts that lie beside it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

import sqlalchemy as sa
from flask import Flask

from crm_kernel import contributions as c
from crm_kernel._internal.manager import PluginManager
from crm_kernel._internal.registry import Registry, gather
from crm_kernel._internal.runtime import EXTENSION, Runtime
from crm_kernel.access.actor import SYSTEM, Actor
from crm_kernel.access.models import AppUser, AuditLog, AuditPayload, Team
from crm_kernel.access.policy import holds
from crm_kernel.config import Config
from crm_kernel.database import db, init_database
from crm_kernel.events import Event
from crm_kernel.events.models import StoredEvent
from crm_kernel.events.webhooks.models import WebhookEndpoint
from crm_kernel.jobs.models import JobQueue, JobRow, JobSchedule, JobState
from crm_kernel.jobs.runner import Runner
from crm_kernel.plugin import Plugin, hookimpl
from crm_kernel.rules.models import Rule
from crm_kernel.unit_of_work import UnitOfWork, reading, writing

#: What handlers leave behind; not in the shared MetaData, where other tests would meet it.
EFFECTS = sa.Table(
    "alpha_effect",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("label", sa.String(80), nullable=False),
)

#: Where the tests of the Celery engine find brokers; the database of Redis is theirs alone.
BROKERS = {
    "rabbitmq": os.environ.get("CRM_TEST_BROKER_URL", "amqp://guest:guest@127.0.0.1:5672//"),
    "redis": os.environ.get("CRM_TEST_REDIS_URL", "redis://127.0.0.1:6379/15"),
}

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened(Event):
    """Something happened to a customer."""

    name: ClassVar[str] = "alpha.happened"
    label: str
    customer_id: UUID | None = None


class Pieces(Plugin):
    """A plugin made of the records a test gives it."""

    name = "alpha"

    def __init__(
        self, *, events: Iterable[Any] = (), subscribers: Iterable[Any] = (), jobs: Iterable[Any] = ()
    ) -> None:
        self.events, self.subscribers, self.jobs = list(events), list(subscribers), list(jobs)

    @hookimpl
    def crm_register_events(self) -> list[type[Event]]:
        """Return the events the test gave."""
        return self.events

    @hookimpl
    def crm_register_subscribers(self) -> list[c.Subscriber]:
        """Return the subscribers the test gave."""
        return self.subscribers

    @hookimpl
    def crm_register_jobs(self) -> list[c.Job]:
        """Return the jobs the test gave."""
        return self.jobs

    @hookimpl
    def crm_authorize(self, actor: Actor, permission: str, subject: Any) -> bool | None:
        """Answer as the kernel does, which is not loaded here."""
        return holds(actor, permission, subject)


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    now: datetime = START

    def __call__(self) -> datetime:
        """Return the time shown."""
        return self.now

    def forward(self, **delta: float) -> None:
        """Move the clock, by ``seconds=``, ``hours=``, …"""
        self.now += timedelta(**delta)


def build(url: str, **plugins: Pieces) -> Flask:
    """Return an application with these plugins (and no kernel plugin) on an existing database."""
    app = Flask("jobs-under-test")
    manager, registry = PluginManager(), Registry()
    for name, plugin in plugins.items():
        manager.register(name, plugin)
        registry.accept(gather(manager, name))
    config = Config(database_url=url)
    app.config.update(SQLALCHEMY_DATABASE_URI=url)
    app.extensions[EXTENSION] = Runtime(config, manager, registry)
    init_database(app)
    return app


_databases: dict[str, str] = {}


def database(kind: str, databases: Any) -> str:
    """Return the URL of a database for one test.

    On PostgreSQL it is always the same one, whose tables are made anew: to drop a database takes longer than a test.
    """
    if kind == "sqlite":
        return databases.empty(kind)
    if kind not in _databases:
        # Workers are killed here, not the server: waiting for its disk would only make the tests slow.
        _databases[kind] = databases.empty(kind) + "?options=-csynchronous_commit%3Doff"
    return _databases[kind]


def create_tables(app: Flask) -> None:
    """Create the tables of events and jobs and the one for effects, without what an earlier test left in them."""
    # Schedules may belong to users, and those to teams; rules and webhooks may follow events.
    models = (StoredEvent, JobRow, JobQueue, Team, AppUser, JobSchedule, AuditLog, AuditPayload, Rule, WebhookEndpoint)
    tables = [model.__table__ for model in models]
    with app.app_context(), db.engine.begin() as connection:
        StoredEvent.metadata.drop_all(connection, tables=tables)
        EFFECTS.drop(connection, checkfirst=True)
        StoredEvent.metadata.create_all(connection, tables=tables)
        EFFECTS.create(connection)


def dispose(app: Flask) -> None:
    """Close the connections of an application."""
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


def leave_effect(uow: UnitOfWork, label: str) -> None:
    """Write an effect in the handler's transaction."""
    uow.session.execute(sa.insert(EFFECTS).values(label=label))


@dataclass
class Site:
    """One database and the applications that use it, as a test sees them."""

    url: str
    clock: Clock = field(default_factory=Clock)
    app: Flask = None  # type: ignore[assignment]
    _apps: list[Flask] = field(default_factory=list)

    def load(self, **plugins: Pieces) -> Flask:
        """Start an application with these plugins; ``app`` and all helpers use the last one."""
        self.app = build(self.url, **plugins)
        if not self._apps:
            create_tables(self.app)
        self._apps.append(self.app)
        return self.app

    def close(self) -> None:
        """Close all connections."""
        for app in self._apps:
            dispose(app)

    def runner(self, name: str = "w1", **options: Any) -> Runner:
        """Return a runner on the test's clock and without jitter."""
        return Runner(self.app, name, **{"clock": self.clock, "jitter": lambda: 0.0, **options})

    @contextmanager
    def writing(self, **options: Any):
        """Open a writing unit of work at the time of the test's clock."""
        with self.app.app_context(), writing(SYSTEM, channel="cli", **options) as uow:
            uow.now = self.clock()
            yield uow

    def reading(self) -> AbstractContextManager[UnitOfWork]:
        """Open a reading unit of work."""

        @contextmanager
        def opened():
            with self.app.app_context(), reading(SYSTEM, channel="cli") as uow:
                yield uow

        return opened()

    def tell(self, *labels: str, customer: UUID | None = None) -> None:
        """Commit one event per label, all about one customer."""
        for label in labels:
            with self.writing() as uow:
                uow.record(Happened(label=label, customer_id=customer))

    def call(self, service: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Call a service in a unit of work of its own and return its result."""
        with self.writing() as uow:
            return service(uow, *args, **options)

    def effects(self) -> list[str]:
        """Return the labels of all effects, in the order they were committed."""
        with self.reading() as uow:
            return list(uow.session.scalars(sa.select(EFFECTS.c.label).order_by(EFFECTS.c.id)))

    def jobs(self) -> list[JobRow]:
        """Return all jobs, oldest first, detached."""
        with self.reading() as uow:
            rows = list(uow.session.scalars(sa.select(JobRow).order_by(JobRow.id)))
            uow.session.expunge_all()
            return rows

    def uid(self, key: int) -> UUID:
        """Return the public id of a job."""
        with self.reading() as uow:
            return uow.session.scalars(sa.select(JobRow.uid).where(JobRow.id == key)).one()

    def states(self) -> list[str]:
        """Return the states of all jobs, oldest first."""
        return [JobState(row.state).name for row in self.jobs()]
