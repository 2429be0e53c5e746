"""The tables of opportunities and of their ways through the stages."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from crm_kernel.database import OwnedMixin, Rate, RecordMixin, utcnow
from crm_sfa.base import Base


class Opportunity(RecordMixin, OwnedMixin, Base):
    """A deal on its way; what it is worth, when it should close, and what became of it.

    It outlives its customer without naming it, as the sale it may have become does: figures of past years stay.
    """

    __tablename__ = "sfa_opportunity"

    name: Mapped[str] = mapped_column(sa.String(200), info={"personal": True})
    customer_id: Mapped[int | None] = mapped_column(
        sa.ForeignKey("customer.id", ondelete="SET NULL"), info={"merge": "move"}
    )
    pipeline_id: Mapped[int] = mapped_column(sa.ForeignKey("sfa_pipeline.id", ondelete="RESTRICT"))
    stage_id: Mapped[int] = mapped_column(sa.ForeignKey("sfa_stage.id", ondelete="RESTRICT"), index=True)
    #: The stage's category, kept here because every list and figure asks for it: ``open``, ``won`` or ``lost``.
    status: Mapped[str] = mapped_column(sa.String(10), default="open", server_default="open")
    #: When it entered its stage.
    stage_since: Mapped[dt.datetime] = mapped_column(default=utcnow)
    amount: Mapped[Decimal | None]
    currency: Mapped[str | None] = mapped_column(sa.String(3))
    #: The amount in the company's base currency; final once won. Only this is ever summed.
    base_amount: Mapped[Decimal | None]
    #: What one unit of ``currency`` was worth then, and the day whose rate that is; empty while no rate is known.
    rate: Mapped[Decimal | None] = mapped_column(Rate)
    rate_on: Mapped[dt.date | None]
    #: The day it began, in the history of imported ones too.
    opened_on: Mapped[dt.date]
    #: While open the day it is expected to close, afterwards the day it did.
    close_date: Mapped[dt.date | None]
    closed_at: Mapped[dt.datetime | None]
    product_id: Mapped[int | None] = mapped_column(sa.ForeignKey("product.id", ondelete="SET NULL"), index=True)
    region: Mapped[str | None] = mapped_column(sa.String(120))
    #: A key of ``choices.LOST_REASONS``.
    lost_reason: Mapped[str | None] = mapped_column(sa.String(40))
    lost_note: Mapped[str | None] = mapped_column(sa.Text, info={"personal": True})
    #: The sale that it became; none while open, or won without a known amount.
    sale_id: Mapped[int | None] = mapped_column(sa.ForeignKey("sale.id", ondelete="SET NULL"), index=True)
    #: How often it recorded a sale: every one after a reopening needs a reference of its own.
    times_sold: Mapped[int] = mapped_column(sa.Integer, default=0, server_default="0")
    #: The foreign system the record came from, and its key there.
    source: Mapped[str | None] = mapped_column(sa.String(60))
    external_ref: Mapped[str | None] = mapped_column(sa.String(255))

    __table_args__ = (
        sa.UniqueConstraint("source", "external_ref"),
        sa.Index(None, "close_date", "id"),
        sa.Index(None, "amount", "id"),
        sa.Index(None, "name", "id"),
        sa.Index(None, "created_at", "id"),
        sa.Index(None, "pipeline_id", "stage_id", "id"),
        sa.Index(None, "status", "close_date", "id"),
        sa.Index(None, "customer_id", "status", "id"),
        sa.CheckConstraint("status IN ('open', 'won', 'lost')", name="status"),
        sa.CheckConstraint("amount IS NULL OR currency IS NOT NULL", name="currency"),
    )


class StageChange(Base):
    """One step of an opportunity from a stage to the next, append-only; the first one comes from nowhere."""

    __tablename__ = "sfa_stage_change"

    id: Mapped[int] = mapped_column(primary_key=True)
    opportunity_id: Mapped[int] = mapped_column(sa.ForeignKey("sfa_opportunity.id", ondelete="CASCADE"))
    #: Also empty when the stage was deleted since.
    from_stage_id: Mapped[int | None] = mapped_column(sa.ForeignKey("sfa_stage.id", ondelete="SET NULL"))
    to_stage_id: Mapped[int | None] = mapped_column(sa.ForeignKey("sfa_stage.id", ondelete="SET NULL"), index=True)
    at: Mapped[dt.datetime] = mapped_column(default=utcnow)
    actor_id: Mapped[int | None] = mapped_column(sa.ForeignKey("app_user.id", ondelete="SET NULL"))
    #: The actor's name at the time: it stays when the user is gone.
    actor_name: Mapped[str] = mapped_column(sa.String(120))
    #: Time spent in the stage it left, in seconds; none for the first step.
    seconds: Mapped[int | None] = mapped_column(sa.BigInteger)

    __table_args__ = (sa.Index(None, "opportunity_id", "id"),)
