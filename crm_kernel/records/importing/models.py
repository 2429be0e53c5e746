"""The tables of imports: runs, what each did to which row, and mappings that users keep.

Rows hold values of files (before-images, refused values): they expire, with a count, and the run itself stays.
"""

from __future__ import annotations

import datetime as dt
import uuid
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from crm_kernel.database import Model, NullableJson, utcnow

#: What the data map says of values of files.
_ROWS = {"personal": True, "retention": "30 days"}


class RunState(StrEnum):
    """Where an import stands."""

    #: A file is there; nothing was looked at yet, or a rehearsal is over.
    DRAFT = "draft"
    #: Every chunk is done and taken back, to tell the verdicts.
    REHEARSING = "rehearsing"
    RUNNING = "running"
    #: Ended before the last row; ``crm import resume`` goes on.
    STOPPED = "stopped"
    DONE = "done"
    UNDOING = "undoing"
    #: Taken back, but for the records that are listed.
    UNDONE = "undone"


class ImportRun(Model):
    """One import: which files, what they mean, who, how far it is and what it did."""

    __tablename__ = "import_run"

    id: Mapped[int] = mapped_column(primary_key=True)
    #: Also the request id of its audit rows and events, in hexadecimal.
    uid: Mapped[uuid.UUID] = mapped_column(unique=True, default=uuid7)
    created_at: Mapped[dt.datetime] = mapped_column(default=utcnow)
    state: Mapped[str] = mapped_column(sa.String(20), default=RunState.DRAFT, server_default="draft")
    #: Whose permissions it has; null for the system. Users are never deleted: a run never becomes the system's.
    user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("app_user.id"))
    actor: Mapped[str] = mapped_column(sa.String(120))
    #: What the API token that began it was limited to; null for no limit.
    scopes: Mapped[list[str] | None] = mapped_column(NullableJson)
    channel: Mapped[str] = mapped_column(sa.String(20))
    #: The name people know it by: the mapping's, or the file's.
    name: Mapped[str] = mapped_column(sa.String(200))
    #: The mapping as a mapping file says it.
    mapping: Mapped[dict[str, Any]] = mapped_column(default=dict)
    #: Folder of its files on the machine that began it.
    folder: Mapped[str] = mapped_column(sa.Text, default="")
    #: ``{name, sha256, bytes}`` of every file.
    files: Mapped[list[Any]] = mapped_column(default=list)
    #: Whether the files are its own (uploaded) and go with its rows.
    uploaded: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    #: Source of the mapping and rows of it that are done: ``{"source": 0, "rows": 3000}``.
    checkpoint: Mapped[dict[str, Any]] = mapped_column(default=dict)
    #: Per source ``{file, record_type, total, left_out, detected, created, …}``.
    counts: Mapped[list[Any]] = mapped_column(default=list)
    failure: Mapped[str | None] = mapped_column(sa.Text)
    started_at: Mapped[dt.datetime | None]
    finished_at: Mapped[dt.datetime | None]
    #: The background job that does it, if any.
    job_id: Mapped[int | None]
    #: What undoing it did: ``{deleted, restored, kept}``.
    undo: Mapped[dict[str, Any] | None] = mapped_column(NullableJson)
    #: When its rows and files were deleted, and how many rows there were.
    expired_at: Mapped[dt.datetime | None]
    expired_rows: Mapped[int | None] = mapped_column(sa.Integer)

    __table_args__ = (sa.Index(None, "user_id", "id"), sa.Index(None, "created_at"))

    @property
    def request_id(self) -> str:
        """What its audit rows and events carry."""
        return self.uid.hex


class ImportRow(Model):
    """What an import did with one row, where that is needed later: to undo it, or to correct the file."""

    __tablename__ = "import_row"

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(sa.ForeignKey("import_run.id", ondelete="CASCADE"))
    #: A ``Verdict``; ``kept`` once undoing the import left the record as it is.
    verdict: Mapped[str] = mapped_column(sa.String(10))
    #: Source of the mapping, from 0, and the row's number in its file; row 0 for what a lookup created.
    source: Mapped[int] = mapped_column(sa.SmallInteger)
    number: Mapped[int] = mapped_column(sa.Integer)
    record_type: Mapped[str] = mapped_column(sa.String(80))
    record_uid: Mapped[uuid.UUID | None]
    #: Attribute → value before and after an update, as ``images`` writes them.
    before: Mapped[dict[str, Any] | None] = mapped_column(NullableJson, info=_ROWS)
    after: Mapped[dict[str, Any] | None] = mapped_column(NullableJson, info=_ROWS)
    #: ``{column, found, expected, sentence}`` of a refused row or of values left out; why an undone one was kept.
    problems: Mapped[list[Any] | None] = mapped_column(NullableJson, info=_ROWS)

    __table_args__ = (sa.Index(None, "run_id", "verdict", "id"),)


class ImportMapping(Model):
    """A mapping that a user keeps under a name, for himself or for all."""

    __tablename__ = "import_mapping"

    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[uuid.UUID] = mapped_column(unique=True, default=uuid7)
    name: Mapped[str] = mapped_column(sa.String(120))
    record_type: Mapped[str] = mapped_column(sa.String(80), index=True)
    #: One source as a mapping file says it, without the file's name.
    source: Mapped[dict[str, Any]] = mapped_column(default=dict)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("app_user.id", ondelete="CASCADE"))
    shared: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    created_at: Mapped[dt.datetime] = mapped_column(default=utcnow)

    __table_args__ = (sa.UniqueConstraint("user_id", "record_type", "name"),)
