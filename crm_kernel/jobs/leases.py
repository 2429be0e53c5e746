"""What the holder of a lease may do with its job: extend, finish, save progress, fail, give up.

Every statement is fenced: it matches only while the job is leased under the holder's token. A worker that was frozen
past its lease matches nothing, and its whole transaction is rolled back with it.
"""

from __future__ import annotations

import datetime as dt
import traceback
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from crm_kernel.jobs.claiming import Lease
from crm_kernel.jobs.lanes import JOB, LEASED, READY
from crm_kernel.jobs.models import JobState

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

#: First pause after a failure; it doubles with each further one, up to ``MAX_BACKOFF``.
BASE_BACKOFF = dt.timedelta(seconds=5)
MAX_BACKOFF = dt.timedelta(hours=1)
#: Longest error text kept with a job.
ERROR_LENGTH = 4000


#: The fence: matches the job only while it is leased under this token.
_HELD = (JOB.c.id == sa.bindparam("job"), JOB.c.state == LEASED, JOB.c.attempts == sa.bindparam("token"))


class LeaseLost(Exception):
    """Somebody else holds the job by now, or it was cancelled: whatever this worker did with it must not count."""


def extend(session: Session, lease: Lease, until: dt.datetime) -> None:
    """Keep the lease until a later time.

    Raises:
        LeaseLost: it is not ours any more.
    """
    _fenced(session, lease, leased_until=until)
    lease.until = until


def finish(session: Session, lease: Lease, now: dt.datetime) -> None:
    """Mark the job done, in the transaction that holds the effects of its handler.

    Raises:
        LeaseLost: it is not ours any more.
    """
    _check(lease, session.execute(_finish(), {"job": lease.id, "token": lease.token, "now": now}))


def postpone(session: Session, lease: Lease, until: dt.datetime) -> None:
    """Give a job back that could not begin yet: it is due again then, as it is.

    Raises:
        LeaseLost: it is not ours any more.
    """
    _fenced(session, lease, state=READY, run_at=until, leased_until=None, worker=None)


def save_progress(session: Session, lease: Lease, payload: dict[str, Any], progress: dict[str, Any] | None) -> None:
    """Store a chunked job's next payload and how far it is; progress forgives earlier failures.

    Raises:
        LeaseLost: it is not ours any more.
    """
    shown = {} if progress is None else {"progress": progress}
    _fenced(session, lease, payload=payload, failures=0, **shown)


def fail(session: Session, lease: Lease, now: dt.datetime, *, error: str, pause: dt.timedelta) -> JobState:
    """Count a failure: the job is tried again after the pause, or is dead if it has failed often enough.

    Later deliveries of the same customer to the same subscriber wait with it.

    Raises:
        LeaseLost: it is not ours any more.
    """
    failures = lease.failures + 1
    if failures >= lease.max_attempts:
        give_up(session, lease, now, error=error)
        return JobState.DEAD
    again = now + pause
    _fenced(
        session,
        lease,
        state=READY,
        failures=failures,
        run_at=again,
        leased_until=None,
        worker=None,
        error=_kept(error),
    )
    hold_back(session, lease, again)
    return JobState.READY


def give_up(session: Session, lease: Lease, now: dt.datetime, *, error: str) -> None:
    """Mark the job dead with its reason; later ones of its partition are released by that.

    Raises:
        LeaseLost: it is not ours any more.
    """
    failures = lease.failures + 1
    _fenced(
        session,
        lease,
        state=JobState.DEAD,
        failures=failures,
        finished_at=now,
        leased_until=None,
        error=_kept(error),
    )


def hold_back(session: Session, lease: Lease, until: dt.datetime) -> None:
    """Put off the later deliveries behind a failing one, so that no claim walks over them in vain."""
    if lease.event_id is None or lease.partition is None:
        return
    session.execute(
        sa.update(JOB)
        .where(
            JOB.c.name == lease.name,
            JOB.c.partition == lease.partition,
            JOB.c.partition.is_not(None),
            JOB.c.id > lease.id,
            JOB.c.state == READY,
            JOB.c.event_id.is_not(None),
            JOB.c.run_at < until,
        )
        .values(run_at=until)
    )


def backoff(failures: int, random: Callable[[], float]) -> dt.timedelta:
    """Return the pause after so many failures: 5 s, 10 s, 20 s … 1 h, plus up to a quarter at random.

    Args:
        random: returns a number from 0 to 1; the spread keeps jobs that failed together from failing together again.
    """
    doubled: dt.timedelta = BASE_BACKOFF * 2 ** min(max(failures - 1, 0), 20)
    return min(MAX_BACKOFF, doubled) * (1 + random() / 4)


def describe(error: BaseException) -> str:
    """Return what is kept of an exception: its line first, then the places it came through, without any values."""
    places = traceback.extract_tb(error.__traceback__)[-6:]
    trail = "\n".join(f"  {place.filename}:{place.lineno} {place.name}" for place in places)
    return f"{type(error).__name__}: {error}\n{trail}".rstrip()


def _fenced(session: Session, lease: Lease, **values: Any) -> None:
    held = sa.update(JOB).where(*_HELD).values(**values)
    _check(lease, session.execute(held, {"job": lease.id, "token": lease.token}))


@cache
def _finish() -> sa.Update:
    # The one statement every job runs: kept, because building it takes longer than running it.
    return (
        sa.update(JOB)
        .where(*_HELD)
        .values(
            state=sa.literal_column(str(int(JobState.DONE))),
            finished_at=sa.bindparam("now"),
            leased_until=None,
            error=None,
        )
    )


def _check(lease: Lease, result: Any) -> None:
    if not result.rowcount:
        raise LeaseLost(f"job {lease.id} ({lease.name}) is no longer held under token {lease.token}")


def _kept(error: str) -> str:
    # PostgreSQL stores neither NUL nor lone surrogates, and a dead letter must be writable whatever its handler said.
    return error.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")[:ERROR_LENGTH]
