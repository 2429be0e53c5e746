"""What becomes of one leased job: its handler runs in the transaction its kind asks for, and its end is recorded.

The same for both engines: the embedded runner and the tasks of Celery lease a job in one way and give it to this.
"""

from __future__ import annotations

import datetime as dt
import logging
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from crm_kernel._internal.runtime import Runtime, runtime_of
from crm_kernel.access.actor import SYSTEM
from crm_kernel.contributions import JobKind
from crm_kernel.database import utcnow
from crm_kernel.errors import DatabaseUnavailable
from crm_kernel.jobs import leases
from crm_kernel.jobs.claiming import Lease, put_behind, release
from crm_kernel.jobs.handlers import Later, Task, Undeliverable, progress_in, task_of
from crm_kernel.jobs.heartbeat import heartbeat
from crm_kernel.jobs.models import JobState
from crm_kernel.jobs.outages import is_outage
from crm_kernel.jobs.services import note_subjects
from crm_kernel.unit_of_work import UnitOfWork, writing

if TYPE_CHECKING:
    from flask import Flask

log = logging.getLogger("crm.jobs")


@dataclass(slots=True, eq=False)
class Executor:
    """Does leased jobs under a worker's name.

    ``clock`` gives the time that due times, leases and pauses are measured by; waiting itself is real.
    """

    app: Flask
    worker_name: str
    clock: Callable[[], dt.datetime] = utcnow
    #: After this time without a sign of life a job is given to another worker.
    lease_seconds: float = 60.0
    #: After this time the rest of a batch is given back, and a chunked job left at its checkpoint: whoever came
    #: meanwhile gets a turn.
    turn_seconds: float = 1.0
    #: Spreads retries; returns a number from 0 to 1.
    jitter: Callable[[], float] = random.random
    _stop: threading.Event = field(default_factory=threading.Event)
    _turn_ends: dt.datetime | None = None

    def begin_turn(self) -> None:
        """Let the time of a turn begin now."""
        self._turn_ends = self.clock() + dt.timedelta(seconds=self.turn_seconds)

    def work(self, lease: Lease) -> None:
        """Do one leased job: its effects and its end are committed, or its failure is.

        Raises:
            DatabaseUnavailable: the database does not answer; the job is not blamed and its lease runs out.
        """
        self._work(lease)

    @property
    def _runtime(self) -> Runtime:
        return runtime_of(self.app)

    def _turn_is_over(self) -> bool:
        return self._turn_ends is not None and self.clock() >= self._turn_ends

    def _work(self, lease: Lease) -> None:
        try:
            self._run(task_of(self._runtime, lease), lease)
        except leases.LeaseLost as lost:
            log.warning("%s: rolled back, nothing of it counts", lost)
        except Undeliverable as reason:
            self._record(lease, f"cannot be delivered: {reason}", dead=True)
        except DatabaseUnavailable as error:
            if is_outage(error):
                raise
            self._record(lease, leases.describe(error), dead=False)
        except (Exception, SystemExit) as error:  # a handler may fail in any way, even by sys.exit()
            self._record(lease, leases.describe(error), dead=False)

    def _run(self, task: Task, lease: Lease) -> None:
        match task.kind:
            case JobKind.TRANSACTIONAL:
                with self.unit(lease) as uow:
                    leases.finish(uow.session, lease, uow.now)
                    task.handler(uow, task.argument)
            case JobKind.CHUNKED:
                while self._chunk(task, lease):
                    if self._stop.is_set() or self._turn_is_over():
                        return self._put_behind(lease)
            case JobKind.OUTSIDE:
                self._outside(task, lease)

    def _chunk(self, task: Task, lease: Lease) -> bool:
        """Run one chunk in one unit of work and say whether there may be another."""
        with self.unit(lease) as uow:
            leases.extend(uow.session, lease, self._lease_end(uow.now))
            checkpoint = task.handler(uow, dict(lease.payload))
            if checkpoint is None:
                leases.finish(uow.session, lease, uow.now)
                return False
            payload = {**lease.payload, "checkpoint": checkpoint}
            leases.save_progress(uow.session, lease, payload, progress_in(checkpoint))
            note_subjects(uow.session, lease.id, payload)
        # Only now is it committed: a chunk that failed to commit starts again from the old checkpoint.
        lease.payload, lease.failures = payload, 0
        return True

    def _outside(self, task: Task, lease: Lease) -> None:
        self._extend(lease)
        with self.app.app_context(), heartbeat(lambda: self._extend(lease), self.lease_seconds / 3):
            result = task.handler(dict(task.argument))
        with self.unit(lease) as uow:
            if isinstance(result, Later):
                leases.postpone(uow.session, lease, result.until)
                return result.note(uow)
            leases.finish(uow.session, lease, uow.now)
            if callable(result):
                result(uow)

    def _extend(self, lease: Lease) -> None:
        with self.unit(lease) as uow:
            leases.extend(uow.session, lease, self._lease_end(uow.now))

    def _give_back(self, batch: list[Lease]) -> None:
        if batch:
            with self.unit() as uow:
                release(uow.session, batch, uow.now)

    def _put_behind(self, lease: Lease) -> None:
        with self.unit() as uow:
            put_behind(uow.session, lease, uow.now)

    def _record(self, lease: Lease, error: str, *, dead: bool) -> None:
        try:
            with self.unit(lease) as uow:
                if dead:
                    leases.give_up(uow.session, lease, uow.now, error=error)
                    state = JobState.DEAD
                else:
                    pause = leases.backoff(lease.failures + 1, self.jitter)
                    state = leases.fail(uow.session, lease, uow.now, error=error, pause=pause)
        except leases.LeaseLost as lost:
            log.warning("%s: its failure is not counted", lost)
            return
        level = logging.ERROR if state is JobState.DEAD else logging.WARNING
        outcome = "dead" if state is JobState.DEAD else f"failed {lease.failures + 1} of {lease.max_attempts} times"
        log.log(level, "module %s, job %s (%s): %s: %s", lease.module, lease.id, lease.name, outcome, error)

    def _lease_end(self, now: dt.datetime) -> dt.datetime:
        return now + dt.timedelta(seconds=self.lease_seconds)

    @contextmanager
    def unit(self, lease: Lease | None = None) -> Iterator[UnitOfWork]:
        """Open a unit of work in an app context of its own: every job starts from a clean ``g`` and session."""
        name = lease.name if lease else "jobs"
        request_id = lease.event.request_id if lease and lease.event else f"job-{lease.id}" if lease else None
        depth = lease.causation_depth if lease else 0
        actor = replace(SYSTEM, name=name)
        opened = writing(actor, channel="job", request_id=request_id, causation_depth=depth)
        with self.app.app_context(), opened as uow:
            uow.now = self.clock()
            uow.asked_by = lease.user_id if lease else None
            yield uow
