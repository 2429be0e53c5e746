"""Writing customers as vCard 3.0, the version that every phone and mail program reads.

Owns the shape of the plain dictionaries that ``vcards.read_vcards`` makes and this module takes. Folding and escaping
belong to ``vobject``.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import TypedDict

import vobject
from vobject.base import Component, ContentLine
from vobject.vcard import Address as VAddress
from vobject.vcard import Name

from crm_kernel.customers.values.countries import country_name
from crm_kernel.customers.vcard_lines import plain


class ContactPoint(TypedDict):
    """A way to reach a customer, value as written."""

    #: ``phone``, ``email`` or ``url``.
    channel: str
    value: str
    #: ``mobile``, ``work``, ``home``, ``fax``, ``pager``, a label of the user's own, or empty.
    label: str


class Address(TypedDict):
    """A postal address."""

    #: ``work``, ``home``, ``other`` or a purpose of the user's own.
    purpose: str
    #: One or more lines, separated by ``\\n``.
    street: str
    postal_code: str
    city: str
    region: str
    #: ISO 3166, empty when unknown.
    country_code: str


class CustomerDraft(TypedDict):
    """A customer as a card describes it: every key present, texts empty when unknown."""

    #: ``person``, ``organization`` or ``household``.
    kind: str
    given_name: str
    family_name: str
    #: Never empty in what ``read_vcards`` returns.
    display_name: str
    prefix: str
    suffix: str
    birth_date: date | None
    job_title: str
    organization: str
    department: str
    notes: str
    #: Language tags, the preferred one first.
    languages: list[str]
    contact_points: list[ContactPoint]
    addresses: list[Address]
    #: The card's UID: the key of repeated imports.
    external_ref: str


_PROPERTIES = {"phone": "TEL", "email": "EMAIL", "url": "URL"}
_TYPES = {"mobile": "CELL", "fax": "FAX", "pager": "PAGER", "work": "WORK", "home": "HOME"}


def write_vcards(customers: Iterable[CustomerDraft]) -> str:
    """Return the customers as one vCard 3.0 text: UTF-8 characters, CRLF line ends, lines folded at 75 bytes.

    Reading it back gives the same customers, except for what a card cannot say: white space at the ends, control
    characters, and contact points of channels other than phone, e-mail and web address. Labels of the user's own
    travel as ``X-ABLabel``; languages as ``LANG``, which programs of version 3.0 skip.
    """
    return "".join(_card(customer) for customer in customers)


def _card(customer: CustomerDraft) -> str:
    card = vobject.vCard()
    _add_names(card, customer)
    for name, value in _single_values(customer):
        if value:
            card.add(name).value = plain(value)
    for language in customer["languages"]:
        card.add("LANG").value = plain(language)
    _add_contact_points(card, customer["contact_points"])
    _add_addresses(card, customer["addresses"])
    return str(card.serialize())


def _add_names(card: Component, customer: CustomerDraft) -> None:
    parts = (customer["family_name"], customer["given_name"], "", customer["prefix"], customer["suffix"])
    card.add("N").value = Name(*map(plain, parts))
    card.add("FN").value = plain(customer["display_name"])
    organization = [plain(customer["organization"]), plain(customer["department"])]
    if any(organization):
        card.add("ORG").value = organization if organization[1] else organization[:1]


def _single_values(customer: CustomerDraft) -> Iterable[tuple[str, str]]:
    born = customer["birth_date"]
    return (
        ("UID", customer["external_ref"]),
        ("TITLE", customer["job_title"]),
        ("NOTE", customer["notes"]),
        ("BDAY", born.isoformat() if born else ""),
        ("X-ABShowAs", "COMPANY" if customer["kind"] == "organization" else ""),
        ("X-CRM-KIND", customer["kind"] if customer["kind"] != "organization" else ""),
    )


def _add_contact_points(card: Component, points: list[ContactPoint]) -> None:
    for number, point in enumerate(points, start=1):
        if point["channel"] in _PROPERTIES:
            line = card.add(_PROPERTIES[point["channel"]])
            line.value = plain(point["value"])
            _add_label(card, line, point["label"], f"contact{number}")


def _add_addresses(card: Component, addresses: list[Address]) -> None:
    for number, address in enumerate(addresses, start=1):
        line = card.add("ADR")
        line.value = VAddress(
            street=plain(address["street"]),
            city=plain(address["city"]),
            region=plain(address["region"]),
            code=plain(address["postal_code"]),
            country=plain(country_name(address["country_code"])),
        )
        _add_label(card, line, address["purpose"].removeprefix("other"), f"address{number}")


def _add_label(card: Component, line: ContentLine, label: str, group: str) -> None:
    """Say the label as a type when vCard knows the word, else as Apple's label of a group."""
    if label in _TYPES:
        line.type_param = _TYPES[label]
    elif label:
        line.group = group
        custom = card.add("X-ABLabel")
        custom.group, custom.value = group, plain(label)
