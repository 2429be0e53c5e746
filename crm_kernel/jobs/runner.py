"""The embedded engine: claims due work and runs its handlers, one job at a time, until told to stop.

It knows turns and the rhythm of a worker, not what becomes of one job (``execution``) nor the rules of order
(``claiming``). Several runners, in threads, processes or on several machines, share one database without knowing of each
other.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections.abc import Collection
from dataclasses import dataclass, field, replace

import sqlalchemy as sa

from crm_kernel.contributions import JobKind
from crm_kernel.errors import CrmError, DatabaseUnavailable
from crm_kernel.jobs import leases
from crm_kernel.jobs.claiming import Claim, Lease, claim, sweep
from crm_kernel.jobs.execution import Executor
from crm_kernel.jobs.firing import fire_due, follow_declarations
from crm_kernel.jobs.handlers import parked_names
from crm_kernel.jobs.signals import waking
from crm_kernel.unit_of_work import UnitOfWork

log = logging.getLogger("crm.jobs")

#: Longest pause of a runner whose database does not answer.
_LONGEST_PAUSE = 30.0
#: A sweep for expired leases at least so often.
_SWEEP_EVERY = dt.timedelta(seconds=15)
#: Schedules are looked at so often; their times are whole minutes.
_SCHEDULES_EVERY = dt.timedelta(seconds=5)
#: Declarations and the users' time zones so often.
_FOLLOW_EVERY = dt.timedelta(minutes=1)


class BrokerUnavailable(CrmError):
    """The broker of the configured engine does not take what is published; the work stays in the table."""


@dataclass(slots=True, eq=False)
class Runner(Executor):
    """One worker. Its name must be unique among all processes that use the database."""

    #: Longest wait for work that another process stored; work of this process is noticed at once.
    poll_seconds: float = 1.0
    #: Jobs per claim.
    batch: int = 20
    #: Only jobs of these queues; None for all.
    queues: Collection[str] | None = None
    _wake: threading.Event = field(default_factory=threading.Event)
    _swept_at: dt.datetime | None = None
    _scheduled_at: dt.datetime | None = None
    _followed_at: dt.datetime | None = None
    _long: list[str] | None = None
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
        self._keep_schedules()
        batch = self._claim()
        self.begin_turn()
        served: set[str] = set()
        for position, lease in enumerate(batch):
            if self._must_yield(lease, served):
                self._give_back(batch[position:])
                return position
            served.add(lease.name)
            rest = batch[position + 1 :]
            if self._is_long(lease):
                # Nobody is to wait behind a long job; and if it kills the process, it alone is blamed.
                self._give_back(rest)
                self._after_others(lease.name)
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
        except BrokerUnavailable as error:
            log.warning("worker %s waits for the broker: %s", self.worker_name, " ".join(str(error).split()))
        except Exception:
            log.exception("worker %s failed outside any job and goes on", self.worker_name)
        return None

    def _claim(self) -> list[Lease]:
        wanted = Claim(
            worker=self._claims_as(),
            modules=self._runtime.manager.names,
            limit=self.batch,
            lease=dt.timedelta(seconds=self.lease_seconds),
            parked=parked_names(self._runtime),
            queues=self.queues,
            late=self._long_names(),
        )
        try:
            with self.unit() as uow:
                self._sweep(uow)
                return claim(uow.session, replace(wanted, limit=self._limit(uow)), uow.now)
        except sa.exc.IntegrityError:
            # Two workers took jobs of one partition in the same instant and the database let only one: look again.
            log.debug("worker %s lost a race for a partition", self.worker_name)
            return []

    def _keep_schedules(self) -> None:
        now = self.clock()
        if self._scheduled_at is not None and abs(now - self._scheduled_at) < _SCHEDULES_EVERY:
            return
        follow = self._followed_at is None or abs(now - self._followed_at) >= _FOLLOW_EVERY
        self._scheduled_at, self._followed_at = now, now if follow else self._followed_at
        try:
            with self.unit() as uow:
                if follow:
                    follow_declarations(uow)
                fire_due(uow)
        except (DatabaseUnavailable, sa.exc.DBAPIError):
            self._scheduled_at = None
            raise
        except Exception:  # what is wrong with schedules must not keep jobs from being done
            log.exception("worker %s cannot keep the schedules and goes on", self.worker_name)

    def _claims_as(self) -> str:
        return self.worker_name

    def _limit(self, _uow: UnitOfWork) -> int:
        return self.batch

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

    def _must_yield(self, lease: Lease, served: set[str]) -> bool:
        """Say whether to claim anew before this job: every name of a batch gets one, then others may have come."""
        return self._stop.is_set() or self.clock() >= lease.until or (lease.name in served and self._turn_is_over())

    def _is_long(self, lease: Lease) -> bool:
        return lease.event_id is None and lease.name in self._long_names()

    def _long_names(self) -> list[str]:
        """Return the jobs that may take their time, the one that had its turn last at the end."""
        if self._long is None:
            jobs = self._runtime.registry.all("jobs")
            self._long = [job.name for job in jobs if job.kind is not JobKind.TRANSACTIONAL]
        return self._long

    def _after_others(self, name: str) -> None:
        self._long_names().remove(name)
        self._long_names().append(name)

    def _settle(self) -> None:
        self._give_back(self._owed)
        self._owed = []

    def _work_or_owe(self, lease: Lease, rest: list[Lease]) -> None:
        try:
            self._work(lease)
        except DatabaseUnavailable:
            self._owed = [lease, *rest]
            raise
