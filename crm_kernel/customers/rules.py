"""The rules of the customer's own fields: which belong to which kind, what each kind needs, how names are made.

Pure functions over mappings of attribute → value; used by the single and by the bulk services alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask_babel import gettext as _

from crm_kernel.customers.choices import HOUSEHOLD, KINDS, ORGANIZATION, PERSON
from crm_kernel.customers.models import Organization, Person
from crm_kernel.customers.problems import Problems
from crm_kernel.customers.values.errors import ValueProblem
from crm_kernel.customers.values.names import display_name, sort_name
from crm_kernel.customers.values.urls import normalize_url

PERSON_FIELDS = ("given_name", "family_name", "prefix", "suffix", "birth_date", "job_title")
ORGANIZATION_FIELDS = (
    "legal_name", "industry", "employees", "annual_revenue", "revenue_currency", "website", "region",
)  # fmt: skip
SIDE_FIELDS: Mapping[str, tuple[str, ...]] = {PERSON: PERSON_FIELDS, ORGANIZATION: ORGANIZATION_FIELDS, HOUSEHOLD: ()}
SIDE_MODELS: Mapping[str, type[Any]] = {PERSON: Person, ORGANIZATION: Organization}
CUSTOMER_FIELDS = (
    "display_name", "status", "stage", "language", "timezone", "source", "external_ref", "notes", "custom",
    "owner_id", "team_id",
)  # fmt: skip
PARTS = ("contact_points", "addresses", "identifiers")

_MOST = 300


def settle_fields(data: dict[str, Any], problems: Problems) -> None:
    """Complete and check the fields of one customer as they will be: names made, website normalised.

    ``data`` holds ``kind`` and every field that has a value, the unchanged ones of an existing customer included; the
    derived ones are put into it.
    """
    kind = data.get("kind")
    if kind not in KINDS:
        problems.add("kind", _("Found %(found)s, expected one of: %(known)s.", found=kind, known=", ".join(KINDS)))
        return
    _refuse_foreign_fields(kind, data, problems)
    _settle_names(kind, data, problems)
    _settle_organization(data, problems)
    _check_source(data, problems)


def derived_name(kind: str, data: Mapping[str, Any]) -> str:
    """Return the display name that the other names make, empty when they make none."""
    if kind == ORGANIZATION:
        return display_name(kind, display=data.get("legal_name") or "")
    return display_name(kind, data.get("given_name") or "", data.get("family_name") or "")


def _refuse_foreign_fields(kind: str, data: Mapping[str, Any], problems: Problems) -> None:
    for owner, names in SIDE_FIELDS.items():
        for name in names if owner != kind else ():
            if data.get(name) not in (None, ""):
                problems.add(
                    name,
                    _("Belongs to the kind %(owner)s; this customer is: %(kind)s. Leave it empty.",
                      owner=KINDS[owner], kind=KINDS[kind]),
                )  # fmt: skip


def _settle_names(kind: str, data: dict[str, Any], problems: Problems) -> None:
    given, family = data.get("given_name") or "", data.get("family_name") or ""
    if kind == PERSON and not (given.strip() or family.strip()):
        problems.add("family_name", _("A person needs a family name or a given name; found neither."))
        return
    name = display_name(kind, display=data.get("display_name") or "") or derived_name(kind, data)
    if not name:
        problems.add("display_name", _("%(kind)s: a name is needed; found none.", kind=KINDS[kind]))
        return
    data["display_name"] = name[:_MOST]
    data["sort_name"] = sort_name(kind, given, family, name)[:_MOST]


def _settle_organization(data: dict[str, Any], problems: Problems) -> None:
    if data.get("website"):
        try:
            data["website"] = normalize_url(data["website"]).normalized
        except ValueProblem as problem:
            problems.add("website", problem)
    if data.get("annual_revenue") is not None and not data.get("revenue_currency"):
        problems.add("revenue_currency", _("An amount needs its currency; found none."))


def _check_source(data: Mapping[str, Any], problems: Problems) -> None:
    if data.get("external_ref") and not data.get("source"):
        problems.add("source", _("A reference needs the name of its source; found none."))
