"""What can be read and written of legal holds, receipts and retention rules."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l
from marshmallow import Schema, fields, validate

from crm_kernel.customers.privacy.choices import ACTIONS, ERASURE_REASONS, REQUEST
from crm_kernel.records.fields import Choice, Reference
from crm_kernel.records.texts import Text


class LegalHoldSchema(Schema):
    """A reason not to erase a customer."""

    customer = Reference("customer", attribute="customer_id", required=True, metadata={"label": _l("Customer")})
    reason = Text(300, required=True, metadata={"label": _l("Reason")})
    since = fields.AwareDateTime(dump_only=True, metadata={"label": _l("Since")})
    until = fields.AwareDateTime(dump_only=True, metadata={"label": _l("Released")})
    recorded_by = Text(120, dump_only=True, metadata={"label": _l("Recorded by")})


class ErasureSchema(Schema):
    """The receipt of an erasure or an anonymising."""

    action = Choice(ACTIONS, dump_only=True, metadata={"label": _l("What was done")})
    reason = Choice(ERASURE_REASONS, dump_only=True, metadata={"label": _l("Reason")})
    customers = fields.Integer(dump_only=True, metadata={"label": _l("Customers")})
    rule = Text(120, dump_only=True, metadata={"label": _l("Rule")})
    recorded_by = Text(120, dump_only=True, metadata={"label": _l("Recorded by")})
    created_at = fields.AwareDateTime(dump_only=True, metadata={"label": _l("When")})


class RetentionRuleSchema(Schema):
    """Which customers are erased or anonymised when nothing happened with them for so long."""

    name = Text(120, required=True, metadata={"label": _l("Name")})
    condition = Text(
        metadata={
            "label": _l("Which customers"),
            "help": _l("A filter tree as JSON, as lists write it; empty: all of them."),
        }
    )
    action = Choice(ACTIONS, required=True, metadata={"label": _l("What is done with them"), "deliberate": True})
    months = fields.Integer(
        required=True,
        validate=validate.Range(1, 1200),
        metadata={"label": _l("Months without activity"), "help": _l("No touch point, sale, consent or change.")},
    )
    active = fields.Boolean(
        metadata={
            "label": _l("Carried out every night"),
            "help": _l("Look at the plan first: crm privacy retention plan"),
        }
    )
    last_run_at = fields.AwareDateTime(dump_only=True, metadata={"label": _l("Last run")})
    last_erased = fields.Integer(dump_only=True, metadata={"label": _l("Customers then")})


class EraseCustomerSchema(Schema):
    """Why a customer is erased."""

    reason = Choice(
        {name: label for name, label in ERASURE_REASONS.items() if name in (REQUEST, "mistake")}, load_default=REQUEST
    )


class ErasureEntrySchema(Schema):
    """What happens to some rows of one table."""

    table = fields.String(required=True)
    module = fields.String(required=True)
    fate = fields.String(required=True)
    rows = fields.Integer(required=True)
    why = fields.String(required=True)


class ErasureHoldSchema(Schema):
    """A legal hold that keeps a customer from being erased."""

    id = fields.UUID(required=True)
    reason = fields.String(required=True)
    since = fields.AwareDateTime(required=True)


class ErasurePlanSchema(Schema):
    """What erasing a customer would do, and the legal holds that refuse it."""

    entries = fields.List(fields.Nested(ErasureEntrySchema), required=True)
    holds = fields.List(fields.Nested(ErasureHoldSchema), required=True)


class ErasureReceiptSchema(Schema):
    """What erasing a customer did."""

    id = fields.UUID(required=True)
    entries = fields.List(fields.Nested(ErasureEntrySchema), required=True)


class SubjectExportSchema(Schema):
    """Everything about a customer."""

    format = fields.String(required=True)
    customer = fields.UUID(required=True)
    made_at = fields.AwareDateTime(required=True)
    tables = fields.List(fields.Dict(), required=True)
    history = fields.List(fields.Dict(), required=True)
