"""What can be read and written of a customer: the schemas that API, forms, import and export all use.

They check one field at a time; what fields must say together is in ``rules`` and ``parts``.
"""

from __future__ import annotations

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel import Locale, UnknownLocaleError
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from marshmallow import Schema, ValidationError, fields, validate

from crm_kernel.customers import choices
from crm_kernel.customers.models import Address, ContactPoint, CustomerIdentifier, Organization, Person
from crm_kernel.customers.normalising import identifier_identity, point_identity
from crm_kernel.customers.portable import portable_points
from crm_kernel.customers.relationships import RELATIONSHIP_LABELS
from crm_kernel.records.calendar import birthday
from crm_kernel.records.fields import Choice, Collection, Country, Currency, Money, Reference
from crm_kernel.records.texts import Text


def _known_language(value: str) -> None:
    try:
        Locale.parse(value, sep="-")
    except (UnknownLocaleError, ValueError) as error:
        raise ValidationError(
            _("%(found)s is no language code; expected for example fr or en-GB.", found=value)
        ) from error


def _known_timezone(value: str) -> None:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        message = _("%(found)s is no time zone; expected for example Europe/Paris.", found=value)
        raise ValidationError(message) from error


class ContactPointSchema(Schema):
    """One way to reach a customer; its state is read, never written."""

    id = fields.UUID(attribute="uid")
    channel = Choice(choices.CHANNELS, required=True, metadata={"label": _l("Channel")})
    value = Text(2048, required=True, metadata={"label": _l("Value")})
    label = Text(60, metadata={"label": _l("Label")})
    purpose = Choice(choices.PURPOSES, allow_none=True, metadata={"label": _l("Purpose")})
    is_primary = fields.Boolean(metadata={"label": _l("Primary")})
    state = Choice(
        choices.CONTACT_STATES,
        dump_only=True,
        metadata={"label": _l("State"), "computed": True, "colors": choices.CONTACT_STATE_COLORS},
    )
    state_since = fields.AwareDateTime(dump_only=True, metadata={"label": _l("Since"), "computed": True})


class AddressSchema(Schema):
    """A postal address."""

    id = fields.UUID(attribute="uid")
    purpose = Choice(choices.ADDRESS_PURPOSES, metadata={"label": _l("Purpose")})
    street = Text(metadata={"label": _l("Street"), "widget": "textarea"}, validate=validate.Length(max=300))
    postal_code = Text(20, metadata={"label": _l("Postal code")})
    city = Text(120, metadata={"label": _l("City")})
    region = Text(120, metadata={"label": _l("State or region")})
    country_code = Country(allow_none=True, metadata={"label": _l("Country")})
    is_primary = fields.Boolean(metadata={"label": _l("Primary")})
    state = Choice(choices.ADDRESS_STATES, metadata={"label": _l("State")})
    valid_from = fields.Date(allow_none=True, metadata={"label": _l("Valid from")})
    valid_to = fields.Date(allow_none=True, metadata={"label": _l("Valid to")})


class IdentifierSchema(Schema):
    """A number somebody else knows the customer by."""

    id = fields.UUID(attribute="uid")
    type = Choice(choices.IDENTIFIERS, required=True, metadata={"label": _l("Type")})
    value = Text(255, required=True, metadata={"label": _l("Number")})
    issuer = Text(60, metadata={"label": _l("Issued by"), "help": _l("The other system, for an external id.")})


_PERSON = {"side": Person}
_ORGANIZATION = {"side": Organization}
#: What a file that has one of these fields is about, where it does not say so.
_IMPLIED = {
    "person": ("given_name", "family_name", "birth_date"),
    "organization": ("legal_name", "employees", "annual_revenue"),
}


class CustomerSchema(Schema):
    """A customer of any kind; fields of the other kinds stay empty."""

    kind = Choice(choices.KINDS, required=True, metadata={"label": _l("Kind"), "implied_by": _IMPLIED})
    display_name = Text(
        300,
        metadata={
            "label": _l("Name"),
            "sort_by": "sort_name",
            "show_as": "person_name",
            "help": _l("Left empty, a person's is made of the given and the family name."),
        },
    )
    sort_name = Text(300, dump_only=True, metadata={"label": _l("Sort name"), "computed": True})
    prefix = Text(40, metadata={"label": _l("Title"), **_PERSON})
    given_name = Text(120, metadata={"label": _l("Given name"), **_PERSON})
    family_name = Text(120, metadata={"label": _l("Family name"), **_PERSON})
    suffix = Text(40, metadata={"label": _l("Suffix"), **_PERSON})
    job_title = Text(120, metadata={"label": _l("Job title"), **_PERSON})
    birth_date = fields.Date(allow_none=True, validate=birthday, metadata={"label": _l("Date of birth"), **_PERSON})
    legal_name = Text(300, metadata={"label": _l("Legal name"), **_ORGANIZATION})
    industry = Text(120, metadata={"label": _l("Industry"), **_ORGANIZATION})
    employees = fields.Integer(
        allow_none=True, validate=validate.Range(0, 10_000_000), metadata={"label": _l("Employees"), **_ORGANIZATION}
    )
    annual_revenue = Money(
        currency="revenue_currency",
        allow_none=True,
        validate=validate.Range(min=0),
        metadata={"label": _l("Annual revenue"), **_ORGANIZATION},
    )
    revenue_currency = Currency(allow_none=True, metadata={"label": _l("Currency of the revenue"), **_ORGANIZATION})
    website = Text(2048, metadata={"label": _l("Website"), **_ORGANIZATION})
    region = Text(120, metadata={"label": _l("Region"), **_ORGANIZATION})
    status = Choice(
        choices.STATUSES, load_default="active", metadata={"label": _l("Status"), "colors": choices.STATUS_COLORS}
    )
    stage = Choice(
        choices.STAGES, load_default="prospect", metadata={"label": _l("Stage"), "colors": choices.STAGE_COLORS}
    )
    owner = Reference("user", attribute="owner_id", allow_none=True, metadata={"label": _l("Owner")})
    team = Reference("team", attribute="team_id", allow_none=True, metadata={"label": _l("Team")})
    language = Text(20, validate=_known_language, metadata={"label": _l("Language"), "show_as": "language"})
    timezone = Text(60, validate=_known_timezone, metadata={"label": _l("Time zone")})
    source = Text(60, metadata={"label": _l("Source"), "help": _l("The system the record came from.")})
    external_ref = Text(255, metadata={"label": _l("Reference in the source")})
    notes = Text(metadata={"label": _l("Notes")})
    primary_email = fields.Email(dump_only=True, metadata={"label": _l("E-mail"), "computed": True})
    primary_phone = Text(60, dump_only=True, metadata={"label": _l("Phone"), "computed": True, "show_as": "phone"})
    city = Text(120, dump_only=True, metadata={"label": _l("City"), "computed": True})
    contact_points = Collection(
        ContactPointSchema,
        model=ContactPoint,
        key="customer_id",
        metadata={"label": _l("Contact points"), "identity": point_identity, "exported": portable_points},
    )
    addresses = Collection(AddressSchema, model=Address, key="customer_id", metadata={"label": _l("Addresses")})
    identifiers = Collection(
        IdentifierSchema,
        model=CustomerIdentifier,
        key="customer_id",
        metadata={"label": _l("Identifiers"), "identity": identifier_identity},
    )


class RelationshipSchema(Schema):
    """A dated tie between two customers."""

    from_customer = Reference(
        "customer", attribute="from_customer_id", required=True, metadata={"label": _l("Customer")}
    )
    type = Choice(RELATIONSHIP_LABELS, required=True, metadata={"label": _l("is")})
    to_customer = Reference("customer", attribute="to_customer_id", required=True, metadata={"label": _l("of")})
    role = Text(120, metadata={"label": _l("Role")})
    valid_from = fields.Date(allow_none=True, metadata={"label": _l("From")})
    valid_to = fields.Date(allow_none=True, metadata={"label": _l("Until")})
    notes = Text(metadata={"label": _l("Notes")})
