"""The table of touch points: one row per contact with a customer, written once by whoever had it."""

from __future__ import annotations

import datetime as dt
import uuid

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from crm_kernel.data_map.references import CustomerReference
from crm_kernel.database import Model, RecordMixin, utcnow


class Interaction(RecordMixin, Model):
    """One contact with a customer: a call, a mail, a visit, a note; the customer's timeline is made of these."""

    __tablename__ = "interaction"

    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customer.id", ondelete="CASCADE"), info={"merge": "move"})
    #: ``phone``, ``email``, ``meeting``, ``web``, ``store``, ``chat``, ``sms``, ``letter``, ``social``, ``app`` or ``other``.
    channel: Mapped[str] = mapped_column(sa.String(20))
    #: ``in`` from the customer, ``out`` to the customer, ``internal``.
    direction: Mapped[str] = mapped_column(sa.String(10))
    #: What happened: ``call``, ``note``, or a plugin's own word such as ``sfa.opportunity_won``.
    kind: Mapped[str] = mapped_column(sa.String(60))
    occurred_at: Mapped[dt.datetime] = mapped_column(default=utcnow)
    #: The record it is about: record type and public id. Not a foreign key: the type's plugin may be gone.
    subject_type: Mapped[str | None] = mapped_column(sa.String(80))
    subject_uid: Mapped[uuid.UUID | None] = mapped_column(
        info={"reference": CustomerReference(type_column="subject_type")}
    )
    actor_id: Mapped[int | None] = mapped_column(sa.ForeignKey("app_user.id", ondelete="SET NULL"), index=True)
    #: The actor's name at the time: it stays when the user is gone.
    actor_name: Mapped[str] = mapped_column(sa.String(120))
    source_plugin: Mapped[str] = mapped_column(sa.String(40))
    #: Key of the contact at its source (a Message-ID): told twice, it is stored once.
    external_ref: Mapped[str | None] = mapped_column(sa.String(255))
    summary: Mapped[str] = mapped_column(sa.String(300), info={"personal": True})
    body: Mapped[str | None] = mapped_column(sa.Text, info={"personal": True})

    __table_args__ = (
        sa.UniqueConstraint("source_plugin", "external_ref"),
        sa.Index(None, "customer_id", "occurred_at", "uid"),
        sa.Index(None, "occurred_at", "id"),
        sa.Index(None, "subject_type", "subject_uid"),
    )
