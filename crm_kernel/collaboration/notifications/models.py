"""The tables of notifications: who is told what about which record, and what each user wants to be told how."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from crm_kernel.data_map.references import CustomerReference
from crm_kernel.database import Model, NullableJson


class Notification(Model):
    """One thing that one user is told. It holds no title: that is read when he reads, if he may then see the record."""

    __tablename__ = "notification"

    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[uuid.UUID] = mapped_column(unique=True, default=uuid7)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("app_user.id", ondelete="CASCADE"))
    #: Name of a ``NotificationKind``.
    kind: Mapped[str] = mapped_column(sa.String(80))
    #: The record it is about; None for what is about no record.
    subject_type: Mapped[str | None] = mapped_column(sa.String(80))
    subject_uid: Mapped[uuid.UUID | None] = mapped_column(
        info={"reference": CustomerReference(type_column="subject_type")}
    )
    #: The name of whoever caused it, at the time.
    actor_name: Mapped[str] = mapped_column(sa.String(120))
    #: What the kind's text needs beside that: plain facts, nothing personal.
    data: Mapped[dict[str, Any] | None] = mapped_column(NullableJson)
    created_at: Mapped[dt.datetime]
    read_at: Mapped[dt.datetime | None]
    #: Whether it is shown in the application.
    in_app: Mapped[bool]
    #: When it is to be mailed at the earliest; None for never, and once it was.
    mail_due_at: Mapped[dt.datetime | None]
    #: Two of one user and kind with the same key are one, the first.
    dedupe_key: Mapped[str | None] = mapped_column(sa.String(120))

    __table_args__ = (
        sa.UniqueConstraint("user_id", "kind", "dedupe_key"),
        sa.Index(None, "user_id", "read_at", "id"),
        sa.Index(None, "user_id", "id"),
        sa.Index(None, "mail_due_at", "user_id"),
        sa.Index(None, "created_at", "id"),
        sa.Index(None, "subject_type", "subject_uid"),
    )


class NotificationSetting(Model):
    """How one user wants to be told of one kind; without a row, the kind's own usual way."""

    __tablename__ = "notification_setting"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("app_user.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(sa.String(80))
    in_app: Mapped[bool]
    #: ``immediate``, ``hourly``, ``daily`` or ``never``.
    email: Mapped[str] = mapped_column(sa.String(20))

    __table_args__ = (sa.UniqueConstraint("user_id", "kind"),)
