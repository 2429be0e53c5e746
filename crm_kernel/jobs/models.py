"""The tables of background work: ``job`` (deliveries of events and jobs alike), its queues and its schedules.

States are numbers because every claim filters on them.
"""

from __future__ import annotations

import datetime as dt
import uuid
from enum import IntEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from crm_kernel.database import Model, utcnow


class JobState(IntEnum):
    """What a job waits for."""

    READY = 0
    LEASED = 1
    DONE = 2
    #: Gave up after ``max_attempts`` failures, or cannot be handled by this code; an admin may retry it.
    DEAD = 3
    #: An admin decided that it is not to be done; kept to show that, and by whom.
    CANCELLED = 4


class JobRow(Model):
    """One piece of work.

    ``attempts`` counts the times it was claimed and is the fencing token of the current lease; ``failures`` counts the
    times its handler failed and decides when it is dead. The two differ when a worker dies with jobs it had not begun.
    """

    __tablename__ = "job"

    id: Mapped[int] = mapped_column(primary_key=True)
    #: How pages, commands and the API name it.
    uid: Mapped[uuid.UUID] = mapped_column(unique=True, default=uuid7)
    #: Who asked for it, or for the job that enqueued it; null for the system's own work and for deliveries of events.
    user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("app_user.id", ondelete="SET NULL"))
    #: The plugin whose handler does it; jobs of a disabled module wait, untouched.
    module: Mapped[str] = mapped_column(sa.String(40))
    #: Name of the subscriber or of the job.
    name: Mapped[str] = mapped_column(sa.String(120))
    #: The queue it stands in: queues take turns, and each may have a rate, be paused, or have workers of its own.
    queue: Mapped[str] = mapped_column(sa.String(40), default="default", server_default="default")
    #: Within a module's queue lower numbers run first; 0 is usual.
    priority: Mapped[int] = mapped_column(sa.SmallInteger, default=0, server_default="0")
    event_id: Mapped[int | None] = mapped_column(sa.ForeignKey("event.id", ondelete="CASCADE"), index=True)
    payload: Mapped[dict[str, Any]] = mapped_column(default=dict)
    #: How far a chunked job is: ``done`` and ``total`` (numbers), ``text``; each may be missing.
    progress: Mapped[dict[str, Any] | None]
    #: Jobs of one name and partition run one after the other; deliveries use the customer.
    partition: Mapped[str | None] = mapped_column(sa.String(64))
    run_at: Mapped[dt.datetime] = mapped_column(default=utcnow)
    state: Mapped[int] = mapped_column(sa.SmallInteger, default=JobState.READY, server_default="0")
    leased_until: Mapped[dt.datetime | None]
    worker: Mapped[str | None] = mapped_column(sa.String(80))
    #: Place in the batch of the claim that leased it last: a worker does them in this order.
    place: Mapped[int | None] = mapped_column(sa.SmallInteger)
    attempts: Mapped[int] = mapped_column(sa.Integer, default=0, server_default="0")
    failures: Mapped[int] = mapped_column(sa.Integer, default=0, server_default="0")
    max_attempts: Mapped[int] = mapped_column(sa.Integer, default=10, server_default="10")
    #: Two jobs of one name with the same key are one; null for "always another".
    dedupe_key: Mapped[str | None] = mapped_column(sa.String(120))
    error: Mapped[str | None] = mapped_column(sa.Text)
    causation_depth: Mapped[int] = mapped_column(sa.Integer, default=0, server_default="0")
    created_at: Mapped[dt.datetime] = mapped_column(default=utcnow)
    finished_at: Mapped[dt.datetime | None]
    #: A dead delivery that was replayed after later ones had run.
    out_of_order: Mapped[bool] = mapped_column(default=False, server_default=sa.false())

    __table_args__ = (
        sa.UniqueConstraint("name", "dedupe_key"),
        # One lane per module, queue, priority and name: a claim walks a little along each that has work due, and never
        # over what is parked, later or another's.
        sa.Index(
            "ix_job_due",
            "module",
            "queue",
            "priority",
            "name",
            "run_at",
            "id",
            sqlite_where=sa.text("state = 0"),
            postgresql_where=sa.text("state = 0"),
        ),
        sa.Index(
            "ix_job_lease", "leased_until", sqlite_where=sa.text("state = 1"), postgresql_where=sa.text("state = 1")
        ),
        sa.Index(
            "ix_job_order",
            "name",
            "partition",
            "id",
            sqlite_where=sa.text("state < 2 AND partition IS NOT NULL"),
            postgresql_where=sa.text("state < 2 AND partition IS NOT NULL"),
        ),
        # The database itself refuses two running jobs of one partition, whatever the runners believe.
        sa.Index(
            "ix_job_running",
            "name",
            "partition",
            unique=True,
            sqlite_where=sa.text("state = 1 AND partition IS NOT NULL"),
            postgresql_where=sa.text("state = 1 AND partition IS NOT NULL"),
        ),
        # What is about a customer and no delivery of an event; the others cost this index nothing.
        sa.Index(
            "ix_job_about",
            "partition",
            sqlite_where=sa.text("event_id IS NULL AND partition IS NOT NULL"),
            postgresql_where=sa.text("event_id IS NULL AND partition IS NOT NULL"),
        ),
        # Few jobs are somebody's: the others cost this index nothing.
        sa.Index(
            "ix_job_user_id",
            "user_id",
            "id",
            sqlite_where=sa.text("user_id IS NOT NULL"),
            postgresql_where=sa.text("user_id IS NOT NULL"),
        ),
        sa.Index("ix_job_dead", "id", sqlite_where=sa.text("state = 3"), postgresql_where=sa.text("state = 3")),
    )


class JobSubject(Model):
    """A customer whose id stands in a job's payload: erasing one reads no other payloads.

    Deliveries of events are not here, their event names the customer; nor are jobs that stand in the customer's partition.
    """

    __tablename__ = "job_subject"

    customer_id: Mapped[int] = mapped_column(
        sa.ForeignKey("customer.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
        # The payload goes on naming the one that it named.
        info={"merge": "stay", "retention": "ids_only"},
    )
    job_id: Mapped[int] = mapped_column(
        sa.ForeignKey("job.id", ondelete="CASCADE"), primary_key=True, autoincrement=False, index=True
    )

    __table_args__ = ({"sqlite_with_rowid": False},)


class JobQueue(Model):
    """What an admin decided about a queue; one that is not listed runs without limit."""

    __tablename__ = "job_queue"

    name: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    #: Nothing is claimed from a paused queue.
    paused: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    #: Jobs that may begin per minute, over all workers; null for as many as they can.
    per_minute: Mapped[int | None] = mapped_column(sa.Integer)
    #: Jobs that may begin at once after a quiet time.
    burst: Mapped[int] = mapped_column(sa.Integer, default=1, server_default="1")
    #: The bucket as one time: each job that begins moves it on by one interval, and it is never further back than the
    #: burst allows.
    spent_until: Mapped[dt.datetime | None]


class JobSchedule(Model):
    """When a job is enqueued again and again; ``next_at`` moves on in the transaction that enqueues it."""

    __tablename__ = "job_schedule"

    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[uuid.UUID] = mapped_column(unique=True, default=uuid7)
    #: The job's name for what its ``Job`` declares; ``<job>@<uid>`` for what was scheduled at run time.
    name: Mapped[str] = mapped_column(sa.String(160), unique=True)
    module: Mapped[str] = mapped_column(sa.String(40))
    job: Mapped[str] = mapped_column(sa.String(120))
    payload: Mapped[dict[str, Any]] = mapped_column(default=dict)
    #: Five fields: minute, hour, day of month, month, day of week.
    cron: Mapped[str] = mapped_column(sa.String(120))
    #: ``site``, ``user`` or an IANA name, as it was asked for.
    timezone: Mapped[str] = mapped_column(sa.String(64), default="site", server_default="site")
    #: The IANA name ``next_at`` was worked out in.
    zone: Mapped[str] = mapped_column(sa.String(64))
    #: Whether an admin chose the time: what the module declares is then left aside until it is restored.
    own_time: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    #: Whose schedule it is; null for the site's own.
    user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("app_user.id", ondelete="CASCADE"), index=True)
    paused: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    next_at: Mapped[dt.datetime]
    last_at: Mapped[dt.datetime | None]
    #: Key of the job it enqueued last; while that waits or runs, no other is.
    last_job_id: Mapped[int | None]
    created_at: Mapped[dt.datetime] = mapped_column(default=utcnow)

    __table_args__ = (
        sa.Index(
            "ix_job_schedule_next",
            "next_at",
            sqlite_where=sa.text("NOT paused"),
            postgresql_where=sa.text("NOT paused"),
        ),
    )
