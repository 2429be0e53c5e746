"""The fixed words of customers, each with the label people read; what is stored is the key."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l

from crm_kernel.customers.values.states import ContactState

PERSON, ORGANIZATION, HOUSEHOLD = "person", "organization", "household"

KINDS = {PERSON: _l("Person"), ORGANIZATION: _l("Organization"), HOUSEHOLD: _l("Household")}

STATUSES = {"active": _l("Active"), "inactive": _l("Inactive"), "archived": _l("Archived")}

STAGES = {"lead": _l("Lead"), "prospect": _l("Prospect"), "customer": _l("Customer"), "former": _l("Former customer")}

CHANNELS = {
    "email": _l("E-mail"),
    "phone": _l("Phone"),
    "mobile": _l("Mobile phone"),
    "fax": _l("Fax"),
    "web": _l("Web address"),
    "social": _l("Social network"),
}
#: Channels whose values are telephone numbers: a caller is looked for in all of them.
PHONE_CHANNELS = ("phone", "mobile", "fax")

PURPOSES = {
    "work": _l("Work"),
    "home": _l("Home"),
    "billing": _l("Billing"),
    "support": _l("Support"),
    "other": _l("Other"),
}

ADDRESS_PURPOSES = {
    "postal": _l("Postal"),
    "billing": _l("Billing"),
    "shipping": _l("Shipping"),
    "visit": _l("Visit"),
    "work": _l("Work"),
    "home": _l("Home"),
    "other": _l("Other"),
}

ADDRESS_STATES = {"unverified": _l("Unverified"), "valid": _l("Valid"), "undeliverable": _l("Undeliverable")}

CONTACT_STATES = {
    ContactState.UNVERIFIED.value: _l("Unverified"),
    ContactState.VALID.value: _l("Valid"),
    ContactState.SOFT_BOUNCE.value: _l("Failed for now"),
    ContactState.HARD_BOUNCE.value: _l("Does not work"),
    ContactState.RETIRED.value: _l("Retired"),
    ContactState.WRONG_PERSON.value: _l("Wrong person"),
}

#: Tabler colours of the states; the label says the same.
CONTACT_STATE_COLORS = {
    ContactState.UNVERIFIED.value: "gray",
    ContactState.VALID.value: "green",
    ContactState.SOFT_BOUNCE.value: "orange",
    ContactState.HARD_BOUNCE.value: "red",
    ContactState.RETIRED.value: "gray",
    ContactState.WRONG_PERSON.value: "red",
}

STATUS_COLORS = {"active": "green", "inactive": "gray", "archived": "gray"}
STAGE_COLORS = {"lead": "azure", "prospect": "blue", "customer": "green", "former": "gray"}

#: Labels of ``values.identifiers.IDENTIFIER_TYPES``.
IDENTIFIERS = {
    "siren": _l("SIREN"),
    "siret": _l("SIRET"),
    "vat": _l("VAT number"),
    "iban": _l("IBAN"),
    "bic": _l("BIC"),
    "lei": _l("LEI"),
    "external": _l("External id"),
}
