"""The tables of bulk runs: what was asked, and what became of every record."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from crm_kernel.database import Model, NullableJson, RecordMixin

#: States of a run.
QUEUED, RUNNING, DONE, CANCELLED = "queued", "running", "done", "cancelled"
#: What became of a record: not yet its turn, other than it was, as it was, refused with a reason.
WAITING, CHANGED, UNCHANGED, REFUSED = "waiting", "changed", "unchanged", "refused"
#: What a run does, beside the actions of its record type.
UPDATE, DELETE, TAGS, UNDO = "update", "delete", "tags", "undo"


class BulkRun(RecordMixin, Model):
    """One change of many records of one type; its audit rows have ``request_id``."""

    __tablename__ = "bulk_run"

    record_type: Mapped[str] = mapped_column(sa.String(80))
    #: ``update``, ``delete``, ``tags``, ``undo`` or the name of an action.
    what: Mapped[str] = mapped_column(sa.String(60))
    #: The payload of every record's change; the records' own entries in the log say what became of it.
    data: Mapped[dict[str, Any] | None] = mapped_column(NullableJson, info={"audit": "omit"})
    state: Mapped[str] = mapped_column(sa.String(10), default=QUEUED, server_default=QUEUED)
    author_id: Mapped[int | None] = mapped_column(sa.ForeignKey("app_user.id", ondelete="SET NULL"), index=True)
    #: Whether the system itself asked; a run of a user who is gone must not become the system's.
    by_system: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    #: Limits of the token that asked; None for none.
    token_scopes: Mapped[list[Any] | None] = mapped_column(NullableJson)
    #: The run whose changes this one takes back.
    undoes_id: Mapped[int | None] = mapped_column(sa.ForeignKey("bulk_run.id", ondelete="SET NULL"), index=True)
    total: Mapped[int] = mapped_column(sa.Integer, default=0, server_default="0")
    changed: Mapped[int] = mapped_column(sa.Integer, default=0, server_default="0")
    unchanged: Mapped[int] = mapped_column(sa.Integer, default=0, server_default="0")
    refused: Mapped[int] = mapped_column(sa.Integer, default=0, server_default="0")
    finished_at: Mapped[dt.datetime | None]

    @property
    def request_id(self) -> str:
        """The request id of everything this run does."""
        return f"bulk-{self.uid.hex}"


class BulkRow(Model):
    """One record of a run."""

    __tablename__ = "bulk_row"

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(sa.ForeignKey("bulk_run.id", ondelete="CASCADE"))
    #: By its public id: a key may be given again once its record is gone.
    record_uid: Mapped[uuid.UUID]
    outcome: Mapped[str] = mapped_column(sa.String(10), default=WAITING, server_default=WAITING)
    reason: Mapped[str | None] = mapped_column(sa.String(500), info={"personal": True, "retention": "30 days"})

    __table_args__ = (sa.UniqueConstraint("run_id", "record_uid"), sa.Index(None, "run_id", "outcome", "id"))
