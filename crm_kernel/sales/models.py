"""The tables of the sales ledger: products, exchange rates, sales and their lines.

Amounts are exact and carry their currency; only ``base_amount`` and ``base_margin``, in the company's base currency,
are ever summed over several sales.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from crm_kernel.database import Model, OwnedMixin, Rate, RecordMixin, utcnow


class Product(RecordMixin, Model):
    """Something that can be sold."""

    __tablename__ = "product"

    sku: Mapped[str] = mapped_column(sa.String(60), unique=True)
    name: Mapped[str] = mapped_column(sa.String(200))
    category: Mapped[str | None] = mapped_column(sa.String(120), index=True)
    #: Price of one unit without tax.
    unit_price: Mapped[Decimal | None]
    currency: Mapped[str | None] = mapped_column(sa.String(3))
    #: Percent: 20.0000 for 20 %.
    tax_rate: Mapped[Decimal | None]
    active: Mapped[bool] = mapped_column(default=True, server_default=sa.true())

    __table_args__ = (sa.Index(None, "name", "id"), sa.Index(None, "created_at", "id"))


class ExchangeRate(RecordMixin, Model):
    """From this day on, one unit of ``from_currency`` is ``rate`` units of ``to_currency``, until a later row."""

    __tablename__ = "exchange_rate"

    from_currency: Mapped[str] = mapped_column(sa.String(3))
    to_currency: Mapped[str] = mapped_column(sa.String(3))
    rate: Mapped[Decimal] = mapped_column(Rate)
    valid_on: Mapped[dt.date]
    #: Who published it (``ECB``); empty for one that somebody entered.
    source: Mapped[str | None] = mapped_column(sa.String(60))

    __table_args__ = (sa.UniqueConstraint("from_currency", "to_currency", "valid_on"), sa.Index(None, "valid_on", "id"))


class Sale(RecordMixin, OwnedMixin, Model):
    """A sale or a refund (negative) as it was recorded; amounts are never changed afterwards.

    Anonymous sales count: a sale outlives its customer without naming it.
    """

    __tablename__ = "sale"

    customer_id: Mapped[int | None] = mapped_column(
        sa.ForeignKey("customer.id", ondelete="SET NULL"), info={"merge": "move", "retention": "accounting"}
    )
    #: What was sold, in a few words.
    title: Mapped[str] = mapped_column(sa.String(300))
    occurred_at: Mapped[dt.datetime] = mapped_column(default=utcnow)
    #: ``web``, ``phone``, ``store``, ``app`` or ``rep``.
    channel: Mapped[str] = mapped_column(sa.String(20))
    source_plugin: Mapped[str] = mapped_column(sa.String(40))
    #: Key of the sale at its source (an opportunity's id, a receipt's number): told twice, it is stored once.
    external_ref: Mapped[str] = mapped_column(sa.String(255))
    currency: Mapped[str] = mapped_column(sa.String(3))
    amount: Mapped[Decimal]
    #: What one unit of ``currency`` was worth in the base currency, and the result rounded half-even to four decimals.
    rate: Mapped[Decimal] = mapped_column(Rate)
    base_amount: Mapped[Decimal]
    margin: Mapped[Decimal | None]
    base_margin: Mapped[Decimal | None]
    refund_of_id: Mapped[int | None] = mapped_column(sa.ForeignKey("sale.id", ondelete="RESTRICT"), index=True)

    __table_args__ = (
        sa.UniqueConstraint("source_plugin", "external_ref"),
        sa.Index(None, "customer_id", "occurred_at"),
        sa.Index(None, "occurred_at", "id"),
    )


class SaleLine(RecordMixin, Model):
    """One position of a sale, in the sale's currency."""

    __tablename__ = "sale_line"

    sale_id: Mapped[int] = mapped_column(sa.ForeignKey("sale.id", ondelete="CASCADE"))
    position: Mapped[int] = mapped_column(sa.Integer)
    product_id: Mapped[int | None] = mapped_column(sa.ForeignKey("product.id", ondelete="SET NULL"), index=True)
    description: Mapped[str] = mapped_column(sa.String(300))
    quantity: Mapped[Decimal]
    unit_price: Mapped[Decimal]
    #: Discounts included; the amounts of all lines are the sale's.
    amount: Mapped[Decimal]

    __table_args__ = (sa.Index(None, "sale_id", "position"),)
