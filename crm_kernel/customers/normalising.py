"""Brings contact values into the form that is compared, each distinct text once per import or request."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from flask import current_app, g
from marshmallow import ValidationError

from crm_kernel.customers.choices import PHONE_CHANNELS
from crm_kernel.customers.problems import said
from crm_kernel.customers.values.cleaning import visible
from crm_kernel.customers.values.emails import EmailParser
from crm_kernel.customers.values.errors import ValueProblem, shown
from crm_kernel.customers.values.identifiers import normalize_identifier
from crm_kernel.customers.values.phones import PhoneKeyParser
from crm_kernel.customers.values.urls import normalize_url
from crm_kernel.text import fold

_MOST = 255


class ContactValues:
    """Parsers with a memory; ``region`` (ISO 3166) completes phone numbers written without a country."""

    def __init__(self, region: str) -> None:
        self.region = region

    @cached_property
    def emails(self) -> EmailParser:
        """The reader of e-mail addresses."""
        return EmailParser()

    @cached_property
    def phones(self) -> PhoneKeyParser:
        """The reader of phone numbers."""
        return PhoneKeyParser(self.region)

    def normalise(self, channel: str, raw: str) -> tuple[str, str]:
        """Return (value to show, value to compare).

        Raises:
            ValueProblem: the text is no such value; says what was found and what is expected.
        """
        if channel == "email":
            email = self.emails(raw)
            return email.value, email.normalized
        if channel in PHONE_CHANNELS:
            return " ".join(visible(raw).split()), self.phones(raw)
        if channel == "web":
            url = normalize_url(raw).normalized
            return url, url
        return _handle(raw)


def point_identity(part: Mapping[str, Any]) -> tuple[Any, str]:
    """Return what makes two contact points of a customer one: the channel and the value as it is compared.

    Raises:
        ValidationError: the value cannot be read.
    """
    channel, value = part.get("channel"), part.get("value") or ""
    try:
        return channel, contact_values().normalise(str(channel), value)[1]
    except ValueProblem as problem:
        raise ValidationError(said(problem)) from problem


def identifier_identity(part: Mapping[str, Any]) -> tuple[Any, str, str]:
    """Return what makes two identifiers of a customer one: type, number in its normal form, and who gave it.

    Raises:
        ValidationError: the number cannot be read.
    """
    kind, value = part.get("type"), part.get("value") or ""
    try:
        return kind, normalize_identifier(str(kind), value), part.get("issuer") or ""
    except ValueProblem as problem:
        raise ValidationError(said(problem)) from problem


def contact_values() -> ContactValues:
    """Return the parsers of this app context, which is one request, command or job: they hold personal data."""
    from crm_kernel._internal.runtime import runtime_of

    region = runtime_of(current_app).config.default_region
    found: ContactValues | None = g.get("crm_contact_values")
    if found is None or found.region != region:
        found = g.crm_contact_values = ContactValues(region)
    return found


def _handle(raw: str) -> tuple[str, str]:
    text = " ".join(visible(raw).split())
    if "://" in text:
        url = normalize_url(text).normalized
        return url, url
    name = text.removeprefix("@")
    if not name or len(name) > _MOST or any(unicodedata.category(char) == "Cc" for char in name):
        raise ValueProblem("{found!r} is not a name in a social network: expected one such as @acme", found=shown(text))
    return text, fold(name)
