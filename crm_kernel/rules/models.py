"""The tables of automation rules: what they say, and what became of each (rule, record, cause)."""

from __future__ import annotations

import datetime as dt
import uuid
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from crm_kernel.database import Model, NullableJson, OwnedMixin, RecordMixin, utcnow

#: The job that runs one rule for one event.
RUN = "kernel.run_rule"


class Outcome(StrEnum):
    """What became of a rule for one record and cause."""

    #: The condition held and every action was done.
    DONE = "done"
    #: The condition did not hold, or the principal does not see the record.
    NOT_MATCHED = "not_matched"
    #: An action was refused: none of the rule's actions counts.
    FAILED = "failed"
    #: Too many events led to it: rules that feed each other are stopped here.
    LOOP = "loop"
    #: The rule names what is not there any more, or nobody it could run as; or it was disabled or changed before its turn.
    INERT = "inert"


class Rule(RecordMixin, OwnedMixin, Model):
    """When something happens and a condition holds, do something."""

    __tablename__ = "rule"

    name: Mapped[str] = mapped_column(sa.String(120))
    description: Mapped[str | None] = mapped_column(sa.Text)
    enabled: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    #: The type of the records it is about; its module need not be loaded.
    record_type: Mapped[str] = mapped_column(sa.String(80))
    #: Wire name of the event it follows, or None for one that follows a schedule.
    event: Mapped[str | None] = mapped_column(sa.String(120))
    #: Minute, hour, day of month, month, day of week.
    cron: Mapped[str | None] = mapped_column(sa.String(120))
    #: ``site``, ``user`` (the principal's) or an IANA name.
    timezone: Mapped[str] = mapped_column(sa.String(60), default="site", server_default="site")
    #: A filter tree as JSON; None holds for every record.
    condition: Mapped[dict[str, Any] | None] = mapped_column(NullableJson)
    #: ``[{"action": name, "params": {…}}, …]`` in order.
    actions: Mapped[list[Any]] = mapped_column(default=list)
    #: Whose rights it has: whoever last changed what it does; None for the system.
    principal_id: Mapped[int | None] = mapped_column(sa.ForeignKey("app_user.id", ondelete="SET NULL"), index=True)
    #: Whether an administrator let it act as the system.
    as_system: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    #: The schedule that fires it while it is enabled.
    schedule_uid: Mapped[uuid.UUID | None]

    __table_args__ = (sa.Index(None, "event", "enabled"),)


class RuleRun(Model):
    """What a rule did for one record because of one event, or of one time of its schedule; written once."""

    __tablename__ = "rule_run"

    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[uuid.UUID] = mapped_column(unique=True, default=uuid7)
    rule_id: Mapped[int] = mapped_column(sa.ForeignKey("rule.id", ondelete="CASCADE"))
    #: The rule's version then: its history in the audit log shows what it said.
    rule_version: Mapped[int] = mapped_column(sa.Integer)
    record_type: Mapped[str] = mapped_column(sa.String(80))
    record_uid: Mapped[uuid.UUID]
    #: The event's public id, or one made for each time of a schedule.
    cause_uid: Mapped[uuid.UUID]
    #: An ``Outcome``.
    outcome: Mapped[str] = mapped_column(sa.String(20))
    #: Why it failed, was stopped or is inert; never a value of the record.
    reason: Mapped[str | None] = mapped_column(sa.Text)
    #: Of a condition that did not hold: its parts that did not, as JSON.
    details: Mapped[dict[str, Any] | None] = mapped_column(NullableJson)
    #: How many events led to it.
    causation_depth: Mapped[int] = mapped_column(sa.Integer, default=0)
    at: Mapped[dt.datetime] = mapped_column(default=utcnow, index=True)

    __table_args__ = (
        sa.UniqueConstraint("rule_id", "record_uid", "cause_uid"),
        sa.Index(None, "rule_id", "id"),
        sa.Index(None, "record_uid", "id"),
    )
