"""What can be read and written of products, exchange rates and sales."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from marshmallow import Schema, ValidationError, fields, validate

from crm_kernel.records.fields import Choice, Collection, Currency, Money, Reference, four_decimals
from crm_kernel.records.texts import Text
from crm_kernel.sales.choices import CHANNELS
from crm_kernel.sales.models import SaleLine
from crm_kernel.sales.quotes import MAX_RATE

if TYPE_CHECKING:
    from decimal import Decimal


def _twelve_decimals(value: Decimal) -> None:
    exponent = value.normalize().as_tuple().exponent
    if isinstance(exponent, int) and -exponent > 12:
        raise ValidationError(_("At most twelve decimals."))


class ProductSchema(Schema):
    """Something that can be sold."""

    sku = Text(60, required=True, metadata={"label": _l("SKU")})
    name = Text(200, required=True, metadata={"label": _l("Name")})
    category = Text(120, metadata={"label": _l("Category")})
    unit_price = Money(
        allow_none=True,
        validate=validate.Range(min=0),
        metadata={"label": _l("Unit price"), "help": _l("Without tax.")},
    )
    currency = Currency(allow_none=True, metadata={"label": _l("Currency")})
    tax_rate = fields.Decimal(
        allow_none=True,
        as_string=True,
        places=4,
        validate=validate.Range(0, 100),
        metadata={"label": _l("Tax rate in percent")},
    )
    active = fields.Boolean(metadata={"label": _l("Active")})


class ExchangeRateSchema(Schema):
    """What one unit of a currency is worth in another from a day on."""

    from_currency = Currency(required=True, metadata={"label": _l("From currency")})
    to_currency = Currency(metadata={"label": _l("To currency"), "help": _l("Left out: the base currency.")})
    rate = fields.Decimal(
        required=True,
        as_string=True,
        validate=[validate.Range(min=0, min_inclusive=False, max=MAX_RATE), _twelve_decimals],
        metadata={"label": _l("Rate"), "help": _l("What one unit of the first is worth in the second currency.")},
    )
    valid_on = fields.Date(required=True, metadata={"label": _l("Valid from")})
    source = Text(
        60,
        allow_none=True,
        metadata={"label": _l("Source"), "help": _l("Who published it: ECB. Empty for one that somebody entered.")},
    )


class SaleLineSchema(Schema):
    """One position of a sale."""

    id = fields.UUID(attribute="uid")
    product = Reference("product", attribute="product_id", allow_none=True, metadata={"label": _l("Product")})
    description = Text(
        300, allow_none=True, metadata={"label": _l("Description"), "help": _l("Left empty: the product's name.")}
    )
    quantity = fields.Decimal(as_string=True, validate=four_decimals, metadata={"label": _l("Quantity")})
    unit_price = Money(required=True, metadata={"label": _l("Unit price")})
    amount = Money(
        allow_none=True,
        metadata={"label": _l("Amount"), "help": _l("Left empty: the quantity times the unit price.")},
    )


class SaleSchema(Schema):
    """A sale or refund in the ledger: recorded once, never changed."""

    title = Text(300, required=True, metadata={"label": _l("What was sold")})
    customer = Reference(
        "customer",
        attribute="customer_id",
        allow_none=True,
        metadata={"label": _l("Customer"), "help": _l("Left empty: an anonymous sale.")},
    )
    occurred_at = fields.AwareDateTime(metadata={"label": _l("When")})
    channel = Choice(CHANNELS, required=True, metadata={"label": _l("Channel")})
    amount = Money(
        allow_none=True,
        metadata={"label": _l("Amount"), "help": _l("Negative: given back. Left empty: what the lines add up to.")},
    )
    currency = Currency(allow_none=True, metadata={"label": _l("Currency")})
    rate = fields.Decimal(as_string=True, dump_only=True, metadata={"label": _l("Exchange rate")})
    base_amount = fields.Decimal(
        as_string=True, dump_only=True, metadata={"label": _l("Amount in the base currency"), "show_as": "base_money"}
    )
    margin = Money(allow_none=True, metadata={"label": _l("Margin")})
    base_margin = fields.Decimal(
        as_string=True, dump_only=True, metadata={"label": _l("Margin in the base currency"), "show_as": "base_money"}
    )
    owner = Reference("user", attribute="owner_id", allow_none=True, metadata={"label": _l("Representative")})
    team = Reference("team", attribute="team_id", allow_none=True, metadata={"label": _l("Team")})
    refund_of = Reference("sale", attribute="refund_of_id", allow_none=True, metadata={"label": _l("Refund of")})
    source_plugin = Text(
        40,
        metadata={
            "label": _l("Module"),
            "show_as": "module",
            "help": _l("Who tells of the sale: a module, or the name of another system."),
        },
    )
    external_ref = Text(255, metadata={"label": _l("Reference in the source"), "show_as": "outside"})
    lines = Collection(
        SaleLineSchema,
        model=SaleLine,
        key="sale_id",
        order_by="position",
        metadata={"label": _l("Lines"), "add_label": _l("Add a line"), "a_row_each": True},
    )


class RefundSchema(Schema):
    """What is given back of a sale."""

    amount = Money(
        allow_none=True,
        load_default=None,
        metadata={"label": _l("Amount to give back"), "help": _l("Left empty: all that is left.")},
    )
