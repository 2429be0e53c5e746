"""What can be read and written of an opportunity, and what its actions ask for."""

from __future__ import annotations

from decimal import Decimal
from typing import cast

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel import lazy_pgettext
from marshmallow import Schema, ValidationError, fields, validate

from crm_kernel.records.fields import MAX_AMOUNT, Choice, Currency, Money, Reference
from crm_kernel.records.texts import Text
from crm_sfa.opportunities.choices import LOST_REASONS
from crm_sfa.pipelines.choices import CATEGORIES, CATEGORY_COLORS

_NOT_NEGATIVE = validate.Range(min=0, error=_l("Expected zero or more."))


class OpportunitySchema(Schema):
    """An opportunity. Without pipeline and stage it starts in the default pipeline's first open stage."""

    name = Text(200, required=True, metadata={"label": _l("Name")})
    customer = Reference("customer", attribute="customer_id", allow_none=True, metadata={"label": _l("Customer")})
    amount = Money(
        currency="currency",
        allow_none=True,
        validate=_NOT_NEGATIVE,
        metadata={"label": lazy_pgettext("opportunity", "Amount")},
    )
    currency = Currency(allow_none=True, metadata={"label": _l("Currency")})
    pipeline = Reference("sfa.pipeline", attribute="pipeline_id", metadata={"label": _l("Pipeline")})
    stage = Reference("sfa.stage", attribute="stage_id", metadata={"label": _l("Stage")})
    status = Choice(
        CATEGORIES, dump_only=True, metadata={"label": _l("Status"), "computed": True, "colors": CATEGORY_COLORS}
    )
    close_date = fields.Date(
        allow_none=True,
        metadata={"label": _l("Close date"), "help": _l("The day it is expected to close, then the day it did.")},
    )
    opened_on = fields.Date(metadata={"label": _l("Opened on")})
    product = Reference("product", attribute="product_id", allow_none=True, metadata={"label": _l("Product")})
    region = Text(120, metadata={"label": _l("Region")})
    owner = Reference("user", attribute="owner_id", allow_none=True, metadata={"label": _l("Owner")})
    team = Reference("team", attribute="team_id", allow_none=True, metadata={"label": _l("Team")})
    lost_reason = Choice(LOST_REASONS, allow_none=True, metadata={"label": _l("Reason of the loss")})
    lost_note = Text(metadata={"label": _l("Note on the loss")})
    source = Text(60, metadata={"label": _l("Source"), "help": _l("The system the record came from.")})
    external_ref = Text(255, metadata={"label": _l("Reference in the source")})
    base_amount = fields.Decimal(
        as_string=True,
        dump_only=True,
        metadata={"label": _l("Amount in base currency"), "computed": True, "show_as": "base_money"},
    )
    rate = fields.Decimal(as_string=True, dump_only=True, metadata={"label": _l("Exchange rate"), "computed": True})
    rate_on = fields.Date(dump_only=True, metadata={"label": _l("Exchange rate of"), "computed": True})
    stage_since = fields.AwareDateTime(dump_only=True, metadata={"label": _l("In this stage since"), "computed": True})
    closed_at = fields.AwareDateTime(dump_only=True, metadata={"label": _l("Closed at"), "computed": True})


def _exact(value: Decimal) -> None:
    if -cast(int, value.normalize().as_tuple().exponent) > 4:
        raise ValidationError(_("At most four decimals."))  # not lazy: marshmallow would take it apart


class WinSchema(Schema):
    """What winning asks for: nothing, when the opportunity has its amount already."""

    #: No ``Money``: its form field would offer a currency, and win a deal in pounds for as many dollars.
    amount = fields.Decimal(
        as_string=True,
        validate=[validate.Range(min=0, max=MAX_AMOUNT, error=_l("Expected {min} to {max}.")), _exact],
        metadata={
            "label": lazy_pgettext("opportunity", "Amount"),
            "help": _l("In the opportunity's currency; leave it empty to keep the opportunity's amount."),
        },
    )
    closed_on = fields.Date(metadata={"label": _l("Won on"), "help": _l("Today if left empty.")})


class LoseSchema(Schema):
    """What losing asks for."""

    #: The empty choice comes first, so that nobody sends a reason he has not chosen.
    reason = Choice(
        {"": "–", **LOST_REASONS},
        required=True,
        validate=validate.OneOf(list(LOST_REASONS), error=_l("Expected one of: {choices}.")),
        metadata={"label": _l("Reason")},
    )
    note = Text(metadata={"label": _l("Note")})
    closed_on = fields.Date(metadata={"label": _l("Lost on"), "help": _l("Today if left empty.")})
