"""The only place that commits.

An edge (request, command, delivery) opens exactly one unit of work before its first query: ``reading`` or ``writing``.
Services receive it, change ``uow.session`` and record events; leaving the block commits everything at once — rows,
audit, events and one job per subscriber — and an exception leaves nothing behind.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import sqlalchemy as sa
from flask import g
from sqlalchemy.orm.exc import StaleDataError

from crm_kernel.database import READ_ONLY, db, utcnow
from crm_kernel.errors import DatabaseUnavailable, StaleVersion, UnitOfWorkError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from crm_kernel.access.actor import Actor
    from crm_kernel.events import Event


#: Execution options of a reading transaction: the database itself refuses to write.
_READING: dict[str, Any] = {READ_ONLY: True, "postgresql_readonly": True}


@dataclass(slots=True)
class UnitOfWork:
    """One transaction with who does it, through which channel, and what it will tell the others."""

    #: The session of the app context; services add, change and query through it.
    session: Session
    #: Who acts: a user, a token, the system.
    actor: Actor
    #: ``web``, ``api``, ``cli``, ``job``, ``import`` or ``system``.
    channel: str
    #: Joins audit rows, events and log lines of one request.
    request_id: str
    #: The time of everything this unit writes, UTC.
    now: dt.datetime
    #: How many events led to this unit (0 = a person); a guard against loops.
    causation_depth: int = 0
    #: Key of the user on whose behalf a job runs, who is told of the jobs it enqueues; None where ``actor`` says it.
    asked_by: int | None = None
    #: Whether it was opened by ``reading``.
    read_only: bool = False
    #: What ``record`` was given so far, in order.
    events: list[Event] = field(default_factory=list)
    #: Every mapped object the session wrote, deleted ones included: the search index follows from it.
    touched: set[Any] = field(default_factory=set)
    #: What the session changed so far, by record: the audit rows of this commit (crm_kernel.access.audit).
    audited: dict[Any, Any] = field(default_factory=dict)
    #: Version of the custom fields it works with; None until somebody asks (crm_kernel.records.custom_fields.current).
    custom_fields: str | None = None
    _after_commit: list[Callable[[], None]] = field(default_factory=list)

    def record(self, event: Event) -> None:
        """Remember a fact to be stored with this commit and delivered to its subscribers after it.

        Raises:
            UnitOfWorkError: the unit only reads.
        """
        if self.read_only:
            raise UnitOfWorkError(f"{event.name} was recorded in a reading unit of work: open it with writing()")
        self.events.append(event)

    def after_commit(self, action: Callable[[], None]) -> None:
        """Call ``action`` once the commit has succeeded; it must not touch the session."""
        self._after_commit.append(action)


def current_uow() -> UnitOfWork:
    """Return the open unit of work of this app context.

    Raises:
        UnitOfWorkError: none is open.
    """
    found: UnitOfWork | None = g.get("crm_uow")
    if found is None:
        raise UnitOfWorkError("no unit of work is open: the edge opens one with reading() or writing()")
    return found


@contextmanager
def reading(actor: Actor, *, channel: str = "system", request_id: str | None = None) -> Iterator[UnitOfWork]:
    """Open a unit of work that cannot write: the database itself refuses (GET, HEAD, exports)."""
    with _opened(actor, channel, request_id, _READING, 0) as uow:
        uow.read_only = True
        try:
            yield uow
        finally:
            uow.session.rollback()


@contextmanager
def writing(
    actor: Actor, *, channel: str = "system", request_id: str | None = None, causation_depth: int = 0
) -> Iterator[UnitOfWork]:
    """Open a unit of work that commits when the block ends without an exception.

    Raises:
        UnitOfWorkError: one is already open in this app context.
        StaleVersion: a row changed since it was read.
        DatabaseUnavailable: the database is unreachable, locked, read-only or full.
    """
    with _opened(actor, channel, request_id, {}, causation_depth) as uow:
        try:
            yield uow
            _commit(uow)
        except BaseException:
            uow.session.rollback()
            raise
    for action in uow._after_commit:
        action()


@contextmanager
def attempt(uow: UnitOfWork) -> Iterator[None]:
    """Take back everything the block did if it raises, so that the edge can go on: show the form, the other panels.

    A writing unit pays a savepoint. A reading one pays nothing unless the block raises: its transaction, which the
    failed query may have poisoned, is then begun anew.
    """
    if uow.read_only:
        with _begun_anew_on_error(uow):
            yield
        return
    events, touched, actions = len(uow.events), set(uow.touched), len(uow._after_commit)
    try:
        with uow.session.begin_nested():
            yield
    except BaseException:
        del uow.events[events:], uow._after_commit[actions:]
        uow.touched = touched
        raise


class _Rehearsed(Exception):
    """Ends a savepoint whose changes were only tried."""


def rehearse(uow: UnitOfWork, change: Callable[[], Any]) -> None:
    """Do a change and take it back: whatever refuses it raises here, and nothing is left of it.

    A preview that does so never says yes to what is refused later.
    """
    known = uow.custom_fields
    try:
        with attempt(uow):
            change()
            raise _Rehearsed
    except _Rehearsed:
        uow.custom_fields = known
        uow.session.expire_all()


@contextmanager
def _begun_anew_on_error(uow: UnitOfWork) -> Iterator[None]:
    try:
        yield
    except BaseException:
        uow.session.rollback()
        uow.session.connection(execution_options=_READING)
        raise


@contextmanager
def _opened(
    actor: Actor, channel: str, request_id: str | None, options: dict[str, Any], depth: int
) -> Iterator[UnitOfWork]:
    if g.get("crm_uow") is not None:
        raise UnitOfWorkError("a unit of work is already open here: pass it on instead of opening a second one")
    session: Session = db.session()
    if session.in_transaction():
        raise UnitOfWorkError("a query ran before the unit of work was opened")
    uow = UnitOfWork(session, actor, channel, request_id or uuid4().hex, utcnow(), depth)
    try:
        with translated_errors():
            try:
                session.connection(execution_options=options)
            except BaseException:
                session.rollback()  # half begun: the next unit of this context would otherwise be refused
                raise
            g.crm_uow = uow
            yield uow
    finally:
        g.pop("crm_uow", None)


def track_changes(session: Session, _context: Any = None) -> None:
    """Remember which rows a flush writes; attached to the session's ``after_flush`` once per application."""
    uow: UnitOfWork | None = g.get("crm_uow")
    if uow is not None:
        for changed in (session.new, session.dirty, session.deleted):
            uow.touched.update(changed)


def _commit(uow: UnitOfWork) -> None:
    from crm_kernel._internal.outbox import store_events
    from crm_kernel.access.audit import store_audit
    from crm_kernel.collaboration.notifications.services import notify_new_owners
    from crm_kernel.records.search import store_search_entries

    uow.session.flush()
    notify_new_owners(uow)
    store_audit(uow)
    store_search_entries(uow)
    store_events(uow)
    uow.session.commit()


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn the driver's errors into the project's own, so that every edge shows one clear message."""
    try:
        yield
    except StaleDataError as error:
        raise StaleVersion(
            "Somebody else changed this record meanwhile: load it again and repeat your change."
        ) from error
    except sa.exc.OperationalError as error:
        raise DatabaseUnavailable(f"the database refused the transaction: {error.orig}") from error
