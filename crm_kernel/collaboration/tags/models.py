"""The tables of tags: the words, and which record has which."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from crm_kernel.collaboration.models import AboutMixin
from crm_kernel.database import Model, RecordMixin, utcnow


class Tag(RecordMixin, Model):
    """A word that records of any type can have."""

    __tablename__ = "tag"

    name: Mapped[str] = mapped_column(sa.String(60))
    #: The name without case and accents: "Événement" and "evenement" are one tag.
    key: Mapped[str] = mapped_column(sa.String(60), unique=True)
    color: Mapped[str] = mapped_column(sa.String(20), default="azure", server_default="azure")

    __table_args__ = (sa.Index(None, "name", "id"), sa.Index(None, "created_at", "id"))


class Tagging(AboutMixin, Model):
    """A record that has a tag.

    Not unique: merging two customers gives one of them the rows of both, and unmerging has to find them. Said twice is
    said once: readers ask whether there is a row.
    """

    __tablename__ = "tagging"

    id: Mapped[int] = mapped_column(primary_key=True)
    tag_id: Mapped[int] = mapped_column(sa.ForeignKey("tag.id", ondelete="CASCADE"))
    created_at: Mapped[dt.datetime] = mapped_column(default=utcnow)

    __table_args__ = (
        sa.Index(None, "subject_type", "subject_uid", "tag_id"),
        sa.Index(None, "tag_id", "subject_type", "subject_uid"),
    )
