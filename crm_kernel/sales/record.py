"""The record types of the sales ledger, and its card on the customer page."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask_babel import lazy_gettext as _l

from crm_kernel.access.field_access import hidden_fields
from crm_kernel.contributions import ImportMapping, Panel
from crm_kernel.records.record_type import Action, FormSection, RecordType, Services
from crm_kernel.sales.catalogue import (
    create_exchange_rate,
    create_exchange_rates,
    create_product,
    create_products,
    update_exchange_rate,
    update_exchange_rates,
    update_product,
)
from crm_kernel.sales.models import ExchangeRate, Product, Sale
from crm_kernel.sales.money import base_currency
from crm_kernel.sales.queries import sales_of
from crm_kernel.sales.recording import create_sales, withdraw_sale
from crm_kernel.sales.schemas import ExchangeRateSchema, ProductSchema, RefundSchema, SaleSchema
from crm_kernel.sales.services import refund_sale

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


def record_types() -> list[RecordType]:
    """Return the record types ``product``, ``exchange_rate`` and ``sale``."""
    return [_product(), _exchange_rate(), _sale()]


def import_mappings() -> list[ImportMapping]:
    """Return the mapping of a shop's invoice lines."""
    return [
        ImportMapping(
            name="online_retail",
            label=_l("Online Retail: invoice lines of a shop as products, customers and sales"),
            path=Path(__file__).parents[1] / "mappings" / "online_retail.toml",
        )
    ]


def panels() -> list[Panel]:
    """Return the card with a customer's sales."""
    return [
        Panel(
            name="kernel.sales",
            label=_l("Sales"),
            template="customers/sales.html",
            load=_load_sales,
            permission="sale.read",
            icon="cash",
            order=30,
        )
    ]


def _load_sales(uow: UnitOfWork, record: Any) -> Mapping[str, Any] | None:
    found, hidden = sales_of(uow, record), hidden_fields(uow.actor, "sale")
    if found.last_at is None:
        return None
    shown = {"amounts": not hidden & {"amount", "base_amount"}, "days": "occurred_at" not in hidden}
    return {"sales": found, "currency": base_currency(), **shown}


def _give_back(uow: UnitOfWork, record: Sale, *, amount: Decimal | None = None) -> None:
    refund_sale(uow, record, amount=amount)


def _refundable(record: Sale) -> bool:
    return record.refund_of_id is None and record.amount > 0


def _product() -> RecordType:
    return RecordType(
        name="product",
        model=Product,
        schema=ProductSchema,
        label=_l("Product"),
        label_plural=_l("Products"),
        slug="products",
        icon="package",
        title="name",
        columns=("name", "sku", "category", "unit_price", "active"),
        filters=("sku", "name", "category", "currency", "active"),
        sorts=("name", "sku", "created_at"),
        default_sort="name",
        search=("name", "sku", "category"),
        form=(
            FormSection(title=_l("Product"), fields=("name", "sku", "category", "active")),
            FormSection(title=_l("Price"), fields=("unit_price", "currency", "tax_rate")),
        ),
        services=Services(create=create_product, update=update_product, create_many=create_products),
        external_key=("sku",),
        nav_order=60,
    )


def _exchange_rate() -> RecordType:
    return RecordType(
        name="exchange_rate",
        model=ExchangeRate,
        schema=ExchangeRateSchema,
        label=_l("Exchange rate"),
        label_plural=_l("Exchange rates"),
        slug="exchange-rates",
        icon="currency-euro",
        title="from_currency",
        columns=("from_currency", "to_currency", "rate", "valid_on", "source"),
        filters=("from_currency", "to_currency", "valid_on", "source"),
        sorts=("valid_on", "from_currency"),
        default_sort="-valid_on",
        form=(FormSection(title=_l("Rate"), fields=("from_currency", "to_currency", "rate", "valid_on", "source")),),
        services=Services(
            create=create_exchange_rate,
            update=update_exchange_rate,
            create_many=create_exchange_rates,
            update_many=update_exchange_rates,
        ),
        external_key=("from_currency", "to_currency", "valid_on"),
        nav_section="administration",
        nav_order=70,
    )


def _sale() -> RecordType:
    return RecordType(
        name="sale",
        model=Sale,
        schema=SaleSchema,
        label=_l("Sale"),
        label_plural=_l("Sales"),
        slug="sales",
        icon="cash",
        title="title",
        columns=("title", "customer", "occurred_at", "channel", "amount", "owner"),
        filters=(
            "customer", "occurred_at", "channel", "amount", "currency", "base_amount", "owner", "team", "source_plugin",
        ),
        sorts=("occurred_at", "base_amount", "created_at"),
        default_sort="-occurred_at",
        form=(
            FormSection(title=_l("Sale"), fields=("title", "customer", "occurred_at", "channel", "owner", "team")),
            FormSection(title=_l("Money"), fields=("amount", "currency", "rate", "base_amount", "margin", "refund_of")),
        ),
        actions=(
            Action(
                name="refund",
                label=_l("Refund"),
                service=_give_back,
                schema=RefundSchema,
                icon="receipt-refund",
                color="warning",
                available=_refundable,
            ),
        ),
        customer="customer_id",
        external_key=("source_plugin", "external_ref"),
        # What was sold stays sold: recorded by modules and from files, and withdrawn only with the import it came by.
        verbs=("read", "export"),
        imported=True,
        services=Services(create_many=create_sales, delete=withdraw_sale),
        nav_order=40,
    )  # fmt: skip
