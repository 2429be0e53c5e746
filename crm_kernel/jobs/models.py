"""The ``job`` table: deliveries of events and background jobs alike. States are numbers because every claim filters on them."""

from __future__ import annotations

import datetime as dt
from enum import IntEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

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
    #: The plugin whose handler does it; jobs of a disabled module wait, untouched.
    module: Mapped[str] = mapped_column(sa.String(40))
    #: Name of the subscriber or of the job.
    name: Mapped[str] = mapped_column(sa.String(120))
    event_id: Mapped[int | None] = mapped_column(sa.ForeignKey("event.id", ondelete="CASCADE"), index=True)
    payload: Mapped[dict[str, Any]] = mapped_column(default=dict)
    #: Jobs of one name and partition run one after the other; deliveries use the customer.
    partition: Mapped[str | None] = mapped_column(sa.String(64))
    run_at: Mapped[dt.datetime] = mapped_column(default=utcnow)
    state: Mapped[int] = mapped_column(sa.SmallInteger, default=JobState.READY, server_default="0")
    leased_until: Mapped[dt.datetime | None]
    worker: Mapped[str | None] = mapped_column(sa.String(80))
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
        # The module comes first: work parked for a disabled module is never even looked at.
        sa.Index(
            "ix_job_due",
            "module",
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
        sa.Index("ix_job_dead", "id", sqlite_where=sa.text("state = 3"), postgresql_where=sa.text("state = 3")),
    )
