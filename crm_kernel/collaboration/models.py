"""The tables of notes: what people write beside a record, and whom they mention there."""

from __future__ import annotations

import datetime as dt
import uuid

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from crm_kernel.data_map.references import CustomerReference
from crm_kernel.database import Model, RecordMixin


class AboutMixin:
    """Names the record that a row is about. Not a foreign key: it may be of any type, and its module may be gone."""

    subject_type: Mapped[str] = mapped_column(sa.String(80))
    subject_uid: Mapped[uuid.UUID] = mapped_column(info={"reference": CustomerReference(type_column="subject_type")})


class WrittenMixin:
    """Says who wrote a row; his name at the time stays when he is gone."""

    author_name: Mapped[str] = mapped_column(sa.String(120))

    @declared_attr
    @classmethod
    def author_id(cls) -> Mapped[int | None]:
        """The user who wrote it; None for the system."""
        return mapped_column(sa.ForeignKey("app_user.id", ondelete="SET NULL"), index=True)


class Note(RecordMixin, AboutMixin, WrittenMixin, Model):
    """Something written beside a record, for colleagues; seen by whoever sees the record."""

    __tablename__ = "note"

    #: Its first line, for lists.
    title: Mapped[str] = mapped_column(sa.String(120), info={"personal": True})
    #: Plain text or small Markdown, as it was typed.
    body: Mapped[str] = mapped_column(sa.Text, info={"personal": True})
    #: When its text was last changed; None if never.
    edited_at: Mapped[dt.datetime | None]

    __table_args__ = (
        sa.Index(None, "subject_type", "subject_uid", "id"),
        sa.Index(None, "created_at", "id"),
    )


class NoteMention(Model):
    """Somebody whom a note mentions."""

    __tablename__ = "note_mention"

    id: Mapped[int] = mapped_column(primary_key=True)
    note_id: Mapped[int] = mapped_column(sa.ForeignKey("note.id", ondelete="CASCADE"))
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("app_user.id", ondelete="CASCADE"), index=True)
    #: As it stands in the text, without the sign before it.
    written: Mapped[str] = mapped_column(sa.String(254))
    #: Whether he was told: not when he may not see the record.
    told: Mapped[bool]

    __table_args__ = (sa.UniqueConstraint("note_id", "user_id"),)
