"""The tables of merging: which customers became one, and everything that must be given back should they be two."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from crm_kernel.database import Json, Model, NullableJson, utcnow


class MergeRun(Model):
    """One merge of two customers; it stays when it was taken back."""

    __tablename__ = "merge_run"

    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[uuid.UUID] = mapped_column(unique=True, default=uuid7)
    #: The one that went, and the one that stayed: they keep naming these two when the latter is merged in turn.
    source_id: Mapped[int] = mapped_column(
        sa.ForeignKey("customer.id", ondelete="CASCADE"), index=True, info={"merge": "stay"}
    )
    target_id: Mapped[int] = mapped_column(
        sa.ForeignKey("customer.id", ondelete="CASCADE"), index=True, info={"merge": "stay"}
    )
    #: ``merged`` or ``unmerged``.
    state: Mapped[str] = mapped_column(sa.String(20), default="merged", server_default="merged")
    merged_at: Mapped[dt.datetime] = mapped_column(default=utcnow, index=True)
    merged_by: Mapped[str] = mapped_column(sa.String(120))
    unmerged_at: Mapped[dt.datetime | None]
    unmerged_by: Mapped[str | None] = mapped_column(sa.String(120))
    #: Table → what happened to how many of its rows: ``{"interaction": {"moved": 12}}``.
    counts: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    #: What was done, in order, each with its items: ``{"action", "table", "column", "old", "new", "last"}``.
    steps: Mapped[list[Any]] = mapped_column(Json, default=list)
    #: What unmerging could not give back, table by table: rows written, changed or deleted since.
    since: Mapped[dict[str, Any] | None] = mapped_column(NullableJson)


class MergeItem(Model):
    """What one merge did to one row."""

    __tablename__ = "merge_item"

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(sa.ForeignKey("merge_run.id", ondelete="CASCADE"))
    table_name: Mapped[str] = mapped_column(sa.String(120))
    #: ``moved``, ``removed``, ``changed`` or ``created``.
    action: Mapped[str] = mapped_column(sa.String(10))
    #: Index of the step of the run that it belongs to.
    step: Mapped[int] = mapped_column(sa.Integer)
    #: The row's key where that is one whole number.
    row_id: Mapped[int | None]
    #: Any other key.
    row_key: Mapped[dict[str, Any] | None] = mapped_column(NullableJson)
    #: Of a removed row everything; of a changed one the columns before.
    before: Mapped[dict[str, Any] | None] = mapped_column(NullableJson, info={"personal": True})
    #: Of a changed row the columns after.
    after: Mapped[dict[str, Any] | None] = mapped_column(NullableJson, info={"personal": True})

    __table_args__ = (sa.Index(None, "run_id", "step", "id"),)
