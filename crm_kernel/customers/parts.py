"""The rules of a customer's addresses and identifiers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask_babel import gettext as _

from crm_kernel.customers.matching import PartsPlan, Row, Wanted, claim, overlay, settle_primary
from crm_kernel.customers.models import Address, CustomerIdentifier
from crm_kernel.customers.problems import Problems
from crm_kernel.customers.values.errors import ValueProblem
from crm_kernel.customers.values.identifiers import normalize_identifier

_PLACE = ("street", "postal_code", "city", "region", "country_code")
ADDRESS_DEFAULTS: Row = {
    "purpose": "postal", **dict.fromkeys(_PLACE), "is_primary": False, "state": "unverified",
    "valid_from": None, "valid_to": None,
}  # fmt: skip
IDENTIFIER_DEFAULTS: Row = {"type": None, "value": None, "issuer": ""}


def plan_addresses(
    submitted: Sequence[Mapping[str, Any]], existing: Sequence[Address], problems: Problems, path: str = "addresses"
) -> PartsPlan[Address]:
    """Return what a submitted list of addresses means for the stored ones."""
    wanted = overlay(submitted, existing, ADDRESS_DEFAULTS, problems, path)
    for item in wanted:
        _settle_address(item, problems, f"{path}.{item.index}")
    plan = claim(wanted, existing, lambda address: (address.purpose, *(getattr(address, name) for name in _PLACE)))
    settle_primary(plan, problems, path, lambda row: None)
    return plan


def _settle_address(item: Wanted[Address], problems: Problems, path: str) -> None:
    row = item.row
    row["purpose"] = row["purpose"] or "postal"
    if not any(row[name] for name in ("street", "postal_code", "city")):
        problems.add(f"{path}.city", _("An address needs a street, a postal code or a city; found none."))
    if row["valid_from"] and row["valid_to"] and row["valid_to"] < row["valid_from"]:
        problems.add(f"{path}.valid_to", _("Ends before it begins on %(start)s.", start=row["valid_from"]))
    moved = item.part is not None and any(getattr(item.part, name) != row[name] for name in _PLACE)
    if moved and "state" not in item.given:
        row["state"] = "unverified"


def plan_identifiers(
    submitted: Sequence[Mapping[str, Any]],
    existing: Sequence[CustomerIdentifier],
    problems: Problems,
    path: str = "identifiers",
) -> PartsPlan[CustomerIdentifier]:
    """Return what a submitted list of identifiers means for the stored ones; whether they are free is asked later."""
    wanted = [
        item
        for item in overlay(submitted, existing, IDENTIFIER_DEFAULTS, problems, path)
        if _settle_identifier(item, problems, f"{path}.{item.index}")
    ]
    plan = claim(wanted, existing, _identity)
    seen = set()
    for item in plan.wanted:
        if (key := tuple(item.row.values())) in seen:
            problems.add(f"{path}.{item.index}.value", _("Is listed twice."))
        seen.add(key)
    return plan


def _settle_identifier(item: Wanted[CustomerIdentifier], problems: Problems, path: str) -> bool:
    row = item.row
    row["issuer"] = row["issuer"] or ""
    try:
        row["value"] = normalize_identifier(row["type"] or "", row["value"] or "")
    except ValueProblem as problem:
        problems.add(f"{path}.value", problem)
        return False
    if row["type"] == "external" and not row["issuer"]:
        problems.add(f"{path}.issuer", _("An external id needs the name of the system that gave it; found none."))
    return True


def _identity(identifier: Any) -> tuple[str, str, str]:
    return identifier.type, identifier.value, identifier.issuer
