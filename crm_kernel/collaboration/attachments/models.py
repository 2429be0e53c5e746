"""The tables of attachments: contents, each stored once, and what is attached where under which name."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from crm_kernel.collaboration.models import AboutMixin, WrittenMixin
from crm_kernel.database import Model, RecordMixin


class StoredFile(Model):
    """A content in the instance's storage; several attachments may share it, and the last one gone, it is swept away."""

    __tablename__ = "stored_file"

    id: Mapped[int] = mapped_column(primary_key=True)
    #: SHA-256, hexadecimal: its name in the storage, and its ETag.
    digest: Mapped[str] = mapped_column(sa.String(64), unique=True)
    #: Bytes.
    size: Mapped[int] = mapped_column(sa.BigInteger)
    #: Found in the content, never taken from a name or a header.
    media_type: Mapped[str] = mapped_column(sa.String(120))
    created_at: Mapped[dt.datetime]


class Attachment(RecordMixin, AboutMixin, WrittenMixin, Model):
    """A file on a record."""

    __tablename__ = "attachment"

    #: What people call it, as it was uploaded or renamed; decides nothing about how it is treated.
    name: Mapped[str] = mapped_column(sa.String(255), info={"personal": True})
    file_id: Mapped[int] = mapped_column(sa.ForeignKey("stored_file.id", ondelete="RESTRICT"), index=True)
    #: Of the file, kept here too: lists show and filter them.
    size: Mapped[int] = mapped_column(sa.BigInteger)
    media_type: Mapped[str] = mapped_column(sa.String(120))

    __table_args__ = (
        sa.Index(None, "subject_type", "subject_uid", "id"),
        sa.Index(None, "created_at", "id"),
    )
