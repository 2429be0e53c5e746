"""Finds out what a leased job means to the loaded code: which handler, of which kind, with what argument.

What cannot be handled is ``Undeliverable`` with a reason an admin can act on, never a crash: the job becomes a dead
letter and is delivered by ``crm jobs retry`` once the reason is gone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from crm_kernel import contributions as c
from crm_kernel._internal.runtime import Runtime
from crm_kernel.config_checks import MOST_RULE_DEPTH
from crm_kernel.events import Event
from crm_kernel.jobs.claiming import Fact, Lease

#: Deliveries further than this from what a person did are dead at once: two subscribers feed each other. One more than rules
#: may have: the job after their last is the one that says in a rule's log why it stops.
MAX_CAUSATION_DEPTH = MOST_RULE_DEPTH + 1


class Undeliverable(Exception):
    """This code cannot do this job now; trying again later would not help. The text is the dead letter's reason."""


@dataclass(frozen=True, slots=True)
class Later:
    """What an outside job returns that could not begin yet: the same job is due again then, and no failure is counted."""

    until: dt.datetime
    #: ``note(uow)`` runs in the transaction that puts it off.
    note: Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class Task:
    """A handler and its argument: the decoded event of a delivery, or the payload of a job."""

    kind: c.JobKind
    handler: Callable[..., Any]
    argument: Any


def task_of(runtime: Runtime, lease: Lease) -> Task:
    """Return what to call for a leased job; touches no database.

    Raises:
        Undeliverable: unknown name, gone or unreadable event, or too long a chain of events.
    """
    if lease.causation_depth > MAX_CAUSATION_DEPTH:
        raise Undeliverable(
            f"{lease.causation_depth} events led to this one, at most {MAX_CAUSATION_DEPTH} may: subscribers feed each "
            f"other in a loop. The last link is {lease.name}"
        )
    return _job(runtime, lease) if lease.event_id is None else _delivery(runtime, lease)


def parked_names(runtime: Runtime) -> list[str]:
    """Return the subscribers and jobs of loaded modules that wait for another module (``requires``), sorted."""
    known = [*runtime.registry.all("subscribers"), *runtime.registry.all("jobs")]
    return sorted({record.name for record in known if not set(record.requires) <= runtime.manager.names})


def progress_in(checkpoint: Any) -> dict[str, Any] | None:
    """Return how far a chunked job says it is: the ``progress`` of its checkpoint, None if it says nothing."""
    found = checkpoint.get("progress") if isinstance(checkpoint, dict) else None
    return {key: found[key] for key in ("done", "total", "text") if key in found} if isinstance(found, dict) else None


def _job(runtime: Runtime, lease: Lease) -> Task:
    job: c.Job | None = runtime.registry.get("jobs", lease.name)
    if job is None:
        raise Undeliverable(f"the module {lease.module} is loaded and has no job {lease.name!r} (any more)")
    return Task(job.kind, job.handler, lease.payload)


def _delivery(runtime: Runtime, lease: Lease) -> Task:
    subscriber: c.Subscriber | None = runtime.registry.get("subscribers", lease.name)
    if subscriber is None:
        raise Undeliverable(f"the module {lease.module} is loaded and has no subscriber {lease.name!r} (any more)")
    if lease.event is None:
        raise Undeliverable("its event is gone")
    return Task(c.JobKind.TRANSACTIONAL, subscriber.handler, _event(subscriber, lease.event))


def _event(subscriber: c.Subscriber, fact: Fact) -> Event:
    expected = subscriber.event
    if fact.name != expected.name:
        raise Undeliverable(f"it delivers {fact.name}, but {subscriber.name} now listens to {expected.name}")
    if fact.version != expected.version:
        age = "newer" if fact.version > expected.version else "older"
        raise Undeliverable(
            f"{fact.name} was stored as version {fact.version}, {age} than version {expected.version}, which this code reads"
        )
    try:
        return expected.from_json(fact.payload)
    except ValueError as error:
        raise Undeliverable(str(error)) from error
