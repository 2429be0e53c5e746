"""What can be read and written of purposes, consents and suppressions."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l
from marshmallow import Schema, fields, validate

from crm_kernel.customers.consent.choices import (
    BASES,
    CONTACT_CHANNELS,
    PENDING,
    PURPOSE_RULES,
    STATUSES,
    SUPPRESSED_CHANNELS,
    SUPPRESSION_REASONS,
)
from crm_kernel.records.fields import Choice, Reference
from crm_kernel.records.texts import Text

_CODE = validate.Regexp(
    r"[a-z][a-z0-9_.-]*\Z", error=_l("Expected small letters, digits, “.”, “_” and “-”, a letter first.")
)


class PurposeSchema(Schema):
    """What customers are contacted for."""

    code = Text(60, required=True, validate=_CODE, metadata={"label": _l("Code"), "help": _l("Never changes.")})
    label = Text(120, required=True, metadata={"label": _l("Name")})
    description = Text(metadata={"label": _l("Description")})
    rule = Choice(PURPOSE_RULES, metadata={"label": _l("Allowed")})
    double_opt_in = fields.Boolean(metadata={"label": _l("Needs double opt-in")})
    public = fields.Boolean(metadata={"label": _l("Shown to customers")})
    active = fields.Boolean(metadata={"label": _l("Active")})
    statement = Text(metadata={"label": _l("What customers agree to"), "help": _l("Kept with each consent.")})
    statement_version = Text(60, metadata={"label": _l("Version of the words")})


class ConsentSchema(Schema):
    """One fact of the consent ledger; it is added and never changed."""

    customer = Reference("customer", attribute="customer_id", required=True, metadata={"label": _l("Customer")})
    channel = Choice(CONTACT_CHANNELS, required=True, metadata={"label": _l("Channel")})
    purpose = Text(60, required=True, metadata={"label": _l("Purpose")})
    status = Choice(
        STATUSES,
        required=True,
        validate=validate.NoneOf([PENDING], error=_l("A consent to be confirmed is asked for, not recorded.")),
        metadata={"label": _l("Status")},
    )
    basis = Choice(BASES, metadata={"label": _l("Lawful basis")})
    source = Text(60, metadata={"label": _l("Source")})
    external_ref = Text(255, metadata={"label": _l("Reference in the source")})
    captured_at = fields.AwareDateTime(metadata={"label": _l("When"), "help": _l("Left empty: now.")})
    valid_from = fields.AwareDateTime(allow_none=True, metadata={"label": _l("Valid from")})
    valid_to = fields.AwareDateTime(allow_none=True, metadata={"label": _l("Valid until")})
    double_opt_in_at = fields.AwareDateTime(allow_none=True, metadata={"label": _l("Confirmed by double opt-in")})
    statement = Text(metadata={"label": _l("Words the customer saw")})
    statement_digest = Text(64, dump_only=True, metadata={"label": _l("Digest of the words")})
    form = Text(120, metadata={"label": _l("Form")})
    form_version = Text(60, metadata={"label": _l("Version of the form")})
    ip = Text(45, metadata={"label": _l("IP address")})
    user_agent = Text(300, metadata={"label": _l("Browser")})
    note = Text(metadata={"label": _l("Remark")})
    recorded_by = Text(120, dump_only=True, metadata={"label": _l("Recorded by")})


class SuppressionSchema(Schema):
    """A value that must not be used; the value itself is not kept."""

    channel = Choice(SUPPRESSED_CHANNELS, dump_only=True, metadata={"label": _l("Channel")})
    reason = Choice(SUPPRESSION_REASONS, dump_only=True, metadata={"label": _l("Reason")})
    since = fields.AwareDateTime(dump_only=True, metadata={"label": _l("Since")})
    until = fields.AwareDateTime(dump_only=True, metadata={"label": _l("Until")})
    source = Text(60, dump_only=True, metadata={"label": _l("Source")})
    note = Text(dump_only=True, metadata={"label": _l("Remark")})
    recorded_by = Text(120, dump_only=True, metadata={"label": _l("Recorded by")})


class LiftSchema(Schema):
    """Why a value may be used again."""

    note = Text(required=True, metadata={"label": _l("Why")})


class NewSuppressionSchema(Schema):
    """A value that must not be used from now on."""

    value = Text(2048, required=True, metadata={"label": _l("Address or number")})
    channel = Choice(SUPPRESSED_CHANNELS, required=True)
    reason = Choice(SUPPRESSION_REASONS, load_default="manual")
    until = fields.AwareDateTime(load_default=None, allow_none=True)
    note = Text(load_default=None)
