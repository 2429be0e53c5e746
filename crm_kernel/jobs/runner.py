"""The embedded engine: claims due work and runs its handlers, one job at a time, until told to stop.

It knows leases and transactions, not what jobs mean (``handlers``) nor the rules of order (``claiming``). Several
runners, in threads, processes or on several machines, share one database without knowing of each other.
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

import sqlalchemy as sa

from crm_kernel._internal.runtime import Runtime, runtime_of
from crm_kernel.access.actor import SYSTEM
from crm_kernel.contributions import JobKind
from crm_kernel.database import utcnow
from crm_kernel.errors import DatabaseUnavailable
from crm_kernel.jobs import leases
from crm_kernel.jobs.claiming import Claim, Lease, claim, release, sweep
from crm_kernel.jobs.handlers import Task, Undeliverable, parked_names, task_of
from crm_kernel.jobs.heartbeat import heartbeat
from crm_kernel.jobs.models import JobState
from crm_kernel.jobs.outages import is_outage
from crm_kernel.jobs.signals import waking
from crm_kernel.unit_of_work import UnitOfWork, writing

if TYPE_CHECKING:
    from flask import Flask

log = logging.getLogger("crm.jobs")

#: Longest pause of a runner whose database does not answer.
_LONGEST_PAUSE = 30.0
#: A sweep for expired leases at least so often.
_SWEEP_EVERY = dt.timedelta(seconds=15)


@dataclass(slots=True, eq=False)
class Runner:
    """One worker. Its name must be unique among all processes that use the database.

    ``clock`` gives the time that due times, leases and pauses are measured by; waiting itself is real.
    """

    app: Flask
    worker_name: str
    clock: Callable[[], dt.datetime] = utcnow
    #: Longest wait for work that another process stored; work of this process is noticed at once.
    poll_seconds: float = 1.0
    #: After this time without a sign of life a job is given to another worker.
    lease_seconds: float = 60.0
    #: Jobs per claim.
    batch: int = 20
    #: Spreads retries; returns a number from 0 to 1.
    jitter: Callable[[], float] = random.random
    _stop: threading.Event = field(default_factory=threading.Event)
    _wake: threading.Event = field(default_factory=threading.Event)
    _swept_at: dt.datetime | None = None
    #: Jobs to give back as soon as the database answers again: not done, and not to blame.
    _owed: list[Lease] = field(default_factory=list)

    def run_once(self) -> int:
        """Claim one batch, work on it, and return how many jobs were begun; 0 means nothing is due.

        A job that fails is rescheduled or dead afterwards and keeps none of the others from running.

        Raises:
            DatabaseUnavailable: the database does not answer. No job is blamed: the next call gives them back first;
                without one they are taken back when their lease ends.
        """
        self._settle()
        batch = self._claim()
        for position, lease in enumerate(batch):
            if self._stop.is_set() or self.clock() >= lease.until:
                self._give_back(batch[position:])
                return position
            rest = batch[position + 1 :]
            if self._is_long(lease):
                # Nobody is to wait behind a long job; and if it kills the process, it alone is blamed.
                self._give_back(rest)
                self._work_or_owe(lease, [])
                return position + 1
            self._work_or_owe(lease, rest)
        return len(batch)

    def drain(self) -> int:
        """Work until nothing is due any more and return how many jobs were begun on the way."""
        total = 0
        while count := self.run_once():
            total += count
        return total

    def run_forever(self, stop: threading.Event) -> None:
        """Work until ``stop`` is set: finish the current job (a chunked one its chunk), give back the rest, return.

        A database that does not answer is asked again after 1, 2, 4 … 30 s, with one log line each time.
        """
        self._stop = stop
        troubles = 0
        with waking(self._wake.set):
            while not stop.is_set():
                # Cleared before looking, so that work stored while we look ends the wait.
                self._wake.clear()
                pause = self._turn()
                troubles = troubles + 1 if pause is None else 0
                if pause is None:
                    stop.wait(min(2.0 ** (troubles - 1), _LONGEST_PAUSE))
                elif pause:
                    self._wake.wait(pause)

    def wake(self) -> None:
        """End the wait for work now, for example because ``stop`` was set."""
        self._wake.set()

    def _turn(self) -> float | None:
        """Return how long to wait, or None after trouble."""
        try:
            return 0.0 if self.run_once() else self.poll_seconds
        except (DatabaseUnavailable, sa.exc.DBAPIError) as error:
            log.warning("worker %s waits for the database: %s", self.worker_name, " ".join(str(error).split()))
        except Exception:
            log.exception("worker %s failed outside any job and goes on", self.worker_name)
        return None

    @property
    def _runtime(self) -> Runtime:
        return runtime_of(self.app)

    def _claim(self) -> list[Lease]:
        wanted = Claim(
            worker=self.worker_name,
            modules=self._runtime.manager.names,
            limit=self.batch,
            lease=dt.timedelta(seconds=self.lease_seconds),
            parked=parked_names(self._runtime),
        )
        try:
            with self._unit() as uow:
                self._sweep(uow)
                return claim(uow.session, wanted, uow.now)
        except sa.exc.IntegrityError:
            # Two workers took jobs of one partition in the same instant and the database let only one: look again.
            log.debug("worker %s lost a race for a partition", self.worker_name)
            return []

    def _sweep(self, uow: UnitOfWork) -> None:
        every = min(_SWEEP_EVERY, dt.timedelta(seconds=self.lease_seconds / 4))
        # A distance, not an order: the clock may have been set back.
        if self._swept_at is not None and abs(uow.now - self._swept_at) < every:
            return
        self._swept_at = uow.now
        for lease in sweep(uow.session, uow.now):
            error = "its worker stopped or was killed while doing it, or was slower than its lease"
            state = leases.fail(uow.session, lease, uow.now, error=error, pause=dt.timedelta())
            log.warning("job %s (%s) was left behind: %s, now %s", lease.id, lease.name, error, state.name.lower())

    def _is_long(self, lease: Lease) -> bool:
        job = self._runtime.registry.get("jobs", lease.name) if lease.event_id is None else None
        return job is not None and job.kind is not JobKind.TRANSACTIONAL

    def _settle(self) -> None:
        self._give_back(self._owed)
        self._owed = []

    def _work_or_owe(self, lease: Lease, rest: list[Lease]) -> None:
        try:
            self._work(lease)
        except DatabaseUnavailable:
            self._owed = [lease, *rest]
            raise

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
                with self._unit(lease) as uow:
                    leases.finish(uow.session, lease, uow.now)
                    task.handler(uow, task.argument)
            case JobKind.CHUNKED:
                while self._chunk(task, lease):
                    if self._stop.is_set():
                        return self._give_back([lease])
            case JobKind.OUTSIDE:
                self._outside(task, lease)

    def _chunk(self, task: Task, lease: Lease) -> bool:
        """Run one chunk in one unit of work and say whether there may be another."""
        with self._unit(lease) as uow:
            leases.extend(uow.session, lease, self._lease_end(uow.now))
            checkpoint = task.handler(uow, dict(lease.payload))
            if checkpoint is None:
                leases.finish(uow.session, lease, uow.now)
                return False
            payload = {**lease.payload, "checkpoint": checkpoint}
            leases.save_progress(uow.session, lease, payload)
        # Only now is it committed: a chunk that failed to commit starts again from the old checkpoint.
        lease.payload, lease.failures = payload, 0
        return True

    def _outside(self, task: Task, lease: Lease) -> None:
        self._extend(lease)
        with self.app.app_context(), heartbeat(lambda: self._extend(lease), self.lease_seconds / 3):
            result = task.handler(dict(task.argument))
        with self._unit(lease) as uow:
            leases.finish(uow.session, lease, uow.now)
            if callable(result):
                result(uow)

    def _extend(self, lease: Lease) -> None:
        with self._unit(lease) as uow:
            leases.extend(uow.session, lease, self._lease_end(uow.now))

    def _give_back(self, batch: list[Lease]) -> None:
        if batch:
            with self._unit() as uow:
                release(uow.session, batch)

    def _record(self, lease: Lease, error: str, *, dead: bool) -> None:
        try:
            with self._unit(lease) as uow:
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
    def _unit(self, lease: Lease | None = None) -> Iterator[UnitOfWork]:
        """Open a unit of work in an app context of its own: every job starts from a clean ``g`` and session."""
        name = lease.name if lease else "jobs"
        request_id = lease.event.request_id if lease and lease.event else f"job-{lease.id}" if lease else None
        depth = lease.causation_depth if lease else 0
        actor = replace(SYSTEM, name=name)
        opened = writing(actor, channel="job", request_id=request_id, causation_depth=depth)
        with self.app.app_context(), opened as uow:
            uow.now = self.clock()
            yield uow
