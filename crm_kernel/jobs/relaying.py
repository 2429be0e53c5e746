"""The half of the Celery engine that knows the database: leases due work for tasks, and does what a task was told.

The ``job`` table stays the truth. A message carries ids and tokens only; whether it is lost, late or comes twice, a
job's effects happen once: only one task takes over the relay's lease, and it is fenced as the embedded runner is.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from crm_kernel.jobs.claiming import RELAY, Lease, take_over
from crm_kernel.jobs.execution import Executor
from crm_kernel.jobs.lanes import JOB, LEASED
from crm_kernel.jobs.runner import BrokerUnavailable, Runner
from crm_kernel.unit_of_work import UnitOfWork

#: One job in a message: its id and the token it was leased under.
Ticket = tuple[int, int]

#: Jobs per message; a long one travels alone.
_TOGETHER = 10


def _nowhere(_tickets: Sequence[Ticket], _until: dt.datetime) -> None:
    raise BrokerUnavailable("the relay was given no way to publish")


@dataclass(slots=True, eq=False)
class Relay(Runner):
    """Leases due jobs and publishes their tickets; sweeps and keeps schedules as the embedded runner does.

    Its leases bear its name with ``RELAY`` before it until a task takes them over. Any number of relays may run.
    """

    #: Sends one message, with the time at which its tickets end; raises ``BrokerUnavailable`` when it cannot.
    publish: Callable[[Sequence[Ticket], dt.datetime], None] = _nowhere
    #: Most jobs published and not yet taken over, by all relays: what waits, waits in the table and not in the broker.
    in_flight: int = 400
    batch: int = 100
    poll_seconds: float = 0.2

    def run_once(self) -> int:
        """Publish one batch and return how many jobs are in it.

        Raises:
            BrokerUnavailable: the broker does not answer; the jobs are given back.
            DatabaseUnavailable: the database does not answer.
        """
        self._settle()
        self._keep_schedules()
        batch = self._claim()
        messages = self._messages(batch)
        for number, message in enumerate(messages):
            try:
                self.publish([(lease.id, lease.token) for lease in message], message[0].until)
            except BrokerUnavailable:
                # The first of them may have arrived all the same: its ticket is no longer good then.
                self._give_back([lease for unsent in messages[number:] for lease in unsent])
                raise
        return len(batch)

    def _messages(self, batch: Sequence[Lease]) -> list[list[Lease]]:
        long = [lease for lease in batch if self._is_long(lease)]
        short = [lease for lease in batch if not self._is_long(lease)]
        groups = [short[start : start + _TOGETHER] for start in range(0, len(short), _TOGETHER)]
        return [*groups, *([lease] for lease in long)]

    def _claims_as(self) -> str:
        return RELAY + self.worker_name

    def _limit(self, uow: UnitOfWork) -> int:
        waiting = sa.select(sa.func.count()).where(JOB.c.state == LEASED, JOB.c.worker.startswith(RELAY))
        return min(self.batch, self.in_flight - uow.session.execute(waiting).scalar_one())


def do_tickets(executor: Executor, tickets: Sequence[Ticket], until: dt.datetime) -> int:
    """Do the jobs of one message and return how many; a ticket that is no longer good is passed over.

    One that has ended is passed over without a look at the database: after a jam, or when a broker brings back what a
    killed worker had, old messages must not cost the time in which the new ones end too.

    Raises:
        DatabaseUnavailable: the database does not answer; the jobs come back when their leases end.
    """
    done = 0
    for job_id, token in tickets:
        lease = _taken(executor, job_id, token) if executor.clock() < until else None
        if lease is not None:
            executor.begin_turn()
            executor.work(lease)
            done += 1
    return done


def _taken(executor: Executor, job_id: int, token: int) -> Lease | None:
    with executor.unit() as uow:
        until = uow.now + dt.timedelta(seconds=executor.lease_seconds)
        return take_over(uow.session, job_id, token, worker=executor.worker_name, until=until)
